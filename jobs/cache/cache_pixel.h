/* The grid that all slices of a cache share. */
#ifndef CACHE_PIXEL_H
#define CACHE_PIXEL_H

#include "io/io_cache.h"

/* Pixel size (mm) and intensity quantile of the cached slices, filled; both are left alone when no
 * volume is usable. `path` names the cache in messages. Not collective.
 * Errors: SX_E_DATA (volumes differ by more than 1e-3 mm). */
sx_err cache_pixel_mm(const io_cache *k, const char *path, double *hr_mm, double *quantile);

#endif
