/* Taps of the slice profile and the grid of the imagined axial scan (dg_psf.h). The pulse itself is
 * in dg_pulse.c. */
#include "degrade/dg_psf.h"

#include <math.h>
#include "degrade/dg_pulse.h"

sx_err dg_psf_make(dg_psf *p, double lr_mm, double hr_mm) {
    if (!(hr_mm > 0.0) || !(lr_mm > hr_mm))
        return sx_fail(SX_E_CONFIG, "slice profile: thickness %g mm must exceed the pixel of %g mm",
                       lr_mm, hr_mm);
    double fwhm = sqrt(lr_mm * lr_mm - hr_mm * hr_mm) / hr_mm;
    if (2.0 * rint(fwhm) + 1.0 > DG_PSF_MAX_TAPS)
        return sx_fail(SX_E_CONFIG, "slice profile: %g mm at %g mm needs more than %d taps", lr_mm,
                       hr_mm, DG_PSF_MAX_TAPS);
    int half = (int)rint(fwhm); /* half to even, as the published table has it */
    double value[DG_PSF_MAX_TAPS], sum = 0.0;
    *p = (dg_psf){.n_taps = 2 * half + 1};
    for (int j = -half; j <= half; j++)
        sum += value[half + j] = dg__profile(2.0 * DG_PROFILE_HALF * j / fwhm);
    for (int j = 0; j < p->n_taps; j++) p->tap[j] = (float)(value[j] / sum);
    return SX_OK;
}

void dg_grid(int h, double r, int *n, double *first) {
    int rows = (int)rint(h / r);
    *n = rows < 1 ? 1 : rows;
    *first = 0.5 * (h - 1) - 0.5 * (*n - 1) * r;
}
