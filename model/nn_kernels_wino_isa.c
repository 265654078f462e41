/* Winograd F(4x4,3x3) in fp32, fused with what comes before and after it.
 * Source: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
 *
 * A tile of 4x4 outputs needs 6x6 inputs d and costs 36 products for each pair of channels in place
 * of 144. Summed over channels, the products at each of the 36 points are a matrix product:
 * V [tile][c] times U [c][k] is M [tile][k], where V, U and M are transformed inputs, weights and
 * outputs (model/nn_kernels_tiles.h). Tiles go through in blocks (model/nn_kernels_blocks.h).
 *
 *     forward     inputs come from a feed, outputs go to a sink (model/nn_feed.h)
 *     by data     the same with the turned weights
 *     by weight   dU [k][c] = (A dy A^T)^T V summed over tiles, then dg = G^T dU G
 *
 * Threads share an image by rows of tiles, each with its own U, V, M and dU: what one core writes
 * and another reads is slow; between two cores without a common cache, slower than to make U again.
 * Who is through with its own bands of rows takes those of others: cores differ, and some are taken
 * away for a while. A band has sums of its own, so that results do not depend on that. (dU has
 * none: every member adds its own bands up.) Few tiles of many channels are shared by output
 * channels: their weights cost more than they do, and every thread makes its own V of all of them.
 *
 * Thin and 1x1 convolutions (model/nn_kernels_thin*.h, nn_kernels_pointwise.h) join in the table at
 * the end. Compiled once for each instruction set, NN_WINO_ISA names which. No state; different
 * instruction sets differ in rounding. */
#include "model/nn_kernels_wino.h"

#include "model/nn_kernels_blocks.h"
#include "model/nn_kernels_blas_feed.h"
#include "model/nn_kernels_gemm.h"
#include "model/nn_kernels_pointwise.h"
#include "model/nn_kernels_thin_out.h"

enum { OUTS = 4 * NN__ROWS }; /* output channels of dU at a time */

/* Few channels or few pixels do not repay the transforms. */
static bool takes(const nn_conv_shape *s) {
    return s->ks == 3 && s->c >= 16 && s->k >= 16 && s->h >= NN__TILE && s->w >= NN__TILE;
}

/* ---- room ---- */

/* Pieces of the scratch, one after the other; without scratch it only counts. */
typedef struct carver {
    float *base;
    int64_t used;
} carver;

static float *carve(carver *c, int64_t n) {
    float *p = c->base ? c->base + c->used : NULL;
    c->used += nn_whole_lines(n);
    return p;
}

/* ---- the products at one point ---- */

/* U is [panel][point][in][NN__PANEL]: what one product reads is contiguous. */
static int panels(const nn__plan *p) {
    return (p->out_pad + NN__PANEL - 1) / NN__PANEL;
}

static int64_t u_slice(const nn__plan *p) {
    return (int64_t)p->in * NN__PANEL + NN__SLICE_PAD;
}

static int64_t u_panel(const nn__plan *p) {
    return NN__POINTS * u_slice(p);
}

/* The channels of a panel that are among `own`; none: last <= first. */
static nn__channels channels_of_panel(const nn__plan *p, int panel, nn__channels own) {
    const int first = panel * NN__PANEL, last = nn__min(first + NN__PANEL, p->out_pad);
    return (nn__channels){first > own.first ? first : own.first, nn__min(last, own.last)};
}

/* M [tiles][out_pad], channels k of one panel, = V [tiles][in] U; U [in][NN__PANEL]. */
static void product_panel_of(const nn__plan *p, int tiles, nn__channels k, const float *v,
                             const float *u, float *m) {
    const nn__product q = {p->in, p->in_pad, 1, NN__PANEL, p->out_pad, 0};
    nn__product_run(&q, tiles, (k.last - k.first) / NN_VL, v, u + k.first % NN__PANEL, NULL,
                    m + k.first);
}

/* dU [outs][in_pad] (+)= D^T V; D [tiles][out_pad] from the first of `outs`, V [tiles][in_pad]. */
static void product_weight(const nn__plan *p, int tiles, int outs, const float *d, const float *v,
                           int add, float *du) {
    for (int c = 0; c < p->in_pad; c += NN__PANEL) {
        const int width = nn__min(NN__PANEL, p->in_pad - c);
        const nn__product q = {tiles, 1, p->out_pad, p->in_pad, p->in_pad, p->in_pad};
        nn__product_run(&q, outs, width / NN_VL, d, v + c, add ? du + c : NULL, du + c);
    }
}

/* ---- weights ---- */

/* Fills output channels k of one panel of U. Weights come from memory, not from a cache, so those
 * to come are asked for early; behind the last ones that does nothing. */
typedef void transform_fn(const nn__plan *p, const float *weight, nn__channels k, float *u);

/* Weights of output channels from k on at input channels from c on. */
static const float *weights_at(const nn__plan *p, const float *weight, int k, int c) {
    return weight + (int64_t)k * NN__TAPS * p->in + c;
}

/* block [c][tap][k] of the weights at (k, c), at most NN_VL channels of each; `ahead` are asked
 * for. */
static void turn_block(const nn__plan *p, const float *weight, int k, int c, const float *ahead,
                       float block[NN_VL][NN__TAPS][NN_VL]) {
    const int n_out = nn__min(NN_VL, p->out - k), n_in = nn__min(NN_VL, p->in - c);
    const int64_t next = (int64_t)NN__TAPS * p->in; /* from an output channel to the next */
    for (int t = 0; t < NN__TAPS; t++) {
        const int64_t tap = (int64_t)t * p->in;
        const float *from = weights_at(p, weight, k, c) + tap;
        nn_v row[NN_VL];
#pragma GCC unroll 16
        for (int q = 0; q < NN_VL; q++) {
            __builtin_prefetch(ahead + q * next + tap);
            row[q] = q < n_out ? nn_load_n(from + q * next, n_in) : (nn_v){0};
        }
        nn_transpose(row);
#pragma GCC unroll 16
        for (int i = 0; i < NN_VL; i++) nn_store(block[i][t], row[i]);
    }
}

/* From weight [out][3][3][in]: vectors run over out, the slow axis, so blocks of NN_VL x NN_VL
 * channels are transposed on the way. What lanes beyond `out` hold is never stored. */
static void transform_forward(const nn__plan *p, const float *weight, nn__channels own, float *u) {
    float block[NN_VL][NN__TAPS][NN_VL];
    for (int k = own.first; k < own.last; k += NN_VL)
        for (int c = 0; c < p->in; c += NN_VL) {
            const bool last = c + NN_VL >= p->in;
            turn_block(p, weight, k, c,
                       last ? weights_at(p, weight, k + NN_VL, 0)
                            : weights_at(p, weight, k, c + NN_VL),
                       block);
            for (int i = 0; i < nn__min(NN_VL, p->in - c); i++) {
                nn_v g[NN__TAPS];
#pragma GCC unroll 9
                for (int t = 0; t < NN__TAPS; t++) g[t] = nn_load(block[i][t]);
                nn__weight_tile(g, u + (int64_t)(c + i) * NN__PANEL + k % NN__PANEL, u_slice(p));
            }
        }
}

/* From the turned weights [in][3][3][out]: by data, `in` are the channels of dy. */
static void transform_backward(const nn__plan *p, const float *weight, nn__channels own, float *u) {
    for (int c = 0; c < p->in; c++)
        for (int k = own.first; k < own.last; k += NN_VL) {
            const float *from = weight + ((int64_t)c * NN__TAPS + NN__TAPS - 1) * p->out + k;
            nn_v g[NN__TAPS];
#pragma GCC unroll 9
            for (int t = 0; t < NN__TAPS; t++) {
                __builtin_prefetch(from + ((int64_t)2 * NN__TAPS - t) * p->out); /* c + 2 */
                g[t] = nn_load_n(from - (int64_t)t * p->out, p->out - k);
            }
            nn__weight_tile(g, u + (int64_t)c * NN__PANEL + k % NN__PANEL, u_slice(p));
        }
}

/* ---- forward and by data ---- */

typedef struct convolution {
    const nn__plan *p;
    transform_fn *transform;
    const float *weight, *ready; /* ready: U, or NULL */
    const nn_feed *in;
    const nn_sink *out;
    const nn_room *room;
    bool upward;    /* from the last row to the first */
    sx_deal *bands; /* not at once */
} convolution;

typedef struct convolution_room {
    float *sums; /* of each band of this member, whoever computes it: 2 doubles a channel */
    float *u;    /* all panels; at once, a panel */
    float *v, *m;
    float *patch, *ring, *target;
} convolution_room;

static int64_t band_sums_floats(const nn__plan *p) {
    return (int64_t)2 * p->out_pad * (int)(sizeof(double) / sizeof(float));
}

/* What others write into the room of one of n members; returns its floats. */
static int64_t convolution_carve_open(const nn__plan *p, int n, float *scratch,
                                      convolution_room *r) {
    carver c = {scratch, 0};
    r->sums = carve(&c, nn__most_bands(p, n) * band_sums_floats(p));
    return c.used;
}

/* All of it. */
static int64_t convolution_carve(const nn__plan *p, int n, float *scratch, convolution_room *r) {
    carver c = {scratch, convolution_carve_open(p, n, scratch, r)};
    r->u = carve(&c, (p->at_once ? 1 : panels(p)) * u_panel(p));
    r->v = carve(&c, NN__POINTS * p->in_slice);
    r->m = carve(&c, NN__POINTS * p->out_slice);
    r->patch = carve(&c, nn__patch_floats(p->in_pad));
    r->ring = carve(&c, nn__strip_floats(nn__strip_pad_w(p), p->in_pad));
    r->target = carve(&c, nn__target_floats(p));
    return c.used;
}

static convolution_room room_of(const convolution *c, int member) {
    convolution_room r;
    convolution_carve(c->p, sx_pool_threads(c->room->pool), nn_room_of(c->room, member), &r);
    return r;
}

static double *sums_of_band(const nn__plan *p, const convolution_room *r, int band) {
    return (double *)(void *)(r->sums + band * band_sums_floats(p));
}

/* What one member works with. */
typedef struct convolution_member {
    const convolution *c;
    const float *u;
    float *v, *m;
    nn__source in;
    nn__target out;
} convolution_member;

static void convolve_block(void *arg, nn__area a) {
    convolution_member *w = arg;
    const nn__plan *p = w->c->p;
    const nn__channels all = nn__all_channels(p);
    nn__load_inputs(&w->in, a, w->v);
    for (int i = 0; i < NN__POINTS; i++) {
        nn__target_ask(&w->out, a, i);
        for (int panel = 0; panel < panels(p); panel++)
            product_panel_of(p, nn__tiles(a), channels_of_panel(p, panel, all),
                             w->v + i * p->in_slice, w->u + panel * u_panel(p) + i * u_slice(p),
                             w->m + i * p->out_slice);
    }
    nn__store_outputs(&w->out, a, all, w->m);
}

static void make_u(const nn__plan *p, transform_fn *transform, const float *weight, float *u) {
    for (int panel = 0; panel < panels(p); panel++)
        transform(p, weight, channels_of_panel(p, panel, nn__all_channels(p)),
                  u + panel * u_panel(p));
}

/* A band of anybody's. A strip goes on from one band to the next, as one's own come. */
static void convolve_band(const sx_team *t, convolution_member *w, int owner, int piece) {
    const convolution *c = w->c;
    const int bands = nn__bands(c->p, t, owner), band = c->upward ? bands - 1 - piece : piece;
    const convolution_room r = room_of(c, owner);
    if (owner != t->id) w->in.strip.have = -NN__RING;
    nn__target_anew(&w->out, sums_of_band(c->p, &r, band));
    nn__each_block(c->p, nn__band(c->p, t, owner, band), convolve_block, w);
}

/* Some rows of tiles. */
static void convolve_in_blocks(const sx_team *t, convolution_member *w, float *u) {
    int owner, piece;
    if (nn__bands(w->c->p, t, t->id) == 0) return;
    if (!w->c->ready) make_u(w->c->p, w->c->transform, w->c->weight, u);
    w->u = w->c->ready ? w->c->ready : u;
    while (sx_deal_take(w->c->bands, t, &owner, &piece)) convolve_band(t, w, owner, piece);
}

/* Some output channels of the whole image. */
static void convolve_at_once(const sx_team *t, convolution_member *w, float *u) {
    const convolution *c = w->c;
    const nn__plan *p = c->p;
    const bool splits = nn__sink_splits(c->out);
    const nn__channels own = splits ? nn__own_channels(p, t) : nn__all_channels(p);
    if (own.first >= own.last || (!splits && t->id > 0)) return;
    const nn__area a = nn__whole(p);
    nn__load_inputs(&w->in, a, w->v);
    for (int panel = own.first / NN__PANEL; panel * NN__PANEL < own.last; panel++) {
        const nn__channels k = channels_of_panel(p, panel, own);
        const float *now = c->ready ? c->ready + panel * u_panel(p) : u;
        if (!c->ready) c->transform(p, c->weight, k, u);
        for (int i = 0; i < NN__POINTS; i++)
            product_panel_of(p, nn__tiles(a), k, w->v + i * p->in_slice, now + i * u_slice(p),
                             w->m + i * p->out_slice);
    }
    nn__store_outputs(&w->out, a, own, w->m);
}

/* Each channel is one member's, others have 0. */
static void gather_channels(const convolution *c, nn_moments to) {
    for (int id = 0; id < sx_pool_threads(c->room->pool); id++) {
        const convolution_room r = room_of(c, id);
        nn__moments_add(to, nn__target_at(c->p, c->out, r.target).all, c->p->out);
    }
}

/* Sums through a gate are plain sums. */
static void gather_bands(const convolution *c, nn_moments to) {
    const int members = sx_pool_threads(c->room->pool), out = c->p->out;
    int64_t n = 0;
    for (int id = 0; id < members; id++) {
        const sx_team t = {id, members, c->room->pool};
        const convolution_room r = room_of(c, id);
        for (int band = 0; band < nn__bands(c->p, &t, id); band++) {
            double *sums = sums_of_band(c->p, &r, band);
            const nn_moments part = {sums, sums + c->p->out_pad};
            const int64_t n_part = nn__pixels_in(c->p, nn__band(c->p, &t, id, band));
            if (c->out->gate)
                nn__moments_add(to, part, out);
            else
                nn__moments_merge(to, n, part, n_part, out);
            n += n_part;
        }
    }
}

/* Of the whole image, in an order that does not depend on who was faster. */
static void gather_sums(const convolution *c) {
    const nn_gate *gate = c->out->gate;
    const nn_moments to = gate ? (nn_moments){gate->sum, gate->sum_x} : c->out->moments;
    if (to.mean == NULL) return;
    memset(to.mean, 0, (size_t)c->p->out * sizeof *to.mean);
    memset(to.m2, 0, (size_t)c->p->out * sizeof *to.m2);
    (c->p->at_once ? gather_channels : gather_bands)(c, to);
}

static void convolve_member(const sx_team *t, void *arg) {
    const convolution *c = arg;
    const convolution_room r = room_of(c, t->id);
    convolution_member w = {.c = c,
                            .v = r.v,
                            .m = r.m,
                            .in = nn__source_of_feed(c->p, c->in, r.patch, r.ring),
                            .out = nn__target_at(c->p, c->out, r.target)};
    nn__target_start(&w.out);
    (c->p->at_once ? convolve_at_once : convolve_in_blocks)(t, &w, r.u);
}

static void deal_bands(convolution *c, sx_deal *bands) {
    const int members = sx_pool_threads(c->room->pool);
    c->bands = bands;
    for (int id = 0; id < members; id++)
        sx_deal_give(c->bands, id, nn__bands(c->p, &(sx_team){id, members, c->room->pool}, id));
}

static void convolve(convolution *c) {
    sx_deal bands;
    deal_bands(c, &bands);
    sx_pool_run(c->room->pool, convolve_member, c);
    gather_sums(c);
}

static void forward(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                    const float *ready, const nn_sink *y, const nn_room *r) {
    const nn__plan p = nn__plan_make(s->h, s->w, s->c, s->k);
    convolution c = {&p, transform_forward, weight, ready, x, y, r, false, NULL};
    convolve(&c);
}

/* Upward, as it comes after the gradient of the weights and before the second pass of a norm, both
 * of which go downward over the same images: it begins with what is still in the caches, and so
 * does what follows. */
static convolution by_data(const nn__plan *p, const nn_feed *dy, const float *weight,
                           const nn_sink *dx, const nn_room *r) {
    return (convolution){p, transform_backward, weight, NULL, dy, dx, r, true, NULL};
}

static void backward_data(const nn_conv_shape *s, const float *dy, const float *weight,
                          const nn_sink *dx, const nn_room *r) {
    const nn__plan p = nn__plan_make(s->h, s->w, s->k, s->c);
    const nn_feed in = nn_feed_plain(dy, s->k);
    convolution c = by_data(&p, &in, weight, dx, r);
    convolve(&c);
}

static int64_t ready_floats(const nn_conv_shape *s) {
    const nn__plan p = nn__plan_make(s->h, s->w, s->c, s->k);
    return panels(&p) * u_panel(&p);
}

static void prepare(const nn_conv_shape *s, const float *weight, float *ready) {
    const nn__plan p = nn__plan_make(s->h, s->w, s->c, s->k);
    make_u(&p, transform_forward, weight, ready);
}

/* ---- by weight ---- */

typedef struct weight_gradient {
    const nn__plan *p;
    const nn_feed *x;
    const float *dy;
    float *dweight, *dbias;
    const nn_room *room;
    int64_t taken; /* floats of each member's room, behind what it keeps, that others write */
} weight_gradient;

typedef struct weight_room {
    float *dbias, *dweight; /* of this member's blocks; the first one has the result for dweight */
    float *du;              /* at once: OUTS output channels at a time */
    float *v, *d;
    float *patch, *ring;
} weight_room;

static int64_t du_slice(const nn__plan *p) {
    const int outs = p->at_once ? nn__min(OUTS, p->out) : p->out;
    return (int64_t)outs * p->in_pad + NN__SLICE_PAD;
}

static int64_t dweight_floats(const nn__plan *p) {
    return (int64_t)p->out * NN__TAPS * p->in;
}

/* What stays in the room of one of n members until all are through; returns its floats. */
static int64_t weight_carve_kept(const nn__plan *p, int n, float *scratch, weight_room *r) {
    carver c = {scratch, 0};
    r->dbias = carve(&c, p->out);
    r->dweight = carve(&c, n > 1 && !p->at_once ? dweight_floats(p) : 0);
    return c.used;
}

/* All of it. */
static int64_t weight_carve(const nn__plan *p, int n, int64_t taken, float *scratch,
                            weight_room *r) {
    carver c = {scratch, weight_carve_kept(p, n, scratch, r) + taken};
    r->du = carve(&c, NN__POINTS * du_slice(p));
    r->v = carve(&c, NN__POINTS * p->in_slice);
    r->d = carve(&c, NN__POINTS * p->out_slice);
    r->patch = carve(&c, nn__patch_floats(p->in_pad > p->out_pad ? p->in_pad : p->out_pad));
    r->ring = carve(&c, nn__strip_floats(nn__strip_pad_w(p), p->in_pad));
    return c.used;
}

/* dweight [outs][3][3][in] (+)= G^T dU G, dU [point][outs][in_pad]. */
static void put_weight_gradient(const nn__plan *p, int outs, const float *du, bool add,
                                float *dweight) {
    for (int k = 0; k < outs; k++)
        for (int c = 0; c < p->in; c += NN_VL) {
            nn_v g[NN__TAPS];
            nn__weight_gradient_tile(du + (int64_t)k * p->in_pad + c, du_slice(p), g);
#pragma GCC unroll 9
            for (int t = 0; t < NN__TAPS; t++) {
                float *to = dweight + ((int64_t)k * NN__TAPS + t) * p->in + c;
                if (add) g[t] += nn_load_n(to, p->in - c);
                nn_store_n(to, g[t], p->in - c);
            }
        }
}

/* What one member works with. */
typedef struct weight_member {
    const weight_gradient *g;
    weight_room r;
    nn__source x, dy;
    int add; /* whether dU holds blocks already */
} weight_member;

/* The point (1, 1) of A dy A^T is the sum over the tile: dbias comes with the transform. */
static const float *tile_sums(const nn__plan *p, const float *d) {
    return d + (NN__WINDOW + 1) * p->out_slice;
}

static void weight_block(void *arg, nn__area a) {
    weight_member *w = arg;
    const nn__plan *p = w->g->p;
    const int n = nn__tiles(a);
    nn__load_inputs(&w->x, a, w->r.v);
    nn__load_gradients(&w->dy, a, nn__all_channels(p), w->r.d);
    nn__column_sums(tile_sums(p, w->r.d), n, p->out, p->out_pad, w->r.dbias);
    for (int i = 0; i < NN__POINTS; i++)
        product_weight(p, n, p->out, w->r.d + i * p->out_slice, w->r.v + i * p->in_slice, w->add,
                       w->r.du + i * du_slice(p));
    w->add = 1;
}

/* Of output channels k0 .. k1-1, the other members' dweight in their order. */
static void gather_dweight(const weight_gradient *g, const sx_team *t, int k0, int k1) {
    const int64_t row = (int64_t)NN__TAPS * g->p->in;
    for (int id = 1; id < t->n; id++) {
        weight_room from;
        weight_carve_kept(g->p, t->n, nn_room_of(g->room, id), &from);
        for (int64_t i = k0 * row; i < k1 * row; i++) g->dweight[i] += from.dweight[i];
    }
}

static void gather_dbias(const weight_gradient *g, const sx_team *t) {
    for (int id = 0; id < t->n; id++) {
        weight_room r;
        weight_carve_kept(g->p, t->n, nn_room_of(g->room, id), &r);
        for (int k = 0; k < g->p->out; k++) g->dbias[k] += r.dbias[k];
    }
}

/* Some rows of tiles. Members add up what is transformed already, which is a quarter of dU. */
static void weight_in_blocks(const sx_team *t, weight_member *w) {
    const weight_gradient *g = w->g;
    const nn__plan *p = g->p;
    float *dweight = t->id == 0 ? g->dweight : w->r.dweight;
    memset(w->r.dbias, 0, (size_t)p->out * sizeof *w->r.dbias);
    for (int band = 0; band < nn__bands(p, t, t->id); band++)
        nn__each_block(p, nn__band(p, t, t->id, band), weight_block, w);
    if (w->add)
        put_weight_gradient(p, p->out, w->r.du, t->id == 0, dweight);
    else if (t->id > 0)
        memset(dweight, 0, (size_t)dweight_floats(p) * sizeof *dweight);
}

/* When all are through with theirs. */
static void gather_weight(const sx_team *t, const weight_gradient *g) {
    if (g->p->at_once) return;
    sx_team_barrier(t);
    if (t->n > 1)
        gather_dweight(g, t, (int)sx_team_first(t, g->p->out, t->id),
                       (int)sx_team_first(t, g->p->out, t->id + 1));
    if (t->id == 0) gather_dbias(g, t);
}

/* Some output channels of the whole image. */
static void weight_at_once(const sx_team *t, weight_member *w) {
    const nn__plan *p = w->g->p;
    const nn__area a = nn__whole(p);
    const nn__channels own = nn__own_channels(p, t);
    const int tiles = nn__tiles(a), last = nn__min(own.last, p->out);
    if (own.first >= last) return;
    nn__load_inputs(&w->x, a, w->r.v);
    nn__load_gradients(&w->dy, a, own, w->r.d);
    for (int k = own.first; k < last; k += OUTS) {
        const int n = nn__min(OUTS, last - k);
        for (int i = 0; i < NN__POINTS; i++)
            product_weight(p, tiles, n, w->r.d + i * p->out_slice + k, w->r.v + i * p->in_slice, 0,
                           w->r.du + i * du_slice(p));
        put_weight_gradient(p, n, w->r.du, true, w->g->dweight + (int64_t)k * NN__TAPS * p->in);
    }
    nn__column_sums(tile_sums(p, w->r.d) + own.first, tiles, last - own.first, p->out_pad,
                    w->g->dbias + own.first);
}

static void weight_share(const sx_team *t, const weight_gradient *g) {
    const nn__plan *p = g->p;
    weight_member w = {.g = g};
    weight_carve(p, t->n, g->taken, nn_room_of(g->room, t->id), &w.r);
    w.x = nn__source_of_feed(p, g->x, w.r.patch, w.r.ring);
    w.dy = nn__source_of_image(p, g->dy, p->out, NN__TILE, w.r.patch);
    (p->at_once ? weight_at_once : weight_in_blocks)(t, &w);
}

static void weight_member_run(const sx_team *t, void *arg) {
    weight_share(t, arg);
    gather_weight(t, arg);
}

static void backward_weight(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                            float *dweight, float *dbias, const nn_room *r) {
    const nn__plan p = nn__plan_make(s->h, s->w, s->c, s->k);
    weight_gradient g = {&p, x, dy, dweight, dbias, r, 0};
    sx_pool_run(r->pool, weight_member_run, &g);
}

/* ---- both ---- */

/* Members do their shares of the gradient of the weights, which are their own, and go on by data
 * without waiting, where others take over from who is late: then, too, while he is at the weights.
 */
typedef struct backward_pass {
    weight_gradient weight;
    convolution data;
} backward_pass;

static void backward_member(const sx_team *t, void *arg) {
    backward_pass *b = arg;
    weight_share(t, &b->weight);
    convolve_member(t, &b->data);
    gather_weight(t, &b->weight);
}

static bool backward(const nn_conv_shape *s, const nn_feed *x, const float *dy, const float *weight,
                     const nn_sink *dx, float *dweight, float *dbias, const nn_room *r) {
    if (!takes(s)) return false;
    const nn__plan there = nn__plan_make(s->h, s->w, s->c, s->k);
    const nn__plan back = nn__plan_make(s->h, s->w, s->k, s->c);
    const nn_feed in = nn_feed_plain(dy, s->k);
    const int members = sx_pool_threads(r->pool);
    weight_room kept;
    convolution_room open;
    const int64_t behind = weight_carve_kept(&there, members, NULL, &kept);
    const int64_t taken = convolution_carve_open(&back, members, NULL, &open);
    const nn_room rest = {r->scratch + behind, r->each, r->pool};
    sx_deal bands;
    backward_pass b = {.weight = {&there, x, dy, dweight, dbias, r, taken},
                       .data = by_data(&back, &in, weight, dx, &rest)};
    deal_bands(&b.data, &bands);
    sx_pool_run(r->pool, backward_member, &b);
    gather_sums(&b.data);
    return true;
}

static int64_t scratch_floats(const nn_conv_shape *s, int threads) {
    const nn__plan there = nn__plan_make(s->h, s->w, s->c, s->k);
    const nn__plan back = nn__plan_make(s->h, s->w, s->k, s->c);
    convolution_room c;
    weight_room w;
    const int64_t taken = convolution_carve_open(&back, threads, NULL, &c);
    const int64_t need[3] = {convolution_carve(&there, threads, NULL, &c),
                             weight_carve_kept(&there, threads, NULL, &w) +
                                 convolution_carve(&back, threads, NULL, &c),
                             weight_carve(&there, threads, taken, NULL, &w)};
    int64_t most = need[0];
    for (int i = 1; i < 3; i++) most = need[i] > most ? need[i] : most;
    return most;
}

/* ---- the table ---- */

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define THIS JOIN(nn__isa_, NN_WINO_ISA)

/* The family of a shape; NULL: blas. */
static const nn__family *family_of(const nn_conv_shape *s) {
    for (int i = 0; i < NN__FAMILIES; i++)
        if (THIS.family[i].takes(s)) return &THIS.family[i];
    return nn__blas_feed.takes(s) ? &nn__blas_feed : NULL;
}

static bool table_fuses(const nn_conv_shape *s) {
    const nn__family *f = family_of(s);
    return f && f->fuses;
}

static bool table_gates(const nn_conv_shape *s) {
    const nn__family *f = family_of(s);
    return f && f->gates;
}

static int64_t table_scratch(const nn_conv_shape *s, int threads) {
    const nn__family *f = family_of(s);
    return (f ? f->scratch : nn__kernels_blas()->conv_scratch)(s, threads);
}

static void table_forward(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                          const float *ready, const nn_sink *y, const nn_room *r) {
    const nn__family *f = family_of(s);
    (f ? f->forward : nn__kernels_blas()->conv_forward)(s, x, weight, ready, y, r);
}

static void table_backward_data(const nn_conv_shape *s, const float *dy, const float *weight,
                                const nn_sink *dx, const nn_room *r) {
    const nn__family *f = family_of(s);
    (f ? f->backward_data : nn__kernels_blas()->conv_backward_data)(s, dy, weight, dx, r);
}

static void table_backward_weight(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                                  float *dweight, float *dbias, const nn_room *r) {
    const nn__family *f = family_of(s);
    (f ? f->backward_weight : nn__kernels_blas()->conv_backward_weight)(s, x, dy, dweight, dbias,
                                                                        r);
}

static int64_t table_ready(const nn_conv_shape *s) {
    const nn__family *f = family_of(s);
    return f && f->ready ? f->ready(s) : 0;
}

static void table_prepare(const nn_conv_shape *s, const float *weight, float *ready) {
    const nn__family *f = family_of(s);
    if (f && f->prepare) f->prepare(s, weight, ready);
}

const nn__isa THIS = {
    TEXT(NN_WINO_ISA),
    {
        .name = "wino",
        .isa = TEXT(NN_WINO_ISA),
        .conv_fuses = table_fuses,
        .conv_gates = table_gates,
        .conv_scratch = table_scratch,
        .conv_forward = table_forward,
        .conv_backward_data = table_backward_data,
        .conv_backward_weight = table_backward_weight,
        .conv_backward = backward,
        .conv_ready = table_ready,
        .conv_prepare = table_prepare,
        .gemm = nn__gemm,
    },
    {
        {"winograd", takes, true, true, scratch_floats, forward, backward_data, backward_weight,
         ready_floats, prepare},
        {"thin out", nn__thin_out_takes, true, true, nn__thin_out_scratch, nn__thin_out_forward,
         nn__thin_out_backward_data, nn__thin_out_backward_weight, NULL, NULL},
        {"thin", nn__is_thin, false, false, nn__thin_scratch, nn__thin_forward,
         nn__thin_backward_data, nn__thin_backward_weight, NULL, NULL},
        {"pointwise", nn__pointwise_takes, true, false, nn__pointwise_scratch,
         nn__pointwise_forward, nn__pointwise_backward_data, nn__pointwise_backward_weight, NULL,
         NULL},
    },
};
