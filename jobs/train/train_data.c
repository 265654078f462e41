/* Slices and the feed.
 *
 * The feed is a ring of pairs between its workers and the step. A worker takes the next place in
 * the ring, then makes its pair; it calls neither MPI nor the network. Places are taken
 * and given out in order, so the step does not notice who made what. A failure travels as the place
 * it belongs to, a code and a text, so that the step can agree on it with the other ranks. */
#include "jobs/train/train_data.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "jobs/train/train_kind.h"

/* ---- slices ---- */

enum {
    MIN_SIDE = 54,       /* pixels; a crop of 160 from less is mostly its own mirror image */
    CONTENT_LEVEL = 6554 /* 0.1 in the cache's 16 bits: what counts as tissue */
};

static bool has_content(const uint16_t *pixels, int64_t n, double min_content) {
    int64_t above = 0;
    for (int64_t i = 0; i < n; i++) above += pixels[i] > CONTENT_LEVEL;
    return (double)above >= min_content * (double)n;
}

/* A list that grows; the verdict on each slice of this rank's volumes. */
typedef struct verdicts {
    train_slice *item;
    int64_t n, n_small, n_empty, n_bare;
} verdicts;

static void keep(verdicts *v, int64_t volume, int64_t slice) {
    v->item = sx_grow(v->item, v->n, sizeof *v->item);
    v->item[v->n++] = (train_slice){(int32_t)volume, (int32_t)slice};
}

static sx_err judge_volume(verdicts *v, io_cache *k, int64_t volume, double min_content) {
    const io_cache_volume *e = io_cache_entry(k, volume);
    if (e->h < MIN_SIDE || e->w < MIN_SIDE) {
        v->n_small += e->n;
        return SX_OK;
    }
    uint16_t *pixels = NULL;
    if (min_content > 0) {
        sx_err rc = io_cache_pixels(k, volume, &pixels);
        if (rc != SX_OK) return rc;
    }
    for (int64_t s = 0; s < e->n; s++) {
        if (!pixels || has_content(pixels + s * e->h * e->w, e->h * e->w, min_content))
            keep(v, volume, s);
        else
            v->n_empty++;
    }
    sx_free(pixels);
    return SX_OK;
}

static int by_volume_and_slice(const void *a, const void *b) {
    const train_slice *x = a, *y = b;
    if (x->volume != y->volume) return x->volume < y->volume ? -1 : 1;
    return (x->slice > y->slice) - (x->slice < y->slice);
}

sx_err train_slices_list(train_slices *s, mp_comm *c, io_cache *k, io_split split,
                         double min_content, bool labelled) {
    verdicts v = {0};
    sx_err rc = SX_OK;
    for (int64_t i = mp_rank(c); i < io_cache_n_volumes(k) && rc == SX_OK; i += mp_size(c)) {
        const io_cache_volume *e = io_cache_entry(k, i);
        if (!e->ok || e->split != split) continue;
        if (labelled && !e->labels_sha256[0])
            v.n_bare += e->n;
        else
            rc = judge_volume(&v, k, i, min_content);
    }
    rc = mp_agree(c, rc);
    if (rc == SX_OK) {
        size_t n_bytes = 0;
        void *all = NULL;
        int64_t out[3] = {v.n_small, v.n_empty, v.n_bare};
        mp_allgather(c, v.item, (size_t)v.n * sizeof *v.item, &all, &n_bytes);
        mp_sum_i64(c, out, 3);
        s->item = all;
        s->n = (int64_t)(n_bytes / sizeof *s->item);
        s->n_small = out[0];
        s->n_empty = out[1];
        s->n_bare = out[2];
        qsort(s->item, (size_t)s->n, sizeof *s->item, by_volume_and_slice);
    }
    sx_free(v.item);
    return rc;
}

void train_slices_clear(train_slices *s) {
    sx_free(s->item);
    memset(s, 0, sizeof *s);
}

/* ---- feed ---- */

/* Places of the ring: one in the step's hands, one in each worker's, and a few made ahead; a
 * network step takes far longer than a pair, so a few hide any hiccup. */
static int ring_size(const train_config *c) {
    return 6 + 2 * c->workers;
}

typedef struct place {
    train_pair pair;
    bool ready;
} place;

typedef struct worker {
    struct train_feed *feed;
    train_maker *maker;
    pthread_t thread;
} worker;

struct train_feed {
    const train_config *c;
    const train_slices *slices;
    int first_image, last_image; /* of a batch: this rank's */
    int64_t first_step;
    worker *worker;
    int n_running;

    /* under the lock; pairs are counted from the first one of this feed */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    place *ring;
    int n_ring;
    int64_t begun, taken; /* pairs; the one in use is taken - 1 */
    bool stop;
    int64_t *order; /* [slices->n] permutation of `epoch` */
    int64_t epoch;
    int64_t failed; /* the first pair that could not be made; INT64_MAX: none */
    sx_err rc;      /* why */
    char text[1024];
};

int train_shard_first(const train_config *c, int shard) {
    return (int)((int64_t)c->batch * shard / c->shards);
}

/* Item of this feed's pair k. */
static int64_t item_of(const train_feed *f, int64_t k) {
    int64_t a_step = f->last_image - f->first_image;
    return (f->first_step + k / a_step) * f->c->batch + f->first_image + k % a_step;
}

/* The slice of item g; keeps the permutation of g's epoch. */
static train_slice slice_of(train_feed *f, int64_t g) {
    int64_t n = f->slices->n, epoch = g / n;
    if (epoch != f->epoch) {
        sx_rng r = sx_rng_make(f->c->seed, SX_RNG_ORDER, (uint64_t)epoch, 0);
        sx_rng_permutation(&r, f->order, n);
        f->epoch = epoch;
    }
    return f->slices->item[f->order[g % n]];
}

static bool is_over(const train_feed *f) {
    return f->stop || f->begun >= f->failed;
}

/* The next pair gets the place of the one n_ring before it, which the step must have given back. */
static bool has_place(const train_feed *f) {
    const int64_t in_use = f->taken - 1;
    return f->begun - f->n_ring < in_use;
}

/* Take the next pair to be made once its place is free; false: there is no more to do. */
static bool begin_pair(train_feed *f, int64_t *k, train_slice *s) {
    pthread_mutex_lock(&f->lock);
    while (!is_over(f) && !has_place(f)) pthread_cond_wait(&f->changed, &f->lock);
    const bool go = !is_over(f);
    if (go) {
        *k = f->begun++;
        *s = slice_of(f, item_of(f, *k));
        f->ring[*k % f->n_ring].ready = false;
    }
    pthread_mutex_unlock(&f->lock);
    return go;
}

static void end_pair(train_feed *f, int64_t k, sx_err rc) {
    pthread_mutex_lock(&f->lock);
    if (rc == SX_OK) {
        f->ring[k % f->n_ring].ready = true;
    } else if (k < f->failed) {
        f->failed = k;
        f->rc = rc;
        snprintf(f->text, sizeof f->text, "%s", sx_err_text());
    }
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void *work(void *user) {
    worker *w = user;
    train_feed *f = w->feed;
    train_slice s;
    for (int64_t k; begin_pair(f, &k, &s);)
        end_pair(f, k,
                 f->c->kind->make(w->maker, &f->c->degrade, s,
                                  (train_key){.item = item_of(f, k), .t = -1},
                                  &f->ring[k % f->n_ring].pair));
    return NULL;
}

static sx_err start_workers(train_feed *f, io_cache *k) {
    for (int i = 0; i < f->c->workers; i++) {
        worker *w = &f->worker[i];
        *w = (worker){.feed = f, .maker = train_maker_new(f->c, k)};
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            train_maker_free(w->maker);
            return sx_fail(SX_E_NOMEM, "cannot start %d threads that make training pairs",
                           f->c->workers);
        }
        f->n_running++;
    }
    return SX_OK;
}

sx_err train_feed_new(train_feed **out, const train_config *c, io_cache *k, const train_slices *s,
                      int first_shard, int last_shard, int64_t first_step) {
    SX_ASSERT(s->n > 0);
    train_feed *f = SX_NEW(train_feed);
    f->c = c;
    f->slices = s;
    f->first_image = train_shard_first(c, first_shard);
    f->last_image = train_shard_first(c, last_shard);
    f->first_step = first_step;
    f->order = SX_NEW_ARRAY(int64_t, s->n);
    f->epoch = -1;
    f->failed = INT64_MAX;
    f->n_ring = ring_size(c);
    f->ring = SX_NEW_ARRAY(place, f->n_ring);
    for (int i = 0; i < f->n_ring; i++) train_pair_init(&f->ring[i].pair, c->crop);
    f->worker = SX_NEW_ARRAY(worker, c->workers);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    /* more ranks than shards: nothing to make */
    sx_err rc = f->first_image < f->last_image ? start_workers(f, k) : SX_OK;
    if (rc != SX_OK) {
        train_feed_free(f);
        f = NULL;
    }
    *out = f;
    return rc;
}

void train_feed_free(train_feed *f) {
    if (!f) return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    for (int i = 0; i < f->n_running; i++) {
        pthread_join(f->worker[i].thread, NULL);
        train_maker_free(f->worker[i].maker);
    }
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    for (int i = 0; i < f->n_ring; i++) train_pair_clear(&f->ring[i].pair);
    sx_free(f->ring);
    sx_free(f->worker);
    sx_free(f->order);
    sx_free(f);
}

sx_err train_feed_next(train_feed *f, const train_pair **p, double *waited_s) {
    double start_s = sx_now_s();
    pthread_mutex_lock(&f->lock);
    const int64_t k = f->taken;
    place *next = &f->ring[k % f->n_ring];
    while (k < f->failed && !(k < f->begun && next->ready))
        pthread_cond_wait(&f->changed, &f->lock);
    bool some = k < f->failed;
    if (some) {
        *p = &next->pair;
        f->taken++;
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    *waited_s += sx_now_s() - start_s;
    return some ? SX_OK : sx_fail(f->rc, "%s", f->text);
}
