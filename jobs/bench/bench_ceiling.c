/* What the machine can do: direct fp32 multiply-adds, reading from each level of the memory. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "base/sx_pool.h"
#include "jobs/bench/bench.h"

#if defined __x86_64__
extern const bench_isa bench_isa_sse2, bench_isa_avx2, bench_isa_avx512;
#elif defined __aarch64__
extern const bench_isa bench_isa_neon;
#else
extern const bench_isa bench_isa_portable;
#endif

/* Those that this machine runs, widest first. */
static int supported(const bench_isa *isa[BENCH_MAX_ISAS]) {
    int n = 0;
#if defined __x86_64__
    if (__builtin_cpu_supports("avx512f")) isa[n++] = &bench_isa_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isa[n++] = &bench_isa_avx2;
    isa[n++] = &bench_isa_sse2;
#elif defined __aarch64__
    isa[n++] = &bench_isa_neon;
#else
    isa[n++] = &bench_isa_portable;
#endif
    return n;
}

/* ---- multiply-adds ---- */

enum {
    CHUNKS = 41,         /* a round is the median of so many */
    CHUNK_FLOP = 1 << 26 /* 0.2 ms or so: a chunk is rarely interrupted */
};

typedef struct peak_thread {
    pthread_t thread;
    pthread_barrier_t *start;
    const bench_isa *isa;
    double gflops;
} peak_thread;

static void *measure_peak(void *user) {
    peak_thread *t = user;
    const int64_t n = (int64_t)(CHUNK_FLOP / t->isa->multiply_add(1));
    bench_series rate = {.n = 0};
    pthread_barrier_wait(t->start);
    for (int i = 0; i < CHUNKS; i++) {
        bench_clock start = bench_now();
        double flop = t->isa->multiply_add(n);
        bench_add(&rate, flop / bench_since(start).cpu_s * 1e-9);
    }
    t->gflops = bench_median(&rate);
    return NULL;
}

/* Sum over threads that start together; each by its own CPU time. */
static double peak_gflops(const bench_isa *isa, int threads) {
    peak_thread t[BENCH_MAX_LIST * 8];
    pthread_barrier_t start;
    double sum = 0;
    SX_ASSERT(threads <= (int)(sizeof t / sizeof *t));
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        t[i] = (peak_thread){.start = &start, .isa = isa};
        if (i > 0 && pthread_create(&t[i].thread, NULL, measure_peak, &t[i]) != 0) abort();
    }
    measure_peak(&t[0]);
    for (int i = 0; i < threads; i++) {
        if (i > 0) pthread_join(t[i].thread, NULL);
        sum += t[i].gflops;
    }
    pthread_barrier_destroy(&start);
    return sum;
}

double bench_peak_gflops(const bench_ceilings *v, const nn_kernels *k, int threads) {
    const bench_peak *widest = NULL;
    for (int i = 0; i < v->n_peaks; i++) {
        const bench_peak *p = &v->peak[i];
        if (p->threads != threads) continue;
        if (strcmp(p->isa->name, k->isa) == 0) return bench_median(&p->gflops);
        if (!widest) widest = p;
    }
    return widest ? bench_median(&widest->gflops) : (double)NAN;
}

/* ---- reading ---- */

/* Size of the cache of this level, 0 when the system does not say. */
static int64_t cache_bytes(int level) {
    int64_t found = 0;
    for (int i = 0; i < 8; i++) {
        char *path = sx_strf("/sys/devices/system/cpu/cpu0/cache/index%d", i);
        char *level_path = sx_path_join(path, "level"), *size_path = sx_path_join(path, "size");
        char *text = NULL, *size = NULL;
        size_t n;
        if (sx_file_read(level_path, 64, &text, &n) == SX_OK && atoi(text) == level &&
            sx_file_read(size_path, 64, &size, &n) == SX_OK)
            found = (int64_t)atoll(size) << (strchr(size, 'M') ? 20 : 10);
        sx_free(text);
        sx_free(size);
        sx_free(level_path);
        sx_free(size_path);
        sx_free(path);
    }
    return found;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Half of L2; four times L2, which L3 holds; four times L3, which nothing holds. */
static void plan_levels(bench_ceilings *v) {
    int64_t l2 = cache_bytes(2), l3 = cache_bytes(3);
    if (l2 == 0) l2 = 1 << 20;
    if (l3 == 0) l3 = 32 * l2;
    int64_t dram = larger(4 * l3, 128 << 20);
    if (dram > 512 << 20) dram = 512 << 20;
    v->level[v->n_levels++] = (bench_level){.name = "L2", .n_bytes = l2 / 2};
    v->level[v->n_levels++] = (bench_level){.name = "L3", .n_bytes = 4 * l2};
    v->level[v->n_levels++] = (bench_level){.name = "DRAM", .n_bytes = dram};
}

static double gb_per_s(const bench_isa *isa, const float *memory, int64_t n_bytes) {
    enum { READ_BYTES = 1 << 28 };
    const int64_t passes = n_bytes < READ_BYTES ? READ_BYTES / n_bytes : 1;
    isa->read(memory, n_bytes / (int64_t)sizeof(float)); /* into the cache */
    bench_clock start = bench_now();
    for (int64_t i = 0; i < passes; i++) isa->read(memory, n_bytes / (int64_t)sizeof(float));
    return (double)(passes * n_bytes) / bench_since(start).cpu_s * 1e-9;
}

/* ---- rows ---- */

sx_err bench_ceilings_init(bench_ceilings *v, const bench_config *c) {
    const bench_isa *isa[BENCH_MAX_ISAS];
    const int n_isas = supported(isa);
    *v = (bench_ceilings){.n_peaks = 0};
    for (int t = 0; t < c->threads.n && (c->what & BENCH_PEAK) != 0; t++)
        for (int i = 0; i < n_isas; i++)
            v->peak[v->n_peaks++] = (bench_peak){.isa = isa[i], .threads = c->threads.item[t]};
    if ((c->what & BENCH_BANDWIDTH) == 0) return SX_OK;
    plan_levels(v);
    v->memory = sx_try_alloc(v->level[v->n_levels - 1].n_bytes, 1);
    return v->memory ? SX_OK : sx_fail(SX_E_NOMEM, "no memory to measure how fast memory is read");
}

void bench_ceilings_clear(bench_ceilings *v) {
    sx_free(v->memory);
    *v = (bench_ceilings){.n_peaks = 0};
}

/* What one thread does alone. */
static sx_err round_of_one(void *arg) {
    bench_ceilings *v = arg;
    const bench_isa *isa[BENCH_MAX_ISAS];
    supported(isa);
    for (int i = 0; i < v->n_peaks; i++)
        if (v->peak[i].threads == 1) bench_add(&v->peak[i].gflops, peak_gflops(v->peak[i].isa, 1));
    for (int i = 0; i < v->n_levels; i++)
        bench_add(&v->level[i].gb_per_s, gb_per_s(isa[0], v->memory, v->level[i].n_bytes));
    return SX_OK;
}

void bench_ceilings_round(bench_ceilings *v, const bench_config *c) {
    sx_on_processors(bench_processors(c), round_of_one, v);
    for (int i = 0; i < v->n_peaks; i++)
        if (v->peak[i].threads > 1)
            bench_add(&v->peak[i].gflops, peak_gflops(v->peak[i].isa, v->peak[i].threads));
}
