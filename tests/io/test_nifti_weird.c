/* Every file of the weird collections beside the checkout gets the verdict and the numbers that its
 * expected.json names: synthetic damage, and real files from the test suites of other readers. */
#include <jansson.h>
#include <math.h>

#include "io/io_nifti.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"

static const double affine_tolerance_mm = 1e-4, relative_tolerance = 1e-5;

/* "$SAGAX_SHARED/data/weird", or NULL. */
static const char *collection(void) {
    static char path[512];
    const char *shared = getenv("SAGAX_SHARED");
    if (!shared) return NULL;
    snprintf(path, sizeof path, "%s/data/weird", shared);
    return sx_file_is_dir(path) ? path : NULL;
}

/* ---- one number, one list ---- */

static void expect_number(const char *file, const char *what, double got, const json_t *want) {
    if (!json_is_number(want)) return;
    const double w = json_number_value(want);
    ck_assert_msg(fabs(got - w) <= relative_tolerance * fmax(fabs(w), 1e-3),
                  "%s: %s: got %.9g, want %.9g", file, what, got, w);
}

/* Trailing ones beyond the third do not count. */
static void expect_shape(const char *file, const io_nifti_info *info, const json_t *want) {
    if (!json_is_array(want)) return;
    size_t rank = json_array_size(want);
    while (rank > 3 && json_integer_value(json_array_get(want, rank - 1)) == 1) rank--;
    ck_assert_msg((size_t)info->rank == rank, "%s: rank: got %d, want %zu", file, info->rank, rank);
    for (size_t i = 0; i < rank; i++)
        ck_assert_msg(info->shape[i] == json_integer_value(json_array_get(want, i)),
                      "%s: shape[%zu]: got %lld, want %lld", file, i, (long long)info->shape[i],
                      (long long)json_integer_value(json_array_get(want, i)));
}

static void expect_affine(const char *file, const io_nifti_info *info, const json_t *want) {
    if (!json_is_array(want)) return;
    for (size_t r = 0; r < 4; r++)
        for (size_t c = 0; c < 4; c++) {
            const double w = json_number_value(json_array_get(json_array_get(want, r), c));
            /* Offsets of kilometres are float32 in the file: 3e6 mm has steps of 0.25. */
            const double tolerance = affine_tolerance_mm + 1e-7 * fabs(w);
            ck_assert_msg(fabs(info->affine[r][c] - w) <= tolerance,
                          "%s: affine[%zu][%zu]: got %.6f, want %.6f within %g", file, r, c,
                          info->affine[r][c], w, tolerance);
        }
}

static void expect_zooms(const char *file, const io_nifti_info *info, const json_t *want) {
    for (size_t i = 0; i < 3 && json_is_array(want); i++) {
        const double w = json_number_value(json_array_get(want, i));
        ck_assert_msg(fabs(info->zooms[i] - w) <= 1e-3, "%s: zooms[%zu]: got %.6f, want %.6f", file,
                      i, info->zooms[i], w);
    }
}

static void expect_codes(const char *file, const io_nifti_info *info, const json_t *want) {
    if (!json_is_string(want)) return;
    ck_assert_msg(strcmp(info->axcodes, json_string_value(want)) == 0,
                  "%s: axcodes: got %s, want %s", file, info->axcodes, json_string_value(want));
}

/* The two lists name some things differently: statistics as min, max, mean or as one range. */
static void expect_numbers(const char *file, const io_nifti_info *info, const json_t *want) {
    const json_t *range = json_object_get(want, "range");
    expect_shape(file, info, json_object_get(want, "shape"));
    expect_affine(file, info, json_object_get(want, "affine"));
    expect_zooms(file, info, json_object_get(want, "zooms"));
    expect_codes(file, info, json_object_get(want, "axcodes"));
    expect_codes(file, info, json_object_get(want, "ornt"));
    expect_number(file, "min", info->min, json_object_get(want, "min"));
    expect_number(file, "max", info->max, json_object_get(want, "max"));
    expect_number(file, "mean", info->mean, json_object_get(want, "mean"));
    expect_number(file, "min", info->min, json_array_get(range, 0));
    expect_number(file, "max", info->max, json_array_get(range, 1));
    expect_number(file, "mean", info->mean, json_array_get(range, 2));
    expect_number(file, "nonfinite", (double)info->nonfinite, json_object_get(want, "nonfinite"));
}

/* ---- one file, one list of files ---- */

static void expect_file(const char *folder, const char *file, const json_t *want) {
    char path[1024];
    io_nifti_info info;
    const io_read_opt opt = {.frame = -1};
    snprintf(path, sizeof path, "%s/%s", folder, file);
    const sx_err rc = io_nifti_inspect(path, &opt, &info);
    const char *verdict = json_string_value(json_object_get(want, "verdict"));
    ck_assert_msg(info.ok == (rc == SX_OK), "%s: ok flag and return value differ", file);
    ck_assert_msg(info.ok || (info.reason[0] && strstr(info.message, sx_path_base(path)) != NULL) ||
                      strstr(info.message, ".img") != NULL,
                  "%s: refused without reason or name: '%s' '%s'", file, info.reason, info.message);
    if (strcmp(verdict, "either") != 0) {
        const bool want_ok = strcmp(verdict, "ok") == 0;
        ck_assert_msg(info.ok == want_ok, "%s: got %s (%s %s), want %s", file,
                      info.ok ? "ok" : "reject", info.reason, info.message, verdict);
    }
    if (info.ok) expect_numbers(file, &info, want);
}

static void expect_folder(const char *name, size_t at_least) {
    char folder[600], list[700];
    const char *file;
    json_t *want;
    json_error_t error;
    size_t n = 0;
    snprintf(folder, sizeof folder, "%s/%s", collection(), name);
    snprintf(list, sizeof list, "%s/expected.json", folder);
    json_t *all = json_load_file(list, 0, &error);
    ck_assert_msg(all != NULL, "%s: %s", list, error.text);
    json_object_foreach(all, file, want) {
        expect_file(folder, file, want);
        n++;
    }
    json_decref(all);
    ck_assert_msg(n >= at_least, "%s: %zu files, want at least %zu", list, n, at_least);
}

START_TEST(a_bomb_is_read_in_bounded_memory) {
    char path[600];
    io_nifti_info info;
    const io_read_opt opt = {.frame = -1};
    const int64_t before = sx_peak_rss_bytes();
    snprintf(path, sizeof path, "%s/synth/c_bomb_512MB.nii.gz", collection());
    io_nifti_inspect(path, &opt, &info);
    snprintf(path, sizeof path, "%s/synth/c_bomb_trailing.nii.gz", collection());
    ck_err(io_nifti_inspect(path, &opt, &info), SX_E_DATA);
    const int64_t grown = sx_peak_rss_bytes() - before;
    ck_assert_msg(grown < 32 << 20, "got %lld bytes more, want less than 32 MiB", (long long)grown);
}
END_TEST

START_TEST(a_bomb_beyond_the_callers_limit_is_refused_before_memory_is_taken) {
    char path[600];
    io_nifti_info info;
    im_volume v = {0};
    const io_read_opt opt = {.frame = -1, .max_bytes = 64 << 20};
    const int64_t before = sx_peak_rss_bytes();
    snprintf(path, sizeof path, "%s/synth/c_bomb_512MB.nii.gz", collection());
    ck_err(io_nifti_read(path, &opt, &v, &info), SX_E_DATA);
    ck_assert_str_eq(info.reason, "too-large");
    ck_assert_ptr_null(v.voxel);
    ck_assert_int_lt(sx_peak_rss_bytes() - before, 4 << 20);
}
END_TEST

START_TEST(every_synthetic_file_gets_its_verdict_and_numbers) {
    expect_folder("synth", 130);
}
END_TEST

START_TEST(every_real_file_gets_its_verdict_and_numbers) {
    expect_folder("real", 45);
}
END_TEST

int main(void) {
    if (!collection()) {
        printf("skipped: no folder $SAGAX_SHARED/data/weird\n");
        return 77;
    }
    Suite *s = suite_create("nifti_weird");
    TCase *c = tcase_create("weird");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_bomb_is_read_in_bounded_memory);
    tcase_add_test(c, a_bomb_beyond_the_callers_limit_is_refused_before_memory_is_taken);
    tcase_add_test(c, every_synthetic_file_gets_its_verdict_and_numbers);
    tcase_add_test(c, every_real_file_gets_its_verdict_and_numbers);
    suite_add_tcase(s, c);
    return check_run_suite(s);
}
