/* Parameters: names, layout, initial values. The table is built by the graph (model/nn_graph.c). */
#include "model/nn_params.h"

#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"

int nn_params_find(const nn_params *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->item[i].name, name) == 0) return i;
    return -1;
}

float *nn_params_block(const nn_params *p) {
    return SX_NEW_ARRAY(float, p->block);
}

static void fill_fan_in(float *values, const nn_param *it, sx_rng *r) {
    float bound = (float)(1.0 / sqrt((double)it->fan_in));
    for (int64_t e = 0; e < it->count; e++) values[e] = sx_rng_range(r, -bound, bound);
}

static void fill_normal(float *values, const nn_param *it, sx_rng *r, double deviation) {
    sx_rng_normals(r, values, it->count);
    for (int64_t e = 0; e < it->count; e++) values[e] *= (float)deviation;
}

static void fill_direction(float *values, const nn_param *it, sx_rng *r) {
    double squares = 0;
    sx_rng_normals(r, values, it->count);
    for (int64_t e = 0; e < it->count; e++) squares += (double)values[e] * (double)values[e];
    for (int64_t e = 0; e < it->count; e++) values[e] = (float)((double)values[e] / sqrt(squares));
}

static void fill(float *values, const nn_param *it, sx_rng *r) {
    switch (it->init) {
    case NN_INIT_FAN_IN:
        fill_fan_in(values, it, r);
        break;
    case NN_INIT_ZERO: /* as it is allocated */
        break;
    case NN_INIT_ONE:
        for (int64_t e = 0; e < it->count; e++) values[e] = 1.0f;
        break;
    case NN_INIT_SMALL_NORMAL:
        fill_normal(values, it, r, 0.02);
        break;
    case NN_INIT_SMALL_KAIMING:
        fill_normal(values, it, r, 0.1 * sqrt(2.0 / (double)it->fan_in));
        break;
    case NN_INIT_DIRECTION:
        fill_direction(values, it, r);
        break;
    }
}

void nn_params_init(const nn_params *p, float *block, uint64_t seed) {
    for (int i = 0; i < p->n; i++) {
        const nn_param *it = &p->item[i];
        float *values = SX_NEW_ARRAY(float, it->count);
        sx_rng r = sx_rng_make(seed, SX_RNG_INIT, 0, (uint64_t)i);
        fill(values, it, &r);
        nn_params_set(p, i, block, values);
        sx_free(values);
    }
}

/* Offset in the block, from the parameter's start, of element e in PyTorch order. */
static int64_t stored_at(const nn_param *it, int64_t e) {
    if (it->rank != 4) return e;
    int64_t c = it->shape[1], taps = it->shape[2] * it->shape[3];
    int64_t tap = e % taps, channel = e / taps % c, k = e / taps / c;
    return (k * taps + tap) * c + channel;
}

void nn_params_get(const nn_params *p, int i, const float *block, float *values) {
    const nn_param *it = &p->item[i];
    const float *stored = block + it->offset;
    for (int64_t e = 0; e < it->count; e++) values[e] = stored[stored_at(it, e)];
}

void nn_params_set(const nn_params *p, int i, float *block, const float *values) {
    const nn_param *it = &p->item[i];
    float *stored = block + it->offset;
    for (int64_t e = 0; e < it->count; e++) stored[stored_at(it, e)] = values[e];
}
