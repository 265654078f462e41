/* The network, timed: forward passes of the sampler's plan and whole training steps, by the same
 * code that `sr` and `train` run.
 *
 * A row is a task at a batch and a number of threads. All rows with one task and batch share what
 * they run on. */
#include <string.h>
#include "base/sx_mem.h"
#include "jobs/bench.h"

enum { MAX_ROWS = BENCH_MAX_LIST * (BENCH_MAX_LIST + 1) };

struct bench_run {
    const bench_config *c;
    bench_row row[MAX_ROWS];
    int n_rows;
    /* forward */
    net *sampler;
    float *params, *image;
    /* training */
    bench_data data;
    bench_training training[BENCH_MAX_LIST]; /* [c->batch.n] */
};

/* Give the engine its threads before a row runs; false: it cannot work with so many, and the row is
 * left out. THE ONE PLACE that has to know how the engine is told. */
static bool use_threads(nn_graph *g, int threads) {
    (void)g;
    return threads == 1;
}

/* ---- one measurement ---- */

static sx_err run_forward(bench_run *r) {
    net_forward(r->sampler, r->params, r->image, r->image, 500);
    return SX_OK;
}

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

static bench_training *training_of(bench_run *r, const bench_row *row) {
    for (int i = 0; i < r->c->batch.n; i++)
        if (r->training[i].n && r->training[i].c.batch == row->batch) return &r->training[i];
    return NULL;
}

static sx_err run_row(bench_run *r, bench_row *row, bool keep) {
    bench_training *t = row->task[0] == 't' ? training_of(r, row) : NULL;
    nn_graph *g = net_graph(t ? t->n : r->sampler);
    train_step_info info = {0};
    use_threads(g, row->threads);
    nn_graph_times(g, row->op, 0, true);
    bench_clock start = bench_now();
    sx_err rc = t ? bench_training_step(t, &info) : run_forward(r);
    bench_clock took = bench_since(start);
    if (rc != SX_OK || !keep) return rc;
    bench_add(&row->cpu_ms, 1e3 * took.cpu_s / row->batch);
    bench_add(&row->wall_ms, 1e3 * took.wall_s / row->batch);
    bench_add(&row->wait_ms, 1e3 * info.wait_s / row->batch);
    add_ops(row, g);
    return SX_OK;
}

sx_err bench_run_round(bench_run *r, bool keep) {
    sx_err rc = SX_OK;
    for (int i = 0; i < r->n_rows && rc == SX_OK; i++) rc = run_row(r, &r->row[i], keep);
    return rc;
}

/* ---- rows ---- */

static void add_rows(bench_run *r, const char *task, net *n, int batch, double flop) {
    const bench_list *threads = &r->c->threads;
    for (int i = 0; i < threads->n; i++)
        if (use_threads(net_graph(n), threads->item[i]))
            r->row[r->n_rows++] = (bench_row){
                .task = task, .batch = batch, .threads = threads->item[i], .flop = flop};
}

static sx_err add_forward(bench_run *r) {
    const bench_config *c = r->c;
    sx_err rc = net_new(&r->sampler, &c->net, c->h, c->w, c->kernels, false, false);
    if (rc != SX_OK) return rc;
    r->params = nn_params_block(net_params(r->sampler));
    bench_fill(net_params(r->sampler), r->params);
    r->image = SX_NEW_ARRAY(float, net_pixels(r->sampler));
    for (int64_t i = 0; i < net_pixels(r->sampler); i++) r->image[i] = (float)(i % 17) / 8 - 1;
    add_rows(r, "forward", r->sampler, 1, 2.0 * (double)net_plan(r->sampler)->macs);
    return SX_OK;
}

static sx_err add_training(bench_run *r) {
    const bench_list *batch = &r->c->batch;
    sx_err rc;
    SX_TRY(rc, bench_data_open(&r->data));
    for (int i = 0; i < batch->n; i++) {
        bench_training *t = &r->training[i];
        SX_TRY(rc, bench_training_begin(t, r->c, mp_self(), batch->item[i], &r->data));
        add_rows(r, "train", t->n, batch->item[i], 6.0 * (double)net_plan(t->n)->macs);
    }
out:
    return rc;
}

sx_err bench_run_new(bench_run **out, const bench_config *c) {
    bench_run *r = SX_NEW(bench_run);
    sx_err rc = SX_OK;
    r->c = c;
    if ((c->what & BENCH_FORWARD) != 0) SX_TRY(rc, add_forward(r));
    if ((c->what & BENCH_TRAIN) != 0) SX_TRY(rc, add_training(r));
    *out = r;
    r = NULL;
out:
    bench_run_free(r);
    return rc;
}

void bench_run_free(bench_run *r) {
    if (!r) return;
    for (int i = 0; i < BENCH_MAX_LIST; i++) bench_training_end(&r->training[i]);
    bench_data_clear(&r->data);
    net_free(r->sampler);
    sx_free(r->params);
    sx_free(r->image);
    sx_free(r);
}

int bench_run_rows(const bench_run *r) {
    return r->n_rows;
}

const bench_row *bench_run_row(const bench_run *r, int i) {
    return &r->row[i];
}

double bench_row_ms(const bench_row *row) {
    return bench_median(row->threads == 1 ? &row->cpu_ms : &row->wall_ms);
}
