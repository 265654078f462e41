/* Multi-head attention inside square windows (Liu et al. 2021, Swin) and HAT's overlapping variant
 * (Chen et al. 2023). For each window and head, with n query and m key tokens of d channels:
 *   S = Q K^T / sqrt(d) + B + M,   P = softmax(S),   Y = P V.
 * B depends on the relative position alone, M is -100 between tokens that only the cyclic shift
 * made neighbours.
 *
 * A head's operands are packed, d padded with zeros to whole vectors, so that each product is one
 * call of the kernel table. B needs no [n][m] matrix: turned so that keys run forward, the table of
 * a head is [t][t], t = side + keys - 1, and the keys of one row of the window, seen from one
 * query, are a stretch of one of its rows. P is not kept: backward makes it again from Q, K and two
 * numbers a row. Threads share the windows; overlapping ones take turns where they add up. */
#include <math.h>
#include <string.h>

#include "model/nn_loops.h"
#include "model/nn_ops.h"

enum {
    LONG = 32, /* a loop of 16 gcc unrolls first, and then finds no vectors in its comparisons */
    MAX_KEYS = 64
};
static const float masked = -100.0f;

typedef struct windows {
    int h, w, c, heads, d, dp;     /* dp: d in whole vectors */
    int side, keys, shift, margin; /* margin: of the keys beyond the window */
    bool overlapping;              /* how its table is read */
    int n, m, mp, t;               /* mp: m in whole vectors */
    int row;                       /* floats between rows of scores: an odd number of cache lines,
                                      so that a column of them does not crowd a few sets */
    int rows, cols;                /* windows in the image */
    float scale;
} windows;

static int round_up(int n, int to) {
    return (n + to - 1) / to * to;
}

static windows windows_of(const nn_graph *g, const nn__op *op) {
    const nn__tensor *x = nn__in(g, op, 0);
    windows a = {.h = x->h, .w = x->w, .c = x->c / 3, .heads = op->windows.heads};
    a.d = a.c / a.heads;
    a.dp = round_up(a.d, NN__LANES);
    a.side = op->windows.window;
    a.keys = op->windows.keys;
    a.shift = op->windows.shift;
    a.overlapping = op->windows.overlapping || a.keys > a.side;
    a.margin = (a.keys - a.side) / 2;
    a.n = a.side * a.side;
    a.m = a.keys * a.keys;
    a.mp = round_up(a.m, LONG);
    a.row = a.mp + NN__LANES;
    a.t = a.side + a.keys - 1;
    a.rows = a.h / a.side;
    a.cols = a.w / a.side;
    a.scale = 1.0f / sqrtf((float)a.d);
    return a;
}

/* ---- scratch ---- */

typedef struct buffers {
    float *q, *k, *v;    /* [heads][n][dp], [heads][m][dp] twice, one after the other */
    float *dq, *dk, *dv; /* likewise */
    float *y;            /* [heads][n][dp]: Y, in backward dY */
    float *s, *ds;       /* [n][row] */
    float *table;        /* [heads][t][t], keys forward */
    float *d_table;      /* [t][t], of one head of one window */
    float *d_tables;     /* [heads][t][t], of all windows of a thread */
    int64_t count;
} buffers;

static buffers buffers_of(const windows *a, float *base) {
    const int64_t table = (int64_t)a->t * a->t, queries = (int64_t)a->heads * a->n * a->dp;
    const int64_t keys = (int64_t)a->heads * a->m * a->dp, scores = (int64_t)a->n * a->row;
    buffers b = {0};
    const struct {
        float **at;
        int64_t count;
    } parts[] = {{&b.q, queries},     {&b.k, keys},
                 {&b.v, keys},        {&b.dq, queries},
                 {&b.dk, keys},       {&b.dv, keys},
                 {&b.y, queries},     {&b.s, scores},
                 {&b.ds, scores},     {&b.table, table * a->heads},
                 {&b.d_table, table}, {&b.d_tables, table * a->heads}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (base != NULL) *parts[i].at = base + b.count;
        b.count += (parts[i].count + NN__LANES - 1) / NN__LANES * NN__LANES;
    }
    return b;
}

/* ---- tokens: packing and its way back ---- */

/* A square of tokens: corner in the (shifted) image, tokens a side. */
typedef struct square {
    int y, x, side;
} square;

static square queries_of(const windows *a, int window) {
    return (square){window / a->cols * a->side, window % a->cols * a->side, a->side};
}

static square keys_of(const windows *a, int window) {
    square q = queries_of(a, window);
    return (square){q.y - a->margin, q.x - a->margin, a->keys};
}

/* Row (or column) of the image at i of the shifted one; -1 outside. */
static int place(int i, int size, int shift) {
    i += shift;
    if (shift > 0 && i >= size) i -= size;
    return i < 0 || i >= size ? -1 : i;
}

/* to [d] = from; the last vector overlaps the one before instead of ending in a tail. */
SX_INLINE void copy_token(float *restrict to, const float *restrict from, int d) {
    if (d < NN__LANES) {
        for (int k = 0; k < d; k++) to[k] = from[k];
        return;
    }
    for (int k = 0; k + NN__LANES <= d; k += NN__LANES)
        memcpy(to + k, from + k, NN__LANES * sizeof *to);
    memcpy(to + d - NN__LANES, from + d - NN__LANES, NN__LANES * sizeof *to);
}

SX_INLINE void add_token(float *restrict to, const float *restrict from, int d) {
    for (int k = 0; k < d; k++) to[k] += from[k];
}

/* to [heads][side][side][dp] = channels of the tokens, `from` the first one of the first token,
 * `stride` floats a token; zeros outside of the image. Padding is left alone. All heads at once, so
 * that memory is read in long stretches. */
SX_CLONES
static void pack(const windows *a, square q, const float *from, int stride, int heads, float *to) {
    const int64_t head = (int64_t)q.side * q.side * a->dp;
    for (int i = 0; i < q.side; i++) {
        const int y = place(q.y + i, a->h, a->shift);
        for (int j = 0; j < q.side; j++, to += a->dp) {
            const int x = place(q.x + j, a->w, a->shift);
            const bool outside = y < 0 || x < 0;
            const float *token = from + (outside ? 0 : ((int64_t)y * a->w + x) * stride);
            for (int k = 0; k < heads; k++)
                if (outside)
                    memset(to + k * head, 0, (size_t)a->dp * sizeof *to);
                else
                    copy_token(to + k * head, token + k * a->d, a->d);
        }
    }
}

/* to (= or +=) from [heads][side][side][dp]; nothing outside of the image. */
SX_CLONES
static void unpack(const windows *a, square q, const float *from, int heads, float *to, int stride,
                   bool add) {
    const int64_t head = (int64_t)q.side * q.side * a->dp;
    for (int i = 0; i < q.side; i++) {
        const int y = place(q.y + i, a->h, a->shift);
        for (int j = 0; j < q.side; j++, from += a->dp) {
            const int x = place(q.x + j, a->w, a->shift);
            if (y < 0 || x < 0) continue;
            float *token = to + ((int64_t)y * a->w + x) * stride;
            for (int k = 0; k < heads; k++)
                if (add)
                    add_token(token + k * a->d, from + k * head, a->d);
                else
                    copy_token(token + k * a->d, from + k * head, a->d);
        }
    }
}

/* ---- bias of the relative position ---- */

/* Row of the parameter for entry (i, j) of the turned table: i = key row - query row + side - 1.
 * Self-attention counts from query to key. HAT's overlapping attention counts from key to query
 * with an offset that makes some indices negative; Python wraps those to the end. */
static int64_t table_row(const windows *a, int i, int j) {
    const int64_t all = (int64_t)a->t * a->t;
    if (!a->overlapping) return all - 1 - ((int64_t)i * a->t + j);
    const int64_t at = (int64_t)(i - a->keys + 2) * a->t + (j - a->keys + 2);
    return at < 0 ? at + all : at;
}

static void turn_table(const windows *a, const float *param, float *table) {
    for (int head = 0; head < a->heads; head++)
        for (int i = 0; i < a->t; i++)
            for (int j = 0; j < a->t; j++) *table++ = param[table_row(a, i, j) * a->heads + head];
}

static void add_table_gradient(const windows *a, const float *d_table, int head, float *grad) {
    for (int i = 0; i < a->t; i++)
        for (int j = 0; j < a->t; j++) grad[table_row(a, i, j) * a->heads + head] += *d_table++;
}

/* Where the shift cut a window: rows (columns) from here on are no neighbours of those before;
 * MAX_KEYS if it did not. */
typedef struct cut {
    int row, col;
} cut;

static cut cut_of(const windows *a, int window) {
    const bool last_row = window / a->cols == a->rows - 1,
               last_col = window % a->cols == a->cols - 1;
    return (cut){a->shift > 0 && last_row ? a->side - a->shift : MAX_KEYS,
                 a->shift > 0 && last_col ? a->side - a->shift : MAX_KEYS};
}

/* line [mp]: bias and mask of query (y, x) to all keys; `table` [t][t] of the head. */
SX_INLINE void bias_line(float *restrict line, const windows *a, const float *restrict table, cut c,
                         int y, int x, const int keys) {
    for (int i = 0; i < keys; i++) {
        const float *from = table + (int64_t)(i - y + a->side - 1) * a->t + (a->side - 1 - x);
        const bool other_row = (i >= c.row) != (y >= c.row);
        if (other_row)
            for (int j = 0; j < keys; j++) line[i * keys + j] = from[j] + masked;
        else
            for (int j = 0; j < keys; j++) line[i * keys + j] = from[j];
    }
    if (c.col == MAX_KEYS) return;
    for (int i = 0; i < keys; i++) {
        const bool other_row = (i >= c.row) != (y >= c.row);
        for (int j = 0; j < keys && !other_row; j++)
            line[i * keys + j] += (j >= c.col) != (x >= c.col) ? masked : 0.0f;
    }
}

/* Whole keys of the usual windows have a constant length. */
SX_INLINE void bias_line_by(float *restrict line, const windows *a, const float *restrict table,
                            cut c, int y, int x) {
    if (a->keys == 16)
        bias_line(line, a, table, c, y, x, 16);
    else if (a->keys == 24)
        bias_line(line, a, table, c, y, x, 24);
    else if (a->keys == 8)
        bias_line(line, a, table, c, y, x, 8);
    else
        bias_line(line, a, table, c, y, x, a->keys);
}

/* ---- softmax ---- */

/* Floats m .. mp - 1 of a row. */
SX_INLINE void pad_row(const windows *a, float *row, float value) {
    for (int j = a->m; j < a->mp; j++) row[j] = value;
}

/* row [n] += line; returns the largest. What pads the row must not decide. */
SX_INLINE float add_and_find_top(float *restrict row, const float *restrict line, int n) {
    float most[LONG];
    for (int l = 0; l < LONG; l++) most[l] = row[0] + line[0];
    for (int j = 0; j < n; j += LONG)
        for (int l = 0; l < LONG; l++) {
            float v = row[j + l] + line[j + l];
            row[j + l] = v;
            most[l] = v > most[l] ? v : most[l];
        }
    for (int half = LONG / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            most[l] = most[l + half] > most[l] ? most[l + half] : most[l];
    return most[0];
}

enum { FAR_BELOW = 80 }; /* exp(-80) is nothing beside the 1 of the largest score */

/* Scores [n][row] become exp(score + bias - top); stat [n][2]: 1 / sum, top. */
SX_CLONES
static void softmax(const windows *a, const float *table, cut c, float *restrict s,
                    float *restrict stat) {
    float line[MAX_KEYS * MAX_KEYS];
    pad_row(a, line, 0);
    for (int i = 0; i < a->n; i++, s += a->row, stat += 2) {
        bias_line_by(line, a, table, c, i / a->side, i % a->side);
        pad_row(a, s, s[0] + line[0]);
        const float top = add_and_find_top(s, line, a->mp);
        pad_row(a, s, top - FAR_BELOW);
        float sum[NN__LANES] = {0};
        for (int j = 0; j < a->mp; j += NN__LANES)
            for (int l = 0; l < NN__LANES; l++) {
                float e = sx_expf(s[j + l] - top);
                s[j + l] = e;
                sum[l] += e;
            }
        stat[0] = 1.0f / nn__lanes_sum(sum);
        stat[1] = top;
    }
}

/* Scores become P again. */
SX_CLONES
static void softmax_again(const windows *a, const float *table, cut c, float *restrict s,
                          const float *restrict stat) {
    float line[MAX_KEYS * MAX_KEYS];
    pad_row(a, line, 0);
    for (int i = 0; i < a->n; i++, s += a->row, stat += 2) {
        bias_line_by(line, a, table, c, i / a->side, i % a->side);
        pad_row(a, s, stat[1] - FAR_BELOW);
        for (int j = 0; j < a->mp; j++) s[j] = stat[0] * sx_expf(s[j] + line[j] - stat[1]);
    }
}

SX_INLINE void add_to_table(float *restrict d_table, const float *restrict ds, const windows *a,
                            int y, int x, const int keys) {
    for (int i = 0; i < keys; i++) {
        float *to = d_table + (int64_t)(i - y + a->side - 1) * a->t + (a->side - 1 - x);
        for (int j = 0; j < keys; j++) to[j] += ds[i * keys + j];
    }
}

/* dP becomes dS = P * (dP - sum of P * dP over the row), which is also the gradient of the bias:
 * d_table [t][t]. */
SX_CLONES
static void softmax_gradient(const windows *a, float *restrict ds, const float *restrict p,
                             float *restrict d_table) {
    for (int i = 0; i < a->n; i++, ds += a->row, p += a->row) {
        float sum[NN__LANES] = {0};
        pad_row(a, ds, 0);
        for (int j = 0; j < a->mp; j += NN__LANES)
            for (int l = 0; l < NN__LANES; l++) sum[l] += p[j + l] * ds[j + l];
        const float dot = nn__lanes_sum(sum);
        for (int j = 0; j < a->mp; j++) ds[j] = p[j] * (ds[j] - dot);
        const int y = i / a->side, x = i % a->side;
        if (a->keys == 16)
            add_to_table(d_table, ds, a, y, x, 16);
        else if (a->keys == 24)
            add_to_table(d_table, ds, a, y, x, 24);
        else
            add_to_table(d_table, ds, a, y, x, a->keys);
    }
}

/* ---- op ---- */

static void window_shape(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    const nn_window_opt *o = &op->windows;
    SX_ASSERT(o->heads > 0 && x->c % (3 * o->heads) == 0);
    SX_ASSERT(o->window > 0 && x->h % o->window == 0 && x->w % o->window == 0);
    SX_ASSERT(o->keys >= o->window && o->keys <= MAX_KEYS && (o->keys - o->window) % 2 == 0);
    SX_ASSERT(o->shift >= 0 && o->shift < o->window);
    SX_ASSERT(o->shift == 0 || (o->keys == o->window && !o->overlapping));
    out->h = x->h;
    out->w = x->w;
    out->c = x->c / 3;
}

static int64_t window_macs(const nn_graph *g, const nn__op *op) {
    const windows a = windows_of(g, op);
    return 2 * (int64_t)a.h * a.w * a.m * a.c;
}

/* [windows][heads][n][2]: 1 / sum and top of each row of the softmax. */
static int64_t window_saved(const nn_graph *g, const nn__op *op) {
    const windows a = windows_of(g, op);
    return 2 * (int64_t)a.h * a.w * a.heads;
}

/* A set of buffers a thread. */
static int64_t window_scratch(const nn_graph *g, const nn__op *op) {
    const windows a = windows_of(g, op);
    return nn__for_each_thread(g, buffers_of(&a, NULL).count);
}

/* The padding of what goes into products: zero, once and for all windows. */
static void clear_padding(const windows *a, const buffers *b) {
    const size_t queries = (size_t)a->heads * (size_t)a->n * (size_t)a->dp;
    const size_t keys = (size_t)a->heads * (size_t)a->m * (size_t)a->dp;
    memset(b->q, 0, queries * sizeof(float));
    memset(b->y, 0, queries * sizeof(float));
    memset(b->k, 0, keys * sizeof(float));
    memset(b->v, 0, keys * sizeof(float));
}

/* x [heads][n][dp] /= sqrt(d): Q once and for all, so that no product has a factor, and dQ. */
SX_CLONES
static void scale_queries(const windows *a, float *x) {
    for (int64_t i = 0; i < (int64_t)a->heads * a->n * a->dp; i++) x[i] *= a->scale;
}

/* Q, K and V of a window: in one sweep where queries and keys are the same tokens. */
static void pack_window(const windows *a, const buffers *b, const float *qkv, int window) {
    const square queries = queries_of(a, window), keys = keys_of(a, window);
    if (a->margin == 0) {
        pack(a, queries, qkv, 3 * a->c, 3 * a->heads, b->q);
    } else {
        pack(a, queries, qkv, 3 * a->c, a->heads, b->q);
        pack(a, keys, qkv + a->c, 3 * a->c, 2 * a->heads, b->k);
    }
    scale_queries(a, b->q);
}

/* The way back of dQ, dK and dV. */
static void unpack_window(const windows *a, const buffers *b, float *dqkv, int window, bool add) {
    const square queries = queries_of(a, window), keys = keys_of(a, window);
    scale_queries(a, b->dq);
    if (a->margin == 0) {
        unpack(a, queries, b->dq, 3 * a->heads, dqkv, 3 * a->c, add);
    } else {
        unpack(a, queries, b->dq, a->heads, dqkv, 3 * a->c, add);
        unpack(a, keys, b->dk, 2 * a->heads, dqkv + a->c, 3 * a->c, add);
    }
}

/* The buffers of one head. */
static buffers head_of(const windows *a, const buffers *b, int head) {
    const int64_t queries = (int64_t)head * a->n * a->dp, keys = (int64_t)head * a->m * a->dp;
    buffers h = *b;
    h.table += (int64_t)head * a->t * a->t;
    h.q += queries;
    h.dq += queries;
    h.y += queries;
    h.k += keys;
    h.dk += keys;
    h.v += keys;
    h.dv += keys;
    return h;
}

static float *stat_of(const windows *a, const nn__op *op, int window, int head) {
    return op->saved + ((int64_t)window * a->heads + head) * a->n * 2;
}

/* y [n][dp] /= sums of the softmax: stat [n][2]. */
SX_CLONES
static void divide_by_sums(const windows *a, float *restrict y, const float *restrict stat) {
    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < a->dp; k++) y[i * a->dp + k] *= stat[2 * i];
}

static void forward_head(const nn_kernels *k, const windows *a, const buffers *b, cut c,
                         float *stat) {
    k->gemm(0, 1, a->n, a->m, a->dp, 1, b->q, a->dp, b->k, a->dp, 0, b->s, a->row);
    softmax(a, b->table, c, b->s, stat);
    k->gemm(0, 0, a->n, a->dp, a->m, 1, b->s, a->row, b->v, a->dp, 0, b->y, a->dp);
    divide_by_sums(a, b->y, stat);
}

/* What the threads share. */
typedef struct job {
    const nn_graph *g;
    const nn__op *op;
    windows a;
} job;

static buffers buffers_of_member(const job *j, int id) {
    const nn_room r = nn__room(j->g, 0);
    return buffers_of(&j->a, nn_room_of(&r, id));
}

/* The buffers of a thread, ready for its windows. */
static buffers member_start(const job *j, const sx_team *team) {
    const buffers b = buffers_of_member(j, team->id);
    turn_table(&j->a, nn__value(j->g, j->op->weight), b.table);
    clear_padding(&j->a, &b);
    return b;
}

static void forward_window(const job *j, const buffers *b, int window) {
    const windows *a = &j->a;
    pack_window(a, b, nn__in(j->g, j->op, 0)->value, window);
    for (int head = 0; head < a->heads; head++) {
        const buffers h = head_of(a, b, head);
        forward_head(j->g->kernels, a, &h, cut_of(a, window), stat_of(a, j->op, window, head));
    }
    unpack(a, queries_of(a, window), b->y, a->heads, nn__out(j->g, j->op)->value, a->c, false);
}

static void forward_member(const sx_team *team, void *arg) {
    const job *j = arg;
    const buffers b = member_start(j, team);
    const int64_t n = (int64_t)j->a.rows * j->a.cols, end = sx_team_first(team, n, team->id + 1);
    for (int64_t i = sx_team_first(team, n, team->id); i < end; i++) forward_window(j, &b, (int)i);
}

static void window_forward(const nn_graph *g, const nn__op *op) {
    job j = {g, op, windows_of(g, op)};
    sx_pool_run(g->pool, forward_member, &j);
}

/* dq, dk, dv and d_table of a head. */
static void backward_head(const nn_kernels *k, const windows *a, const buffers *b, cut c,
                          const float *stat) {
    const int n = a->n, m = a->m, row = a->row, dp = a->dp;
    k->gemm(0, 1, n, m, dp, 1, b->q, dp, b->k, dp, 0, b->s, row);
    softmax_again(a, b->table, c, b->s, stat);
    k->gemm(1, 0, m, dp, n, 1, b->s, row, b->y, dp, 0, b->dv, dp);
    k->gemm(0, 1, n, m, dp, 1, b->y, dp, b->v, dp, 0, b->ds, row);
    memset(b->d_table, 0, (size_t)a->t * (size_t)a->t * sizeof(float));
    softmax_gradient(a, b->ds, b->s, b->d_table);
    k->gemm(0, 0, n, dp, m, 1, b->ds, row, b->k, dp, 0, b->dq, dp);
    k->gemm(1, 0, m, dp, n, 1, b->ds, row, b->q, dp, 0, b->dk, dp);
}

/* Without overlap each token is a query once and a key once, so its gradient can be written. */
static void backward_window(const job *j, const buffers *b, int window) {
    const windows *a = &j->a;
    const nn__tensor *x = nn__in(j->g, j->op, 0);
    const int64_t table = (int64_t)a->t * a->t;
    pack_window(a, b, x->value, window);
    pack(a, queries_of(a, window), nn__out(j->g, j->op)->grad, a->c, a->heads, b->y);
    for (int head = 0; head < a->heads; head++) {
        const buffers h = head_of(a, b, head);
        backward_head(j->g->kernels, a, &h, cut_of(a, window), stat_of(a, j->op, window, head));
        for (int64_t i = 0; i < table; i++) b->d_tables[head * table + i] += b->d_table[i];
    }
    const bool add = a->margin > 0 || !j->op->first[0];
    if (x->needs_grad) unpack_window(a, b, x->grad, window, add);
}

/* Windows whose keys overlap never run at the same time: in a turn only each `apart`-th row and
 * column of windows has one, so the order of additions does not depend on the threads. */
static void backward_member(const sx_team *team, void *arg) {
    const job *j = arg;
    const windows *a = &j->a;
    const buffers b = member_start(j, team);
    const int apart = 1 + (2 * a->margin + a->side - 1) / a->side;
    memset(b.d_tables, 0, (size_t)a->heads * (size_t)a->t * (size_t)a->t * sizeof(float));
    for (int turn = 0; turn < apart * apart; turn++) {
        const int row0 = turn / apart, col0 = turn % apart;
        const int rows = (a->rows - row0 + apart - 1) / apart;
        const int cols = (a->cols - col0 + apart - 1) / apart;
        const int64_t n = (int64_t)rows * cols, end = sx_team_first(team, n, team->id + 1);
        for (int64_t i = sx_team_first(team, n, team->id); i < end; i++) {
            const int row = row0 + apart * (int)(i / cols), col = col0 + apart * (int)(i % cols);
            backward_window(j, &b, row * a->cols + col);
        }
        sx_team_barrier(team);
    }
}

static void window_backward(const nn_graph *g, const nn__op *op) {
    job j = {g, op, windows_of(g, op)};
    const nn__tensor *x = nn__in(g, op, 0);
    if (x->needs_grad && op->first[0] && j.a.margin > 0)
        memset(x->grad, 0, (size_t)x->count * sizeof(float));
    sx_pool_run(g->pool, backward_member, &j);
    for (int id = 0; id < nn__threads(g); id++) {
        const buffers b = buffers_of_member(&j, id);
        for (int head = 0; head < j.a.heads; head++)
            add_table_gradient(&j.a, b.d_tables + (int64_t)head * j.a.t * j.a.t, head,
                               nn__grad(g, op->weight));
    }
}

const nn__kind nn__window_attention_kind = {.name = "window_attention",
                                            .reads = 1u << 0,
                                            .shape = window_shape,
                                            .macs = window_macs,
                                            .saved = window_saved,
                                            .scratch = window_scratch,
                                            .forward = window_forward,
                                            .backward = window_backward};

nn_tensor nn_window_attention(nn_graph *g, nn_tensor qkv, const char *name, nn_window_opt opt) {
    nn__op op = nn__op_make(&nn__window_attention_kind, qkv, -1);
    op.windows = opt;
    const int64_t t = opt.window + opt.keys - 1;
    op.weight = nn__param_append(g, name, "relative_position_bias_table", 2,
                                 (int64_t[]){t * t, opt.heads}, t, NN_INIT_SMALL_NORMAL);
    return nn__op_append(g, op);
}
