/* Memory that the ranks of a node share: filled by all of them together, then read by all.
 *
 * Where a node has no shared memory to give, every rank has its own and fills all of it.
 * Life cycle: new -> each rank writes its part -> filled -> read -> free. */
#ifndef MP_SHARE_H
#define MP_SHARE_H

#include "mpi/mp_comm.h"

typedef struct mp_share mp_share;

/* n_bytes, the same on all ranks of a node; zeroed, aligned to 64 bytes. Collective over c. Errors:
 * SX_E_NOMEM. */
sx_err mp_share_new(mp_share **s, mp_comm *c, int64_t n_bytes);
void mp_share_free(mp_share *s); /* takes NULL. Collective over its ranks. */
void *mp_share_data(const mp_share *s);
/* This rank's part of the work of filling it, 0 .. parts-1. Not collective. */
int mp_share_part(const mp_share *s, int *parts);
/* After this everybody sees what all have written. Collective over its ranks. */
void mp_share_filled(mp_share *s);

#endif
