/* Reading and preparing scans (sr_volume.h). */
#include "jobs/sr/sr_volume.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { MIN_SLICES = 2, MIN_SIDE = 8 }; /* less is no spine, and the network's grid is 8 pixels */

sx_err sr_read_pir(const char *path, const io_read_opt *opt, im_volume *pir) {
    im_volume native = {0};
    sx_err rc;
    SX_TRY(rc, io_nifti_read(path, opt, &native, NULL));
    SX_TRY(rc, im_reorient(pir, &native, "PIR"));
out:
    im_volume_clear(&native);
    return rc;
}

static sx_err check_size(const char *path, const sr_volume *v) {
    const int64_t *d = v->cubic.dim;
    if (v->measured.dim[1] < MIN_SLICES)
        return sx_fail(SX_E_DATA, "%s: %lld axial slices; at least %d are needed", path,
                       (long long)v->measured.dim[1], MIN_SLICES);
    if (d[0] < MIN_SIDE || d[1] < MIN_SIDE)
        return sx_fail(SX_E_DATA, "%s: sagittal slices of %lld x %lld pixels; each side needs %d",
                       path, (long long)d[1], (long long)d[0], MIN_SIDE);
    return SX_OK;
}

/* Only a scan whose slices lie further apart from top to bottom than its pixels lie apart (and the
 * network's), has something to be restored in that direction. */
static sx_err check_axial(const char *path, const double spacing[3], double hr_mm) {
    const double tolerance = 1.05; /* of spacings in headers */
    const double pixel = fmax(fmax(spacing[0], spacing[2]), hr_mm);
    if (spacing[1] > tolerance * pixel) return SX_OK;
    return sx_fail(SX_E_DATA,
                   "%s: %g mm from slice to slice, top to bottom, with pixels of %g x %g mm: no "
                   "axial scan of slices thicker than %g mm",
                   path, spacing[1], spacing[0], spacing[2], pixel);
}

/* Move the image down by half a slice, within its rows: im_rescale begins at the first slice's
 * centre and adds a slice's rows behind the last one; now both outermost slices lie in full inside
 * the grid, as they do in training (dg_grid). The rows above the first centre repeat it. */
static void centre_rows(im_volume *cubic, int64_t margin) {
    const int64_t w = cubic->dim[0], h = cubic->dim[1];
    const size_t row = (size_t)w * sizeof(float);
    for (int64_t k = 0; k < cubic->dim[2]; k++) {
        float *slice = cubic->voxel + k * w * h;
        memmove(slice + margin * w, slice, (size_t)(h - margin) * row);
        for (int64_t j = 0; j < margin; j++) memcpy(slice + j * w, slice + margin * w, row);
    }
    const double up[3] = {0.0, -(double)margin, 0.0};
    double origin[3];
    im_affine_apply(cubic->affine, up, origin);
    for (int i = 0; i < 3; i++) cubic->affine[i][3] = origin[i];
}

sx_err sr_volume_make(const char *name, const im_volume *scan, double hr_mm, double quantile,
                      sr_volume *v) {
    /* the resampling is separable: first within the slices, then between them */
    const double within[3] = {hr_mm, 0.0, hr_mm}, between[3] = {0.0, hr_mm, 0.0};
    im_volume pir = {0};
    double spacing[3];
    sx_err rc;
    SX_TRY(rc, im_reorient(&pir, scan, "PIR"));
    im_spacing(&pir, spacing);
    v->spacing_mm = spacing[1];
    SX_TRY(rc, check_axial(name, spacing, hr_mm));
    SX_TRY(rc, im_rescale(&v->measured, &pir, within));
    SX_TRY(rc, im_rescale(&v->cubic, &v->measured, between));
    SX_TRY(rc, check_size(name, v));
    v->first_row = (int64_t)rint(fmax(v->spacing_mm / hr_mm - 1, 0) / 2);
    centre_rows(&v->cubic, v->first_row);
    rc = im_mapping_fit(v->cubic.voxel, im_volume_count(&v->cubic), quantile, &v->mapping);
    if (rc != SX_OK) {
        sx_fail_context(rc, "%s", name);
        goto out;
    }
    im_mapping_apply(&v->mapping, v->cubic.voxel, im_volume_count(&v->cubic));
    im_mapping_apply(&v->mapping, v->measured.voxel, im_volume_count(&v->measured));
out:
    im_volume_clear(&pir);
    return rc;
}

sx_err sr_volume_read(const char *path, const io_read_opt *opt, double hr_mm, double quantile,
                      sr_volume *v) {
    im_volume native = {0};
    sx_err rc;
    SX_TRY(rc, io_nifti_read(path, opt, &native, NULL));
    rc = sr_volume_make(path, &native, hr_mm, quantile, v);
out:
    im_volume_clear(&native);
    return rc;
}

void sr_volume_clear(sr_volume *v) {
    im_volume_clear(&v->cubic);
    im_volume_clear(&v->measured);
}
