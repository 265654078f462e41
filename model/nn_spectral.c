/* Spectral norm on parameter blocks. Weights are stored [k][ks][ks][c] while v is in PyTorch's
 * order (c, ks, ks): `v_at` goes from the one to the other. Sums are doubles in a fixed order. */
#include "model/nn_spectral.h"

#include <math.h>
#include <string.h>

/* One weight with its vectors. */
typedef struct spectral {
    int64_t weight, u, v; /* offsets in the block */
    int64_t k, c, taps;
} spectral;

/* The next weight with a spectral norm from parameter *i on; false after the last. The graph puts
 * u and v right behind their weight. */
static bool next(const nn_params *p, int *i, spectral *s) {
    for (; *i + 2 < p->n; ++*i) {
        const nn_param *w = &p->item[*i];
        if (w->state || !w[1].state || !w[2].state) continue;
        *s = (spectral){.weight = w[0].offset,
                        .u = w[1].offset,
                        .v = w[2].offset,
                        .k = w->shape[0],
                        .c = w->shape[1],
                        .taps = w->shape[2] * w->shape[3]};
        *i += 3;
        return true;
    }
    return false;
}

/* Place in v of element e of a stored row. */
static inline int64_t v_at(const spectral *s, int64_t e) {
    return e % s->c * s->taps + e / s->c;
}

/* Row `row` of W times v. */
static double row_times(const spectral *s, const float *block, int64_t row) {
    const int64_t n = s->c * s->taps;
    const float *w = block + s->weight + row * n, *v = block + s->v;
    double sum = 0;
    for (int64_t e = 0; e < n; e++) sum += (double)w[e] * (double)v[v_at(s, e)];
    return sum;
}

/* torch's normalize: at least 1e-12 divides. */
static void scale_to_length_1(float *x, int64_t n) {
    double squares = 0;
    for (int64_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    const double length = fmax(sqrt(squares), 1e-12);
    for (int64_t i = 0; i < n; i++) x[i] = (float)((double)x[i] / length);
}

static void iterate(const spectral *s, float *block) {
    const int64_t n = s->c * s->taps;
    const float *w = block + s->weight;
    float *u = block + s->u, *v = block + s->v;
    for (int64_t e = 0; e < n; e++) {
        double sum = 0;
        for (int64_t row = 0; row < s->k; row++) sum += (double)w[row * n + e] * (double)u[row];
        v[v_at(s, e)] = (float)sum;
    }
    scale_to_length_1(v, n);
    for (int64_t row = 0; row < s->k; row++) u[row] = (float)row_times(s, block, row);
    scale_to_length_1(u, s->k);
}

static double sigma_of(const spectral *s, const float *block) {
    double sigma = 0;
    for (int64_t row = 0; row < s->k; row++)
        sigma += (double)block[s->u + row] * row_times(s, block, row);
    return sigma;
}

void nn_spectral_iterate(const nn_params *p, float *block) {
    spectral s;
    for (int i = 0; next(p, &i, &s);) iterate(&s, block);
}

void nn_spectral_effective(const nn_params *p, const float *block, float *effective) {
    spectral s;
    memcpy(effective, block, (size_t)p->block * sizeof *block);
    for (int i = 0; next(p, &i, &s);) {
        const double sigma = sigma_of(&s, block);
        float *w = effective + s.weight;
        for (int64_t e = 0; e < s.k * s.c * s.taps; e++) w[e] = (float)((double)w[e] / sigma);
    }
}

static void map_gradient(const spectral *s, const float *block, float *grads) {
    const int64_t n = s->c * s->taps;
    const double sigma = sigma_of(s, block);
    const float *w = block + s->weight, *u = block + s->u, *v = block + s->v;
    float *d = grads + s->weight;
    double along = 0; /* <dE, E> */
    for (int64_t e = 0; e < s->k * n; e++) along += (double)d[e] * (double)w[e] / sigma;
    for (int64_t row = 0; row < s->k; row++)
        for (int64_t e = 0; e < n; e++) {
            const double uv = (double)u[row] * (double)v[v_at(s, e)];
            d[row * n + e] = (float)(((double)d[row * n + e] - along * uv) / sigma);
        }
}

void nn_spectral_gradient(const nn_params *p, const float *block, float *grads) {
    spectral s;
    for (int i = 0; next(p, &i, &s);) map_gradient(&s, block, grads);
}
