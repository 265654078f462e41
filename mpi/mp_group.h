/* Shared inside mpi/ only: which ranks share memory, and blocks of memory that they share.
 *
 * Ranks are put in an order in which those of a node follow each other: nodes by their lowest rank,
 * inside a node by rank. The number of a rank in that order is its place. However ranks were laid
 * out over nodes (block, cyclic, by hand), a node has a contiguous range of places. */
#ifndef MP_GROUP_H
#define MP_GROUP_H

#include <stdbool.h>
#include "mpi/mp_internal.h"

typedef struct mp__group {
    MPI_Comm node;      /* the ranks of my node */
    MPI_Comm leaders;   /* the first rank of every node, by node; MPI_COMM_NULL on the others */
    int rank, size;     /* in `node` */
    int index, n_nodes; /* number of my node */
    int *first_place; /* [n_nodes + 1] node i has places first_place[i] .. first_place[i + 1] - 1 */
} mp__group;

/* Ranks share memory if the machine lets them and they name the same colour (>= 0). c is not alone.
 * Collective over c. */
void mp__group_init(mp__group *g, mp_comm *c, int colour);
void mp__group_clear(mp__group *g, mp_comm *c); /* takes a zeroed group. Collective over c. */

/* One block a rank of the node, which all of the node may read and write: base[r] is where this
 * process sees that of rank r, aligned to 64 bytes. Whoever reads what another rank wrote needs an
 * atomic flag between them: written after the data with release and mp__shared_fence before it,
 * read with acquire and mp__shared_fence after it. A node of one rank has ordinary memory. */
typedef struct mp__shared {
    MPI_Win window; /* MPI_WIN_NULL: ordinary memory */
    char **base;    /* [size] */
    void *own;      /* ordinary memory */
} mp__shared;

/* n_bytes of this rank, zeroed. False on all ranks of c, and nothing is kept, when a node has not
 * enough shared memory (or, in ordinary memory, a rank none). Collective over c. */
bool mp__shared_init(mp__shared *s, const mp__group *g, mp_comm *c, int64_t n_bytes);
void mp__shared_clear(mp__shared *s, const mp_comm *c); /* Collective over the node. */

/* Orders this process's loads and stores of the window. */
static inline void mp__shared_fence(const mp__shared *s, const mp_comm *c) {
    if (s->window != MPI_WIN_NULL) MP__CHECK(c, MPI_Win_sync(s->window));
}

#endif
