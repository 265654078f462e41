/* The discriminator's part of a step.
 *
 * Forward passes of the discriminator are made again where their gradients are needed: its engine
 * holds one image, logit maps are all that is kept. The generated image has two backward passes,
 * one for each loss, because the generator's would leave gradients of the discriminator that are
 * not its own. Sums over images are added in their order, so they do not depend on who had which.
 */
#include "jobs/train/train_rival.h"

#include <string.h>
#include "base/sx_mem.h"
#include "jobs/train/train_gan.h"
#include "jobs/train/train_kind.h"
#include "model/nn_spectral.h"

/* Seeds of users are smaller. */
#define RIVAL_SEED ((uint64_t)1 << 63)

/* An image that was looked at. */
typedef struct seen {
    train_pair pair;
    float *fake;                    /* [crop][crop] what the network made of it */
    float *real_logit, *fake_logit; /* [crop][crop] */
} seen;

struct train_rival {
    const train_config *c;
    net *n;
    int64_t pixels;
    int first, n_seen;
    seen *seen;       /* [n_seen] of images first .. */
    double *sum;      /* [2][batch] numbers of images */
    float *effective; /* [block] what the network runs with */
    float *grads;     /* [block] of the generator's loss, for nobody; then of the stored weights */
    float *d_logit;   /* [crop][crop] */
    train_gan gan;
};

sx_err train_rival_config(const train_config *c, net_config *d) {
    const sx_err rc = net_config_of("discriminator", d);
    d->base_channels = c->rival_channels;
    return rc;
}

sx_err train_rival_net(const train_config *c, net **n) {
    net_config d;
    *n = NULL;
    if (!c->kind->rival) return SX_OK;
    const sx_err rc = train_rival_config(c, &d);
    return rc != SX_OK ? rc
                       : net_new(n, &d, c->crop, c->crop, c->kernels,
                                 (net_opt){.train = true,
                                           .input_grad = true,
                                           .threads = c->threads,
                                           .most_bytes = c->activation_bytes,
                                           .plan_only = c->dry_run});
}

void train_rival_init(const train_config *c, const nn_params *p, float *block) {
    nn_params_init(p, block, c->seed ^ RIVAL_SEED);
    for (int i = 0; i < TRAIN_RIVAL_ITERATIONS; i++) nn_spectral_iterate(p, block);
}

train_rival *train_rival_new(const train_config *c, net *n, int first_image, int last_image) {
    train_rival *r = SX_NEW(train_rival);
    *r = (train_rival){.c = c,
                       .n = n,
                       .pixels = net_pixels(n),
                       .first = first_image,
                       .n_seen = last_image - first_image};
    r->seen = SX_NEW_ARRAY(seen, r->n_seen + 1);
    for (int i = 0; i < r->n_seen; i++) {
        seen *s = &r->seen[i];
        train_pair_init(&s->pair, c->crop);
        s->fake = SX_NEW_ARRAY(float, 3 * r->pixels);
        s->real_logit = s->fake + r->pixels;
        s->fake_logit = s->real_logit + r->pixels;
    }
    r->sum = SX_NEW_ARRAY(double, 2 * (int64_t)c->batch);
    r->effective = nn_params_block(net_params(n));
    r->grads = nn_params_block(net_params(n));
    r->d_logit = SX_NEW_ARRAY(float, r->pixels);
    return r;
}

void train_rival_free(train_rival *r) {
    if (!r) return;
    for (int i = 0; i < r->n_seen; i++) {
        train_pair_clear(&r->seen[i].pair);
        sx_free(r->seen[i].fake); /* the block of three */
    }
    sx_free(r->seen);
    sx_free(r->sum);
    sx_free(r->effective);
    sx_free(r->grads);
    sx_free(r->d_logit);
    sx_free(r);
}

/* ---- the first look ---- */

static void judge(train_rival *r, const float *image) {
    net_forward(r->n, r->effective, NULL, image, 0);
}

static void judge_into(train_rival *r, const float *image, float *logit) {
    memcpy(logit, net_forward(r->n, r->effective, NULL, image, 0),
           (size_t)r->pixels * sizeof(float));
}

void train_rival_begin(train_rival *r, const float *block) {
    nn_spectral_effective(net_params(r->n), block, r->effective);
}

static seen *seen_of(const train_rival *r, int image) {
    return &r->seen[image - r->first];
}

void train_rival_look(train_rival *r, int image, const train_pair *p, const float *answer) {
    seen *s = seen_of(r, image);
    train_pair_copy(&s->pair, p, r->c->crop);
    memcpy(s->fake, answer, (size_t)r->pixels * sizeof(float));
    judge_into(r, p->x0, s->real_logit);
    judge_into(r, s->fake, s->fake_logit);
}

const train_pair *train_rival_pair(const train_rival *r, int image) {
    return &seen_of(r, image)->pair;
}

/* Means over the batch of what `real_of` and `fake_of` sum up of an image. Only the rank of an
 * image has numbers of it that are not zero, so sums over ranks are exact. Collective. */
typedef double image_sum(const train_gan *g, const float *logit, int64_t n);

static double logits(const train_gan *g, const float *logit, int64_t n) {
    (void)g;
    return train_gan_sum(logit, n);
}

static void mean_over_batch(train_rival *r, image_sum *real_of, image_sum *fake_of, double *real,
                            double *fake) {
    const int batch = r->c->batch;
    double *of_real = r->sum, *of_fake = r->sum + batch;
    memset(r->sum, 0, 2 * (size_t)batch * sizeof *r->sum);
    for (int i = 0; i < r->n_seen; i++) {
        of_real[r->first + i] = real_of(&r->gan, r->seen[i].real_logit, r->pixels);
        of_fake[r->first + i] = fake_of(&r->gan, r->seen[i].fake_logit, r->pixels);
    }
    mp_sum_f64(r->c->comm, r->sum, 2 * batch);
    *real = *fake = 0;
    for (int i = 0; i < batch; i++) {
        *real += of_real[i];
        *fake += of_fake[i];
    }
    *real /= (double)r->gan.n;
    *fake /= (double)r->gan.n;
}

sx_err train_rival_meet(train_rival *r, sx_err mine) {
    sx_err rc = mp_agree(r->c->comm, mine);
    if (rc != SX_OK) return rc;
    train_gan *g = &r->gan;
    g->n = r->pixels * r->c->batch;
    mean_over_batch(r, logits, logits, &g->real, &g->fake);
    mean_over_batch(r, train_gan_doubt, train_gan_belief, &g->doubt, &g->belief);
    return SX_OK;
}

/* ---- gradients ---- */

/* Of the generator's loss by its image. */
static double oppose_generator(train_rival *r, const seen *s, float *d_answer) {
    const double weight = r->c->gan_weight;
    double loss =
        train_gan_deceive(&r->gan, s->real_logit, s->fake_logit, r->pixels, weight, r->d_logit);
    judge(r, s->fake);
    net_backward(r->n, r->effective, r->d_logit, r->grads);
    const float *d_image = net_input_grad(r->n, "lr");
    for (int64_t i = 0; i < r->pixels; i++) d_answer[i] += d_image[i];
    return weight * loss;
}

double train_rival_oppose(train_rival *r, int image, float *d_answer, float *grads, double *loss) {
    const seen *s = seen_of(r, image);
    double generator = oppose_generator(r, s, d_answer);
    *loss += train_gan_judge_fake(&r->gan, s->fake_logit, r->pixels, r->d_logit);
    judge(r, s->fake);
    net_backward(r->n, r->effective, r->d_logit, grads);
    *loss += train_gan_judge_real(&r->gan, s->real_logit, r->pixels, r->d_logit);
    judge(r, s->pair.x0);
    net_backward(r->n, r->effective, r->d_logit, grads);
    return generator;
}

const float *train_rival_gradient(train_rival *r, const float *block, const float *sum) {
    const nn_params *p = net_params(r->n);
    memcpy(r->grads, sum, (size_t)p->block * sizeof(float));
    nn_spectral_gradient(p, block, r->grads);
    return r->grads;
}
