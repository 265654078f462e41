/* Labels go where their pixels go. */
#include <math.h>
#include "base/sx_mem.h"
#include "degrade/dg_degrade.h"
#include "tests/check_run.h"

enum { H = 150, W = 110 };

static const float level = 0.5f;

/* A picture whose bright half is label 7; the border between them is long and smooth. */
static float bright(int i, int j) {
    return (float)(0.5 + 0.3 * sin(0.09 * i + 0.04 * j) + 0.15 * cos(0.11 * j - 0.03 * i));
}

/* Share of the pixels clearly on one side whose label is of that side, under one draw. */
static double agreement(uint32_t steps, int side, uint64_t item) {
    dg_config c;
    ck_assert_int_eq(dg_config_level(&c, 7), SX_OK);
    c.steps = steps;
    dg_draw d = dg_draw_make(&c, 3, 0, item);
    d.steps = steps;
    float *src = SX_NEW_ARRAY(float, H *W), *hr = SX_NEW_ARRAY(float, side *side);
    float *lr = SX_NEW_ARRAY(float, side *side);
    uint8_t *label = SX_NEW_ARRAY(uint8_t, H * W), *moved = SX_NEW_ARRAY(uint8_t, side * side);
    for (int i = 0; i < H * W; i++) {
        src[i] = bright(i / W, i % W);
        label[i] = src[i] > level ? 7 : 0;
    }
    ck_assert_int_eq(dg_pair(&c, &d, src, H, W, side, side, hr, lr, NULL), SX_OK);
    dg_labels(&d, label, H, W, side, side, moved);
    int64_t n = 0, good = 0;
    for (int i = 0; i < side * side; i++) {
        ck_assert(moved[i] == 0 || moved[i] == 7);
        if (fabsf(hr[i] - level) < 0.03f) continue; /* a pixel of slope */
        n++;
        good += (hr[i] > level) == (moved[i] == 7);
    }
    ck_assert_int_gt(n, side * side / 2);
    sx_free(src);
    sx_free(hr);
    sx_free(lr);
    sx_free(label);
    sx_free(moved);
    return (double)good / (double)n;
}

START_TEST(labels_are_magnified_turned_and_cropped_as_the_slice_is) {
    static const uint32_t steps[] = {0, 1u << DG_RESCALE, 1u << DG_ROTATE,
                                     1u << DG_RESCALE | 1u << DG_ROTATE};
    for (int k = 0; k < 4; k++)
        for (uint64_t item = 0; item < 6; item++)
            ck_assert_double_eq(agreement(steps[k], 96, item), 1.0);
}
END_TEST

START_TEST(beyond_the_slice_labels_are_mirrored_as_it_is) {
    for (uint64_t item = 0; item < 6; item++)
        ck_assert_double_eq(agreement(1u << DG_RESCALE | 1u << DG_ROTATE, 176, item), 1.0);
}
END_TEST

int main(void) {
    return CHECK_RUN("dg_labels", labels_are_magnified_turned_and_cropped_as_the_slice_is,
                     beyond_the_slice_labels_are_mirrored_as_it_is);
}
