/* Training pairs: nothing is displaced, nothing depends on the way of computing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "degrade/dg_degrade.h"
#include "degrade/dg_psf.h"
#include "tests/check_run.h"

static const double hr_mm = 0.8571;

#define BIT(s) (1u << (s))

static dg_config level(int n) {
    dg_config c;
    ck_assert_int_eq(dg_config_level(&c, n), SX_OK);
    return c;
}

/* A smooth image with structure in both directions, 0..1. */
static float *picture(int h, int w) {
    float *x = SX_NEW_ARRAY(float, (int64_t)h *w);
    for (int i = 0; i < h; i++)
        for (int j = 0; j < w; j++)
            x[(int64_t)i * w + j] =
                (float)(0.5 + 0.25 * sin(0.21 * i + 0.05 * j) + 0.2 * cos(0.13 * j - 0.02 * i));
    return x;
}

/* A draw of this level at one resolution in which every step of the level fires. */
static dg_draw full_draw(const dg_config *c, double lr_mm, uint64_t item) {
    dg_config one = *c;
    one.lr_min_mm = one.lr_max_mm = lr_mm;
    dg_draw d = dg_draw_make(&one, 11, 0, item);
    d.steps = c->steps;
    return d;
}

/* ---- displacement ---- */

/* Largest displacement (px) of LR against HR along the ramp over the rows where no border handling
 * reaches: six slices away from the ends of the ramp, wherever rescaling and rotation put them. */
static double ramp_displacement(int lvl, double lr_mm, int h, uint64_t item) {
    enum { W = 96 };
    dg_config c = level(lvl);
    dg_draw d = full_draw(&c, lr_mm, item);
    /* jitter and bias change intensities, which on a ramp cannot be told from a shift */
    d.steps &= ~(BIT(DG_JITTER) | BIT(DG_BIAS));
    /* a rotated ramp also rises along columns, so there the motion between stripes would show */
    if (d.steps & BIT(DG_ROTATE)) d.steps &= ~BIT(DG_INTERLACE);
    d.slice_noise_sigma = d.noise_sigma = 0.0;
    float *src = SX_NEW_ARRAY(float, (int64_t)h *W), *hr = SX_NEW_ARRAY(float, (int64_t)h *W);
    float *lr = SX_NEW_ARRAY(float, (int64_t)h *W);
    double slope = 0.6 / h;
    for (int i = 0; i < h; i++)
        for (int j = 0; j < W; j++) src[(int64_t)i * W + j] = (float)(0.2 + slope * i);
    ck_assert_int_eq(dg_pair(&c, &d, src, h, W, 0, 0, hr, lr, NULL), SX_OK);
    int margin = (int)ceil(6.0 * lr_mm / hr_mm);
    if (d.steps & BIT(DG_RESCALE)) {
        slope /= d.magnification;
        margin += (int)ceil(0.5 * h * fmax(0.0, 1.0 - d.magnification) + 0.5 * W * 0.09);
    }
    double worst = 0.0;
    for (int i = margin; i < h - margin; i++) {
        double sum = 0.0; /* over the middle columns: rotation reflects at the sides */
        for (int j = W / 4; j < 3 * W / 4; j++)
            sum += (double)(lr[(int64_t)i * W + j] - hr[(int64_t)i * W + j]);
        worst = fmax(worst, fabs(sum / (W / 2) / slope));
    }
    sx_free(src);
    sx_free(hr);
    sx_free(lr);
    return worst;
}

START_TEST(a_ramp_comes_back_unshifted_at_every_level_and_resolution) {
    const double tolerance = 0.05;
    for (int lvl = 1; lvl <= 7; lvl++)
        for (int q = 0; q <= 20; q++)
            for (int odd = 0; odd < 2; odd++) {
                double lr_mm = 4.0 + 0.25 * q;
                double got = ramp_displacement(lvl, lr_mm, 280 + odd, (uint64_t)(21 * lvl + q));
                ck_assert_msg(got < tolerance, "level %d, %.2f mm, %d rows: %.4f px, tolerance %g",
                              lvl, lr_mm, 280 + odd, got, tolerance);
            }
}
END_TEST

START_TEST(a_ramp_survives_every_gap) {
    const double tolerance = 0.05;
    for (uint64_t item = 0; item < 60; item++) {
        double got = ramp_displacement(4, 4.0 + 0.25 * (double)(item % 21), 200, item);
        ck_assert_msg(got < tolerance, "draw %d: %.4f px, tolerance %g", (int)item, got, tolerance);
    }
}
END_TEST

START_TEST(interlace_moves_alternate_stripes_by_a_share_of_the_width) {
    enum { H = 64, W = 200 };
    dg_config c = level(5);
    dg_draw d = full_draw(&c, 5.0, 2);
    d.steps = BIT(DG_INTERLACE);
    float src[H * W], hr[H * W], lr[H * W];
    for (int i = 0; i < H * W; i++) src[i] = (float)(i % W) / W;
    for (int side = -1; side <= 1; side += 2) {
        d.interlace_shift = side * 0.013;
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, 0, 0, hr, lr, NULL), SX_OK);
        for (int i = 0; i < H; i++) {
            double want = i % (2 * d.interlace_rows) < d.interlace_rows ? side * 0.013 * W : 0.0;
            for (int j = 10; j < W - 10; j++) {
                double got = (double)(src[i * W + j] - lr[i * W + j]) * W; /* > 0: to the back */
                ck_assert_msg(fabs(got - want) < 1e-3, "row %d: moved %.4f px, want %.4f, 1e-3", i,
                              got, want);
            }
        }
    }
}
END_TEST

START_TEST(rows_beyond_the_outermost_slices_take_the_edge_slice) {
    enum { H = 100, W = 20 };
    dg_config c = level(1);
    dg_draw d = full_draw(&c, 9.0, 4);
    d.steps = BIT(DG_DOWN_UP);
    float *src = picture(H, W), hr[H * W], lr[H * W];
    ck_assert_int_eq(dg_pair(&c, &d, src, H, W, 0, 0, hr, lr, NULL), SX_OK);
    /* 100 rows at 10.5 rows a slice: 10 slices, first centre at row 2.25 */
    for (int j = 0; j < W; j++) {
        ck_assert_float_eq_tol(lr[j], lr[W + j], 1e-6f);
        ck_assert_float_eq_tol(lr[(H - 1) * W + j], lr[(H - 2) * W + j], 1e-6f);
        ck_assert(fabsf(lr[W + j] - lr[6 * W + j]) > 1e-6f);
    }
    sx_free(src);
}
END_TEST

/* ---- geometry ---- */

START_TEST(a_dot_lands_where_magnification_and_angle_put_it) {
    enum { H = 120, W = 110 };
    static const uint32_t steps[] = {BIT(DG_RESCALE), BIT(DG_ROTATE),
                                     BIT(DG_RESCALE) | BIT(DG_ROTATE)};
    const double at[2] = {-12.0, 25.0}; /* rows, columns from the centre of the slice */
    dg_config c = level(7);
    dg_draw d = full_draw(&c, 5.0, 1);
    float src[H * W], hr[H * W], lr[H * W];
    for (int i = 0; i < H * W; i++) {
        double y = i / W - 0.5 * (H - 1) - at[0], x = i % W - 0.5 * (W - 1) - at[1];
        src[i] = (float)exp(-0.5 * (x * x + y * y) / 4.0);
    }
    d.magnification = 1.5;
    d.angle_deg = 5.0; /* counter-clockwise as displayed: what is on the right goes up */
    for (int n = 0; n < 3; n++) {
        d.steps = steps[n];
        double m = d.steps & BIT(DG_RESCALE) ? 1.5 : 1.0;
        double a = d.steps & BIT(DG_ROTATE) ? 5.0 * 3.14159265358979 / 180.0 : 0.0;
        double want[2] = {m * (cos(a) * at[0] - sin(a) * at[1]),
                          m * (cos(a) * at[1] + sin(a) * at[0])};
        double got[2] = {0, 0}, sum = 0.0;
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, 0, 0, hr, lr, NULL), SX_OK);
        ck_assert(memcmp(hr, lr, sizeof hr) == 0);
        for (int i = 0; i < H * W; i++) {
            got[0] += (double)hr[i] * (i / W - 0.5 * (H - 1));
            got[1] += (double)hr[i] * (i % W - 0.5 * (W - 1));
            sum += (double)hr[i];
        }
        for (int k = 0; k < 2; k++)
            ck_assert_msg(fabs(got[k] / sum - want[k]) < 0.05, "case %d axis %d: got %g, want %g",
                          n, k, got[k] / sum, want[k]);
    }
}
END_TEST

/* ---- slices as the scanner sees them: five rows a slice, so that centres are rows 2, 7, … ---- */

enum { SLICES = 20, ROWS = 5 * SLICES, COLUMNS = 24 };

/* LR at the slice centres [SLICES][COLUMNS] of `src` under these steps. */
static void slices_of(const dg_draw *d, const float *src, float *slice) {
    dg_config c = level(7);
    float *hr = SX_NEW_ARRAY(float, 2 * ROWS * COLUMNS), *lr = hr + ROWS * COLUMNS;
    ck_assert_int_eq(dg_pair(&c, d, src, ROWS, COLUMNS, 0, 0, hr, lr, NULL), SX_OK);
    for (int k = 0; k < SLICES; k++)
        memcpy(slice + k * COLUMNS, lr + (2 + 5 * k) * COLUMNS, COLUMNS * sizeof(float));
    sx_free(hr);
}

static dg_draw five_row_draw(uint32_t steps) {
    dg_config c = level(7);
    dg_draw d = full_draw(&c, 5 * hr_mm, 3);
    d.steps = steps;
    return d;
}

START_TEST(a_slice_weighs_rows_as_its_profile_says) {
    dg_draw d = five_row_draw(BIT(DG_PSF) | BIT(DG_DOWN_UP));
    float *src = SX_NEW_ARRAY(float, ROWS *COLUMNS), got[SLICES * COLUMNS];
    dg_psf psf;
    ck_assert_int_eq(dg_psf_make(&psf, d.lr_mm, hr_mm), SX_OK);
    for (int row = 45; row < 50; row++) { /* each tap meets a slice centre */
        for (int i = 0; i < ROWS * COLUMNS; i++) src[i] = i / COLUMNS == row;
        slices_of(&d, src, got);
        for (int k = 0; k < SLICES; k++) {
            int tap = row - (2 + 5 * k) + psf.n_taps / 2;
            float want = tap >= 0 && tap < psf.n_taps ? psf.tap[tap] : 0.0f;
            ck_assert_float_eq_tol(got[k * COLUMNS], want, 1e-6f);
        }
    }
    sx_free(src);
}
END_TEST

START_TEST(a_gap_averages_rows_under_mirrored_random_weights) {
    dg_draw d = five_row_draw(BIT(DG_GAP) | BIT(DG_DOWN_UP));
    float *src = picture(ROWS, COLUMNS), got[SLICES * COLUMNS];
    sx_rng r = sx_rng_make(d.seed, SX_RNG_DEGRADE, d.epoch, 4 * d.item + 1);
    d.gap_rows = 3;
    slices_of(&d, src, got);
    for (int k = 0; k < SLICES; k++) {
        float outer = sx_rng_range(&r, 0.1f, 1.0f), inner = sx_rng_range(&r, 0.1f, 1.0f);
        for (int j = 0; j < COLUMNS; j++) {
            const float *x = src + (2 + 5 * k) * COLUMNS + j;
            float want = (outer * (x[-COLUMNS] + x[COLUMNS]) + inner * *x) / (2 * outer + inner);
            ck_assert_float_eq_tol(got[k * COLUMNS + j], want, 2e-6f);
        }
    }
    sx_free(src);
}
END_TEST

START_TEST(noises_have_streams_of_their_own) {
    dg_draw d = five_row_draw(BIT(DG_DOWN_UP) | BIT(DG_SLICE_NOISE));
    float *src = SX_NEW_ARRAY(float, ROWS *COLUMNS), got[SLICES * COLUMNS];
    sx_rng r = sx_rng_make(d.seed, SX_RNG_DEGRADE, d.epoch, 4 * d.item + 2);
    for (int i = 0; i < ROWS * COLUMNS; i++) src[i] = 0.5f;
    d.slice_noise_sigma = d.noise_sigma = 0.01;
    slices_of(&d, src, got);
    for (int i = 0; i < SLICES * COLUMNS; i++)
        ck_assert_float_eq_tol(got[i], 0.5f + 0.01f * sx_rng_normal(&r), 1e-6f);
    d.steps = BIT(DG_NOISE);
    slices_of(&d, src, got);
    r = sx_rng_make(d.seed, SX_RNG_DEGRADE, d.epoch, 4 * d.item + 3);
    for (int i = 0; i < 2 * COLUMNS; i++) sx_rng_normal(&r); /* rows before the first centre */
    for (int j = 0; j < COLUMNS; j++)
        ck_assert_float_eq_tol(got[j], 0.5f + 0.01f * sx_rng_normal(&r), 1e-6f);
    sx_free(src);
}
END_TEST

START_TEST(slice_noise_is_the_same_with_and_without_interlace) {
    enum { H = 120, W = 200, S = 64 };
    dg_config c = level(7);
    float *src = picture(H, W), hr[S * S], still[S * S], moved[S * S];
    for (uint64_t item = 0; item < 8; item++) {
        dg_draw d = full_draw(&c, 5.0, item);
        d.steps = BIT(DG_DOWN_UP) | BIT(DG_SLICE_NOISE);
        d.interlace_shift = 0.02;
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, S, S, hr, still, NULL), SX_OK);
        d.steps |= BIT(DG_INTERLACE);
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, S, S, hr, moved, NULL), SX_OK);
        int same = 0, some = 0;
        for (int i = 0; i < S; i++) {
            bool equal = !memcmp(still + i * S, moved + i * S, S * sizeof(float));
            same += equal;
            some += !equal;
        }
        ck_assert_msg(same >= S / 4 && some >= S / 4, "%d rows stayed, %d moved", same, some);
    }
    sx_free(src);
}
END_TEST

/* ---- the pair as a function ---- */

START_TEST(equal_keys_give_equal_bytes_with_and_without_own_scratch) {
    enum { H = 190, W = 171, S = 96 };
    dg_config c = level(7);
    dg_work *work = dg_work_new();
    float *src = picture(H, W), *out = SX_NEW_ARRAY(float, 4 * S * S);
    for (uint64_t item = 0; item < 12; item++) {
        dg_draw d = dg_draw_make(&c, 5, 1, item);
        memset(out, 0, 4 * S * S * sizeof(float));
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, S, S, out, out + S * S, work), SX_OK);
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, S, S, out + 2 * S * S, out + 3 * S * S, NULL),
                         SX_OK);
        ck_assert(memcmp(out, out + 2 * S * S, 2 * S * S * sizeof(float)) == 0);
    }
    dg_work_free(work);
    sx_free(out);
    sx_free(src);
}
END_TEST

START_TEST(hr_is_the_slice_itself_when_geometry_is_off) {
    enum { H = 120, W = 77 };
    dg_config c = level(5);
    float *src = picture(H, W), hr[H * W], lr[H * W];
    for (uint64_t item = 0; item < 8; item++) {
        dg_draw d = full_draw(&c, 6.5, item);
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, 0, 0, hr, lr, NULL), SX_OK);
        ck_assert(memcmp(src, hr, sizeof hr) == 0);
        ck_assert(memcmp(src, lr, sizeof lr) != 0);
    }
    sx_free(src);
}
END_TEST

START_TEST(level_0_leaves_both_alone) {
    enum { H = 60, W = 50 };
    dg_config c = level(0);
    dg_draw d = dg_draw_make(&c, 5, 0, 0);
    float *src = picture(H, W), hr[H * W], lr[H * W];
    ck_assert_int_eq(dg_pair(&c, &d, src, H, W, 0, 0, hr, lr, NULL), SX_OK);
    ck_assert(memcmp(src, hr, sizeof hr) == 0 && memcmp(src, lr, sizeof lr) == 0);
    sx_free(src);
}
END_TEST

START_TEST(a_crop_is_a_part_of_the_whole) {
    enum { H = 150, W = 173, S = 64 };
    dg_config c = level(7);
    /* the steps whose values do not belong to the crop by definition */
    const uint32_t deterministic = BIT(DG_RESCALE) | BIT(DG_ROTATE) | BIT(DG_PSF) | BIT(DG_GAP) |
                                   BIT(DG_DOWN_UP) | BIT(DG_INTERLACE);
    float *src = picture(H, W), *hr = SX_NEW_ARRAY(float, H *W), *lr = SX_NEW_ARRAY(float, H *W);
    float *hr_crop = SX_NEW_ARRAY(float, S *S), *lr_crop = SX_NEW_ARRAY(float, S *S);
    for (uint64_t item = 0; item < 10; item++) {
        dg_draw d = full_draw(&c, 4.75, item);
        d.steps = deterministic;
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, 0, 0, hr, lr, NULL), SX_OK);
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, S, S, hr_crop, lr_crop, NULL), SX_OK);
        int found = 0;
        for (int y = 0; y <= H - S; y++)
            for (int x = 0; x <= W - S; x++) {
                bool equal = true;
                for (int i = 0; equal && i < S; i++)
                    equal = !memcmp(hr + (y + i) * W + x, hr_crop + i * S, S * sizeof(float)) &&
                            !memcmp(lr + (y + i) * W + x, lr_crop + i * S, S * sizeof(float));
                found += equal;
            }
        ck_assert_msg(found == 1, "draw %d: the crop lies in the whole %d times, want 1", (int)item,
                      found);
    }
    sx_free(src);
    sx_free(hr);
    sx_free(lr);
    sx_free(hr_crop);
    sx_free(lr_crop);
}
END_TEST

START_TEST(crops_start_anywhere_with_equal_chance) {
    enum { H = 40, W = 36, S = 32, N = 10000 };
    dg_config c = level(0);
    dg_work *work = dg_work_new();
    float src[H * W], hr[S * S], lr[S * S];
    int rows[H - S + 1] = {0}, columns[W - S + 1] = {0};
    for (int i = 0; i < H * W; i++) src[i] = (float)i;
    for (uint64_t item = 0; item < N; item++) {
        dg_draw d = dg_draw_make(&c, 3, 0, item);
        int row, col;
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, S, S, hr, lr, work), SX_OK);
        dg_crop_origin(&d, H, W, S, S, &row, &col);
        ck_assert_int_eq(row * W + col, (int)hr[0]);
        rows[(int)hr[0] / W]++;
        columns[(int)hr[0] % W]++;
    }
    /* four standard deviations of a count */
    for (int i = 0; i <= H - S; i++) ck_assert_int_lt(abs(rows[i] - N / 9), 126);
    for (int i = 0; i <= W - S; i++) ck_assert_int_lt(abs(columns[i] - N / 5), 160);
    dg_work_free(work);
}
END_TEST

START_TEST(odd_even_and_small_slices_work_and_tiny_ones_are_refused) {
    static const int side[] = {16, 17, 31, 54, 160, 161, 203};
    enum { N = 7, S = 160 };
    dg_config c = level(7);
    dg_work *work = dg_work_new();
    float *hr = SX_NEW_ARRAY(float, S *S), *lr = SX_NEW_ARRAY(float, S *S);
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) {
            float *src = picture(side[a], side[b]);
            for (uint64_t item = 0; item < 6; item++) {
                dg_draw d = full_draw(&c, item % 2 ? 9.0 : 4.0, item);
                ck_assert_int_eq(dg_pair(&c, &d, src, side[a], side[b], S, S, hr, lr, work), SX_OK);
                bool inside = true; /* false for NaN, too */
                for (int i = 0; i < S * S; i++)
                    inside =
                        inside && hr[i] >= 0.0f && hr[i] <= 1.0f && lr[i] >= 0.0f && lr[i] <= 1.0f;
                ck_assert_msg(inside, "%d x %d: values outside 0..1", side[a], side[b]);
            }
            sx_free(src);
        }
    float *src = picture(15, 200);
    dg_draw d = full_draw(&c, 5.0, 0);
    ck_assert_int_eq(dg_pair(&c, &d, src, 15, 200, S, S, hr, lr, work), SX_E_DATA);
    ck_assert_int_eq(dg_pair(&c, &d, src, 200, 15, S, S, hr, lr, work), SX_E_DATA);
    sx_free(src);
    sx_free(hr);
    sx_free(lr);
    dg_work_free(work);
}
END_TEST

START_TEST(slices_too_thick_for_the_pixels_are_refused) {
    enum { H = 400, W = 16 };
    dg_config c = level(4);
    float *src = picture(H, W), *out = SX_NEW_ARRAY(float, 2 * H * W);
    c.hr_mm = 0.15;
    dg_draw d = full_draw(&c, 30.0, 0);
    d.gap_rows = 100; /* half a slice */
    ck_assert_int_eq(dg_pair(&c, &d, src, H, W, 0, 0, out, out + H * W, NULL), SX_E_CONFIG);
    d.steps &= ~BIT(DG_PSF);
    ck_assert_int_eq(dg_pair(&c, &d, src, H, W, 0, 0, out, out + H * W, NULL), SX_E_CONFIG);
    sx_free(src);
    sx_free(out);
}
END_TEST

START_TEST(a_short_slice_is_padded_by_reflection) {
    enum { H = 20, W = 24, S = 32 };
    dg_config c = level(0);
    dg_draw d = dg_draw_make(&c, 1, 0, 0);
    float src[H * W], hr[S * S], lr[S * S];
    for (int i = 0; i < H * W; i++) src[i] = (float)i;
    ck_assert_int_eq(dg_pair(&c, &d, src, H, W, S, S, hr, lr, NULL), SX_OK);
    ck_assert_float_eq(hr[6 * S + 4], src[0]);         /* 6 rows above, 4 columns before */
    ck_assert_float_eq(hr[5 * S + 3], src[1 * W + 1]); /* mirrored about the edge pixel  */
    ck_assert_float_eq(hr[26 * S + 28], src[18 * W + 22]);
}
END_TEST

START_TEST(pixel_noise_has_the_drawn_sigma_and_no_mean) {
    enum { S = 200 };
    static const struct {
        dg_step step;
        double tolerance; /* share of sigma */
    } noise[] = {{DG_NOISE, 0.02}, {DG_SLICE_NOISE, 0.05}};
    dg_config c = level(7);
    float *src = SX_NEW_ARRAY(float, 3 * S * S);
    for (int i = 0; i < S * S; i++) src[i] = 0.5f;
    dg_draw d = full_draw(&c, 4.0, 1);
    d.noise_sigma = d.slice_noise_sigma = 0.01;
    d.steps = BIT(DG_NOISE);
    float *lr = src + 2 * S * S;
    ck_assert_int_eq(dg_pair(&c, &d, src, S, S, 0, 0, src + S * S, lr, NULL), SX_OK);
    double sum = 0.0, sum2 = 0.0;
    for (int i = 0; i < S * S; i++) {
        double x = (double)lr[i] - 0.5;
        sum += x;
        sum2 += x * x;
    }
    double mean = sum / (S * S), sigma = sqrt(sum2 / (S * S));
    ck_assert_msg(fabs(mean) < 4.0 * 0.01 / S, "mean %g, want 0, tolerance %g", mean, 0.04 / S);
    ck_assert_msg(fabs(sigma / 0.01 - 1.0) < noise[0].tolerance, "sigma %g, want 0.01", sigma);

    /* slice noise: the LR rows carry it, so rows at slice centres have its sigma */
    d.steps = BIT(DG_DOWN_UP) | BIT(DG_SLICE_NOISE);
    d.lr_mm = 5 * hr_mm; /* 40 slices, centres on rows 2, 7, ... */
    ck_assert_int_eq(dg_pair(&c, &d, src, S, S, 0, 0, src + S * S, lr, NULL), SX_OK);
    sum = sum2 = 0.0;
    for (int i = 2; i < S; i += 5)
        for (int j = 0; j < S; j++) {
            double x = (double)lr[i * S + j] - 0.5;
            sum += x;
            sum2 += x * x;
        }
    mean = sum / (S * S / 5), sigma = sqrt(sum2 / (S * S / 5));
    ck_assert_msg(fabs(mean) < 4.0 * 0.01 / sqrt(S * S / 5), "slice noise: mean %g, want 0", mean);
    ck_assert_msg(fabs(sigma / 0.01 - 1.0) < noise[1].tolerance, "slice noise: sigma %g, want 0.01",
                  sigma);
    sx_free(src);
}
END_TEST

START_TEST(bias_darkens_as_its_polynomial_says) {
    enum { S = 20 };
    dg_config c = level(7);
    dg_draw d = full_draw(&c, 4.0, 1);
    float src[S * S], hr[S * S], lr[S * S];
    for (int i = 0; i < S * S; i++) src[i] = 0.5f;
    d.steps = BIT(DG_BIAS);
    ck_assert_int_eq(dg_pair(&c, &d, src, S, S, 0, 0, hr, lr, NULL), SX_OK);
    for (int row = 0; row < S; row += 7)
        for (int col = 0; col < S; col += 3) {
            double y = (2 * row + 1.0) / S - 1.0, x = (2 * col + 1.0) / S - 1.0, f = 0.0;
            int k = 0;
            for (int i = 0; i <= 3; i++)
                for (int j = 0; i + j <= 3; j++) f += d.bias[k++] * pow(x, i) * pow(y, j);
            double want = fmin(1.0, 0.5 * exp(-f));
            ck_assert_msg(fabs((double)lr[row * S + col] - want) < 1e-5,
                          "(%d, %d): got %g, want %g, tolerance 1e-5", row, col,
                          (double)lr[row * S + col], want);
        }
}
END_TEST

START_TEST(jitter_is_brightness_then_contrast) {
    enum { S = 16 };
    dg_config c = level(1);
    dg_draw d = full_draw(&c, 5.0, 1);
    float src[S * S], hr[S * S], lr[S * S];
    double mean = 0.0;
    d.steps = BIT(DG_JITTER);
    d.brightness = 1.1;
    d.contrast = 0.8;
    for (int i = 0; i < S * S; i++) {
        src[i] = (float)i / (S * S);
        mean += fmin(1.0, 1.1 * (double)src[i]) / (S * S);
    }
    ck_assert_int_eq(dg_pair(&c, &d, src, S, S, 0, 0, hr, lr, NULL), SX_OK);
    for (int i = 0; i < S * S; i++) {
        double want = 0.8 * fmin(1.0, 1.1 * (double)src[i]) + 0.2 * mean;
        ck_assert_msg(fabs((double)lr[i] - want) < 1e-5, "pixel %d: got %g, want %g", i,
                      (double)lr[i], want);
    }
}
END_TEST

START_TEST(blur_keeps_a_constant_and_spreads_a_point) {
    enum { S = 32 };
    dg_config c = level(7);
    dg_draw d = full_draw(&c, 5.0, 1);
    float src[S * S] = {0}, hr[S * S], lr[S * S];
    d.steps = BIT(DG_BLUR);
    d.blur_sigma_px = 1.0;
    src[16 * S + 16] = 1.0f;
    ck_assert_int_eq(dg_pair(&c, &d, src, S, S, 0, 0, hr, lr, NULL), SX_OK);
    double sum = 0.0;
    for (int i = 0; i < S * S; i++) sum += (double)lr[i];
    ck_assert_msg(fabs(sum - 1.0) < 1e-5, "sum %g, want 1, tolerance 1e-5", sum);
    ck_assert_float_eq_tol(lr[16 * S + 16], 0.15915f, 1e-4f); /* 1 / (2 pi) */
    ck_assert_float_eq_tol(lr[16 * S + 18], lr[18 * S + 16], 1e-7f);
    for (int i = 0; i < S * S; i++) src[i] = 0.7f;
    ck_assert_int_eq(dg_pair(&c, &d, src, S, S, 0, 0, hr, lr, NULL), SX_OK);
    for (int i = 0; i < S * S; i++) ck_assert_float_eq_tol(lr[i], 0.7f, 1e-5f);
}
END_TEST

START_TEST(blur_is_a_gaussian_of_the_drawn_width_cut_to_nine_pixels) {
    enum { S = 32, MID = 16 };
    static const double sigmas[] = {0.5, 1.0, 4.0};
    dg_config c = level(7);
    dg_draw d = full_draw(&c, 5.0, 1);
    float src[S * S] = {0}, hr[S * S], lr[S * S];
    d.steps = BIT(DG_BLUR);
    src[MID * S + MID] = 1.0f;
    for (int n = 0; n < 3; n++) {
        double sum = 0.0, s = d.blur_sigma_px = sigmas[n];
        for (int i = -4; i <= 4; i++) sum += exp(-0.5 * i * i / (s * s));
        ck_assert_int_eq(dg_pair(&c, &d, src, S, S, 0, 0, hr, lr, NULL), SX_OK);
        for (int i = -5; i <= 5; i++)
            for (int j = -5; j <= 5; j++) {
                bool inside = abs(i) <= 4 && abs(j) <= 4;
                double want = inside ? exp(-0.5 * (i * i + j * j) / (s * s)) / (sum * sum) : 0.0;
                double got = (double)lr[(MID + i) * S + MID + j];
                ck_assert_msg(fabs(got - want) < 1e-6, "sigma %g at (%d, %d): got %g, want %g", s,
                              i, j, got, want);
            }
    }
}
END_TEST

/* ---- the observer ---- */

typedef struct seen {
    dg_step step[2 * DG_N_STEPS];
    int n;
    float *last;
    int64_t n_pixels;
} seen;

static void note(void *user, dg_step after, const float *hr, const float *lr, int h, int w) {
    seen *s = user;
    (void)hr;
    s->step[s->n++] = after;
    ck_assert_int_eq(s->n_pixels, (int64_t)h * w);
    memcpy(s->last, lr, (size_t)s->n_pixels * sizeof(float));
}

START_TEST(the_observer_sees_the_fired_steps_in_order_and_changes_nothing) {
    enum { H = 170, W = 180, S = 80 };
    dg_config c = level(7);
    float *src = picture(H, W), *x = SX_NEW_ARRAY(float, 5 * S * S);
    for (uint64_t item = 0; item < 30; item++) {
        dg_draw d = item == 0 ? full_draw(&c, 5.0, 0) : dg_draw_make(&c, 1, 0, item);
        seen s = {.last = x + 4 * S * S, .n_pixels = S * S};
        ck_assert_int_eq(dg_pair_observed(&c, &d, src, H, W, S, S, x, x + S * S, NULL, note, &s),
                         SX_OK);
        ck_assert_int_eq(dg_pair(&c, &d, src, H, W, S, S, x + 2 * S * S, x + 3 * S * S, NULL),
                         SX_OK);
        ck_assert(memcmp(x, x + 2 * S * S, 2 * S * S * sizeof(float)) == 0);
        ck_assert(memcmp(x + S * S, s.last, S * S * sizeof(float)) == 0);
        int n = 0;
        for (int step = 0; step < DG_N_STEPS; step++) {
            if (!(d.steps & BIT(step))) continue;
            ck_assert_msg(n < s.n && s.step[n] == (dg_step)step, "draw %d: image %d is after %s",
                          (int)item, n, dg_step_name(s.step[n]));
            n++;
        }
        ck_assert_int_eq(n, s.n);
    }
    sx_free(src);
    sx_free(x);
}
END_TEST

int main(void) {
    Suite *s = suite_create("pair");
    TCase *t = tcase_create("pair");
    tcase_add_test(t, a_ramp_comes_back_unshifted_at_every_level_and_resolution);
    tcase_add_test(t, a_ramp_survives_every_gap);
    tcase_add_test(t, interlace_moves_alternate_stripes_by_a_share_of_the_width);
    tcase_add_test(t, rows_beyond_the_outermost_slices_take_the_edge_slice);
    tcase_add_test(t, a_dot_lands_where_magnification_and_angle_put_it);
    tcase_add_test(t, a_slice_weighs_rows_as_its_profile_says);
    tcase_add_test(t, a_gap_averages_rows_under_mirrored_random_weights);
    tcase_add_test(t, noises_have_streams_of_their_own);
    tcase_add_test(t, slice_noise_is_the_same_with_and_without_interlace);
    tcase_add_test(t, equal_keys_give_equal_bytes_with_and_without_own_scratch);
    tcase_add_test(t, hr_is_the_slice_itself_when_geometry_is_off);
    tcase_add_test(t, level_0_leaves_both_alone);
    tcase_add_test(t, a_crop_is_a_part_of_the_whole);
    tcase_add_test(t, crops_start_anywhere_with_equal_chance);
    tcase_add_test(t, odd_even_and_small_slices_work_and_tiny_ones_are_refused);
    tcase_add_test(t, slices_too_thick_for_the_pixels_are_refused);
    tcase_add_test(t, a_short_slice_is_padded_by_reflection);
    tcase_add_test(t, pixel_noise_has_the_drawn_sigma_and_no_mean);
    tcase_add_test(t, bias_darkens_as_its_polynomial_says);
    tcase_add_test(t, jitter_is_brightness_then_contrast);
    tcase_add_test(t, blur_keeps_a_constant_and_spreads_a_point);
    tcase_add_test(t, blur_is_a_gaussian_of_the_drawn_width_cut_to_nine_pixels);
    tcase_add_test(t, the_observer_sees_the_fired_steps_in_order_and_changes_nothing);
    suite_add_tcase(s, t);
    return check_run_suite(s);
}
