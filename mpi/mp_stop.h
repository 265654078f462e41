/* Stop requests: SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP on any rank, or a wall-clock limit, set
 * a flag; all ranks learn of it together at the next mp_stop_agreed. The handler only sets the
 * flag. Install before MPI_Init and again after it (MPI may replace handlers): mp_start does both.
 */
#ifndef MP_STOP_H
#define MP_STOP_H

#include "mpi/mp_comm.h"

void mp_stop_install(void);
/* Also stop when this many seconds have passed from now (<= 0: no limit). */
void mp_stop_after(double seconds);
/* This rank's flag. Not collective. */
bool mp_stop_wanted(void);
/* True on all ranks as soon as one wants to stop. Collective over c. */
bool mp_stop_agreed(mp_comm *c);

#endif
