/* Reorientation is exact: over all 48 axis codes every voxel keeps its place in the world. */
#include "image/im_volume.h"

#include <math.h>
#include <string.h>

#include "tests/check_run.h"

/* 30 degrees about x, then 20 about z, voxels of 0.7, 0.9 and 5 mm. */
static im_volume oblique_volume(void) {
    const int64_t dim[3] = {5, 4, 3};
    const double cx = 0.866025403784, sx = 0.5, cz = 0.939692620786, sz = 0.342020143326;
    const double mm[3] = {0.7, 0.9, 5.0};
    const double rotation[3][3] = {{cz, -sz * cx, sz * sx}, {sz, cz * cx, -cz * sx}, {0, sx, cx}};
    im_volume v = {0};
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    for (int r = 0; r < 3; r++) {
        for (int c = 0; c < 3; c++) v.affine[r][c] = rotation[r][c] * mm[c];
        v.affine[r][3] = 10.0 * r - 17.5;
    }
    for (int64_t i = 0; i < im_volume_count(&v); i++) v.voxel[i] = (float)(i + 1);
    return v;
}

/* The 48 codes, by number. */
static void make_codes(int number, char codes[4]) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const char *const letters[3] = {"LR", "PA", "IS"};
    for (int c = 0; c < 3; c++) codes[c] = letters[orders[number / 8][c]][number >> c & 1];
    codes[3] = '\0';
}

/* World position of the voxel with this value. */
static void world_of(const im_volume *v, float value, double world[3]) {
    int64_t at = 0;
    while (v->voxel[at] != value) at++;
    const double p[3] = {(double)(at % v->dim[0]), (double)(at / v->dim[0] % v->dim[1]),
                         (double)(at / v->dim[0] / v->dim[1])};
    im_affine_apply(v->affine, p, world);
}

START_TEST(every_voxel_keeps_its_world_position_in_all_48_orientations) {
    im_volume v = oblique_volume();
    for (int number = 0; number < 48; number++) {
        char want[4], got[4];
        im_volume turned = {0};
        make_codes(number, want);
        ck_assert_int_eq(im_reorient(&turned, &v, want), SX_OK);
        im_axcodes(turned.affine, got);
        ck_assert_str_eq(got, want);
        ck_assert_int_eq(im_volume_count(&turned), im_volume_count(&v));
        for (int value = 1; value <= im_volume_count(&v); value++) {
            double a[3], b[3];
            world_of(&v, (float)value, a);
            world_of(&turned, (float)value, b);
            for (int i = 0; i < 3; i++)
                ck_assert_msg(fabs(a[i] - b[i]) < 1e-9,
                              "%s: voxel %d, axis %d: got %.9f, want %.9f", want, value, i, b[i],
                              a[i]);
        }
        im_volume_clear(&turned);
    }
    im_volume_clear(&v);
}
END_TEST

START_TEST(turning_there_and_back_gives_the_same_bytes) {
    im_volume v = oblique_volume();
    char home[4];
    im_axcodes(v.affine, home);
    ck_assert_str_eq(home, "RAS");
    for (int number = 0; number < 48; number++) {
        char codes[4];
        im_volume there = {0}, back = {0};
        make_codes(number, codes);
        ck_assert_int_eq(im_reorient(&there, &v, codes), SX_OK);
        ck_assert_int_eq(im_reorient(&back, &there, home), SX_OK);
        ck_assert_int_eq(memcmp(back.dim, v.dim, sizeof v.dim), 0);
        ck_assert_int_eq(memcmp(back.voxel, v.voxel, (size_t)im_volume_count(&v) * sizeof *v.voxel),
                         0);
        for (int i = 0; i < 16; i++)
            ck_assert_double_eq_tol(back.affine[i / 4][i % 4], v.affine[i / 4][i % 4], 1e-12);
        im_volume_clear(&there);
        im_volume_clear(&back);
    }
    im_volume_clear(&v);
}
END_TEST

START_TEST(sagittal_slices_of_PIR_run_down_and_back) {
    im_volume v = oblique_volume(), pir = {0};
    ck_assert_int_eq(im_reorient(&pir, &v, "PIR"), SX_OK);
    const int64_t want[3] = {4, 3, 5};
    ck_assert_int_eq(memcmp(pir.dim, want, sizeof want), 0);
    ck_assert(pir.affine[1][0] < 0.0); /* i towards posterior */
    ck_assert(pir.affine[2][1] < 0.0); /* j towards inferior  */
    ck_assert(pir.affine[0][2] > 0.0); /* k towards the right */
    im_volume_clear(&v);
    im_volume_clear(&pir);
}
END_TEST

START_TEST(axis_codes_that_are_no_permutation_are_refused) {
    static const char *const bad[] = {"", "PI", "PIRS", "PPR", "PAR", "pir", "PIX"};
    im_volume v = oblique_volume();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        im_volume turned = {0};
        ck_assert_msg(im_reorient(&turned, &v, bad[i]) == SX_E_DATA, "'%s' was taken", bad[i]);
        ck_assert_ptr_null(turned.voxel);
    }
    im_volume_clear(&v);
}
END_TEST

START_TEST(steep_obliques_still_get_three_different_axes) {
    /* All three indices lie nearest to one world axis. */
    const double affine[4][4] = {
        {0.80, 0.75, 0.72, 0}, {0.1, -0.65, 0.2, 0}, {0.1, 0.2, -0.68, 0}, {0, 0, 0, 1}};
    char codes[4];
    im_axcodes(affine, codes);
    ck_assert_str_eq(codes, "RPI");
}
END_TEST

START_TEST(the_head_axis_is_found_in_every_orientation) {
    im_volume v = oblique_volume();
    static const char *const codes[] = {"PIR", "RSA", "LPI", "SRA", "ASR", "IPL"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        im_volume turned;
        ck_assert_int_eq(im_reorient(&turned, &v, codes[i]), SX_OK);
        ck_assert_int_eq(im_head_axis(turned.affine), (int)strcspn(codes[i], "SI"));
        im_volume_clear(&turned);
    }
    im_volume_clear(&v);
}
END_TEST

START_TEST(an_affine_times_its_inverse_is_the_identity) {
    im_volume v = oblique_volume();
    double inverse[4][4], product[4][4];
    ck_assert(im_affine_invert(v.affine, inverse));
    im_affine_multiply(inverse, v.affine, product);
    for (int i = 0; i < 16; i++)
        ck_assert_double_eq_tol(product[i / 4][i % 4], i / 4 == i % 4 ? 1.0 : 0.0, 1e-12);
    im_volume_clear(&v);
}
END_TEST

START_TEST(a_flat_affine_has_no_inverse) {
    const double flat[4][4] = {{1, 2, 3, 0}, {2, 4, 6, 0}, {0, 1, 5, 0}, {0, 0, 0, 1}};
    const double zero[4][4] = {{0}};
    double inverse[4][4];
    ck_assert(!im_affine_invert(flat, inverse));
    ck_assert(!im_affine_invert(zero, inverse));
}
END_TEST

START_TEST(spacing_is_the_length_of_the_columns) {
    im_volume v = oblique_volume();
    double mm[3];
    im_spacing(&v, mm);
    ck_assert_double_eq_tol(mm[0], 0.7, 1e-9);
    ck_assert_double_eq_tol(mm[1], 0.9, 1e-9);
    ck_assert_double_eq_tol(mm[2], 5.0, 1e-9);
    im_volume_clear(&v);
}
END_TEST

START_TEST(volumes_of_impossible_size_are_refused) {
    static const int64_t bad[][3] = {
        {0, 3, 3}, {3, -1, 3}, {INT64_MAX, 2, 2}, {(int64_t)1 << 31, (int64_t)1 << 31, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        im_volume v = {0};
        ck_assert_int_eq(im_volume_init(&v, bad[i]), SX_E_DATA);
        ck_assert_ptr_null(v.voxel);
        im_volume_clear(&v);
    }
}
END_TEST

int main(void) {
    return CHECK_RUN(
        "image_volume", every_voxel_keeps_its_world_position_in_all_48_orientations,
        turning_there_and_back_gives_the_same_bytes, sagittal_slices_of_PIR_run_down_and_back,
        axis_codes_that_are_no_permutation_are_refused,
        steep_obliques_still_get_three_different_axes, the_head_axis_is_found_in_every_orientation,
        an_affine_times_its_inverse_is_the_identity, a_flat_affine_has_no_inverse,
        spacing_is_the_length_of_the_columns, volumes_of_impossible_size_are_refused);
}
