/* The grid of a stitched volume (im_stitch.h). */
#include <math.h>
#include <string.h>
#include "image/im__stitch.h"

/* Directions of a chunk's axes, and what takes world to coordinates (mm) along them. */
typedef struct frame {
    double axis[4][4], inverse[4][4];
    double low[3], high[3]; /* of all chunks, outer edges of their voxels, mm along the axes */
} frame;

static sx_err frame_of(frame *f, const im_volume *v) {
    double spacing[3];
    memset(f, 0, sizeof *f);
    im_spacing(v, spacing);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) f->axis[r][c] = v->affine[r][c] / spacing[c];
    f->axis[3][3] = 1.0;
    return im_affine_invert(f->axis, f->inverse) ? SX_OK
                                                 : sx_fail(SX_E_DATA, "singular affine matrix");
}

static void enclose(frame *f, const im_volume *v) {
    for (int corner = 0; corner < 8; corner++) {
        double p[3], q[3];
        for (int a = 0; a < 3; a++) p[a] = corner >> a & 1 ? (double)v->dim[a] - 0.5 : -0.5;
        im_affine_apply(v->affine, p, q);
        im_affine_apply(f->inverse, q, p);
        for (int a = 0; a < 3; a++) {
            f->low[a] = fmin(f->low[a], p[a]);
            f->high[a] = fmax(f->high[a], p[a]);
        }
    }
}

/* mm^3 of the box around all chunks. */
static double box_volume(const frame *f) {
    double volume = im_voxel_mm3(f->axis);
    for (int a = 0; a < 3; a++) volume *= f->high[a] - f->low[a];
    return volume;
}

static sx_err frame_around(frame *f, const im_volume *chunk, int n, int of) {
    sx_err rc = frame_of(f, &chunk[of]);
    for (int a = 0; a < 3; a++) f->low[a] = INFINITY, f->high[a] = -INFINITY;
    for (int i = 0; i < n; i++) enclose(f, &chunk[i]);
    return rc;
}

static bool nearly(double a, double b) {
    return fabs(a - b) <= 1e-4 * b; /* of spacings in headers */
}

/* How many axes of a chunk have the spacing of the grid. */
static int n_kept(const im_volume *v, const double spacing_mm[3]) {
    double own[3];
    int n = 0;
    im_spacing(v, own);
    for (int a = 0; a < 3; a++) n += nearly(own[a], spacing_mm[a]);
    return n;
}

/* The smallest box; among boxes of the same size that of a chunk whose voxels can stay, then that
 * of the largest chunk, then the first. */
static sx_err choose_frame(frame *best, const im_volume *chunk, int n, const double spacing_mm[3],
                           int *of) {
    for (int i = 0; i < n; i++) {
        frame f;
        sx_err rc = frame_around(&f, chunk, n, i);
        if (rc != SX_OK) return rc;
        const double now = box_volume(&f), before = i ? box_volume(best) : INFINITY;
        const int kept = n_kept(&chunk[i], spacing_mm),
                  kept_before = n_kept(&chunk[*of], spacing_mm);
        const bool larger = im_volume_count(&chunk[i]) > im_volume_count(&chunk[*of]);
        const bool wins = !nearly(now, before)  ? now < before
                          : kept != kept_before ? kept > kept_before
                                                : larger;
        if (i > 0 && !wins) continue;
        *best = f;
        *of = i;
    }
    return SX_OK;
}

/* Size of one axis and where (mm along it) its first voxel lies. */
static int64_t lay_axis(const frame *f, int axis, double spacing_mm, bool keep, double origin_mm,
                        double *first_mm) {
    const double tolerance = 1e-3; /* voxel */
    const double low = f->low[axis], high = f->high[axis];
    if (keep) {
        const double from = ceil((low - origin_mm) / spacing_mm - tolerance);
        const double to = floor((high - origin_mm) / spacing_mm + tolerance);
        *first_mm = origin_mm + from * spacing_mm;
        return (int64_t)(to - from) + 1;
    }
    const double count = ceil((high - low) / spacing_mm - tolerance);
    *first_mm = 0.5 * (low + high) - 0.5 * (count - 1.0) * spacing_mm;
    return (int64_t)count;
}

static double chunk_volume(const im_volume *v) {
    return im_voxel_mm3(v->affine) * (double)im_volume_count(v);
}

static sx_err check_filled(const frame *f, const im_volume *chunk, int n) {
    const double least = 0.05;
    double sum = 0.0;
    for (int i = 0; i < n; i++) sum += chunk_volume(&chunk[i]);
    if (sum >= least * box_volume(f)) return SX_OK; /* also of NAN */
    return sx_fail(SX_E_DATA,
                   "the chunks lie so far apart or so askew that they fill %.1f %% of the box "
                   "around them; at least %g %% are needed",
                   100.0 * sum / box_volume(f), 100.0 * least);
}

/* Of the rotation between two sets of axes. */
static double angle_deg(const frame *f, const im_volume *v) {
    double spacing[3], trace = 0.0;
    im_spacing(v, spacing);
    for (int c = 0; c < 3; c++)
        for (int r = 0; r < 3; r++) trace += f->axis[r][c] * v->affine[r][c] / spacing[c];
    return acos(fmin(fmax(0.5 * (trace - 1.0), -1.0), 1.0)) * 180.0 / 3.14159265358979324;
}

sx_err im__stitch_grid(im_volume *grid, const im_volume *chunk, int n, im_stitch_report *r) {
    double spacing[3], own[3], origin[3], first[3];
    frame f = {.low = {0}};
    *grid = (im_volume){.voxel = NULL};
    im_spacing(&chunk[0], spacing);
    for (int i = 1; i < n; i++) {
        im_spacing(&chunk[i], own);
        for (int a = 0; a < 3; a++) spacing[a] = fmin(spacing[a], own[a]);
    }
    sx_err rc = choose_frame(&f, chunk, n, spacing, &r->grid_of);
    if (rc == SX_OK) rc = check_filled(&f, chunk, n);
    if (rc != SX_OK) return rc;
    const im_volume *lent = &chunk[r->grid_of];
    im_spacing(lent, own);
    im_affine_apply(
        f.inverse, (double[3]){lent->affine[0][3], lent->affine[1][3], lent->affine[2][3]}, origin);
    for (int a = 0; a < 3; a++) {
        const bool keep = nearly(own[a], spacing[a]);
        if (keep) spacing[a] = own[a];
        grid->dim[a] = lay_axis(&f, a, spacing[a], keep, origin[a], &first[a]);
        for (int row = 0; row < 3; row++) grid->affine[row][a] = f.axis[row][a] * spacing[a];
    }
    im_affine_apply(f.axis, first, origin);
    for (int row = 0; row < 3; row++) grid->affine[row][3] = origin[row];
    grid->affine[3][3] = 1.0;
    for (int i = 0; i < n; i++) r->chunk[i].turned_deg = angle_deg(&f, &chunk[i]);
    return SX_OK;
}
