/* Pixel shuffle and unshuffle (Shi et al. 2016) in PyTorch's order, channels last:
 *   fine [h r][w r][c]   <->   coarse [h][w][c r r], coarse channel = (c * r + i) * r + j
 * for the pixel (i, j) of each r x r block. Either way a block is transposed: [r r][c] to [c][r r].
 * Each op's backward is the other one's forward. */
#include "model/nn_loops.h"
#include "model/nn_ops.h"

typedef struct blocks {
    int h, w, c, r; /* coarse size, fine channels */
} blocks;

/* Fine pixel of tap t = i * r + j of coarse pixel (y, x). */
SX_INLINE int64_t fine_at(const blocks *b, const int r, int y, int x, int t) {
    return (((int64_t)y * r + t / r) * ((int64_t)b->w * r) + (int64_t)x * r + t % r) * b->c;
}

/* to = (or +=) from; `unshuffle`: from fine to coarse. With a constant r the taps unroll. */
SX_INLINE void move(float *restrict to, const float *restrict from, const blocks *b, const int r,
                    const bool unshuffle, const bool add) {
    const int taps = r * r;
    for (int y = 0; y < b->h; y++)
        for (int x = 0; x < b->w; x++) {
            const int64_t coarse = ((int64_t)y * b->w + x) * b->c * taps;
            for (int t = 0; t < taps; t++) {
                const int64_t fine = fine_at(b, r, y, x, t);
                float *dst = to + (unshuffle ? coarse + t : fine);
                const float *src = from + (unshuffle ? fine : coarse + t);
                const int dst_step = unshuffle ? taps : 1, src_step = unshuffle ? 1 : taps;
                for (int c = 0; c < b->c; c++)
                    dst[(int64_t)c * dst_step] =
                        (add ? dst[(int64_t)c * dst_step] : 0.0f) + src[(int64_t)c * src_step];
            }
        }
}

SX_INLINE void move_by(float *restrict to, const float *restrict from, const blocks *b,
                       const bool unshuffle, const bool add) {
    if (b->r == 2)
        move(to, from, b, 2, unshuffle, add);
    else if (b->r == 4)
        move(to, from, b, 4, unshuffle, add);
    else
        move(to, from, b, b->r, unshuffle, add);
}

SX_CLONES
static void to_coarse(float *coarse, const float *fine, const blocks *b, bool add) {
    if (add)
        move_by(coarse, fine, b, true, true);
    else
        move_by(coarse, fine, b, true, false);
}

SX_CLONES
static void to_fine(float *fine, const float *coarse, const blocks *b, bool add) {
    if (add)
        move_by(fine, coarse, b, false, true);
    else
        move_by(fine, coarse, b, false, false);
}

/* ---- shuffle: coarse -> fine ---- */

static void shuffle_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    const int r = op->factor;
    SX_ASSERT(r > 0 && x->c % (r * r) == 0);
    out->h = x->h * r;
    out->w = x->w * r;
    out->c = x->c / (r * r);
}

static blocks shuffle_blocks(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    return (blocks){x->h, x->w, nn__out(g, op)->c, op->factor};
}

static void shuffle_forward(const nn_graph *g, const nn__op *op) {
    const blocks b = shuffle_blocks(g, op);
    to_fine(nn__out(g, op)->value, nn__in(g, op, 0)->value, &b, false);
}

static void shuffle_backward(const nn_graph *g, const nn__op *op) {
    const blocks b = shuffle_blocks(g, op);
    to_coarse(nn__in(g, op, 0)->grad, nn__out(g, op)->grad, &b, !op->first[0]);
}

const nn__kind nn__pixel_shuffle_kind = {.name = "pixel_shuffle",
                                         .shape = shuffle_shape,
                                         .forward = shuffle_forward,
                                         .backward = shuffle_backward};

nn_tensor nn_pixel_shuffle(nn_graph *g, nn_tensor x, int r) {
    nn__op op = nn__op_make(&nn__pixel_shuffle_kind, x, -1);
    op.factor = r;
    return nn__op_append(g, op);
}

/* ---- unshuffle: fine -> coarse ---- */

static void unshuffle_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    const int r = op->factor;
    SX_ASSERT(r > 0 && x->h % r == 0 && x->w % r == 0);
    out->h = x->h / r;
    out->w = x->w / r;
    out->c = x->c * r * r;
}

static blocks unshuffle_blocks(const nn_graph *g, const nn__op *op) {
    const nn__tensor *y = nn__out(g, op);
    return (blocks){y->h, y->w, nn__in(g, op, 0)->c, op->factor};
}

static void unshuffle_forward(const nn_graph *g, const nn__op *op) {
    const blocks b = unshuffle_blocks(g, op);
    to_coarse(nn__out(g, op)->value, nn__in(g, op, 0)->value, &b, false);
}

static void unshuffle_backward(const nn_graph *g, const nn__op *op) {
    const blocks b = unshuffle_blocks(g, op);
    to_fine(nn__in(g, op, 0)->grad, nn__out(g, op)->grad, &b, !op->first[0]);
}

const nn__kind nn__pixel_unshuffle_kind = {.name = "pixel_unshuffle",
                                           .shape = unshuffle_shape,
                                           .forward = unshuffle_forward,
                                           .backward = unshuffle_backward};

nn_tensor nn_pixel_unshuffle(nn_graph *g, nn_tensor x, int r) {
    nn__op op = nn__op_make(&nn__pixel_unshuffle_kind, x, -1);
    op.factor = r;
    return nn__op_append(g, op);
}
