/* What the verb cache does with one volume and with a cohort's subjects. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/cache/cache.h"
#include "jobs/job/verbs.h"
#include "tests/check_run.h"

/* ---- one volume ---- */

static const cache_recipe recipe = {.read = {.frame = -1}, .hr_mm = 0.5, .quantile = 1};

/* A scan stored as R, A, S with one bright voxel in a block of grey; its place in millimetres is
 * the test. Freed with io_cache_volume_clear. */
static io_cache_volume cached(const int64_t bright[3], double place_mm[3]) {
    const int64_t dim[3] = {6, 30, 24};
    im_volume v = {0};
    char path[64];
    snprintf(path, sizeof path, "cache-%d.nii", (int)getpid());
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    v.affine[0][0] = 3.3, v.affine[1][1] = 1, v.affine[2][2] = 0.5;
    v.affine[0][3] = -7, v.affine[1][3] = 11, v.affine[2][3] = -40;
    for (int64_t k = 0; k < dim[2]; k++)
        for (int64_t j = 0; j < dim[1]; j++)
            for (int64_t i = 0; i < dim[0]; i++) {
                bool body = i >= 1 && i < 5 && j >= 4 && j < 26 && k >= 3 && k < 20;
                v.voxel[(k * dim[1] + j) * dim[0] + i] = body ? 400 : 0;
            }
    v.voxel[(bright[2] * dim[1] + bright[1]) * dim[0] + bright[0]] = 1000;
    const double index[3] = {(double)bright[0], (double)bright[1], (double)bright[2]};
    im_affine_apply(v.affine, index, place_mm);
    ck_assert_int_eq(io_nifti_write(path, &v, IO_FLOAT32, ""), SX_OK);
    im_volume_clear(&v);

    io_cache_volume c;
    const io_item item = {.path = path, .rel = path, .subject = "1"};
    cache_volume_name(&c, &item, IO_TRAIN);
    cache_volume_make(&c, &recipe, NULL);
    unlink(path);
    return c;
}

START_TEST(the_brightest_pixel_is_where_the_affine_says) {
    double place_mm[3], got_mm[3];
    io_cache_volume c = cached((const int64_t[]){2, 10, 12}, place_mm);
    ck_assert_msg(c.ok, "%s", c.message);
    int64_t best = 0;
    for (int64_t i = 0; i < c.n * c.h * c.w; i++)
        if (c.pixels[i] > c.pixels[best]) best = i;
    ck_assert_int_eq(c.pixels[best], 65535);
    const double at[3] = {(double)(best % c.w), (double)(best / c.w % c.h),
                          (double)(best / c.w / c.h)};
    im_affine_apply(c.affine, at, got_mm);
    for (int d = 0; d < 3; d++)
        ck_assert_msg(fabs(got_mm[d] - place_mm[d]) < 0.01, "axis %d: got %g mm, want %g", d,
                      got_mm[d], place_mm[d]);
    io_cache_volume_clear(&c);
}
END_TEST

START_TEST(columns_go_posterior_rows_inferior_slices_right) {
    double place_mm[3];
    io_cache_volume c = cached((const int64_t[]){2, 10, 12}, place_mm);
    char codes[4];
    im_axcodes(c.affine, codes);
    ck_assert_str_eq(codes, "PIR");
    ck_assert_str_eq(c.axcodes, "RAS");
    const double spacing_mm[3] = {0.5, 0.5, 3.3};
    for (int a = 0; a < 3; a++)
        ck_assert_double_eq_tol(
            sqrt(pow(c.affine[0][a], 2) + pow(c.affine[1][a], 2) + pow(c.affine[2][a], 2)),
            spacing_mm[a], 1e-5);
    io_cache_volume_clear(&c);
}
END_TEST

START_TEST(air_around_the_body_is_cut_off) {
    double place_mm[3];
    io_cache_volume c = cached((const int64_t[]){2, 10, 12}, place_mm);
    ck_assert_int_eq(c.n, 4); // slices 1 to 4
    ck_assert_int_eq(c.h, 17);
    ck_assert_int_ge(c.w, 43); // 22 mm of body in 0.5 mm, and spline tails
    ck_assert_int_le(c.w, 46);
    ck_assert_int_eq(c.crop[2], 1);
    io_cache_volume_clear(&c);
}
END_TEST

START_TEST(a_constant_image_is_left_out_with_a_reason) {
    char path[64];
    const int64_t dim[3] = {4, 5, 6};
    im_volume v = {0};
    snprintf(path, sizeof path, "zero-%d.nii", (int)getpid());
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    ck_assert_int_eq(io_nifti_write(path, &v, IO_FLOAT32, ""), SX_OK);
    im_volume_clear(&v);
    io_cache_volume c;
    const io_item item = {.path = path, .rel = path, .subject = "1"};
    cache_volume_name(&c, &item, IO_TRAIN);
    cache_volume_make(&c, &recipe, NULL);
    unlink(path);
    ck_assert(!c.ok);
    ck_assert_str_eq(c.reason, "intensity");
    ck_assert_ptr_null(c.pixels);
    io_cache_volume_clear(&c);
}
END_TEST

/* ---- labels ---- */

/* Labels of slices with pixels of half a millimetre, new, from a mask of 1 mm that is stored by
 * these axis codes: every second pixel lies between two voxels. */
static uint8_t *labels_of_a_mask_stored_as(const char *codes, int64_t *n) {
    const int64_t dim[3] = {7, 9, 5};
    const cache_labels labels = {.used = true};
    im_labels mask = {0}, turned = {0};
    im_volume stored = {0};
    io_cache_volume v = {.w = 14, .h = 18, .n = 5};
    char path[64];
    snprintf(path, sizeof path, "mask-%d.nii", (int)getpid());
    v.affine[1][0] = v.affine[2][1] = -0.5, v.affine[0][2] = v.affine[3][3] = 1;
    ck_assert_int_eq(im_labels_init(&mask, dim), SX_OK);
    memset(mask.affine, 0, sizeof mask.affine);
    mask.affine[1][0] = mask.affine[2][1] = -1, mask.affine[0][2] = mask.affine[3][3] = 1;
    for (int64_t i = 0; i < im_labels_count(&mask); i++) mask.voxel[i] = (int32_t)(i % 101);
    ck_assert_int_eq(im_labels_reorient(&turned, &mask, codes), SX_OK);
    ck_assert_int_eq(im_labels_to_volume(&stored, &turned), SX_OK);
    ck_assert_int_eq(io_nifti_write(path, &stored, IO_UINT8, ""), SX_OK);
    const sx_err rc = cache_labels_read(&v, &labels, &recipe.read, path);
    ck_assert_msg(rc == SX_OK, "%s", sx_err_text());
    unlink(path);
    im_labels_clear(&mask);
    im_labels_clear(&turned);
    im_volume_clear(&stored);
    *n = v.w * v.h * v.n;
    return v.labels;
}

START_TEST(how_a_mask_is_stored_does_not_change_the_labels) {
    int64_t n = 0, m = 0;
    uint8_t *want = labels_of_a_mask_stored_as("PIR", &n);
    static const char *const codes[] = {"RAS", "LPS", "ASL", "SPL"};
    for (int c = 0; c < 4; c++) {
        uint8_t *got = labels_of_a_mask_stored_as(codes[c], &m);
        ck_assert_int_eq(m, n);
        for (int64_t i = 0; i < n; i++)
            ck_assert_msg(got[i] == want[i], "%s: pixel %d: got %d, want %d", codes[c], (int)i,
                          got[i], want[i]);
        sx_free(got);
    }
    sx_free(want);
}
END_TEST

/* ---- subjects ---- */

static const job_option *const sections[] = {options_data, NULL};
static const job_verb verb = {"test", "", "for tests", sections, NULL, 0, 0, false, NULL};

static job *configured(const char *setting) {
    job *j;
    char *argv[] = {"--set", (char *)setting};
    ck_assert_int_eq(job_new(&j, &verb, mp_self(), 2, argv), SX_OK);
    return j;
}

/* n subjects s0, s1, … with two images each. */
static io_items cohort(int64_t n) {
    io_items x = {.item = SX_NEW_ARRAY(io_item, 2 * n), .n = 2 * n};
    for (int64_t i = 0; i < x.n; i++) {
        x.item[i].rel = sx_strf("sub-s%d/%d.nii", (int)(i / 2), (int)(i % 2));
        x.item[i].path = sx_strdup(x.item[i].rel);
        snprintf(x.item[i].subject, sizeof x.item[i].subject, "s%d", (int)(i / 2));
    }
    return x;
}

static void count(const io_split *split, int64_t n, int64_t c[IO_N_SPLITS]) {
    memset(c, 0, IO_N_SPLITS * sizeof *c);
    for (int64_t i = 0; i < n; i++) c[split[i]]++;
}

START_TEST(images_of_a_subject_stay_together) {
    job *j = configured("data.split_seed=1");
    io_items x = cohort(40);
    io_split *split;
    ck_assert_int_eq(cache_split(j, &x, NULL, &split), SX_OK);
    for (int64_t i = 0; i < x.n; i += 2) ck_assert_int_eq(split[i], split[i + 1]);
    sx_free(split);
    io_items_clear(&x);
    job_free(j);
}
END_TEST

START_TEST(fractions_are_met_by_a_large_cohort) {
    job *j = configured("data.split_seed=1");
    io_items x = cohort(2000);
    io_split *split;
    int64_t c[IO_N_SPLITS];
    ck_assert_int_eq(cache_split(j, &x, NULL, &split), SX_OK);
    count(split, x.n, c);
    // 4 standard deviations of a binomial of 2000
    ck_assert_msg(fabs((double)c[IO_TRAIN] / (double)x.n - 0.8) < 0.036, "train %d of 4000",
                  (int)c[IO_TRAIN]);
    ck_assert_msg(fabs((double)c[IO_TEST] / (double)x.n - 0.1) < 0.027, "test %d of 4000",
                  (int)c[IO_TEST]);
    sx_free(split);
    io_items_clear(&x);
    job_free(j);
}
END_TEST

START_TEST(a_subject_stays_where_it_is_when_the_cohort_grows) {
    job *j = configured("data.split_seed=4");
    io_items small = cohort(60), large = cohort(90);
    io_split *a, *b;
    ck_assert_int_eq(cache_split(j, &small, NULL, &a), SX_OK);
    ck_assert_int_eq(cache_split(j, &large, NULL, &b), SX_OK);
    for (int64_t i = 0; i < small.n; i++) ck_assert_int_eq(a[i], b[i]);
    sx_free(a);
    sx_free(b);
    io_items_clear(&small);
    io_items_clear(&large);
    job_free(j);
}
END_TEST

START_TEST(three_subjects_give_three_splits_for_every_seed) {
    io_items x = cohort(3);
    for (int seed = 0; seed < 50; seed++) {
        char setting[32];
        io_split *split;
        int64_t c[IO_N_SPLITS];
        snprintf(setting, sizeof setting, "data.split_seed=%d", seed);
        job *j = configured(setting);
        ck_assert_int_eq(cache_split(j, &x, NULL, &split), SX_OK);
        count(split, x.n, c);
        for (int s = 0; s < IO_N_SPLITS; s++)
            ck_assert_msg(c[s] == 2, "seed %d: %d images in split %d, want 2", seed, (int)c[s], s);
        sx_free(split);
        job_free(j);
    }
    io_items_clear(&x);
}
END_TEST

START_TEST(a_subject_that_failed_takes_no_split_s_only_place) {
    io_items x = cohort(4);
    int64_t usable[8] = {1, 1, 1, 1, 0, 0, 1, 0}; // subject 2 failed, 3 has one image left
    for (int seed = 0; seed < 50; seed++) {
        char setting[32];
        io_split *split;
        bool has[IO_N_SPLITS] = {false};
        snprintf(setting, sizeof setting, "data.split_seed=%d", seed);
        job *j = configured(setting);
        ck_assert_int_eq(cache_split(j, &x, usable, &split), SX_OK);
        for (int64_t i = 0; i < x.n; i++) has[split[i]] |= usable[i] != 0;
        for (int s = 0; s < IO_N_SPLITS; s++)
            ck_assert_msg(has[s], "seed %d: nothing of split %d can be used", seed, s);
        sx_free(split);
        job_free(j);
    }
    io_items_clear(&x);
}
END_TEST

START_TEST(another_cache_hands_its_split_on) {
    io_items x = cohort(4), other = cohort(1);
    char path[64], setting[96];
    io_split *drawn, *split;
    io_cache_volume v;
    snprintf(path, sizeof path, "split-%d.h5", (int)getpid());
    snprintf(setting, sizeof setting, "data.split_list=%s", path);
    job *j = configured("data.split_seed=0"), *k = configured(setting);
    ck_assert_int_eq(cache_split(j, &x, NULL, &drawn), SX_OK);
    const io_split moved = drawn[0] == IO_TEST ? IO_VAL : IO_TEST; /* s0 was elsewhere there */
    cache_volume_name(&v, &other.item[0], moved);
    cache_volume_refuse(&v, "crc", "damaged");
    ck_assert_int_eq(io_cache_write_one(path, "0123abcd", &v), SX_OK);
    ck_assert_int_eq(cache_split(k, &x, NULL, &split), SX_OK);
    for (int64_t i = 0; i < x.n; i++) ck_assert_int_eq(split[i], i < 2 ? moved : drawn[i]);
    unlink(path);
    ck_assert_int_eq(cache_split(k, &x, NULL, &(io_split *){NULL}), SX_E_NOINPUT);
    io_cache_volume_clear(&v);
    io_items_clear(&x);
    io_items_clear(&other);
    sx_free(drawn);
    sx_free(split);
    job_free(j);
    job_free(k);
}
END_TEST

START_TEST(a_fraction_of_zero_stays_empty) {
    job *j = configured("data.split_test=0");
    io_items x = cohort(30);
    io_split *split;
    int64_t c[IO_N_SPLITS];
    ck_assert_int_eq(cache_split(j, &x, NULL, &split), SX_OK);
    count(split, x.n, c);
    ck_assert_int_eq(c[IO_TEST], 0);
    sx_free(split);
    io_items_clear(&x);
    job_free(j);
}
END_TEST

/* ---- parts ---- */

static const char config[] = "0123abcd";

/* A volume of two slices, or a failed one, and the step that leads to its part. */
static io_cache_volume to_part(bool ok, cache_step *s) {
    const io_item item = {.path = "1.nii", .rel = "sub-1/1.nii", .subject = "1"};
    io_cache_volume v;
    cache_volume_name(&v, &item, IO_VAL);
    *s = (cache_step){.old = -1};
    snprintf(s->sha256, sizeof s->sha256, "%064d", 17);
    memcpy(v.sha256, s->sha256, sizeof v.sha256);
    cache_part_key(&item, s->sha256, config, s->key);
    if (!ok) {
        cache_volume_refuse(&v, "crc", "1.nii: damaged");
        return v;
    }
    v.ok = true;
    v.n = 2, v.h = 3, v.w = 4;
    v.pixels = SX_NEW_ARRAY(uint16_t, 24);
    for (int i = 0; i < 24; i++) v.pixels[i] = (uint16_t)(1000 * i);
    return v;
}

START_TEST(a_part_is_taken_for_its_input_and_configuration_alone) {
    const io_item item = {.path = "1.nii", .rel = "sub-1/1.nii", .subject = "2"};
    cache_step s;
    io_cache_volume v = to_part(true, &s), taken;
    char folder[64];
    snprintf(folder, sizeof folder, "parts-%d", (int)getpid());
    ck_assert_int_eq(cache_part_write(folder, &s, config, &v), SX_OK);
    ck_assert(cache_part_is_good(folder, &s, config));
    cache_volume_name(&taken, &item, IO_TEST);
    ck_assert(cache_part_take(folder, &s, config, &taken));
    ck_assert_mem_eq(taken.pixels, v.pixels, 24 * sizeof *v.pixels);
    ck_assert_int_eq(taken.split, IO_TEST); // identity is that of this run
    ck_assert_str_eq(taken.subject, "2");
    io_cache_volume_clear(&taken);

    cache_volume_name(&taken, &item, IO_TEST);
    ck_assert(!cache_part_is_good(folder, &s, "other"));
    ck_assert(!cache_part_take(folder, &s, "other", &taken));
    cache_step changed = s; // as if the file name lied
    changed.sha256[0] = 'f';
    ck_assert(!cache_part_is_good(folder, &changed, config));
    cache_part_key(&item, changed.sha256, config, changed.key);
    ck_assert_str_ne(changed.key, s.key);
    ck_assert(!cache_part_exists(folder, &changed));
    io_cache_volume_clear(&taken);

    char *path = cache_part_path(folder, &s);
    unlink(path);
    rmdir(folder);
    sx_free(path);
    io_cache_volume_clear(&v);
}
END_TEST

START_TEST(a_part_of_a_failure_says_why_and_is_no_good_one) {
    const io_item item = {.path = "1.nii", .rel = "sub-1/1.nii", .subject = "1"};
    cache_step s;
    io_cache_volume v = to_part(false, &s), taken;
    char folder[64];
    snprintf(folder, sizeof folder, "parts-%d", (int)getpid());
    ck_assert_int_eq(cache_part_write(folder, &s, config, &v), SX_OK);
    ck_assert(cache_part_exists(folder, &s));
    ck_assert(!cache_part_is_good(folder, &s, config));
    cache_volume_name(&taken, &item, IO_VAL);
    ck_assert(cache_part_take(folder, &s, config, &taken));
    ck_assert(!taken.ok);
    ck_assert_str_eq(taken.reason, "crc");
    ck_assert_str_eq(taken.message, "1.nii: damaged");
    char *path = cache_part_path(folder, &s);
    unlink(path);
    rmdir(folder);
    sx_free(path);
    io_cache_volume_clear(&taken);
    io_cache_volume_clear(&v);
}
END_TEST

static int64_t left_in(const char *folder) {
    int64_t n_unfinished, n = cache_parts_count(folder, &n_unfinished);
    return n + n_unfinished;
}

START_TEST(parts_of_another_build_stay_while_it_is_at_work) {
    io_item item = {.path = "1.nii", .rel = "sub-1/1.nii", .subject = "1"};
    const io_items items = {.item = &item, .n = 1};
    cache_step s;
    io_cache_volume v = to_part(true, &s);
    char folder[64], path[128];
    snprintf(folder, sizeof folder, "parts-%d", (int)getpid());
    ck_assert_int_eq(cache_part_write(folder, &s, config, &v), SX_OK);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/ff%s", folder, i == 0 ? ".h5" : ".h5.tmp.17");
        ck_assert_int_eq(sx_file_write(path, "x", 1), SX_OK);
    }
    cache_parts_remove(folder, &s, &items, NULL, false);
    ck_assert(!cache_part_exists(folder, &s));
    ck_assert_int_eq(left_in(folder), 2);
    cache_parts_remove(folder, &s, &items, NULL, true);
    ck_assert_int_eq(left_in(folder), 0);
    rmdir(folder);
    io_cache_volume_clear(&v);
}
END_TEST

int main(void) {
    return CHECK_RUN(
        "cache", the_brightest_pixel_is_where_the_affine_says,
        columns_go_posterior_rows_inferior_slices_right, air_around_the_body_is_cut_off,
        a_constant_image_is_left_out_with_a_reason, how_a_mask_is_stored_does_not_change_the_labels,
        images_of_a_subject_stay_together, fractions_are_met_by_a_large_cohort,
        a_subject_stays_where_it_is_when_the_cohort_grows,
        three_subjects_give_three_splits_for_every_seed,
        a_subject_that_failed_takes_no_split_s_only_place, another_cache_hands_its_split_on,
        a_fraction_of_zero_stays_empty, a_part_is_taken_for_its_input_and_configuration_alone,
        a_part_of_a_failure_says_why_and_is_no_good_one,
        parts_of_another_build_stay_while_it_is_at_work);
}
