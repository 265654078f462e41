/* Kinds of training: what a pair holds, how an answer is judged, how an image is restored.
 *
 * A kind is a row of the table in train_kind.c. Everything else of a training (which slice when,
 * sums over shards and ranks, clip, Adam, average, checkpoints, metrics) is the same for all. The
 * functions of a row are not collective; they are called for one image at a time. */
#ifndef TRAIN_KIND_H
#define TRAIN_KIND_H

#include "jobs/train/train_pair.h"

struct train_kind {
    const char *name;
    /* What the network must take: net_about.image, and a diffusion time. */
    const char *image;
    bool timed;
    /* Trained against a discriminator (train_rival.h). */
    bool rival;
    /* The answer has a channel for each class, the slices must have labels, and what is restored
     * and p->x0 are classes. */
    bool classes;
    const char *captions[3]; /* of a preview: p->lr, what was restored, p->x0 */
    /* Fill p from a slice, all random numbers by the key. Errors: SX_E_DATA, SX_E_IO, SX_E_NOMEM;
     * the message names the volume's file and the slice. */
    sx_err (*make)(train_maker *m, const dg_config *degrade, train_slice s, train_key key,
                   train_pair *p);
    /* Judge the network's answer: the image's share of the batch's loss; d_answer is filled with
     * its gradient. */
    double (*loss)(const train_config *c, const train_pair *p, const float *answer,
                   float *d_answer);
    /* What validation tells of one image; the mean over the set is its loss. */
    double (*measure)(const train_config *c, const train_pair *p, const float *answer);
    /* Image number `image` of the validation set as the trained network would give it, -1..1, into
     * x [crop][crop]. */
    void (*restore)(const train_config *c, net *n, const float *params, const train_pair *p,
                    int image, float *x);
};

/* The kind of this name; NULL: there is none. */
const train_kind *train_kind_find(const char *name);

#endif
