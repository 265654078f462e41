/* How Winograd goes through an image: geometry, and the way from an image to tiles and back.
 *
 * The output is cut into tiles of 4x4; tiles go through in blocks whose transformed inputs V and
 * products M stay in the L2 cache. A block is some whole rows of tiles, or a piece of one row where
 * the image is wide. Any image size works: windows that reach over the border are read from a strip
 * or a patch with zeros around, tiles that do are stored in part. Channels are padded to whole
 * vectors.
 *
 * Static and included by each file that is compiled for its own instruction set. */
#ifndef NN_KERNELS_BLOCKS_H
#define NN_KERNELS_BLOCKS_H

#include <string.h>

#include "model/nn_kernels_strip.h"
#include "model/nn_kernels_tiles.h"
#include "model/nn_moments.h"

enum {
    NN__SLICE_PAD = 16, /* floats between slices, so that they do not share cache sets */
    /* V and M of one block: 1.2 MB, about an L2 cache. The optimum is flat from 0.6 to 1.5 MB. */
    NN__BLOCK_FLOATS = 304 * 1024,
};

static inline int nn__round_up(int n, int step) {
    return (n + step - 1) / step * step;
}

static inline int nn__min(int a, int b) {
    return a < b ? a : b;
}

/* ---- geometry ---- */

/* One direction of one convolution: `in` channels are read, `out` channels are written. */
typedef struct nn__plan {
    int h, w, in, out;
    int in_pad, out_pad;         /* whole vectors */
    int tiles_y, tiles_x;        /* rows of tiles, tiles in a row */
    bool at_once;                /* threads share output channels, each of all tiles */
    int band, piece;             /* of a block: rows of tiles, tiles in each */
    int64_t in_slice, out_slice; /* floats of one point of a block */
} nn__plan;

/* A block, or a part of one: ny rows of nx tiles. */
typedef struct nn__area {
    int ty, tx, ny, nx;
} nn__area;

static nn__plan nn__plan_make(int h, int w, int in, int out) {
    nn__plan p = {.h = h, .w = w, .in = in, .out = out};
    p.in_pad = nn__round_up(in, NN_VL);
    p.out_pad = nn__round_up(out, NN_VL);
    p.tiles_y = (h + NN__TILE - 1) / NN__TILE;
    p.tiles_x = (w + NN__TILE - 1) / NN__TILE;
    const int fits = NN__BLOCK_FLOATS / (NN__POINTS * (p.in_pad + p.out_pad));
    const int most = fits > 1 ? fits : 1, tiles = p.tiles_y * p.tiles_x;
    /* One block, even if it is a little large, where V of all tiles, which each thread makes then,
     * is less work than U of all output channels: a tile takes about three times as long. */
    p.at_once = 2 * tiles <= 3 * most && 3 * tiles <= out;
    if (p.at_once) {
        p.band = p.tiles_y;
        p.piece = p.tiles_x;
    } else if (p.tiles_x <= most) {
        const int rows = nn__min(most / p.tiles_x, p.tiles_y);
        const int bands = (p.tiles_y + rows - 1) / rows; /* of equal size */
        p.band = (p.tiles_y + bands - 1) / bands;
        p.piece = p.tiles_x;
    } else {
        const int pieces = (p.tiles_x + most - 1) / most;
        p.band = 1;
        p.piece = (p.tiles_x + pieces - 1) / pieces;
    }
    p.in_slice = (int64_t)p.band * p.piece * p.in_pad + NN__SLICE_PAD;
    p.out_slice = (int64_t)p.band * p.piece * p.out_pad + NN__SLICE_PAD;
    return p;
}

static inline nn__area nn__whole(const nn__plan *p) {
    return (nn__area){0, 0, p->tiles_y, p->tiles_x};
}

static inline int nn__tiles(nn__area a) {
    return a.ny * a.nx;
}

/* Output channels first .. last-1, whole vectors. */
typedef struct nn__channels {
    int first, last;
} nn__channels;

static inline nn__channels nn__all_channels(const nn__plan *p) {
    return (nn__channels){0, p->out_pad};
}

/* A member's share. */
static inline nn__channels nn__own_channels(const nn__plan *p, const sx_team *t) {
    const int vectors = p->out_pad / NN_VL;
    return (nn__channels){NN_VL * (int)sx_team_first(t, vectors, t->id),
                          NN_VL * (int)sx_team_first(t, vectors, t->id + 1)};
}

/* Bands of a member's share of the rows of tiles. */
static inline int nn__bands(const nn__plan *p, const sx_team *t, int member) {
    const int first = (int)sx_team_first(t, p->tiles_y, member);
    const int rows = (int)sx_team_first(t, p->tiles_y, member + 1) - first;
    return (rows + p->band - 1) / p->band;
}

/* The most that a member has. */
static inline int nn__most_bands(const nn__plan *p, int members) {
    return ((p->tiles_y + members - 1) / members + p->band - 1) / p->band;
}

/* One of them, as wide as the image. */
static nn__area nn__band(const nn__plan *p, const sx_team *t, int member, int band) {
    const int first = (int)sx_team_first(t, p->tiles_y, member);
    const int rows = (int)sx_team_first(t, p->tiles_y, member + 1) - first;
    const int bands = nn__bands(p, t, member), size = rows / bands, larger = rows % bands;
    return (nn__area){first + band * size + nn__min(band, larger), 0, size + (band < larger),
                      p->tiles_x};
}

typedef void nn__block_fn(void *arg, nn__area a);

/* Calls each block of a band. */
static void nn__each_block(const nn__plan *p, nn__area band, nn__block_fn *fn, void *arg) {
    for (int tx = 0; tx < p->tiles_x; tx += p->piece)
        fn(arg, (nn__area){band.ty, tx, band.ny, nn__min(p->piece, p->tiles_x - tx)});
}

/* Pixels of the image in an area. */
static inline int64_t nn__pixels_in(const nn__plan *p, nn__area a) {
    const int h = nn__min(p->h - a.ty * NN__TILE, a.ny * NN__TILE);
    const int w = nn__min(p->w - a.tx * NN__TILE, a.nx * NN__TILE);
    return (int64_t)h * w;
}

/* ---- from an image to windows ---- */

/* Windows of `size` pixels a side (those of inputs or those of tiles), from a stored image, a patch
 * with zeros around, or a strip. */
typedef struct nn__source {
    const nn__plan *p;
    int c, pad, size;
    const float *x;  /* stored image [h][w][c], or NULL: the strip */
    nn__strip strip; /* of inputs only */
    float *patch;    /* [size][size][pad] */
} nn__source;

static inline int64_t nn__patch_floats(int pad) {
    return (int64_t)NN__WINDOW * NN__WINDOW * pad;
}

static inline int nn__strip_pad_w(const nn__plan *p) {
    return p->tiles_x * NN__TILE + NN__WINDOW - NN__TILE;
}

static nn__source nn__source_of_image(const nn__plan *p, const float *x, int c, int size,
                                      float *patch) {
    return (nn__source){p, c, nn__round_up(c, NN_VL), size, x, {0}, patch};
}

/* Inputs: a stored image where the feed is plain. */
static nn__source nn__source_of_feed(const nn__plan *p, const nn_feed *f, float *patch,
                                     float *ring) {
    if (nn_feed_is_plain(f)) return nn__source_of_image(p, f->x[0], p->in, NN__WINDOW, patch);
    nn__source s = {p, p->in, p->in_pad, NN__WINDOW, NULL, {0}, patch};
    s.strip = (nn__strip){f, p->h, p->w, nn__strip_pad_w(p), p->in, p->in_pad, -NN__RING, ring};
    return s;
}

/* The patch of an image from (i, j), zero outside and in the padding. */
static void nn__patch_load(const nn__source *s, int i0, int j0) {
    memset(s->patch, 0, (size_t)(s->size * s->size) * (size_t)s->pad * sizeof *s->patch);
    for (int r = 0; r < s->size; r++)
        for (int q = 0; q < s->size; q++) {
            const int i = i0 + r, j = j0 + q;
            if (i >= 0 && j >= 0 && i < s->p->h && j < s->p->w)
                memcpy(s->patch + (int64_t)(r * s->size + q) * s->pad,
                       s->x + ((int64_t)i * s->p->w + j) * s->c, (size_t)s->c * sizeof *s->x);
        }
}

/* The window of tile (ty, tx), which the next call may overwrite. */
static inline nn__pixels nn__window(nn__source *s, int ty, int tx) {
    const int border = (s->size - NN__TILE) / 2;
    const int i = ty * NN__TILE - border, j = tx * NN__TILE - border;
    nn__pixels d = {.column = s->pad};
    if (s->x == NULL) {
        if (s->strip.have < i + NN__RING) nn__strip_advance(&s->strip, i, i + NN__RING);
        for (int r = 0; r < s->size; r++)
            d.row[r] = nn__strip_row(&s->strip, i + r) + (int64_t)(j + 1) * s->pad;
    } else if (s->c == s->pad && i >= 0 && j >= 0 && i + s->size <= s->p->h &&
               j + s->size <= s->p->w) {
        for (int r = 0; r < s->size; r++) d.row[r] = s->x + ((int64_t)(i + r) * s->p->w + j) * s->c;
    } else {
        nn__patch_load(s, i, j);
        for (int r = 0; r < s->size; r++) d.row[r] = s->patch + (int64_t)r * s->size * s->pad;
    }
    return d;
}

/* Transformed inputs of an area: v [point][tile][pad]. */
static void nn__load_inputs(nn__source *s, nn__area a, float *v) {
    for (int t = 0; t < nn__tiles(a); t++) {
        const nn__pixels d = nn__window(s, a.ty + t / a.nx, a.tx + t % a.nx);
        float *to = v + (int64_t)t * s->pad;
        for (int c = 0; c < s->pad; c += NN_VL) nn__input_tile(&d, c, to + c, s->p->in_slice);
    }
}

/* Transformed gradients of some channels: d [point][tile][pad]. */
static void nn__load_gradients(nn__source *s, nn__area a, nn__channels k, float *d) {
    for (int t = 0; t < nn__tiles(a); t++) {
        const nn__pixels dy = nn__window(s, a.ty + t / a.nx, a.tx + t % a.nx);
        float *to = d + (int64_t)t * s->pad;
        for (int c = k.first; c < k.last; c += NN_VL)
            nn__gradient_tile(&dy, c, to + c, s->p->out_slice);
    }
}

/* ---- from products to an image ---- */

/* Asks for part `step` of NN__POINTS of what an image [h][w][c] holds in an area, so that it comes
 * from memory while products are computed, which need little of it. */
static void nn__ask_for(const nn__plan *p, nn__area a, const float *x, int c, int step) {
    enum { LINE = 16 }; /* floats */
    const int i = a.ty * NN__TILE, j = a.tx * NN__TILE;
    const int rows = nn__min(p->h - i, a.ny * NN__TILE), w = nn__min(p->w - j, a.nx * NN__TILE);
    const int lines = w * c / LINE; /* of a row */
    const int last = rows * lines * (step + 1) / NN__POINTS;
    x += ((int64_t)i * p->w + j) * c;
    for (int l = rows * lines * step / NN__POINTS; l < last;) {
        const int row = l / lines, end = nn__min(last, (row + 1) * lines);
        const float *from = x + (int64_t)row * p->w * c;
        for (int q = l - row * lines; l < end; l++, q++) __builtin_prefetch(from + q * LINE, 0, 2);
    }
}

/* One member's way to the sink, and the moments of what it stored. */
typedef struct nn__target {
    const nn__plan *p;
    const nn_sink *sink;
    float *shift, *sum, *sum2; /* [out_pad], since the last merge */
    nn_moments all, part;      /* [out_pad] */
    int64_t *n;                /* pixels in `all` */
} nn__target;

enum { NN__TARGET_FLOATS = 3 + 4 * 2 }; /* a channel; the doubles count twice */

static inline int64_t nn__target_floats(const nn__plan *p) {
    return (int64_t)NN__TARGET_FLOATS * p->out_pad + 2;
}

/* A target in its room, 64-byte aligned. */
static nn__target nn__target_at(const nn__plan *p, const nn_sink *sink, float *room) {
    const int n = p->out_pad;
    double *d = (double *)(void *)room;
    float *f = room + (int64_t)4 * 2 * n;
    int64_t *count = (int64_t *)(void *)(f + (int64_t)3 * n); /* n is even */
    return (nn__target){p, sink, f, f + n, f + 2 * n, {d, d + n}, {d + 2 * n, d + 3 * n}, count};
}

static void nn__target_start(nn__target *g) {
    memset(g->all.mean, 0, (size_t)nn__target_floats(g->p) * sizeof(float));
}

/* Sums of their own for what comes now, in `room`: 2 doubles a channel. */
static void nn__target_anew(nn__target *g, double *room) {
    g->all = (nn_moments){room, room + g->p->out_pad};
    memset(room, 0, 2 * (size_t)g->p->out_pad * sizeof *room);
    *g->n = 0;
}

/* Asks for part `step` of what an area's sink reads. */
static void nn__target_ask(const nn__target *g, nn__area a, int step) {
    const nn_sink *s = g->sink;
    const float *const *x = s->gate ? s->gate->feed->x : s->residual;
    for (int part = 0; part < 2 && s->y[part] != NULL; part++)
        if (x[part]) nn__ask_for(g->p, a, x[part], s->c[part], step);
}

/* Sums that went through a gate: those of all members, one after the other. */
static inline void nn__gate_clear(const nn_gate *gate, int c) {
    memset(gate->sum, 0, (size_t)c * sizeof *gate->sum);
    memset(gate->sum_x, 0, (size_t)c * sizeof *gate->sum_x);
}

static inline void nn__gate_add(const nn_gate *gate, const nn__target *g) {
    for (int k = 0; k < g->p->out; k++) {
        gate->sum[k] += g->all.mean[k];
        gate->sum_x[k] += g->all.m2[k];
    }
}

/* One vector of channels on its way: what is added to it, what it is multiplied with in a gate, and
 * its sums: of y - shift and its square, or of y and y (x - shift). */
typedef struct nn__lanes {
    nn_v bias, gain, offset, shift, sum, sum2;
} nn__lanes;

/* What a sink asks for; constants in every call. */
typedef struct nn__sink_steps {
    int residual, moments, gate, mask;
} nn__sink_steps;

/* Where `n` channels of a tile go: to y, `row` and `column` floats apart. */
typedef struct nn__place {
    float *y;
    const float *residual, *x; /* x: of the gate */
    int64_t row, column;
    int rows, columns, n; /* what lies in the image; channels */
    const nn_mask *mask;
    uint32_t element, mask_row, mask_column;
} nn__place;

/* silu'(u) = s (1 + u (1 - s)) */
NN_INLINE nn_v nn__silu_slope(nn_v u) {
    const nn_v s = nn_sigmoid(u);
    return s * (1.0f + u * (1.0f - s));
}

/* Value (i, j) of a tile. */
NN_INLINE void nn__finish(const nn__place *to, nn__lanes *l, const nn__sink_steps s, nn_v v, int i,
                          int j, int n, int first) {
    const int64_t at = i * to->row + j * to->column;
    if (s.gate) {
        const nn_v x = nn_load_n(to->x + at, n);
        v *= nn__silu_slope(x * l->gain + l->offset);
        if (s.mask)
            v *= nn__feed_mask(to->mask, to->element + (uint32_t)i * to->mask_row +
                                             (uint32_t)j * to->mask_column);
        l->sum += v;
        l->sum2 += v * (x - l->shift);
    } else {
        v += l->bias;
        if (s.residual) v += nn_load_n(to->residual + at, n);
        if (s.moments) {
            if (i == 0 && j == 0 && first) l->shift = v; /* any value near the others will do */
            const nn_v d = v - l->shift;
            l->sum += d;
            l->sum2 += d * d;
        }
    }
    nn_store_n(to->y + at, v, n);
}

/* A tile that lies in the image with a whole vector of channels. */
NN_INLINE void nn__store_tile(const nn__place *to, const nn__sink_steps s, const float *m,
                              int64_t slice, int first, nn__lanes *l) {
    nn_v t[6][4];
    nn__output_columns(m, slice, t);
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        nn_v o[4];
        nn__output_row(t, i, o);
#pragma GCC unroll 8
        for (int j = 0; j < 4; j++) nn__finish(to, l, s, o[j], i, j, NN_VL, first);
    }
}

/* The part of a tile that lies in the image. */
NN_INLINE void nn__store_part(const nn__place *to, const nn__sink_steps s, const float *m,
                              int64_t slice, int first, nn__lanes *l) {
    nn_v t[6][4];
    nn__output_columns(m, slice, t);
    for (int i = 0; i < to->rows; i++) {
        nn_v o[4];
        nn__output_row(t, i, o);
        for (int j = 0; j < to->columns; j++) nn__finish(to, l, s, o[j], i, j, to->n, first);
    }
}

NN_INLINE nn__lanes nn__lanes_load(const nn__target *g, const nn__sink_steps s, int k, int n) {
    nn__lanes l = {.bias = nn_set1(0)};
    if (g->sink->bias) l.bias = nn_load_n(g->sink->bias + k, n);
    if (s.gate) {
        l.gain = nn_load_n(g->sink->gate->feed->gain + k, n);
        l.offset = nn_load_n(g->sink->gate->feed->offset + k, n);
        l.shift = nn_load_n(g->sink->gate->mean + k, n);
    }
    if (s.moments) l.shift = nn_load(g->shift + k);
    if (s.moments || s.gate) {
        l.sum = nn_load(g->sum + k);
        l.sum2 = nn_load(g->sum2 + k);
    }
    return l;
}

NN_INLINE void nn__lanes_store(const nn__target *g, const nn__sink_steps s, int k, int n,
                               const nn__lanes *l) {
    if (s.moments) nn_store_n(g->shift + k, l->shift, n);
    if (s.moments || s.gate) {
        nn_store_n(g->sum + k, l->sum, n);
        nn_store_n(g->sum2 + k, l->sum2, n);
    }
}

/* One tile from (i, j), m [point][tile][out_pad]. */
NN_INLINE void nn__store_channels(const nn__target *g, const nn__sink_steps s, nn__channels own,
                                  int i, int j, int first, const float *m) {
    const nn__plan *p = g->p;
    const nn_sink *sink = g->sink;
    const int64_t pixel = (int64_t)i * p->w + j;
    for (int part = 0, k0 = 0; part < 2 && sink->y[part] != NULL; k0 += sink->c[part++]) {
        const int c = sink->c[part];
        nn__place to = {.row = (int64_t)p->w * c,
                        .column = c,
                        .rows = nn__min(NN__TILE, p->h - i),
                        .columns = nn__min(NN__TILE, p->w - j)};
        if (s.mask) {
            to.mask = &sink->gate->feed->mask;
            to.mask_column = (uint32_t)p->out;
            to.mask_row = (uint32_t)p->w * to.mask_column;
        }
        const int whole = to.rows == NN__TILE && to.columns == NN__TILE;
        for (int k = 0; k < c; k += NN_VL) {
            if (k0 + k < own.first || k0 + k >= own.last) continue;
            to.n = nn__min(NN_VL, c - k);
            to.y = sink->y[part] + pixel * c + k;
            if (s.residual) to.residual = sink->residual[part] + pixel * c + k;
            if (s.gate) to.x = sink->gate->feed->x[part] + pixel * c + k;
            if (s.mask) to.element = (uint32_t)(pixel * p->out + k0 + k);
            nn__lanes l = nn__lanes_load(g, s, k0 + k, to.n);
            if (whole && to.n == NN_VL)
                nn__store_tile(&to, s, m + k0 + k, p->out_slice, first, &l);
            else
                nn__store_part(&to, s, m + k0 + k, p->out_slice, first, &l);
            nn__lanes_store(g, s, k0 + k, to.n, &l);
        }
    }
}

/* The sums of n pixels join those of the image. */
static void nn__merge(nn__target *g, int64_t n) {
    const int c = g->p->out;
    if (g->sink->gate) {
        for (int k = 0; k < c; k++) {
            g->all.mean[k] += (double)g->sum[k];
            g->all.m2[k] += (double)g->sum2[k];
        }
    } else {
        nn__moments_of_sums(g->part, g->shift, g->sum, g->sum2, n, c);
        nn__moments_merge(g->all, *g->n, g->part, n, c);
        *g->n += n;
        for (int k = 0; k < c; k++) g->shift[k] = (float)g->all.mean[k]; /* of pixels to come */
    }
    memset(g->sum, 0, (size_t)g->p->out_pad * sizeof *g->sum);
    memset(g->sum2, 0, (size_t)g->p->out_pad * sizeof *g->sum2);
}

/* Sums in float lose a place with every few hundred pixels, so they are merged this often. */
enum { NN__MERGE_TILES = 16 };

NN_INLINE void nn__store_tiles(nn__target *g, const nn__sink_steps s, nn__area a, nn__channels own,
                               const float *m) {
    const int last = nn__tiles(a);
    int64_t n = 0;
    for (int t = 0; t < last; t++) {
        const nn__area tile = {a.ty + t / a.nx, a.tx + t % a.nx, 1, 1};
        nn__store_channels(g, s, own, tile.ty * NN__TILE, tile.tx * NN__TILE, *g->n == 0 && t == 0,
                           m + (int64_t)t * g->p->out_pad);
        n += nn__pixels_in(g->p, tile);
        if ((!s.moments && !s.gate) || (t + 1 < last && (t + 1) % NN__MERGE_TILES != 0)) continue;
        nn__merge(g, n);
        n = 0;
    }
}

/* Whether members may store some channels each: vectors do not straddle the images of the sink. */
static inline bool nn__sink_splits(const nn_sink *sink) {
    return sink->y[1] == NULL || sink->c[0] % NN_VL == 0;
}

/* Some channels of an area, m [point][tile][out_pad]. */
static void nn__store_outputs(nn__target *g, nn__area a, nn__channels own, const float *m) {
    const nn_sink *sink = g->sink;
    const bool residual = sink->residual[0] != NULL, moments = sink->moments.mean != NULL;
    if (sink->gate && sink->gate->feed->mask.threshold != 0)
        nn__store_tiles(g, (nn__sink_steps){0, 0, 1, 1}, a, own, m);
    else if (sink->gate)
        nn__store_tiles(g, (nn__sink_steps){0, 0, 1, 0}, a, own, m);
    else if (residual && moments)
        nn__store_tiles(g, (nn__sink_steps){1, 1, 0, 0}, a, own, m);
    else if (residual)
        nn__store_tiles(g, (nn__sink_steps){1, 0, 0, 0}, a, own, m);
    else if (moments)
        nn__store_tiles(g, (nn__sink_steps){0, 1, 0, 0}, a, own, m);
    else
        nn__store_tiles(g, (nn__sink_steps){0, 0, 0, 0}, a, own, m);
}

#endif
