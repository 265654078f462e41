/* The ceilings of one instruction set: multiply-adds in registers, and reading. Compiled once for
 * each (bench.cmake); as many accumulators as registers allow, more than latency needs. */
#include <string.h>
#include "jobs/bench/bench.h"

#if defined __AVX512F__
enum { LANES = 16, CHAINS = 24 };
#elif defined __AVX__
enum { LANES = 8, CHAINS = 12 };
#elif defined __aarch64__
enum { LANES = 4, CHAINS = 24 };
#else
enum { LANES = 4, CHAINS = 12 };
#endif

typedef float lanes __attribute__((vector_size(4 * LANES)));

static volatile float sink; /* what is computed must be computed */

static void keep(lanes x) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    sink = sum;
}

/* Each chain tends to 1: no value overflows or becomes subnormal. */
static double multiply_add(int64_t n) {
    lanes chain[CHAINS / 12][12], factor = (lanes){0} + 0.75f, term = (lanes){0} + 0.25f;
    lanes sum = {0};
    for (int k = 0; k < CHAINS; k++) chain[k / 12][k % 12] = (lanes){0} + (float)(k + 2);
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < CHAINS / 12; j++) /* short loops, which compilers unroll */
            for (int k = 0; k < 12; k++) chain[j][k] = chain[j][k] * factor + term;
    for (int k = 0; k < CHAINS; k++) sum += chain[k / 12][k % 12];
    keep(sum);
    return 2.0 * LANES * CHAINS * (double)n;
}

static void read_once(const float *x, int64_t n) {
    enum { STREAMS = 8 };
    lanes sum[STREAMS] = {{0}}, next;
    for (int64_t i = 0; i + STREAMS * LANES <= n; i += STREAMS * LANES)
        for (int k = 0; k < STREAMS; k++) {
            memcpy(&next, x + i + k * LANES, sizeof next);
            sum[k] += next;
        }
    for (int k = 1; k < STREAMS; k++) sum[0] += sum[k];
    keep(sum[0]);
}

#define NAME_OF_(isa) bench_isa_##isa
#define NAME_OF(isa) NAME_OF_(isa)
#define TEXT_OF_(isa) #isa
#define TEXT_OF(isa) TEXT_OF_(isa)
extern const bench_isa NAME_OF(BENCH_ISA);
const bench_isa NAME_OF(BENCH_ISA) = {TEXT_OF(BENCH_ISA), multiply_add, read_once};
