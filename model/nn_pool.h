/* A team of threads that share one image: the caller and n - 1 workers run the same function, each
 * with its number, and meet at barriers.
 *
 * Waiting spins briefly and then sleeps, so more threads than cores cost time but do not collapse.
 * One run at a time. Functions call neither MPI nor HDF5. Not collective. */
#ifndef NN_POOL_H
#define NN_POOL_H

#include <stdint.h>
#include "base/sx_err.h"

typedef struct nn_pool nn_pool; /* NULL stands for a team of one */

typedef struct nn_team {
    int id, n; /* 0 .. n-1; the caller is 0 */
    nn_pool *pool;
} nn_team;
typedef void nn_team_fn(const nn_team *t, void *arg);

/* Threads, 1 to NN_MAX_THREADS; for one, *p is NULL. Errors: SX_E_NOMEM (no more threads). */
enum { NN_MAX_THREADS = 64 };
sx_err nn_pool_new(nn_pool **p, int threads);
void nn_pool_free(nn_pool *p); /* takes NULL */
int nn_pool_threads(const nn_pool *p);
/* Processors this process may run on. */
int nn_processors(void);

/* Run fn on every thread; returns when all are done. */
void nn_pool_run(nn_pool *p, nn_team_fn *fn, void *arg);
/* Nobody goes on before all of the team have come here. */
void nn_team_barrier(const nn_team *t);

/* Run fn on shares of n items, first .. last-1 each. */
typedef void nn_range_fn(void *arg, int64_t first, int64_t last);
void nn_pool_ranges(nn_pool *p, int64_t n, nn_range_fn *fn, void *arg);

/* Range first .. last-1 of n items that belongs to thread `id`; shares differ by at most one. */
static inline int64_t nn_team_first(const nn_team *t, int64_t n, int id) {
    return n * id / t->n;
}

#endif
