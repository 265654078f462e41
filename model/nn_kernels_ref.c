/* The readable truth: every kernel as the plain loops of its definition, sums in double. Slow;
 * other bodies are tested against it. Needs no scratch. */
#include "model/nn_kernels_bodies.h"

/* Offset of pixel (y, x) of an [h][w][c] tensor, or -1 in the zero padding. */
static int64_t pixel(const nn_conv_shape *s, int y, int x, int c) {
    return y < 0 || x < 0 || y >= s->h || x >= s->w ? -1 : ((int64_t)y * s->w + x) * c;
}

static int64_t tap(const nn_conv_shape *s, int k, int a, int b) {
    return (((int64_t)k * s->ks + a) * s->ks + b) * s->c;
}

static int64_t scratch_floats(const nn_conv_shape *s, int threads) {
    (void)s;
    (void)threads;
    return 0;
}

static double output_at(const nn_conv_shape *s, const float *x, const float *weight, int i, int j,
                        int k) {
    const int pad = (s->ks - 1) / 2;
    double sum = 0;
    for (int a = 0; a < s->ks; a++)
        for (int b = 0; b < s->ks; b++) {
            const int64_t in = pixel(s, i + a - pad, j + b - pad, s->c);
            if (in < 0) continue;
            const float *xp = x + in, *wp = weight + tap(s, k, a, b);
            for (int c = 0; c < s->c; c++) sum += (double)xp[c] * (double)wp[c];
        }
    return sum;
}

static void forward(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                    const float *ready, const nn_sink *sink, const nn_room *r) {
    (void)ready;
    (void)r;
    SX_ASSERT(nn_feed_is_plain(x) && nn_sink_is_plain(sink) && !sink->residual[0]);
    for (int i = 0; i < s->h; i++)
        for (int j = 0; j < s->w; j++)
            for (int k = 0; k < s->k; k++)
                sink->y[0][pixel(s, i, j, s->k) + k] =
                    (float)(output_at(s, x->x[0], weight, i, j, k) + (double)sink->bias[k]);
}

/* dx[i][j][c] = sum of dy at the outputs that read this input, each with the weight it used. */
static double input_gradient_at(const nn_conv_shape *s, const float *dy, const float *weight, int i,
                                int j, int c) {
    const int pad = (s->ks - 1) / 2;
    double sum = 0;
    for (int a = 0; a < s->ks; a++)
        for (int b = 0; b < s->ks; b++) {
            const int64_t out = pixel(s, i - a + pad, j - b + pad, s->k);
            if (out < 0) continue;
            for (int k = 0; k < s->k; k++)
                sum += (double)dy[out + k] * (double)weight[tap(s, k, a, b) + c];
        }
    return sum;
}

static void backward_data(const nn_conv_shape *s, const float *dy, const float *weight,
                          const nn_sink *dx, const nn_room *r) {
    (void)r;
    SX_ASSERT(nn_sink_is_plain(dx));
    for (int i = 0; i < s->h; i++)
        for (int j = 0; j < s->w; j++)
            for (int c = 0; c < s->c; c++) {
                float *d = dx->y[0] + pixel(s, i, j, s->c) + c;
                const double before = dx->residual[0] ? (double)*d : 0;
                *d = (float)(before + input_gradient_at(s, dy, weight, i, j, c));
            }
}

static double weight_gradient_at(const nn_conv_shape *s, const float *x, const float *dy, int k,
                                 int a, int b, int c) {
    const int pad = (s->ks - 1) / 2;
    double sum = 0;
    for (int i = 0; i < s->h; i++)
        for (int j = 0; j < s->w; j++) {
            const int64_t in = pixel(s, i + a - pad, j + b - pad, s->c);
            if (in >= 0) sum += (double)dy[pixel(s, i, j, s->k) + k] * (double)x[in + c];
        }
    return sum;
}

static void backward_weight(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                            float *dweight, float *dbias, const nn_room *r) {
    (void)r;
    SX_ASSERT(nn_feed_is_plain(x));
    for (int k = 0; k < s->k; k++)
        for (int a = 0; a < s->ks; a++)
            for (int b = 0; b < s->ks; b++)
                for (int c = 0; c < s->c; c++) {
                    float *d = dweight + tap(s, k, a, b) + c;
                    *d = (float)((double)*d + weight_gradient_at(s, x->x[0], dy, k, a, b, c));
                }
    for (int k = 0; k < s->k; k++) {
        double sum = (double)dbias[k];
        for (int64_t p = 0; p < (int64_t)s->h * s->w; p++) sum += (double)dy[p * s->k + k];
        dbias[k] = (float)sum;
    }
}

static void gemm(int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a,
                 int lda, const float *b, int ldb, float beta, float *c, int ldc) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int p = 0; p < k; p++) {
                const float ap = trans_a ? a[(int64_t)p * lda + i] : a[(int64_t)i * lda + p];
                const float bp = trans_b ? b[(int64_t)j * ldb + p] : b[(int64_t)p * ldb + j];
                sum += (double)ap * (double)bp;
            }
            float *d = c + (int64_t)i * ldc + j;
            /* As in BLAS: with beta 0 the old content, even NaN, does not count. */
            *d = (float)((double)alpha * sum + (beta == 0 ? 0 : (double)beta * (double)*d));
        }
}

const nn_kernels *nn__kernels_ref(void) {
    static const nn_kernels table = {
        .name = "ref",
        .isa = "portable",
        .conv_fuses = nn__never_fuses,
        .conv_gates = nn__never_fuses,
        .conv_ready = nn__nothing_ready,
        .conv_scratch = scratch_floats,
        .conv_forward = forward,
        .conv_backward_data = backward_data,
        .conv_backward_weight = backward_weight,
        .gemm = gemm,
    };
    return &table;
}
