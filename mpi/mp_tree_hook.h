/* For tests of mpi/mp_tree.h only: nodes where there are none, buckets where vectors are short. */
#ifndef MP_TREE_HOOK_H
#define MP_TREE_HOOK_H

#include "mpi/mp_tree.h"

typedef struct mp_tree_hook {
    int node;       /* this rank shares memory with those that say the same number (>= 0) */
    bool no_window; /* as if no node had shared memory */
    int64_t bucket; /* floats at most; 0: as usual */
} mp_tree_hook;

/* mp_tree_new; hook NULL: none. Collective over c. */
sx_err mp__tree_new(mp_tree **t, mp_comm *c, const mp_tree_opt *opt, const mp_tree_hook *hook);

#endif
