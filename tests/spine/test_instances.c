/* Instances of phantoms' true sub-regions against their true instances; and what happens when the
 * mask is less clean: bodies that are one, a body that is two, arches that touch, crumbs. */
#include "spine/sp_instances.h"

#include <math.h>
#include <string.h>
#include "phantom/ph_phantom.h"
#include "spine/sp_labels.h"
#include "tests/check_run.h"

/* ---- phantoms ---- */

typedef struct truth {
    im_labels vertebra, subregion;
} truth;

/* The classes that a segmenter tells apart. */
static int32_t collapse(int32_t subregion) {
    if (sp_is_body(subregion)) return SP_CORPUS;
    if (sp_is_bone(subregion)) return SP_ARCUS;
    return subregion == SP_ENDPLATE ? SP_DISC : subregion;
}

static truth make_truth(uint64_t seed, int subject, double height_mm) {
    const ph_options o = {
        .seed = seed, .iso_mm = 1.2, .height_mm = height_mm, .width_mm = 50, .depth_mm = 120};
    ph_subject s;
    truth t = {{.voxel = NULL}, {.voxel = NULL}};
    ck_assert_int_eq(ph_subject_make(&s, &o, subject, 0), SX_OK);
    ck_assert_int_eq(im_labels_from_volume(&t.vertebra, &s.instance), SX_OK);
    ck_assert_int_eq(im_labels_from_volume(&t.subregion, &s.subregion), SX_OK);
    ph_subject_clear(&s);
    for (int64_t i = 0; i < im_labels_count(&t.subregion); i++)
        t.subregion.voxel[i] = collapse(t.subregion.voxel[i]);
    return t;
}

static void truth_clear(truth *t) {
    im_labels_clear(&t->vertebra);
    im_labels_clear(&t->subregion);
}

/* A neck from C2 down, a thorax that begins at C3, and the lower end of the spine. */
static truth neck(void) {
    return make_truth(5, 0, 200.0);
}
static truth chest(void) {
    return make_truth(5, 5, 160.0);
}
static truth loin(void) {
    return make_truth(7, 4, 400.0);
}

/* ---- comparison ---- */

typedef struct found {
    sp_instances s;
    sp_numbering how;
    im_labels mask;
} found;

static found find_with(const truth *t, int first, const sp_known *known, int n_known) {
    found f = {.mask = {.voxel = NULL}};
    ck_assert_int_eq(sp_instances_find(&f.s, &t->subregion), SX_OK);
    sp_instances_number(&f.s, first, known, n_known, &f.how);
    ck_assert_int_eq(sp_instances_mask(&f.s, &f.mask), SX_OK);
    return f;
}

static found find(const truth *t, int first) {
    return find_with(t, first, NULL, 0);
}

static void found_clear(found *f) {
    sp_instances_clear(&f->s);
    im_labels_clear(&f->mask);
}

static double dice_of(const im_labels *a, const im_labels *b, int label) {
    int64_t n_a = 0, n_b = 0, both = 0;
    for (int64_t i = 0; i < im_labels_count(a); i++) {
        n_a += a->voxel[i] == label;
        n_b += b->voxel[i] == label;
        both += a->voxel[i] == label && b->voxel[i] == label;
    }
    return n_a + n_b ? 2.0 * (double)both / (double)(n_a + n_b) : 1.0;
}

/* Vertebrae of which the field of view holds more than a rest. */
static void expect_vertebrae(const truth *t, const found *f, double least) {
    const int64_t rest = 600;
    for (int label = SP_C1; label <= SP_SACRUM; label++) {
        int64_t n = 0;
        for (int64_t i = 0; i < im_labels_count(&t->vertebra); i++)
            n += t->vertebra.voxel[i] == label;
        const double dice = dice_of(&t->vertebra, &f->mask, label);
        ck_assert_msg(n < rest || dice >= least, "%s of %lld voxels: Dice %.3f",
                      sp_vertebra_name(label), (long long)n, dice);
    }
}

/* The same of what is found in it, and the end of it. */
static void expect_found(truth *t, int first, double least) {
    found f = find(t, first);
    expect_vertebrae(t, &f, least);
    found_clear(&f);
    truth_clear(t);
}

/* ---- truth ---- */

START_TEST(a_neck_is_numbered_by_its_dens_and_the_atlas_lies_above) {
    truth t = neck();
    found f = find(&t, SP_L1);
    im_label_stat stat[SP_SACRUM];
    im_label_stats(&t.vertebra, stat, SP_SACRUM);
    ck_assert_int_eq(f.how.anchor, SP_ANCHOR_DENS);
    ck_assert(!f.how.doubtful);
    ck_assert_int_eq(f.s.item[0].number, SP_C1);
    ck_assert_int_eq(f.s.item[0].body, 0);
    for (int i = 1; i < f.s.n; i++) {
        double at[3];
        im_affine_apply(t.vertebra.affine, stat[f.s.item[i].number].centre, at);
        ck_assert_double_lt(fabs(f.s.item[i].centre[2] - at[2]), 12.0); /* the arch hangs down */
    }
    expect_vertebrae(&t, &f, 0.98);
    ck_assert_double_gt(dice_of(&t.vertebra, &f.mask, SP_DISC_BELOW + 4), 0.7); /* with plates */
    found_clear(&f);
    truth_clear(&t);
}
END_TEST

START_TEST(a_spine_with_its_sacrum_is_numbered_from_below) {
    truth t = loin();
    found f = find(&t, SP_C2);
    ck_assert_int_eq(f.how.anchor, SP_ANCHOR_SACRUM);
    ck_assert_int_eq(f.s.item[f.s.n - 1].number, SP_L5);
    expect_vertebrae(&t, &f, 0.98);
    found_clear(&f);
    truth_clear(&t);
}
END_TEST

START_TEST(without_an_anchor_numbers_begin_where_they_are_told_to) {
    truth t = chest();
    found f = find(&t, 3);
    ck_assert_int_eq(f.how.anchor, SP_ANCHOR_NONE);
    expect_vertebrae(&t, &f, 0.98);
    found_clear(&f);
    truth_clear(&t);
}
END_TEST

START_TEST(numbers_of_another_scan_are_taken_over_by_place) {
    truth t = chest();
    found f = find(&t, 3), g;
    sp_known known[3]; /* of a scan a little aside that saw less and has one more wrong */
    for (int i = 0; i < 3; i++) {
        known[i].number = f.s.item[i + 2].number;
        for (int a = 0; a < 3; a++) known[i].centre[a] = f.s.item[i + 2].centre[a] + 2.0;
    }
    known[2].number = SP_L5;
    g = find_with(&t, SP_T1, known, 3);
    ck_assert_int_eq(g.how.anchor, SP_ANCHOR_SCAN);
    ck_assert_int_eq(g.s.item[0].number, f.s.item[0].number);
    found_clear(&f);
    found_clear(&g);
    truth_clear(&t);
}
END_TEST

START_TEST(anchors_that_contradict_each_other_leave_doubt) {
    truth t = neck();
    found f = find(&t, SP_C2), g;
    sp_known known = {.number = f.s.item[4].number + 1};
    memcpy(known.centre, f.s.item[4].centre, sizeof known.centre);
    g = find_with(&t, SP_C2, &known, 1);
    ck_assert_int_eq(g.how.anchor, SP_ANCHOR_DENS);
    ck_assert(g.how.doubtful);
    found_clear(&f);
    found_clear(&g);
    truth_clear(&t);
}
END_TEST

START_TEST(numbers_never_leave_the_spine) {
    truth t = chest();
    found f = find(&t, SP_L5);
    ck_assert(f.how.doubtful);
    ck_assert_int_eq(f.s.item[f.s.n - 1].number, SP_L6);
    found_clear(&f);
    truth_clear(&t);
}
END_TEST

/* ---- masks that are less clean ---- */

/* Give voxels of one vertebra label another part where `p` says so. */
static void paint(truth *t, int vertebra, int32_t part, bool (*p)(const int64_t at[3])) {
    const int64_t *dim = t->vertebra.dim;
    for (int64_t i = 0; i < im_labels_count(&t->vertebra); i++) {
        const int64_t at[3] = {i % dim[0], i / dim[0] % dim[1], i / dim[0] / dim[1]};
        if (t->vertebra.voxel[i] == vertebra && (!p || p(at))) t->subregion.voxel[i] = part;
    }
}

static bool every_third_column(const int64_t at[3]) {
    return at[0] % 3 == 0;
}

START_TEST(bodies_that_are_one_part_at_the_disc) {
    truth t = chest();
    for (int v = 4; v <= 6; v++) { /* C4 to C7 hang together by a third of each disc */
        paint(&t, SP_DISC_BELOW + v, SP_CORPUS, every_third_column);
        paint(&t, SP_ENDPLATE_OF + v, SP_CORPUS, every_third_column);
        paint(&t, SP_ENDPLATE_OF + v + 1, SP_CORPUS, every_third_column);
    }
    expect_found(&t, 3, 0.90);
}
END_TEST

START_TEST(bodies_that_are_one_part_at_a_waist_where_no_disc_is_seen) {
    truth t = chest();
    paint(&t, SP_DISC_BELOW + 6, SP_CORPUS, every_third_column);
    paint(&t, SP_ENDPLATE_OF + 6, SP_CORPUS, every_third_column);
    paint(&t, SP_ENDPLATE_OF + 7, SP_CORPUS, every_third_column);
    for (int64_t i = 0; i < im_labels_count(&t.vertebra); i++) /* and the rest of it is nothing */
        if (t.vertebra.voxel[i] == SP_DISC_BELOW + 6 && t.subregion.voxel[i] == SP_DISC)
            t.subregion.voxel[i] = 0;
    expect_found(&t, 3, 0.85);
}
END_TEST

static int64_t middle_row;
static bool middle_rows(const int64_t at[3]) {
    return at[1] == middle_row;
}

/* Its middle row of voxels is nothing. */
static void cut_body_in_two(truth *t, int vertebra) {
    im_label_stat stat[SP_SACRUM];
    im_label_stats(&t->vertebra, stat, SP_SACRUM);
    middle_row = (stat[vertebra].low[1] + stat[vertebra].high[1]) / 2;
    paint(t, vertebra, 0, middle_rows);
}

START_TEST(a_body_that_is_two_stays_one) {
    truth t = chest();
    cut_body_in_two(&t, SP_T1);
    expect_found(&t, 3, 0.90);
}
END_TEST

/* Two sagittal slices in the middle have no disc. */
static void halve_discs(truth *t) {
    const int64_t *dim = t->subregion.dim, middle = dim[2] / 2;
    for (int64_t i = 0; i < im_labels_count(&t->subregion); i++) {
        const int64_t k = i / dim[0] / dim[1];
        if (t->subregion.voxel[i] == SP_DISC && k >= middle - 1 && k <= middle)
            t->subregion.voxel[i] = 0;
    }
}

START_TEST(discs_that_are_two_do_not_bring_vertebrae_nearer_to_each_other) {
    truth t = chest();
    cut_body_in_two(&t, SP_T1);
    halve_discs(&t);
    expect_found(&t, 3, 0.90);
}
END_TEST

START_TEST(a_dens_that_came_off_stays_a_part_of_its_vertebra) {
    truth t = neck();
    im_label_stat stat[SP_C2 + 1];
    im_label_stats(&t.vertebra, stat, SP_C2 + 1);
    middle_row = stat[SP_C2].low[1] + 10;
    paint(&t, SP_C2, SP_ARCUS, middle_rows);
    found f = find(&t, SP_L1);
    ck_assert_int_eq(f.how.anchor, SP_ANCHOR_DENS);
    expect_vertebrae(&t, &f, 0.90);
    found_clear(&f);
    truth_clear(&t);
}
END_TEST

START_TEST(a_joint_beside_the_dens_that_looks_like_a_disc_cuts_nothing) {
    truth t = neck();
    const int64_t *dim = t.subregion.dim;
    im_label_stat stat[SP_C2 + 1];
    im_label_stats(&t.vertebra, stat, SP_C2 + 1);
    const int64_t j0 = stat[SP_C2].low[1] + 10, k0 = (int64_t)stat[SP_C2].centre[2] + 10;
    const int64_t i0 = (int64_t)stat[SP_C2].centre[0] - 8;
    for (int64_t k = k0; k < k0 + 4; k++) /* 4 x 3 x 12 voxels: 250 mm3 */
        for (int64_t j = j0; j < j0 + 3; j++)
            for (int64_t i = i0; i < i0 + 12; i++)
                t.subregion.voxel[(k * dim[1] + j) * dim[0] + i] = SP_DISC;
    found f = find(&t, SP_L1);
    ck_assert_int_eq(f.how.anchor, SP_ANCHOR_DENS);
    expect_vertebrae(&t, &f, 0.90);
    found_clear(&f);
    truth_clear(&t);
}
END_TEST

START_TEST(a_vertebra_is_one_piece) {
    truth t = chest();
    const int64_t *dim = t.subregion.dim;
    for (int64_t i = 0; i < 6; i++) /* beyond the spine, 6 x 4 x 2, of what was told to be bone */
        for (int64_t j = 0; j < 4; j++)
            for (int64_t k = 0; k < 2; k++)
                t.subregion.voxel[((3 + k) * dim[1] + dim[1] / 2 + j) * dim[0] + i] = SP_ARCUS;
    found f = find(&t, 3);
    ck_assert_int_eq(f.mask.voxel[(3 * dim[1] + dim[1] / 2) * dim[0]], 0);
    expect_vertebrae(&t, &f, 0.98);
    found_clear(&f);
    truth_clear(&t);
}
END_TEST

/* Arches grow by one voxel into the background. */
static void thicken_arches(truth *t) {
    const int64_t *dim = t->subregion.dim, step[3] = {1, dim[0], dim[0] * dim[1]};
    im_labels old = {.voxel = NULL};
    ck_assert_int_eq(im_labels_copy(&old, &t->subregion), SX_OK);
    for (int64_t i = 0; i < im_labels_count(&old); i++) {
        const int64_t at[3] = {i % dim[0], i / dim[0] % dim[1], i / dim[0] / dim[1]};
        for (int a = 0; a < 3 && old.voxel[i] == 0; a++)
            if ((at[a] > 0 && old.voxel[i - step[a]] == SP_ARCUS) ||
                (at[a] + 1 < dim[a] && old.voxel[i + step[a]] == SP_ARCUS))
                t->subregion.voxel[i] = SP_ARCUS;
    }
    im_labels_clear(&old);
}

/* Share of the true arch voxels that are the true vertebra's. */
static double share_right(const truth *t, const found *f) {
    int64_t n = 0, right = 0;
    for (int64_t i = 0; i < im_labels_count(&t->vertebra); i++) {
        if (t->subregion.voxel[i] != SP_ARCUS || !t->vertebra.voxel[i]) continue;
        n++;
        right += t->vertebra.voxel[i] == f->mask.voxel[i];
    }
    return (double)right / (double)n;
}

START_TEST(arches_that_touch_part_at_their_joints) {
    truth t = chest();
    thicken_arches(&t);
    found f = find(&t, 3);
    ck_assert_double_gt(share_right(&t, &f), 0.95);
    found_clear(&f);
    truth_clear(&t);
}
END_TEST

START_TEST(crumbs_are_no_vertebrae) {
    truth t = chest();
    const int64_t *dim = t.subregion.dim;
    for (int64_t i = 0; i < 4; i++) /* in the muscle, 4 x 1 x 1 */
        t.subregion.voxel[(3 * dim[1] + dim[1] / 2) * dim[0] + i] = SP_CORPUS;
    found f = find(&t, 3);
    expect_vertebrae(&t, &f, 0.98);
    ck_assert_int_eq(f.s.subregion.voxel[(3 * dim[1] + dim[1] / 2) * dim[0]], 0);
    found_clear(&f);
    truth_clear(&t);
}
END_TEST

START_TEST(a_mask_without_a_body_is_refused) {
    truth t = chest();
    sp_instances s;
    for (int64_t i = 0; i < im_labels_count(&t.subregion); i++)
        if (t.subregion.voxel[i] == SP_CORPUS) t.subregion.voxel[i] = 0;
    ck_assert_int_eq(sp_instances_find(&s, &t.subregion), SX_E_DATA);
    memset(t.subregion.voxel, 0, (size_t)im_labels_count(&t.subregion) * sizeof(int32_t));
    ck_assert_int_eq(sp_instances_find(&s, &t.subregion), SX_E_DATA);
    truth_clear(&t);
}
END_TEST

int main(void) {
    return CHECK_RUN(
        "sp_instances", a_neck_is_numbered_by_its_dens_and_the_atlas_lies_above,
        a_spine_with_its_sacrum_is_numbered_from_below,
        without_an_anchor_numbers_begin_where_they_are_told_to,
        numbers_of_another_scan_are_taken_over_by_place,
        anchors_that_contradict_each_other_leave_doubt, numbers_never_leave_the_spine,
        bodies_that_are_one_part_at_the_disc,
        bodies_that_are_one_part_at_a_waist_where_no_disc_is_seen, a_body_that_is_two_stays_one,
        a_dens_that_came_off_stays_a_part_of_its_vertebra,
        a_joint_beside_the_dens_that_looks_like_a_disc_cuts_nothing, a_vertebra_is_one_piece,
        discs_that_are_two_do_not_bring_vertebrae_nearer_to_each_other,
        arches_that_touch_part_at_their_joints, crumbs_are_no_vertebrae,
        a_mask_without_a_body_is_refused);
}
