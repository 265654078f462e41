/* Statistics of experiments whose unit is the subject: means with bootstrap intervals, paired
 * tests, adjustment for many of them. Pure functions; random numbers are keyed, so that equal data
 * give equal bytes. Not collective. */
#ifndef EV_STAT_H
#define EV_STAT_H

#include <stdint.h>

/* Below this number of subjects no interval and no p-value is shown. */
enum { EV_LEAST_SUBJECTS = 3, EV_N_RESAMPLES = 2000 };

typedef struct ev_estimate {
    int64_t n; /* subjects that count */
    double mean, low, high;
} ev_estimate;

/* The group of each of name [n], numbered by first appearance: those of equal names, wherever they
 * stand. New [n] (sx_free); *n_groups of them. */
int64_t *ev_groups(const char *const *name, int64_t n, int64_t *n_groups);

/* A mean over the parts of subjects (sessions, instances): sum [n] of what was measured on a
 * subject, weight [n] its number of parts. The mean is all sums over all weights, its 95 % interval
 * that of 2000 resamples of whole subjects (percentiles; Efron, "Bootstrap methods", Ann. Statist.
 * 1979; cluster bootstrap as Field and Welsh, JRSS B 2007). Subjects of weight 0 do not count. All
 * NAN when none counts. Stream (seed 0, SX_RNG_BOOTSTRAP, 0, stream). */
ev_estimate ev_bootstrap_parts(const double *sum, const double *weight, int64_t n, uint64_t stream);
/* The same with one part a subject: mean of the finite x [n]. */
ev_estimate ev_bootstrap(const double *x, int64_t n, uint64_t stream);

/* Two-sided p-value of paired differences d [n], one a subject, under the hypothesis that each
 * might as well have had the other sign (Fisher, "The Design of Experiments", 1935). All 2^n sign
 * patterns up to n = 14, else 9999 drawn ones and the one seen (Phipson and Smyth, Stat. Appl.
 * Genet. Mol. Biol. 2010); stream (seed 0, SX_RNG_SIGN_FLIP, 0, stream). NAN when n is 0. */
double ev_sign_flip(const double *d, int64_t n, uint64_t stream);

/* p [n] -> adjusted [n] for the family of those that are not NAN (Holm, Scand. J. Statist. 1979).
 * `adjusted` may be `p`. */
void ev_holm(const double *p, double *adjusted, int64_t n);

#endif
