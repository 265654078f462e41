/* The table of kernel tables. "auto" is Winograd where the machine has vectors wide enough for it
 * to beat OpenBLAS, and OpenBLAS elsewhere. */
#include "model/nn_kernels.h"

#include <string.h>

#include "model/nn_kernels_bodies.h"

static const nn_kernels *fastest(void) {
    return nn__kernels_wino_is_wide() ? nn__kernels_wino() : nn__kernels_blas();
}

static const struct {
    const char *name;
    const nn_kernels *(*get)(void);
} bodies[] = {
    {"ref", nn__kernels_ref},
    {"blas", nn__kernels_blas},
    {"wino", nn__kernels_wino},
    {"auto", fastest},
};

sx_err nn_kernels_get(const char *name, const nn_kernels **k) {
    static const char on[] = "wino-";
    *k = NULL;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies && !*k; i++)
        if (!strcmp(bodies[i].name, name)) *k = bodies[i].get();
    if (*k) return SX_OK;
    if (strncmp(name, on, sizeof on - 1) != 0)
        return sx_fail(SX_E_CONFIG, "unknown kernels '%s' (ref, blas, wino, wino-ISA or auto)",
                       name);
    *k = nn__kernels_wino_on(name + sizeof on - 1);
    if (*k) return SX_OK;
    return sx_fail(SX_E_CONFIG, "kernels '%s': this machine has no such instruction set", name);
}

void nn_conv_backward(const nn_kernels *k, const nn_conv_shape *s, const nn_feed *x,
                      const float *dy, const float *weight, const nn_sink *dx, float *dweight,
                      float *dbias, const nn_room *r) {
    if (dx && k->conv_backward && k->conv_backward(s, x, dy, weight, dx, dweight, dbias, r)) return;
    k->conv_backward_weight(s, x, dy, dweight, dbias, r);
    if (dx) k->conv_backward_data(s, dy, weight, dx, r);
}
