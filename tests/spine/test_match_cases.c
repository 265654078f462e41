/* Every pair of masks beside the checkout gets the numbers that its expected.json names: real
 * vertebrae, and predictions made from them by dropping, merging, splitting, shifting, eroding,
 * renumbering and other storage. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "io/io_nifti.h"
#include "spine/sp_match.h"
#include "tests/check_run.h"

static const double tolerance = 1e-6; /* distances are floats, spacings in headers too */

static const char *folder(void) {
    static char path[512];
    const char *shared = getenv("SAGAX_SHARED");
    if (!shared) return NULL;
    snprintf(path, sizeof path, "%s/data/labels/evalcases", shared);
    return sx_file_is_dir(path) ? path : NULL;
}

static int n_numbers; /* compared so far */

/* Numbers, or null for one that is not defined. */
static void expect(const char *file, const char *what, double got, const json_t *want) {
    if (!want) return;
    const double w = json_is_null(want) ? (double)NAN : json_number_value(want);
    n_numbers++;
    ck_assert_msg((isnan(w) && isnan(got)) || fabs(got - w) <= tolerance * fmax(fabs(w), 1.0),
                  "%s: %s: got %.9g, want %.9g", file, what, got, w);
}

static im_labels read_labels(const char *name) {
    char path[768];
    const io_read_opt opt = {.frame = -1};
    im_volume v = {0};
    im_labels l = {0};
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    ck_assert_msg(io_nifti_read(path, &opt, &v, NULL) == SX_OK, "%s", sx_err_text());
    ck_assert_msg(im_labels_from_volume(&l, &v) == SX_OK, "%s", sx_err_text());
    im_volume_clear(&v);
    return l;
}

/* Both masks as one foreground each. */
static double foreground_assd(const im_labels *a, const im_labels *b) {
    const im_labels *from[2] = {a, b};
    im_labels one[2] = {{{0}, {{0}}, NULL}, {{0}, {{0}}, NULL}};
    im_label_stat stat[2][2];
    sp_surface s;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(im_labels_copy(&one[i], from[i]), SX_OK);
        for (int64_t k = 0; k < im_labels_count(&one[i]); k++)
            one[i].voxel[k] = one[i].voxel[k] > 0;
        im_label_stats(&one[i], stat[i], 2);
    }
    ck_assert_int_eq(sp_surface_between(&(sp_part){&one[0], 1, &stat[0][1]},
                                        &(sp_part){&one[1], 1, &stat[1][1]}, &s),
                     SX_OK);
    im_labels_clear(&one[0]);
    im_labels_clear(&one[1]);
    return s.assd_mm;
}

static double voxel_mm3(const im_labels *l) {
    const double(*m)[4] = l->affine;
    return fabs(m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
                m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]));
}

static int64_t voxels_of(const sp_match *m, int label) {
    for (int i = 0; i < m->n_predictions; i++)
        if (m->prediction[i].label == label) return m->prediction[i].voxels;
    return 0;
}

static void expect_matches(const char *file, const sp_match *m, double mm3, const json_t *want) {
    size_t n = 0;
    if (!want) return;
    for (int i = 0; i < m->n_truths; i++) {
        const sp_truth *t = &m->truth[i];
        if (t->iou < SP_MATCHED) continue;
        const json_t *w = json_array_get(want, n++);
        expect(file, "ref", t->label, json_object_get(w, "ref"));
        expect(file, "pred", t->partner, json_object_get(w, "pred"));
        expect(file, "iou", t->iou, json_object_get(w, "iou"));
        expect(file, "dice", t->dice, json_object_get(w, "dice"));
        expect(file, "vol_ref_mm3", (double)t->voxels * mm3, json_object_get(w, "vol_ref_mm3"));
        expect(file, "vol_pred_mm3", (double)voxels_of(m, t->partner) * mm3,
               json_object_get(w, "vol_pred_mm3"));
        expect(file, "assd", t->surface.assd_mm, json_object_get(w, "assd"));
        expect(file, "hd", t->surface.hd_mm, json_object_get(w, "hd"));
        expect(file, "hd95", t->surface.hd95_mm, json_object_get(w, "hd95"));
    }
    ck_assert_msg(n == json_array_size(want), "%s: got %zu matches, want %zu", file, n,
                  json_array_size(want));
}

static void expect_case(const char *file, const json_t *want, const im_labels *truth,
                        const im_labels *prediction) {
    sp_point point[SP_N_INSTANCES];
    sp_match *m = malloc(sizeof *m);
    sp_counts c;
    ck_assert_ptr_nonnull(m);
    ck_assert_int_eq(sp_body_points(prediction, NULL, point), SX_OK);
    ck_assert_int_eq(sp_match_make(m, truth, prediction, point, NULL, true), SX_OK);
    sp_match_count(m, SP_NECK_TRUE, &c);
    const int64_t fp = c.predictions - c.matched, fn = c.truths - c.matched;
    const double matched = (double)c.matched;
    const double rq = matched / (matched + 0.5 * (double)(fp + fn));
    const double sq = c.matched ? c.iou / matched : 0.0;
    expect(file, "n_ref", (double)c.truths, json_object_get(want, "n_ref"));
    expect(file, "n_pred", (double)c.predictions, json_object_get(want, "n_pred"));
    expect(file, "tp", matched, json_object_get(want, "tp"));
    expect(file, "fp", (double)fp, json_object_get(want, "fp"));
    expect(file, "fn", (double)fn, json_object_get(want, "fn"));
    expect(file, "rq", rq, json_object_get(want, "rq"));
    expect(file, "sq", sq, json_object_get(want, "sq"));
    expect(file, "pq", rq * sq, json_object_get(want, "pq"));
    expect(file, "binary_dice", m->union_dice, json_object_get(want, "binary_dice"));
    expect(file, "binary_assd", foreground_assd(truth, prediction),
           json_object_get(want, "binary_assd"));
    expect(file, "mean_label_dice", m->label_dice, json_object_get(want, "mean_label_dice"));
    expect_matches(file, m, voxel_mm3(truth), json_object_get(want, "matches"));
    free(m);
}

/* On the truth's grid, as the program compares. */
static im_labels on_grid_of(const im_labels *truth, const char *file) {
    im_labels l = read_labels(file), y = {0};
    ck_assert_int_eq(im_labels_init(&y, truth->dim), SX_OK);
    memcpy(y.affine, truth->affine, sizeof y.affine);
    ck_assert_int_eq(im_labels_resample(&y, &l), SX_OK);
    im_labels_clear(&l);
    return y;
}

static void expect_file(const char *prefix) {
    char path[768];
    const char *file;
    json_t *want;
    snprintf(path, sizeof path, "%s/%s_expected.json", folder(), prefix);
    json_t *all = json_load_file(path, 0, NULL);
    ck_assert_msg(json_object_size(all) > 0, "%s: no cases", path);
    json_object_foreach(all, file, want) {
        im_labels truth = read_labels(json_string_value(json_object_get(want, "ref")));
        im_labels prediction = on_grid_of(&truth, file);
        expect_case(file, want, &truth, &prediction);
        im_labels_clear(&truth);
        im_labels_clear(&prediction);
    }
    json_decref(all);
}

START_TEST(masks_of_an_mri_have_the_expected_numbers) {
    n_numbers = 0;
    expect_file("tptmri");
    ck_assert_int_ge(n_numbers, 400);
}
END_TEST

START_TEST(masks_of_a_ct_have_the_expected_numbers) {
    n_numbers = 0;
    expect_file("verse014");
    ck_assert_int_ge(n_numbers, 600);
}
END_TEST

/* No numbers are given for these: they are compared in the world. Three voxels less on each axis
 * change little, 7 mm much. */
START_TEST(another_grid_is_compared_in_the_world) {
    static const struct {
        const char *prefix, *change;
        double least, most;
    } cases[4] = {{"tptmri", "othershape", 0.9, 1.0},
                  {"verse014", "othershape", 0.9, 1.0},
                  {"tptmri", "otherorigin", 0.1, 0.9},
                  {"verse014", "otherorigin", 0.1, 0.9}};
    for (int i = 0; i < 4; i++) {
        char ref[64], file[64];
        sp_point point[SP_N_INSTANCES] = {{false, {0, 0, 0}}};
        sp_match *m = malloc(sizeof *m);
        snprintf(ref, sizeof ref, "%s_ref.nii.gz", cases[i].prefix);
        snprintf(file, sizeof file, "%s_pred-%s.nii.gz", cases[i].prefix, cases[i].change);
        im_labels truth = read_labels(ref), prediction = on_grid_of(&truth, file);
        ck_assert_int_eq(sp_match_make(m, &truth, &prediction, point, NULL, false), SX_OK);
        ck_assert_double_ge(m->union_dice, cases[i].least);
        ck_assert_double_lt(m->union_dice, cases[i].most);
        im_labels_clear(&truth);
        im_labels_clear(&prediction);
        free(m);
    }
}
END_TEST

int main(void) {
    if (!folder()) {
        puts("skipped: no ../shared/data/labels/evalcases beside the checkout");
        return 77;
    }
    return CHECK_RUN("match cases", masks_of_an_mri_have_the_expected_numbers,
                     masks_of_a_ct_have_the_expected_numbers,
                     another_grid_is_compared_in_the_world);
}
