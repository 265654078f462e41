/* A scan of the truth: finely sampled planes of the truth (cubic B-spline) are averaged under the
 * slice profile of an SLR pulse, every second slice is shifted, a smooth gain and Rician noise go
 * on top (Gudbjartsson & Patz, MRM 1995). Planes lie on the world's axes, so the scan's matrix is
 * exact: axial slices are stored "LAS", sagittal ones "PSR", as converters from DICOM leave them.
 * Not here: k-space (no Gibbs ringing, no aliasing). */
#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "degrade/dg_psf.h"
#include "image/im_spline.h"
#include "image/im_stat.h"
#include "phantom/ph_phantom.h"

static const double fine_mm = 0.5; // finest step across the slice

typedef struct box {
    double low[3], high[3]; // world, outer edges of the truth's voxels
} box;

static box truth_box(const im_volume *t) {
    box b = {{1e30, 1e30, 1e30}, {-1e30, -1e30, -1e30}};
    for (int corner = 0; corner < 8; corner++) {
        double voxel[3], world[3];
        for (int c = 0; c < 3; c++) voxel[c] = (corner >> c) & 1 ? (double)t->dim[c] - 0.5 : -0.5;
        im_affine_apply(t->affine, voxel, world);
        for (int c = 0; c < 3; c++) {
            b.low[c] = fmin(b.low[c], world[c]);
            b.high[c] = fmax(b.high[c], world[c]);
        }
    }
    return b;
}

// World axis and sense of each index.
typedef struct layout {
    int axis[3];
    int sense[3];
} layout;
static const layout axial_layout = {{0, 1, 2}, {-1, 1, 1}};
static const layout sagittal_layout = {{1, 2, 0}, {-1, 1, 1}};

// Size and matrix of the scan, centred in the box along each axis.
static void plan(im_volume *v, const box *b, const layout *l, const double spacing_mm[3]) {
    memset(v->affine, 0, sizeof v->affine);
    v->affine[3][3] = 1.0;
    for (int n = 0; n < 3; n++) {
        int c = l->axis[n];
        int64_t count = (int64_t)((b->high[c] - b->low[c]) / spacing_mm[n] + 1e-6);
        v->dim[n] = count < 1 ? 1 : count;
        v->affine[c][n] = l->sense[n] * spacing_mm[n];
        v->affine[c][3] =
            0.5 * (b->low[c] + b->high[c]) - 0.5 * (double)(v->dim[n] - 1) * v->affine[c][n];
    }
}

// The planes that one slice averages: the slice's grid, finely spaced along the third index.
static sx_err slab_init(im_volume *slab, const im_volume *scan, double step_share, int n_taps) {
    const int64_t dim[3] = {scan->dim[0], scan->dim[1], n_taps};
    sx_err rc = im_volume_init(slab, dim);
    if (rc != SX_OK) return rc;
    memcpy(slab->affine, scan->affine, sizeof slab->affine);
    for (int c = 0; c < 3; c++) slab->affine[c][2] *= step_share;
    return SX_OK;
}

static void average_slab(float *slice, const im_volume *planes, int64_t first, const dg_psf *psf) {
    int64_t n = planes->dim[0] * planes->dim[1];
    memset(slice, 0, (size_t)n * sizeof *slice);
    for (int t = 0; t < psf->n_taps; t++) {
        const float *plane = planes->voxel + (first + t) * n;
        for (int64_t i = 0; i < n; i++) slice[i] += psf->tap[t] * plane[i];
    }
}

// All slices from one finely sampled volume: planes [n_slices * per_slice + margins].
static sx_err excite(im_volume *scan, const im_volume *truth, double thickness_mm) {
    im_volume planes = {.voxel = NULL};
    dg_psf psf;
    sx_err rc;
    double spacing[3];
    im_spacing(scan, spacing);
    int64_t per_slice = (int64_t)ceil(spacing[2] / fine_mm - 1e-9);
    double step = spacing[2] / (double)per_slice;
    // dg_psf_make takes the resolution whose square root of differences is the profile's width.
    SX_TRY(rc, dg_psf_make(&psf, sqrt(thickness_mm * thickness_mm + step * step), step));
    int64_t half = psf.n_taps / 2, count = (scan->dim[2] - 1) * per_slice + psf.n_taps;
    SX_TRY(rc, slab_init(&planes, scan, 1.0 / (double)per_slice, (int)count));
    for (int c = 0; c < 3; c++) planes.affine[c][3] -= (double)half * planes.affine[c][2];
    SX_TRY(rc, im_resample(&planes, truth, 3, NULL));
    for (int64_t k = 0; k < scan->dim[2]; k++)
        average_slab(scan->voxel + k * scan->dim[0] * scan->dim[1], &planes, k * per_slice, &psf);
out:
    im_volume_clear(&planes);
    return rc;
}

// Shift one line of n samples by `by` samples towards larger indices; edges extended.
static void shift_line(float *x, int64_t n, int64_t stride, double by, float *line, double *where) {
    for (int64_t i = 0; i < n; i++) {
        line[i] = x[i * stride];
        where[i] = (double)i - by;
    }
    im_spline_prefilter(line, n, 1, 1);
    im_spline_sample(line, n, 1, 1, where, x, n, stride);
}

// The patient moves between the two passes of an interleaved acquisition: odd slices lie displaced
// along the front-back axis, towards the back for a positive shift.
static void move_odd_slices(im_volume *scan, const layout *l, double motion_mm) {
    int along = l->axis[0] == 1 ? 0 : 1;
    int64_t n = scan->dim[along], lines = scan->dim[1 - along];
    int64_t stride = along == 0 ? 1 : scan->dim[0], next = along == 0 ? scan->dim[0] : 1;
    double by = -motion_mm / scan->affine[1][along];
    float *line = SX_NEW_ARRAY(float, n);
    double *where = SX_NEW_ARRAY(double, n);
    for (int64_t k = 1; k < scan->dim[2]; k += 2)
        for (int64_t i = 0; i < lines; i++)
            shift_line(scan->voxel + k * scan->dim[0] * scan->dim[1] + i * next, n, stride, by,
                       line, where);
    sx_free(line);
    sx_free(where);
}

// Gain 1 + strength * f, f a sum of slow cosines in world space, |f| <= 1: neighbouring chunks with
// the same key agree.
static void apply_bias(im_volume *scan, double strength, sx_rng *r) {
    float phase[3], wave_mm[3];
    for (int c = 0; c < 3; c++) {
        phase[c] = sx_rng_range(r, 0.0f, 6.2832f);
        wave_mm[c] = sx_rng_range(r, 180.0f, 400.0f);
    }
    float *x = scan->voxel;
    for (int64_t k = 0; k < scan->dim[2]; k++)
        for (int64_t j = 0; j < scan->dim[1]; j++)
            for (int64_t i = 0; i < scan->dim[0]; i++, x++) {
                double voxel[3] = {(double)i, (double)j, (double)k}, world[3];
                im_affine_apply(scan->affine, voxel, world);
                float f = 0;
                for (int c = 0; c < 3; c++)
                    f += cosf(6.2832f * (float)world[c] / wave_mm[c] + phase[c]) / 3.0f;
                *x *= 1.0f + (float)strength * f;
            }
}

static void apply_noise(im_volume *scan, double share, uint64_t key) {
    int64_t plane = scan->dim[0] * scan->dim[1];
    float sigma = (float)(share * im_quantile(scan->voxel, im_volume_count(scan), 0.99));
    for (int64_t k = 0; k < scan->dim[2]; k++) {
        sx_rng r = sx_rng_make(key, SX_RNG_PHANTOM, 1, (uint64_t)k);
        float *x = scan->voxel + k * plane;
        for (int64_t i = 0; i < plane; i++) {
            float re = x[i] + sigma * sx_rng_normal(&r), im = sigma * sx_rng_normal(&r);
            x[i] = sqrtf(re * re + im * im);
        }
    }
}

static sx_err check(const ph_scan_options *o, const box *b) {
    for (int c = 0; c < 3; c++)
        if (!(o->spacing_mm[c] > 0))
            return sx_fail(SX_E_CONFIG, "scan spacing of %g mm", o->spacing_mm[c]);
    if (!(o->thickness_mm > 0) || !(o->noise >= 0) || !(fabs(o->bias) <= 1))
        return sx_fail(SX_E_CONFIG, "scan of thickness %g mm, noise %g, bias %g", o->thickness_mm,
                       o->noise, o->bias);
    double height = b->high[2] - b->low[2];
    if (!(o->from_mm >= 0 && o->to_mm > o->from_mm && o->to_mm <= height + 1e-6))
        return sx_fail(SX_E_CONFIG, "scan from %g to %g mm of a truth of %g mm", o->from_mm,
                       o->to_mm, height);
    return SX_OK;
}

sx_err ph_scan(im_volume *scan, const im_volume *truth, const ph_scan_options *o) {
    im_volume grid = {.voxel = NULL};
    const layout *l = o->axial ? &axial_layout : &sagittal_layout;
    box b = truth_box(truth);
    sx_err rc;
    SX_TRY(rc, check(o, &b));
    double top = b.high[2];
    b.high[2] = top - o->from_mm;
    b.low[2] = top - o->to_mm;
    plan(&grid, &b, l, o->spacing_mm);
    SX_TRY(rc, im_volume_init(scan, grid.dim));
    memcpy(scan->affine, grid.affine, sizeof scan->affine);
    SX_TRY(rc, excite(scan, truth, o->thickness_mm));
    if (o->motion_mm != 0) move_odd_slices(scan, l, o->motion_mm);
    sx_rng r = sx_rng_make(o->key, SX_RNG_PHANTOM, 0, 0);
    if (o->bias != 0) apply_bias(scan, o->bias, &r);
    for (int64_t i = 0, n = im_volume_count(scan); i < n; i++) // cubic overshoot
        scan->voxel[i] = fmaxf(scan->voxel[i], 0.0f);
    if (o->noise > 0) apply_noise(scan, o->noise, o->key);
out:
    if (rc != SX_OK) im_volume_clear(scan);
    return rc;
}
