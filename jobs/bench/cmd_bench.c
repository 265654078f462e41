/* sagax bench: how fast this machine is, and how much of it the engine uses.
 *
 * Alone: ceilings, forward, training step, ops, memory. Under mpirun: all ranks together against
 * one of them. Needs no data and leaves no file. docs/performance.md says how to read it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/bench/bench.h"
#include "jobs/job/job_model.h"
#include "jobs/job/verbs.h"
#include "base/sx_pool.h"

static const job_option options_bench[] = {
    {"bench.size", JOB_TEXT, "160x160", NULL, 0, 0, "image size, HxW pixels; square to train"},
    {"bench.rounds", JOB_INT, "5", NULL, 1, BENCH_MAX_ROUNDS, "interleaved rounds"},
    {"bench.what", JOB_TEXT, "all", NULL, 0, 0,
     "parts, with commas: peak, bandwidth, forward, train, memory, or all"},
    {"bench.threads", JOB_TEXT, "1,2", NULL, 0, 0,
     "threads of the rows, with commas; a rank has model.threads"},
    {"bench.batch", JOB_TEXT, "", NULL, 0, 0,
     "batches of the training rows, with commas; empty: 1,8, with ranks 8,32"},
    {"bench.memory_batch", JOB_TEXT, "1,256", NULL, 0, 0,
     "batches of the trainings whose memory is measured, with commas"},
    {"bench.memory_images", JOB_INT, "16", NULL, 1, 65536,
     "larger batches are stood for by so many images while memory is measured"},
    JOB_OPTIONS_END};

static const job_option *const sections[] = {options_bench, options_model, NULL};

static const job_alias aliases[] = {{"--size", "bench.size"},
                                    {"--rounds", "bench.rounds"},
                                    {"--what", "bench.what"},
                                    {"--threads", "bench.threads"},
                                    {"--batch", "bench.batch"},
                                    {"--kernels", "model.kernels"},
                                    JOB_ALIASES_END};

/* ---- configuration ---- */

static sx_err parse_list(const char *key, const char *text, int most, bench_list *list) {
    const char *p = text;
    for (list->n = 0; list->n < BENCH_MAX_LIST; p++) {
        char *end;
        long x = strtol(p, &end, 10);
        if (end == p || x < 1 || x > most || (*end != ',' && *end != '\0')) break;
        list->item[list->n++] = (int)x;
        if (*end == '\0') return SX_OK;
        p = end;
    }
    return sx_fail(SX_E_USAGE, "%s = \"%s\": should be 1 to %d integers from 1 to %d with commas",
                   key, text, BENCH_MAX_LIST, most);
}

static const struct {
    const char *name;
    unsigned bits;
} parts[] = {{"all", BENCH_ALL},         {"peak", BENCH_PEAK},   {"bandwidth", BENCH_BANDWIDTH},
             {"forward", BENCH_FORWARD}, {"train", BENCH_TRAIN}, {"memory", BENCH_MEMORY}};

static unsigned part_by_name(const char *name) {
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].name, name) == 0) return parts[i].bits;
    return 0;
}

static sx_err parse_what(const char *text, unsigned *what) {
    char *copy = sx_strdup(text), *rest = NULL;
    sx_err rc = SX_OK;
    *what = 0;
    for (char *name = strtok_r(copy, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
        unsigned bits = part_by_name(name);
        *what |= bits;
        if (bits == 0) rc = sx_fail(SX_E_USAGE, "bench.what: there is no part \"%s\"", name);
    }
    if (rc == SX_OK && *what == 0) rc = sx_fail(SX_E_USAGE, "bench.what names no part");
    sx_free(copy);
    return rc;
}

/* Everything about a training that is not measured here is as `sagax train` has it by default. */
static sx_err default_training(train_config *c) {
    char *argv[] = {"cache", "run"};
    job *j = NULL;
    sx_err rc = job_new(&j, &cmd_train, mp_self(), 2, argv);
    if (rc == SX_OK) rc = train_config_read(c, j);
    c->cache_path = c->run_path = c->init_path = NULL; /* they go with the job */
    job_free(j);
    return rc;
}

/* Rows of more threads than processors (mpirun binds one rank to a core) show waiting, not work. */
static void warn_of_crowding(const bench_config *c) {
    const int usable = sx_processors();
    for (int i = 0; i < c->threads.n && mp_size(c->comm) == 1; i++)
        if (c->threads.item[i] > usable)
            sx_warn("rows of %d threads share the %d processor%s that this process may use",
                    c->threads.item[i], usable, usable > 1 ? "s" : "");
}

static sx_err read_config(const job *j, bench_config *c) {
    const char *batch = job_text(j, "bench.batch");
    sx_err rc;
    *c = (bench_config){.comm = job_comm(j), .rounds = (int)job_int(j, "bench.rounds")};
    const bool many = mp_size(c->comm) > 1;
    c->rank_threads = job_threads(j);
    c->memory_images = (int)job_int(j, "bench.memory_images");
    if (*batch == '\0') batch = many ? "8,32" : "1,8";
    SX_TRY(rc, parse_what(job_text(j, "bench.what"), &c->what));
    SX_TRY(rc, parse_list("bench.threads", job_text(j, "bench.threads"), 64, &c->threads));
    SX_TRY(rc, parse_list("bench.batch", batch, 4096, &c->batch));
    SX_TRY(rc, parse_list("bench.memory_batch", job_text(j, "bench.memory_batch"), 65536,
                          &c->memory_batch));
    warn_of_crowding(c);
    SX_TRY(rc, job_image_size(j, "bench.size", &c->h, &c->w));
    if (c->h != c->w && (many || (c->what & (BENCH_TRAIN | BENCH_MEMORY)) != 0))
        return sx_fail(SX_E_USAGE,
                       "bench.size = %dx%d: training images are square; without them: --what "
                       "peak,bandwidth,forward",
                       c->h, c->w);
    SX_TRY(rc, job_net_config(j, &c->net));
    SX_TRY(rc, job_kernels(j, &c->kernels));
    SX_TRY(rc, default_training(&c->train));
    c->train.net = c->net;
    c->train.kernels = c->kernels;
    c->train.activation_bytes = job_activation_bytes(j);
    c->train.crop = c->h;
    c->train.degrade.hr_mm = 0.8571;
out:
    return rc;
}

/* ---- runs ---- */

static void print(const job *j, const bench_report *r) {
    (job_json(j) ? bench_print_json : bench_print_text)(r);
}

/* Memory first: its children must find a small process. */
static sx_err run_alone(const job *j, const bench_config *c) {
    bench_memory memory[BENCH_MAX_MEMORY];
    bench_ceilings ceilings = {.n_peaks = 0};
    bench_run *r = NULL;
    int n_memory = 0;
    sx_err rc = SX_OK;
    if ((c->what & BENCH_MEMORY) != 0) SX_TRY(rc, bench_memory_measure(c, memory, &n_memory));
    SX_TRY(rc, bench_ceilings_init(&ceilings, c));
    SX_TRY(rc, bench_run_new(&r, c));
    SX_TRY(rc, bench_run_round(r, false));
    for (int i = 0; i < c->rounds; i++) {
        SX_TRY(rc, bench_go_on(c));
        sx_info("round %d of %d", i + 1, c->rounds);
        bench_ceilings_round(&ceilings, c);
        SX_TRY(rc, bench_run_round(r, true));
    }
    print(j, &(bench_report){c, &ceilings, r, memory, n_memory, NULL, 0});
out:
    bench_run_free(r);
    bench_ceilings_clear(&ceilings);
    return rc;
}

static sx_err run_ranks(const job *j, const bench_config *c) {
    const bench_ceilings none = {.n_peaks = 0};
    bench_scale scale[BENCH_MAX_LIST];
    sx_err rc = bench_ranks_measure(c, scale);
    if (rc == SX_OK && mp_rank(c->comm) == 0)
        print(j, &(bench_report){c, &none, NULL, NULL, 0, scale, c->batch.n});
    return rc;
}

static sx_err run(job *j) {
    bench_config c;
    sx_err rc = mp_agree(job_comm(j), read_config(j, &c));
    if (rc != SX_OK || job_dry_run(j)) return rc;
    return mp_size(c.comm) > 1 ? run_ranks(j, &c) : run_alone(j, &c);
}

const job_verb cmd_bench = {
    .name = "bench",
    .arguments = "",
    .summary = "speed and memory of the engine beside what the machine can do",
    .sections = sections,
    .aliases = aliases,
    .min_args = 0,
    .max_args = 0,
    .ranks = JOB_RANKS,
    .run = run,
};
