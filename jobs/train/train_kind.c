/* The table of training kinds, and what its rows do. */
#include "jobs/train/train_kind.h"

#include <math.h>
#include <string.h>
#include "base/sx_rng.h"
#include "jobs/train/train_classes.h"
#include "jobs/train/train_owner.h"

static int64_t pixels(const train_config *c) {
    return (int64_t)c->crop * c->crop;
}

/* ---- diffusion: a noised image, its noise (or what stands for it), squared error ---- */

static sx_err make_noised(train_maker *m, const dg_config *degrade, train_slice s, train_key key,
                          train_pair *p) {
    const train_config *c = m->c;
    const uint64_t item = (uint64_t)key.item;
    sx_err rc = train_maker_degrade(m, degrade, s, &key, p);
    if (rc != SX_OK) return rc;
    sx_rng time = sx_rng_make(c->seed, SX_RNG_TIME, key.epoch, item);
    sx_rng noise = sx_rng_make(c->seed, SX_RNG_NOISE, key.epoch, item);
    p->t = key.t >= 0 ? key.t : (int)sx_rng_int(&time, 0, DF_STEPS - 1);
    sx_rng_normals(&noise, m->noise, pixels(c));
    df_noise(&c->schedule, p->t, p->x0, m->noise, p->x_t, p->target, pixels(c));
    return SX_OK;
}

static double squared_error(const train_config *c, const train_pair *p, const float *answer,
                            float *d_answer) {
    const int64_t n = pixels(c);
    double scale = 1.0 / ((double)n * c->batch), sum = 0;
    float slope = (float)(2.0 * scale);
    for (int64_t i = 0; i < n; i++) {
        float d = answer[i] - p->target[i];
        sum += (double)d * (double)d;
        d_answer[i] = slope * d;
    }
    return sum * scale;
}

static double mean_square(const train_config *c, const train_pair *p, const float *answer) {
    const int64_t n = pixels(c);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += ((double)answer[i] - p->target[i]) * ((double)answer[i] - p->target[i]);
    return sum / (double)n;
}

static void got_on(void *config, int i, float *x, int64_t n) {
    (void)x;
    (void)n;
    train_owner_moves(config, "preview, sampler step %d", i + 1);
}

static void sample(const train_config *c, net *n, const float *params, const train_pair *p,
                   int image, float *x) {
    sx_rng r = sx_rng_make(c->seed, SX_RNG_SAMPLE, TRAIN_KEY_VALIDATION, (uint64_t)image);
    sx_rng_normals(&r, x, pixels(c));
    df_sample(&c->schedule, n, params, p->lr, c->sampler_steps, x, NULL, got_on, (void *)c);
}

/* ---- regression: the clean image from its degraded twin, absolute error ---- */

/* A network that also takes a noised image and a time gets the condition, and 0. */
static sx_err make_clean(train_maker *m, const dg_config *degrade, train_slice s, train_key key,
                         train_pair *p) {
    const size_t n_bytes = (size_t)pixels(m->c) * sizeof(float);
    sx_err rc = train_maker_degrade(m, degrade, s, &key, p);
    if (rc != SX_OK) return rc;
    p->t = 0;
    memcpy(p->x_t, p->lr, n_bytes);
    memcpy(p->target, p->x0, n_bytes);
    return SX_OK;
}

static double absolute_error(const train_config *c, const train_pair *p, const float *answer,
                             float *d_answer) {
    const int64_t n = pixels(c);
    double scale = 1.0 / ((double)n * c->batch), sum = 0;
    float slope = (float)scale;
    for (int64_t i = 0; i < n; i++) {
        float d = answer[i] - p->target[i];
        sum += fabs((double)d);
        d_answer[i] = d > 0 ? slope : d < 0 ? -slope : 0.0f * d; /* NaN stays NaN */
    }
    return sum * scale;
}

static double mean_absolute(const train_config *c, const train_pair *p, const float *answer) {
    const int64_t n = pixels(c);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs((double)answer[i] - p->target[i]);
    return sum / (double)n;
}

/* Within the range, as `sr` gives it. */
static void answer_once(const train_config *c, net *n, const float *params, const train_pair *p,
                        int image, float *x) {
    const float *answer = net_forward(n, params, p->x_t, p->lr, p->t);
    (void)image;
    for (int64_t i = 0; i < pixels(c); i++) x[i] = fminf(fmaxf(answer[i], -1.0f), 1.0f);
}

/* ---- segmentation: a slice and the class of each pixel, cross-entropy and Dice ---- */

/* What an axial scan does to a slice stays out: the network is shown slices of its own pixels. */
static dg_config without_acquisition(const dg_config *degrade) {
    dg_config c = *degrade;
    c.steps &= 1u << DG_RESCALE | 1u << DG_ROTATE | 1u << DG_BLUR | 1u << DG_NOISE | 1u << DG_BIAS |
               1u << DG_JITTER;
    return c;
}

static sx_err make_labelled(train_maker *m, const dg_config *degrade, train_slice s, train_key key,
                            train_pair *p) {
    const dg_config own = without_acquisition(degrade);
    const sx_err rc = train_maker_label(m, &own, s, &key, p);
    if (rc != SX_OK) return rc;
    p->t = 0;
    memcpy(p->x_t, p->lr, (size_t)pixels(m->c) * sizeof(float));
    memcpy(p->x0, p->target, (size_t)pixels(m->c) * sizeof(float));
    return SX_OK;
}

static double entropy_and_dice(const train_config *c, const train_pair *p, const float *answer,
                               float *d_answer) {
    return train_classes_loss(answer, p->target, pixels(c), c->net.classes, 1.0 / c->batch,
                              d_answer);
}

static double one_minus_dice(const train_config *c, const train_pair *p, const float *answer) {
    return 1.0 - train_classes_dice(answer, p->target, pixels(c), c->net.classes);
}

static void decide(const train_config *c, net *n, const float *params, const train_pair *p,
                   int image, float *x) {
    const float *answer = net_forward(n, params, p->x_t, p->lr, p->t);
    (void)image;
    train_classes_decide(answer, pixels(c), c->net.classes, x);
}

/* ---- the table ---- */

#define OF_IMAGES .captions = {"LR", "SR", "HR"}

static const train_kind kinds[] = {
    {.name = "diffusion",
     .image = "lr",
     OF_IMAGES,
     .timed = true,
     .make = make_noised,
     .loss = squared_error,
     .measure = mean_square,
     .restore = sample},
    {.name = "regression",
     .image = "lr",
     OF_IMAGES,
     .make = make_clean,
     .loss = absolute_error,
     .measure = mean_absolute,
     .restore = answer_once},
    /* the loss of its network against the discriminator comes on top (train_rival.h) */
    {.name = "adversarial",
     .image = "lr",
     OF_IMAGES,
     .rival = true,
     .make = make_clean,
     .loss = absolute_error,
     .measure = mean_absolute,
     .restore = answer_once},
    {.name = "segmentation",
     .image = "lr",
     .classes = true,
     .captions = {"IMAGE", "SEGMENTED", "TRUTH"},
     .make = make_labelled,
     .loss = entropy_and_dice,
     .measure = one_minus_dice,
     .restore = decide},
};

const train_kind *train_kind_find(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}
