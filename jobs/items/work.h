/* The items of a cohort as work: shared out over ranks, tasks of an array and jobs, each done once,
 * and what became of each kept, so that any later run, and `sagax status`, knows.
 *
 *   FOLDER/run.json         the command of the last run and how many items it has
 *   FOLDER/items.tsv        their names
 *   FOLDER/journal/         one file a process: a line when an item begins and one when it ends
 *   FOLDER/crew, claims     who is alive and who has what (mpi/mp_lease.h)
 *
 * FOLDER is OUT/.sagax, or FILE.sagax beside an output that is one file. A verb says what its items
 * are by a work_kind. For each item the rank that got it takes its lease, asks why it has to be
 * made (nothing to do: `unchanged`), makes it, writes down what became of it and gives the lease
 * back. An item that another process holds is come back to at the end: by then it is done, or its
 * holder is dead and it is this process's turn.
 *
 * An item that failed for what it is (bad data, too little memory) is not tried again by itself
 * while input, weights, configuration and program are the same; nor is one that made the program
 * crash or stall twice. run.retry decides otherwise, once for an item however often the same
 * command is started again before it is through. Items in which earlier runs were killed (the
 * memory limit) come last; from the second kill on one at a time, by all ranks or by one while the
 * others wait. The journal never decides that something is done: outputs do, by their hashes.
 * Volumes that fail elsewhere (a disk that is full, an input that is not there) are tried in every
 * run. */
#ifndef WORK_H
#define WORK_H

#include "jobs/job/job.h"
#include "mpi/mp_lease.h"

enum { WORK_WHY = 128, WORK_REASON = 480 };

typedef enum work_state {
    WORK_WAITING,
    WORK_BEGUN,
    WORK_MADE,
    WORK_UNCHANGED,
    WORK_FAILED,
    WORK_STOPPED,
    WORK_CRASHED, /* in the journal only: the program died, or was ended by the watchdog, in it */
    WORK_N_STATES
} work_state;
const char *work_state_name(work_state s);
work_state work_state_parse(const char *name); /* WORK_N_STATES for any other word */

/* What became of an item; travels between ranks as bytes. */
typedef struct work_outcome {
    int64_t item;
    work_state state;
    sx_err code;
    int rank;  /* who made it */
    bool lost; /* an output could not be written */
    double seconds;
    char reason[WORK_REASON]; /* why it was made or failed; "" if unchanged */
} work_outcome;

typedef struct work work;

typedef struct work_kind {
    const char *verb;  /* "sr" */
    const char *table; /* path of the table of outcomes (work_table.c), or NULL for none */
    char config[65];   /* hash of what in configuration and weights decides about all results */
    bool together; /* `make` shares an item among ranks, when there are fewer items than those */
    bool forgives; /* what failed is tried in every run: it is cheap, or why may lie elsewhere */
    /* Name of item i in tables and logs: its path below the input; borrowed. */
    const char *(*name)(void *user, int64_t i);
    /* Why item i has to be made, "" when what is there is what would be made; and the hash of all
     * that decides about its result (input, weights, configuration). Errors: why it cannot be. */
    sx_err (*inspect)(void *user, int64_t i, char print[65], char why[WORK_WHY]);
    /* Make it, by all ranks of `share`; work_step now and then. `print` is what `inspect` gave
     * before anything was read to make it, and what outputs must say they were made from: inputs
     * may be replaced meanwhile. *payload: a text for the journal, new (sx_free), or left NULL.
     * *lost is set when an output could not be written: then the next one cannot either. The same
     * error on all ranks. */
    sx_err (*make)(void *user, mp_comm *share, int64_t i, const char print[65], char **payload,
                   bool *lost);
    /* May be NULL. An item whose fingerprint equals that of an earlier run is not made again: here
     * is what that run wrote down about it. Errors: it is of no use, and the item is made. */
    sx_err (*keep)(void *user, int64_t i, const char *payload);
} work_kind;

extern const job_option options_run[]; /* run.part, run.retry */
extern const job_option
    options_run_crew[]; /* run.lease_s, run.stall_s: also of verbs without items */

/* The share of run.part: items first, first + step, …; all without one. Errors: SX_E_USAGE. */
sx_err work_part(const job *j, int64_t *first, int64_t *step);

/* The name of an item as it stands in JSON and tables, and is the key of its lease; new (sx_free).
 */
char *work_name(const char *name);

/* "OUT/.sagax" for a folder, "FILE.sagax" for a file; new (sx_free). */
char *work_folder(const char *out, bool is_folder);

/* The n items of `kind`; those of run.part are this run's. A dry run writes nothing.
 * Collective over the job's ranks. Errors: SX_E_USAGE (run.part), SX_E_CREATE, SX_E_IO. */
sx_err work_open(work **w, const job *j, const char *folder, const work_kind *kind, void *user,
                 int64_t n);
void work_close(work *w); /* takes NULL. Not collective */

/* Do them. What happens to single items is no error of the call; that the output cannot be written,
 * is. Afterwards all ranks know all outcomes. Collective. Errors: SX_E_CREATE, SX_E_IO (an output
 * that could not be written), SX_E_AGAIN (asked to stop), SX_E_ITEMS (some failed). */
sx_err work_run(work *w);
/* What follows after work_run has not come to an end: another run of the same command goes on with
 * what run.retry asks of this one. Takes NULL. Not collective. */
void work_goes_on(work *w);
/* Print for each item whether and why it would be made. Not collective. Errors: SX_E_ITEMS. */
sx_err work_plan(work *w);

/* [n]; borrowed. */
const work_outcome *work_outcomes(const work *w);
/* For leases beside those of items, whose keys are their names; borrowed. */
mp_leases *work_leases(const work *w);

/* ---- inside of `make` ---- */

/* `done` of `total` parts of the item under way: progress, watchdog, and MPI's chance to answer
 * other ranks. */
void work_step(work *w, int64_t done, int64_t total, const char *unit);
/* Whether the item under way is still this process's, asked before a file gets its final name.
 * Errors: SX_E_AGAIN (another process took it over; it is come back to), SX_E_IO (nobody can tell,
 * for what says so cannot be read). */
sx_err work_holds(work *w);
/* Whether an error of work_holds or in writing outputs is the disk's fault, not the item's: for
 * *lost. */
bool work_is_loss(sx_err rc);

#endif
