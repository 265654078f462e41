/* What a step needs of one image, and what makes it. What exactly a pair holds is the business of
 * its kind (train_kind.h); the making is keyed by (seed, epoch word, item). Not collective. */
#ifndef TRAIN_PAIR_H
#define TRAIN_PAIR_H

#include "io/io_cache.h"
#include "jobs/train/train.h"

/* A slice of the cache. */
typedef struct train_slice {
    int32_t volume, slice;
} train_slice;

/* Planes [crop][crop], images in -1..1. */
typedef struct train_pair {
    int64_t item;
    int t;          /* diffusion time; 0 for kinds without one */
    float *x0, *lr; /* clean image, condition */
    float *x_t;     /* what the network gets beside the condition */
    float *target;  /* what it should answer; for segmentation the class of each pixel */
} train_pair;
void train_pair_init(train_pair *p, int crop);
void train_pair_clear(train_pair *p);
/* Everything of `from` into `to`, which has its own planes. */
void train_pair_copy(train_pair *to, const train_pair *from, int crop);

/* Names the random numbers of a pair. */
typedef struct train_key {
    uint64_t epoch; /* word of random streams: 0, or TRAIN_KEY_VALIDATION */
    int64_t item;
    int t; /* diffusion time; negative: drawn */
} train_key;

/* Makes pairs; one a thread. */
typedef struct train_maker {
    const train_config *c;
    io_cache *cache;
    dg_work *work;
    float *source;           /* the largest slice of the cache */
    uint8_t *labels, *label; /* the same of labels; [crop][crop] */
    float *noise;            /* [crop][crop] */
} train_maker;
/* Everything borrowed. */
train_maker *train_maker_new(const train_config *c, io_cache *k);
void train_maker_free(train_maker *m); /* takes NULL */

/* Item, clean image and condition of a pair: a slice and its degraded twin.
 * Errors: SX_E_DATA, SX_E_IO, SX_E_NOMEM; the message names the volume's file and the slice. */
sx_err train_maker_degrade(train_maker *m, const dg_config *degrade, train_slice s,
                           const train_key *key, train_pair *p);

/* The same and, as p->target, the class (spine/sp_class.h) of each pixel of both. Errors: as above;
 * SX_E_DATA also when the volume has no labels. */
sx_err train_maker_label(train_maker *m, const dg_config *degrade, train_slice s,
                         const train_key *key, train_pair *p);

#endif
