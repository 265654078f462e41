/* Slice profile of an SLR-designed RF pulse, and the grid of the imagined axial scan.
 *
 * Pulse: 90 degrees, 128 points, time-bandwidth 16, least-squares filter, ripples 0.01/0.01 (Pauly
 * et al., IEEE TMI 1991); profile by Bloch simulation; taps one hr pixel apart, half maximum over F
 * = sqrt(lr^2 - hr^2) / hr pixels, 2*round(F)+1 of them, sum 1 (Graf et al. 2024; SMORE, Zhao et
 * al. 2021). Not collective. */
#ifndef DG_PSF_H
#define DG_PSF_H

#include <stdint.h>
#include "base/sx_err.h"

#define DG_PSF_MAX_TAPS 63
#define DG_PSF_ROOM 64 /* whole vectors */

typedef struct dg_psf {
    int n_taps;             /* odd */
    float tap[DG_PSF_ROOM]; /* 0 from n_taps on */
} dg_psf;

/* Errors: SX_E_CONFIG (lr_mm <= hr_mm, or too many taps). */
sx_err dg_psf_make(dg_psf *p, double lr_mm, double hr_mm);

/* Rows of an LR grid of spacing r = lr/hr pixels that covers h rows with the same centre:
 * n rows; row k lies at first + k * r (in hr rows). */
void dg_grid(int h, double r, int *n, double *first);

#endif
