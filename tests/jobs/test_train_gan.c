/* Adversarial training: the loss against its formula written out, gradients of both networks
 * against finite differences through the means over the batch. */
#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "jobs/train/train_gan.h"
#include "jobs/train/train_kind.h"
#include "jobs/train/train_rival.h"
#include "model/nn_spectral.h"
#include "tests/check_run.h"

enum { IMAGES = 3, SIDE = 16, PIXELS = SIDE * SIDE, ALL = IMAGES * PIXELS };

/* ---- the formula, over the whole batch at once ---- */

static double mean(const float *x) {
    double sum = 0;
    for (int i = 0; i < ALL; i++) sum += (double)x[i];
    return sum / ALL;
}

/* -log(sigma(x)) and -log(1 - sigma(x)): binary cross-entropy of a logit. */
static double real_term(double x) {
    return -log(1 / (1 + exp(-x)));
}
static double fake_term(double x) {
    return -log(1 - 1 / (1 + exp(-x)));
}

static double discriminator_loss(const float *real, const float *fake) {
    double r = mean(real), f = mean(fake), sum = 0;
    for (int i = 0; i < ALL; i++)
        sum += real_term((double)real[i] - f) + fake_term((double)fake[i] - r);
    return 0.5 * sum / ALL;
}

static double generator_loss(const float *real, const float *fake) {
    double r = mean(real), f = mean(fake), sum = 0;
    for (int i = 0; i < ALL; i++)
        sum += fake_term((double)real[i] - f) + real_term((double)fake[i] - r);
    return 0.5 * sum / ALL;
}

/* ---- losses and gradients by logits ---- */

typedef struct maps {
    float real[ALL], fake[ALL];
} maps;

static void draw(maps *m) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    sx_rng_normals(&r, m->real, ALL);
    sx_rng_normals(&r, m->fake, ALL);
    for (int i = 0; i < ALL; i++) m->real[i] += 0.7f;
}

/* As a training does it: image by image. */
static train_gan meet(const maps *m) {
    train_gan g = {.n = ALL};
    double sum[4] = {0};
    for (int i = 0; i < IMAGES; i++) {
        sum[0] += train_gan_sum(m->real + i * PIXELS, PIXELS);
        sum[1] += train_gan_sum(m->fake + i * PIXELS, PIXELS);
    }
    g.real = sum[0] / ALL;
    g.fake = sum[1] / ALL;
    for (int i = 0; i < IMAGES; i++) {
        sum[2] += train_gan_doubt(&g, m->real + i * PIXELS, PIXELS);
        sum[3] += train_gan_belief(&g, m->fake + i * PIXELS, PIXELS);
    }
    g.doubt = sum[2] / ALL;
    g.belief = sum[3] / ALL;
    return g;
}

static void near(double got, double want, double tolerance, const char *what) {
    ck_assert_msg(fabs(got - want) <= tolerance * fmax(fabs(want), 1e-12),
                  "%s: got %.9g, want %.9g", what, got, want);
}

START_TEST(losses_image_by_image_are_those_of_the_batch) {
    maps m;
    float d[PIXELS];
    double judged = 0, deceived = 0;
    draw(&m);
    train_gan g = meet(&m);
    for (int at = 0; at < ALL; at += PIXELS) {
        judged += train_gan_judge_real(&g, m.real + at, PIXELS, d);
        judged += train_gan_judge_fake(&g, m.fake + at, PIXELS, d);
        deceived += train_gan_deceive(&g, m.real + at, m.fake + at, PIXELS, 3, d);
    }
    near(judged, discriminator_loss(m.real, m.fake), 1e-12, "L_D");
    near(deceived, generator_loss(m.real, m.fake), 1e-12, "L_G");
}
END_TEST

typedef double loss_of(const float *real, const float *fake);

/* Slope of a loss by one logit, with a step that floats hold exactly. */
static double slope(loss_of *loss, maps *m, float *logit) {
    const float was = *logit, h = 0x1p-6f;
    *logit = was + h;
    double up = loss(m->real, m->fake), to = (double)*logit;
    *logit = was - h;
    double down = loss(m->real, m->fake), from = (double)*logit;
    *logit = was;
    return (up - down) / (to - from);
}

START_TEST(gradients_by_logits_are_slopes_through_the_means_too) {
    maps m;
    float d_real[PIXELS], d_fake[PIXELS], d_generator[PIXELS];
    draw(&m);
    train_gan g = meet(&m);
    for (int at = 0; at < ALL; at += PIXELS) {
        train_gan_judge_real(&g, m.real + at, PIXELS, d_real);
        train_gan_judge_fake(&g, m.fake + at, PIXELS, d_fake);
        train_gan_deceive(&g, m.real + at, m.fake + at, PIXELS, 3, d_generator);
        for (int i = 0; i < PIXELS; i += 37) {
            near(d_real[i], slope(discriminator_loss, &m, &m.real[at + i]), 1e-4, "real, L_D");
            near(d_fake[i], slope(discriminator_loss, &m, &m.fake[at + i]), 1e-4, "fake, L_D");
            near(d_generator[i], 3 * slope(generator_loss, &m, &m.fake[at + i]), 1e-4, "fake, L_G");
        }
    }
}
END_TEST

START_TEST(logits_far_out_give_finite_losses_and_gradients) {
    maps m;
    float d[PIXELS];
    for (int i = 0; i < ALL; i++) m.real[i] = -1e4f, m.fake[i] = 1e4f;
    train_gan g = meet(&m);
    double loss =
        train_gan_judge_real(&g, m.real, PIXELS, d) + train_gan_judge_fake(&g, m.fake, PIXELS, d);
    near(loss, 2e4 / IMAGES, 1e-9, "L_D of an image");
    near(d[0], 1.0 / ALL, 1e-6, "its gradient");
}
END_TEST

/* ---- both networks ---- */

/* A batch on this rank alone. */
typedef struct duel {
    train_config c;
    net *n, *rival;
    float *param, *rival_param;
    train_pair pair[IMAGES];
} duel;

static float *random_block(const nn_params *p, uint64_t seed) {
    float *x = nn_params_block(p);
    sx_rng r = sx_rng_make(seed, SX_RNG_TEST, 1, 0);
    sx_rng_normals(&r, x, p->block);
    for (int64_t i = 0; i < p->block; i++) x[i] *= 0.05f;
    return x;
}

static void duel_begin(duel *y) {
    *y = (duel){.c = {.comm = mp_self(),
                      .kind = train_kind_find("adversarial"),
                      .batch = IMAGES,
                      .crop = SIDE,
                      .seed = 5,
                      .rival_channels = 4,
                      .gan_weight = 30,
                      .threads = 1}};
    ck_assert_int_eq(nn_kernels_get("ref", &y->c.kernels), SX_OK);
    ck_assert_int_eq(net_config_of("rrdb", &y->c.net), SX_OK);
    y->c.net.base_channels = 4;
    y->c.net.blocks = 1;
    y->c.net.growth = 4;
    y->c.net.unshuffle = 2;
    ck_assert_int_eq(net_new(&y->n, &y->c.net, SIDE, SIDE, y->c.kernels, (net_opt){.train = true}),
                     SX_OK);
    ck_assert_int_eq(train_rival_net(&y->c, &y->rival), SX_OK);
    y->param = random_block(net_params(y->n), 1);
    y->rival_param = nn_params_block(net_params(y->rival));
    train_rival_init(&y->c, net_params(y->rival), y->rival_param);
    for (int i = 0; i < IMAGES; i++) {
        sx_rng r = sx_rng_make(9, SX_RNG_TEST, 2, (uint64_t)i);
        train_pair_init(&y->pair[i], SIDE);
        sx_rng_normals(&r, y->pair[i].lr, PIXELS);
        sx_rng_normals(&r, y->pair[i].x0, PIXELS);
        memcpy(y->pair[i].target, y->pair[i].x0, PIXELS * sizeof(float));
    }
}

static void duel_end(duel *y) {
    for (int i = 0; i < IMAGES; i++) train_pair_clear(&y->pair[i]);
    net_free(y->n);
    net_free(y->rival);
    sx_free(y->param);
    sx_free(y->rival_param);
}

typedef struct losses {
    double own, rival;
} losses;

/* Both losses by the formula. */
static losses plain_losses(duel *y, const float *param, const float *rival_param) {
    maps m;
    losses l = {0};
    float *effective = nn_params_block(net_params(y->rival));
    nn_spectral_effective(net_params(y->rival), rival_param, effective);
    for (int i = 0; i < IMAGES; i++) {
        const train_pair *p = &y->pair[i];
        float fake[PIXELS];
        memcpy(fake, net_forward(y->n, param, NULL, p->lr, 0), sizeof fake);
        for (int k = 0; k < PIXELS; k++) l.own += fabs((double)fake[k] - p->x0[k]) / ALL;
        memcpy(m.fake + i * PIXELS, net_forward(y->rival, effective, NULL, fake, 0), sizeof fake);
        memcpy(m.real + i * PIXELS, net_forward(y->rival, effective, NULL, p->x0, 0), sizeof fake);
    }
    l.own += y->c.gan_weight * generator_loss(m.real, m.fake);
    l.rival = discriminator_loss(m.real, m.fake);
    sx_free(effective);
    return l;
}

/* As a step does it. Gradients are filled. */
static losses stepped_losses(duel *y, float *grads, float *rival_grads) {
    const int64_t n = net_params(y->rival)->block;
    train_rival *r = train_rival_new(&y->c, y->rival, 0, IMAGES);
    float d[PIXELS];
    losses l = {0};
    memset(rival_grads, 0, (size_t)n * sizeof(float));
    train_rival_begin(r, y->rival_param);
    for (int i = 0; i < IMAGES; i++)
        train_rival_look(r, i, &y->pair[i], net_forward(y->n, y->param, NULL, y->pair[i].lr, 0));
    ck_assert_int_eq(train_rival_meet(r, SX_OK), SX_OK);
    for (int i = 0; i < IMAGES; i++) {
        const train_pair *p = train_rival_pair(r, i);
        l.own += y->c.kind->loss(&y->c, p, net_forward(y->n, y->param, NULL, p->lr, 0), d);
        l.own += train_rival_oppose(r, i, d, rival_grads, &l.rival);
        net_backward(y->n, y->param, d, grads);
    }
    memcpy(rival_grads, train_rival_gradient(r, y->rival_param, rival_grads),
           (size_t)n * sizeof(float));
    train_rival_free(r);
    return l;
}

/* x + step * along, new. */
static float *moved(const float *x, const float *along, double step, int64_t n) {
    float *y = SX_NEW_ARRAY(float, n);
    for (int64_t i = 0; i < n; i++) y[i] = (float)((double)x[i] + step * (double)along[i]);
    return y;
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Slope of a network's loss along a direction of its parameters. */
static double slope_along(duel *y, bool rival, const float *along, double h) {
    const float *from = rival ? y->rival_param : y->param;
    const int64_t n = net_params(rival ? y->rival : y->n)->block;
    double at[2];
    for (int i = 0; i < 2; i++) {
        float *x = moved(from, along, i ? h : -h, n);
        losses l = rival ? plain_losses(y, y->param, x) : plain_losses(y, x, y->rival_param);
        at[i] = rival ? l.rival : l.own;
        sx_free(x);
    }
    return (at[1] - at[0]) / (2 * h);
}

/* Along the gradient, and along each parameter's part of it: a part that is wrong is not lost among
 * the others. */
static void check_slopes(duel *y, bool rival, const float *grads) {
    const nn_params *p = net_params(rival ? y->rival : y->n);
    const double all = dot(grads, grads, p->block);
    ck_assert_msg(all > 0, "no gradient");
    near(slope_along(y, rival, grads, 1e-3 / sqrt(all)), all, 0.02, "along the gradient");
    int n_checked = 0;
    for (int i = 0; i < p->n; i++) {
        float *part = SX_NEW_ARRAY(float, p->block);
        const nn_param *q = &p->item[i];
        memcpy(part + q->offset, grads + q->offset, (size_t)q->count * sizeof(float));
        const double square = dot(part, part, p->block);
        if (square > 1e-3 * all) { /* less drowns in the rounding of the losses */
            near(slope_along(y, rival, part, 1e-3 / sqrt(square)), square, 0.05, q->name);
            n_checked++;
        }
        sx_free(part);
    }
    ck_assert_int_ge(n_checked, 3);
}

START_TEST(gradients_of_both_networks_are_slopes_of_their_losses) {
    duel y;
    duel_begin(&y);
    float *grads = nn_params_block(net_params(y.n));
    float *rival_grads = nn_params_block(net_params(y.rival));
    losses got = stepped_losses(&y, grads, rival_grads);
    losses want = plain_losses(&y, y.param, y.rival_param);
    near(got.own, want.own, 1e-6, "loss of the generator");
    near(got.rival, want.rival, 1e-6, "loss of the discriminator");
    check_slopes(&y, false, grads);
    check_slopes(&y, true, rival_grads);
    sx_free(grads);
    sx_free(rival_grads);
    duel_end(&y);
}
END_TEST

START_TEST(one_rank_that_cannot_look_fails_the_step) {
    duel y;
    duel_begin(&y);
    train_rival *r = train_rival_new(&y.c, y.rival, 0, IMAGES);
    ck_assert_int_eq(train_rival_meet(r, sx_fail(SX_E_DATA, "no image")), SX_E_DATA);
    train_rival_free(r);
    duel_end(&y);
}
END_TEST

int main(void) {
    return CHECK_RUN("train_gan", losses_image_by_image_are_those_of_the_batch,
                     gradients_by_logits_are_slopes_through_the_means_too,
                     logits_far_out_give_finite_losses_and_gradients,
                     gradients_of_both_networks_are_slopes_of_their_losses,
                     one_rank_that_cannot_look_fails_the_step);
}
