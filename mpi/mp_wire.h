/* Shared inside mpi/ only: sums between nodes, one leader a node.
 *
 * The vector is summed bucket by bucket, several of which are on their way at a time. Of a bucket,
 * each leader is in charge of one share: it receives everybody's parts of its share, adds them in
 * the order of the tree and sends the result to all others. So a leader moves about two vectors,
 * however many nodes there are (the pattern of Rabenseifner's allreduce), and the next buckets
 * travel while one is added. An element is always added by the same tree: bits do not depend on
 * shares or buckets.
 *
 * With MP_WIRE_BF16 each part and the result are rounded to bfloat16, also where they do not
 * travel, so the sum depends on how the leaves are cut into nodes, and on nothing else. */
#ifndef MP_WIRE_H
#define MP_WIRE_H

#include <stdbool.h>
#include "mpi/mp_group.h"
#include "mpi/mp_plan.h"
#include "mpi/mp_tree.h"

typedef struct mp__wire mp__wire;

/* Floats of a bucket, at most `most`, such that receive buffers stay small (about 16 MiB). */
int64_t mp__wire_bucket(const mp__plan *nodes, int64_t most);

/* Everything borrowed, for the life of the wire. `nodes` is the plan over all nodes, mine its parts
 * of my node, each a vector of which mp__wire_post names pieces; they are used up. `sum` is filled
 * in the same places; it may be mine[0]. Not collective. NULL: no memory. */
mp__wire *mp__wire_new(mp_comm *c, const mp__group *g, const mp__plan *nodes, mp_wire kind,
                       int64_t bucket, float *const *mine, float *sum);
void mp__wire_free(mp__wire *w); /* takes NULL */

/* Whether another bucket may be posted now. */
bool mp__wire_free_slot(const mp__wire *w);
/* Begin with elements at .. at + n - 1 (n <= bucket), which are final in my parts; `exact` ones
 * travel as they are. All leaders post the same buckets in the same order. */
void mp__wire_post(mp__wire *w, int64_t at, int64_t n, bool exact);
/* Move things on without waiting. Returns how many buckets have become final since the last call,
 * in the order in which they were posted. */
int mp__wire_advance(mp__wire *w);
/* Grows with everything that mp__wire_post and mp__wire_advance have done. */
int64_t mp__wire_progress(const mp__wire *w);

#endif
