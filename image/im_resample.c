/* Resampling: separable along the grid's own axes (im_rescale), or through any affine
 * (im_resample).
 *
 * Neither smooths before it thins out: the degradation model and the method's published figures do
 * not either. One voxel that is not finite would spread along whole lines through the spline's
 * recursion, so such voxels count as 0 wherever a spline is fitted. */
#include "image/im_volume.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "image/im_spline.h"
#include "image/im_stat.h"

/* ---- passes along one axis ---- */

/* Axis 0 has neighbouring samples side by side: turn a slab so that lanes are contiguous. */
static void transpose(const float *restrict x, float *restrict y, int64_t rows, int64_t columns) {
    enum { TILE = 32 };
    for (int64_t r0 = 0; r0 < rows; r0 += TILE)
        for (int64_t c0 = 0; c0 < columns; c0 += TILE)
            for (int64_t r = r0; r < rows && r < r0 + TILE; r++)
                for (int64_t c = c0; c < columns && c < c0 + TILE; c++)
                    y[c * rows + r] = x[r * columns + c];
}

/* Spline coefficients along axis 0 of one slab x [rows][n]; turned [n][rows] is scratch. */
static void prefilter_rows(float *x, float *turned, int64_t rows, int64_t n) {
    transpose(x, turned, rows, n);
    im_spline_prefilter(turned, n, rows, rows);
    transpose(turned, x, n, rows);
}

static void prefilter_volume(im_volume *v, float *slab) {
    const int64_t nx = v->dim[0], ny = v->dim[1], nz = v->dim[2];
    for (int64_t k = 0; k < nz; k++) {
        float *x = v->voxel + k * nx * ny;
        prefilter_rows(x, slab, ny, nx);
        im_spline_prefilter(x, ny, nx, nx);
    }
    im_spline_prefilter(v->voxel, nz, nx * ny, nx * ny);
}

/* ---- rescaling ---- */

/* Where samples of the new axis lie in the old one. */
typedef struct axis_plan {
    int64_t n_old, n_new;
    double *position; /* [n_new], in old samples; NULL: axis unchanged */
} axis_plan;

static sx_err plan_axis(axis_plan *p, int64_t n, double old_mm, double new_mm) {
    *p = (axis_plan){n, n, NULL};
    if (new_mm <= 0.0 || fabs(new_mm - old_mm) <= 1e-9 * old_mm) return SX_OK;
    const double wanted = rint((double)n * old_mm / new_mm);
    if (!(wanted < 1e9))
        return sx_fail(SX_E_DATA, "rescaling %g mm to %g mm needs %g samples", old_mm, new_mm,
                       wanted);
    p->n_new = wanted < 1.0 ? 1 : (int64_t)wanted;
    p->position = sx_try_alloc(p->n_new, sizeof *p->position);
    if (!p->position) return sx_fail(SX_E_NOMEM, "no memory for %g samples", wanted);
    for (int64_t q = 0; q < p->n_new; q++) p->position[q] = (double)q * (new_mm / old_mm);
    return SX_OK;
}

/* One axis of x [outer][n_old][inner] -> y [outer][n_new][inner]; x is turned into coefficients. */
static void rescale_blocks(float *x, float *y, const axis_plan *p, int64_t outer, int64_t inner) {
    for (int64_t o = 0; o < outer; o++) {
        float *c = x + o * p->n_old * inner;
        im_spline_prefilter(c, p->n_old, inner, inner);
        im_spline_sample(c, p->n_old, inner, inner, p->position, y + o * p->n_new * inner, p->n_new,
                         inner);
    }
}

/* Axis 0, slab by slab through a turned copy of both sides. */
static sx_err rescale_rows(const float *x, float *y, const axis_plan *p, int64_t rows,
                           int64_t slabs) {
    float *from = sx_try_alloc(rows * p->n_old, sizeof *from);
    float *to = sx_try_alloc(rows * p->n_new, sizeof *to);
    sx_err rc = SX_OK;
    if (!from || !to) {
        rc = sx_fail(SX_E_NOMEM, "no memory to rescale %lld rows", (long long)rows);
        goto out;
    }
    for (int64_t k = 0; k < slabs; k++) {
        transpose(x + k * rows * p->n_old, from, rows, p->n_old);
        rescale_blocks(from, to, p, 1, rows);
        transpose(to, y + k * rows * p->n_new, p->n_new, rows);
    }
out:
    sx_free(from);
    sx_free(to);
    return rc;
}

/* Replace v by itself rescaled along one axis. */
static sx_err rescale_axis(im_volume *v, int axis, const axis_plan *p) {
    im_volume next = {0};
    int64_t dim[3] = {v->dim[0], v->dim[1], v->dim[2]};
    if (!p->position) return SX_OK;
    dim[axis] = p->n_new;
    sx_err rc = im_volume_init(&next, dim);
    if (rc != SX_OK) return rc;
    const int64_t nx = v->dim[0], ny = v->dim[1], nz = v->dim[2];
    if (axis == 0)
        rc = rescale_rows(v->voxel, next.voxel, p, ny, nz);
    else
        rescale_blocks(v->voxel, next.voxel, p, axis == 1 ? nz : 1, axis == 1 ? nx : nx * ny);
    if (rc != SX_OK) {
        im_volume_clear(&next);
        return rc;
    }
    memcpy(next.affine, v->affine, sizeof next.affine);
    im_volume_clear(v);
    *v = next;
    return SX_OK;
}

sx_err im_rescale(im_volume *to, const im_volume *from, const double spacing_mm[3]) {
    im_volume v = {0};
    axis_plan plan[3] = {{0}};
    double old_mm[3];
    sx_err rc;
    im_spacing(from, old_mm);
    for (int a = 0; a < 3; a++)
        SX_TRY(rc, plan_axis(&plan[a], from->dim[a], old_mm[a], spacing_mm[a]));
    SX_TRY(rc, im_volume_copy(&v, from));
    im_clear_nonfinite(v.voxel, im_volume_count(&v));
    /* Thinning axes first, then growing ones: the order of the sums is part of the result's bits,
     * and the same for equal grids. */
    for (int grow = 0; grow < 2; grow++)
        for (int a = 0; a < 3; a++)
            if ((plan[a].n_new > plan[a].n_old) == grow) SX_TRY(rc, rescale_axis(&v, a, &plan[a]));
    for (int a = 0; a < 3; a++)
        for (int r = 0; r < 3 && plan[a].position; r++) v.affine[r][a] *= spacing_mm[a] / old_mm[a];
    *to = v;
    v = (im_volume){0};
out:
    for (int a = 0; a < 3; a++) sx_free(plan[a].position);
    im_volume_clear(&v);
    return rc;
}

/* ---- any affine ---- */

static double clamped(double p, int64_t n) {
    return fmin(fmax(p, 0.0), (double)(n - 1));
}

static float sample_nearest(const im_volume *v, const double p[3]) {
    const int64_t i = (int64_t)floor(clamped(p[0], v->dim[0]) + 0.5);
    const int64_t j = (int64_t)floor(clamped(p[1], v->dim[1]) + 0.5);
    const int64_t k = (int64_t)floor(clamped(p[2], v->dim[2]) + 0.5);
    return v->voxel[(k * v->dim[1] + j) * v->dim[0] + i];
}

/* Sum over the tensor product of `taps` indices and weights an axis. */
static float sum_taps(const im_volume *v, int taps, const int64_t index[3][4],
                      const double weight[3][4]) {
    double sum = 0.0;
    for (int c = 0; c < taps; c++)
        for (int b = 0; b < taps; b++) {
            const float *row = v->voxel + (index[2][c] * v->dim[1] + index[1][b]) * v->dim[0];
            double line = 0.0;
            for (int a = 0; a < taps; a++) line += weight[0][a] * (double)row[index[0][a]];
            sum += weight[2][c] * weight[1][b] * line;
        }
    return (float)sum;
}

static float sample_linear(const im_volume *v, const double p[3]) {
    int64_t index[3][4] = {{0}};
    double weight[3][4] = {{0}};
    for (int a = 0; a < 3; a++) {
        const double q = clamped(p[a], v->dim[a]), whole = floor(q);
        index[a][0] = (int64_t)whole;
        index[a][1] = index[a][0] + 1 < v->dim[a] ? index[a][0] + 1 : index[a][0];
        weight[a][0] = 1.0 - (q - whole);
        weight[a][1] = q - whole;
    }
    return sum_taps(v, 2, index, weight);
}

/* The edge voxels are repeated this often on every side before the spline is fitted, so that the
 * interpolant runs on smoothly where the grid reaches past the volume (0.27^12 is below float's
 * resolution; the same width and order of steps as scipy.ndimage's mode "nearest"). */
enum { PAD = 12 };

/* v holds padded coefficients, p counts in the unpadded volume. */
static float sample_cubic(const im_volume *v, const double p[3]) {
    int64_t index[3][4];
    double weight[3][4];
    for (int a = 0; a < 3; a++) {
        const int64_t first = im_spline_weights(clamped(p[a] + PAD, v->dim[a]), weight[a]);
        for (int t = 0; t < 4; t++) index[a][t] = im_mirror(first + t, v->dim[a]);
    }
    return sum_taps(v, 4, index, weight);
}

static bool is_inside(const double p[3], const int64_t dim[3]) {
    static const double tolerance = 0.01; /* voxel */
    for (int a = 0; a < 3; a++)
        if (!(p[a] >= -tolerance && p[a] <= (double)(dim[a] - 1) + tolerance)) return false;
    return true;
}

static int64_t clamped_index(int64_t i, int64_t n) {
    return i < 0 ? 0 : i < n ? i : n - 1;
}

/* Spline coefficients of the padded volume, new. */
static sx_err padded_coefficients(im_volume *c, const im_volume *from) {
    const int64_t *n = from->dim;
    const int64_t dim[3] = {n[0] + 2 * PAD, n[1] + 2 * PAD, n[2] + 2 * PAD};
    const sx_err rc = im_volume_init(c, dim);
    if (rc != SX_OK) return rc;
    float *slab = sx_try_alloc(dim[0] * dim[1], sizeof *slab), *y = c->voxel;
    if (!slab) return sx_fail(SX_E_NOMEM, "no memory for the coefficients of a volume");
    for (int64_t k = -PAD; k < n[2] + PAD; k++)
        for (int64_t j = -PAD; j < n[1] + PAD; j++) {
            const float *x =
                from->voxel + (clamped_index(k, n[2]) * n[1] + clamped_index(j, n[1])) * n[0];
            for (int64_t i = -PAD; i < n[0] + PAD; i++) *y++ = x[clamped_index(i, n[0])];
        }
    im_clear_nonfinite(c->voxel, im_volume_count(c));
    prefilter_volume(c, slab);
    sx_free(slab);
    return SX_OK;
}

sx_err im_resample(im_volume *to, const im_volume *from, int order, unsigned char *inside) {
    im_volume c = {0};
    double world_to_source[4][4], m[4][4];
    sx_err rc = SX_OK;
    SX_ASSERT(order == 0 || order == 1 || order == 3);
    if (!im_affine_invert(from->affine, world_to_source))
        return sx_fail(SX_E_DATA, "singular affine matrix");
    im_affine_multiply(world_to_source, to->affine, m);
    if (order == 3) SX_TRY(rc, padded_coefficients(&c, from));
    for (int64_t k = 0, at = 0; k < to->dim[2]; k++)
        for (int64_t j = 0; j < to->dim[1]; j++)
            for (int64_t i = 0; i < to->dim[0]; i++, at++) {
                double p[3];
                im_affine_apply(m, (double[3]){(double)i, (double)j, (double)k}, p);
                if (inside) inside[at] = is_inside(p, from->dim);
                to->voxel[at] = order == 0   ? sample_nearest(from, p)
                                : order == 1 ? sample_linear(from, p)
                                             : sample_cubic(&c, p);
            }
out:
    im_volume_clear(&c);
    return rc;
}
