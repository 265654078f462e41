/* Work queue: one counter in a window of rank 0, advanced by MPI_Fetch_and_op under a shared lock
 * that is held for the life of the queue.
 *
 * Inside a node Open MPI serves the counter from shared memory. Across nodes it may answer only
 * when rank 0 is inside MPI, so rank 0, which works on items too, should call mp_queue_serve rather
 * than compute for minutes without any MPI. */
#include "mpi/mp_queue.h"

#include "base/sx_mem.h"
#include "mpi/mp_internal.h"

struct mp_queue {
    mp_comm *c;
    int64_t n_items;
    int64_t *counter; /* at rank 0; a private one when alone */
    int64_t alone;
    MPI_Win window;
};

mp_queue *mp_queue_new(mp_comm *c, int64_t n_items) {
    mp_queue *q = SX_NEW(mp_queue);
    q->c = c;
    q->n_items = n_items;
    q->counter = &q->alone;
    if (!mp__alone(c)) {
        MPI_Aint bytes = c->rank == 0 ? (MPI_Aint)sizeof(int64_t) : 0;
        MP__CHECK(c, MPI_Win_allocate(bytes, (int)sizeof(int64_t), MPI_INFO_NULL, c->comm,
                                      &q->counter, &q->window));
        MP__CHECK(c, MPI_Win_set_errhandler(q->window, MPI_ERRORS_RETURN));
        MP__CHECK(c, MPI_Win_lock_all(MPI_MODE_NOCHECK, q->window));
        if (c->rank == 0) {
            *q->counter = 0;
            MP__CHECK(c, MPI_Win_sync(q->window));
        }
        mp_barrier(c); /* nobody asks before the counter is zero */
    }
    return q;
}

/* Move the counter on by `n`; where it was. */
static int64_t advance(mp_queue *q, int64_t n) {
    int64_t was = 0;
    if (mp__alone(q->c)) {
        was = *q->counter;
        *q->counter += n;
    } else {
        MP__CHECK(q->c, MPI_Fetch_and_op(&n, &was, MPI_INT64_T, 0, 0, MPI_SUM, q->window));
        MP__CHECK(q->c, MPI_Win_flush(0, q->window));
    }
    return was;
}

int64_t mp_queue_next(mp_queue *q) {
    int64_t item = advance(q, 1);
    return item < q->n_items ? item : -1;
}

void mp_queue_drain(mp_queue *q) {
    advance(q, q->n_items);
}

void mp_queue_serve(mp_queue *q) {
    int waiting = 0; /* any call makes progress; nobody sends messages here */
    if (!mp__alone(q->c))
        MP__CHECK(q->c,
                  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, q->c->comm, &waiting, MPI_STATUS_IGNORE));
}

void mp_queue_free(mp_queue *q) {
    if (!q) return;
    if (!mp__alone(q->c)) {
        MP__CHECK(q->c, MPI_Win_unlock_all(q->window));
        MP__CHECK(q->c, MPI_Win_free(&q->window)); /* a barrier: all are done asking */
    }
    sx_free(q);
}
