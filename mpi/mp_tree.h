/* Sums in a fixed order: the heart of rank-count-independent training.
 *
 * n_leaves vectors (one a virtual shard of the batch) are added along one fixed binary tree: the
 * tree over leaves [0, n) splits at the largest power of two below n. Who computes a leaf does not
 * change the tree, so the sum has the same bits on 1, 2, 3 or 64 ranks, on one node or on many.
 * (MP_WIRE_BF16 gives that up, see there.)
 *
 * Leaves are shared out in contiguous ranges, in the order of the nodes: a rank builds its leaves
 * in increasing order; subtrees that lie inside a rank are added as soon as both sides are there
 * (at most log2(n) + 1 vectors are held, in memory or, but for one, in a file). With more ranks
 * than leaves some have none.
 *
 * The rest is added bucket by bucket, from the end of the vector to its start. Ranks of a node have
 * their vectors in a shared window and add each other's directly, each a segment of a bucket; one
 * leader a node then exchanges the bucket with the other nodes in messages, several buckets at a
 * time. Where a node has no shared memory to give (a container's small /dev/shm), every rank counts
 * as a node.
 *
 * Nothing of this waits for the end of a step: while a rank computes its last leaf it may say, with
 * mp_tree_ready, from where on that leaf is final, and take its turn in what can be added by then.
 * Life of a step, on every rank:
 *
 *     for each leaf:  x = mp_tree_leaf(t); build x (in the last one: mp_tree_ready now and then);
 *                     mp_tree_push(t);
 *     sum = mp_tree_sum(t);  use it
 */
#ifndef MP_TREE_H
#define MP_TREE_H

#include <stdbool.h>
#include "base/sx_pool.h"
#include "mpi/mp_comm.h"

typedef struct mp_tree mp_tree;

/* How floats travel between nodes. */
typedef enum mp_wire {
    MP_WIRE_FP32,
    /* As bfloat16: half the bytes. What a node sends and what it gets back are each rounded (by at
     * most 2^-8 relative). All ranks still get the same bits, and a step repeated with the leaves
     * cut into nodes in the same way gives them again, with any number of ranks a node. With
     * another cut, so on another number of nodes, it gives others. On one node nothing is rounded.
     */
    MP_WIRE_BF16
} mp_wire;

typedef struct mp_tree_opt {
    int n_leaves;
    int64_t n; /* floats of a vector */
    mp_wire wire;
    int64_t n_exact; /* so many (a few) at the end of the vector are never rounded */
    sx_pool *pool;   /* threads that share this rank's own additions; borrowed, or NULL */
    /* Subtrees wait in a file of TMPDIR while a leaf is built: in memory a rank has one vector, and
     * one more for each part beyond the first that others will add. The same bits. */
    bool spill;
} mp_tree_opt;

/* Collective over c. Errors: SX_E_NOMEM, those of sx_file_scratch. */
sx_err mp_tree_new(mp_tree **t, mp_comm *c, const mp_tree_opt *opt);
void mp_tree_free(mp_tree *t); /* takes NULL. Collective over its ranks. */
/* The leaves of this rank: first .. last - 1. */
void mp_tree_leaves(const mp_tree *t, int *first, int *last);
/* The vector in which to build the next leaf [n], aligned to 64 bytes; borrowed until mp_tree_push.
 * It holds what was in it last, at first zeros: what nobody ever writes stays zero. Not collective.
 */
float *mp_tree_leaf(mp_tree *t);
/* Of this rank's last leaf, which is being built, the floats first_final .. n - 1 are final, and
 * the tree's from now on. Adds and sends what it can without waiting for anybody; cheap, meant to
 * be called between two ops of a backward pass, again with the same first_final too. By the main
 * thread only. Not collective: each rank calls it as often as it likes, or never. */
void mp_tree_ready(mp_tree *t, int64_t first_final);
/* That leaf is complete. Not collective. */
void mp_tree_push(mp_tree *t);
/* Finish: the sum [n], the same on all ranks; borrowed until this rank's next call of mp_tree_leaf
 * or mp_tree_sum. The tree is empty again. Collective over c. */
const float *mp_tree_sum(mp_tree *t);

/* SX_E_IO: what waited in a file was lost, now or in an earlier sum. What it belongs to became NaN,
 * for all ranks. Not collective. */
sx_err mp_tree_sound(const mp_tree *t);

/* What the last sum cost this rank, seconds. Not collective. */
typedef struct mp_tree_cost {
    double moved_s;  /* adding what others have, copying, sending, all along */
    double waited_s; /* in mp_tree_sum with nothing to do: another rank was not as far, or what is
                        between nodes had not arrived */
} mp_tree_cost;
mp_tree_cost mp_tree_last_cost(const mp_tree *t);

#endif
