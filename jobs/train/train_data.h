/* Training data: which slice is image i of step s, and its pair (train_pair.h), made ahead of time.
 *
 * The slices of a split are listed once (same list on all ranks). Item g = s * batch + i belongs to
 * epoch g / n, whose permutation says which slice it is; batches run across epoch borders. A feed
 * has train.workers threads that make the items of this rank's shards a few images ahead, and gives
 * them out in the order in which the step takes them. */
#ifndef TRAIN_DATA_H
#define TRAIN_DATA_H

#include "io/io_cache.h"
#include "jobs/train/train.h"
#include "jobs/train/train_pair.h"

typedef struct train_slices {
    train_slice *item; /* [n] by volume, then slice; owned */
    int64_t n;
    int64_t n_small, n_empty; /* left out: too small to be degraded, too little content */
    int64_t n_bare;           /* left out: without labels */
} train_slices;

/* List a split; of the volumes with labels alone if asked. Each rank looks at its share of the
 * volumes. Collective over c. Errors: SX_E_DATA (a damaged slice), SX_E_IO, SX_E_NOMEM. */
sx_err train_slices_list(train_slices *s, mp_comm *c, io_cache *k, io_split split,
                         double min_content, bool labelled);
void train_slices_clear(train_slices *s);

typedef struct train_feed train_feed;
/* Start making the items of shards first_shard..last_shard-1 from `first_step` on; all borrowed. */
sx_err train_feed_new(train_feed **f, const train_config *c, io_cache *k, const train_slices *s,
                      int first_shard, int last_shard, int64_t first_step);
/* Stops the threads; takes NULL. */
void train_feed_free(train_feed *f);
/* Next pair, borrowed until the next call; *waited_s grows by the time spent waiting for it.
 * Errors: what the maker met; the feed then gives nothing more. */
sx_err train_feed_next(train_feed *f, const train_pair **p, double *waited_s);

/* Images of shard v: train_shard_first(c, v) .. train_shard_first(c, v + 1) - 1. */
int train_shard_first(const train_config *c, int shard);

#endif
