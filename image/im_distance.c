/* One pass an axis (im_distance.h). Along a line the squared distance is the lower envelope of
 * parabolas that stand on its samples, as high as the earlier passes left them; the envelope is
 * built from left to right and read off from left to right. Squares are kept as float between the
 * passes: 6e-8 of a distance. */
#include "image/im_distance.h"

#include <math.h>
#include "base/sx_mem.h"

/* Room for the longest line. */
typedef struct envelope {
    double *height; /* [n] squared mm, of the line's samples             */
    double *from;   /* [n] mm, where each parabola begins to be the lowest */
    int64_t *foot;  /* [n] sample on which it stands                     */
} envelope;

/* Where the parabola on sample q becomes lower than that on sample p < q. */
static double crossing(const double *height, int64_t p, int64_t q, double step_mm) {
    const double at_p = (double)p * step_mm, at_q = (double)q * step_mm;
    return 0.5 * (at_p + at_q + (height[q] - height[p]) / (at_q - at_p));
}

/* Parabolas that are lowest somewhere; how many. Samples of infinite height have none. */
static int64_t build(envelope *e, int64_t n, double step_mm) {
    int64_t count = 0;
    for (int64_t q = 0; q < n; q++) {
        double from = -INFINITY;
        if (isinf(e->height[q])) continue;
        while (count > 0) {
            from = crossing(e->height, e->foot[count - 1], q, step_mm);
            if (from > e->from[count - 1]) break;
            from = -INFINITY;
            count--;
        }
        e->from[count] = from;
        e->foot[count++] = q;
    }
    return count;
}

/* One line of squared distances, in place. */
static void sweep_line(envelope *e, float *x, int64_t n, int64_t stride, double step_mm) {
    for (int64_t i = 0; i < n; i++) e->height[i] = (double)x[i * stride];
    const int64_t count = build(e, n, step_mm);
    for (int64_t i = 0, k = 0; i < n && count > 0; i++) {
        while (k + 1 < count && e->from[k + 1] <= (double)i * step_mm) k++;
        const double along = (double)(i - e->foot[k]) * step_mm;
        x[i * stride] = (float)(along * along + e->height[e->foot[k]]);
    }
}

static void sweep_axis(envelope *e, float *x, const int64_t dim[3], int axis, double step_mm) {
    const int64_t step[3] = {1, dim[0], dim[0] * dim[1]};
    const int a = (axis + 1) % 3, b = (axis + 2) % 3;
    const int inner = a < b ? a : b, outer = a < b ? b : a;
    for (int64_t j = 0; j < dim[outer]; j++)
        for (int64_t i = 0; i < dim[inner]; i++)
            sweep_line(e, x + j * step[outer] + i * step[inner], dim[axis], step[axis], step_mm);
}

sx_err im_distance(float *distance_mm, const unsigned char *set, const int64_t dim[3],
                   const double spacing_mm[3]) {
    const int64_t n = dim[0] * dim[1] * dim[2];
    int64_t longest = dim[0] > dim[1] ? dim[0] : dim[1];
    if (dim[2] > longest) longest = dim[2];
    envelope e = {sx_try_alloc(longest, sizeof *e.height), sx_try_alloc(longest, sizeof *e.from),
                  sx_try_alloc(longest, sizeof *e.foot)};
    sx_err rc = SX_OK;
    if (!e.height || !e.from || !e.foot) {
        rc = sx_fail(SX_E_NOMEM, "no memory for a line of %lld distances", (long long)longest);
        goto out;
    }
    for (int64_t i = 0; i < n; i++) distance_mm[i] = set[i] ? 0.0f : INFINITY;
    for (int axis = 0; axis < 3; axis++) sweep_axis(&e, distance_mm, dim, axis, spacing_mm[axis]);
    for (int64_t i = 0; i < n; i++) distance_mm[i] = sqrtf(distance_mm[i]);
out:
    sx_free(e.height);
    sx_free(e.from);
    sx_free(e.foot);
    return rc;
}
