/* Points of predicted instances, and true ones that are cut off (sp_match.h). */
#include <math.h>
#include "spine/sp_labels.h"
#include "spine/sp_match.h"

/* Mean index of the body voxels of each instance; false when there is no body at all. */
static bool body_means(const im_labels *vert, const im_labels *subreg, sp_point *point) {
    double sum[SP_N_INSTANCES][3] = {{0}};
    int64_t count[SP_N_INSTANCES] = {0};
    const int32_t *v = vert->voxel, *s = subreg->voxel;
    bool any = false;
    for (int64_t k = 0; k < vert->dim[2]; k++)
        for (int64_t j = 0; j < vert->dim[1]; j++)
            for (int64_t i = 0; i < vert->dim[0]; i++, v++, s++) {
                if (!sp_is_instance(*v) || !sp_is_body(*s)) continue;
                sum[*v][0] += (double)i;
                sum[*v][1] += (double)j;
                sum[*v][2] += (double)k;
                count[*v]++;
                any = true;
            }
    for (int n = 0; n < SP_N_INSTANCES; n++) {
        point[n] = (sp_point){count[n] > 0, {0, 0, 0}};
        for (int a = 0; a < 3 && count[n] > 0; a++) point[n].at[a] = sum[n][a] / (double)count[n];
    }
    return any;
}

static sx_err deepest_voxels(const im_labels *vert, sp_point *point) {
    im_label_stat stat[SP_N_INSTANCES];
    sx_err rc = SX_OK;
    im_label_stats(vert, stat, SP_N_INSTANCES);
    point[0] = (sp_point){false, {0, 0, 0}};
    for (int n = 1; n < SP_N_INSTANCES && rc == SX_OK; n++) {
        int64_t at[3];
        rc = sp_deepest(&(sp_part){vert, n, &stat[n]}, at);
        point[n] = (sp_point){at[0] >= 0, {(double)at[0], (double)at[1], (double)at[2]}};
    }
    return rc;
}

sx_err sp_body_points(const im_labels *vert, const im_labels *subreg, sp_point *point) {
    if (subreg && body_means(vert, subreg, point)) return SX_OK;
    return deepest_voxels(vert, point);
}

/* The way through millimetres leaves some 1e-12 of a voxel, which must not decide how a half is
 * rounded. */
static double without_noise(double x) {
    return rint(x * 1e6) / 1e6;
}

sx_err sp_points_move(sp_point *point, const double from[4][4], const double to[4][4]) {
    double m[4][4];
    if (!im_affine_invert(to, m)) return sx_fail(SX_E_DATA, "singular affine matrix");
    im_affine_multiply(m, from, m);
    for (int n = 0; n < SP_N_INSTANCES; n++) {
        if (!point[n].known) continue;
        im_affine_apply(m, point[n].at, point[n].at);
        for (int a = 0; a < 3; a++) point[n].at[a] = without_noise(point[n].at[a]);
    }
    return SX_OK;
}

/* ---- partial truths ---- */

static void mark_cut(const im_labels *vert, bool partial[SP_N_INSTANCES]) {
    im_label_stat stat[SP_N_INSTANCES];
    const int axis = im_head_axis(vert->affine);
    im_label_stats(vert, stat, SP_N_INSTANCES);
    for (int n = 0; n < SP_N_INSTANCES; n++)
        partial[n] = stat[n].count > 0 &&
                     (stat[n].low[axis] == 0 || stat[n].high[axis] == vert->dim[axis] - 1);
    partial[0] = false;
}

void sp_partial_truths(const im_labels *vert, const im_labels *subreg,
                       bool partial[SP_N_INSTANCES]) {
    sp_point body[SP_N_INSTANCES];
    mark_cut(vert, partial);
    if (!subreg || !body_means(vert, subreg, body)) return;
    for (int n = 1; n < SP_N_INSTANCES; n++)
        if (!body[n].known) partial[n] = true;
}
