/* For tests of mpi/mp_queue.h only: nodes where there are none. */
#ifndef MP_QUEUE_HOOK_H
#define MP_QUEUE_HOOK_H

#include "mpi/mp_queue.h"

/* mp_queue_new; this rank shares memory with those that say the same number (>= 0). Collective over
 * c. */
mp_queue *mp__queue_new(mp_comm *c, int64_t n_items, int node);

#endif
