/* Peak memory. The peak of a process never falls, so each row is a child of its own that does the
 * work and writes what it saw into a pipe. A child makes no MPI call and ends without clean-up. It
 * inherits the anonymous pages of this process, not those of files (the program, its libraries):
 * what a child that does nothing lacks beside this process is added to all, so that a row is what a
 * process of `sagax sr` or `sagax train` would show. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/bench/bench.h"
#include "mpi/mp_stop.h"

/* What a child says. */
typedef struct outcome {
    sx_err rc;
    char text[256];
    bench_memory row;
} outcome;

static void note_plan(bench_memory *row, const net *n, int n_blocks) {
    row->activation_bytes = net_plan(n)->activation_bytes;
    row->scratch_bytes = net_plan(n)->scratch_bytes;
    row->parameter_bytes = n_blocks * net_params(n)->block * (int64_t)sizeof(float);
}

static sx_err do_nothing(const bench_config *c, bench_memory *row) {
    (void)c;
    (void)row;
    return SX_OK;
}

static sx_err do_sampling(const bench_config *c, bench_memory *row) {
    enum { CALLS = 3 };
    net *n = NULL;
    sx_err rc = net_new(&n, &c->net, c->h, c->w, c->kernels, (net_opt){.threads = c->rank_threads});
    if (rc != SX_OK) return rc;
    float *params = nn_params_block(net_params(n)), *image = SX_NEW_ARRAY(float, net_pixels(n));
    bench_fill(net_params(n), params);
    for (int i = 0; i < CALLS; i++) net_forward(n, params, image, image, 500);
    note_plan(row, n, 1);
    sx_free(params);
    sx_free(image);
    net_free(n);
    return SX_OK;
}

/* A checkpoint as a training writes it, in a folder that is gone afterwards. */
static sx_err save_and_remove(bench_training *t) {
    char *run = bench_scratch_path(""), *folder = sx_path_join(run, "ckpt");
    char *file = sx_strf("%s/step-%08lld.h5", folder, (long long)t->state.step);
    t->c.run_path = run;
    sx_err rc = train_state_save(&t->state, &t->c, "{}", false);
    remove(file);
    remove(folder);
    remove(run);
    sx_free(file);
    sx_free(folder);
    sx_free(run);
    return rc;
}

/* Two steps and a checkpoint. A batch larger than c->memory_images is stood for by so many images:
 * a step holds one image at a time and one gradient a level of the tree of shards (one in all where
 * the others spill), whatever the batch. */
static sx_err do_training(const bench_config *c, bench_memory *row) {
    const int images = row->batch < c->memory_images ? row->batch : c->memory_images;
    bench_data data;
    bench_training t = {.n = NULL};
    train_step_info info;
    sx_err rc;
    SX_TRY(rc, bench_data_open(&data));
    SX_TRY(rc, bench_training_begin(&t, c, mp_self(), images, c->rank_threads, &data));
    for (int i = 0; i < 2; i++) SX_TRY(rc, bench_training_step(&t, &info));
    SX_TRY(rc, save_and_remove(&t));
    note_plan(row, t.n, 4); /* weights, two moments, average */
out:
    bench_training_end(&t);
    bench_data_clear(&data);
    return rc;
}

/* ---- children ---- */

typedef sx_err work_function(const bench_config *c, bench_memory *row);

static void child(const bench_config *c, work_function *work, bench_memory *row, int to_parent) {
    outcome o = {.rc = work(c, row)};
    row->peak_rss_bytes = sx_peak_rss_bytes();
    o.row = *row;
    snprintf(o.text, sizeof o.text, "%s", o.rc == SX_OK ? "" : sx_err_text());
    _exit(write(to_parent, &o, sizeof o) == (ssize_t)sizeof o ? 0 : 1);
}

/* All of a small record, through interruptions; false when the child died before, or a stop is
 * wanted. */
static bool read_outcome(int from_child, outcome *o) {
    struct pollfd p = {.fd = from_child, .events = POLLIN};
    size_t have = 0;
    while (have < sizeof *o) {
        if (mp_stop_wanted()) return false;
        if (poll(&p, 1, 100) <= 0) continue;
        ssize_t n = read(from_child, (char *)o + have, sizeof *o - have);
        if (n > 0)
            have += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return false;
    }
    return true;
}

static sx_err measure(const bench_config *c, work_function *work, bench_memory *row) {
    outcome o;
    int ends[2];
    if (pipe(ends) != 0) return sx_fail(SX_E_NOMEM, "pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) child(c, work, row, ends[1]);
    close(ends[1]);
    bool good = pid > 0 && read_outcome(ends[0], &o);
    close(ends[0]);
    if (pid > 0 && !good) kill(pid, SIGKILL);
    if (pid > 0) waitpid(pid, NULL, 0);
    if (!good && mp_stop_wanted()) return bench_go_on(c);
    if (!good)
        return sx_fail(SX_E_NOMEM, "%s at batch %d: the process that measures memory %s", row->task,
                       row->batch, pid < 0 ? "cannot be started" : "died");
    *row = o.row;
    return o.rc == SX_OK ? SX_OK : sx_fail(o.rc, "%s", o.text);
}

sx_err bench_memory_measure(const bench_config *c, bench_memory *rows, int *n_rows) {
    const int64_t program_bytes = sx_peak_rss_bytes();
    bench_config spilling = *c;
    spilling.train.spill = true;
    sx_err rc = SX_OK;
    int n = 0;
    rows[n] = (bench_memory){.task = "program"};
    SX_TRY(rc, measure(c, do_nothing, &rows[n++]));
    rows[n] = (bench_memory){.task = "sampling", .batch = 1};
    SX_TRY(rc, measure(c, do_sampling, &rows[n++]));
    for (int i = 0; i < c->memory_batch.n; i++) {
        const int batch = c->memory_batch.item[i];
        rows[n] = (bench_memory){.task = "training", .batch = batch};
        SX_TRY(rc, measure(c, do_training, &rows[n++]));
        if (batch == 1) continue; /* one shard: nothing waits */
        rows[n] = (bench_memory){.task = "spilling", .batch = batch};
        SX_TRY(rc, measure(&spilling, do_training, &rows[n++]));
    }
    const int64_t not_inherited = program_bytes - rows[0].peak_rss_bytes;
    for (int i = 0; i < n; i++) rows[i].peak_rss_bytes += not_inherited;
out:
    *n_rows = n;
    return rc;
}
