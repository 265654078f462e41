/* Shared inside mpi/ only: the heartbeat of this process, a thread that writes its entry of the
 * crew again and again, and watches that somebody of this start moves.
 *
 * The thread makes no call of MPI and takes no signals. When its entry cannot be written it says so
 * once and keeps trying. */
#ifndef MP_BEAT_H
#define MP_BEAT_H

#include "mpi/mp_crew.h"

typedef struct mp__beat mp__beat;

/* Write the first entry, so that whoever meets this owner's name finds it, and begin to beat.
 * `crew` is the folder, `owner` the owners of all ranks of this start [me->size][MP__OWNER]; all
 * copied. Errors: SX_E_CREATE, SX_E_IO, SX_E_NOMEM (no thread). Not collective. */
sx_err mp__beat_start(mp__beat **b, const char *crew, const mp__entry *me,
                      const char (*owner)[MP__OWNER], const mp_lease_opt *opt);
/* End the thread and remove the entry; takes NULL. */
void mp__beat_stop(mp__beat *b);
void mp__beat_move(mp__beat *b, const char *doing, bool waits);
/* Seconds since the start in which this process was not stopped: time in which others were stopped
 * with it (a suspended job or machine) is no silence of theirs. */
double mp__beat_awake_s(mp__beat *b);

#endif
