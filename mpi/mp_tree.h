/* Sums in a fixed order: the heart of rank-count-independent training.
 *
 * n_leaves vectors (one a virtual shard of the batch) are added along one fixed binary tree: the
 * tree over leaves [0, n) splits at the largest power of two below n. Who computes a leaf does not
 * change the tree, so the sum has the same bits on 1, 2, 3 or 64 ranks.
 *
 * Leaves are shared out in contiguous ranges: rank r of s computes mp_tree_first(t, r) up to
 * mp_tree_first(t, r + 1) - 1, in increasing order; subtrees that lie inside a rank are added as
 * soon as both sides are there (at most log2(n) + 1 vectors are held), the rest between ranks in
 * buckets, and the result goes to all ranks. Ranks beyond n_leaves hold none. */
#ifndef MP_TREE_H
#define MP_TREE_H

#include "mpi/mp_comm.h"

typedef struct mp_tree mp_tree;

/* Vectors of n floats. Collective over c. Errors: SX_E_NOMEM. */
sx_err mp_tree_new(mp_tree **t, mp_comm *c, int n_leaves, int64_t n);
void mp_tree_free(mp_tree *t); /* takes NULL */
/* First leaf of a rank; mp_tree_first(t, size) == n_leaves. */
int mp_tree_first(const mp_tree *t, int rank);
/* The vector in which to build the next leaf [n], zeroed; borrowed until mp_tree_push. */
float *mp_tree_leaf(mp_tree *t);
/* That leaf is complete. Not collective. */
void mp_tree_push(mp_tree *t);
/* Finish: sum [n] on all ranks, filled; the tree is empty again. Collective over c. */
void mp_tree_sum(mp_tree *t, float *sum);

#endif
