/* Stop requests: SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP on any rank, or the end of the Slurm job
 * coming near set a flag; all ranks learn of it together at the next mp_stop_agreed. The handler
 * only sets the flag. Install before MPI_Init and again after it (MPI may replace handlers):
 * mp_start does both. */
#ifndef MP_STOP_H
#define MP_STOP_H

#include "mpi/mp_comm.h"

void mp_stop_install(void);
/* Also stop margin_s before the time limit of the Slurm job around this process: a margin of at
 * most a quarter of what is left now, so that a short job gets on at all. Rank 0 asks, once;
 * outside Slurm, and where the end cannot be learned, nothing happens. Collective over c. */
void mp_stop_at_job_end(mp_comm *c, double margin_s);
/* This rank has seen that from one look at the flag to a safe end takes so long: a smaller margin
 * grows to that. Not collective. */
void mp_stop_needs(double seconds);
/* After an agreed stop: log that the job's end was why, if it was and this rank has not yet noticed
 * itself. Not collective. */
void mp_stop_tell(void);
/* This rank's flag. Not collective. */
bool mp_stop_wanted(void);
/* True on all ranks as soon as one wants to stop. Collective over c. */
bool mp_stop_agreed(mp_comm *c);

#endif
