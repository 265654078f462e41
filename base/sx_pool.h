/* A team of threads that share one image: the caller and n - 1 workers run the same function, each
 * with its number, and meet at barriers.
 *
 * Waiting spins briefly, yields for a while and then sleeps, so more threads than cores cost time
 * but do not collapse. One run at a time. Functions call neither MPI nor HDF5. Not collective. */
#ifndef SX_POOL_H
#define SX_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"

typedef struct sx_pool sx_pool; /* NULL stands for a team of one */

typedef struct sx_team {
    int id, n; /* 0 .. n-1; the caller is 0 */
    sx_pool *pool;
} sx_team;
typedef void sx_team_fn(const sx_team *t, void *arg);

/* Threads, 1 to SX_MAX_THREADS; for one, *p is NULL. Errors: SX_E_NOMEM (no more threads). */
enum { SX_MAX_THREADS = 64 };
sx_err sx_pool_new(sx_pool **p, int threads);
void sx_pool_free(sx_pool *p); /* takes NULL */
int sx_pool_threads(const sx_pool *p);
/* Processors this process may run on. */
int sx_processors(void);
/* Calls fn with the calling thread bound to each of the first n of them, in turn; for n = 1, or
 * where they cannot be told, once and as it is. Returns the first error of fn, which ends it. */
sx_err sx_on_processors(int n, sx_err (*fn)(void *arg), void *arg);

/* Run fn on every thread; returns when all are done. */
void sx_pool_run(sx_pool *p, sx_team_fn *fn, void *arg);
/* Nobody goes on before all of the team have come here. */
void sx_team_barrier(const sx_team *t);

/* Run fn on shares of n items, first .. last-1 each. */
typedef void sx_range_fn(void *arg, int64_t first, int64_t last);
void sx_pool_ranges(sx_pool *p, int64_t n, sx_range_fn *fn, void *arg);

/* Pieces of work that each member of a team has, numbered from 0, and what is left of them: who is
 * through with its own, in order, takes those of others, from their ends. So a member on a slow
 * processor holds nobody up; what a piece computes must not depend on who does it. */
typedef struct sx_deal {
    struct {
        _Alignas(64) atomic_ullong left; /* first << 32 | last */
    } of[SX_MAX_THREADS];
} sx_deal;
/* Before the run: `member` has n pieces. */
void sx_deal_give(sx_deal *d, int member, int n);
/* The next piece for this member, and whose it is; false: none is left of anybody's. */
bool sx_deal_take(sx_deal *d, const sx_team *t, int *owner, int *piece);

/* Range first .. last-1 of n items that belongs to thread `id`; shares differ by at most one. */
static inline int64_t sx_team_first(const sx_team *t, int64_t n, int id) {
    return n * id / t->n;
}

#endif
