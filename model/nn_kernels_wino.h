/* The convolutions of one instruction set; nn_kernels_wino_isa.c is compiled once for each. */
#ifndef NN_KERNELS_WINO_H
#define NN_KERNELS_WINO_H

#include "model/nn_kernels_bodies.h"

/* One way to convolve, for the shapes that it takes; functions as in the kernel table. */
typedef struct nn__family {
    const char *name; /* "winograd", "thin", "pointwise" */
    bool (*takes)(const nn_conv_shape *s);
    bool fuses;
    int64_t (*scratch)(const nn_conv_shape *s, int threads);
    void (*forward)(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                    const float *ready, const nn_sink *y, const nn_room *r);
    void (*backward_data)(const nn_conv_shape *s, const float *dy, const float *weight,
                          const nn_sink *dx, const nn_room *r);
    void (*backward_weight)(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                            float *dweight, float *dbias, const nn_room *r);
    int64_t (*ready)(const nn_conv_shape *s); /* NULL: there is nothing to prepare */
    void (*prepare)(const nn_conv_shape *s, const float *weight, float *ready);
} nn__family;

enum { NN__FAMILIES = 3 };

/* What no family takes is left to blas. */
typedef struct nn__isa {
    const char *name;
    nn__family family[NN__FAMILIES];
    /* Row i of a feed, w pixels: y [w][to_c]. */
    void (*feed_row)(const nn_feed *f, int w, int i, float *y, int64_t to_c);
} nn__isa;

extern const nn__isa nn__isa_portable;
#if defined __x86_64__
extern const nn__isa nn__isa_avx2;
extern const nn__isa nn__isa_avx512;
#endif

#endif
