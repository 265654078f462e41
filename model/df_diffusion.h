/* Denoising diffusion: schedules, targets, DDIM sampler (Ho et al. 2020; Song et al. 2021, eta 0;
 * Salimans & Ho 2022 for v; Nichol & Dhariwal 2021 for the cosine schedule). T = 1000 steps.
 * Not collective. */
#ifndef DF_DIFFUSION_H
#define DF_DIFFUSION_H

#include <stdint.h>
#include "model/net.h"

typedef enum df_target { DF_EPS, DF_V, DF_X0 } df_target;
typedef enum df_schedule_kind { DF_LINEAR, DF_COSINE } df_schedule_kind;

#define DF_STEPS 1000

typedef struct df_schedule {
    df_schedule_kind kind;
    df_target target;
    double alpha_bar[DF_STEPS]; /* product of 1 - beta up to and including t */
} df_schedule;

/* Linear: beta from 1e-4 to 0.02. Cosine: s = 0.008, beta at most 0.999. */
void df_schedule_init(df_schedule *s, df_schedule_kind kind, df_target target);
/* Names for configuration ("eps|v|x0", "linear|cosine"). Errors: SX_E_CONFIG. */
sx_err df_target_parse(const char *name, df_target *t);
sx_err df_schedule_parse(const char *name, df_schedule_kind *k);

/* x_t = sqrt(ab) x0 + sqrt(1-ab) eps, and what the network should say about it; n pixels each. */
void df_noise(const df_schedule *s, int t, const float *x0, const float *eps, float *x_t,
              float *target, int64_t n);
/* Clean image estimate from the network's answer, clipped to -1..1. */
void df_estimate_x0(const df_schedule *s, int t, const float *x_t, const float *answer, float *x0,
                    int64_t n);

/* Time steps of an n-step sampler, descending; stride = the smallest integer i with
 * ceil(1000/i) <= n (20 -> 950, 900, … 0). Returns how many (<= n). */
int df_timesteps(int n_steps, int *t);

/* DDIM, eta 0. x [h][w]: the noise x_T in, the result (clipped x0) out. lr [h][w] in -1..1.
 *   correct(user, t, x0, n)  may change the clean estimate at each step (data consistency); or NULL
 *   state(user, i, x, n)     is told x after each step; or NULL
 * Source: Song, Meng, Ermon 2021, eq. 12; eps re-derived from the clipped x0. */
typedef void df_hook(void *user, int t_or_i, float *x, int64_t n);
void df_sample(const df_schedule *s, net *n, const float *params, const float *lr, int n_steps,
               float *x, df_hook *correct, df_hook *state, void *user);

#endif
