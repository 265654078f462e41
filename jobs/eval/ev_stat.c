/* Statistics (ev_stat.h). */
#include "jobs/eval/ev_stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "image/im_stat.h"

/* ---- groups ---- */

int64_t *ev_groups(const char *const *name, int64_t n, int64_t *n_groups) {
    int64_t *group = SX_NEW_ARRAY(int64_t, n + 1), *first = SX_NEW_ARRAY(int64_t, n + 1);
    *n_groups = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t g = *n_groups; // backwards: files of a group mostly follow one another
        while (g > 0 && strcmp(name[first[g - 1]], name[i]) != 0) g--;
        if (g == 0) first[(*n_groups)++] = i;
        group[i] = g > 0 ? g - 1 : *n_groups - 1;
    }
    sx_free(first);
    return group;
}

/* ---- intervals ---- */

/* Percentiles of resampled means of n subjects that count. */
static void resample(const double *sum, const double *weight, int64_t n, uint64_t stream,
                     ev_estimate *y) {
    float *means = SX_NEW_ARRAY(float, EV_N_RESAMPLES);
    sx_rng r = sx_rng_make(0, SX_RNG_BOOTSTRAP, 0, stream);
    for (int b = 0; b < EV_N_RESAMPLES; b++) {
        double s = 0.0, w = 0.0;
        for (int64_t i = 0; i < n; i++) {
            const int64_t drawn = sx_rng_int(&r, 0, n - 1);
            s += sum[drawn];
            w += weight[drawn];
        }
        means[b] = (float)(s / w);
    }
    y->low = im_quantile(means, EV_N_RESAMPLES, 0.025);
    y->high = im_quantile(means, EV_N_RESAMPLES, 0.975);
    sx_free(means);
}

ev_estimate ev_bootstrap_parts(const double *sum, const double *weight, int64_t n,
                               uint64_t stream) {
    ev_estimate y = {0, (double)NAN, (double)NAN, (double)NAN};
    double *s = SX_NEW_ARRAY(double, n + 1), *w = SX_NEW_ARRAY(double, n + 1);
    double all = 0.0, parts = 0.0;
    for (int64_t i = 0; i < n; i++) {
        if (!(weight[i] > 0.0)) continue;
        all += s[y.n] = sum[i];
        parts += w[y.n++] = weight[i];
    }
    if (y.n > 0) {
        y.mean = all / parts;
        resample(s, w, y.n, stream, &y);
    }
    sx_free(s);
    sx_free(w);
    return y;
}

ev_estimate ev_bootstrap(const double *x, int64_t n, uint64_t stream) {
    double *weight = SX_NEW_ARRAY(double, n + 1);
    for (int64_t i = 0; i < n; i++) weight[i] = isfinite(x[i]) ? 1.0 : 0.0;
    const ev_estimate y = ev_bootstrap_parts(x, weight, n, stream);
    sx_free(weight);
    return y;
}

/* ---- tests ---- */

enum { EXACT_UP_TO = 14, N_FLIPS = 9999 };

/* |sum| with the signs of `pattern`: bit i turns d[i]. */
static double flipped_by_bits(const double *d, int64_t n, uint64_t pattern) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += pattern >> i & 1 ? -d[i] : d[i];
    return fabs(sum);
}

static double flipped_at_random(const double *d, int64_t n, sx_rng *r) {
    double sum = 0.0;
    uint32_t bits = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i % 32 == 0) bits = sx_rng_u32(r);
        sum += bits >> i % 32 & 1 ? -d[i] : d[i];
    }
    return fabs(sum);
}

double ev_sign_flip(const double *d, int64_t n, uint64_t stream) {
    double seen = 0.0, size = 0.0;
    int64_t as_large = 0;
    if (n == 0) return (double)NAN;
    for (int64_t i = 0; i < n; i++) {
        seen += d[i];
        size += fabs(d[i]);
    }
    const double limit = fabs(seen) - 1e-12 * size; /* sums of another order are equal */
    if (n <= EXACT_UP_TO) {
        const uint64_t patterns = (uint64_t)1 << n;
        for (uint64_t p = 0; p < patterns; p++) as_large += flipped_by_bits(d, n, p) >= limit;
        return (double)as_large / (double)patterns;
    }
    sx_rng r = sx_rng_make(0, SX_RNG_SIGN_FLIP, 0, stream);
    for (int b = 0; b < N_FLIPS; b++) as_large += flipped_at_random(d, n, &r) >= limit;
    return (double)(as_large + 1) / (double)(N_FLIPS + 1);
}

/* ---- many tests ---- */

typedef struct ranked {
    double p;
    int64_t at;
} ranked;

static int by_p(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

void ev_holm(const double *p, double *adjusted, int64_t n) {
    ranked *r = SX_NEW_ARRAY(ranked, n + 1);
    double largest = 0.0; /* an adjusted value is never below that of a smaller p */
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(p[i])) r[m++] = (ranked){p[i], i};
    qsort(r, (size_t)m, sizeof *r, by_p);
    for (int64_t i = 0; i < n; i++) adjusted[i] = (double)NAN;
    for (int64_t i = 0; i < m; i++) {
        largest = fmax(largest, fmin(1.0, (double)(m - i) * r[i].p));
        adjusted[r[i].at] = largest;
    }
    sx_free(r);
}
