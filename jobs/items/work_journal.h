/* The journal of a work folder: reading all of it, and writing one's own. Shared by work*.c and
 * status_items.c only.
 *
 * A line is one JSON object: run (number of the run), config (of the run), request (which it
 * served; absent without run.retry), item, print (its fingerprint), state, owner and rank (who),
 * time (s since 1970, to be shown only); when the item ended also code, reason, seconds and perhaps
 * payload. A line that a killed process left unfinished is passed over.
 *
 * What counts about an item is its last run; in it, having been made counts more than having
 * failed, because two tasks may have met the same item. */
#ifndef WORK_JOURNAL_H
#define WORK_JOURNAL_H

#include "jobs/items/work.h"
#include "mpi/mp_lease.h"

enum { WORK_REQUEST = 128 };

typedef struct work_record {
    char *line; /* the text of it, owned; `item`, `reason`, `payload` are owned too */
    char *item, *reason, *payload; /* payload NULL: none */
    char print[65], config[65], code[16], owner[160], request[WORK_REQUEST]; /* "": none */
    work_state state;
    int64_t run, order; /* of lines: files by name, lines as they stand */
    int rank;
    double seconds, time_s;
} work_record;

typedef struct work_history {
    work_record *record; /* [n] by item, then run, then what counts more; the last counts */
    int64_t n;
} work_history;

typedef struct work_owner {
    char name[128];
} work_owner;

/* All lines of FOLDER/journal; none when it is not there. Errors: SX_E_IO, SX_E_NOMEM, SX_E_DATA (a
 * file of more than 256 MiB), SX_E_NOINPUT (files go away whenever they are read). */
sx_err work_history_read(const char *folder, work_history *h);
/* Bytes of all lines but those of these owners: another number when others have written. */
int64_t work_history_size(const char *folder, const work_owner *but, int64_t n_but);
/* Of lines of text. */
void work_history_parse(const char *text, work_history *h);
void work_history_clear(work_history *h);
/* The records of an item: the first, *n of them; NULL when there is none. */
const work_record *work_history_find(const work_history *h, const char *item, int64_t *n);
/* The last record of these that says how the item ended, or NULL. */
const work_record *work_record_end(const work_record *r, int64_t n);
/* In how many runs the item crashed with this fingerprint since it was last made. */
int work_record_crashes(const work_record *r, int64_t n, const char *print);
/* In how many runs the item was begun and nothing says how that ended, since it was last made: what
 * SIGKILL leaves (the memory limit), or a node that is lost; or somebody is at it just now. */
int work_record_kills(const work_record *r, int64_t n);
/* Lines of what a later run needs to know: how each item ended last and last for each request, its
 * crashes, and that it was begun in runs that did not end it, but by those of `crew` [n] that are
 * known to live; new. */
char *work_history_text(const work_history *h, const mp_member *crew, int n);

/* Put the journals of processes that have ended into one file when there are many of them. For the
 * holder of the lease "journal" alone. Errors: SX_E_CREATE, SX_E_IO. */
sx_err work_journal_fold(const char *folder, const char *owner);

/* ---- this process's own ---- */
typedef struct work_journal work_journal;
/* FOLDER/journal/OWNER.jsonl; the file appears with the first line. One a process at a time: it
 * holds the handlers of signals that end a program. `request`: NULL for none. */
work_journal *work_journal_new(const char *folder, const char *owner, const char *config,
                               const char *request, int64_t run, int rank);
void work_journal_free(work_journal *k); /* takes NULL */
/* An item begins. Should the process crash before work_journal_end, a line says so. */
void work_journal_begin(work_journal *k, const char *item, const char *print);
/* The same for a process that helps with an item which another one has begun, until it leaves. */
void work_journal_join(work_journal *k, const char *item, const char *print);
void work_journal_leave(void);
void work_journal_end(work_journal *k, const char *item, const char *print, const work_outcome *o,
                      const char *payload);
/* Write now that the item under way made the program stall; from any thread. */
void work_journal_stall(void);

#endif
