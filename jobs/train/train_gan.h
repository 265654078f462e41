/* Relativistic average GAN per pixel, in ESRGAN's own form (Wang et al. 2018, eq. 1 and 2, after
 * Jolicoeur-Martineau 2019), for images that come one at a time.
 *
 * C is the discriminator's logit of a pixel, x_r a real and x_f a generated one; all means are over
 * all pixels of all images of a batch; r = mean C(x_r), f = mean C(x_f), softplus(x) =
 * log(1 + e^x), so that -log(sigma(x)) = softplus(-x):
 *
 *     L_D = 1/2 mean softplus(f - C(x_r)) + 1/2 mean softplus(C(x_f) - r)
 *     L_G = 1/2 mean softplus(C(x_r) - f) + 1/2 mean softplus(r - C(x_f))
 *
 * There is no sigmoid inside of another one. Gradients flow through r and f, too, which couple the
 * images of a batch: first the sums of all logits are needed, then those of two sigmoids, and then
 * each image can be judged by itself. Plain functions of data; not collective; no errors. */
#ifndef TRAIN_GAN_H
#define TRAIN_GAN_H

#include <stdint.h>

/* What couples the images. */
typedef struct train_gan {
    int64_t n;         /* pixels of all images */
    double real, fake; /* r, f */
    double doubt;      /* mean sigma(f - C(x_r)): how little real pixels look more real */
    double belief;     /* mean sigma(C(x_f) - r): how much generated ones do */
} train_gan;

/* Sums over the n logits of one image; `doubt` needs g->fake, `belief` needs g->real. */
double train_gan_sum(const float *logit, int64_t n);
double train_gan_doubt(const train_gan *g, const float *real, int64_t n);
double train_gan_belief(const train_gan *g, const float *fake, int64_t n);

/* One image's share of a loss; d [n] is filled with the gradient of that loss (of the whole batch)
 * by these logits. L_D: the real half and the generated half. L_G: both halves at once, `weight`
 * times the gradient by the generated logits; the real ones do not depend on the generator. */
double train_gan_judge_real(const train_gan *g, const float *real, int64_t n, float *d);
double train_gan_judge_fake(const train_gan *g, const float *fake, int64_t n, float *d);
double train_gan_deceive(const train_gan *g, const float *real, const float *fake, int64_t n,
                         double weight, float *d);

#endif
