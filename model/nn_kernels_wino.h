/* The convolutions of one instruction set; nn_kernels_wino_isa.c is compiled once for each. */
#ifndef NN_KERNELS_WINO_H
#define NN_KERNELS_WINO_H

#include "model/nn_kernels_bodies.h"

/* One way to convolve, for the shapes that it takes. */
typedef struct nn__family {
    const char *name; /* "winograd", "thin" */
    int (*takes)(const nn_conv_shape *s);
    int64_t (*scratch)(const nn_conv_shape *s);
    void (*forward)(const nn_conv_shape *s, const float *x, const float *weight, const float *bias,
                    float *y, float *scratch);
    void (*backward_data)(const nn_conv_shape *s, const float *dy, const float *weight, float *dx,
                          float *scratch);
    void (*backward_weight)(const nn_conv_shape *s, const float *x, const float *dy, float *dweight,
                            float *dbias, float *scratch);
} nn__family;

enum { NN__FAMILIES = 2 };

/* What no family takes is left to blas. */
typedef struct nn__isa {
    const char *name;
    nn__family family[NN__FAMILIES];
} nn__isa;

extern const nn__isa nn__isa_portable;
#if defined __x86_64__
extern const nn__isa nn__isa_avx2;
extern const nn__isa nn__isa_avx512;
#endif

#endif
