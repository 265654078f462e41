/* Work queue: one counter at rank 0.
 *
 * Ranks that share memory with rank 0 advance it themselves, by an atomic addition. The others send
 * rank 0 a message; rank 0, which works on items too, answers whenever it comes to mp_queue_next or
 * mp_queue_serve. So that they need not wait for that, they ask for the next item when they get
 * one. One-sided calls would do the same in fewer lines, but the component of Open MPI 4.1 for them
 * is switched off in Debian, and without a progress thread rank 0 would have to come into MPI for
 * them, too. */
#include "mpi/mp_queue.h"

#include <stdatomic.h>
#include "base/sx_mem.h"
#include "mpi/mp_group.h"
#include "mpi/mp_queue_hook.h"

enum { ASK = 1, ANSWER = 2 }; /* tags */
enum { BYE = -1 };            /* in place of how far to move on: this rank asks no more */

struct mp_queue {
    mp_comm *c;
    int64_t n_items;
    MPI_Comm asking; /* messages of this queue; MPI_COMM_NULL alone */
    mp__group group;
    mp__shared shared;
    _Atomic int64_t *counter; /* NULL: rank 0 is asked */
    _Atomic int64_t own;      /* where nobody shares memory */
    int n_asking;             /* rank 0: ranks that have not said bye */
    bool asked;               /* ahead, for the next item: these are under way */
    int64_t question, answer;
    MPI_Request request[2];
};

/* ---- the counter ---- */

/* The ranks of rank 0's node see its counter. */
static void share(mp_queue *q, int node) {
    mp__group_init(&q->group, q->c, node);
    const bool shared = mp__shared_init(&q->shared, &q->group, q->c, (int64_t)sizeof *q->counter);
    const bool near = shared && q->group.index == 0;
    int64_t n_far = !near && q->c->rank > 0;
    if (near) q->counter = (_Atomic int64_t *)(void *)q->shared.base[0];
    if (!near && q->c->rank == 0) q->counter = &q->own;
    mp_sum_i64(q->c, &n_far, 1);
    q->n_asking = q->c->rank == 0 ? (int)n_far : 0;
    MP__CHECK(q->c, MPI_Comm_dup(q->c->comm, &q->asking));
    MP__CHECK(q->c, MPI_Comm_set_errhandler(q->asking, MPI_ERRORS_RETURN));
}

mp_queue *mp__queue_new(mp_comm *c, int64_t n_items, int node) {
    mp_queue *q = SX_NEW(mp_queue);
    q->c = c;
    q->n_items = n_items;
    q->asking = MPI_COMM_NULL;
    if (mp__alone(c))
        q->counter = &q->own;
    else
        share(q, node);
    return q;
}

mp_queue *mp_queue_new(mp_comm *c, int64_t n_items) {
    return mp__queue_new(c, n_items, 0);
}

/* ---- ranks that do not see it ---- */

static int64_t ask(mp_queue *q, int64_t n) {
    int64_t was = 0;
    MP__CHECK(q->c, MPI_Send(&n, 1, MPI_INT64_T, 0, ASK, q->asking));
    if (n != BYE)
        MP__CHECK(q->c, MPI_Recv(&was, 1, MPI_INT64_T, 0, ANSWER, q->asking, MPI_STATUS_IGNORE));
    return was;
}

static void ask_ahead(mp_queue *q) {
    q->question = 1;
    q->asked = true;
    MP__CHECK(q->c, MPI_Irecv(&q->answer, 1, MPI_INT64_T, 0, ANSWER, q->asking, &q->request[0]));
    MP__CHECK(q->c, MPI_Isend(&q->question, 1, MPI_INT64_T, 0, ASK, q->asking, &q->request[1]));
}

static int64_t answer_to_me(mp_queue *q) {
    MP__CHECK(q->c, MPI_Waitall(2, q->request, MPI_STATUSES_IGNORE));
    q->asked = false;
    return q->answer;
}

/* The item asked for when the last one came. */
static int64_t next_from_afar(mp_queue *q) {
    if (!q->asked) ask_ahead(q);
    const int64_t item = answer_to_me(q);
    if (item < q->n_items) ask_ahead(q);
    return item;
}

/* Rank 0 takes the next message, which may not have come yet. */
static void answer(mp_queue *q) {
    int64_t n = 0;
    MPI_Status from;
    MP__CHECK(q->c, MPI_Recv(&n, 1, MPI_INT64_T, MPI_ANY_SOURCE, ASK, q->asking, &from));
    if (n == BYE) {
        q->n_asking--;
        return;
    }
    const int64_t was = atomic_fetch_add(q->counter, n);
    MP__CHECK(q->c, MPI_Send(&was, 1, MPI_INT64_T, from.MPI_SOURCE, ANSWER, q->asking));
}

void mp_queue_serve(mp_queue *q) {
    int waiting = 1;
    while (waiting && q->n_asking > 0) {
        MP__CHECK(q->c, MPI_Iprobe(MPI_ANY_SOURCE, ASK, q->asking, &waiting, MPI_STATUS_IGNORE));
        if (waiting) answer(q);
    }
}

/* ---- items ---- */

int64_t mp_queue_next(mp_queue *q) {
    mp_queue_serve(q);
    const int64_t item = q->counter ? atomic_fetch_add(q->counter, 1) : next_from_afar(q);
    return item < q->n_items ? item : -1;
}

void mp_queue_drain(mp_queue *q) {
    if (q->counter)
        atomic_fetch_add(q->counter, q->n_items);
    else
        ask(q, q->n_items);
}

void mp_queue_free(mp_queue *q) {
    if (!q) return;
    if (!mp__alone(q->c)) {
        if (q->asked) answer_to_me(q);
        if (!q->counter) ask(q, BYE);
        while (q->n_asking > 0) answer(q);
        mp_barrier(q->c); /* nobody moves a counter that is gone */
        MP__CHECK(q->c, MPI_Comm_free(&q->asking));
        mp__shared_clear(&q->shared, q->c);
        mp__group_clear(&q->group, q->c);
    }
    sx_free(q);
}
