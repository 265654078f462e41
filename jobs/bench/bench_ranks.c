/* Many ranks against one: the same batch by all ranks together, and by rank 0 alone while the
 * others wait at a barrier. Alternating, so that both see the same machine. */
#include "base/sx_log.h"
#include "jobs/bench/bench.h"

/* Wall time of the whole: from a barrier to a barrier. */
static sx_err time_step(mp_comm *world, bench_training *t, train_step_info *info, double *took_s) {
    sx_err rc = SX_OK;
    mp_barrier(world);
    double start_s = sx_now_s();
    if (t) rc = bench_training_step(t, info);
    mp_barrier(world);
    *took_s = sx_now_s() - start_s;
    return mp_agree(world, rc);
}

static sx_err measure_round(const bench_config *c, bench_training *all, bench_training *one,
                            bool keep, bench_scale *row) {
    train_step_info info = {0}, alone = {0};
    double all_s, one_s;
    sx_err rc;
    SX_TRY(rc, time_step(c->comm, all, &info, &all_s));
    SX_TRY(rc, time_step(c->comm, one, &alone, &one_s));
    if (!keep) goto out;
    double share[3] = {info.exchange_s / info.step_s, info.rank_wait_s / info.step_s,
                       info.data_wait_s / info.step_s};
    mp_max_f64(c->comm, share, 3);
    bench_add(&row->all_s, all_s);
    bench_add(&row->one_s, one_s);
    bench_add(&row->exchange_share, share[0]);
    bench_add(&row->rank_wait_share, share[1]);
    bench_add(&row->data_wait_share, share[2]);
out:
    return rc;
}

static sx_err measure_batch(const bench_config *c, const bench_data *d, bench_scale *row) {
    bench_training all = {.n = NULL}, one = {.n = NULL};
    const bool first = mp_rank(c->comm) == 0;
    sx_err rc;
    SX_TRY(rc, bench_training_begin(&all, c, c->comm, row->batch, c->rank_threads, d));
    rc = first ? bench_training_begin(&one, c, mp_self(), row->batch, c->rank_threads, d) : SX_OK;
    SX_TRY(rc, mp_agree(c->comm, rc));
    for (int i = -1; i < c->rounds; i++) { /* the first one warms up */
        SX_TRY(rc, bench_go_on(c));
        SX_TRY(rc, measure_round(c, &all, first ? &one : NULL, i >= 0, row));
    }
out:
    bench_training_end(&all);
    bench_training_end(&one);
    return rc;
}

sx_err bench_ranks_measure(const bench_config *c, bench_scale *rows) {
    bench_data data;
    sx_err rc;
    SX_TRY(rc, mp_agree(c->comm, bench_data_open(&data)));
    for (int i = 0; i < c->batch.n; i++) {
        rows[i] = (bench_scale){.ranks = mp_size(c->comm), .batch = c->batch.item[i]};
        SX_TRY(rc, measure_batch(c, &data, &rows[i]));
    }
out:
    bench_data_clear(&data);
    return rc;
}
