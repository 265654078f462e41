/* Betti numbers: solids whose numbers are known, and random volumes against a count of the cells of
 * the cubical complex and a flood fill (tests/phantom/topology.h), which share nothing with the
 * runs and corners of the product. */
#include "spine/sp_topology.h"

#include <stdbool.h>
#include "base/sx_rng.h"
#include "tests/check_run.h"
#include "tests/phantom/topology.h"

enum { SIDE = 40, LABEL = 7, OTHER = 8 };

static im_labels new_cube(void) {
    const int64_t dim[3] = {SIDE, SIDE, SIDE};
    im_labels l = {0};
    ck_assert_int_eq(im_labels_init(&l, dim), SX_OK);
    return l;
}

static int32_t *voxel_at(im_labels *l, int64_t x, int64_t y, int64_t z) {
    return l->voxel + (z * l->dim[1] + y) * l->dim[0] + x;
}

/* Give `label` to the voxels with `inside`(place about the middle, two numbers). */
static void draw(im_labels *l, int32_t label,
                 bool (*inside)(double x, double y, double z, double p, double q), double p,
                 double q) {
    const double middle = (SIDE - 1) / 2.0;
    for (int64_t z = 0; z < SIDE; z++)
        for (int64_t y = 0; y < SIDE; y++)
            for (int64_t x = 0; x < SIDE; x++)
                if (inside((double)x - middle, (double)y - middle, (double)z - middle, p, q))
                    *voxel_at(l, x, y, z) = label;
}

/* Ball of radius p, moved by q along x. */
static bool in_ball(double x, double y, double z, double p, double q) {
    return (x - q) * (x - q) + y * y + z * z <= p * p;
}

/* Ring of radius p about the axis z, moved by q along x; 3 thick. */
static bool in_ring(double x, double y, double z, double p, double q) {
    const double r2 = (x - q) * (x - q) + y * y, a = r2 + z * z + p * p - 9.0;
    return a * a <= 4.0 * p * p * r2;
}

static sp_betti betti_in(const im_labels *l, const int64_t low[3], const int64_t high[3]) {
    sp_betti b;
    ck_assert_int_eq(sp_betti_of(l, LABEL, low, high, &b), SX_OK);
    return b;
}

static void expect_betti(const im_labels *l, int64_t b0, int64_t b1, int64_t b2) {
    im_label_stat stat[LABEL + 1];
    im_label_stats(l, stat, LABEL + 1);
    const sp_betti b = betti_in(l, stat[LABEL].low, stat[LABEL].high);
    ck_assert_msg(b.b0 == b0 && b.b1 == b1 && b.b2 == b2, "got %d %d %d, want %d %d %d", (int)b.b0,
                  (int)b.b1, (int)b.b2, (int)b0, (int)b1, (int)b2);
}

START_TEST(a_ball_is_one_piece) {
    im_labels l = new_cube();
    draw(&l, LABEL, in_ball, 12.3, 0.0);
    expect_betti(&l, 1, 0, 0);
    im_labels_clear(&l);
}
END_TEST

START_TEST(a_torus_has_a_tunnel_and_a_double_torus_two) {
    im_labels l = new_cube();
    draw(&l, LABEL, in_ring, 6.0, -8.0);
    expect_betti(&l, 1, 1, 0);
    draw(&l, LABEL, in_ring, 6.0, 5.0);
    expect_betti(&l, 1, 2, 0);
    im_labels_clear(&l);
}
END_TEST

START_TEST(a_hollow_ball_has_a_cavity_also_when_another_label_fills_it) {
    im_labels l = new_cube();
    draw(&l, LABEL, in_ball, 12.3, 0.0);
    draw(&l, 0, in_ball, 7.0, 0.0);
    expect_betti(&l, 1, 0, 1);
    draw(&l, OTHER, in_ball, 7.0, 0.0);
    expect_betti(&l, 1, 0, 1);
    im_labels_clear(&l);
}
END_TEST

START_TEST(two_balls_are_two_pieces) {
    im_labels l = new_cube();
    draw(&l, LABEL, in_ball, 6.0, -9.0);
    draw(&l, LABEL, in_ball, 6.0, 9.0);
    expect_betti(&l, 2, 0, 0);
    im_labels_clear(&l);
}
END_TEST

START_TEST(voxels_that_touch_in_a_corner_are_one_piece_and_close_a_cavity) {
    im_labels l = new_cube();
    *voxel_at(&l, 5, 5, 5) = *voxel_at(&l, 6, 6, 6) = LABEL;
    expect_betti(&l, 1, 0, 0);
    *voxel_at(&l, 8, 8, 8) = LABEL;
    expect_betti(&l, 2, 0, 0);
    im_labels_clear(&l);
    l = new_cube(); /* the six neighbours of a voxel: no face of it is open */
    *voxel_at(&l, 4, 5, 5) = *voxel_at(&l, 6, 5, 5) = *voxel_at(&l, 5, 4, 5) = LABEL;
    *voxel_at(&l, 5, 6, 5) = *voxel_at(&l, 5, 5, 4) = *voxel_at(&l, 5, 5, 6) = LABEL;
    expect_betti(&l, 1, 0, 1);
    im_labels_clear(&l);
}
END_TEST

START_TEST(a_label_that_fills_its_volume_is_whole_and_one_that_is_not_there_nothing) {
    const int64_t low[3] = {0, 0, 0}, high[3] = {SIDE - 1, SIDE - 1, SIDE - 1};
    im_labels l = new_cube();
    const sp_betti none = betti_in(&l, low, high);
    ck_assert_int_eq(none.b0 + none.b1 + none.b2, 0);
    for (int64_t i = 0; i < im_labels_count(&l); i++) l.voxel[i] = LABEL;
    expect_betti(&l, 1, 0, 0);
    im_labels_clear(&l);
}
END_TEST

START_TEST(random_volumes_have_the_numbers_of_their_cubical_complex) {
    sx_rng r = sx_rng_make(11, SX_RNG_TEST, 0, 0);
    for (int trial = 0; trial < 200; trial++) {
        const int64_t dim[3] = {sx_rng_int(&r, 1, 14), sx_rng_int(&r, 1, 14),
                                sx_rng_int(&r, 1, 14)};
        const int64_t high[3] = {dim[0] - 1, dim[1] - 1, dim[2] - 1}, low[3] = {0, 0, 0};
        const float density = sx_rng_range(&r, 0.03f, 0.97f);
        mask m = mask_new(dim[0], dim[1], dim[2]);
        im_labels l = {0};
        int want[3];
        ck_assert_int_eq(im_labels_init(&l, dim), SX_OK);
        for (int64_t i = 0; i < im_labels_count(&l); i++) {
            const bool in = sx_rng_uniform(&r) < density;
            l.voxel[i] = in ? LABEL : OTHER * (int32_t)sx_rng_int(&r, 0, 1);
            *mask_at(&m, i % dim[0], i / dim[0] % dim[1], i / dim[0] / dim[1]) = in;
        }
        mask_betti(&m, want);
        const sp_betti b = betti_in(&l, low, high);
        ck_assert_msg(b.b0 == want[0] && b.b1 == want[1] && b.b2 == want[2],
                      "volume %d: got %d %d %d, want %d %d %d", trial, (int)b.b0, (int)b.b1,
                      (int)b.b2, want[0], want[1], want[2]);
        sx_free(m.in);
        im_labels_clear(&l);
    }
}
END_TEST

int main(void) {
    return CHECK_RUN("topology", a_ball_is_one_piece, a_torus_has_a_tunnel_and_a_double_torus_two,
                     a_hollow_ball_has_a_cavity_also_when_another_label_fills_it,
                     two_balls_are_two_pieces,
                     voxels_that_touch_in_a_corner_are_one_piece_and_close_a_cavity,
                     a_label_that_fills_its_volume_is_whole_and_one_that_is_not_there_nothing,
                     random_volumes_have_the_numbers_of_their_cubical_complex);
}
