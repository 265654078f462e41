/* Super-resolution: where the isotropic grid of an axial scan lies, which scans are refused, names.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_mem.h"
#include "io/io_nifti.h"
#include "jobs/items/cohort.h"
#include "jobs/sr/sr.h"
#include "tests/check_run.h"

static const double HR_MM = 0.8571, SPACING_MM = 5.0, TOP_MM = 57.0;
enum { SLICES = 12, SIDE = 24 };

/* A scan of slices from the top down, whose signal is a straight function of height. */
static void write_ramp(const char *path, double pixel_mm, double spacing_mm) {
    im_volume v = {0};
    const int64_t dim[3] = {SIDE, SIDE, SLICES};
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    const double affine[4][4] = {
        {pixel_mm, 0, 0, -10}, {0, pixel_mm, 0, -10}, {0, 0, -spacing_mm, TOP_MM}, {0, 0, 0, 1}};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) v.affine[i][j] = affine[i][j];
    for (int64_t k = 0; k < SLICES; k++)
        for (int64_t i = 0; i < SIDE * SIDE; i++)
            v.voxel[k * SIDE * SIDE + i] = (float)(100 + TOP_MM - spacing_mm * (double)k);
    ck_assert_int_eq(io_nifti_write(path, &v, IO_FLOAT32, ""), SX_OK);
    im_volume_clear(&v);
}

static const io_read_opt as_it_is = {.xform = IO_XFORM_AUTO, .frame = -1};

static double height_mm(const im_volume *v, int64_t row) {
    const double p[3] = {0, (double)row, 0};
    double q[3];
    im_affine_apply(v->affine, p, q);
    return q[2];
}

static sr_volume ramp(void) {
    const char *path = "sr_ramp.nii";
    write_ramp(path, HR_MM, SPACING_MM);
    sr_volume v = {0};
    ck_assert_msg(sr_volume_read(path, &as_it_is, HR_MM, 1.0, &v) == SX_OK, "%s", sx_err_text());
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

/* pixel, slice to slice, and whether there is something to restore */
static const struct {
    double pixel_mm, spacing_mm;
    bool axial;
} geometries[] = {
    {0.5, 3, true}, {0.5, 1, true}, {3, 3, false}, {3, 0.5, false}, {0.4, 0.8, false}};

START_TEST(only_slices_thicker_than_pixels_are_taken) {
    const char *path = "sr_geometry.nii";
    for (size_t i = 0; i < sizeof geometries / sizeof *geometries; i++) {
        write_ramp(path, geometries[i].pixel_mm, geometries[i].spacing_mm);
        sr_volume v = {0};
        sx_err rc = sr_volume_read(path, &as_it_is, HR_MM, 1.0, &v);
        unlink(path);
        const char *text = rc == SX_OK ? "" : sx_err_text();
        bool refused = rc == SX_E_DATA && strstr(text, "no axial scan");
        ck_assert_msg(geometries[i].axial ? rc == SX_OK : refused, "geometry %zu: got %s: %s", i,
                      sx_err_name(rc), text);
        sr_volume_clear(&v);
    }
}
END_TEST

START_TEST(whole_intensities_need_256_steps_and_16_bits) {
    static const struct {
        io_dtype dtype;
        double scale;
        sx_err want;
    } row[] = {{IO_INT16, 1, SX_E_DATA}, {IO_INT16, 255, SX_E_DATA}, {IO_INT16, 256, SX_OK},
               {IO_INT16, 32767, SX_OK}, {IO_INT16, 1e5, SX_E_DATA}, {IO_FLOAT32, 1, SX_OK},
               {IO_FLOAT32, 1e5, SX_OK}};
    io_item item = {.path = (char[]){"x.nii"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const sr_config c = {.dtype = row[i].dtype};
        const im_mapping m = {0, row[i].scale, 1};
        sx_err got = sr_check_dtype(&c, &item, &m);
        ck_assert_msg(got == row[i].want, "scale %g: got %s, want %s", row[i].scale,
                      sx_err_name(got), sx_err_name(row[i].want));
    }
}
END_TEST

START_TEST(noise_is_shared_by_the_scans_of_a_subject) {
    io_item a = {.rel = (char[]){"a"}, .subject = "1"}, b = {.rel = (char[]){"b"}, .subject = "1"};
    io_item other = {.rel = (char[]){"a"}, .subject = "2"};
    sr_config c = {.noise_by_item = false};
    ck_assert_uint_eq(sr_noise_key(&c, &a), sr_noise_key(&c, &b));
    ck_assert_uint_ne(sr_noise_key(&c, &a), sr_noise_key(&c, &other));
    c.noise_by_item = true;
    ck_assert_uint_ne(sr_noise_key(&c, &a), sr_noise_key(&c, &b));
}
END_TEST

START_TEST(scans_whose_outputs_share_a_name_are_found) {
    io_item item[] = {
        {.rel = (char[]){"a_res-1_T2w.nii"}, .stem = (char[]){"a_res-1_T2w"}, .suffix = "T2w"},
        {.rel = (char[]){"b_T2w.nii"}, .stem = (char[]){"b_T2w"}, .suffix = "T2w"},
        {.rel = (char[]){"a_res-2_T2w.nii"}, .stem = (char[]){"a_res-2_T2w"}, .suffix = "T2w"}};
    char no_folder[] = "";
    for (int i = 0; i < 3; i++) item[i].dir = no_folder;
    const io_items items = {.item = item, .n = 3};
    char **clash = cohort_clashes(&items, sr_single_name);
    ck_assert_str_eq(clash[0], "a_res-1_T2w.nii and a_res-2_T2w.nii would both become "
                               "a_res-iso_desc-superres_T2w.nii.gz");
    ck_assert_ptr_null(clash[1]);
    ck_assert_ptr_nonnull(clash[2]);
    for (int i = 0; i < 3; i++) sx_free(clash[i]);
    sx_free(clash);
}
END_TEST

int main(void) {
    return CHECK_RUN(
        "sr", rows_reach_half_a_slice_beyond_both_ends, the_first_slice_lies_on_its_row,
        signal_stays_at_its_height, rows_beyond_the_first_slice_repeat_it,
        only_slices_thicker_than_pixels_are_taken, whole_intensities_need_256_steps_and_16_bits,
        noise_is_shared_by_the_scans_of_a_subject, scans_whose_outputs_share_a_name_are_found);
}
