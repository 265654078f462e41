/* Work shared out while it runs: item numbers 0..n-1, each given to exactly one rank, in order, to
 * whoever asks next (a counter at rank 0). Items should be sorted largest first. */
#ifndef MP_QUEUE_H
#define MP_QUEUE_H

#include "mpi/mp_comm.h"

typedef struct mp_queue mp_queue;
/* Freed with mp_queue_free. Collective over c. */
mp_queue *mp_queue_new(mp_comm *c, int64_t n_items);
/* Next item, or -1 when none is left. Not collective. */
int64_t mp_queue_next(mp_queue *q);
/* Answer the ranks of other nodes that ask this one; cheap. Rank 0 calls it now and then during
 * long work on an item: those ranks wait for it. Not collective. */
void mp_queue_serve(mp_queue *q);
/* Give out no more items, but those that ranks of other nodes have asked for already: each may get
 * one more. Not collective. */
void mp_queue_drain(mp_queue *q);
/* Waits for all ranks, and answers them meanwhile: no other collective call may come between a
 * rank's last item and this. Collective over c; takes NULL. */
void mp_queue_free(mp_queue *q);

#endif
