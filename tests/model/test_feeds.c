/* Feeds, sinks and gates (model/nn_feed.h) of every Winograd table of this machine against ref. The
 * image of a feed is made here by plain loops in double and convolved by ref, whose sums count as
 * exact. Every call is made twice with teams of one, two, three and five threads, the second time
 * with workers that have one processor between them, so that others take their rows, and both ways
 * back at once: equal bytes, within the limits of the kernel table. */
#include "model/nn_kernels_wino.h"
#include "tests/model/kernel_test.h"

static const double limit_forward = 3e-6, limit_backward = 1e-5;

/* ---- tables and teams ---- */

static const nn_kernels *ref, *tables[NN__MAX_ISAS];
static int n_tables;

static const int team_sizes[] = {1, 2, 3, 5};
enum { N_TEAMS = sizeof team_sizes / sizeof *team_sizes };
static sx_pool *pools[N_TEAMS], *crowded[N_TEAMS];

/* Threads have the processors of the one that makes them. */
static sx_err start_crowded(void *arg) {
    (void)arg;
    sx_err rc = SX_OK;
    for (int i = 1; i < N_TEAMS && rc == SX_OK && !crowded[i]; i++)
        rc = sx_pool_new(&crowded[i], team_sizes[i]);
    return rc;
}

static void start(void) {
    nn__isa_choice isas[NN__MAX_ISAS];
    const int n = nn__isas(isas);
    ref = table_named("ref");
    table_named("wino"); /* starts OpenBLAS */
    n_tables = 0;
    for (int i = 0; i < n; i++)
        if (isas[i].usable) tables[n_tables++] = &isas[i].isa->table;
    for (int i = 0; i < N_TEAMS; i++)
        ck_assert_int_eq(sx_pool_new(&pools[i], team_sizes[i]), SX_OK);
    ck_assert_int_eq(sx_on_processors(2, start_crowded, NULL), SX_OK);
}

static void stop(void) {
    for (int i = 0; i < N_TEAMS; i++) {
        sx_pool_free(pools[i]);
        sx_pool_free(crowded[i]);
    }
}

/* ---- problems ---- */

/* What is done on the way from the stored images to the one that is convolved. */
typedef enum change { PLAIN, MASK, UP, DOWN } change;
static const char *const change_names[] = {"plain", "mask", "up", "down"};

typedef struct feed_kind {
    bool two, affine, silu;
    change change;
} feed_kind;
enum { N_KINDS = 32 };

static feed_kind kind_number(int i) {
    return (feed_kind){i & 1, i >> 1 & 1, i >> 2 & 1, (change)(i >> 3 & 3)};
}

/* A convolution whose input channels come in two parts, c[0] + c[1]. */
typedef struct shape {
    int h, w, c[2], k, ks;
} shape;

static bool can_be(shape s, feed_kind f) {
    return f.change != UP || (s.h % 2 == 0 && s.w % 2 == 0);
}

typedef struct problem {
    char title[160];
    nn_conv_shape s;
    int part[2]; /* channels of the two-part sink */
    nn_feed feed;
    block x[2], gain, offset;                         /* of the feed */
    block weight, bias, residual, dy, mean;           /* mean: of a gate */
    block dx_before[2], dweight_before, dbias_before; /* what is added to */
    block image, y, dx, dweight, dbias;               /* wanted; y and dx without what is added */
} problem;

/* Value of the feed before resampling, at pixel p of the stored images. */
static double stored_value(const nn_feed *f, int64_t p, int c) {
    const int part = c >= f->c[0], at = part ? c - f->c[0] : c, all = f->c[0] + f->c[1];
    double v = (double)f->x[part][p * f->c[part] + at];
    if (f->gain) v = v * (double)f->gain[c] + (double)f->offset[c];
    if (f->silu) v /= 1 + exp(-v);
    if (f->mask.threshold) v *= (double)nn_mask_at(&f->mask, (uint32_t)(p * all + c));
    return v;
}

static double fed_value(const nn_feed *f, int w, int i, int j, int c) {
    if (f->resample == NN_UP2) return stored_value(f, (int64_t)(i / 2) * (w / 2) + j / 2, c);
    if (f->resample == NN_SAME) return stored_value(f, (int64_t)i * w + j, c);
    double sum = 0;
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++)
            sum += stored_value(f, (int64_t)(2 * i + a) * (2 * w) + 2 * j + b, c);
    return sum / 4;
}

static block image_of(const nn_conv_shape *s, const nn_feed *f) {
    block image = block_new((int64_t)s->h * s->w * s->c, 0);
    float *to = image.at;
    for (int i = 0; i < s->h; i++)
        for (int j = 0; j < s->w; j++)
            for (int c = 0; c < s->c; c++) *to++ = (float)fed_value(f, s->w, i, j, c);
    return image;
}

static int64_t stored_pixels(const nn_conv_shape *s, change c) {
    const int64_t pixels = (int64_t)s->h * s->w;
    return c == UP ? pixels / 4 : c == DOWN ? 4 * pixels : pixels;
}

static void make_feed(problem *p, const shape *s, feed_kind kind, sx_rng *r, int shift) {
    const int c[2] = {kind.two ? s->c[0] : p->s.c, kind.two ? s->c[1] : 0};
    const int64_t pixels = stored_pixels(&p->s, kind.change);
    p->feed = (nn_feed){.silu = kind.silu,
                        .resample = kind.change == UP     ? NN_UP2
                                    : kind.change == DOWN ? NN_DOWN2
                                                          : NN_SAME};
    for (int i = 0; i < 2 && c[i] > 0; i++) {
        p->x[i] = block_random(r, pixels * c[i], shift, 1);
        p->feed.x[i] = p->x[i].at;
        p->feed.c[i] = c[i];
    }
    if (kind.affine) {
        p->gain = block_random(r, p->s.c, shift, 1);
        p->offset = block_random(r, p->s.c, shift, 1);
        p->feed.gain = p->gain.at;
        p->feed.offset = p->offset.at;
    }
    if (kind.change == MASK)
        p->feed.mask = (nn_mask){{sx_rng_u32(r), sx_rng_u32(r)}, UINT32_MAX / 4, 1 / 0.75f};
}

/* What ref makes of the image; nothing is added. */
static void make_wanted(problem *p) {
    const nn_conv_shape *s = &p->s;
    const nn_room nowhere = {0};
    p->image = image_of(s, &p->feed);
    const nn_feed image = nn_feed_plain(p->image.at, s->c);
    p->y = block_new(p->dy.n, 0);
    p->dx = block_new(p->image.n, 0);
    p->dweight = block_copy(p->dweight_before);
    p->dbias = block_copy(p->dbias_before);
    nn_sink y = nn_sink_plain(p->y.at, s->k, false), dx = nn_sink_plain(p->dx.at, s->c, false);
    y.bias = p->bias.at;
    ref->conv_forward(s, &image, p->weight.at, NULL, &y, &nowhere);
    ref->conv_backward_data(s, p->dy.at, p->weight.at, &dx, &nowhere);
    ref->conv_backward_weight(s, &image, p->dy.at, p->dweight.at, p->dbias.at, &nowhere);
}

static problem *problem_new(shape s, feed_kind kind, uint64_t key) {
    sx_rng r = sx_rng_make(17, SX_RNG_TEST, 0, key);
    const int shift = (int)(key & 1);
    problem *p = SX_NEW(problem);
    p->s = (nn_conv_shape){s.h, s.w, s.c[0] + s.c[1], s.k, s.ks};
    snprintf(p->title, sizeof p->title, "%dx%d %d+%d->%d ks %d, %s of %s%s%s", s.h, s.w, s.c[0],
             s.c[1], s.k, s.ks, change_names[kind.change], kind.two ? "two" : "one",
             kind.affine ? ", affine" : "", kind.silu ? ", silu" : "");
    const int64_t pixels = (int64_t)s.h * s.w, window = (int64_t)p->s.c * s.ks * s.ks;
    memcpy(p->part, s.c, sizeof p->part);
    make_feed(p, &s, kind, &r, shift);
    p->weight = block_random(&r, s.k * window, shift, 1 / sqrtf((float)window));
    p->bias = block_random(&r, s.k, shift, 1);
    p->residual = block_random(&r, pixels * s.k, shift, 1);
    p->dy = block_random(&r, pixels * s.k, shift, 1);
    for (int i = 0; i < 2; i++) p->dx_before[i] = block_random(&r, pixels * s.c[i], shift, 1);
    p->dweight_before = block_random(&r, s.k * window, shift, 1);
    p->dbias_before = block_random(&r, s.k, shift, 1);
    p->mean = block_random(&r, p->s.c, shift, 0.1f);
    make_wanted(p);
    return p;
}

static void problem_free(problem *p) {
    const block all[] = {
        p->x[0],     p->x[1], p->gain,         p->offset,       p->weight,         p->bias,
        p->residual, p->dy,   p->dx_before[0], p->dx_before[1], p->dweight_before, p->dbias_before,
        p->image,    p->y,    p->dx,           p->dweight,      p->dbias,          p->mean};
    for (int i = 0; i < COUNT(all); i++) sx_free(all[i].base);
    sx_free(p);
}

/* ---- calls ---- */

/* One table with one team. */
typedef struct worker {
    const nn_kernels *k;
    sx_pool *pool, *crowded;
    int n;
    bool both; /* by data and by weight are asked for together */
} worker;

static worker worker_of(const nn_kernels *k, int team) {
    return (worker){k, pools[team], crowded[team], team_sizes[team], false};
}

static void run_by_data(const worker *w, const problem *p, const nn_sink *dx, const nn_room *room) {
    if (!w->both) {
        w->k->conv_backward_data(&p->s, p->dy.at, p->weight.at, dx, room);
        return;
    }
    block dweight = block_new(p->weight.n, 0), dbias = block_new(p->bias.n, 0);
    nn_conv_backward(w->k, &p->s, &p->feed, p->dy.at, p->weight.at, dx, dweight.at, dbias.at, room);
    sx_free(dweight.base);
    sx_free(dbias.base);
}

static void run_by_weight(const worker *w, const problem *p, float *dweight, float *dbias,
                          const nn_room *room) {
    if (!w->both) {
        w->k->conv_backward_weight(&p->s, &p->feed, p->dy.at, dweight, dbias, room);
        return;
    }
    block dx = block_new(p->dx.n, 0);
    const nn_sink sink = nn_sink_plain(dx.at, p->s.c, false);
    nn_conv_backward(w->k, &p->s, &p->feed, p->dy.at, p->weight.at, &sink, dweight, dbias, room);
    sx_free(dx.base);
}

/* What is added to the sums, and where it lies. */
typedef enum added { NOTHING, IN_PLACE, ELSEWHERE, N_ADDED } added;

/* A block with what a call wrote. */
typedef block call_fn(const worker *w, const problem *p, int variant);

static void check_error(const char *what, const worker *w, const problem *p, const float *got,
                        const float *want, int64_t n, double limit) {
    const double error = relative_error(got, want, n);
    ck_assert_msg(error <= limit, "%s (%s, %d threads) of %s: error %.2e > %.0e", what, w->k->isa,
                  w->n, p->title, error, limit);
}

/* ---- forward ---- */

enum { WITH_MOMENTS = N_ADDED, N_FORWARD = 2 * N_ADDED };

static void mean_and_m2(const float *y, int64_t pixels, int c, int k, double *mean, double *m2) {
    double sum = 0, sum2 = 0;
    for (int64_t i = 0; i < pixels; i++) sum += (double)y[i * c + k];
    *mean = sum / (double)pixels;
    for (int64_t i = 0; i < pixels; i++) {
        const double d = (double)y[i * c + k] - *mean;
        sum2 += d * d;
    }
    *m2 = sum2;
}

/* Against moments of what was stored, so that the limits are those of the sums alone. */
static void check_moments(const worker *w, const problem *p, const float *y, nn_moments got) {
    const int64_t pixels = (int64_t)p->s.h * p->s.w;
    for (int k = 0; k < p->s.k; k++) {
        double mean, m2;
        mean_and_m2(y, pixels, p->s.k, k, &mean, &m2);
        const double std = sqrt(m2 / (double)pixels);
        ck_assert_msg(fabs(got.mean[k] - mean) <= 1e-5 * std,
                      "mean of channel %d (%s, %d threads) of %s: got %.9g, want %.9g, std %.3g", k,
                      w->k->isa, w->n, p->title, got.mean[k], mean, std);
        ck_assert_msg(fabs(got.m2[k] - m2) <= 1e-5 * m2,
                      "m2 of channel %d (%s, %d threads) of %s: got %.9g, want %.9g", k, w->k->isa,
                      w->n, p->title, got.m2[k], m2);
    }
}

/* y, then the moments (zero without). */
static block call_forward(const worker *w, const problem *p, int variant) {
    const added add = (added)(variant % N_ADDED);
    const int64_t n_moments = 2 * (int64_t)p->s.k;
    block out = block_unset(p->y.n, (int)(p->weight.at - p->weight.base));
    double *moments = SX_NEW_ARRAY(double, n_moments);
    for (int64_t i = 0; i < n_moments; i++) moments[i] = NAN;
    const nn_room room = room_new(w->k, &p->s, w->pool);
    nn_sink y = nn_sink_plain(out.at, p->s.k, false);
    y.bias = p->bias.at;
    if (variant >= WITH_MOMENTS) y.moments = (nn_moments){moments, moments + p->s.k};
    if (add == IN_PLACE) memcpy(out.at, p->residual.at, (size_t)out.n * sizeof(float));
    if (add != NOTHING) y.residual[0] = add == IN_PLACE ? out.at : p->residual.at;
    w->k->conv_forward(&p->s, &p->feed, p->weight.at, NULL, &y, &room);
    room_free(&room, p->title);
    if (variant >= WITH_MOMENTS) check_moments(w, p, out.at, y.moments);
    block all = block_new(out.n + 2 * n_moments, 0);
    memcpy(all.at, out.at, (size_t)out.n * sizeof(float));
    memcpy(all.at + out.n, moments, (size_t)n_moments * sizeof(double));
    sx_free(out.base);
    sx_free(moments);
    return all;
}

static void check_forward(const worker *w, const problem *p, int variant, block got) {
    block want = block_copy(p->y);
    for (int64_t i = 0; i < want.n && variant % N_ADDED != NOTHING; i++)
        want.at[i] += p->residual.at[i];
    check_error("forward", w, p, got.at, want.at, want.n, limit_forward);
    sx_free(want.base);
}

/* ---- by data ---- */

enum { TWO_PARTS = N_ADDED, N_BY_DATA = 2 * N_ADDED };

/* Channels of one part of an image [pixels][c]. */
static block part_of(const problem *p, block image, int part) {
    const int c0 = part ? p->part[0] : 0, c = p->part[part];
    const int64_t pixels = (int64_t)p->s.h * p->s.w;
    block b = block_new(pixels * c, (int)(p->weight.at - p->weight.base));
    for (int64_t i = 0; i < pixels; i++)
        memcpy(b.at + i * c, image.at + i * p->s.c + c0, (size_t)c * sizeof(float));
    return b;
}

static block joined(const problem *p, const block part[2]) {
    const int c[2] = {p->part[0], p->part[1]};
    const int64_t pixels = (int64_t)p->s.h * p->s.w;
    block b = block_new(pixels * p->s.c, (int)(p->weight.at - p->weight.base));
    for (int64_t i = 0; i < pixels; i++)
        for (int k = 0; k < 2; k++)
            memcpy(b.at + i * p->s.c + k * c[0], part[k].at + i * c[k],
                   (size_t)c[k] * sizeof(float));
    return b;
}

static block call_by_data(const worker *w, const problem *p, int variant) {
    const added add = (added)(variant % N_ADDED);
    const bool two = variant >= TWO_PARTS;
    block before = joined(p, p->dx_before), out[2], from[2];
    nn_sink dx = {0};
    for (int i = 0; i < 1 + two; i++) {
        from[i] = two ? block_copy(p->dx_before[i]) : block_copy(before);
        out[i] =
            add == IN_PLACE ? from[i] : block_unset(from[i].n, (int)(from[i].at - from[i].base));
        dx.y[i] = out[i].at;
        dx.c[i] = two ? p->part[i] : p->s.c;
        dx.residual[i] = add == NOTHING ? NULL : from[i].at;
    }
    const nn_room room = room_new(w->k, &p->s, w->pool);
    run_by_data(w, p, &dx, &room);
    room_free(&room, p->title);
    block got = two ? joined(p, out) : block_copy(out[0]);
    for (int i = 0; i < 1 + two; i++) {
        sx_free(from[i].base);
        if (add != IN_PLACE) sx_free(out[i].base);
    }
    sx_free(before.base);
    return got;
}

static void check_by_data(const worker *w, const problem *p, int variant, block got) {
    block want = block_copy(p->dx), before = joined(p, p->dx_before);
    for (int64_t i = 0; i < want.n && variant % N_ADDED != NOTHING; i++) want.at[i] += before.at[i];
    check_error("by data", w, p, got.at, want.at, want.n, limit_backward);
    for (int i = 0; i < 2; i++) { /* neither may hide behind the other */
        block g = part_of(p, got, i), t = part_of(p, want, i);
        check_error("by data, a part", w, p, g.at, t.at, t.n, limit_backward);
        sx_free(g.base);
        sx_free(t.base);
    }
    sx_free(want.base);
    sx_free(before.base);
}

/* ---- by data, through a gate ---- */

static bool can_gate(const worker *w, const problem *p) {
    const nn_feed *f = &p->feed;
    return f->gain && f->silu && f->resample == NN_SAME && w->k->conv_gates(&p->s);
}

/* Sums of y [pixels][c] and of y (x - mean) of channel k; `size` is that of their terms. */
static void gate_sums(const problem *p, const float *y, int k, double sum[2], double size[2]) {
    const int64_t pixels = (int64_t)p->s.h * p->s.w;
    const nn_feed *f = &p->feed;
    const int part = k >= f->c[0], at = part ? k - f->c[0] : k;
    sum[0] = sum[1] = size[0] = size[1] = 0;
    for (int64_t i = 0; i < pixels; i++) {
        const double x = (double)f->x[part][i * f->c[part] + at];
        const double v[2] = {(double)y[i * p->s.c + k],
                             (double)y[i * p->s.c + k] * (x - (double)p->mean.at[k])};
        for (int s = 0; s < 2; s++) {
            sum[s] += v[s];
            size[s] += fabs(v[s]);
        }
    }
}

/* Against sums of what was stored. */
static void check_gate_sums(const worker *w, const problem *p, block y, const nn_gate *g) {
    for (int k = 0; k < p->s.c; k++) {
        double want[2], size[2], got[2] = {g->sum[k], g->sum_x[k]};
        gate_sums(p, y.at, k, want, size);
        for (int s = 0; s < 2; s++)
            ck_assert_msg(fabs(got[s] - want[s]) <= 1e-6 * size[s],
                          "gate's sum %d of channel %d (%s, %d threads) of %s: got %.9g, want %.9g",
                          s, k, w->k->isa, w->n, p->title, got[s], want[s]);
    }
}

/* y [pixels][c] of both parts, then the sums. */
static block call_gate(const worker *w, const problem *p, int variant) {
    (void)variant;
    const int64_t pixels = (int64_t)p->s.h * p->s.w, n_sums = 2 * (int64_t)p->s.c;
    double *sums = SX_NEW_ARRAY(double, n_sums);
    for (int64_t i = 0; i < n_sums; i++) sums[i] = NAN;
    const nn_gate gate = {&p->feed, p->mean.at, sums, sums + p->s.c};
    nn_sink dx = {.gate = &gate};
    block out[2] = {{0}};
    for (int i = 0; i < 2 && p->feed.c[i] > 0; i++) {
        out[i] = block_unset(pixels * p->feed.c[i], (int)(p->weight.at - p->weight.base));
        dx.y[i] = out[i].at;
        dx.c[i] = p->feed.c[i];
    }
    const nn_room room = room_new(w->k, &p->s, w->pool);
    run_by_data(w, p, &dx, &room);
    room_free(&room, p->title);
    block y = dx.c[1] > 0 ? joined(p, out) : block_copy(out[0]);
    check_gate_sums(w, p, y, &gate);
    block all = block_new(y.n + 2 * n_sums, 0);
    memcpy(all.at, y.at, (size_t)y.n * sizeof(float));
    memcpy(all.at + y.n, sums, (size_t)n_sums * sizeof(double));
    for (int i = 0; i < 2; i++) sx_free(out[i].base);
    sx_free(y.base);
    sx_free(sums);
    return all;
}

/* Slope of the way that stored_value goes, with x for the stored value: d feed / d u. */
static double slope_at(const problem *p, int64_t pixel, int c) {
    const nn_feed *f = &p->feed;
    const int part = c >= f->c[0], at = part ? c - f->c[0] : c;
    const double x = (double)f->x[part][pixel * f->c[part] + at];
    const double u = x * (double)f->gain[c] + (double)f->offset[c], s = 1 / (1 + exp(-u));
    const uint32_t element = (uint32_t)(pixel * p->s.c + c);
    const double kept = f->mask.threshold ? (double)nn_mask_at(&f->mask, element) : 1;
    return kept * s * (1 + u * (1 - s));
}

static void check_gate(const worker *w, const problem *p, int variant, block got) {
    (void)variant;
    block want = block_copy(p->dx);
    for (int64_t i = 0; i < want.n; i++)
        want.at[i] = (float)((double)want.at[i] * slope_at(p, i / p->s.c, (int)(i % p->s.c)));
    check_error("gate", w, p, got.at, want.at, want.n, limit_backward);
    sx_free(want.base);
}

/* ---- by weight ---- */

/* dweight, then dbias. */
static block call_by_weight(const worker *w, const problem *p, int variant) {
    (void)variant;
    block out = block_new(p->weight.n + p->bias.n, (int)(p->weight.at - p->weight.base));
    float *dbias = out.at + p->weight.n;
    memcpy(out.at, p->dweight_before.at, (size_t)p->weight.n * sizeof(float));
    memcpy(dbias, p->dbias_before.at, (size_t)p->bias.n * sizeof(float));
    const nn_room room = room_new(w->k, &p->s, w->pool);
    run_by_weight(w, p, out.at, dbias, &room);
    room_free(&room, p->title);
    return out;
}

static void check_by_weight(const worker *w, const problem *p, int variant, block got) {
    (void)variant;
    check_error("by weight", w, p, got.at, p->dweight.at, p->dweight.n, limit_backward);
    check_error("by weight, bias", w, p, got.at + p->dweight.n, p->dbias.at, p->dbias.n,
                limit_backward);
}

/* ---- everything about one problem ---- */

static const struct {
    const char *name;
    call_fn *call;
    void (*check)(const worker *w, const problem *p, int variant, block got);
    int n_variants;                                 /* the last one asks for most */
    bool (*can)(const worker *w, const problem *p); /* NULL: always */
} ops[] = {{"forward", call_forward, check_forward, N_FORWARD, NULL},
           {"by data", call_by_data, check_by_data, N_BY_DATA, NULL},
           {"gate", call_gate, check_gate, 1, can_gate},
           {"by weight", call_by_weight, check_by_weight, 1, NULL}};

static void hold_op(const worker *w, const problem *p, int op, int variant) {
    if (ops[op].can && !ops[op].can(w, p)) return;
    const worker again = {w->k, w->crowded, w->crowded, w->n, true};
    block once = ops[op].call(w, p, variant), twice = ops[op].call(&again, p, variant);
    ck_assert_msg(!memcmp(once.at, twice.at, (size_t)once.n * sizeof(float)),
                  "%s (%s, %d threads) of %s: other bytes when repeated", ops[op].name, w->k->isa,
                  w->n, p->title);
    ops[op].check(w, p, variant, once);
    sx_free(once.base);
    sx_free(twice.base);
}

/* All variants by one thread, the last one by teams: by all, or by one that the key names. */
static void hold_against_ref(const problem *p, bool all_teams, uint64_t key) {
    for (int i = 0; i < n_tables; i++)
        for (int t = 0; t < N_TEAMS; t++) {
            if (!all_teams && t > 0 && t != 1 + (int)(key % (N_TEAMS - 1))) continue;
            const worker w = worker_of(tables[i], t);
            ck_assert_msg(w.k->conv_fuses(&p->s), "%s does not take %s", w.k->isa, p->title);
            for (int op = 0; op < COUNT(ops); op++)
                for (int v = t == 0 ? 0 : ops[op].n_variants - 1; v < ops[op].n_variants; v++)
                    hold_op(&w, p, op, v);
        }
}

static void hold(shape s, feed_kind kind, bool all_teams, uint64_t key) {
    problem *p = problem_new(s, kind, key);
    hold_against_ref(p, all_teams, key);
    problem_free(p);
}

/* ---- tests ---- */

/* Channels of whole vectors and not, images of one tile and of parts of tiles. */
static const shape small_shapes[] = {
    {12, 10, {24, 24}, 40, 3}, {6, 14, {17, 31}, 19, 3}, {4, 4, {16, 32}, 16, 3},
    {10, 6, {24, 24}, 33, 1},  {6, 14, {17, 31}, 48, 1}, {12, 10, {32, 16}, 48, 1},
    {2, 4, {16, 16}, 16, 1},   {4, 4, {16, 16}, 512, 1}, {12, 10, {24, 24}, 1, 3},
    {6, 14, {17, 31}, 4, 3},   {2, 2, {3, 4}, 3, 3},     {10, 14, {70, 110}, 85, 1},
};

START_TEST(every_feed_agrees_with_ref) {
    const shape s = small_shapes[_i];
    for (int k = 0; k < N_KINDS; k++)
        if (can_be(s, kind_number(k)))
            hold(s, kind_number(k), k == N_KINDS - 1, (uint64_t)(100 * _i + k));
}
END_TEST

static const feed_kind telling_kinds[] = {
    {false, false, false, PLAIN}, {true, false, false, PLAIN}, {false, true, true, MASK},
    {true, true, true, MASK},     {true, true, true, UP},      {true, true, true, DOWN},
};

static const shape large_shapes[] = {
    {37, 31, {24, 24}, 64, 3}, /* odd sides */
    {46, 42, {17, 31}, 35, 3}, /* several blocks, channels of no whole vectors */
    {22, 26, {64, 64}, 64, 3}, /* one block */
    {26, 26, {96, 96}, 64, 3}, /* several blocks, fewer tiles than output channels */
    {26, 26, {96, 96}, 67, 3},  {8, 700, {32, 32}, 32, 3}, /* pieces of a row */
    {6, 12, {96, 160}, 130, 3},                            /* one block, panels of weights */
    {37, 31, {32, 32}, 48, 1},  {37, 31, {17, 31}, 35, 1}, {2, 700, {32, 16}, 32, 1},
    {1, 5, {48, 16}, 64, 1},    {37, 31, {24, 24}, 1, 3},  {1, 700, {32, 17}, 2, 3},
    {22, 26, {48, 48}, 126, 3}, /* just few enough tiles to be shared by channels */
};

START_TEST(feeds_of_large_images_agree_with_ref) {
    const shape s = large_shapes[_i];
    for (int k = 0; k < COUNT(telling_kinds); k++)
        if (can_be(s, telling_kinds[k]))
            hold(s, telling_kinds[k], k == 3, (uint64_t)(1000 + 10 * _i + k));
}
END_TEST

static shape random_shape(sx_rng *r) {
    shape s = {.ks = sx_rng_int(r, 0, 2) ? 3 : 1};
    s.h = (int)sx_rng_int(r, s.ks == 3 ? 4 : 1, 44);
    s.w = (int)sx_rng_int(r, s.ks == 3 ? 4 : 1, 44);
    s.c[0] = (int)sx_rng_int(r, 1, 60);
    s.c[1] = (int)sx_rng_int(r, s.c[0] < 16 ? 16 - s.c[0] : 1, 60);
    s.k = (int)sx_rng_int(r, 16, 100);
    return s;
}

START_TEST(random_feeds_agree_with_ref) {
    sx_rng r = sx_rng_make(17, SX_RNG_TEST, 1, 0);
    for (uint64_t i = 0; i < 25; i++) {
        shape s;
        feed_kind kind;
        do {
            s = random_shape(&r);
            kind = kind_number((int)sx_rng_int(&r, 0, N_KINDS - 1));
        } while (!can_be(s, kind) || (int64_t)s.h * s.w * (s.c[0] + s.c[1]) * s.k > 1000000);
        hold(s, kind, false, 2000 + i);
    }
}
END_TEST

/* Mean of a thousand standard deviations: nothing is lost but what fp32 cannot hold. */
START_TEST(moments_do_not_cancel_far_from_zero) {
    static const shape shapes[] = {
        {37, 31, {24, 24}, 64, 3}, {12, 12, {32, 32}, 32, 3}, {30, 34, {32, 16}, 32, 1},
        {30, 34, {17, 31}, 35, 1}, {8, 700, {32, 32}, 32, 3},
    };
    for (int i = 0; i < COUNT(shapes); i++) {
        problem *p =
            problem_new(shapes[i], (feed_kind){.two = true, .affine = true}, (uint64_t)(3000 + i));
        for (int64_t k = 0; k < p->bias.n; k++) {
            const float far = k % 2 ? -1500 : 1500;
            p->bias.at[k] += far;
            for (int64_t at = k; at < p->y.n; at += p->s.k) p->y.at[at] += far;
        }
        for (int t = 0; t < n_tables; t++)
            for (int n = 0; n < N_TEAMS; n++) {
                const worker w = worker_of(tables[t], n);
                hold_op(&w, p, 0, N_FORWARD - 1);
            }
        problem_free(p);
    }
}
END_TEST

static block forward_with(const worker *w, const problem *p, const float *ready) {
    block out = block_unset(p->y.n, 0);
    const nn_room room = room_new(w->k, &p->s, w->pool);
    nn_sink y = nn_sink_plain(out.at, p->s.k, false);
    y.bias = p->bias.at;
    w->k->conv_forward(&p->s, &p->feed, p->weight.at, ready, &y, &room);
    room_free(&room, p->title);
    return out;
}

START_TEST(prepared_weights_give_the_bytes_of_plain_ones) {
    static const shape shapes[] = {
        {37, 31, {24, 24}, 64, 3}, {6, 6, {96, 32}, 130, 3}, {20, 24, {17, 31}, 19, 3}};
    for (int i = 0; i < COUNT(shapes) * n_tables; i++) {
        const nn_kernels *k = tables[i % n_tables];
        problem *p = problem_new(shapes[i / n_tables], kind_number(7), (uint64_t)(4000 + i));
        const int64_t n = k->conv_ready(&p->s);
        ck_assert_int_gt(n, 0);
        float *ready = scratch_new(n);
        k->conv_prepare(&p->s, p->weight.at, ready);
        check_guard(ready, n, "conv_prepare");
        for (int t = 0; t < N_TEAMS; t++) {
            const worker w = worker_of(k, t);
            block plain = forward_with(&w, p, NULL), prepared = forward_with(&w, p, ready);
            ck_assert_msg(!memcmp(plain.at, prepared.at, (size_t)plain.n * sizeof(float)),
                          "%s, %d threads, of %s: prepared weights give other bytes", k->isa, w.n,
                          p->title);
            sx_free(plain.base);
            sx_free(prepared.base);
        }
        sx_free(ready);
        problem_free(p);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("feeds");
    TCase *t = tcase_create("feeds");
    tcase_set_timeout(t, 0);
    tcase_add_unchecked_fixture(t, start, stop);
    tcase_add_loop_test(t, every_feed_agrees_with_ref, 0, COUNT(small_shapes));
    tcase_add_loop_test(t, feeds_of_large_images_agree_with_ref, 0, COUNT(large_shapes));
    tcase_add_test(t, random_feeds_agree_with_ref);
    tcase_add_test(t, moments_do_not_cancel_far_from_zero);
    tcase_add_test(t, prepared_weights_give_the_bytes_of_plain_ones);
    suite_add_tcase(suite, t);
    return check_run_suite(suite);
}
