/* Slices, pairs and the feed.
 *
 * The feed is a ring of pairs between one producer thread and the step. The producer reads,
 * degrades and noises; it calls neither MPI nor the network. A failure travels through the ring as
 * a code and a text, so that the step can agree on it with the other ranks. */
#include "jobs/train_data.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"

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
    int64_t n, room, n_small, n_empty;
} verdicts;

static void keep(verdicts *v, int64_t volume, int64_t slice) {
    if (v->n == v->room) {
        int64_t room = v->room ? 2 * v->room : 256;
        train_slice *bigger = SX_NEW_ARRAY(train_slice, room);
        if (v->n) memcpy(bigger, v->item, (size_t)v->n * sizeof *bigger);
        sx_free(v->item);
        v->item = bigger;
        v->room = room;
    }
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
                         double min_content) {
    verdicts v = {0};
    sx_err rc = SX_OK;
    for (int64_t i = mp_rank(c); i < io_cache_n_volumes(k) && rc == SX_OK; i += mp_size(c)) {
        const io_cache_volume *e = io_cache_entry(k, i);
        if (e->ok && e->split == split) rc = judge_volume(&v, k, i, min_content);
    }
    rc = mp_agree(c, rc);
    if (rc == SX_OK) {
        size_t n_bytes = 0;
        int64_t out[2] = {v.n_small, v.n_empty};
        mp_allgather(c, v.item, (size_t)v.n * sizeof *v.item, (void **)&s->item, &n_bytes);
        mp_sum_i64(c, out, 2);
        s->n = (int64_t)(n_bytes / sizeof *s->item);
        s->n_small = out[0];
        s->n_empty = out[1];
        qsort(s->item, (size_t)s->n, sizeof *s->item, by_volume_and_slice);
    }
    sx_free(v.item);
    return rc;
}

void train_slices_clear(train_slices *s) {
    sx_free(s->item);
    memset(s, 0, sizeof *s);
}

/* ---- pairs ---- */

void train_pair_init(train_pair *p, int crop) {
    int64_t n = (int64_t)crop * crop;
    float *plane = SX_NEW_ARRAY(float, 4 * n);
    *p = (train_pair){.x0 = plane, .lr = plane + n, .x_t = plane + 2 * n, .target = plane + 3 * n};
}

void train_pair_clear(train_pair *p) {
    sx_free(p->x0); /* the block of all four planes */
    memset(p, 0, sizeof *p);
}

struct train_maker {
    const train_config *c;
    io_cache *cache;
    dg_work *work;
    float *source; /* the largest slice of the cache */
    float *eps;    /* [crop][crop] */
};

train_maker *train_maker_new(const train_config *c, io_cache *k) {
    train_maker *m = SX_NEW(train_maker);
    int64_t largest = 1;
    for (int64_t i = 0; i < io_cache_n_volumes(k); i++) {
        const io_cache_volume *e = io_cache_entry(k, i);
        if (e->ok && e->h * e->w > largest) largest = e->h * e->w;
    }
    m->c = c;
    m->cache = k;
    m->work = dg_work_new();
    m->source = SX_NEW_ARRAY(float, largest);
    m->eps = SX_NEW_ARRAY(float, (int64_t)c->crop * c->crop);
    return m;
}

void train_maker_free(train_maker *m) {
    if (!m) return;
    dg_work_free(m->work);
    sx_free(m->source);
    sx_free(m->eps);
    sx_free(m);
}

/* 0..1 to -1..1. */
static void to_network(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = 2.0f * x[i] - 1.0f;
}

sx_err train_maker_pair(train_maker *m, const dg_config *degrade, train_slice s, uint64_t epoch,
                        int64_t item, int t, train_pair *p) {
    const train_config *c = m->c;
    const io_cache_volume *e = io_cache_entry(m->cache, s.volume);
    int64_t n = (int64_t)c->crop * c->crop;
    uint64_t key = (uint64_t)item;
    dg_draw draw = dg_draw_make(degrade, c->seed, epoch, key);
    sx_err rc = io_cache_slice(m->cache, s.volume, s.slice, m->source);
    if (rc == SX_OK)
        rc = dg_pair(degrade, &draw, m->source, (int)e->h, (int)e->w, c->crop, c->crop, p->x0,
                     p->lr, m->work);
    if (rc != SX_OK) return sx_fail_context(rc, "%s, slice %d", e->rel, (int)s.slice);
    to_network(p->x0, n);
    to_network(p->lr, n);

    sx_rng time = sx_rng_make(c->seed, SX_RNG_TIME, epoch, key);
    sx_rng noise = sx_rng_make(c->seed, SX_RNG_NOISE, epoch, key);
    p->item = item;
    p->t = t >= 0 ? t : (int)sx_rng_int(&time, 0, DF_STEPS - 1);
    sx_rng_normals(&noise, m->eps, n);
    df_noise(&c->schedule, p->t, p->x0, m->eps, p->x_t, p->target, n);
    return SX_OK;
}

/* ---- feed ---- */

enum {
    RING = 8 /* pairs; a network step takes far longer than a pair, so a few hide any hiccup */
};

struct train_feed {
    const train_config *c;
    const train_slices *slices;
    train_maker *maker;
    int first_image, last_image; /* of a batch: this rank's */
    int64_t step;
    int64_t *order; /* [slices->n] permutation of `epoch` */
    int64_t epoch;

    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    train_pair ring[RING];
    int64_t made, taken; /* pairs; the one in use is taken - 1 */
    bool stop;
    sx_err rc; /* why the producer ended */
    char text[1024];
};

int train_shard_first(const train_config *c, int shard) {
    return (int)((int64_t)c->batch * shard / c->shards);
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

/* Wait until a slot of the ring is neither full nor in the step's hands; false: stop. */
static bool wait_for_slot(train_feed *f) {
    pthread_mutex_lock(&f->lock);
    while (!f->stop && f->made >= f->taken + RING - 1) pthread_cond_wait(&f->changed, &f->lock);
    bool go = !f->stop;
    pthread_mutex_unlock(&f->lock);
    return go;
}

static void publish(train_feed *f, sx_err rc) {
    pthread_mutex_lock(&f->lock);
    if (rc == SX_OK) {
        f->made++;
    } else {
        f->rc = rc;
        snprintf(f->text, sizeof f->text, "%s", sx_err_text());
    }
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void *produce(void *user) {
    train_feed *f = user;
    for (sx_err rc = SX_OK; rc == SX_OK; f->step++) {
        for (int i = f->first_image; i < f->last_image && rc == SX_OK; i++) {
            if (!wait_for_slot(f)) return NULL;
            int64_t g = f->step * f->c->batch + i;
            rc = train_maker_pair(f->maker, &f->c->degrade, slice_of(f, g), 0, g, -1,
                                  &f->ring[f->made % RING]);
            publish(f, rc);
        }
    }
    return NULL;
}

sx_err train_feed_new(train_feed **out, const train_config *c, io_cache *k, const train_slices *s,
                      int first_shard, int last_shard, int64_t first_step) {
    SX_ASSERT(s->n > 0);
    train_feed *f = SX_NEW(train_feed);
    f->c = c;
    f->slices = s;
    f->maker = train_maker_new(c, k);
    f->first_image = train_shard_first(c, first_shard);
    f->last_image = train_shard_first(c, last_shard);
    f->step = first_step;
    f->order = SX_NEW_ARRAY(int64_t, s->n);
    f->epoch = -1;
    for (int i = 0; i < RING; i++) train_pair_init(&f->ring[i], c->crop);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    *out = f;
    if (f->first_image == f->last_image) return SX_OK; /* more ranks than shards: nothing to make */
    if (pthread_create(&f->thread, NULL, produce, f) != 0) {
        train_feed_free(f);
        *out = NULL;
        return sx_fail(SX_E_NOMEM, "cannot start the thread that reads training data");
    }
    f->running = true;
    return SX_OK;
}

void train_feed_free(train_feed *f) {
    if (!f) return;
    if (f->running) {
        pthread_mutex_lock(&f->lock);
        f->stop = true;
        pthread_cond_broadcast(&f->changed);
        pthread_mutex_unlock(&f->lock);
        pthread_join(f->thread, NULL);
    }
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    for (int i = 0; i < RING; i++) train_pair_clear(&f->ring[i]);
    train_maker_free(f->maker);
    sx_free(f->order);
    sx_free(f);
}

sx_err train_feed_next(train_feed *f, const train_pair **p, double *waited_s) {
    double start_s = sx_now_s();
    pthread_mutex_lock(&f->lock);
    while (f->made == f->taken && f->rc == SX_OK) pthread_cond_wait(&f->changed, &f->lock);
    bool some = f->made > f->taken;
    if (some) {
        *p = &f->ring[f->taken++ % RING];
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    *waited_s += sx_now_s() - start_s;
    return some ? SX_OK : sx_fail(f->rc, "%s", f->text);
}
