/* Losses and gradients of train_gan.h. With M pixels, s = sigma and both means depending on their
 * logits by 1/M each:
 *
 *     dL_D/dC(x_r) = -(s(f - C(x_r)) + belief) / 2M
 *     dL_D/dC(x_f) =  (s(C(x_f) - r) + doubt) / 2M
 *     dL_G/dC(x_f) = -(s(r - C(x_f)) + 1 - doubt) / 2M      as s(C(x_r) - f) = 1 - s(f - C(x_r)) */
#include "jobs/train/train_gan.h"

#include <math.h>

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

double train_gan_sum(const float *logit, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)logit[i];
    return sum;
}

double train_gan_doubt(const train_gan *g, const float *real, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += sigmoid(g->fake - (double)real[i]);
    return sum;
}

double train_gan_belief(const train_gan *g, const float *fake, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += sigmoid((double)fake[i] - g->real);
    return sum;
}

double train_gan_judge_real(const train_gan *g, const float *real, int64_t n, float *d) {
    const double half = 0.5 / (double)g->n;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double x = g->fake - (double)real[i];
        sum += softplus(x);
        d[i] = (float)(-half * (sigmoid(x) + g->belief));
    }
    return half * sum;
}

double train_gan_judge_fake(const train_gan *g, const float *fake, int64_t n, float *d) {
    const double half = 0.5 / (double)g->n;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double x = (double)fake[i] - g->real;
        sum += softplus(x);
        d[i] = (float)(half * (sigmoid(x) + g->doubt));
    }
    return half * sum;
}

double train_gan_deceive(const train_gan *g, const float *real, const float *fake, int64_t n,
                         double weight, float *d) {
    const double half = 0.5 / (double)g->n;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double x = g->real - (double)fake[i];
        sum += softplus((double)real[i] - g->fake) + softplus(x);
        d[i] = (float)(-weight * half * (sigmoid(x) + 1 - g->doubt));
    }
    return half * sum;
}
