/* Pixel size of a cache, from the affines of its volumes. */
#include "jobs/cache/cache_pixel.h"
#include <math.h>

sx_err cache_pixel_mm(const io_cache *k, const char *path, double *hr_mm, double *quantile) {
    double first_mm = 0;
    for (int64_t i = 0; i < io_cache_n_volumes(k); i++) {
        const io_cache_volume *e = io_cache_entry(k, i);
        if (!e->ok) continue;
        double mm = sqrt(e->affine[0][0] * e->affine[0][0] + e->affine[1][0] * e->affine[1][0] +
                         e->affine[2][0] * e->affine[2][0]);
        if (first_mm == 0) {
            first_mm = mm;
            *quantile = e->mapping.quantile;
        }
        if (fabs(mm - first_mm) > 1e-3)
            return sx_fail(SX_E_DATA, "%s: %s has pixels of %g mm, others of %g mm", path, e->rel,
                           mm, first_mm);
    }
    /* Affines carry rounding of the order of 1e-9 mm; degradation and checkpoints should not. */
    if (first_mm > 0) *hr_mm = rint(first_mm * 1e6) / 1e6;
    return SX_OK;
}
