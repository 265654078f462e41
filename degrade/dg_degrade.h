/* The acquisition model: from one sagittal high-resolution slice to what the sagittal view of a
 * thick-sliced axial scan would show of it. Pure functions of (data, parameters, key): equal keys
 * give equal bytes on any number of ranks and threads. No files.
 *
 * Slices are [h rows = inferior][w columns = posterior] float, 0..1, isotropic pixels of `hr_mm`
 * (0.8571). The degradation acts along rows (slice axis of the axial scan).
 * Steps in order (Graf et al., MIDL 2024, section 2 and figure 2; docs/method.md says where this
 * differs from the authors' code: here nothing is displaced):
 *     rescale, rotate          HR and LR alike, reflected borders
 *     psf                      slice profile of an SLR pulse, FWHM sqrt(lr^2 - hr^2)
 *     gap                      interslice gap: a random window of rows stands for the slice
 *     down, noise, up          to lr_mm spacing; Gaussian noise; cubic B-spline back to hr_mm
 *     interlace                interleaved motion, stripes shifted along columns
 *     crop                     reflect pad and random crop, HR and LR alike
 *     blur, noise, bias        LR only
 *     jitter                   brightness then contrast, LR only, always
 * A level (0..7, rows of the paper's table 2) or a list of steps says which are on. */
#ifndef DG_DEGRADE_H
#define DG_DEGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"

typedef enum dg_step {
    DG_RESCALE,
    DG_ROTATE,
    DG_PSF,
    DG_GAP,
    DG_DOWN_UP, /* to lr_mm and back; always on in levels >= 1 */
    DG_SLICE_NOISE,
    DG_INTERLACE,
    DG_BLUR,
    DG_NOISE,
    DG_BIAS,
    DG_JITTER,
    DG_N_STEPS
} dg_step;

/* "rescale", "psf", …; never NULL. */
const char *dg_step_name(dg_step s);

/* What may happen: fixed for a training. */
typedef struct dg_config {
    uint32_t steps;                          /* bit s set: step s is on */
    double hr_mm;                            /* 0.8571 */
    double lr_min_mm, lr_max_mm, lr_step_mm; /* uniform choice; 4, 9, 0.25 (or 5, 5, 0.25) */
    double probability;                      /* of rescale, rotate, blur, noise, bias: 0.3 */
    double interlace_probability;            /* 0.15 */
} dg_config;

/* Level 0..7 of the paper's table 2 (design: 0 nothing, 1 down/up, 2 one PSF, 3 multi PSF, 4 + gap,
 * 5 + movement, 6 + rescale and rotate, 7 + blur, bias, noise). Errors: SX_E_USAGE. */
sx_err dg_config_level(dg_config *c, int level);
/* The config used for validation: geometry and random corruptions off; PSF, gap, down/up with its
 * noise, and jitter stay. */
dg_config dg_config_validation(const dg_config *c);

/* The parameters drawn for one slice: all a physicist needs to reproduce it. Plain data. */
typedef struct dg_draw {
    uint32_t steps;              /* bit s: step s fires for this slice */
    double lr_mm;                /* spacing of the imagined axial scan */
    double magnification;        /* 0.75..1.5 */
    double angle_deg;            /* -5..5 */
    int gap_rows;                /* n of the gap model */
    double slice_noise_sigma;    /* U(0, 0.015) */
    int interlace_rows;          /* 4..10 */
    double interlace_shift;      /* share of the width, 0.002..0.02; > 0: to the back */
    double blur_sigma_px;        /* 0.5..4 */
    double noise_sigma;          /* 0..0.05 */
    double bias[10];             /* cubic polynomial coefficients, U(0, 0.5) */
    double brightness, contrast; /* 0.8..1.2 */
    uint64_t seed, epoch, item;  /* key of the pixel-wise random numbers */
} dg_draw;

dg_draw dg_draw_make(const dg_config *c, uint64_t seed, uint64_t epoch, uint64_t item);

/* Make the pair of one slice.
 *   src  [h][w] float 0..1; borrowed.
 *   size side lengths of the crop (rows, columns); 0, 0: no crop, whole slice.
 *   hr, lr [size or h][size or w]; filled, 0..1 (lr clipped when jitter is on).
 *   work scratch; NULL: allocated inside. Reuse one per thread.
 * Errors: SX_E_DATA (slice too small), SX_E_CONFIG (lr_mm too small or too large for hr_mm),
 * SX_E_NOMEM. */
typedef struct dg_work dg_work;
dg_work *dg_work_new(void);
void dg_work_free(dg_work *w); /* takes NULL */
sx_err dg_pair(const dg_config *c, const dg_draw *d, const float *src, int h, int w, int size_h,
               int size_w, float *hr, float *lr, dg_work *work);

/* Labels [h][w] of the slice under the geometry of that pair (rescale, rotate, crop), by the
 * nearest pixel: y [size_h][size_w], filled. */
void dg_labels(const dg_draw *d, const uint8_t *src, int h, int w, int size_h, int size_w,
               uint8_t *y);

/* Row and column of the slice at which that crop begins; negative where the slice is padded. */
void dg_crop_origin(const dg_draw *d, int h, int w, int size_h, int size_w, int *row, int *col);

/* Called after each step with the LR (and HR) image of that moment: for montages and tests. */
typedef void dg_observer(void *user, dg_step after, const float *hr, const float *lr, int h, int w);
sx_err dg_pair_observed(const dg_config *c, const dg_draw *d, const float *src, int h, int w,
                        int size_h, int size_w, float *hr, float *lr, dg_work *work,
                        dg_observer *observer, void *user);

#endif
