/* Labels of a slice under the geometry of a pair (dg_degrade.h): the same places as dg_pair.c and
 * dg_warp.c, each taking the nearest pixel. */
#include <math.h>
#include "degrade/dg_degrade.h"
#include "degrade/dg_rows.h"

void dg_labels(const dg_draw *d, const uint8_t *src, int h, int w, int size_h, int size_w,
               uint8_t *y) {
    const double radian = 3.14159265358979323846 / 180.0;
    const double magnification = d->steps & (1u << DG_RESCALE) ? d->magnification : 1.0;
    const double angle = d->steps & (1u << DG_ROTATE) ? d->angle_deg * radian : 0.0;
    const double c = cos(angle) / magnification, s = sin(angle) / magnification;
    const double mid_row = 0.5 * (h - 1), mid_col = 0.5 * (w - 1);
    int row0, col0;
    dg_crop_origin(d, h, w, size_h, size_w, &row0, &col0);
    for (int i = 0; i < size_h; i++) {
        const double dy = (double)dg__fold(row0 + i, h) - mid_row;
        for (int j = 0; j < size_w; j++) {
            const double dx = (double)dg__fold(col0 + j, w) - mid_col;
            const int64_t row = dg__fold((int64_t)rint(mid_row + c * dy + s * dx), h);
            const int64_t col = dg__fold((int64_t)rint(mid_col - s * dy + c * dx), w);
            y[(int64_t)i * size_w + j] = src[row * w + col];
        }
    }
}
