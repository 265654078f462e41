/* Schedules, targets and the DDIM sampler. With ab = alpha_bar(t), s = sqrt(ab), n = sqrt(1 - ab):
 * x_t = s x0 + n eps, v = s eps - n x0, hence x0 = s x_t - n v. */
#include "model/df_diffusion.h"

#include <math.h>
#include <string.h>

#include "base/sx_mem.h"

static const double linear_from = 1e-4, linear_to = 0.02;
static const double cosine_s = 0.008, cosine_beta_max = 0.999;
static const double pi = 3.14159265358979323846;

static double cosine_f(double t) {
    double c = cos((t / DF_STEPS + cosine_s) / (1 + cosine_s) * pi / 2);
    return c * c;
}

static double beta(df_schedule_kind kind, int t) {
    if (kind == DF_LINEAR) return linear_from + (linear_to - linear_from) * t / (DF_STEPS - 1);
    double b = 1 - cosine_f(t + 1) / cosine_f(t);
    return b < cosine_beta_max ? b : cosine_beta_max;
}

void df_schedule_init(df_schedule *s, df_schedule_kind kind, df_target target) {
    s->kind = kind;
    s->target = target;
    double product = 1;
    for (int t = 0; t < DF_STEPS; t++) {
        product *= 1 - beta(kind, t);
        s->alpha_bar[t] = product;
    }
}

static int index_of(const char *name, const char *const *names, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0) return i;
    return -1;
}

sx_err df_target_parse(const char *name, df_target *t) {
    static const char *const names[] = {[DF_EPS] = "eps", [DF_V] = "v", [DF_X0] = "x0"};
    int i = index_of(name, names, 3);
    if (i < 0) return sx_fail(SX_E_CONFIG, "target \"%s\": should be eps, v or x0", name);
    *t = (df_target)i;
    return SX_OK;
}

sx_err df_schedule_parse(const char *name, df_schedule_kind *k) {
    static const char *const names[] = {[DF_LINEAR] = "linear", [DF_COSINE] = "cosine"};
    int i = index_of(name, names, 2);
    if (i < 0) return sx_fail(SX_E_CONFIG, "schedule \"%s\": should be linear or cosine", name);
    *k = (df_schedule_kind)i;
    return SX_OK;
}

void df_noise(const df_schedule *s, int t, const float *x0, const float *eps, float *x_t,
              float *target, int64_t n) {
    float signal = (float)sqrt(s->alpha_bar[t]), noise = (float)sqrt(1 - s->alpha_bar[t]);
    for (int64_t i = 0; i < n; i++) {
        const float all[] = {
            [DF_EPS] = eps[i], [DF_V] = signal * eps[i] - noise * x0[i], [DF_X0] = x0[i]};
        x_t[i] = signal * x0[i] + noise * eps[i];
        target[i] = all[s->target];
    }
}

void df_estimate_x0(const df_schedule *s, int t, const float *x_t, const float *answer, float *x0,
                    int64_t n) {
    double ab = s->alpha_bar[t];
    /* x0 = of_x * x_t + of_answer * answer */
    const double of_x[] = {[DF_EPS] = sqrt(1 / ab), [DF_V] = sqrt(ab), [DF_X0] = 0};
    const double of_answer[] = {[DF_EPS] = -sqrt(1 / ab - 1), [DF_V] = -sqrt(1 - ab), [DF_X0] = 1};
    float a = (float)of_x[s->target], b = (float)of_answer[s->target];
    for (int64_t i = 0; i < n; i++) {
        float v = a * x_t[i] + b * answer[i];
        v = v > 1 ? 1 : v;
        x0[i] = v < -1 ? -1 : v;
    }
}

int df_timesteps(int n_steps, int *t) {
    int stride = 1;
    while ((DF_STEPS + stride - 1) / stride > n_steps) stride++;
    int n = (DF_STEPS + stride - 1) / stride;
    for (int i = 0; i < n; i++) t[i] = (n - 1 - i) * stride;
    return n;
}

/* x_t to x at the next, lower time, whose alpha_bar is `next`; eps re-derived from x0. */
static void ddim_step(double ab, double next, const float *x0, float *x, int64_t n) {
    float signal = (float)sqrt(ab), per_noise = (float)(1 / sqrt(1 - ab));
    float next_signal = (float)sqrt(next), next_noise = (float)sqrt(1 - next);
    for (int64_t i = 0; i < n; i++) {
        float eps = (x[i] - signal * x0[i]) * per_noise;
        x[i] = next_signal * x0[i] + next_noise * eps;
    }
}

void df_sample(const df_schedule *s, net *n, const float *params, const float *lr, int n_steps,
               float *x, df_hook *correct, df_hook *state, void *user) {
    int t[DF_STEPS], n_times = df_timesteps(n_steps, t);
    int64_t pixels = net_pixels(n);
    float *x0 = SX_NEW_ARRAY(float, pixels);
    for (int i = 0; i < n_times; i++) {
        const float *answer = net_forward(n, params, x, lr, t[i]);
        df_estimate_x0(s, t[i], x, answer, x0, pixels);
        if (correct != NULL) correct(user, t[i], x0, pixels);
        double next = i + 1 < n_times ? s->alpha_bar[t[i + 1]] : 1.0;
        ddim_step(s->alpha_bar[t[i]], next, x0, x, pixels);
        if (state != NULL) state(user, i, x, pixels);
    }
    sx_free(x0);
}
