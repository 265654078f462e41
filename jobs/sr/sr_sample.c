/* One volume through the network: pad, restore, consistency, un-pad, slice by slice (sr.h).
 * Restored is by DDIM from noise, or by one call of the network.
 *
 * All slices of a volume start from one noise image (anatomy changes slowly from slice to slice,
 * and so does then the result). Its row i is a random stream of its own, so images of different
 * sizes share their noise from the top left corner on. */
#include <math.h>
#include <string.h>
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "image/im_spline.h"
#include "jobs/sr/sr.h"
#include "mpi/mp_stop.h"

/* A sagittal slice with no value above this is background: 2 % of the range. */
static const float empty_below = 0.02f;

void sr_engine_clear(sr_engine *e) {
    net_free(e->net);
    sx_free(e->lr);
    sx_free(e->x);
    sx_free(e->scratch);
    sx_free(e->measured);
    *e = (sr_engine){0};
}

static sx_err grow(float **block, int64_t *room, int64_t n) {
    if (n <= *room) return SX_OK;
    sx_free(*block);
    *block = sx_try_alloc(n, sizeof(float));
    *room = *block ? n : 0;
    return *block ? SX_OK : sx_fail(SX_E_NOMEM, "sr: no memory for %lld pixels", (long long)n);
}

/* Network and room for the slices of this volume. */
static sx_err fit(sr_engine *e, const sr_volume *v) {
    const sr_config *c = e->c;
    int64_t measured = v->measured.dim[0] * v->measured.dim[1], rooms[2] = {0, 0};
    sx_err rc = SX_OK;
    if (measured > e->measured_room) {
        SX_TRY(rc, grow(&e->measured, &rooms[0], measured));
        SX_TRY(rc, grow(&e->scratch, &rooms[1], measured));
        e->measured_room = measured;
    }
    if (!c->method->network) return SX_OK;
    const int h = net_padded(&c->net, v->cubic.dim[1]), w = net_padded(&c->net, v->cubic.dim[0]);
    if (e->net && e->h == h && e->w == w) return SX_OK;
    net_free(e->net);
    e->net = NULL;
    e->h = e->w = 0; /* a size only when all of it is there */
    rooms[0] = rooms[1] = 0;
    SX_TRY(rc, grow(&e->lr, &rooms[0], (int64_t)h * w));
    SX_TRY(rc, grow(&e->x, &rooms[1], (int64_t)h * w));
    SX_TRY(rc, net_new(&e->net, &c->net, h, w, c->kernels, (net_opt){.threads = c->threads}));
    if (c->n_ready > 0 && nn_graph_ready_count(net_graph(e->net)) == c->n_ready)
        nn_graph_use_ready(net_graph(e->net), mp_share_data(c->ready));
    e->h = h;
    e->w = w;
out:
    return rc;
}

uint64_t sr_noise_key(const sr_config *c, const io_item *item) {
    return sx_hash_key(c->noise_by_item || !*item->subject ? item->rel : item->subject);
}

static void fill_noise(const sr_engine *e, uint64_t key, int sample) {
    for (int i = 0; i < e->h; i++) {
        sx_rng r = sx_rng_make(e->c->seed, SX_RNG_SAMPLE, (uint64_t)sample, key + (uint64_t)i);
        sx_rng_normals(&r, e->x + (int64_t)i * e->w, e->w);
    }
}

/* ---- one slice; the image is [h][w], the padded one [e->h][e->w] from row `top`, column `left`
 * ---- */

typedef struct sr__slice {
    const sr_engine *e;
    const dg_operator *op;
    int h, w, top, left, n_measured;
    sr_step *step; /* may be NULL */
    void *user;
    int64_t done, mine; /* slices of this rank */
} slice;

static slice slice_make(const sr_engine *e, const sr_volume *v, const dg_operator *op) {
    slice s = {.e = e,
               .op = op,
               .h = (int)v->cubic.dim[1],
               .w = (int)v->cubic.dim[0],
               .n_measured = (int)v->measured.dim[1]};
    s.top = (e->h - s.h) / 2;
    s.left = (e->w - s.w) / 2;
    return s;
}

/* Reflected borders; inside is the image itself when from == to. */
static void pad(const slice *s, float *image) {
    int w = s->e->w;
    for (int i = 0; i < s->e->h; i++) {
        const float *from = image + (s->top + im_mirror(i - s->top, s->h)) * w + s->left;
        float *to = image + (int64_t)i * w;
        for (int j = 0; j < w; j++)
            if (i < s->top || i >= s->top + s->h || j < s->left || j >= s->left + s->w)
                to[j] = from[im_mirror(j - s->left, s->w)];
    }
}

/* The slice [h][w] of 0..1 as padded condition in -1..1. */
static void put(const slice *s, const float *from, float *to) {
    for (int i = 0; i < s->h; i++) {
        float *row = to + (int64_t)(s->top + i) * s->e->w + s->left;
        for (int j = 0; j < s->w; j++) row[j] = 2.0f * from[(int64_t)i * s->w + j] - 1.0f;
    }
    pad(s, to);
}

static void take(const slice *s, const float *from, float *to) {
    for (int i = 0; i < s->h; i++) {
        const float *row = from + (int64_t)(s->top + i) * s->e->w + s->left;
        for (int j = 0; j < s->w; j++) to[(int64_t)i * s->w + j] = 0.5f * (row[j] + 1.0f);
    }
}

/* Hook of the sampler: the clean estimate must give back the measured slices. */
static void correct(void *user, int t, float *x0, int64_t n) {
    const slice *s = user;
    const sr_engine *e = s->e;
    (void)t; /* the same at every step */
    (void)n;
    dg_operator_project(s->op, e->measured, s->w, x0 + (int64_t)s->top * e->w + s->left, e->w,
                        e->scratch);
    pad(s, x0);
}

/* A slice can take minutes: who looks on hears of each step of the sampler. */
static void after_step(void *user, int i, float *x, int64_t n) {
    const slice *s = user;
    (void)i, (void)x, (void)n;
    if (s->step) s->step(s->user, s->done, s->mine);
}

/* ---- methods ---- */

static void sample_slice(sr_engine *e, const slice *s, uint64_t key, int sample) {
    fill_noise(e, key, sample);
    df_sample(&e->c->schedule, e->net, e->c->params, e->lr, e->c->steps, e->x,
              e->c->project ? correct : NULL, after_step, (void *)(uintptr_t)s);
}

/* One call. A network with a diffusion time gets what it got in training: the condition, and 0. */
static void answer_slice(sr_engine *e, const slice *s, uint64_t key, int sample) {
    const float *answer = net_forward(e->net, e->c->params, e->lr, e->lr, 0);
    (void)s, (void)key, (void)sample;
    for (int64_t i = 0; i < net_pixels(e->net); i++) {
        float v = answer[i] > 1 ? 1 : answer[i];
        e->x[i] = v < -1 ? -1 : v;
    }
}

static const sr_method methods[] = {
    {"diffusion", .network = true, .sampled = true, .restore = sample_slice},
    {"regression", .network = true, .restore = answer_slice},
    {"adversarial", .network = true, .restore = answer_slice},
    {"cubic", .restore = NULL},
};

const sr_method *sr_method_find(const char *name) {
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].name, name) == 0) return &methods[i];
    return NULL;
}

static void restore(sr_engine *e, const slice *s, const float *cubic, const float *measured,
                    uint64_t key, int sample, float *out) {
    for (int64_t i = 0; i < (int64_t)s->n_measured * s->w; i++)
        e->measured[i] = 2.0f * measured[i] - 1.0f;
    put(s, cubic, e->lr);
    e->c->method->restore(e, s, key, sample);
    take(s, e->x, out);
}

/* A network that diverged, or damaged weights, give values that are none. */
static sx_err check_finite(const float *x, int64_t n, int64_t k, int64_t n_slices) {
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return sx_fail(SX_E_DATA,
                           "the network gives values that are not finite (slice %lld of %lld): did "
                           "its training diverge?",
                           (long long)k + 1, (long long)n_slices);
    return SX_OK;
}

/* ---- the volume ---- */

static bool is_empty(const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (x[i] >= empty_below) return false;
    return true;
}

/* owner[k]: rank of `share` that restores slice k; -1: empty, or nothing is restored, taken as it
 * is. *mine: how many are this rank's. */
static int *deal(const sr_engine *e, mp_comm *share, const sr_volume *v, int64_t *mine) {
    int64_t n_pixels = v->cubic.dim[0] * v->cubic.dim[1], turn = 0;
    int *owner = SX_NEW_ARRAY(int, v->cubic.dim[2]);
    *mine = 0;
    for (int64_t k = 0; k < v->cubic.dim[2]; k++) {
        bool empty = e->c->skip_empty && is_empty(v->cubic.voxel + k * n_pixels, n_pixels);
        owner[k] = empty || !e->c->method->restore ? -1 : (int)(turn++ % mp_size(share));
        *mine += owner[k] == mp_rank(share);
    }
    return owner;
}

/* Every rank's slices to all ranks, in `out`. */
static void gather(mp_comm *share, const int *owner, int64_t n_slices, int64_t n_pixels,
                   float *out) {
    for (int64_t k = 0; k < n_slices; k++)
        if (owner[k] >= 0)
            mp_bcast(share, out + k * n_pixels, (size_t)n_pixels * sizeof(float), owner[k]);
}

sx_err sr_sample(sr_engine *e, mp_comm *share, const sr_volume *v, const dg_operator *op,
                 uint64_t noise_key, int sample, float *out, sr_step *step, void *user) {
    int64_t n_slices = v->cubic.dim[2], n_pixels = v->cubic.dim[0] * v->cubic.dim[1];
    int64_t n_measured = v->measured.dim[0] * v->measured.dim[1], mine;
    int *owner = deal(e, share, v, &mine);
    sx_err rc = fit(e, v);
    slice s = slice_make(e, v, op);
    s.step = step, s.user = user, s.mine = mine;
    for (int64_t k = 0; k < n_slices && rc == SX_OK; k++) {
        const float *cubic = v->cubic.voxel + k * n_pixels;
        const float *measured = v->measured.voxel + k * n_measured;
        float *to = out + k * n_pixels;
        if (owner[k] < 0)
            memcpy(to, cubic, (size_t)n_pixels * sizeof(float));
        else if (owner[k] == mp_rank(share))
            restore(e, &s, cubic, measured, noise_key, sample, to);
        else
            continue;
        rc = check_finite(to, n_pixels, k, n_slices);
        if (rc != SX_OK) break;
        if (e->c->project) dg_operator_project(op, measured, s.w, to, s.w, e->scratch);
        if (mp_stop_wanted()) rc = sx_fail(SX_E_AGAIN, "stopped on request; run again to finish");
        if (step && owner[k] >= 0) step(user, ++s.done, mine);
    }
    rc = mp_agree(share, rc);
    if (rc == SX_OK) gather(share, owner, n_slices, n_pixels, out);
    sx_free(owner);
    return rc;
}

double sr_residual(const dg_operator *op, const sr_volume *v, const float *x) {
    int w = (int)v->cubic.dim[0];
    int64_t n_pixels = w * v->cubic.dim[1], n_measured = w * v->measured.dim[1];
    float *scratch = SX_NEW_ARRAY(float, n_measured);
    double sum = 0.0;
    for (int64_t k = 0; k < v->cubic.dim[2]; k++)
        sum += dg_operator_residual2(op, v->measured.voxel + k * n_measured, w, x + k * n_pixels, w,
                                     scratch);
    sx_free(scratch);
    return sqrt(sum / (double)(n_measured * v->cubic.dim[2]));
}
