/* The rival of a network in adversarial training: a discriminator that tells real images from
 * generated ones, pixel by pixel (a U-Net with spectral norm, Wang et al. 2021), under the loss of
 * train_gan.h.
 *
 * Its images are coupled by means over the batch, so a step looks at all images of the rank twice:
 *
 *     train_rival_begin
 *     for each image:  train_rival_look(its pair, what the network makes of it)
 *     train_rival_meet                       sums of all ranks' images, in the order of the images
 *     for each image:  train_rival_oppose    gradients of both networks
 *
 * Both networks are updated from these gradients: the discriminator sees the images from before the
 * generator's update, as in ESRGAN. Its weights are a block of the training's state (train_state.h)
 * that holds the vectors of the spectral norm, too; they change with an update only. */
#ifndef TRAIN_RIVAL_H
#define TRAIN_RIVAL_H

#include "jobs/train/train_pair.h"

/* Powers of the iteration with which the spectral norm of initial weights is found. */
enum { TRAIN_RIVAL_ITERATIONS = 15 };

/* Architecture and sizes of the discriminator. Errors: SX_E_CONFIG. */
sx_err train_rival_config(const train_config *c, net_config *d);
/* The discriminator for images of the training; *n is NULL for kinds without one. Errors:
 * SX_E_CONFIG, SX_E_NOMEM. */
sx_err train_rival_net(const train_config *c, net **n);
/* Initial weights into block [p->block]. */
void train_rival_init(const train_config *c, const nn_params *p, float *block);

typedef struct train_rival train_rival;
/* For images first_image .. last_image - 1 of a batch; everything borrowed. */
train_rival *train_rival_new(const train_config *c, net *n, int first_image, int last_image);
void train_rival_free(train_rival *r); /* takes NULL */

/* Weights [params->block] of this step; borrowed until the next one. */
void train_rival_begin(train_rival *r, const float *block);
/* Keep pair and answer [crop][crop] of an image of the batch, and what the rival thinks of them. */
void train_rival_look(train_rival *r, int image, const train_pair *p, const float *answer);
/* Looking is over, with this result of this rank. Collective over c->comm. Errors: those of the
 * ranks, the same on all. */
sx_err train_rival_meet(train_rival *r, sx_err mine);
/* The pair of an image that was looked at; borrowed. */
const train_pair *train_rival_pair(const train_rival *r, int image);
/* An image's share of the weighted L_G, whose gradient is added to d_answer [crop][crop]. Its share
 * of L_D is added to *loss; the gradients of that by the effective weights to grads [block]. */
double train_rival_oppose(train_rival *r, int image, float *d_answer, float *grads, double *loss);

/* From the sum of all grads that of the stored weights `block`; borrowed until the next look. */
const float *train_rival_gradient(train_rival *r, const float *block, const float *sum);

#endif
