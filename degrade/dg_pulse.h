/* The RF pulse behind the slice profile; for degrade/ only.
 *
 * 90 degree excitation, 128 samples, time-bandwidth 16, in-slice ripple 0.01, out-of-slice ripple
 * 0.01, designed by the Shinnar-Le Roux transform. Not collective. */
#ifndef DG_PULSE_H
#define DG_PULSE_H

#define DG_PROFILE_POINTS 512
#define DG_PROFILE_EDGE 32.0 /* the profile covers -32..32: twice the time-bandwidth either way */
#define DG_PROFILE_HALF 8.0  /* where it falls to one half: time-bandwidth / 2                  */

/* Excited magnetisation |2 conj(a) b| at offset t, which has its half height at +-8 and is given
 * for |t| <= 32; quintic spline through 512 simulated points. The pulse is designed at the first
 * call; thread-safe. */
double dg__profile(double t);

#endif
