/* What `sagax bench` measures, one file a part: bench_ceiling (what the machine can do), bench_run
 * (the network: forward and training step), bench_memory (peak of a process), bench_ranks (many
 * ranks against one), bench_print (for people and for machines).
 *
 * All of a part is measured in interleaved rounds of one run and told as medians, so that two rows
 * compare whatever else the machine does. Times are CPU time of the calling thread where one thread
 * works, wall time where several do. FLOPs are those of the direct convolution (2 a
 * multiply-accumulate), so that an engine that saves multiplications may exceed the FMA peak. */
#ifndef BENCH_H
#define BENCH_H

#include "io/io_cache.h"
#include "jobs/train/train_step.h"
#include "jobs/train/train_data.h"

enum { BENCH_MAX_ROUNDS = 101, BENCH_PASSES = 3, BENCH_MAX_LIST = 8, BENCH_MAX_OPS = 32 };

/* Processors that one thread takes in turn at most. */
enum { BENCH_MAX_PROCESSORS = 4 };

/* Values of a row: one a pass. */
enum { BENCH_MAX_SERIES = BENCH_MAX_ROUNDS * BENCH_PASSES * BENCH_MAX_PROCESSORS };

/* Parts of a run. */
enum {
    BENCH_PEAK = 1,
    BENCH_BANDWIDTH = 2,
    BENCH_FORWARD = 4,
    BENCH_TRAIN = 8,
    BENCH_MEMORY = 16,
    BENCH_ALL = 31
};

typedef struct bench_list {
    int item[BENCH_MAX_LIST], n;
} bench_list;

typedef struct bench_config {
    mp_comm *comm;
    int h, w, rounds;
    unsigned what;             /* bits of the parts */
    bench_list threads, batch; /* rows of the table */
    bench_list memory_batch;   /* trainings whose memory is measured */
    int rank_threads;          /* of a rank, where ranks are compared or memory is measured */
    int memory_images;         /* images a step at most while it is */
    net_config net;
    const nn_kernels *kernels;
    train_config train; /* but for comm, batch, shards: those of a row */
} bench_config;

/* ---- bench_clock.c ---- */

typedef struct bench_clock {
    double wall_s, cpu_s; /* cpu: of the calling thread */
} bench_clock;
bench_clock bench_now(void);
bench_clock bench_since(bench_clock start);

/* One value a round. */
typedef struct bench_series {
    double x[BENCH_MAX_SERIES];
    int n;
} bench_series;
void bench_add(bench_series *s, double x);
/* Middle value (of an even number, the mean of the two); NAN of none. */
double bench_median(const bench_series *s);
/* Smallest value: what several threads or ranks reach when nobody disturbs them; NAN of none. */
double bench_least(const bench_series *s);

/* Processors that one thread takes in turn (sx_on_processors): as many as the rows have threads, at
 * most BENCH_MAX_PROCESSORS. On a machine that others use, too, one processor is by a tenth or more
 * slower than another for a while; one thread on either of them alone would compare with two
 * threads on both in another way each time. */
int bench_processors(const bench_config *c);

/* Asked between two measurements. Errors: SX_E_AGAIN (asked to stop; what was measured is not
 * told). Collective over c->comm. */
sx_err bench_go_on(const bench_config *c);

/* ---- bench_isa.c, compiled once for each instruction set ---- */

typedef struct bench_isa {
    const char *name; /* as in nn_kernels.isa */
    /* n rounds of independent multiply-adds in registers; returns the FLOPs done. */
    double (*multiply_add)(int64_t n);
    /* Read n floats once. */
    void (*read)(const float *x, int64_t n);
} bench_isa;

/* ---- bench_ceiling.c ---- */

enum { BENCH_MAX_ISAS = 3, BENCH_LEVELS = 3 };

typedef struct bench_peak {
    const bench_isa *isa;
    int threads;
    bench_series gflops;
} bench_peak;

typedef struct bench_level {
    const char *name; /* "L2", "L3", "DRAM" */
    int64_t n_bytes;  /* read again and again */
    bench_series gb_per_s;
} bench_level;

typedef struct bench_ceilings {
    bench_peak peak[BENCH_MAX_ISAS * BENCH_MAX_LIST];
    int n_peaks;
    bench_level level[BENCH_LEVELS];
    int n_levels;
    float *memory; /* [largest level]; owned */
} bench_ceilings;

/* Rows for what c asks; *v is filled. Errors: SX_E_NOMEM. */
sx_err bench_ceilings_init(bench_ceilings *v, const bench_config *c);
void bench_ceilings_clear(bench_ceilings *v);
/* One round of all rows. */
void bench_ceilings_round(bench_ceilings *v, const bench_config *c);
/* Median GFLOP/s of direct fp32 multiply-adds on so many threads, of the instruction set that the
 * kernels use, else of the widest; NAN when it was not measured. */
double bench_peak_gflops(const bench_ceilings *v, const nn_kernels *k, int threads);

/* ---- bench_data.c ---- */

/* Name of this process's own for a file in sx_tmp_folder; new (sx_free). */
char *bench_scratch_path(const char *suffix);

/* A cohort to train on: a synthetic cache, gone from the disk as soon as it is open. */
typedef struct bench_data {
    io_cache *cache;
    train_slices slices;
} bench_data;
/* *d is filled. Errors: SX_E_CREATE, SX_E_IO. Not collective. */
sx_err bench_data_open(bench_data *d);
void bench_data_clear(bench_data *d);

/* A training as `sagax train` does it, at the size of c. */
typedef struct bench_training {
    train_config c;
    net *n;
    train_state state;
    train_stepper *stepper;
    train_feed *feed;
} bench_training;
/* *t is filled; d borrowed. Collective over comm. Errors: those of its parts. */
sx_err bench_training_begin(bench_training *t, const bench_config *c, mp_comm *comm, int batch,
                            int threads, const bench_data *d);
void bench_training_end(bench_training *t);
/* Collective over its comm. */
sx_err bench_training_step(bench_training *t, train_step_info *info);
/* Weights without zeros, so that no product is trivial. */
void bench_fill(const nn_params *p, float *block);

/* ---- bench_run.c ---- */

/* One row of the table: a task, a batch, a number of threads. */
typedef struct bench_row {
    const char *task; /* "forward", "prepared" (forward with prepared weights), "train" */
    int batch, threads;
    double flop;                  /* of one image */
    bench_series cpu_ms, wall_ms; /* of one image */
    bench_series wait_ms;         /* for training pairs; of one image */
    nn_op_time op[BENCH_MAX_OPS]; /* sums over all rounds */
    int n_ops;
} bench_row;

typedef struct bench_run bench_run;
/* Errors: those of net_new and bench_training_begin. */
sx_err bench_run_new(bench_run **r, const bench_config *c);
void bench_run_free(bench_run *r); /* takes NULL */
/* One round of all rows; `keep` false: a warm-up. */
sx_err bench_run_round(bench_run *r, bool keep);
int bench_run_rows(const bench_run *r);
const bench_row *bench_run_row(const bench_run *r, int i); /* borrowed */
/* Median time that counts: CPU of one thread, else wall; ms an image. */
double bench_row_ms(const bench_row *row);
double bench_row_least_ms(const bench_row *row);

/* ---- bench_memory.c ---- */

typedef struct bench_memory {
    const char *task; /* "program" (nothing done yet), "sampling", "training",
                         "spilling" (train.spill) */
    int batch;
    int64_t activation_bytes, scratch_bytes, parameter_bytes; /* planned; of them, weights */
    int64_t peak_rss_bytes;
} bench_memory;

enum { BENCH_MAX_MEMORY = 2 + 2 * BENCH_MAX_LIST };

/* Each row in a child process of its own, so that its peak is its own; call it before this process
 * has allocated or started threads. rows [BENCH_MAX_MEMORY], *n_rows of them filled.
 * Errors: what the child met; SX_E_NOMEM. Not collective. */
sx_err bench_memory_measure(const bench_config *c, bench_memory *rows, int *n_rows);

/* ---- bench_ranks.c ---- */

typedef struct bench_scale {
    int ranks, batch;
    bench_series all_s, one_s; /* wall time of a step: all ranks, rank 0 alone */
    /* of the step of all ranks; largest of any rank */
    bench_series exchange_share, rank_wait_share, data_wait_share;
} bench_scale;

/* One row a batch; rows [c->batch.n], the same on all ranks. Collective over c->comm. */
sx_err bench_ranks_measure(const bench_config *c, bench_scale *rows);

/* ---- bench_print.c ---- */

typedef struct bench_report {
    const bench_config *c;
    const bench_ceilings *ceilings;
    const bench_run *run; /* or NULL */
    const bench_memory *memory;
    int n_memory;
    const bench_scale *scale;
    int n_scale;
} bench_report;
void bench_print_text(const bench_report *r);
void bench_print_json(const bench_report *r);

#endif
