/* Predictions made from a row of block-shaped vertebrae by one change at a time: what is counted is
 * what was done. */
#include "spine/sp_match.h"

#include <math.h>
#include "spine/sp_labels.h"
#include "tests/check_run.h"

/* A block of 8 voxels a side for each vertebra, one voxel apart, head first along j: a body with a
 * tunnel through it from side to side, and a spinous process of two voxels behind. */
enum { SIDE = 8, STEP = 9, N_BONES = 6, FIRST = 5, TALL = N_BONES * STEP + 4 };

typedef struct scene {
    im_labels vert, subreg;
} scene;

static int32_t *at(const im_labels *l, int64_t i, int64_t j, int64_t k) {
    return l->voxel + (k * l->dim[1] + j) * l->dim[0] + i;
}

static scene new_scene(void) {
    const int64_t dim[3] = {14, TALL, 12};
    scene s = {{{0}, {{0}}, NULL}, {{0}, {{0}}, NULL}};
    ck_assert_int_eq(im_labels_init(&s.vert, dim), SX_OK);
    ck_assert_int_eq(im_labels_init(&s.subreg, dim), SX_OK);
    for (int n = 0; n < N_BONES; n++)
        for (int64_t k = 0; k < SIDE; k++)
            for (int64_t j = 0; j < SIDE; j++)
                for (int64_t i = 0; i < SIDE + 2; i++) {
                    const bool tunnel = i == 1 && j == 1;
                    if (tunnel || (i >= SIDE && (j != 4 || k != 4))) continue;
                    *at(&s.vert, 2 + i, 2 + n * STEP + j, 2 + k) = FIRST + n;
                    *at(&s.subreg, 2 + i, 2 + n * STEP + j, 2 + k) =
                        i < SIDE ? SP_CORPUS : SP_SPINOUS;
                }
    return s;
}

static void clear_scene(scene *s) {
    im_labels_clear(&s->vert);
    im_labels_clear(&s->subreg);
}

static void relabel(scene *s, int from, int to) {
    for (int64_t i = 0; i < im_labels_count(&s->vert); i++) {
        if (s->vert.voxel[i] != from) continue;
        s->vert.voxel[i] = to;
        if (to == 0) s->subreg.voxel[i] = 0;
    }
}

/* Compare with the untouched scene; the match is kept for a look at single instances. */
static sp_counts compare(const scene *prediction, sp_neck rule, sp_match *m) {
    static sp_match scratch;
    scene truth = new_scene();
    sp_point point[SP_N_INSTANCES];
    sp_counts c;
    if (!m) m = &scratch;
    ck_assert_int_eq(sp_body_points(&prediction->vert, &prediction->subreg, point), SX_OK);
    ck_assert_int_eq(sp_match_make(m, &truth.vert, &prediction->vert, point, NULL, true), SX_OK);
    ck_assert_int_eq(sp_match_topology(m, &prediction->vert), SX_OK);
    sp_match_count(m, rule, &c);
    clear_scene(&truth);
    return c;
}

/* truths predictions detected missed duplicates false_positives merges splits mislabelled
 * level_shift judged wrong0 wrong1 wrong2 matched */
static void expect_counts(const sp_counts *c, const int64_t want[15]) {
    static const char *const name[15] = {"truths",      "predictions",     "detected", "missed",
                                         "duplicates",  "false positives", "merges",   "splits",
                                         "mislabelled", "level shift",     "judged",   "wrong b0",
                                         "wrong b1",    "wrong b2",        "matched"};
    const int64_t got[15] = {c->truths,      c->predictions,     c->detected, c->missed,
                             c->duplicates,  c->false_positives, c->merges,   c->splits,
                             c->mislabelled, c->level_shift,     c->judged,   c->wrong[0],
                             c->wrong[1],    c->wrong[2],        c->matched};
    for (int i = 0; i < 15; i++)
        ck_assert_msg(got[i] == want[i], "%s: got %lld, want %lld", name[i], (long long)got[i],
                      (long long)want[i]);
}

START_TEST(the_truth_itself_is_perfect) {
    scene p = new_scene();
    static sp_match m;
    const sp_counts c = compare(&p, SP_NECK_TRUE, &m);
    expect_counts(&c, (int64_t[]){6, 6, 6, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 6});
    ck_assert_double_eq(c.dice, 6.0);
    ck_assert_double_eq(c.iou, 6.0);
    ck_assert_double_eq(m.union_dice, 1.0);
    ck_assert_double_eq(m.label_dice, 1.0);
    ck_assert_double_eq(m.truth[3].surface.hd_mm, 0.0);
    clear_scene(&p);
}
END_TEST

START_TEST(a_dropped_instance_is_missed_and_an_error_of_every_number) {
    scene p = new_scene();
    relabel(&p, FIRST + 2, 0);
    const sp_counts c = compare(&p, SP_NECK_TRUE, NULL);
    expect_counts(&c, (int64_t[]){6, 5, 5, 1, 0, 0, 0, 0, 0, 0, 6, 1, 1, 1, 5});
    clear_scene(&p);
}
END_TEST

START_TEST(nothing_predicted_is_all_missed) {
    scene p = new_scene();
    for (int n = 0; n < N_BONES; n++) relabel(&p, FIRST + n, 0);
    static sp_match m;
    const sp_counts c = compare(&p, SP_NECK_TRUE, &m);
    expect_counts(&c, (int64_t[]){6, 0, 0, 6, 0, 0, 0, 0, 0, 0, 6, 6, 6, 6, 0});
    ck_assert_double_eq(m.union_dice, 0.0);
    ck_assert_double_eq(m.label_dice, 0.0);
    clear_scene(&p);
}
END_TEST

START_TEST(one_number_on_two_vertebrae_is_a_merge_in_two_pieces) {
    scene p = new_scene();
    static sp_match m;
    relabel(&p, FIRST + 3, FIRST + 2); /* the mean of both bodies lies in the gap between them */
    const sp_counts c = compare(&p, SP_NECK_TRUE, &m);
    /* matched: one of two equal halves has an intersection over union of 0.5 */
    expect_counts(&c, (int64_t[]){6, 5, 4, 2, 0, 1, 1, 0, 0, 0, 6, 2, 2, 2, 5});
    ck_assert_int_eq(m.prediction[2].betti.b0, 2);
    ck_assert(m.prediction[2].merges);
    clear_scene(&p);
}
END_TEST

START_TEST(two_numbers_on_one_vertebra_are_a_split_and_a_duplicate) {
    scene p = new_scene();
    static sp_match m;
    for (int64_t k = 0; k < p.vert.dim[2]; k++)
        for (int64_t j = 2 + 2 * STEP + 5; j < 2 + 2 * STEP + SIDE; j++)
            for (int64_t i = 0; i < p.vert.dim[0]; i++)
                if (*at(&p.vert, i, j, k)) *at(&p.vert, i, j, k) = 40;
    const sp_counts c = compare(&p, SP_NECK_TRUE, &m);
    /* 40, the smaller part, has no tunnel */
    expect_counts(&c, (int64_t[]){6, 7, 6, 0, 1, 0, 0, 1, 0, 0, 7, 0, 1, 0, 6});
    ck_assert(m.truth[2].split);
    ck_assert_int_eq(m.truth[2].hit, FIRST + 2);
    ck_assert(!m.prediction[6].first);
    clear_scene(&p);
}
END_TEST

START_TEST(a_blob_outside_is_a_false_positive_and_no_error_of_topology) {
    scene p = new_scene();
    *at(&p.vert, 13, 0, 11) = 30;
    *at(&p.subreg, 13, 0, 11) = SP_CORPUS;
    const sp_counts c = compare(&p, SP_NECK_TRUE, NULL);
    expect_counts(&c, (int64_t[]){6, 7, 6, 0, 0, 1, 0, 0, 0, 0, 6, 0, 0, 0, 6});
    clear_scene(&p);
}
END_TEST

START_TEST(numbers_off_by_one_level_detect_all_and_are_named) {
    scene p = new_scene();
    for (int n = N_BONES - 1; n >= 0; n--) relabel(&p, FIRST + n, FIRST + n + 1);
    static sp_match m;
    const sp_counts c = compare(&p, SP_NECK_TRUE, &m);
    expect_counts(&c, (int64_t[]){6, 6, 6, 0, 0, 0, 0, 0, 6, 1, 6, 0, 0, 0, 6});
    ck_assert_double_eq(m.label_dice, 0.0);
    clear_scene(&p);
}
END_TEST

/* Bore two more tunnels, through vertebra n. */
static void bore(scene *p, int n) {
    for (int64_t k = 0; k < p->vert.dim[2]; k++)
        for (int hole = 0; hole < 2; hole++)
            *at(&p->vert, 2 + 3 + 2 * hole, 2 + n * STEP + 1, k) = 0;
}

START_TEST(three_tunnels_are_right_in_the_neck_by_the_truths_or_the_predictions_number) {
    scene p = new_scene();
    bore(&p, 0); /* C5 */
    bore(&p, 4); /* T2 */
    sp_counts c = compare(&p, SP_NECK_TRUE, NULL);
    ck_assert_int_eq(c.wrong[1], 1);
    relabel(&p, FIRST + 0, 15); /* C5 is called T8, T2 is called C2 */
    relabel(&p, FIRST + 4, 2);
    c = compare(&p, SP_NECK_TRUE, NULL);
    ck_assert_int_eq(c.wrong[1], 1);
    static sp_match m;
    c = compare(&p, SP_NECK_PREDICTED, &m);
    ck_assert_int_eq(c.wrong[1], 1);
    for (int i = 0; i < m.n_predictions; i++) {
        bool by_truth[3], by_prediction[3];
        sp_topology_errors(&m.prediction[i], SP_NECK_TRUE, by_truth);
        sp_topology_errors(&m.prediction[i], SP_NECK_PREDICTED, by_prediction);
        ck_assert_int_eq(by_truth[1], m.prediction[i].label == 2);
        ck_assert_int_eq(by_prediction[1], m.prediction[i].label == 15);
    }
    clear_scene(&p);
}
END_TEST

START_TEST(a_point_halfway_between_voxels_goes_to_the_even_one) {
    const int64_t dim[3] = {6, 1, 1};
    im_labels truth = {0}, prediction = {0};
    static sp_match m;
    sp_point point[SP_N_INSTANCES] = {{false, {0, 0, 0}}};
    ck_assert_int_eq(im_labels_init(&truth, dim), SX_OK);
    ck_assert_int_eq(im_labels_init(&prediction, dim), SX_OK);
    for (int i = 0; i < 6; i++) truth.voxel[i] = i + 1;
    prediction.voxel[0] = 9;
    const struct {
        double x;
        int want;
    } cases[] = {{0.5, 1}, {1.5, 3},  {2.5, 3}, {3.5, 5}, {4.4, 5},
                 {5.4, 6}, {-0.5, 1}, {5.6, 0}, {-0.6, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        point[9] = (sp_point){true, {cases[i].x, 0, 0}};
        ck_assert_int_eq(sp_match_make(&m, &truth, &prediction, point, NULL, false), SX_OK);
        ck_assert_int_eq(m.prediction[0].inside, cases[i].want);
    }
    im_labels_clear(&truth);
    im_labels_clear(&prediction);
}
END_TEST

START_TEST(halves_stay_halves_on_the_way_through_millimetres) {
    double m[4][4] = {{0.8432, 0.0711, -0.1366, -31.7},
                      {-0.1201, 0.0303, -0.8481, 77.3},
                      {0.0987, 0.8537, 0.0519, 5.1},
                      {0, 0, 0, 1}};
    for (int i = 0; i < 300; i++) {
        sp_point point[SP_N_INSTANCES] = {{false, {0, 0, 0}}};
        const double want[3] = {i + 0.5, 37.5, 300.5 - i};
        point[3] = (sp_point){true, {want[0], want[1], want[2]}};
        ck_assert_int_eq(sp_points_move(point, m, m), SX_OK);
        for (int a = 0; a < 3; a++) ck_assert(point[3].at[a] == want[a]);
        ck_assert(!point[2].known);
    }
    m[0][0] = m[1][0] = m[2][0] = 0.0;
    sp_point point[SP_N_INSTANCES] = {{false, {0, 0, 0}}};
    ck_assert_int_eq(sp_points_move(point, m, m), SX_E_DATA);
}
END_TEST

START_TEST(without_sub_regions_the_point_is_the_deepest_voxel) {
    scene p = new_scene();
    sp_point point[SP_N_INSTANCES];
    static sp_match m;
    scene truth = new_scene();
    ck_assert_int_eq(sp_body_points(&p.vert, NULL, point), SX_OK);
    ck_assert_int_eq(sp_match_make(&m, &truth.vert, &p.vert, point, NULL, false), SX_OK);
    for (int i = 0; i < N_BONES; i++) ck_assert_int_eq(m.prediction[i].inside, FIRST + i);
    for (int a = 0; a < 3; a++) /* four voxels from each side */
        ck_assert_double_ge(point[FIRST].at[a], 4.0);
    /* a sub-region mask in which this one instance has no body: it has no point */
    for (int64_t i = 0; i < im_labels_count(&p.vert); i++)
        if (p.vert.voxel[i] == FIRST) p.subreg.voxel[i] = SP_ARCUS;
    ck_assert_int_eq(sp_body_points(&p.vert, &p.subreg, point), SX_OK);
    ck_assert(!point[FIRST].known && point[FIRST + 1].known);
    clear_scene(&p);
    clear_scene(&truth);
}
END_TEST

START_TEST(truths_at_the_ends_and_without_body_are_partial) {
    scene s = new_scene();
    bool partial[SP_N_INSTANCES];
    s.vert.affine[1][1] = 0.0; /* j runs to the feet, k to the front */
    s.vert.affine[2][2] = 0.0;
    s.vert.affine[2][1] = -1.0;
    s.vert.affine[1][2] = 1.0;
    sp_partial_truths(&s.vert, &s.subreg, partial);
    for (int n = 0; n < SP_N_INSTANCES; n++) /* numbers that are not there do not matter */
        if (n >= FIRST && n < FIRST + N_BONES) ck_assert(!partial[n]);
    *at(&s.vert, 4, 0, 4) = FIRST;
    *at(&s.vert, 4, TALL - 1, 4) = FIRST + 5;
    *at(&s.vert, 0, 30, 4) = FIRST + 3; /* at a side: whole */
    for (int64_t i = 0; i < im_labels_count(&s.vert); i++)
        if (s.vert.voxel[i] == FIRST + 2) s.subreg.voxel[i] = SP_ARCUS;
    sp_partial_truths(&s.vert, &s.subreg, partial);
    const bool want[N_BONES] = {true, false, true, false, false, true};
    for (int n = 0; n < N_BONES; n++) ck_assert_int_eq(partial[FIRST + n], want[n]);
    sp_partial_truths(&s.vert, NULL, partial);
    ck_assert(partial[FIRST] && !partial[FIRST + 2] && partial[FIRST + 5]);
    clear_scene(&s);
}
END_TEST

START_TEST(partial_truths_and_predictions_of_them_do_not_count) {
    scene truth = new_scene(), p = new_scene();
    bool partial[SP_N_INSTANCES] = {false};
    sp_point point[SP_N_INSTANCES];
    static sp_match m;
    sp_counts c;
    partial[FIRST] = partial[FIRST + 5] = true;
    relabel(&p, FIRST + 5, 60); /* its body is called arch: no point, but on a partial truth */
    for (int64_t i = 0; i < im_labels_count(&p.vert); i++)
        if (p.vert.voxel[i] == 60) p.subreg.voxel[i] = SP_ARCUS;
    ck_assert_int_eq(sp_body_points(&p.vert, &p.subreg, point), SX_OK);
    ck_assert_int_eq(sp_match_make(&m, &truth.vert, &p.vert, point, partial, false), SX_OK);
    ck_assert_int_eq(sp_match_topology(&m, &p.vert), SX_OK);
    sp_match_count(&m, SP_NECK_TRUE, &c);
    expect_counts(&c, (int64_t[]){4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4});
    ck_assert_double_eq(m.union_dice, 1.0);
    ck_assert_double_eq(m.label_dice, 1.0); /* 60 is of a truth that does not count */
    clear_scene(&truth);
    clear_scene(&p);
}
END_TEST

START_TEST(a_number_that_the_truth_does_not_have_is_a_label_dice_of_0) {
    scene truth = new_scene(), p = new_scene();
    bool partial[SP_N_INSTANCES];
    sp_point point[SP_N_INSTANCES];
    static sp_match m;
    relabel(&p, FIRST + 2, 30);
    *at(&p.vert, 12, 1, 1) = 40; /* outside of all */
    ck_assert_int_eq(sp_body_points(&p.vert, &p.subreg, point), SX_OK);
    for (int with_body = 0; with_body < 2; with_body++) {
        sp_partial_truths(&truth.vert, with_body ? &truth.subreg : NULL, partial);
        ck_assert_int_eq(sp_match_make(&m, &truth.vert, &p.vert, point, partial, false), SX_OK);
        ck_assert_double_eq_tol(m.label_dice, 5.0 / 8.0, 1e-12);
    }
    clear_scene(&truth);
    clear_scene(&p);
}
END_TEST

START_TEST(specks_between_the_voxels_of_the_truth_count_by_their_points) {
    scene truth = new_scene(), p = new_scene();
    sp_point point[SP_N_INSTANCES];
    static sp_match m;
    sp_counts c;
    for (int64_t i = 0; i < im_labels_count(&p.vert); i++) p.vert.voxel[i] = 0; /* as resampled */
    for (int n = 0; n < SP_N_INSTANCES; n++) point[n] = (sp_point){false, {0, 0, 0}};
    point[FIRST] = (sp_point){true, {5.4, 5.4, 5.4}};   /* in the first truth   */
    point[40] = (sp_point){true, {0.4, 0.4, 0.4}};      /* in none              */
    point[41] = (sp_point){true, {5.0, TALL + 3, 5.0}}; /* outside of the volume */
    ck_assert_int_eq(sp_match_make(&m, &truth.vert, &p.vert, point, NULL, true), SX_OK);
    sp_match_count(&m, SP_NECK_TRUE, &c);
    ck_assert_int_eq(c.predictions, 2);
    ck_assert_int_eq(c.detected, 1);
    ck_assert_int_eq(c.false_positives, 1);
    ck_assert_int_eq(c.matched, 0);
    ck_assert_double_eq(c.dice, 0.0);
    ck_assert_double_eq(m.label_dice, 0.0);
    clear_scene(&truth);
    clear_scene(&p);
}
END_TEST

START_TEST(distances_are_in_millimetres_of_voxels_that_are_no_cubes) {
    const int64_t dim[3] = {12, 12, 12};
    const double mm[3] = {0.5, 0.8, 4.0};
    im_labels l[2] = {{{0}, {{0}}, NULL}, {{0}, {{0}}, NULL}};
    im_label_stat stat[2][2];
    sp_surface s;
    for (int n = 0; n < 2; n++) {
        ck_assert_int_eq(im_labels_init(&l[n], dim), SX_OK);
        for (int a = 0; a < 3; a++) l[n].affine[a][a] = mm[a];
    }
    *at(&l[0], 2, 3, 4) = *at(&l[1], 5, 7, 5) = 1;
    for (int n = 0; n < 2; n++) im_label_stats(&l[n], stat[n], 2);
    ck_assert_int_eq(sp_surface_between(&(sp_part){&l[0], 1, &stat[0][1]},
                                        &(sp_part){&l[1], 1, &stat[1][1]}, &s),
                     SX_OK);
    const double want = sqrt(1.5 * 1.5 + 3.2 * 3.2 + 4.0 * 4.0);
    ck_assert_double_eq_tol(s.assd_mm, want, 1e-6);
    ck_assert_double_eq_tol(s.hd_mm, want, 1e-6);
    ck_assert_double_eq_tol(s.hd95_mm, want, 1e-6);
    ck_assert_int_eq(sp_surface_between(&(sp_part){&l[0], 1, &stat[0][1]},
                                        &(sp_part){&l[1], 1, &(im_label_stat){0}}, &s),
                     SX_OK);
    ck_assert(isnan(s.assd_mm) && isnan(s.hd_mm) && isnan(s.hd95_mm));
    im_labels_clear(&l[0]);
    im_labels_clear(&l[1]);
}
END_TEST

int main(void) {
    return CHECK_RUN("match", the_truth_itself_is_perfect,
                     a_dropped_instance_is_missed_and_an_error_of_every_number,
                     nothing_predicted_is_all_missed,
                     one_number_on_two_vertebrae_is_a_merge_in_two_pieces,
                     two_numbers_on_one_vertebra_are_a_split_and_a_duplicate,
                     a_blob_outside_is_a_false_positive_and_no_error_of_topology,
                     numbers_off_by_one_level_detect_all_and_are_named,
                     three_tunnels_are_right_in_the_neck_by_the_truths_or_the_predictions_number,
                     a_point_halfway_between_voxels_goes_to_the_even_one,
                     halves_stay_halves_on_the_way_through_millimetres,
                     without_sub_regions_the_point_is_the_deepest_voxel,
                     truths_at_the_ends_and_without_body_are_partial,
                     partial_truths_and_predictions_of_them_do_not_count,
                     a_number_that_the_truth_does_not_have_is_a_label_dice_of_0,
                     specks_between_the_voxels_of_the_truth_count_by_their_points,
                     distances_are_in_millimetres_of_voxels_that_are_no_cubes);
}
