/* Image metrics. Definitions and sources are in ev_image.h. Voxel i runs to the right, j to the
 * front, k upwards, so a sagittal slice is fixed i; filters run over whole volumes with i as lanes.
 */
#include "jobs/eval/ev_image.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "image/im_stat.h"

static const double foreground_level = 0.04, foreground_sigma = 2.0; /* peak, voxels */
static const double ssim_sigma = 1.5, ssim_c1 = 0.01 * 0.01, ssim_c2 = 0.03 * 0.03;
static const double gms_c = 0.0026;
static const double hf_sigma = 1.0;

/* ---- filters on the truth's grid ---- */

static void smooth_i(float *x, const int64_t n[3], double sigma) {
    for (int64_t row = 0; row < n[1] * n[2]; row++) im_gauss(x + row * n[0], n[0], 1, 1, sigma);
}

static void smooth_j(float *x, const int64_t n[3], double sigma) {
    for (int64_t k = 0; k < n[2]; k++) im_gauss(x + k * n[0] * n[1], n[1], n[0], n[0], sigma);
}

static void smooth_k(float *x, const int64_t n[3], double sigma) {
    im_gauss(x, n[2], n[0] * n[1], n[0] * n[1], sigma);
}

/* One step of dilation (grow) or erosion by the six-neighbour cross; outside the grid nothing is
 * set. */
static void morph(const unsigned char *in, unsigned char *out, const int64_t n[3], bool grow) {
    const int64_t step[3] = {1, n[0], n[0] * n[1]};
    for (int64_t k = 0, at = 0; k < n[2]; k++)
        for (int64_t j = 0; j < n[1]; j++)
            for (int64_t i = 0; i < n[0]; i++, at++) {
                const int64_t p[3] = {i, j, k};
                bool any = in[at], all = in[at];
                for (int a = 0; a < 3; a++) {
                    const bool below = p[a] > 0 && in[at - step[a]];
                    const bool above = p[a] + 1 < n[a] && in[at + step[a]];
                    any = any || below || above;
                    all = all && below && above;
                }
                out[at] = grow ? any : all;
            }
}

/* ---- the truth ---- */

static void scale(im_volume *v, double factor) {
    for (int64_t i = 0; i < im_volume_count(v); i++)
        v->voxel[i] = (float)((double)v->voxel[i] * factor);
}

static sx_err make_foreground(ev_truth *t) {
    enum { STEPS = 3 };
    const int64_t count = im_volume_count(&t->image), *n = t->image.dim;
    float *smooth = sx_try_alloc(count, sizeof *smooth);
    unsigned char *other = sx_try_alloc(count, 1);
    sx_err rc = SX_OK;
    t->foreground = sx_try_alloc(count, 1);
    if (!smooth || !other || !t->foreground) {
        rc = sx_fail(SX_E_NOMEM, "no memory for a foreground of %lld voxels", (long long)count);
        goto out;
    }
    memcpy(smooth, t->image.voxel, (size_t)count * sizeof *smooth);
    smooth_i(smooth, n, foreground_sigma);
    smooth_j(smooth, n, foreground_sigma);
    smooth_k(smooth, n, foreground_sigma);
    for (int64_t i = 0; i < count; i++) t->foreground[i] = (double)smooth[i] > foreground_level;
    for (int step = 0; step < 2 * STEPS; step++) {
        morph(t->foreground, other, n, step < STEPS);
        unsigned char *swap = t->foreground;
        t->foreground = other;
        other = swap;
    }
out:
    sx_free(smooth);
    sx_free(other);
    return rc;
}

sx_err ev_truth_make(ev_truth *t, const im_volume *truth) {
    double unused[4][4];
    sx_err rc;
    if (!im_affine_invert(truth->affine, unused))
        return sx_fail(SX_E_DATA, "singular affine matrix");
    SX_TRY(rc, im_reorient(&t->image, truth, "RAS"));
    im_clear_nonfinite(t->image.voxel, im_volume_count(&t->image));
    t->peak = im_quantile(t->image.voxel, im_volume_count(&t->image), 0.999);
    if (!(t->peak > 0.0)) return sx_fail(SX_E_DATA, "the truth is empty (peak %g)", t->peak);
    scale(&t->image, 1.0 / t->peak);
    rc = make_foreground(t);
out:
    return rc;
}

void ev_truth_clear(ev_truth *t) {
    im_volume_clear(&t->image);
    sx_free(t->foreground);
    t->foreground = NULL;
}

/* ---- metrics: p prediction, g truth, both [count] in units of peak, m mask ---- */

static double mean_square_error(const float *p, const float *g, const unsigned char *m,
                                int64_t count, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        if (m[i]) sum += ((double)p[i] - (double)g[i]) * ((double)p[i] - (double)g[i]);
    return sum / (double)n;
}

static double deviation(const float *g, const unsigned char *m, int64_t count, int64_t n) {
    double mean = 0.0, square = 0.0;
    for (int64_t i = 0; i < count; i++)
        if (m[i]) mean += (double)g[i] / (double)n;
    for (int64_t i = 0; i < count; i++)
        if (m[i]) square += ((double)g[i] - mean) * ((double)g[i] - mean);
    return sqrt(square / (double)n);
}

/* Least squares g = gain p + bias; a constant p has gain 0. */
static void fit_line(const float *p, const float *g, const unsigned char *m, int64_t count,
                     int64_t n, double *gain, double *bias) {
    double mp = 0.0, mg = 0.0, pp = 0.0, pg = 0.0;
    for (int64_t i = 0; i < count; i++)
        if (m[i]) {
            mp += (double)p[i] / (double)n;
            mg += (double)g[i] / (double)n;
        }
    for (int64_t i = 0; i < count; i++)
        if (m[i]) {
            pp += ((double)p[i] - mp) * ((double)p[i] - mp);
            pg += ((double)p[i] - mp) * ((double)g[i] - mg);
        }
    *gain = pp > 0.0 ? pg / pp : 0.0;
    *bias = mg - *gain * mp;
}

/* Mean structural similarity. work [5][count]. */
static double ssim(const float *p, const float *g, const unsigned char *m, const int64_t dim[3],
                   int64_t n, float *work) {
    const int64_t count = dim[0] * dim[1] * dim[2];
    float *mp = work, *mg = mp + count, *pp = mg + count, *gg = pp + count, *pg = gg + count;
    memcpy(mp, p, (size_t)count * sizeof *mp);
    memcpy(mg, g, (size_t)count * sizeof *mg);
    for (int64_t i = 0; i < count; i++) {
        pp[i] = p[i] * p[i];
        gg[i] = g[i] * g[i];
        pg[i] = p[i] * g[i];
    }
    for (int map = 0; map < 5; map++) {
        smooth_j(work + map * count, dim, ssim_sigma);
        smooth_k(work + map * count, dim, ssim_sigma);
    }
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) {
        if (!m[i]) continue;
        const double a = (double)mp[i], b = (double)mg[i];
        const double va = (double)pp[i] - a * a, vb = (double)gg[i] - b * b,
                     cov = (double)pg[i] - a * b;
        sum += (2.0 * a * b + ssim_c1) * (2.0 * cov + ssim_c2) /
               ((a * a + b * b + ssim_c1) * (va + vb + ssim_c2));
    }
    return sum / (double)n;
}

static int64_t clamped(int64_t i, int64_t n) {
    return i < 0 ? 0 : i < n ? i : n - 1;
}

/* Prewitt gradient magnitude within the sagittal slice; the edge is repeated. */
static double prewitt(const float *x, const int64_t n[3], int64_t i, int64_t j, int64_t k) {
    double v[3][3], dj = 0.0, dk = 0.0;
    for (int64_t c = 0; c < 3; c++)
        for (int64_t b = 0; b < 3; b++)
            v[c][b] =
                (double)x[(clamped(k + c - 1, n[2]) * n[1] + clamped(j + b - 1, n[1])) * n[0] + i];
    for (int t = 0; t < 3; t++) {
        dj += v[t][2] - v[t][0];
        dk += v[2][t] - v[0][t];
    }
    return sqrt(dj * dj + dk * dk) / 3.0;
}

static double gradient_similarity(const float *p, const float *g, const unsigned char *m,
                                  const int64_t dim[3], int64_t n) {
    double sum = 0.0;
    for (int64_t k = 0, at = 0; k < dim[2]; k++)
        for (int64_t j = 0; j < dim[1]; j++)
            for (int64_t i = 0; i < dim[0]; i++, at++) {
                if (!m[at]) continue;
                const double a = prewitt(p, dim, i, j, k), b = prewitt(g, dim, i, j, k);
                sum += (2.0 * a * b + gms_c) / (a * a + b * b + gms_c);
            }
    return sum / (double)n;
}

/* Mean energy of what a Gaussian along k takes away. work [count]. */
static double detail_energy(const float *x, const unsigned char *m, const int64_t dim[3], int64_t n,
                            float *work) {
    const int64_t count = dim[0] * dim[1] * dim[2];
    memcpy(work, x, (size_t)count * sizeof *work);
    smooth_k(work, dim, hf_sigma);
    return mean_square_error(x, work, m, count, n);
}

/* ---- one prediction ---- */

/* Volume on the truth's grid, new; m is narrowed to where `v` has values. */
static sx_err place(const ev_truth *t, const im_volume *v, int order, im_volume *on_grid,
                    unsigned char *m) {
    const int64_t count = im_volume_count(&t->image);
    im_volume clean = {0};
    unsigned char *inside = sx_try_alloc(count, 1);
    sx_err rc;
    if (!inside)
        return sx_fail(SX_E_NOMEM, "no memory for a mask of %lld voxels", (long long)count);
    SX_TRY(rc, im_volume_copy(&clean, v));
    im_clear_nonfinite(clean.voxel, im_volume_count(&clean));
    SX_TRY(rc, im_volume_init(on_grid, t->image.dim));
    memcpy(on_grid->affine, t->image.affine, sizeof on_grid->affine);
    SX_TRY(rc, im_resample(on_grid, &clean, order, inside));
    scale(on_grid, 1.0 / t->peak);
    for (int64_t i = 0; i < count; i++) m[i] = m[i] && inside[i];
out:
    im_volume_clear(&clean);
    sx_free(inside);
    return rc;
}

static void score_voxels(const ev_truth *t, float *p, const unsigned char *m, int64_t n,
                         float *work, ev_scores *s) {
    const int64_t *dim = t->image.dim, count = im_volume_count(&t->image);
    const float *g = t->image.voxel;
    const double sd = deviation(g, m, count, n);
    double mse = mean_square_error(p, g, m, count, n);
    s->n_voxels = n;
    s->psnr = -10.0 * log10(mse);
    s->nrmse = sqrt(mse) / sd;
    s->ssim = ssim(p, g, m, dim, n, work);
    s->gms = gradient_similarity(p, g, m, dim, n);
    s->hf = detail_energy(p, m, dim, n, work) / detail_energy(g, m, dim, n, work);
    fit_line(p, g, m, count, n, &s->gain, &s->bias);
    for (int64_t i = 0; i < count; i++) p[i] = (float)(s->gain * (double)p[i] + s->bias);
    s->bias *= t->peak;
    mse = mean_square_error(p, g, m, count, n);
    s->psnr_fit = -10.0 * log10(mse);
    s->nrmse_fit = sqrt(mse) / sd;
    s->ssim_fit = ssim(p, g, m, dim, n, work);
}

sx_err ev_image_score(const ev_truth *t, const im_volume *prediction, const im_volume *lr,
                      ev_scores *s) {
    const int64_t count = im_volume_count(&t->image);
    im_volume p = {0}, unused = {0};
    unsigned char *m = sx_try_alloc(count, 1);
    float *work = sx_try_alloc(5 * count, sizeof *work);
    int64_t n = 0;
    sx_err rc = SX_OK;
    if (!m || !work) {
        rc = sx_fail(SX_E_NOMEM, "no memory to score %lld voxels", (long long)count);
        goto out;
    }
    memcpy(m, t->foreground, (size_t)count);
    SX_TRY(rc, place(t, prediction, 3, &p, m));
    if (lr) SX_TRY(rc, place(t, lr, 0, &unused, m));
    for (int64_t i = 0; i < count; i++) n += m[i];
    if (n < 2) {
        rc = sx_fail(SX_E_DATA, "prediction, scan and truth have %lld voxels in common",
                     (long long)n);
        goto out;
    }
    score_voxels(t, p.voxel, m, n, work, s);
out:
    im_volume_clear(&p);
    im_volume_clear(&unused);
    sx_free(m);
    sx_free(work);
    return rc;
}

/* ---- pictures ---- */

sx_err ev_sagittal(const ev_truth *t, const im_volume *v, int64_t index, int order, float **picture,
                   int *h, int *w) {
    const int64_t dim[3] = {1, t->image.dim[1], t->image.dim[2]};
    const double corner[3] = {(double)index, 0.0, 0.0};
    double origin[3];
    im_volume slice = {0};
    sx_err rc;
    SX_TRY(rc, im_volume_init(&slice, dim));
    memcpy(slice.affine, t->image.affine, sizeof slice.affine);
    im_affine_apply(t->image.affine, corner, origin);
    for (int r = 0; r < 3; r++) slice.affine[r][3] = origin[r];
    SX_TRY(rc, im_resample(&slice, v, order, NULL));
    *h = (int)dim[2];
    *w = (int)dim[1];
    *picture = SX_NEW_ARRAY(float, dim[1] * dim[2]);
    for (int64_t k = 0; k < dim[2]; k++)
        for (int64_t j = 0; j < dim[1]; j++)
            (*picture)[(dim[2] - 1 - k) * dim[1] + dim[1] - 1 - j] =
                (float)((double)slice.voxel[k * dim[1] + j] / t->peak);
out:
    im_volume_clear(&slice);
    return rc;
}
