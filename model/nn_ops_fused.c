/* A convolution with all that surrounds it, made by nn_graph_fuse.c from plain ops:
 *
 *     y = conv( resample( dropout( silu( norm( [x0 | x1], film )))) ) + residual
 *
 * Only x0, x1, film, residual and y exist in memory; what the convolution reads is a feed that is
 * made when it is read, forward and again by weight (model/nn_feed.h).
 *
 * Backward with a norm: by data gives d, the gradient of the feed. It goes back through the
 * resampling and becomes du, and then dx, where dx lies, unless something is there already; what
 * finds no place so lies in the op's work space. */
#include <string.h>

#include "model/nn_norm.h"
#include "model/nn_ops.h"

/* ---- shapes ---- */

static bool has_norm(const nn__op *op) {
    return op->fused.norm_weight >= 0;
}

static int n_sources(const nn__op *op) {
    return nn__has(op, NN__SECOND_SOURCE) ? 2 : 1;
}

static int source_c(const nn_graph *g, const nn__op *op) {
    int c = 0;
    for (int i = 0; i < n_sources(op); i++) c += nn__in(g, op, i)->c;
    return c;
}

static void fused_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    (void)g;
    (void)op;
    (void)out;
    SX_ASSERT(false); /* takes the place of ops that have their shapes */
}

/* Kept for backward: mean [c] and rstd [c] of the norm. */
static int64_t fused_saved(const nn_graph *g, const nn__op *op) {
    return has_norm(op) ? 2 * (int64_t)source_c(g, op) : 0;
}

/* gain [c], offset [c], four doubles [c] beside the room of the convolution and the norm's passes
 */
static int64_t coefficients_count(const nn_graph *g, const nn__op *op) {
    return has_norm(op) ? nn_whole_lines(6 * (int64_t)source_c(g, op)) : 0;
}

static int64_t fused_scratch(const nn_graph *g, const nn__op *op) {
    const nn_conv_shape s = nn__conv_shape(g, op);
    const int64_t own = coefficients_count(g, op);
    const int64_t room = nn__for_each_thread(g, own + g->kernels->conv_scratch(&s, nn__threads(g)));
    const int64_t norm = own + (has_norm(op) ? nn__norm_room(s.c, nn__threads(g)) : 0);
    return room > norm ? room : norm;
}

/* ---- the feed ---- */

static nn__affine affine_of(const nn_graph *g, const nn__op *op) {
    return nn__affine_of(g, op, op->fused.norm_weight, op->fused.norm_bias, NN__FILM,
                         source_c(g, op));
}

static nn_feed feed_of(const nn_graph *g, const nn__op *op, const float *gain,
                       const float *offset) {
    nn_feed f = {.silu = op->fused.silu,
                 .resample = op->fused.resample,
                 .mask = nn__mask(g, op->fused.p, op->fused.dropout_key)};
    for (int i = 0; i < n_sources(op); i++) {
        f.x[i] = nn__in(g, op, i)->value;
        f.c[i] = nn__in(g, op, i)->c;
    }
    if (has_norm(op)) {
        f.gain = gain;
        f.offset = offset;
    }
    return f;
}

/* Statistics of the groups from the moments of the sources. */
static void take_statistics(const nn_graph *g, const nn__op *op, double *room) {
    const int all = source_c(g, op);
    const nn_moments m = {room, room + all};
    for (int i = 0, c = 0; i < n_sources(op); c += nn__in(g, op, i++)->c) {
        const nn__tensor *x = nn__in(g, op, i);
        memcpy(m.mean + c, x->moments.mean, (size_t)x->c * sizeof *m.mean);
        memcpy(m.m2 + c, x->moments.m2, (size_t)x->c * sizeof *m.m2);
    }
    nn__norm_statistics(m, nn__pixels_of(nn__in(g, op, 0)), all, op->saved, op->saved + all);
}

/* ---- forward ---- */

static void fused_forward(const nn_graph *g, const nn__op *op) {
    const nn_conv_shape s = nn__conv_shape(g, op);
    const nn__tensor *y = nn__out(g, op);
    double *room = (double *)(void *)g->scratch; /* 64-byte aligned */
    float *gain = g->scratch + 4 * (int64_t)s.c, *offset = gain + s.c;
    if (has_norm(op)) {
        const nn__affine f = affine_of(g, op);
        if (!g->again) take_statistics(g, op, room);
        nn__norm_coefficients(&f, op->saved, op->saved + s.c, s.c, gain, offset);
    }
    const nn_feed feed = feed_of(g, op, gain, offset);
    const nn_sink sink = {
        .y = {y->value, NULL},
        .c = {y->c, 0},
        .residual = {nn__has(op, NN__RESIDUAL) ? nn__in(g, op, NN__RESIDUAL)->value : NULL, NULL},
        .bias = nn__value(g, op->bias),
        .moments = g->again ? (nn_moments){NULL, NULL} : y->moments};
    const nn_room r = nn__room(g, coefficients_count(g, op));
    g->kernels->conv_forward(&s, &feed, nn__value(g, op->weight), nn__ready(g, op), &sink, &r);
}

/* ---- backward ---- */

/* Where d, the gradient of the feed, and then du of each source lie; without a norm, that of each
 * source. */
typedef struct places {
    float *feed; /* with resampling, else NULL: it is du */
    float *source[2];
} places;

static bool sources_need_grad(const nn_graph *g, const nn__op *op) {
    for (int i = 0; i < n_sources(op); i++)
        if (nn__in(g, op, i)->needs_grad) return true;
    return false;
}

/* Places in the work space, laid out one after the other; returns its floats. */
static int64_t place(const nn_graph *g, const nn__op *op, places *p) {
    int64_t used = 0;
    *p = (places){0};
    if (!has_norm(op) && !sources_need_grad(g, op)) return 0;
    if (op->fused.resample != NN_SAME) {
        const nn_conv_shape s = nn__conv_shape(g, op);
        p->feed = op->work;
        used += nn_whole_lines((int64_t)s.h * s.w * s.c);
    }
    for (int i = 0; i < n_sources(op); i++) {
        const nn__tensor *x = nn__in(g, op, i);
        if (x->needs_grad && (op->first[i] || !has_norm(op))) {
            p->source[i] = x->grad;
        } else {
            p->source[i] = op->work != NULL ? op->work + used : NULL;
            used += nn_whole_lines(x->count);
        }
    }
    return used;
}

static int64_t fused_work(const nn_graph *g, const nn__op *op) {
    places p;
    return place(g, op, &p);
}

/* d of the feed to d of the sources. */
static void undo_resample(const nn_graph *g, const nn__op *op, const places *p) {
    const bool gathers = op->fused.resample == NN_UP2;
    const int all = source_c(g, op);
    for (int i = 0, c = 0; i < n_sources(op); c += nn__in(g, op, i++)->c) {
        const nn__tensor *x = nn__in(g, op, i);
        const nn__change2 q = {.to = p->source[i],
                               .from = p->feed + c,
                               .h = gathers ? x->h : x->h / 2,
                               .w = gathers ? x->w : x->w / 2,
                               .c = x->c,
                               .to_c = x->c,
                               .from_c = all,
                               .gathers = gathers,
                               .factor = gathers ? 1.0f : 0.25f};
        nn__change2_run(&q, g->pool);
    }
}

/* Gradients of the parameters, and by data into d; NULL: not wanted. */
static void backward_conv(const nn_graph *g, const nn__op *op, const nn_conv_shape *s,
                          const nn_feed *feed, const nn_sink *d) {
    const nn_room r = nn__room(g, coefficients_count(g, op));
    nn_conv_backward(g->kernels, s, feed, nn__out(g, op)->grad, nn__value(g, op->weight), d,
                     nn__grad(g, op->weight), nn__grad(g, op->bias), &r);
}

/* By data into the places, through the gate if there is one. */
static void gradient_of_feed(const nn_graph *g, const nn__op *op, const nn_conv_shape *s,
                             const nn_feed *feed, const places *p, const nn_gate *gate) {
    nn_sink d = nn_sink_plain(p->feed, s->c, false);
    for (int i = 0; i < n_sources(op) && p->feed == NULL; i++) {
        d.y[i] = p->source[i];
        d.c[i] = nn__in(g, op, i)->c;
    }
    d.gate = gate;
    backward_conv(g, op, s, feed, &d);
    if (p->feed != NULL) undo_resample(g, op, p);
}

/* x is the residual, too: its gradient from there is added on the way. */
static bool is_own_residual(const nn__op *op) {
    return nn__has(op, NN__RESIDUAL) && op->in[NN__RESIDUAL] == op->in[NN__FIRST_SOURCE];
}

static nn__norm_image norm_image(const nn_graph *g, const nn__op *op, int i, float *d) {
    const nn__tensor *x = nn__in(g, op, i);
    return (nn__norm_image){.x = x->value,
                            .d = d,
                            .dx = x->grad,
                            .add = i == 0 && is_own_residual(op) ? nn__out(g, op)->grad : NULL,
                            .c = x->c,
                            .keep = !op->first[i]};
}

static bool is_gated(const nn_graph *g, const nn__op *op, const nn_conv_shape *s) {
    return op->fused.silu && op->fused.resample == NN_SAME && g->kernels->conv_gates(s);
}

static void backward_with_norm(const nn_graph *g, const nn__op *op, const nn_conv_shape *s,
                               const nn_feed *feed, double *sums) {
    places p;
    place(g, op, &p);
    const nn_room r = nn__room(g, coefficients_count(g, op));
    const nn_gate gate = {feed, op->saved, sums, sums + s->c};
    const bool gated = is_gated(g, op, s);
    gradient_of_feed(g, op, s, feed, &p, gated ? &gate : NULL);
    const nn__affine f = affine_of(g, op);
    nn__norm_back b = {.n_images = n_sources(op),
                       .pixels = nn__pixels_of(nn__in(g, op, 0)),
                       .c = s->c,
                       .silu = op->fused.silu,
                       .gated = gated,
                       .mask = &feed->mask,
                       .mean = op->saved,
                       .rstd = op->saved + s->c,
                       .gain = feed->gain,
                       .offset = feed->offset,
                       .sum_du = sums,
                       .sum_duxhat = sums + s->c,
                       .dgamma = nn__grad(g, op->fused.norm_weight),
                       .dbeta = nn__grad(g, op->fused.norm_bias),
                       .dfilm = nn__film_gradient(g, op, NN__FILM)};
    for (int i = 0; i < b.n_images; i++) b.image[i] = norm_image(g, op, i, p.source[i]);
    nn__norm_backward(&b, &f, g->pool, r.scratch);
}

/* By data straight into the gradients of the sources; that of one which needs none lies in the work
 * space. */
static void backward_without_norm(const nn_graph *g, const nn__op *op, const nn_conv_shape *s,
                                  const nn_feed *feed) {
    if (!sources_need_grad(g, op)) {
        backward_conv(g, op, s, feed, NULL);
        return;
    }
    places p;
    place(g, op, &p);
    nn_sink d = {0};
    bool add = false;
    for (int i = 0; i < n_sources(op); i++) add = add || !op->first[i];
    for (int i = 0; i < n_sources(op); i++) {
        const nn__tensor *x = nn__in(g, op, i);
        d.y[i] = p.source[i];
        d.c[i] = x->c;
        if (!add) continue;
        d.residual[i] = p.source[i];
        if (op->first[i] || !x->needs_grad)
            memset(p.source[i], 0, (size_t)x->count * sizeof(float));
    }
    backward_conv(g, op, s, feed, &d);
}

static void backward_residual(const nn_graph *g, const nn__op *op) {
    if (!nn__has(op, NN__RESIDUAL) || (has_norm(op) && is_own_residual(op))) return;
    const nn__tensor *x = nn__in(g, op, NN__RESIDUAL), *y = nn__out(g, op);
    if (x->needs_grad && x->grad != y->grad)
        nn__pass_on(x->grad, y->grad, y->count, op->first[NN__RESIDUAL]);
}

static void fused_backward(const nn_graph *g, const nn__op *op) {
    const nn_conv_shape s = nn__conv_shape(g, op);
    double *sums = (double *)(void *)g->scratch; /* 64-byte aligned */
    float *gain = g->scratch + 4 * (int64_t)s.c, *offset = gain + s.c;
    if (has_norm(op)) {
        const nn__affine f = affine_of(g, op);
        nn__norm_coefficients(&f, op->saved, op->saved + s.c, s.c, gain, offset);
    }
    const nn_feed feed = feed_of(g, op, gain, offset);
    if (has_norm(op))
        backward_with_norm(g, op, &s, &feed, sums);
    else
        backward_without_norm(g, op, &s, &feed);
    backward_residual(g, op);
}

const nn__kind nn__fused_kind = {.name = "fused conv",
                                 .reads = 1u << NN__FIRST_SOURCE | 1u << NN__SECOND_SOURCE |
                                          1u << NN__FILM,
                                 .in_place = 1u << NN__RESIDUAL,
                                 .makes_moments = true,
                                 .shape = fused_shape,
                                 .macs = nn__conv_macs,
                                 .saved = fused_saved,
                                 .scratch = fused_scratch,
                                 .work = fused_work,
                                 .forward = fused_forward,
                                 .backward = fused_backward};
