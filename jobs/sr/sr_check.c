/* Whether a scan is one that this network and this configuration can restore, and what its slices
 * are like (sr.h). */
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/items/job_output.h"
#include "jobs/sr/sr.h"

/* ---- the slices ---- */

void sr_thickness(const sr_config *c, const io_item *item, sr_record *r) {
    double sidecar = io_bids_slice_thickness(item, 0.0);
    r->thickness_mm = c->thickness_mm > 0.0 ? c->thickness_mm
                      : sidecar > 0.0       ? sidecar
                                            : r->spacing_mm;
    r->thickness_from = c->thickness_mm > 0.0 ? "configuration"
                        : sidecar > 0.0       ? "sidecar"
                                              : "spacing";
}

static void warn_of_sidecar(const io_item *image, const sr_record *r) {
    char *path = io_bids_sidecar(image->path);
    json_t *sidecar = job_sidecar_read(image->path);
    if (!sidecar && sx_file_exists(path))
        sx_warn("%s: not readable as JSON; the slice thickness is taken from the %s", path,
                r->thickness_from);
    json_decref(sidecar);
    sx_free(path);
}

void sr_check_warn(const sr_config *c, const io_item *item, const sr_record *r) {
    const double tolerance = 0.02; /* of spacings in headers */
    for (int i = 0; i < io_item_n_images(item); i++) warn_of_sidecar(io_item_image(item, i), r);
    if (c->trained_max_mm > 0.0 && (r->spacing_mm < c->trained_min_mm * (1 - tolerance) ||
                                    r->spacing_mm > c->trained_max_mm * (1 + tolerance)))
        sx_warn("%s: slices %g mm apart; the weights were trained for %g to %g mm", item->rel,
                r->spacing_mm, c->trained_min_mm, c->trained_max_mm);
}

/* ---- whole intensities ---- */

sx_err sr_check_dtype(const sr_config *c, const io_item *item, const im_mapping *m) {
    enum { LEAST_STEPS = 256 }; /* fewer are seen as bands */
    const double low = m->offset, high = m->offset + m->scale;
    if (c->dtype != IO_INT16 || (m->scale >= LEAST_STEPS && low >= INT16_MIN && high <= INT16_MAX))
        return SX_OK;
    return sx_fail(SX_E_DATA,
                   "%s: intensities from %g to %g; sr.dtype = int16 needs at least %d whole steps "
                   "and none beyond %d: use float32",
                   item->path, low, high, LEAST_STEPS, INT16_MAX);
}
