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

enum { LANES = 16 }; /* partial sums: fixed, so that every machine adds in the same order */

SX_CLONES
double nn_norm2(const float *x, int64_t n) {
    double sum[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) sum[l] += (double)x[i + l] * (double)x[i + l];
    for (int l = 0; i < n; i++, l++) sum[l] += (double)x[i] * (double)x[i];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) sum[l] += sum[l + half];
    return sqrt(sum[0]);
}

/* The numbers of one step, in float. */
typedef struct adam_step {
    float beta1, beta2, eps, grad_scale;
    float rest1, rest2; /* 1 - beta, taken in double: 0.999f is not close enough */
    float decay;        /* added to the gradient, times p */
    float shrink;       /* factor of p before the step */
    float rate;         /* lr / (1 - beta1^t) */
    float root;         /* 1 / sqrt(1 - beta2^t) */
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

void nn_adam_step(const nn_adam *a, double lr, int64_t step_number, float *p, const float *grad,
                  double grad_scale, float *m, float *v, int64_t n) {
    double t = (double)step_number;
    adam_step s = {
        .beta1 = (float)a->beta1,
        .beta2 = (float)a->beta2,
        .rest1 = (float)(1 - a->beta1),
        .rest2 = (float)(1 - a->beta2),
        .eps = (float)a->eps,
        .grad_scale = (float)grad_scale,
        .decay = a->decoupled ? 0.0f : (float)a->weight_decay,
        .shrink = a->decoupled ? (float)(1 - lr * a->weight_decay) : 1.0f,
        .rate = (float)(lr / (1 - pow(a->beta1, t))),
        .root = (float)(1 / sqrt(1 - pow(a->beta2, t))),
    };
    adam_loop(&s, p, grad, m, v, n);
}

SX_CLONES
void nn_ema_step(float *ema, const float *p, double decay, int64_t n) {
    /* With two rounded factors the average of a constant would drift from it, by 2e-4 at 0.9999. */
    float take = (float)(1 - decay);
    for (int64_t i = 0; i < n; i++) ema[i] += take * (p[i] - ema[i]);
}
