/* A smooth curve in space along the spine, measured by arc length.
 *
 * Of all curves that stay within a given root-mean-square distance of ordered points, the one that
 * bends least: a natural cubic spline in the chord length between the points, each coordinate on
 * its own (Reinsch, "Smoothing by spline functions", Numerische Mathematik 10, 1967; what
 * scipy.interpolate.splprep does with s = n rms^2). Beyond its ends the curve goes on straight.
 * Points, results and arc length in mm, s = 0 at the foot of the first point. Not collective. */
#ifndef SP_CURVE_H
#define SP_CURVE_H

#include <stdint.h>
#include "base/sx_err.h"

typedef struct sp_curve sp_curve;

/* New curve along point [n][3] (borrowed), in their order; points within 0.01 mm of their
 * predecessor are left out. rms_mm 0: through every point. Errors: SX_E_DATA (fewer than two
 * points at different places), SX_E_NOMEM. */
sx_err sp_curve_fit(sp_curve **c, const double (*point)[3], int64_t n, double rms_mm);
void sp_curve_free(sp_curve *c); /* takes NULL */

double sp_curve_length(const sp_curve *c);
/* Place and unit tangent at arc length s; either may be NULL. */
void sp_curve_at(const sp_curve *c, double s, double place[3], double tangent[3]);
/* Arc length of the foot of a perpendicular from `p`: of the nearest one. */
double sp_curve_project(const sp_curve *c, const double p[3]);

#endif
