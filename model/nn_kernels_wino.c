/* The Winograd table: picks the widest instruction set of this machine once, by CPU feature and
 * never by model. A shape goes to the first family of convolutions that takes it, else to OpenBLAS.
 */
#include "model/nn_kernels_wino.h"

#include <pthread.h>

#include "model/nn_kernels_blas_feed.h"

static const nn__isa *isa;
static nn__family blas;

static const nn__family *family_of(const nn_conv_shape *s) {
    for (int i = 0; i < NN__FAMILIES; i++)
        if (isa->family[i].takes(s)) return &isa->family[i];
    return nn__blas_feed.takes(s) ? &nn__blas_feed : &blas;
}

static bool fuses(const nn_conv_shape *s) {
    return family_of(s)->fuses;
}

static int64_t scratch_floats(const nn_conv_shape *s, int threads) {
    return family_of(s)->scratch(s, threads);
}

static void forward(const nn_conv_shape *s, const nn_feed *x, const float *weight,
                    const float *ready, const nn_sink *y, const nn_room *r) {
    family_of(s)->forward(s, x, weight, ready, y, r);
}

static void backward_data(const nn_conv_shape *s, const float *dy, const float *weight,
                          const nn_sink *dx, const nn_room *r) {
    family_of(s)->backward_data(s, dy, weight, dx, r);
}

static void backward_weight(const nn_conv_shape *s, const nn_feed *x, const float *dy,
                            float *dweight, float *dbias, const nn_room *r) {
    family_of(s)->backward_weight(s, x, dy, dweight, dbias, r);
}

static int64_t ready_floats(const nn_conv_shape *s) {
    const nn__family *f = family_of(s);
    return f->ready ? f->ready(s) : 0;
}

static void prepare(const nn_conv_shape *s, const float *weight, float *ready) {
    const nn__family *f = family_of(s);
    if (f->prepare) f->prepare(s, weight, ready);
}

static const nn__isa *widest(void) {
#if defined __x86_64__
    if (__builtin_cpu_supports("avx512f")) return &nn__isa_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &nn__isa_avx2;
#endif
    return &nn__isa_portable;
}

static nn_kernels table = {
    .name = "wino",
    .conv_fuses = fuses,
    .conv_scratch = scratch_floats,
    .conv_forward = forward,
    .conv_backward_data = backward_data,
    .conv_backward_weight = backward_weight,
    .conv_ready = ready_floats,
    .conv_prepare = prepare,
};

static void start(void) {
    const nn_kernels *k = nn__kernels_blas();
    isa = widest();
    blas = (nn__family){.name = "blas",
                        .scratch = k->conv_scratch,
                        .forward = k->conv_forward,
                        .backward_data = k->conv_backward_data,
                        .backward_weight = k->conv_backward_weight};
    table.isa = isa->name;
    table.gemm = k->gemm;
}

const nn_kernels *nn__kernels_wino(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    return &table;
}

const nn__isa *nn__wino_isa(void) {
    return isa;
}

int nn__kernels_wino_is_wide(void) {
    return widest() != &nn__isa_portable;
}
