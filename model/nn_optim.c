/* Adam and AdamW, norm, EMA, learning-rate schedules: loops over one block that vectorise. */
#include "model/nn_optim.h"

#include <math.h>
#include <string.h>

#include "model/nn_loops.h"

static const double pi = 3.14159265358979323846;

double nn_lr_at_share(const nn_lr *l, int64_t step, double done) {
    if (step < l->warmup) return l->base * (double)(step + 1) / (double)l->warmup;
    if (l->kind == NN_LR_CONSTANT) return l->base;
    return l->floor + (l->base - l->floor) * 0.5 * (1 + cos(pi * fmin(done, 1)));
}

double nn_lr_at(const nn_lr *l, int64_t step) {
    int64_t span = l->total - l->warmup;
    return nn_lr_at_share(l, step, span > 0 ? (double)(step - l->warmup) / (double)span : 1.0);
}

sx_err nn_lr_parse(const char *name, nn_lr_kind *k) {
    static const char *const names[] = {[NN_LR_CONSTANT] = "constant", [NN_LR_COSINE] = "cosine"};
    for (int i = 0; i < 2; i++)
        if (strcmp(name, names[i]) == 0) {
            *k = (nn_lr_kind)i;
            return SX_OK;
        }
    return sx_fail(SX_E_CONFIG, "learning-rate schedule \"%s\": should be constant or cosine",
                   name);
}

/* Sums go chunk by chunk and lane by lane, so that every machine, with any number of threads, adds
 * in the same order. */
enum { LANES = 16, CHUNK = 1 << 16 /* floats */ };

SX_CLONES
static double chunk_sum(const float *x, int64_t n) {
    double sum[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) sum[l] += (double)x[i + l] * (double)x[i + l];
    for (int l = 0; i < n; i++, l++) sum[l] += (double)x[i] * (double)x[i];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) sum[l] += sum[l + half];
    return sum[0];
}

typedef struct norm_call {
    const float *x;
    int64_t n;
    double *sum; /* of each chunk */
} norm_call;

static void norm_chunks(void *arg, int64_t first, int64_t last) {
    const norm_call *c = arg;
    for (int64_t i = first; i < last; i++) {
        const int64_t from = i * CHUNK, left = c->n - from;
        c->sum[i] = chunk_sum(c->x + from, left < CHUNK ? left : CHUNK);
    }
}

double nn_norm2(const float *x, int64_t n, sx_pool *pool) {
    enum { MANY = 64 }; /* chunks at a time: no memory is asked for */
    double sum[MANY], all = 0;
    for (int64_t from = 0; from < n; from += MANY * CHUNK) {
        norm_call c = {x + from, n - from < MANY * CHUNK ? n - from : MANY * CHUNK, sum};
        const int64_t chunks = (c.n + CHUNK - 1) / CHUNK;
        sx_pool_ranges(pool, chunks, norm_chunks, &c);
        for (int64_t i = 0; i < chunks; i++) all += sum[i];
    }
    return sqrt(all);
}

/* The numbers of one step, in float. */
typedef struct adam_step {
    float beta1, beta2, eps, grad_scale;
    float rest1, rest2; /* 1 - beta, taken in double: 0.999f is not close enough */
    float decay;        /* added to the gradient, times p */
    float shrink;       /* factor of p before the step */
    float rate;         /* lr / (1 - beta1^t) */
    float root;         /* 1 / sqrt(1 - beta2^t) */
    float take;         /* of the new p into the average; with two rounded factors the average of a
                           constant would drift from it, by 2e-4 at 0.9999 */
} adam_step;

SX_CLONES
static void adam_loop(const adam_step *a, float *restrict p, const float *restrict grad,
                      float *restrict m, float *restrict v, int64_t n) {
    const adam_step s = *a;
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * s.grad_scale + s.decay * p[i];
        m[i] = s.beta1 * m[i] + s.rest1 * g;
        v[i] = s.beta2 * v[i] + s.rest2 * g * g;
        p[i] = p[i] * s.shrink - s.rate * m[i] / (sqrtf(v[i]) * s.root + s.eps);
    }
}

SX_CLONES
static void ema_loop(float *restrict ema, const float *restrict p, float take, int64_t n) {
    for (int64_t i = 0; i < n; i++) ema[i] += take * (p[i] - ema[i]);
}

typedef struct adam_call {
    adam_step s;
    const nn_adam_blocks *b;
} adam_call;

/* The average takes what is still in the nearest cache. */
static void adam_range(void *arg, int64_t first, int64_t last) {
    enum { PIECE = 1 << 12 };
    const adam_call *c = arg;
    const nn_adam_blocks *b = c->b;
    for (int64_t i = first; i < last; i += PIECE) {
        const int64_t n = last - i < PIECE ? last - i : PIECE;
        adam_loop(&c->s, b->p + i, b->grad + i, b->m + i, b->v + i, n);
        if (b->ema != NULL) ema_loop(b->ema + i, b->p + i, c->s.take, n);
    }
}

void nn_adam_step(const nn_adam *a, double lr, int64_t step_number, const nn_adam_blocks *b,
                  sx_pool *pool) {
    double t = (double)step_number;
    adam_call c = {{
                       .beta1 = (float)a->beta1,
                       .beta2 = (float)a->beta2,
                       .rest1 = (float)(1 - a->beta1),
                       .rest2 = (float)(1 - a->beta2),
                       .eps = (float)a->eps,
                       .grad_scale = (float)b->grad_scale,
                       .decay = a->decoupled ? 0.0f : (float)a->weight_decay,
                       .shrink = a->decoupled ? (float)(1 - lr * a->weight_decay) : 1.0f,
                       .rate = (float)(lr / (1 - pow(a->beta1, t))),
                       .root = (float)(1 / sqrt(1 - pow(a->beta2, t))),
                       .take = (float)(1 - b->ema_decay),
                   },
                   b};
    sx_pool_ranges(pool, b->n, adam_range, &c);
}
