/* Convolutions that nn_ops_conv.c does not do: any kernel and stride, by strips of unrolled windows
 * (im2col) and the matrix product of the kernel table. */
#include <string.h>

#include "model/nn_kernels_bodies.h"
#include "model/nn_ops.h"

/* Pixels of a strip: as many as fill half of a 1 MB L2, but enough that the weights, which each
 * strip reads anew, are worth it. */
enum { STRIP_FLOATS = 128 * 1024, STRIP_PIXELS = 256 };

typedef struct strided {
    int h, w, c;   /* input */
    int oh, ow, k; /* output */
    int ks, step, pad;
    int depth; /* ks ks c: floats of a window, rows of the unrolled matrix */
    int rows;  /* output rows of a strip */
} strided;

static strided strided_of(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    strided s = {.h = x->h, .w = x->w, .c = x->c, .k = op->k, .ks = op->ks};
    s.step = op->stride;
    s.pad = op->pad;
    s.oh = (s.h + 2 * s.pad - s.ks) / s.step + 1;
    s.ow = (s.w + 2 * s.pad - s.ks) / s.step + 1;
    s.depth = s.ks * s.ks * s.c;
    const int fill = STRIP_FLOATS / s.depth, pixels = fill > STRIP_PIXELS ? fill : STRIP_PIXELS;
    const int rows = (pixels + s.ow - 1) / s.ow;
    s.rows = rows < s.oh ? rows : s.oh;
    return s;
}

/* Columns j0 .. j0 + ks - 1 of one row of a window; those inside the image are [from, to). */
typedef struct span {
    int j0, from, to;
} span;

static span span_at(const strided *s, int j) {
    const int j0 = j * s->step - s->pad, end = j0 + s->ks;
    return (span){j0, j0 < 0 ? 0 : j0, end < s->w ? end : s->w};
}

/* One row of a window from image row i (zeros outside): to [ks][c]. */
static void take_row(const strided *s, const float *x, int i, span q, float *to) {
    const bool outside = i < 0 || i >= s->h || q.from >= q.to;
    if (outside || q.to - q.from < s->ks) memset(to, 0, (size_t)s->ks * (size_t)s->c * sizeof *to);
    if (outside) return;
    memcpy(to + (int64_t)(q.from - q.j0) * s->c, x + ((int64_t)i * s->w + q.from) * s->c,
           (size_t)(q.to - q.from) * (size_t)s->c * sizeof *to);
}

/* The way back: image row i += from [ks][c]. */
static void give_row(const strided *s, float *x, int i, span q, const float *from) {
    if (i < 0 || i >= s->h || q.from >= q.to) return;
    nn__pass_on(x + ((int64_t)i * s->w + q.from) * s->c, from + (int64_t)(q.from - q.j0) * s->c,
                (int64_t)(q.to - q.from) * s->c, false);
}

/* col [rows][ow][ks][ks][c] of output rows i0 .. i0 + rows - 1. */
static void unroll(const strided *s, const float *x, int i0, int rows, float *col) {
    for (int i = i0; i < i0 + rows; i++)
        for (int j = 0; j < s->ow; j++)
            for (int a = 0; a < s->ks; a++, col += (int64_t)s->ks * s->c)
                take_row(s, x, i * s->step - s->pad + a, span_at(s, j), col);
}

static void roll_back(const strided *s, float *x, int i0, int rows, const float *col) {
    for (int i = i0; i < i0 + rows; i++)
        for (int j = 0; j < s->ow; j++)
            for (int a = 0; a < s->ks; a++, col += (int64_t)s->ks * s->c)
                give_row(s, x, i * s->step - s->pad + a, span_at(s, j), col);
}

static void strided_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const strided s = strided_of(g, op);
    out->h = s.oh;
    out->w = s.ow;
    out->c = s.k;
}

static int64_t strided_macs(const nn_graph *g, const nn__op *op) {
    const strided s = strided_of(g, op);
    return (int64_t)s.oh * s.ow * s.k * s.depth;
}

static int64_t strided_scratch(const nn_graph *g, const nn__op *op) {
    const strided s = strided_of(g, op);
    return (int64_t)s.rows * s.ow * s.depth;
}

static int rows_at(const strided *s, int i) {
    return s->oh - i < s->rows ? s->oh - i : s->rows;
}

static void strided_forward(const nn_graph *g, const nn__op *op) {
    const strided s = strided_of(g, op);
    const float *weight = nn__value(g, op->weight);
    float *y = nn__out(g, op)->value, *col = g->scratch;
    const bool biased = op->bias >= 0;
    if (biased) nn__start_rows(y, nn__value(g, op->bias), NULL, (int64_t)s.oh * s.ow, s.k);
    for (int i = 0; i < s.oh; i += s.rows) {
        const int rows = rows_at(&s, i);
        unroll(&s, nn__in(g, op, 0)->value, i, rows, col);
        g->kernels->gemm(0, 1, rows * s.ow, s.k, s.depth, 1.0f, col, s.depth, weight, s.depth,
                         biased ? 1.0f : 0.0f, y + (int64_t)i * s.ow * s.k, s.k);
    }
}

static void strided_backward(const nn_graph *g, const nn__op *op) {
    const strided s = strided_of(g, op);
    const nn__tensor *x = nn__in(g, op, 0);
    const float *dy = nn__out(g, op)->grad;
    float *col = g->scratch;
    if (op->bias >= 0) nn__column_sums(dy, (int64_t)s.oh * s.ow, s.k, s.k, nn__grad(g, op->bias));
    if (x->needs_grad && op->first[0]) memset(x->grad, 0, (size_t)x->count * sizeof(float));
    for (int i = 0; i < s.oh; i += s.rows) {
        const int rows = rows_at(&s, i), n = rows * s.ow;
        const float *dy_i = dy + (int64_t)i * s.ow * s.k;
        unroll(&s, x->value, i, rows, col);
        g->kernels->gemm(1, 0, s.k, s.depth, n, 1.0f, dy_i, s.k, col, s.depth, 1.0f,
                         nn__grad(g, op->weight), s.depth);
        if (!x->needs_grad) continue;
        g->kernels->gemm(0, 0, n, s.depth, s.k, 1.0f, dy_i, s.k, nn__value(g, op->weight), s.depth,
                         0.0f, col, s.depth);
        roll_back(&s, x->grad, i, rows, col);
    }
}

const nn__kind nn__conv_strided_kind = {.name = "conv_strided",
                                        .reads = 1u << 0,
                                        .shape = strided_shape,
                                        .macs = strided_macs,
                                        .scratch = strided_scratch,
                                        .forward = strided_forward,
                                        .backward = strided_backward};

nn_tensor nn_conv_strided(nn_graph *g, nn_tensor x, const char *name, int k, nn_strided_opt opt) {
    const int64_t c = g->tensor[x].c, ks = opt.kernel, fan_in = c * ks * ks;
    SX_ASSERT(opt.kernel > 0 && opt.stride > 0 && opt.pad >= 0);
    SX_ASSERT(g->tensor[x].h + 2 * opt.pad >= ks && g->tensor[x].w + 2 * opt.pad >= ks);
    nn__op op = nn__op_make(&nn__conv_strided_kind, x, -1);
    op.k = k;
    op.ks = opt.kernel;
    op.stride = opt.stride;
    op.pad = opt.pad;
    op.weight = nn__weight_append(g, name, (int64_t[]){k, c, ks, ks}, NN_INIT_FAN_IN, opt.spectral);
    if (!opt.no_bias)
        op.bias = nn__param_append(g, name, "bias", 1, (int64_t[]){k}, fan_in, NN_INIT_FAN_IN);
    return nn__op_append(g, op);
}
