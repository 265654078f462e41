/* Pairs: planes of one block, and the part of their making that kinds of super-resolution share. */
#include "jobs/train/train_pair.h"

#include <string.h>
#include "base/sx_mem.h"
#include "spine/sp_class.h"

enum { N_PLANES = 4 };

void train_pair_init(train_pair *p, int crop) {
    int64_t n = (int64_t)crop * crop;
    float *plane = SX_NEW_ARRAY(float, N_PLANES *n);
    *p = (train_pair){.x0 = plane, .lr = plane + n, .x_t = plane + 2 * n, .target = plane + 3 * n};
}

void train_pair_clear(train_pair *p) {
    sx_free(p->x0); /* the block of all planes */
    memset(p, 0, sizeof *p);
}

void train_pair_copy(train_pair *to, const train_pair *from, int crop) {
    to->item = from->item;
    to->t = from->t;
    memcpy(to->x0, from->x0, N_PLANES * (size_t)crop * (size_t)crop * sizeof(float));
}

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
    m->labels = SX_NEW_ARRAY(uint8_t, largest);
    m->noise = SX_NEW_ARRAY(float, (int64_t)c->crop * c->crop);
    m->label = SX_NEW_ARRAY(uint8_t, (int64_t)c->crop * c->crop);
    return m;
}

void train_maker_free(train_maker *m) {
    if (!m) return;
    dg_work_free(m->work);
    sx_free(m->source);
    sx_free(m->labels);
    sx_free(m->noise);
    sx_free(m->label);
    sx_free(m);
}

/* 0..1 to -1..1. */
static void to_network(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = 2.0f * x[i] - 1.0f;
}

sx_err train_maker_degrade(train_maker *m, const dg_config *degrade, train_slice s,
                           const train_key *key, train_pair *p) {
    const train_config *c = m->c;
    const io_cache_volume *e = io_cache_entry(m->cache, s.volume);
    int64_t n = (int64_t)c->crop * c->crop;
    dg_draw draw = dg_draw_make(degrade, c->seed, key->epoch, (uint64_t)key->item);
    sx_err rc = io_cache_slice(m->cache, s.volume, s.slice, m->source);
    if (rc == SX_OK)
        rc = dg_pair(degrade, &draw, m->source, (int)e->h, (int)e->w, c->crop, c->crop, p->x0,
                     p->lr, m->work);
    if (rc != SX_OK) return sx_fail_context(rc, "%s, slice %d", e->rel, (int)s.slice);
    to_network(p->x0, n);
    to_network(p->lr, n);
    p->item = key->item;
    return SX_OK;
}

sx_err train_maker_label(train_maker *m, const dg_config *degrade, train_slice s,
                         const train_key *key, train_pair *p) {
    const train_config *c = m->c;
    const io_cache_volume *e = io_cache_entry(m->cache, s.volume);
    const dg_draw draw = dg_draw_make(degrade, c->seed, key->epoch, (uint64_t)key->item);
    sx_err rc = train_maker_degrade(m, degrade, s, key, p);
    if (rc != SX_OK) return rc;
    rc = io_cache_slice_labels(m->cache, s.volume, s.slice, m->labels);
    if (rc != SX_OK) return sx_fail_context(rc, "%s, slice %d", e->rel, (int)s.slice);
    dg_labels(&draw, m->labels, (int)e->h, (int)e->w, c->crop, c->crop, m->label);
    for (int64_t i = 0; i < (int64_t)c->crop * c->crop; i++)
        p->target[i] = (float)sp_class_of(m->label[i]);
    return SX_OK;
}
