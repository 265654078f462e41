/* Shared inside mpi/ only: the watchdog's judgement, made anew at each beat from the entries of the
 * ranks of one start.
 *
 * A job stands still when none of its ranks has moved for stall_s; one that waits in a collective
 * for a slow rank does not. A rank that does not beat (stopped, its node dead) has not moved since
 * its last beat at least; that a rank leaves is a move. Entries are looked at only by a rank that
 * has not moved for a few beats, so a job that runs well reads little; and only the lowest rank
 * that beats looks at all, the others look at it. The silence of a rank counts from the first look
 * on, so a job is ended a few beats later than stall_s after all stand still, twice as many when
 * rank 0 is silent. */
#ifndef MP_WATCH_H
#define MP_WATCH_H

#include "mpi/mp_crew.h"

typedef struct mp__watch mp__watch;

/* `crew` is the folder, `owner` [n][MP__OWNER] by rank; copied. Beats come every period_s. */
mp__watch *mp__watch_new(const char *crew, const char (*owner)[MP__OWNER], int n, double stall_s,
                         double period_s);
void mp__watch_free(mp__watch *w); /* takes NULL */

/* Look, at time now_s of this process's clock; `me` is its entry. True when the job is to be ended:
 * *culprit is why. *speaks: it is this rank that found it and says it. */
bool mp__watch_look(mp__watch *w, const mp__entry *me, double now_s, mp__entry *culprit,
                    bool *speaks);
/* What was seen before tells nothing: this process could not write its own beat. */
void mp__watch_forget(mp__watch *w);

#endif
