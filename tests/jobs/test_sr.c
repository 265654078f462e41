/* Preparation of axial scans for super-resolution: where the isotropic grid lies. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "io/io_nifti.h"
#include "jobs/sr_volume.h"
#include "tests/check_run.h"

static const double HR_MM = 0.8571, SPACING_MM = 5.0, TOP_MM = 57.0;
enum { SLICES = 12, SIDE = 24 };

/* An axial scan, slices from the top down, whose signal is a straight function of height. */
static void write_ramp(const char *path) {
    im_volume v = {0};
    const int64_t dim[3] = {SIDE, SIDE, SLICES};
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    const double affine[4][4] = {
        {HR_MM, 0, 0, -10}, {0, HR_MM, 0, -10}, {0, 0, -SPACING_MM, TOP_MM}, {0, 0, 0, 1}};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) v.affine[i][j] = affine[i][j];
    for (int64_t k = 0; k < SLICES; k++)
        for (int64_t i = 0; i < SIDE * SIDE; i++)
            v.voxel[k * SIDE * SIDE + i] = (float)(100 + TOP_MM - SPACING_MM * (double)k);
    ck_assert_int_eq(io_nifti_write(path, &v, IO_FLOAT32, ""), SX_OK);
    im_volume_clear(&v);
}

static double height_mm(const im_volume *v, int64_t row) {
    const double p[3] = {0, (double)row, 0};
    double q[3];
    im_affine_apply(v->affine, p, q);
    return q[2];
}

static sr_volume ramp(void) {
    const char *path = "sr_ramp.nii";
    write_ramp(path);
    sr_volume v = {0};
    ck_assert_msg(sr_volume_read(path, IO_XFORM_AUTO, HR_MM, 1.0, &v) == SX_OK, "%s",
                  sx_err_text());
    unlink(path);
    return v;
}

START_TEST(rows_reach_half_a_slice_beyond_both_ends) {
    sr_volume v = ramp();
    const double bottom_mm = TOP_MM - SPACING_MM * (SLICES - 1);
    double above = height_mm(&v.cubic, 0) - TOP_MM;
    double below = bottom_mm - height_mm(&v.cubic, v.cubic.dim[1] - 1);
    const double half = (SPACING_MM - HR_MM) / 2, tolerance = 1.001 * HR_MM;
    ck_assert_msg(fabs(above - half) < tolerance && fabs(below - half) < tolerance,
                  "got %g mm above and %g mm below, want %g within %g", above, below, half,
                  tolerance);
    sr_volume_clear(&v);
}
END_TEST

START_TEST(the_first_slice_lies_on_its_row) {
    sr_volume v = ramp();
    double got = height_mm(&v.cubic, v.first_row);
    ck_assert_msg(fabs(got - TOP_MM) < 1e-4, "got %g mm, want %g", got, TOP_MM);
    sr_volume_clear(&v);
}
END_TEST

START_TEST(signal_stays_at_its_height) {
    sr_volume v = ramp();
    const int64_t w = v.cubic.dim[0];
    /* the mirrored border of the spline bends the ends of a ramp; three slices in, by less than
     * 0.05 */
    const int64_t margin = (int64_t)(3 * SPACING_MM / HR_MM) + v.first_row;
    for (int64_t j = margin; j < v.cubic.dim[1] - margin; j++) {
        double got = v.mapping.offset + v.mapping.scale * (double)v.cubic.voxel[j * w + w / 2];
        double want = 100 + height_mm(&v.cubic, j);
        ck_assert_msg(fabs(got - want) < 0.05, "row %lld: got %g, want %g", (long long)j, got,
                      want);
    }
    sr_volume_clear(&v);
}
END_TEST

START_TEST(rows_beyond_the_first_slice_repeat_it) {
    sr_volume v = ramp();
    const int64_t w = v.cubic.dim[0];
    ck_assert_int_gt(v.first_row, 0);
    for (int64_t j = 0; j < v.first_row; j++)
        ck_assert_float_eq(v.cubic.voxel[j * w], v.cubic.voxel[v.first_row * w]);
    sr_volume_clear(&v);
}
END_TEST

int main(void) {
    return CHECK_RUN("sr", rows_reach_half_a_slice_beyond_both_ends,
                     the_first_slice_lies_on_its_row, signal_stays_at_its_height,
                     rows_beyond_the_first_slice_repeat_it);
}
