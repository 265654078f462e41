/* Volumes of labels: pieces against a flood fill that knows nothing of runs, counts, the way from
 * intensities and back, turning and the nearest neighbour. */
#include "image/im_label.h"

#include <math.h>
#include <string.h>
#include "base/sx_rng.h"
#include "tests/check_run.h"

static im_labels new_labels(int64_t nx, int64_t ny, int64_t nz) {
    const int64_t dim[3] = {nx, ny, nz};
    im_labels l = {0};
    ck_assert_int_eq(im_labels_init(&l, dim), SX_OK);
    return l;
}

/* Each voxel by itself: `empty` of 8 are 0, the others 1 .. n_labels. */
static im_labels random_labels(sx_rng *r, int64_t nx, int64_t ny, int64_t nz, int n_labels,
                               int empty) {
    im_labels l = new_labels(nx, ny, nz);
    for (int64_t i = 0; i < im_labels_count(&l); i++)
        l.voxel[i] = sx_rng_int(r, 0, 7) < empty ? 0 : (int32_t)sx_rng_int(r, 1, n_labels);
    return l;
}

/* ---- pieces ---- */

/* Give piece `number` to every voxel of `to` that is reached from (x, y, z). */
static void flood(im_labels *to, const im_labels *from, int most, int64_t x, int64_t y, int64_t z,
                  int32_t number) {
    const int64_t *n = from->dim, at = (z * n[1] + y) * n[0] + x;
    to->voxel[at] = number;
    for (int64_t k = z - 1; k <= z + 1; k++)
        for (int64_t j = y - 1; j <= y + 1; j++)
            for (int64_t i = x - 1; i <= x + 1; i++) {
                const int64_t apart = llabs(i - x) + llabs(j - y) + llabs(k - z);
                const int64_t other = (k * n[1] + j) * n[0] + i;
                if (i < 0 || j < 0 || k < 0 || i >= n[0] || j >= n[1] || k >= n[2]) continue;
                if (apart <= most && from->voxel[other] == from->voxel[at] && !to->voxel[other])
                    flood(to, from, most, i, j, k, number);
            }
}

static int32_t flood_all(im_labels *to, const im_labels *from, im_neighbours n) {
    const int most = n == IM_FACES ? 1 : n == IM_EDGES ? 2 : 3;
    int32_t number = 0;
    for (int64_t k = 0; k < from->dim[2]; k++)
        for (int64_t j = 0; j < from->dim[1]; j++)
            for (int64_t i = 0; i < from->dim[0]; i++) {
                const int64_t at = (k * from->dim[1] + j) * from->dim[0] + i;
                if (from->voxel[at] != 0 && to->voxel[at] == 0)
                    flood(to, from, most, i, j, k, ++number);
            }
    return number;
}

static void check_pieces(const im_labels *l, im_neighbours n) {
    im_labels want = new_labels(l->dim[0], l->dim[1], l->dim[2]), got = {0};
    int64_t count = -1;
    const int32_t number = flood_all(&want, l, n);
    ck_assert_int_eq(im_components(&got, l, n, &count), SX_OK);
    ck_assert_int_eq(count, number);
    for (int64_t i = 0; i < im_labels_count(l); i++)
        ck_assert_msg(got.voxel[i] == want.voxel[i], "%d neighbours, voxel %lld: got %d, want %d",
                      (int)n, (long long)i, got.voxel[i], want.voxel[i]);
    im_labels_clear(&want);
    im_labels_clear(&got);
}

START_TEST(pieces_are_those_of_a_flood_fill) {
    sx_rng r = sx_rng_make(5, SX_RNG_TEST, 0, 0);
    for (int trial = 0; trial < 300; trial++) {
        im_labels l = random_labels(&r, sx_rng_int(&r, 1, 9), sx_rng_int(&r, 1, 9),
                                    sx_rng_int(&r, 1, 9), 1 + trial % 3, 1 + trial % 7);
        check_pieces(&l, IM_FACES);
        check_pieces(&l, IM_EDGES);
        check_pieces(&l, IM_CORNERS);
        im_labels_clear(&l);
    }
}
END_TEST

START_TEST(two_voxels_that_share_a_corner_are_one_piece_of_corners_alone) {
    im_labels l = new_labels(2, 2, 2), pieces = {0};
    const im_neighbours all[3] = {IM_FACES, IM_EDGES, IM_CORNERS};
    l.voxel[0] = l.voxel[7] = 4;
    for (int i = 0; i < 3; i++) {
        int64_t count = 0;
        ck_assert_int_eq(im_components(&pieces, &l, all[i], &count), SX_OK);
        ck_assert_int_eq(count, all[i] == IM_CORNERS ? 1 : 2);
        im_labels_clear(&pieces);
    }
    im_labels_clear(&l);
}
END_TEST

/* ---- counts ---- */

START_TEST(counts_boxes_and_centres_are_those_of_the_voxels) {
    im_labels l = new_labels(6, 5, 4);
    im_label_stat stat[3];
    l.voxel[(1 * 5 + 2) * 6 + 3] = 2; /* (3, 2, 1) */
    l.voxel[(3 * 5 + 0) * 6 + 5] = 2; /* (5, 0, 3) */
    l.voxel[0] = 3;                   /* from n on: ignored */
    im_label_stats(&l, stat, 3);
    ck_assert_int_eq(stat[0].count, 6 * 5 * 4 - 3);
    ck_assert_int_eq(stat[1].count, 0);
    ck_assert_int_eq(stat[2].count, 2);
    const int64_t low[3] = {3, 0, 1}, high[3] = {5, 2, 3};
    for (int a = 0; a < 3; a++) {
        ck_assert_int_eq(stat[2].low[a], low[a]);
        ck_assert_int_eq(stat[2].high[a], high[a]);
        ck_assert_double_eq(stat[2].centre[a], (double)(low[a] + high[a]) / 2.0);
    }
    im_labels_clear(&l);
}
END_TEST

/* ---- intensities ---- */

START_TEST(labels_survive_the_way_to_intensities_and_back) {
    sx_rng r = sx_rng_make(6, SX_RNG_TEST, 0, 0);
    im_labels l = random_labels(&r, 5, 4, 3, 300, 3), back = {0};
    im_volume v = {0};
    l.affine[0][0] = -0.7;
    l.affine[2][3] = 12.5;
    l.voxel[7] = 1 << 24;
    ck_assert_int_eq(im_labels_to_volume(&v, &l), SX_OK);
    ck_assert_int_eq(im_labels_from_volume(&back, &v), SX_OK);
    ck_assert_int_eq(memcmp(back.affine, l.affine, sizeof l.affine), 0);
    ck_assert_int_eq(memcmp(back.voxel, l.voxel, 60 * sizeof *l.voxel), 0);
    im_labels_clear(&l);
    im_labels_clear(&back);
    im_volume_clear(&v);
}
END_TEST

START_TEST(what_is_no_whole_number_is_refused_with_its_value) {
    const int64_t dim[3] = {2, 1, 1};
    const float bad[5] = {0.5f, -1.0f, 33554432.0f, NAN, INFINITY};
    const char *const text[5] = {"0.5", "-1", "3.35544e+07", "nan", "inf"};
    for (int i = 0; i < 5; i++) {
        im_volume v = {0};
        im_labels l = {0};
        ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
        v.voxel[1] = bad[i];
        ck_assert_int_eq(im_labels_from_volume(&l, &v), SX_E_DATA);
        ck_assert_ptr_null(l.voxel);
        ck_assert_msg(strstr(sx_err_text(), text[i]), "%s: %s", text[i], sx_err_text());
        im_volume_clear(&v);
    }
}
END_TEST

/* ---- other grids ---- */

START_TEST(labels_turn_as_intensities_do) {
    sx_rng r = sx_rng_make(7, SX_RNG_TEST, 0, 0);
    im_labels l = random_labels(&r, 5, 4, 3, 60, 0), got = {0}, want = {0};
    im_volume v = {0}, turned = {0};
    l.affine[0][1] = 0.3;
    l.affine[1][3] = -4.0;
    ck_assert_int_eq(im_labels_to_volume(&v, &l), SX_OK);
    ck_assert_int_eq(im_reorient(&turned, &v, "PIR"), SX_OK);
    ck_assert_int_eq(im_labels_from_volume(&want, &turned), SX_OK);
    ck_assert_int_eq(im_labels_reorient(&got, &l, "PIR"), SX_OK);
    ck_assert_int_eq(memcmp(got.dim, want.dim, sizeof want.dim), 0);
    ck_assert_int_eq(memcmp(got.affine, want.affine, sizeof want.affine), 0);
    ck_assert_int_eq(memcmp(got.voxel, want.voxel, 60 * sizeof *got.voxel), 0);
    ck_assert_int_eq(im_labels_reorient(&got, &l, "PIP"), SX_E_DATA);
    im_labels_clear(&l);
    im_labels_clear(&got);
    im_labels_clear(&want);
    im_volume_clear(&v);
    im_volume_clear(&turned);
}
END_TEST

START_TEST(a_point_has_the_label_of_the_voxel_around_it_and_none_outside) {
    im_labels l = new_labels(3, 1, 1), fine = new_labels(10, 1, 1);
    for (int i = 0; i < 3; i++) l.voxel[i] = i + 1;
    l.affine[0][0] = 2.0; /* voxels from -1 mm to 5 mm */
    fine.affine[0][0] = 0.75;
    fine.affine[0][3] = -1.25;
    ck_assert_int_eq(im_labels_resample(&fine, &l), SX_OK);
    for (int i = 0; i < 10; i++) {
        const double x = -1.25 + 0.75 * i;
        const int32_t want = x < -1.0 ? 0 : x < 1.0 ? 1 : x < 3.0 ? 2 : x < 5.0 ? 3 : 0;
        ck_assert_int_eq(fine.voxel[i], want);
    }
    l.affine[0][0] = 0.0;
    ck_assert_int_eq(im_labels_resample(&fine, &l), SX_E_DATA);
    im_labels_clear(&l);
    im_labels_clear(&fine);
}
END_TEST

START_TEST(the_rounding_of_a_header_does_not_decide_about_halves) {
    im_labels l = new_labels(4, 1, 1), between = new_labels(3, 1, 1);
    for (int i = 0; i < 4; i++) l.voxel[i] = i + 1;
    for (int sign = -1; sign <= 1; sign++) {
        between.affine[0][3] = 0.5 + sign * 2e-5;
        ck_assert_int_eq(im_labels_resample(&between, &l), SX_OK);
        for (int i = 0; i < 3; i++) ck_assert_int_eq(between.voxel[i], i + 2);
    }
    im_labels_clear(&l);
    im_labels_clear(&between);
}
END_TEST

int main(void) {
    return CHECK_RUN("label", pieces_are_those_of_a_flood_fill,
                     two_voxels_that_share_a_corner_are_one_piece_of_corners_alone,
                     counts_boxes_and_centres_are_those_of_the_voxels,
                     labels_survive_the_way_to_intensities_and_back,
                     what_is_no_whole_number_is_refused_with_its_value,
                     labels_turn_as_intensities_do,
                     a_point_has_the_label_of_the_voxel_around_it_and_none_outside,
                     the_rounding_of_a_header_does_not_decide_about_halves);
}
