/* Bilinear upsampling to twice the size, corners not aligned (PyTorch's interpolate): a fine pixel
 * takes 9/16 of its coarse pixel, 3/16 of the two neighbours on its side and 1/16 of the one across
 * the corner; beyond the border the edge repeats.
 *
 * Both ways run over cells: the square between four coarse pixels holds four fine ones. Cells at
 * the border hold fewer, and some of their four coarse pixels are the same. */
#include <string.h>

#include "model/nn_loops.h"
#include "model/nn_ops.h"

typedef struct cell {
    int64_t coarse[2][2], fine[2][2]; /* offsets in floats; a fine one is -1 outside */
} cell;

static int clamp(int i, int n) {
    return i < 0 ? 0 : i < n ? i : n - 1;
}

/* Cell (i, j), 0 <= i <= h, 0 <= j <= w: its coarse rows are i - 1 and i, its fine ones 2i - 1 and
 * 2i. */
static cell cell_at(int i, int j, int h, int w, int c) {
    cell q;
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++) {
            const int fine_i = 2 * i - 1 + a, fine_j = 2 * j - 1 + b;
            const bool inside = fine_i >= 0 && fine_i < 2 * h && fine_j >= 0 && fine_j < 2 * w;
            q.coarse[a][b] = ((int64_t)clamp(i - 1 + a, h) * w + clamp(j - 1 + b, w)) * c;
            q.fine[a][b] = inside ? ((int64_t)fine_i * 2 * w + fine_j) * c : -1;
        }
    return q;
}

/* Fine pixel (a, b) of a cell, which lies next to its coarse pixel (a, b). */
SX_CLONES
static void blend(float *restrict y, const float *restrict x, const cell *q, int a, int b, int c) {
    const float *near = x + q->coarse[a][b], *across = x + q->coarse[1 - a][1 - b];
    const float *side = x + q->coarse[a][1 - b], *above = x + q->coarse[1 - a][b];
    for (int k = 0; k < c; k++)
        y[k] = 0.5625f * near[k] + 0.1875f * (side[k] + above[k]) + 0.0625f * across[k];
}

/* What coarse pixel (a, b) of a cell has from those of its fine ones that exist: dy[0] near, dy[1]
 * and dy[2] at the sides, dy[3] across. */
SX_CLONES
static void collect(float *restrict dx, const float *dy, const cell *q, int a, int b, int c) {
    const int64_t at[4] = {q->fine[a][b], q->fine[a][1 - b], q->fine[1 - a][b],
                           q->fine[1 - a][1 - b]};
    static const float weight[4] = {0.5625f, 0.1875f, 0.1875f, 0.0625f};
    for (int t = 0; t < 4; t++) {
        if (at[t] < 0) continue;
        const float *restrict from = dy + at[t];
        for (int k = 0; k < c; k++) dx[k] += weight[t] * from[k];
    }
}

static void bilinear2_forward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    for (int i = 0; i <= x->h; i++)
        for (int j = 0; j <= x->w; j++) {
            const cell q = cell_at(i, j, x->h, x->w, x->c);
            for (int t = 0; t < 4; t++)
                if (q.fine[t / 2][t % 2] >= 0)
                    blend(y->value + q.fine[t / 2][t % 2], x->value, &q, t / 2, t % 2, x->c);
        }
}

static void bilinear2_backward(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0), *y = nn__out(g, op);
    if (op->first[0]) memset(x->grad, 0, (size_t)x->count * sizeof(float));
    for (int i = 0; i <= x->h; i++)
        for (int j = 0; j <= x->w; j++) {
            const cell q = cell_at(i, j, x->h, x->w, x->c);
            for (int t = 0; t < 4; t++)
                collect(x->grad + q.coarse[t / 2][t % 2], y->grad, &q, t / 2, t % 2, x->c);
        }
}

const nn__kind nn__bilinear2_kind = {.name = "bilinear2",
                                     .shape = nn__shape_of_twice,
                                     .forward = bilinear2_forward,
                                     .backward = bilinear2_backward};

nn_tensor nn_bilinear2(nn_graph *g, nn_tensor x) {
    return nn__op_append(g, nn__op_make(&nn__bilinear2_kind, x, -1));
}
