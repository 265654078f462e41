/* Volumes on their way into the network: read, turned to PIR, resampled, mapped to 0..1.
 *
 * After im_reorient to "PIR" voxel + k * dim[0] * dim[1] is one sagittal slice [rows = inferior]
 * [columns = posterior] (image/im_volume.h). An axial scan has its slice axis along the rows.
 * Not collective. */
#ifndef SR_VOLUME_H
#define SR_VOLUME_H

#include "image/im_stat.h"
#include "image/im_volume.h"
#include "io/io_nifti.h"

typedef struct sr_volume {
    im_volume cubic;    /* isotropic, 0..1: cubic B-spline of the scan; what the network is shown */
    im_volume measured; /* the scan's own slices, isotropic within them, 0..1 */
    im_mapping mapping; /* of the scan's intensities; quantile of `cubic` */
    double spacing_mm;  /* between slices */
    int64_t first_row;  /* of `cubic`, on which the first slice is centred: half a slice */
} sr_volume;

/* Read a NIfTI and turn it to PIR. `pir` must be zeroed. Errors: those of io_nifti_read. */
sx_err sr_read_pir(const char *path, const io_read_opt *opt, im_volume *pir);

/* Prepare an axial scan of any orientation; `name` is what messages call it. `v` must be zeroed;
 * sr_volume_clear also after an error. Errors: SX_E_DATA (not axial, too few slices, too small,
 * nothing in it), SX_E_NOMEM. */
sx_err sr_volume_make(const char *name, const im_volume *scan, double hr_mm, double quantile,
                      sr_volume *v);
/* The same of a file. Errors: also those of io_nifti_read. */
sx_err sr_volume_read(const char *path, const io_read_opt *opt, double hr_mm, double quantile,
                      sr_volume *v);
void sr_volume_clear(sr_volume *v);

#endif
