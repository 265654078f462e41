/* Inside of work on items; shared by work.c and work_*.c only. */
#ifndef WORK_PRIVATE_H
#define WORK_PRIVATE_H

#include "base/sx_log.h"
#include "jobs/items/work.h"
#include "jobs/items/work_journal.h"
#include "mpi/mp_lease.h"
#include "mpi/mp_queue.h"

typedef enum work_retry {
    WORK_RETRY_NONE,
    WORK_RETRY_FAILED,
    WORK_RETRY_OOM,
    WORK_RETRY_ALL
} work_retry;

struct work {
    const job *j;
    mp_comm *comm;
    const work_kind *kind;
    void *user;
    char *folder;
    int64_t n;
    char **name;           /* [n] as they stand in JSON and in tables */
    int64_t *mine, n_mine; /* items of this run's part, in the order in which they are begun */
    int64_t n_alone;       /* of these, the last ones are made one at a time */
    work_retry retry;
    char *request;      /* name of what `retry` asks for (work_request.c); NULL without */
    char *request_path; /* of its file; on rank 0 */
    int64_t run;        /* number of this run */
    mp_leases *leases;  /* NULL in a dry run */
    work_journal *journal;
    work_history past;
    work_owner *own;       /* [ranks] of this run */
    int64_t past_size;     /* of what others had written when `past` was read */
    work_outcome *outcome; /* [n] of this rank, then of all */
    mp_queue *queue;       /* while items are shared out */
    sx_progress progress;
    int64_t item; /* under way */
    bool lost;    /* an output could not be written */
    bool taken;   /* another process took the item under way over */
    bool through; /* with all items, for good */
};

/* Put the items last that were under way when the program was killed. Not collective; the same
 * order on all ranks. */
void work__order(work *w);

/* Why item i has to be made, "": it has not, by what is there and by what earlier runs wrote down,
 * which is *payload then, new, else left alone. Not collective. Errors: why it cannot be made. */
sx_err work__decide(work *w, int64_t i, char print[65], char why[WORK_WHY], char **payload);

/* Set w->request: that of an earlier run of the same command when it still stands, else a new one,
 * which stands from now on. In a dry run nothing is written. Collective. Errors: SX_E_CREATE,
 * SX_E_IO. */
sx_err work__request_begin(work *w);
/* When w is through, the request stands no more. Not collective. */
void work__request_end(const work *w);

#endif
