/* Image metrics on volumes whose scores follow from the definitions in jobs/eval/ev_image.h; the
 * texts of rows of jobs/eval/ev_report.h. */
#include "jobs/eval/ev_image.h"

#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/eval/ev_report.h"
#include "tests/check_run.h"

enum { NX = 16, NY = 30, NZ = 36, EDGE = 3 /* voxels that closing takes from a full grid */ };
enum { N_COUNTED = (NX - 2 * EDGE) * (NY - 2 * EDGE) * (NZ - 2 * EDGE) };

typedef double pattern(int64_t i, int64_t j, int64_t k);

static void expect_near(double got, double want, double tolerance, const char *what) {
    ck_assert_msg(fabs(got - want) <= tolerance, "%s: got %.9g, want %.9g within %g", what, got,
                  want, tolerance);
}

/* RAS grid of 1 mm. */
static im_volume make(pattern *f) {
    const int64_t dim[3] = {NX, NY, NZ};
    im_volume v = {0};
    ck_assert_int_eq(im_volume_init(&v, dim), SX_OK);
    for (int64_t k = 0, at = 0; k < NZ; k++)
        for (int64_t j = 0; j < NY; j++)
            for (int64_t i = 0; i < NX; i++) v.voxel[at++] = (float)f(i, j, k);
    return v;
}

static double texture(int64_t i, int64_t j, int64_t k) {
    return 500.0 + 200.0 * sin(0.9 * (double)j) * cos(0.8 * (double)k) +
           100.0 * sin(1.3 * (double)i);
}
static double constant(int64_t i, int64_t j, int64_t k) {
    (void)i, (void)j, (void)k;
    return 1000.0;
}
static double darker(int64_t i, int64_t j, int64_t k) {
    return 0.8 * constant(i, j, k);
}
static double ramp(int64_t i, int64_t j, int64_t k) {
    (void)i, (void)j;
    return 500.0 + 4.0 * (double)k;
}
static double steeper(int64_t i, int64_t j, int64_t k) {
    (void)i, (void)j;
    return 500.0 + 8.0 * (double)k;
}
static double wave(int64_t i, int64_t j, int64_t k) {
    (void)i, (void)j;
    return 500.0 + 100.0 * cos(2.0 * (double)k);
}
static double half_wave(int64_t i, int64_t j, int64_t k) {
    return 250.0 + 0.5 * wave(i, j, k);
}

/* Takes both volumes. */
static ev_scores score(im_volume truth, im_volume prediction, double *peak) {
    ev_truth t = {0};
    ev_scores s = {0};
    ck_assert_msg(ev_truth_make(&t, &truth) == SX_OK, "%s", sx_err_text());
    ck_assert_msg(ev_image_score(&t, &prediction, NULL, &s) == SX_OK, "%s", sx_err_text());
    if (peak) *peak = t.peak;
    ev_truth_clear(&t);
    im_volume_clear(&truth);
    im_volume_clear(&prediction);
    return s;
}

START_TEST(the_truth_itself_is_perfect) {
    const ev_scores s = score(make(texture), make(texture), NULL);
    ck_assert_msg(s.psnr > 110.0, "psnr: got %g, want more than 110", s.psnr);
    expect_near(s.nrmse, 0.0, 1e-5, "nrmse");
    expect_near(s.ssim, 1.0, 1e-5, "ssim");
    expect_near(s.gms, 1.0, 1e-5, "gms");
    expect_near(s.hf, 1.0, 1e-5, "hf");
    ck_assert_int_eq(s.n_voxels, N_COUNTED);
}
END_TEST

START_TEST(an_offset_of_a_tenth_of_the_peak_is_20_dB_and_forgiven_by_the_fit) {
    double peak;
    ev_truth t = {0};
    im_volume truth = make(texture), p = make(texture);
    ck_assert_int_eq(ev_truth_make(&t, &truth), SX_OK);
    peak = t.peak;
    ev_truth_clear(&t);
    for (int64_t i = 0; i < im_volume_count(&p); i++) p.voxel[i] += (float)(0.1 * peak);
    const ev_scores s = score(truth, p, NULL);
    expect_near(s.psnr, 20.0, 1e-4, "psnr");
    ck_assert_msg(s.psnr_fit > 110.0, "psnr_fit: got %g, want more than 110", s.psnr_fit);
    expect_near(s.ssim_fit, 1.0, 1e-5, "ssim_fit");
    expect_near(s.gain, 1.0, 1e-5, "gain");
    expect_near(s.bias, -0.1 * peak, 1e-3, "bias");
    expect_near(s.gms, 1.0, 1e-5, "gms");
    expect_near(s.hf, 1.0, 1e-5, "hf");
}
END_TEST

START_TEST(psnr_and_nrmse_follow_from_the_mean_square_error) {
    double peak;
    im_volume p = make(texture);
    for (int64_t k = 0, at = 0; k < NZ; k++)
        for (int64_t j = 0; j < NY; j++)
            for (int64_t i = 0; i < NX; i++) p.voxel[at++] += (i + j + k) % 2 ? 25.0f : -25.0f;
    const ev_scores s = score(make(texture), p, &peak);
    expect_near(s.psnr, 20.0 * log10(peak / 25.0), 1e-3, "psnr");
    double sum = 0, square = 0;
    for (int64_t k = EDGE; k < NZ - EDGE; k++)
        for (int64_t j = EDGE; j < NY - EDGE; j++)
            for (int64_t i = EDGE; i < NX - EDGE; i++) {
                sum += texture(i, j, k);
                square += texture(i, j, k) * texture(i, j, k);
            }
    const double mean = sum / N_COUNTED;
    expect_near(s.nrmse, 25.0 / sqrt(square / N_COUNTED - mean * mean), 1e-5, "nrmse");
}
END_TEST

START_TEST(ssim_of_constants_is_its_luminance_term) {
    const ev_scores s = score(make(constant), make(darker), NULL);
    /* float32 variances of a constant are 1e-8 instead of 0, against K2^2 = 9e-4 */
    expect_near(s.ssim, (2 * 0.8 + 1e-4) / (1.0 + 0.64 + 1e-4), 5e-5, "ssim");
}
END_TEST

START_TEST(gms_of_ramps_is_that_of_their_slopes) {
    double peak;
    const ev_scores s = score(make(ramp), make(steeper), &peak);
    const double a = 2.0 * 8.0 / peak, b = 2.0 * 4.0 / peak; /* Prewitt spans two voxels */
    expect_near(s.gms, (2 * a * b + 0.0026) / (a * a + b * b + 0.0026), 1e-5, "gms");
}
END_TEST

START_TEST(half_the_amplitude_is_a_quarter_of_the_detail) {
    const ev_scores s = score(make(wave), make(half_wave), NULL);
    expect_near(s.hf, 0.25, 1e-4, "hf");
    expect_near(s.gain, 2.0, 1e-4, "gain");
}
END_TEST

START_TEST(blur_lowers_every_score_of_detail) {
    im_volume p = make(texture);
    for (int64_t k = 1; k + 1 < NZ; k++)
        for (int64_t at = 0; at < NX * NY; at++) {
            const int64_t plane = NX * NY;
            p.voxel[k * plane + at] = (float)(0.5 * texture(at % NX, at / NX, k) +
                                              0.25 * texture(at % NX, at / NX, k - 1) +
                                              0.25 * texture(at % NX, at / NX, k + 1));
        }
    const ev_scores s = score(make(texture), p, NULL);
    ck_assert_msg(s.hf < 0.8 && s.ssim < 0.999 && s.gms < 0.999, "hf %g ssim %g gms %g", s.hf,
                  s.ssim, s.gms);
}
END_TEST

START_TEST(orientations_of_the_files_do_not_matter) {
    im_volume truth = make(texture), p = make(steeper), turned_truth = {0}, turned = {0};
    ck_assert_int_eq(im_reorient(&turned_truth, &truth, "LPI"), SX_OK);
    ck_assert_int_eq(im_reorient(&turned, &p, "PIR"), SX_OK);
    const ev_scores a = score(truth, p, NULL), b = score(turned_truth, turned, NULL);
    ck_assert_int_eq(a.n_voxels, b.n_voxels);
    expect_near(b.psnr, a.psnr, 1e-4, "psnr");
    expect_near(b.ssim, a.ssim, 1e-5, "ssim");
    expect_near(b.gms, a.gms, 1e-5, "gms");
    expect_near(b.hf, a.hf, 1e-5, "hf");
}
END_TEST

START_TEST(only_voxels_inside_prediction_and_scan_count) {
    const int64_t slab[3] = {NX, NY, 3}, part[3] = {NX, NY - 10, NZ};
    im_volume truth = make(texture), lr = {0}, p = {0};
    ev_truth t = {0};
    ev_scores s = {0};
    ck_assert_int_eq(im_volume_init(&lr, slab), SX_OK);
    ck_assert_int_eq(im_volume_init(&p, part), SX_OK);
    lr.affine[2][2] = 6.0; /* slice centres at 10, 16 and 22 */
    lr.affine[2][3] = 10.0;
    ck_assert_int_eq(ev_truth_make(&t, &truth), SX_OK);
    ck_assert_int_eq(ev_image_score(&t, &p, &lr, &s), SX_OK);
    ck_assert_int_eq(s.n_voxels, (NX - 2 * EDGE) * (NY - 10 - EDGE) * 13);
    lr.affine[2][3] = 500.0;
    ck_assert_int_eq(ev_image_score(&t, &p, &lr, &s), SX_E_DATA);
    ev_truth_clear(&t);
    im_volume_clear(&truth);
    im_volume_clear(&lr);
    im_volume_clear(&p);
}
END_TEST

START_TEST(background_is_left_out) {
    im_volume truth = make(texture);
    for (int64_t at = 0; at < im_volume_count(&truth); at++)
        if (at % NX < 8) truth.voxel[at] = 0.0f;
    const ev_scores s = score(truth, make(texture), NULL);
    /* the Gaussian passes 0.04 peak some 3 to 4 voxels into the empty half */
    ck_assert_int_gt(s.n_voxels, N_COUNTED / 2);
    ck_assert_int_lt(s.n_voxels, N_COUNTED * 95 / 100);
}
END_TEST

START_TEST(an_empty_truth_is_refused) {
    im_volume truth = make(constant);
    ev_truth t = {0};
    memset(truth.voxel, 0, (size_t)im_volume_count(&truth) * sizeof *truth.voxel);
    ck_assert_int_eq(ev_truth_make(&t, &truth), SX_E_DATA);
    ev_truth_clear(&t);
    im_volume_clear(&truth);
}
END_TEST

START_TEST(voxels_that_are_not_finite_do_not_spread) {
    im_volume p = make(texture);
    p.voxel[(18 * NY + 15) * NX + 8] = NAN;
    const ev_scores s = score(make(texture), p, NULL);
    ck_assert(isfinite(s.psnr) && isfinite(s.ssim) && isfinite(s.gms) && isfinite(s.hf));
    ck_assert_msg(s.psnr < 60.0, "psnr: got %g; the voxel should count as 0", s.psnr);
}
END_TEST

START_TEST(a_picture_has_the_head_up_and_the_front_left) {
    im_volume truth = make(texture);
    ev_truth t = {0};
    float *picture = NULL;
    int h, w;
    ck_assert_int_eq(ev_truth_make(&t, &truth), SX_OK);
    ck_assert_int_eq(ev_sagittal(&t, &truth, 5, 0, &picture, &h, &w), SX_OK);
    ck_assert_int_eq(h, NZ);
    ck_assert_int_eq(w, NY);
    expect_near((double)picture[0] * t.peak, texture(5, NY - 1, NZ - 1), 1e-3, "upper left");
    expect_near((double)picture[h * w - 1] * t.peak, texture(5, 0, 0), 1e-3, "lower right");
    sx_free(picture);
    ev_truth_clear(&t);
    im_volume_clear(&truth);
}
END_TEST

START_TEST(rows_come_back_to_the_last_bit) {
    const double odd[] = {1.0 / 3, (double)INFINITY, -(double)INFINITY, 5e-324, -0.0, 1e308, 0.1};
    ev_row row[2] = {{.item = 4, .method = "cubic"}, {.item = 4, .method = "sr-mean"}};
    ev_row *back;
    int64_t n;
    memcpy(&row[0].scores, odd, sizeof odd);
    row[0].scores.n_voxels = (int64_t)1 << 40;
    row[1].scores.psnr = (double)NAN;
    char *text = ev_rows_text(row, 2);
    ck_assert_int_eq(ev_rows_parse(text, 4, &back, &n), SX_OK);
    ck_assert_int_eq(n, 2);
    ck_assert_mem_eq(&back[0], &row[0], sizeof row[0]);
    ck_assert_str_eq(back[1].method, "sr-mean");
    ck_assert(isnan(back[1].scores.psnr));
    sx_free(back);
    sx_free(text);
}
END_TEST

START_TEST(texts_that_are_no_rows_are_refused) {
    const char *const texts[] = {
        "",
        "[]",
        "{}",
        "[1]",
        "[{\"method\":\"sr\",\"voxels\":1}]",
        "[{\"method\":\"sr\",\"voxels\":1,\"scores\":[\"0x1p+0\"]}]",
        "[{\"method\":\"sr\",\"voxels\":1,\"scores\":[\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\","
        "\"1\",\"1\",\"x\"]}]",
        "[{\"method\":\"much too long a name\",\"voxels\":1,\"scores\":[\"1\",\"1\",\"1\",\"1\","
        "\"1\",\"1\",\"1\",\"1\",\"1\",\"1\"]}]"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ev_row *row = NULL;
        int64_t n = 0;
        ck_assert_msg(ev_rows_parse(texts[i], 0, &row, &n) == SX_E_DATA, "taken: %s", texts[i]);
        ck_assert_ptr_null(row);
    }
}
END_TEST

int main(void) {
    return CHECK_RUN("ev_image", the_truth_itself_is_perfect,
                     an_offset_of_a_tenth_of_the_peak_is_20_dB_and_forgiven_by_the_fit,
                     psnr_and_nrmse_follow_from_the_mean_square_error,
                     ssim_of_constants_is_its_luminance_term, gms_of_ramps_is_that_of_their_slopes,
                     half_the_amplitude_is_a_quarter_of_the_detail,
                     blur_lowers_every_score_of_detail, orientations_of_the_files_do_not_matter,
                     only_voxels_inside_prediction_and_scan_count, background_is_left_out,
                     an_empty_truth_is_refused, voxels_that_are_not_finite_do_not_spread,
                     a_picture_has_the_head_up_and_the_front_left, rows_come_back_to_the_last_bit,
                     texts_that_are_no_rows_are_refused);
}
