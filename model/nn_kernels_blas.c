/* Convolutions as matrix products: strips of rows are unrolled (im2col) into a block that stays in
 * the L2 cache and multiplied by OpenBLAS. Backward by data is a forward convolution of dy with the
 * turned weights; backward by weight multiplies the same strips by dy. A 1x1 convolution is a
 * product as it stands; thin ones are direct loops (model/nn_kernels_thin.h).
 *
 * OpenBLAS runs on one thread: ranks and our own teams (base/sx_pool.h) fill the cores, and its
 * threads spin. */
#include "model/nn_kernels_bodies.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/nn_kernels_thin.h"
#include "model/nn_loops.h"

enum { STRIP_FLOATS = 128 * 1024 }; /* half of a 1 MB L2 */

SX_CLONES
void nn__column_sums(const float *a, int64_t rows, int c, int stride, float *sum) {
    enum { BLOCK = 16 };
    for (int c0 = 0; c0 < c; c0 += BLOCK) {
        const int n = c - c0 < BLOCK ? c - c0 : BLOCK;
        double acc[BLOCK] = {0};
        for (int64_t r = 0; r < rows; r++)
            for (int i = 0; i < n; i++) acc[i] += (double)a[r * stride + c0 + i];
        for (int i = 0; i < n; i++) sum[c0 + i] = (float)((double)sum[c0 + i] + acc[i]);
    }
}

SX_CLONES
void nn__start_rows(float *y, const float *bias, const float *residual, int64_t pixels, int k) {
    for (int64_t p = 0; p < pixels; p++)
        for (int i = 0; i < k; i++)
            y[p * k + i] = (residual ? residual[p * k + i] : 0.0f) + bias[i];
}

void nn__blas_gemm(int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a,
                   int lda, const float *b, int ldb, float beta, float *c, int ldc) {
    cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                trans_b ? CblasTrans : CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/* ---- unrolling ---- */

static int strip_rows(int h, int w, int channels) {
    const int64_t rows = STRIP_FLOATS / ((int64_t)w * 9 * channels);
    return rows < 1 ? 1 : rows > h ? h : (int)rows;
}

static int64_t strip_floats(int h, int w, int channels) {
    return (int64_t)strip_rows(h, w, channels) * w * 9 * channels;
}

/* Three neighbours (i, j-1 .. j+1) of a [h][w][c] image, zero outside. */
static void copy_neighbours(const float *x, int h, int w, int c, int i, int j, float *to) {
    if (i < 0 || i >= h) {
        memset(to, 0, (size_t)c * 3 * sizeof *to);
        return;
    }
    const int first = j > 0 ? j - 1 : 0, last = j + 1 < w ? j + 1 : w - 1;
    if (j == 0) memset(to, 0, (size_t)c * sizeof *to);
    if (j == w - 1) memset(to + (int64_t)2 * c, 0, (size_t)c * sizeof *to);
    memcpy(to + (int64_t)(first - j + 1) * c, x + ((int64_t)i * w + first) * c,
           (size_t)(last - first + 1) * (size_t)c * sizeof *to);
}

/* col [rows*w][3][3][c] of image rows row0 .. row0+rows-1. */
static void unroll(const float *x, int h, int w, int c, int row0, int rows, float *col) {
    for (int i = row0; i < row0 + rows; i++)
        for (int j = 0; j < w; j++)
            for (int a = 0; a < 3; a++, col += (int64_t)3 * c)
                copy_neighbours(x, h, w, c, i + a - 1, j, col);
}

/* weight [k][3][3][c] -> turned [3][3][k][c], both axes of the window reversed. */
static void turn_weights(const nn_conv_shape *s, const float *weight, float *turned) {
    for (int t = 0; t < 9; t++)
        for (int k = 0; k < s->k; k++)
            memcpy(turned + ((int64_t)t * s->k + k) * s->c,
                   weight + ((int64_t)k * 9 + 8 - t) * s->c, (size_t)s->c * sizeof *turned);
}

static int64_t scratch_floats(const nn_conv_shape *s, int threads) {
    if (s->ks == 1) return 0;
    if (nn__is_thin(s)) return nn__thin_scratch(s, threads);
    const int64_t in = strip_floats(s->h, s->w, s->c), out = strip_floats(s->h, s->w, s->k);
    const int64_t by_data = out + (int64_t)9 * s->c * s->k;
    return in > by_data ? in : by_data;
}

/* ---- the three convolutions ---- */

static void forward(const nn_conv_shape *s, const nn_feed *feed, const float *weight,
                    const float *ready, const nn_sink *sink, const nn_room *r) {
    SX_ASSERT(nn_feed_is_plain(feed) && nn_sink_is_plain(sink) && !sink->residual[0]);
    if (nn__is_thin(s)) {
        nn__thin_forward(s, feed, weight, ready, sink, r);
        return;
    }
    const float *x = feed->x[0];
    float *y = sink->y[0];
    nn__start_rows(y, sink->bias, NULL, (int64_t)s->h * s->w, s->k);
    if (s->ks == 1) {
        nn__blas_gemm(0, 1, s->h * s->w, s->k, s->c, 1, x, s->c, weight, s->c, 1, y, s->k);
        return;
    }
    const int step = strip_rows(s->h, s->w, s->c), depth = 9 * s->c;
    for (int i = 0; i < s->h; i += step) {
        const int rows = s->h - i < step ? s->h - i : step;
        unroll(x, s->h, s->w, s->c, i, rows, r->scratch);
        nn__blas_gemm(0, 1, rows * s->w, s->k, depth, 1, r->scratch, depth, weight, depth, 1,
                      y + (int64_t)i * s->w * s->k, s->k);
    }
}

static void backward_data(const nn_conv_shape *s, const float *dy, const float *weight,
                          const nn_sink *sink, const nn_room *r) {
    SX_ASSERT(nn_sink_is_plain(sink));
    if (nn__is_thin(s)) {
        nn__thin_backward_data(s, dy, weight, sink, r);
        return;
    }
    float *dx = sink->y[0];
    const float keep = sink->residual[0] ? 1 : 0;
    if (s->ks == 1) {
        nn__blas_gemm(0, 0, s->h * s->w, s->c, s->k, 1, dy, s->k, weight, s->c, keep, dx, s->c);
        return;
    }
    const int step = strip_rows(s->h, s->w, s->k), depth = 9 * s->k;
    float *turned = r->scratch, *col = turned + (int64_t)9 * s->c * s->k;
    turn_weights(s, weight, turned);
    for (int i = 0; i < s->h; i += step) {
        const int rows = s->h - i < step ? s->h - i : step;
        unroll(dy, s->h, s->w, s->k, i, rows, col);
        nn__blas_gemm(0, 0, rows * s->w, s->c, depth, 1, col, depth, turned, s->c, keep,
                      dx + (int64_t)i * s->w * s->c, s->c);
    }
}

static void backward_weight(const nn_conv_shape *s, const nn_feed *feed, const float *dy,
                            float *dweight, float *dbias, const nn_room *r) {
    SX_ASSERT(nn_feed_is_plain(feed));
    if (nn__is_thin(s)) {
        nn__thin_backward_weight(s, feed, dy, dweight, dbias, r);
        return;
    }
    const float *x = feed->x[0];
    nn__column_sums(dy, (int64_t)s->h * s->w, s->k, s->k, dbias);
    if (s->ks == 1) {
        nn__blas_gemm(1, 0, s->k, s->c, s->h * s->w, 1, dy, s->k, x, s->c, 1, dweight, s->c);
        return;
    }
    const int step = strip_rows(s->h, s->w, s->c), depth = 9 * s->c;
    for (int i = 0; i < s->h; i += step) {
        const int rows = s->h - i < step ? s->h - i : step;
        unroll(x, s->h, s->w, s->c, i, rows, r->scratch);
        nn__blas_gemm(1, 0, s->k, depth, rows * s->w, 1, dy + (int64_t)i * s->w * s->k, s->k,
                      r->scratch, depth, 1, dweight, depth);
    }
}

bool nn__never_fuses(const nn_conv_shape *s) {
    (void)s;
    return false;
}

int64_t nn__nothing_ready(const nn_conv_shape *s) {
    (void)s;
    return 0;
}

/* ---- start ---- */

/* Exported by OpenBLAS built for run-time dispatch, but undocumented: weak, so absence is no error.
 */
void gotoblas_dynamic_init(void) __attribute__((weak));
void gotoblas_dynamic_quit(void) __attribute__((weak));

static int cpu_has_avx512(void) {
#if defined __x86_64__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    return 0;
#endif
}

static int core_uses_avx512(const char *core) {
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (!strcmp(core, wide[i])) return 1;
    return 0;
}

/* Some sites export OPENBLAS_CORETYPE for their oldest machines; on a machine with AVX-512 that
 * leaves half of the vector unit idle. Choose again then. */
static void retarget(void) {
    if (!getenv("OPENBLAS_CORETYPE") || !cpu_has_avx512()) return;
    if (core_uses_avx512(openblas_get_corename())) return;
    if (!gotoblas_dynamic_init || !gotoblas_dynamic_quit) return;
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
}

static char isa[64];
static const nn_kernels table = {
    .name = "blas",
    .isa = isa,
    .conv_fuses = nn__never_fuses,
    .conv_gates = nn__never_fuses,
    .conv_ready = nn__nothing_ready,
    .conv_scratch = scratch_floats,
    .conv_forward = forward,
    .conv_backward_data = backward_data,
    .conv_backward_weight = backward_weight,
    .gemm = nn__blas_gemm,
};

static void start(void) {
    retarget();
    openblas_set_num_threads(1);
    snprintf(isa, sizeof isa, "OpenBLAS %s", openblas_get_corename());
}

const nn_kernels *nn__kernels_blas(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    return &table;
}
