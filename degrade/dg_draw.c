/* What may happen to a slice (dg_config) and what does (dg_draw). Every number is drawn for every
 * slice in the same order, whether its step fires or not, so that the levels of an ablation see the
 * same draws. Ranges: docs/method.md. */
#include <math.h>
#include "base/sx_rng.h"
#include "degrade/dg_degrade.h"

#define BIT(step) (1u << (step))

static const char *const step_names[DG_N_STEPS] = {
    [DG_RESCALE] = "rescale",
    [DG_ROTATE] = "rotate",
    [DG_PSF] = "psf",
    [DG_GAP] = "gap",
    [DG_DOWN_UP] = "down_up",
    [DG_SLICE_NOISE] = "slice_noise",
    [DG_INTERLACE] = "interlace",
    [DG_BLUR] = "blur",
    [DG_NOISE] = "noise",
    [DG_BIAS] = "bias",
    [DG_JITTER] = "jitter",
};

const char *dg_step_name(dg_step s) {
    return (unsigned)s < DG_N_STEPS ? step_names[s] : "?";
}

/* Rows of table 2 of the paper: what each adds to the one before, and its resolutions. */
static const struct {
    uint32_t adds;
    double lr_max_mm, lr_min_mm;
} levels[] = {
    {0, 5.0, 5.0},
    {BIT(DG_DOWN_UP) | BIT(DG_SLICE_NOISE) | BIT(DG_JITTER), 5.0, 5.0},
    {BIT(DG_PSF), 5.0, 5.0},
    {0, 9.0, 4.0},
    {BIT(DG_GAP), 9.0, 4.0},
    {BIT(DG_INTERLACE), 9.0, 4.0},
    {BIT(DG_RESCALE) | BIT(DG_ROTATE), 9.0, 4.0},
    {BIT(DG_BLUR) | BIT(DG_NOISE) | BIT(DG_BIAS), 9.0, 4.0},
};

sx_err dg_config_level(dg_config *c, int level) {
    const int n = (int)(sizeof levels / sizeof *levels);
    if (level < 0 || level >= n)
        return sx_fail(SX_E_USAGE, "degradation level %d: must be 0 to %d", level, n - 1);
    *c = (dg_config){.hr_mm = 0.8571,
                     .lr_min_mm = levels[level].lr_min_mm,
                     .lr_max_mm = levels[level].lr_max_mm,
                     .lr_step_mm = 0.25,
                     .probability = 0.3,
                     .interlace_probability = 0.15};
    for (int i = 0; i <= level; i++) c->steps |= levels[i].adds;
    return SX_OK;
}

dg_config dg_config_validation(const dg_config *c) {
    dg_config v = *c;
    v.steps &= BIT(DG_PSF) | BIT(DG_GAP) | BIT(DG_DOWN_UP) | BIT(DG_SLICE_NOISE) | BIT(DG_JITTER);
    return v;
}

static double uniform(sx_rng *r, double lo, double hi) {
    return lo + (hi - lo) * (double)sx_rng_uniform(r);
}

static double step_probability(const dg_config *c, dg_step s) {
    static const uint32_t sometimes =
        BIT(DG_RESCALE) | BIT(DG_ROTATE) | BIT(DG_BLUR) | BIT(DG_NOISE) | BIT(DG_BIAS);
    if (s == DG_INTERLACE) return c->interlace_probability;
    return sometimes & BIT(s) ? c->probability : 1.0;
}

static double draw_resolution(const dg_config *c, sx_rng *r) {
    double span = c->lr_max_mm - c->lr_min_mm;
    int64_t last = c->lr_step_mm > 0.0 ? (int64_t)floor(span / c->lr_step_mm + 1e-6) : 0;
    return c->lr_min_mm + c->lr_step_mm * (double)sx_rng_int(r, 0, last > 0 ? last : 0);
}

dg_draw dg_draw_make(const dg_config *c, uint64_t seed, uint64_t epoch, uint64_t item) {
    dg_draw d = {.seed = seed, .epoch = epoch, .item = item};
    sx_rng r = sx_rng_make(seed, SX_RNG_DEGRADE, epoch, 4 * item); /* +1..3: dg_pair.c */
    for (int s = 0; s < DG_N_STEPS; s++)
        if ((double)sx_rng_uniform(&r) < step_probability(c, (dg_step)s)) d.steps |= BIT(s);
    d.steps &= c->steps;
    d.lr_mm = draw_resolution(c, &r);
    d.magnification = uniform(&r, 0.75, 1.5);
    d.angle_deg = uniform(&r, -5.0, 5.0);
    int64_t most_rows = (int64_t)floor(0.5 * d.lr_mm / c->hr_mm);
    d.gap_rows = (int)sx_rng_int(&r, 1, most_rows < 1 ? 1 : most_rows);
    d.slice_noise_sigma = uniform(&r, 0.0, 0.015);
    d.interlace_rows = (int)sx_rng_int(&r, 4, 10);
    d.interlace_shift = uniform(&r, 0.002, 0.02);
    if (sx_rng_uniform(&r) < 0.5f) d.interlace_shift = -d.interlace_shift;
    d.blur_sigma_px = uniform(&r, 0.5, 4.0);
    d.noise_sigma = uniform(&r, 0.0, 0.05);
    for (int i = 0; i < 10; i++) d.bias[i] = uniform(&r, 0.0, 0.5);
    d.brightness = uniform(&r, 0.8, 1.2);
    d.contrast = uniform(&r, 0.8, 1.2);
    return d;
}
