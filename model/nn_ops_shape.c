/* Moving pixels and channels: concatenation, 2x2 average pooling, nearest upsampling by 2. */
#include "model/nn_loops.h"
#include "model/nn_ops.h"

/* ---- concatenation of channels: y [p][ca + cb] ---- */

static void concat_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *a = nn__in(g, op, 0), *b = nn__in(g, op, 1);
    SX_ASSERT(a->h == b->h && a->w == b->w);
    out->h = a->h;
    out->w = a->w;
    out->c = a->c + b->c;
}

/* Channels of each pixel from rows of `from_c` to rows of `to_c` floats; n_c of them. */
SX_CLONES
static void copy_channels(float *restrict to, int to_c, const float *restrict from, int from_c,
                          int64_t pixels, int n_c) {
    for (int64_t p = 0; p < pixels; p++)
        for (int c = 0; c < n_c; c++) to[p * to_c + c] = from[p * from_c + c];
}

SX_CLONES
static void add_channels(float *restrict to, int to_c, const float *restrict from, int from_c,
                         int64_t pixels, int n_c) {
    for (int64_t p = 0; p < pixels; p++)
        for (int c = 0; c < n_c; c++) to[p * to_c + c] += from[p * from_c + c];
}

static void concat_pixels(void *arg, int64_t first, int64_t last) {
    const nn__call *q = arg;
    const nn__tensor *y = nn__out(q->g, q->op);
    float *to = y->value + first * y->c;
    for (int i = 0; i < 2; i++) {
        const nn__tensor *x = nn__in(q->g, q->op, i);
        copy_channels(to, y->c, x->value + first * x->c, x->c, last - first, x->c);
        to += x->c;
    }
}

static void concat_forward(const nn_graph *g, const nn__op *op) {
    sx_pool_ranges(g->pool, nn__pixels_of(nn__out(g, op)), concat_pixels, &(nn__call){g, op});
}

static void concat_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *y = nn__out(g, op);
    int from_c = 0;
    for (int i = 0; i < 2; i++) {
        const nn__tensor *x = nn__in(g, op, i);
        if (x->needs_grad)
            (op->first[i] ? copy_channels : add_channels)(x->grad, x->c, y->grad + from_c, y->c,
                                                          (int64_t)x->h * x->w, x->c);
        from_c += x->c;
    }
}

const nn__kind nn__concat_kind = {.name = "concat",
                                  .shape = concat_shape,
                                  .forward = concat_forward,
                                  .backward = concat_backward};

nn_tensor nn_concat(nn_graph *g, nn_tensor a, nn_tensor b) {
    return nn__op_append(g, nn__op_make(&nn__concat_kind, a, b));
}

/* ---- between a fine image [2h][2w] and a coarse one [h][w] ---- */

/* Rows i0 .. i1-1 of coarse = (or +=) factor * sum of 2x2. */
SX_CLONES
static void gather2(const nn__change2 *q, int i0, int i1) {
    const int64_t fine = q->from_c, row = (int64_t)2 * q->w * fine;
    for (int i = i0; i < i1; i++)
        for (int j = 0; j < q->w; j++) {
            const float *restrict above = q->from + 2 * i * row + (int64_t)2 * j * fine;
            const float *restrict below = above + row;
            float *restrict to = q->to + ((int64_t)i * q->w + j) * q->to_c;
            for (int k = 0; k < q->c; k++)
                to[k] = (q->add ? to[k] : 0.0f) +
                        q->factor * ((above[k] + above[k + fine]) + (below[k] + below[k + fine]));
        }
}

/* Rows 2 i0 .. 2 i1-1 of fine = (or +=) factor * coarse, at each of 2x2. */
SX_CLONES
static void spread2(const nn__change2 *q, int i0, int i1) {
    const int64_t row = (int64_t)2 * q->w * q->to_c;
    for (int i = 2 * i0; i < 2 * i1; i++)
        for (int j = 0; j < 2 * q->w; j++) {
            const float *restrict from = q->from + ((int64_t)(i / 2) * q->w + j / 2) * q->from_c;
            float *restrict to = q->to + i * row + (int64_t)j * q->to_c;
            for (int k = 0; k < q->c; k++) to[k] = (q->add ? to[k] : 0.0f) + q->factor * from[k];
        }
}

static void change_rows(void *arg, int64_t first, int64_t last) {
    const nn__change2 *q = arg;
    (q->gathers ? gather2 : spread2)(q, (int)first, (int)last);
}

void nn__change2_run(const nn__change2 *q, sx_pool *pool) {
    nn__change2 call = *q;
    sx_pool_ranges(pool, q->h, change_rows, &call);
}

/* Between two whole tensors, of which `coarse` is the smaller one. */
static void change2(const nn_graph *g, const nn__tensor *coarse, float *to, const float *from,
                    bool gathers, bool add, float factor) {
    const nn__change2 q = {to,        from,      coarse->h, coarse->w, coarse->c,
                           coarse->c, coarse->c, gathers,   add,       factor};
    nn__change2_run(&q, g->pool);
}

/* ---- pooling ---- */

static void avgpool2_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    SX_ASSERT(x->h % 2 == 0 && x->w % 2 == 0);
    out->h = x->h / 2;
    out->w = x->w / 2;
    out->c = x->c;
}

static void avgpool2_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *y = nn__out(g, op);
    change2(g, y, y->value, nn__in(g, op, 0)->value, true, false, 0.25f);
}

static void avgpool2_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *y = nn__out(g, op);
    change2(g, y, nn__in(g, op, 0)->grad, y->grad, false, !op->first[0], 0.25f);
}

const nn__kind nn__avgpool2_kind = {.name = "avgpool2",
                                    .shape = avgpool2_shape,
                                    .forward = avgpool2_forward,
                                    .backward = avgpool2_backward};

nn_tensor nn_avgpool2(nn_graph *g, nn_tensor x) {
    return nn__op_append(g, nn__op_make(&nn__avgpool2_kind, x, -1));
}

/* ---- upsampling ---- */

static void upsample2_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    change2(g, x, nn__out(g, op)->value, x->value, false, false, 1.0f);
}

static void upsample2_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    change2(g, x, x->grad, nn__out(g, op)->grad, true, !op->first[0], 1.0f);
}

const nn__kind nn__upsample2_kind = {.name = "upsample2",
                                     .shape = nn__shape_of_twice,
                                     .forward = upsample2_forward,
                                     .backward = upsample2_backward};

nn_tensor nn_upsample2(nn_graph *g, nn_tensor x) {
    return nn__op_append(g, nn__op_make(&nn__upsample2_kind, x, -1));
}
