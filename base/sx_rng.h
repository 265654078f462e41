/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011, "Parallel Random Numbers:
 * As Easy as 1, 2, 3").
 *
 * A stream is named by (seed, purpose, epoch, item); it does not depend on rank, thread or clock,
 * so equal names give equal numbers on any number of ranks. A stream is plain data, copied freely.
 * Not collective; no errors. */
#ifndef SX_RNG_H
#define SX_RNG_H

#include <stdint.h>

/* What a stream is for. Values are part of the file formats' reproducibility: never renumber. */
typedef enum sx_purpose {
    SX_RNG_INIT = 1,       /* network initialisation; item = parameter index  */
    SX_RNG_ORDER = 2,      /* order of slices in an epoch                     */
    SX_RNG_DEGRADE = 3,    /* degradation of one slice                        */
    SX_RNG_CROP = 4,       /* training crop                                   */
    SX_RNG_TIME = 5,       /* diffusion time step                             */
    SX_RNG_NOISE = 6,      /* diffusion noise in training                     */
    SX_RNG_DROPOUT = 7,    /* dropout; epoch = step, image * 65536 + op       */
    SX_RNG_SAMPLE = 8,     /* initial noise of the sampler                    */
    SX_RNG_SPLIT = 9,      /* subject-wise split                              */
    SX_RNG_BOOTSTRAP = 10, /* confidence intervals                            */
    SX_RNG_PHANTOM = 11,   /* anatomy and acquisition of phantoms             */
    SX_RNG_TEST = 12,
    SX_RNG_SIGN_FLIP = 17 /* paired tests */
} sx_purpose;

typedef struct sx_rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    int used;    /* words of `block` already given out */
    float spare; /* second normal of the last Box-Muller pair */
    int has_spare;
} sx_rng;

/* The raw bijection, exposed for tests against the published vectors. */
void sx_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

sx_rng sx_rng_make(uint64_t seed, sx_purpose purpose, uint64_t epoch, uint64_t item);
uint32_t sx_rng_u32(sx_rng *r);
/* Uniform in [0, 1), 24 bits. */
float sx_rng_uniform(sx_rng *r);
/* Uniform in [lo, hi). */
float sx_rng_range(sx_rng *r, float lo, float hi);
/* Uniform integer in lo..hi, both included; no modulo bias. */
int64_t sx_rng_int(sx_rng *r, int64_t lo, int64_t hi);
/* Standard normal (Box-Muller). */
float sx_rng_normal(sx_rng *r);
/* n standard normals into x. */
void sx_rng_normals(sx_rng *r, float *x, int64_t n);
/* Permutation of 0..n-1 into p (Fisher-Yates). */
void sx_rng_permutation(sx_rng *r, int64_t *p, int64_t n);

#endif
