/* The network, timed: calls of the sampler and whole training steps, by the code that `sr` and
 * `train` run.
 *
 * A row is a task at a batch and a number of threads; each has a network of its own, because the
 * number of threads is part of the plan. Weights and image of the calls are shared. */
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_pool.h"
#include "jobs/bench/bench.h"

enum { MAX_ROWS = BENCH_MAX_LIST * (BENCH_MAX_LIST + 2) };

/* What a row runs on: a network, or a training with its own. */
typedef struct engine {
    net *n;
    const float *ready; /* prepared weights to use, or NULL; borrowed */
    bench_training training;
} engine;

struct bench_run {
    const bench_config *c;
    bench_row row[MAX_ROWS];
    engine engine[MAX_ROWS];
    int n_rows;
    float *params, *image, *ready; /* of all calls of the sampler */
    bench_data data;
};

/* ---- one measurement ---- */

static void add_ops(bench_row *row, nn_graph *g) {
    nn_op_time op[BENCH_MAX_OPS];
    row->n_ops = nn_graph_times(g, op, BENCH_MAX_OPS, true);
    for (int i = 0; i < row->n_ops; i++) {
        row->op[i].op = op[i].op;
        row->op[i].calls += op[i].calls;
        row->op[i].macs += op[i].macs;
        row->op[i].forward_s += op[i].forward_s;
        row->op[i].backward_s += op[i].backward_s;
    }
}

static sx_err run_engine(bench_run *r, engine *e, train_step_info *info) {
    if (e->training.n) return bench_training_step(&e->training, info);
    nn_graph_use_ready(net_graph(e->n), e->ready);
    net_forward(e->n, r->params, r->image, r->image, 500);
    return SX_OK;
}

static sx_err run_pass(bench_run *r, int i, bool keep) {
    bench_row *row = &r->row[i];
    train_step_info info = {0};
    bench_clock start = bench_now();
    sx_err rc = run_engine(r, &r->engine[i], &info);
    bench_clock took = bench_since(start);
    if (rc != SX_OK || !keep) return rc;
    bench_add(&row->cpu_ms, 1e3 * took.cpu_s / row->batch);
    bench_add(&row->wall_ms, 1e3 * took.wall_s / row->batch);
    bench_add(&row->wait_ms, 1e3 * info.data_wait_s / row->batch);
    return SX_OK;
}

typedef struct turn {
    bench_run *r;
    int row;
    bool keep;
} turn;

/* A row's turn on a processor. Networks run many images in a row, so one image alone is measured in
 * the caches that another one left, not in those of the row before. */
static sx_err run_turn(void *arg) {
    const turn *t = arg;
    bench_run *r = t->r;
    const engine *e = &r->engine[t->row];
    nn_graph *g = net_graph(e->training.n ? e->training.n : e->n);
    const bool alone = r->row[t->row].batch == 1;
    sx_err rc = alone ? run_pass(r, t->row, false) : SX_OK;
    nn_graph_times(g, r->row[t->row].op, 0, true);
    for (int p = 0; p < (alone && t->keep ? BENCH_PASSES : 1) && rc == SX_OK; p++)
        rc = run_pass(r, t->row, t->keep);
    if (rc == SX_OK && t->keep) add_ops(&r->row[t->row], g);
    return rc;
}

static sx_err run_row(bench_run *r, int i, bool keep) {
    turn t = {r, i, keep};
    return sx_on_processors(r->row[i].threads == 1 ? bench_processors(r->c) : 1, run_turn, &t);
}

sx_err bench_run_round(bench_run *r, bool keep) {
    sx_err rc = SX_OK;
    for (int i = 0; i < r->n_rows && rc == SX_OK; i++) {
        rc = bench_go_on(r->c);
        if (rc == SX_OK) rc = run_row(r, i, keep);
    }
    return rc;
}

/* ---- rows ---- */

static engine *add_row(bench_run *r, const char *task, int batch, int threads) {
    r->row[r->n_rows] = (bench_row){.task = task, .batch = batch, .threads = threads};
    return &r->engine[r->n_rows++];
}

/* A call of the sampler; `ready`: with prepared weights, made for the first row that wants them. */
static sx_err add_forward(bench_run *r, const char *task, int threads, bool ready) {
    const bench_config *c = r->c;
    engine *e = add_row(r, task, 1, threads);
    sx_err rc = net_new(&e->n, &c->net, c->h, c->w, c->kernels, (net_opt){.threads = threads});
    if (rc != SX_OK) return rc;
    r->row[r->n_rows - 1].flop = 2.0 * (double)net_plan(e->n)->macs;
    if (!r->params) {
        r->params = nn_params_block(net_params(e->n));
        bench_fill(net_params(e->n), r->params);
        r->image = SX_NEW_ARRAY(float, net_pixels(e->n));
        for (int64_t i = 0; i < net_pixels(e->n); i++) r->image[i] = (float)(i % 17) / 8 - 1;
    }
    if (ready && !r->ready) {
        r->ready = SX_NEW_ARRAY(float, nn_graph_ready_count(net_graph(e->n)));
        nn_graph_prepare(net_graph(e->n), r->params, 0, 1, r->ready);
    }
    e->ready = ready ? r->ready : NULL;
    return SX_OK;
}

static sx_err add_training(bench_run *r, int batch, int threads) {
    engine *e = add_row(r, "train", batch, threads);
    sx_err rc = bench_training_begin(&e->training, r->c, mp_self(), batch, threads, &r->data);
    if (rc == SX_OK) r->row[r->n_rows - 1].flop = 6.0 * (double)net_plan(e->training.n)->macs;
    return rc;
}

static sx_err add_rows(bench_run *r) {
    const bench_config *c = r->c;
    sx_err rc = SX_OK;
    for (int i = 0; i < c->threads.n && (c->what & BENCH_FORWARD) != 0; i++) {
        SX_TRY(rc, add_forward(r, "forward", c->threads.item[i], false));
        if (nn_graph_ready_count(net_graph(r->engine[r->n_rows - 1].n)) > 0)
            SX_TRY(rc, add_forward(r, "prepared", c->threads.item[i], true));
    }
    if ((c->what & BENCH_TRAIN) == 0) return SX_OK;
    SX_TRY(rc, bench_data_open(&r->data));
    for (int b = 0; b < c->batch.n; b++)
        for (int i = 0; i < c->threads.n; i++)
            SX_TRY(rc, add_training(r, c->batch.item[b], c->threads.item[i]));
out:
    return rc;
}

sx_err bench_run_new(bench_run **out, const bench_config *c) {
    bench_run *r = SX_NEW(bench_run);
    r->c = c;
    sx_err rc = add_rows(r);
    if (rc != SX_OK) {
        bench_run_free(r);
        r = NULL;
    }
    *out = r;
    return rc;
}

void bench_run_free(bench_run *r) {
    if (!r) return;
    for (int i = 0; i < r->n_rows; i++) {
        bench_training_end(&r->engine[i].training);
        net_free(r->engine[i].n);
    }
    bench_data_clear(&r->data);
    sx_free(r->params);
    sx_free(r->image);
    sx_free(r->ready);
    sx_free(r);
}

int bench_run_rows(const bench_run *r) {
    return r->n_rows;
}

const bench_row *bench_run_row(const bench_run *r, int i) {
    return &r->row[i];
}

static const bench_series *what_counts(const bench_row *row) {
    return row->threads == 1 ? &row->cpu_ms : &row->wall_ms;
}

double bench_row_ms(const bench_row *row) {
    return bench_median(what_counts(row));
}

double bench_row_least_ms(const bench_row *row) {
    return bench_least(what_counts(row));
}
