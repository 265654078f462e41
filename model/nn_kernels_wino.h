/* The Winograd table of one instruction set; nn_kernels_wino_isa.c is compiled once for each. */
#ifndef NN_KERNELS_WINO_H
#define NN_KERNELS_WINO_H

#include "model/nn_kernels_bodies.h"

/* One way to convolve, for the shapes that it takes; functions as in the kernel table. */
typedef struct nn__family {
    const char *name; /* "winograd", "thin", "pointwise" */
    bool (*takes)(const nn_conv_shape *s);
    bool fuses, gates;
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

/* What no family takes is left to nn__blas_feed and blas. */
typedef struct nn__isa {
    const char *name;
    nn_kernels table; /* picks the family by shape */
    nn__family family[NN__FAMILIES];
} nn__isa;

#if defined __x86_64__
extern const nn__isa nn__isa_sse2, nn__isa_avx2, nn__isa_avx512;
#elif defined __aarch64__
extern const nn__isa nn__isa_neon;
#else
extern const nn__isa nn__isa_portable;
#endif

/* The instruction sets that were compiled, widest first, and whether this machine has them. */
typedef struct nn__isa_choice {
    const nn__isa *isa;
    bool usable, wide; /* wide: beats OpenBLAS */
} nn__isa_choice;
enum { NN__MAX_ISAS = 3 };
int nn__isas(nn__isa_choice choice[NN__MAX_ISAS]);

#endif
