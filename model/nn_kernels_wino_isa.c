/* Winograd F(4x4,3x3) in fp32.
 * Source: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
 *
 * The output is cut into tiles of 4x4. A tile needs 6x6 inputs d and costs 36 products for each
 * pair of channels in place of 144:
 *
 *     Y = A^T [ (G g G^T) . (B^T d B) ] A
 *
 * Summed over channels, the products at each of the 36 points are a matrix product: V [tile][c]
 * times U [c][k] is M [tile][k]. Tiles go through in blocks whose V and M stay in the L2 cache.
 * Edge tiles pass through a zero-padded patch, so any image size works; channels are padded to
 * whole vectors.
 *
 *     by data     the same with the turned weights, added to dx
 *     by weight   dU [k][c] = (A dy A^T)^T V summed over tiles, then dg = G^T dU G
 *
 * Thin convolutions (model/nn_kernels_thin.h) join in the table at the end. 1x1 convolutions are
 * not here: built from the same products they gained nothing over OpenBLAS.
 *
 * Compiled once for each instruction set, NN_WINO_ISA names which. No state, so equal inputs give
 * equal bytes; different instruction sets differ in rounding. */
#include "model/nn_kernels_wino.h"

#include <string.h>

#include "model/nn_kernels_product.h"
#include "model/nn_kernels_thin.h"
#include "model/nn_simd.h"

enum {
    TILE = 4,    /* outputs a side */
    WINDOW = 6,  /* inputs a side */
    POINTS = 36, /* products a tile and channel pair */
    TAPS = 9,
    SLICE_PAD = 16,      /* floats between slices, so that they do not share cache sets */
    OUTS = 4 * NN__ROWS, /* output channels of dU at a time */
    /* V and M of one block: 1 MB, about an L2 cache. The optimum is flat from 0.6 to 1.3 MB. */
    BLOCK_FLOATS = 256 * 1024,
};

/* ---- geometry ---- */

/* One direction of one convolution: `in` channels are read, `out` channels are written. */
typedef struct wino_plan {
    int h, w, in, out;
    int in_pad, out_pad;         /* whole vectors */
    int tiles_x, tiles, block;   /* tiles in a row, in all, in a block */
    int64_t in_slice, out_slice; /* floats of one point of a block */
} wino_plan;

static int round_up(int n, int step) {
    return (n + step - 1) / step * step;
}

static int min_int(int a, int b) {
    return a < b ? a : b;
}

static wino_plan plan_make(int h, int w, int in, int out) {
    wino_plan p = {.h = h, .w = w, .in = in, .out = out};
    p.in_pad = round_up(in, NN_VL);
    p.out_pad = round_up(out, NN_VL);
    p.tiles_x = (w + TILE - 1) / TILE;
    p.tiles = p.tiles_x * ((h + TILE - 1) / TILE);
    const int fits = BLOCK_FLOATS / (POINTS * (p.in_pad + p.out_pad)) / NN__ROWS * NN__ROWS;
    const int most = fits < NN__ROWS ? NN__ROWS : fits;
    const int blocks = (p.tiles + most - 1) / most; /* of equal size */
    p.block = min_int(round_up((p.tiles + blocks - 1) / blocks, NN__ROWS), p.tiles);
    p.in_slice = (int64_t)p.block * p.in_pad + SLICE_PAD;
    p.out_slice = (int64_t)p.block * p.out_pad + SLICE_PAD;
    return p;
}

static int has_one_block(const wino_plan *p) {
    return p->block == p->tiles;
}

/* A tile's share of an image: `size` pixels a side from (i, j), some of them outside. */
typedef struct window {
    int i, j, size;
} window;

static window window_of(const wino_plan *p, int tile, int size) {
    const int border = (size - TILE) / 2;
    return (window){tile / p->tiles_x * TILE - border, tile % p->tiles_x * TILE - border, size};
}

static int window_is_whole(const wino_plan *p, window a) {
    return a.i >= 0 && a.j >= 0 && a.i + a.size <= p->h && a.j + a.size <= p->w;
}

/* patch [size][size][pad] of an image [h][w][c], zero outside and in the padding. */
static void patch_load(const wino_plan *p, window a, const float *x, int c, int pad, float *patch) {
    memset(patch, 0, (size_t)a.size * (size_t)a.size * (size_t)pad * sizeof *patch);
    for (int r = 0; r < a.size; r++)
        for (int q = 0; q < a.size; q++) {
            const int i = a.i + r, j = a.j + q;
            if (i >= 0 && j >= 0 && i < p->h && j < p->w)
                memcpy(patch + (int64_t)(r * a.size + q) * pad, x + ((int64_t)i * p->w + j) * c,
                       (size_t)c * sizeof *patch);
        }
}

/* Pixels of a window: in the image where it is whole and of whole vectors, else in the patch. */
typedef struct pixels {
    const float *at;
    int64_t row, column; /* strides in floats */
} pixels;

static pixels pixels_of(const wino_plan *p, window a, const float *x, int c, int pad,
                        float *patch) {
    if (c == pad && window_is_whole(p, a))
        return (pixels){x + ((int64_t)a.i * p->w + a.j) * c, (int64_t)p->w * c, c};
    patch_load(p, a, x, c, pad, patch);
    return (pixels){patch, (int64_t)a.size * pad, pad};
}

/* ---- the one-dimensional transforms ---- */

/* o = B^T d */
NN_INLINE void input_1d(const nn_v d[6], nn_v o[6]) {
    const nn_v even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    const nn_v a = d[4] - d[2], b = 2.0f * (d[3] - d[1]);
    o[0] = 4.0f * d[0] + (d[4] - 5.0f * d[2]);
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = a + b;
    o[4] = a - b;
    o[5] = 4.0f * d[1] + (d[5] - 5.0f * d[3]);
}

/* o = A^T m */
NN_INLINE void output_1d(const nn_v m[6], nn_v o[4]) {
    const nn_v s = m[1] + m[2], d = m[1] - m[2], u = m[3] + m[4], v = m[3] - m[4];
    o[0] = m[0] + s + u;
    o[1] = d + 2.0f * v;
    o[2] = s + 4.0f * u;
    o[3] = d + 8.0f * v + m[5];
}

/* o = A y */
NN_INLINE void gradient_1d(const nn_v y[4], nn_v o[6]) {
    const nn_v even = y[0] + y[2], odd = y[1] + y[3];
    const nn_v even2 = y[0] + 4.0f * y[2], odd2 = 2.0f * y[1] + 8.0f * y[3];
    o[0] = y[0];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = y[3];
}

/* o = G g */
NN_INLINE void weight_1d(const nn_v g[3], nn_v o[6]) {
    const nn_v s = (g[0] + g[2]) * (-1.0f / 6), a = g[1] * (1.0f / 6);
    const nn_v t = g[0] * (1.0f / 24) + g[2] * (1.0f / 6), b = g[1] * (1.0f / 12);
    o[0] = g[0] * 0.25f;
    o[1] = s - a;
    o[2] = s + a;
    o[3] = t + b;
    o[4] = t - b;
    o[5] = g[2];
}

/* o = G^T u */
NN_INLINE void weight_gradient_1d(const nn_v u[6], nn_v o[3]) {
    const nn_v s = (u[1] + u[2]) * (1.0f / 6), d = u[2] - u[1];
    const nn_v t = u[3] + u[4], e = u[3] - u[4];
    o[0] = u[0] * 0.25f - s + t * (1.0f / 24);
    o[1] = d * (1.0f / 6) + e * (1.0f / 12);
    o[2] = t * (1.0f / 6) - s + u[5];
}

/* ---- tiles, one vector of channels ---- */

NN_INLINE void input_tile(pixels d, float *v, int64_t slice) {
    nn_v t[6][6]; /* transposed: [column][point] */
#pragma GCC unroll 8
    for (int j = 0; j < 6; j++) {
        nn_v column[6];
#pragma GCC unroll 8
        for (int i = 0; i < 6; i++) column[i] = nn_load(d.at + i * d.row + j * d.column);
        input_1d(column, t[j]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 6; i++) {
        nn_v row[6], o[6];
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) row[j] = t[j][i];
        input_1d(row, o);
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) nn_store(v + (i * 6 + j) * slice, o[j]);
    }
}

NN_INLINE void gradient_tile(pixels dy, float *v, int64_t slice) {
    nn_v t[4][6];
#pragma GCC unroll 8
    for (int j = 0; j < 4; j++) {
        nn_v column[4];
#pragma GCC unroll 8
        for (int i = 0; i < 4; i++) column[i] = nn_load(dy.at + i * dy.row + j * dy.column);
        gradient_1d(column, t[j]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 6; i++) {
        nn_v row[4], o[6];
#pragma GCC unroll 8
        for (int j = 0; j < 4; j++) row[j] = t[j][i];
        gradient_1d(row, o);
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) nn_store(v + (i * 6 + j) * slice, o[j]);
    }
}

/* y = tile + bias; without bias y += tile. */
NN_INLINE void output_tile(const float *m, int64_t slice, const nn_v *bias, float *y, int64_t row,
                           int64_t column) {
    nn_v t[6][4];
#pragma GCC unroll 8
    for (int j = 0; j < 6; j++) {
        nn_v points[6];
#pragma GCC unroll 8
        for (int i = 0; i < 6; i++) points[i] = nn_load(m + (i * 6 + j) * slice);
        output_1d(points, t[j]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        nn_v line[6], o[4];
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) line[j] = t[j][i];
        output_1d(line, o);
#pragma GCC unroll 8
        for (int j = 0; j < 4; j++) {
            float *to = y + i * row + j * column;
            nn_store(to, o[j] + (bias ? *bias : nn_load(to)));
        }
    }
}

NN_INLINE void weight_tile(const nn_v g[TAPS], float *u, int64_t slice) {
    nn_v t[3][6];
#pragma GCC unroll 8
    for (int b = 0; b < 3; b++) {
        const nn_v column[3] = {g[b], g[3 + b], g[6 + b]};
        weight_1d(column, t[b]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 6; i++) {
        const nn_v row[3] = {t[0][i], t[1][i], t[2][i]};
        nn_v o[6];
        weight_1d(row, o);
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) nn_store(u + (i * 6 + j) * slice, o[j]);
    }
}

NN_INLINE void weight_gradient_tile(const float *du, int64_t slice, nn_v g[TAPS]) {
    nn_v t[6][3];
#pragma GCC unroll 8
    for (int j = 0; j < 6; j++) {
        nn_v points[6];
#pragma GCC unroll 8
        for (int i = 0; i < 6; i++) points[i] = nn_load(du + (i * 6 + j) * slice);
        weight_gradient_1d(points, t[j]);
    }
#pragma GCC unroll 8
    for (int a = 0; a < 3; a++) {
        nn_v line[6];
#pragma GCC unroll 8
        for (int j = 0; j < 6; j++) line[j] = t[j][a];
        weight_gradient_1d(line, g + a * 3);
    }
}

/* ---- the products at one point ---- */

/* M [tiles][out_pad], columns of one panel, = V [tiles][in] U; U [in][NN__PANEL]. */
static void product_panel_of(const wino_plan *p, int tiles, int panel, const float *v,
                             const float *u, float *m) {
    const nn__product q = {p->in, p->in_pad, 1, NN__PANEL, p->out_pad, 0};
    const int k = panel * NN__PANEL, width = min_int(NN__PANEL, p->out_pad - k);
    nn__product_run(&q, tiles, width / NN_VL, v, u, m + k);
}

/* dU [outs][in_pad] (+)= D^T V; D [tiles][out_pad] from the first of `outs`, V [tiles][in_pad]. */
static void product_weight(const wino_plan *p, int tiles, int outs, const float *d, const float *v,
                           int add, float *du) {
    for (int c = 0; c < p->in_pad; c += NN__PANEL) {
        const int width = min_int(NN__PANEL, p->in_pad - c);
        const nn__product q = {tiles, 1, p->out_pad, p->in_pad, p->in_pad, add};
        nn__product_run(&q, outs, width / NN_VL, d, v + c, du + c);
    }
}

/* ---- weights ---- */

/* U is [panel][point][in][NN__PANEL]: what one product reads is contiguous. */
static int panels(const wino_plan *p) {
    return (p->out_pad + NN__PANEL - 1) / NN__PANEL;
}

static int64_t u_slice(const wino_plan *p) {
    return (int64_t)p->in * NN__PANEL + SLICE_PAD;
}

static int64_t u_panel(const wino_plan *p) {
    return POINTS * u_slice(p);
}

/* Fills one panel of U. */
typedef void transform_fn(const wino_plan *p, const float *weight, int panel, float *u);

/* block [c][tap][k] of weight [out][3][3][in] from channels (k, c), at most NN_VL of each. */
static void turn_block(const wino_plan *p, const float *weight, int k, int c,
                       float block[NN_VL][TAPS][NN_VL]) {
    const int n_out = min_int(NN_VL, p->out - k), n_in = min_int(NN_VL, p->in - c);
    for (int q = 0; q < n_out; q++)
        for (int t = 0; t < TAPS; t++)
            for (int i = 0; i < n_in; i++)
                block[i][t][q] = weight[((int64_t)(k + q) * TAPS + t) * p->in + c + i];
}

/* From weight [out][3][3][in]: vectors run over out, the slow axis, so blocks of NN_VL x NN_VL
 * channels are transposed on the way. What lanes beyond `out` hold is never stored. */
static void transform_forward(const wino_plan *p, const float *weight, int panel, float *u) {
    const int first = panel * NN__PANEL, end = min_int(first + NN__PANEL, p->out_pad);
    float block[NN_VL][TAPS][NN_VL] = {{{0}}};
    for (int c = 0; c < p->in; c += NN_VL)
        for (int k = first; k < end; k += NN_VL) {
            turn_block(p, weight, k, c, block);
            for (int i = 0; i < min_int(NN_VL, p->in - c); i++) {
                nn_v g[TAPS];
#pragma GCC unroll 9
                for (int t = 0; t < TAPS; t++) g[t] = nn_load(block[i][t]);
                weight_tile(g, u + (int64_t)(c + i) * NN__PANEL + (k - first), u_slice(p));
            }
        }
}

/* From the turned weights [in][3][3][out]: by data, `in` are the channels of dy. */
static void transform_backward(const wino_plan *p, const float *weight, int panel, float *u) {
    const int first = panel * NN__PANEL, end = min_int(first + NN__PANEL, p->out_pad);
    for (int c = 0; c < p->in; c++)
        for (int k = first; k < end; k += NN_VL) {
            const float *from = weight + ((int64_t)c * TAPS + TAPS - 1) * p->out + k;
            nn_v g[TAPS];
#pragma GCC unroll 9
            for (int t = 0; t < TAPS; t++) g[t] = nn_load_n(from - (int64_t)t * p->out, p->out - k);
            weight_tile(g, u + (int64_t)c * NN__PANEL + (k - first), u_slice(p));
        }
}

/* ---- forward and by data ---- */

static void load_inputs(const wino_plan *p, const float *x, int first, int n, float *v,
                        float *patch) {
    for (int t = 0; t < n; t++) {
        const window a = window_of(p, first + t, WINDOW);
        pixels d = pixels_of(p, a, x, p->in, p->in_pad, patch);
        float *to = v + (int64_t)t * p->in_pad;
        for (int c = 0; c < p->in_pad; c += NN_VL, d.at += NN_VL)
            input_tile(d, to + c, p->in_slice);
    }
}

/* The part of an edge tile that lies in the image; lanes k .. k+NN_VL-1. */
static void store_part(const wino_plan *p, window a, const float *tile, int k, int add, float *y) {
    const int rows = min_int(TILE, p->h - a.i), cols = min_int(TILE, p->w - a.j);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            float *to = y + ((int64_t)(a.i + i) * p->w + a.j + j) * p->out + k;
            const nn_v v = nn_load(tile + (i * TILE + j) * NN_VL);
            nn_store_n(to, add ? v + nn_load_n(to, p->out - k) : v, p->out - k);
        }
}

/* With bias y = tile + bias, without y += tile. */
static void store_outputs(const wino_plan *p, const float *m, int first, int n, const float *bias,
                          float *y) {
    for (int t = 0; t < n; t++) {
        const window a = window_of(p, first + t, TILE);
        float *to = y + ((int64_t)a.i * p->w + a.j) * p->out;
        const float *from = m + (int64_t)t * p->out_pad;
        const int whole = window_is_whole(p, a);
        for (int k = 0; k < p->out_pad; k += NN_VL) {
            const nn_v b = bias ? nn_load_n(bias + k, p->out - k) : nn_set1(0);
            if (whole && k + NN_VL <= p->out) {
                output_tile(from + k, p->out_slice, bias ? &b : NULL, to + k,
                            (int64_t)p->w * p->out, p->out);
            } else {
                float part[TILE * TILE * NN_VL];
                output_tile(from + k, p->out_slice, &b, part, TILE * NN_VL, NN_VL);
                store_part(p, a, part, k, !bias, y);
            }
        }
    }
}

/* An image of one block uses each panel of U once: only one exists at a time and stays in the L2
 * cache. With more blocks all of U is made first. */
static int u_panels_held(const wino_plan *p) {
    return has_one_block(p) ? 1 : panels(p);
}

static void multiply_by_panel(const wino_plan *p, transform_fn *transform, const float *weight,
                              const float *v, float *u, float *m) {
    for (int panel = 0; panel < panels(p); panel++) {
        transform(p, weight, panel, u);
        for (int i = 0; i < POINTS; i++)
            product_panel_of(p, p->tiles, panel, v + i * p->in_slice, u + i * u_slice(p),
                             m + i * p->out_slice);
    }
}

static void multiply_by_point(const wino_plan *p, int tiles, const float *v, const float *u,
                              float *m) {
    for (int i = 0; i < POINTS; i++)
        for (int panel = 0; panel < panels(p); panel++)
            product_panel_of(p, tiles, panel, v + i * p->in_slice,
                             u + panel * u_panel(p) + i * u_slice(p), m + i * p->out_slice);
}

/* scratch: U, V, M, patch */
static void convolve(const wino_plan *p, transform_fn *transform, const float *weight,
                     const float *x, const float *bias, float *y, float *scratch) {
    float *u = scratch, *v = u + u_panels_held(p) * u_panel(p);
    float *m = v + POINTS * p->in_slice, *patch = m + POINTS * p->out_slice;
    if (has_one_block(p)) {
        load_inputs(p, x, 0, p->tiles, v, patch);
        multiply_by_panel(p, transform, weight, v, u, m);
        store_outputs(p, m, 0, p->tiles, bias, y);
        return;
    }
    for (int panel = 0; panel < panels(p); panel++)
        transform(p, weight, panel, u + panel * u_panel(p));
    for (int first = 0; first < p->tiles; first += p->block) {
        const int n = min_int(p->block, p->tiles - first);
        load_inputs(p, x, first, n, v, patch);
        multiply_by_point(p, n, v, u, m);
        store_outputs(p, m, first, n, bias, y);
    }
}

static int64_t convolve_scratch(const wino_plan *p) {
    return u_panels_held(p) * u_panel(p) + POINTS * (p->in_slice + p->out_slice + p->in_pad);
}

static void forward(const nn_conv_shape *s, const float *x, const float *weight, const float *bias,
                    float *y, float *scratch) {
    const wino_plan p = plan_make(s->h, s->w, s->c, s->k);
    convolve(&p, transform_forward, weight, x, bias, y, scratch);
}

static void backward_data(const nn_conv_shape *s, const float *dy, const float *weight, float *dx,
                          float *scratch) {
    const wino_plan p = plan_make(s->h, s->w, s->k, s->c);
    convolve(&p, transform_backward, weight, dy, NULL, dx, scratch);
}

/* ---- by weight ---- */

/* As with U: an image of one block makes dU for OUTS output channels at a time. */
static int du_outs(const wino_plan *p) {
    return has_one_block(p) ? min_int(OUTS, p->out) : p->out;
}

static int64_t du_slice(const wino_plan *p) {
    return (int64_t)du_outs(p) * p->in_pad + SLICE_PAD;
}

static int64_t weight_scratch(const wino_plan *p) {
    const int widest = p->in_pad > p->out_pad ? p->in_pad : p->out_pad;
    return POINTS * (du_slice(p) + p->in_slice + p->out_slice + widest);
}

static void load_gradients(const wino_plan *p, const float *dy, int first, int n, float *d,
                           float *patch) {
    for (int t = 0; t < n; t++) {
        const window a = window_of(p, first + t, TILE);
        pixels g = pixels_of(p, a, dy, p->out, p->out_pad, patch);
        float *to = d + (int64_t)t * p->out_pad;
        for (int k = 0; k < p->out_pad; k += NN_VL, g.at += NN_VL)
            gradient_tile(g, to + k, p->out_slice);
    }
}

/* dweight [outs][3][3][in] += G^T dU G */
static void add_weight_gradient(const wino_plan *p, int outs, const float *du, float *dweight) {
    for (int k = 0; k < outs; k++)
        for (int c = 0; c < p->in; c += NN_VL) {
            nn_v g[TAPS];
            weight_gradient_tile(du + (int64_t)k * p->in_pad + c, du_slice(p), g);
#pragma GCC unroll 9
            for (int t = 0; t < TAPS; t++) {
                float *to = dweight + ((int64_t)k * TAPS + t) * p->in + c;
                nn_store_n(to, nn_load_n(to, p->in - c) + g[t], p->in - c);
            }
        }
}

typedef struct weight_room {
    float *du, *v, *d, *patch;
} weight_room;

static weight_room weight_room_of(const wino_plan *p, float *scratch) {
    weight_room r = {.du = scratch};
    r.v = r.du + POINTS * du_slice(p);
    r.d = r.v + POINTS * p->in_slice;
    r.patch = r.d + POINTS * p->out_slice;
    return r;
}

/* The point (1, 1) of A dy A^T is the sum over the tile: dbias comes with the transform. */
static void load_block(const wino_plan *p, const float *x, const float *dy, int first, int n,
                       const weight_room *r, float *dbias) {
    load_inputs(p, x, first, n, r->v, r->patch);
    load_gradients(p, dy, first, n, r->d, r->patch);
    nn__column_sums(r->d + (WINDOW + 1) * p->out_slice, n, p->out, p->out_pad, dbias);
}

/* All output channels, summed over the blocks. */
static void weight_by_block(const wino_plan *p, const float *x, const float *dy, float *dweight,
                            float *dbias, const weight_room *r) {
    for (int first = 0; first < p->tiles; first += p->block) {
        const int n = min_int(p->block, p->tiles - first);
        load_block(p, x, dy, first, n, r, dbias);
        for (int i = 0; i < POINTS; i++)
            product_weight(p, n, p->out, r->d + i * p->out_slice, r->v + i * p->in_slice, first > 0,
                           r->du + i * du_slice(p));
    }
    add_weight_gradient(p, p->out, r->du, dweight);
}

/* The only block, a group of output channels at a time. */
static void weight_by_group(const wino_plan *p, const float *x, const float *dy, float *dweight,
                            float *dbias, const weight_room *r) {
    load_block(p, x, dy, 0, p->tiles, r, dbias);
    for (int k = 0; k < p->out; k += OUTS) {
        const int n = min_int(OUTS, p->out - k);
        for (int i = 0; i < POINTS; i++)
            product_weight(p, p->tiles, n, r->d + i * p->out_slice + k, r->v + i * p->in_slice, 0,
                           r->du + i * du_slice(p));
        add_weight_gradient(p, n, r->du, dweight + (int64_t)k * TAPS * p->in);
    }
}

static void backward_weight(const nn_conv_shape *s, const float *x, const float *dy, float *dweight,
                            float *dbias, float *scratch) {
    const wino_plan p = plan_make(s->h, s->w, s->c, s->k);
    const weight_room r = weight_room_of(&p, scratch);
    (has_one_block(&p) ? weight_by_group : weight_by_block)(&p, x, dy, dweight, dbias, &r);
}

static int64_t scratch_floats(const nn_conv_shape *s) {
    const wino_plan there = plan_make(s->h, s->w, s->c, s->k);
    const wino_plan back = plan_make(s->h, s->w, s->k, s->c);
    const int64_t need[3] = {convolve_scratch(&there), convolve_scratch(&back),
                             weight_scratch(&there)};
    int64_t most = need[0];
    for (int i = 1; i < 3; i++) most = need[i] > most ? need[i] : most;
    return most;
}

/* Few channels or few pixels do not repay the transforms. */
static int takes(const nn_conv_shape *s) {
    return s->ks == 3 && s->c >= 16 && s->k >= 16 && s->h >= TILE && s->w >= TILE;
}

/* ---- the table ---- */

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

const nn__isa JOIN(nn__isa_, NN_WINO_ISA) = {
    TEXT(NN_WINO_ISA),
    {
        {"winograd", takes, scratch_floats, forward, backward_data, backward_weight},
        {"thin", nn__is_thin, nn__thin_scratch, nn__thin_forward, nn__thin_backward_data,
         nn__thin_backward_weight},
    },
};
