/* How close a volume is to the truth: image metrics in world space.
 *
 * The truth is turned to RAS; the prediction is resampled on its grid by cubic B-splines. Only
 * voxels count that lie inside the prediction, inside the low-resolution scan (between its
 * outermost slice centres), and in the foreground of the truth: its Gaussian (sigma 2 voxels) above
 * 0.04 peak, closed by three steps of a six-neighbour cross, without the outermost three layers of
 * the grid (beyond it nothing counts as foreground). peak = 99.9 % quantile of the truth.
 * With p the prediction, g the truth, both in units of peak, means over the voxels that count:
 *   psnr    -10 log10 mean (p - g)^2, dB
 *   nrmse   sqrt(mean (p - g)^2) / standard deviation of g
 *   ssim    structural similarity (Wang et al., IEEE TIP 2004), K1 = 0.01, K2 = 0.03, Gaussian
 *           window of sigma 1.5 voxels on sagittal slices
 *   gms     gradient magnitude similarity (2 a b + c) / (a^2 + b^2 + c) on sagittal slices, a and b
 *           Prewitt magnitudes, c = 0.0026 (Xue et al., "Gradient Magnitude Similarity Deviation",
 *           IEEE TIP 2014), at full resolution, and its mean instead of its deviation: 1 is equal,
 *           larger is better
 *   hf      mean (p - p')^2 / mean (g - g')^2, ' a Gaussian of sigma 1 voxel along
 *           superior-inferior: energy of detail against the truth's, 1 is as sharp
 *   _fit    the same after the line through p that fits g best (least squares): intensity errors
 *           forgiven
 *
 * Voxels that are not finite count as 0. Not collective. */
#ifndef EV_IMAGE_H
#define EV_IMAGE_H

#include "image/im_volume.h"

typedef struct ev_scores {
    double psnr, nrmse, ssim, gms, hf;
    double psnr_fit, nrmse_fit, ssim_fit;
    double gain, bias; /* of the fit; bias in intensities of the truth */
    int64_t n_voxels;
} ev_scores;

/* The truth, prepared once for several predictions. */
typedef struct ev_truth {
    im_volume image;           /* RAS, units of peak */
    unsigned char *foreground; /* [count], 0 or 1 */
    double peak;
} ev_truth;

/* `t` must be zeroed; ev_truth_clear also after an error.
 * Errors: SX_E_DATA (nothing in it, singular matrix), SX_E_NOMEM. */
sx_err ev_truth_make(ev_truth *t, const im_volume *truth);
void ev_truth_clear(ev_truth *t);

/* Score one prediction. lr: the scan whose slab limits the region, or NULL.
 * Errors: SX_E_DATA (no common voxels), SX_E_NOMEM. */
sx_err ev_image_score(const ev_truth *t, const im_volume *prediction, const im_volume *lr,
                      ev_scores *s);

/* Sagittal slice `index` of the truth's grid out of any volume, in units of peak, as a picture: new
 * [h][w] (sx_free), superior up, anterior left; order as im_resample. Errors: SX_E_DATA,
 * SX_E_NOMEM. */
sx_err ev_sagittal(const ev_truth *t, const im_volume *v, int64_t index, int order, float **picture,
                   int *h, int *w);

#endif
