/* What becomes of each item. Files are hashed and old volumes checked by the ranks in turns; the
 * answers are exchanged, so that all ranks hold the same plan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/cache/cache.h"
#include "mpi/mp_stop.h"

static const struct {
    const char *word, *why;
} actions[] = {
    [CACHE_NEW] = {"make", "not in the cache"},
    [CACHE_CONFIG] = {"make", "the cache was made with another configuration"},
    [CACHE_CHANGED] = {"make", "the file has changed"},
    [CACHE_DAMAGED] = {"make", "the cached copy is damaged"},
    [CACHE_FAILED] = {"make", "failed before"},
    [CACHE_OTHER] = {"-", "of another task's share"},
    [CACHE_PART] = {"part", "made already, not in the cache yet"},
    [CACHE_KEEP] = {"keep", "unchanged"},
};

const char *cache_step_word(const cache_step *s) {
    return actions[s->action].word;
}
const char *cache_step_why(const cache_step *s) {
    return actions[s->action].why;
}

/* ---- looking up by name ---- */

typedef struct name {
    const char *rel;
    int64_t volume;
} name;

static int by_rel(const void *a, const void *b) {
    return strcmp(((const name *)a)->rel, ((const name *)b)->rel);
}

static name *names_of(const io_cache *old) {
    int64_t n = old ? io_cache_n_volumes(old) : 0;
    name *names = SX_NEW_ARRAY(name, n + 1);
    for (int64_t i = 0; i < n; i++) names[i] = (name){io_cache_entry(old, i)->rel, i};
    qsort(names, (size_t)n, sizeof *names, by_rel);
    return names;
}

static int64_t find(const name *names, const io_cache *old, const char *rel) {
    if (!old) return -1;
    const name key = {rel, 0};
    const name *hit = bsearch(&key, names, (size_t)io_cache_n_volumes(old), sizeof *names, by_rel);
    return hit ? hit->volume : -1;
}

/* ---- one item ---- */

static cache_action compare(const cache_step *s, io_cache *old, const char *config_hash) {
    if (s->old < 0) return CACHE_NEW;
    const io_cache_volume *v = io_cache_entry(old, s->old);
    if (strcmp(io_cache_config_hash(old), config_hash) != 0) return CACHE_CONFIG;
    if (!v->ok) return CACHE_FAILED;
    if (!s->sha256[0] || strcmp(v->sha256, s->sha256) != 0) return CACHE_CHANGED;
    if (strcmp(v->labels_sha256, s->labels_sha256) != 0) return CACHE_CHANGED;
    return io_cache_check(old, s->old) == SX_OK ? CACHE_KEEP : CACHE_DAMAGED;
}

static cache_action decide(const cache_step *s, io_cache *old, const char *config_hash,
                           const char *parts) {
    const cache_action action = compare(s, old, config_hash);
    return action != CACHE_KEEP && cache_part_is_good(parts, s, config_hash) ? CACHE_PART : action;
}

void cache_step_sign(const cache_step *s, io_cache_volume *v) {
    memcpy(v->sha256, s->sha256, sizeof v->sha256);
    memcpy(v->labels_sha256, s->labels_sha256, sizeof v->labels_sha256);
}

/* What cannot be read has no hash. A mask that cannot be read has one of zeros: it is there, and
 * fails when it is used. */
static void hash_files(cache_step *s, const io_item *item, const cache_labels *labels) {
    const io_item *mask = labels ? cache_labels_of(labels, item) : NULL;
    if (io_nifti_hash(item->path, s->sha256) != SX_OK) s->sha256[0] = 0;
    if (mask && io_nifti_hash(mask->path, s->labels_sha256) != SX_OK)
        snprintf(s->labels_sha256, sizeof s->labels_sha256, "%064d", 0);
}

static void set_key(cache_step *s, const io_item *item, const char *config_hash) {
    char both[2 * sizeof s->sha256];
    snprintf(both, sizeof both, "%s%s", s->sha256, s->labels_sha256);
    cache_part_key(item, both, config_hash, s->key);
}

/* ---- all items ---- */

/* Steps of all ranks in item order, new. Number m of those that are planned is item
 * first + m * step, and number m / size of rank m % size. Collective. */
static cache_step *gather(mp_comm *c, const cache_step *mine, int64_t n_mine, int64_t n,
                          int64_t first, int64_t step) {
    const int64_t size = mp_size(c);
    cache_step *steps = SX_NEW_ARRAY(cache_step, n + 1);
    void *gathered = NULL;
    size_t n_bytes;
    for (int64_t i = 0; i < n; i++) steps[i] = (cache_step){.old = -1, .action = CACHE_OTHER};
    mp_allgather(c, mine, (size_t)n_mine * sizeof *mine, &gathered, &n_bytes);
    const cache_step *from = gathered;
    for (int64_t r = 0; r < size; r++)
        for (int64_t i = first + r * step; i < n; i += size * step) steps[i] = *from++;
    SX_ASSERT((size_t)((const char *)from - (const char *)gathered) == n_bytes);
    sx_free(gathered);
    return steps;
}

sx_err cache_plan(mp_comm *c, const io_items *items, int64_t first, int64_t step, io_cache *old,
                  const cache_recipe *recipe, const char *config_hash, const char *parts,
                  cache_step **plan) {
    const int64_t stride = mp_size(c) * step, begin = first + mp_rank(c) * step;
    const int64_t n_mine = begin < items->n ? (items->n - begin + stride - 1) / stride : 0;
    cache_step *mine = SX_NEW_ARRAY(cache_step, n_mine + 1), *earlier = *plan;
    name *names = names_of(old);
    sx_err rc = SX_OK;
    sx_progress progress;
    sx_progress_begin(&progress, "check", "file", 0, n_mine);
    for (int64_t m = 0; m < n_mine && !mp_stop_wanted(); m++) {
        const int64_t i = begin + m * stride;
        const io_item *item = &items->item[i];
        cache_step *s = &mine[m];
        if (earlier && earlier[i].sha256[0])
            *s = earlier[i];
        else
            hash_files(s, item, recipe->labels);
        set_key(s, item, config_hash);
        s->old = find(names, old, item->rel);
        s->action = decide(s, old, config_hash, parts);
        sx_progress_step(&progress, m + 1, NULL);
    }
    sx_progress_end(&progress);
    *plan = NULL;
    if (mp_stop_agreed(c))
        rc = sx_fail(SX_E_AGAIN, "stopped while files were checked; run again");
    else
        *plan = gather(c, mine, n_mine, items->n, first, step);
    sx_free(earlier);
    sx_free(names);
    sx_free(mine);
    return rc;
}

static bool same_identity(const io_cache_volume *v, const io_item *item, io_split split) {
    return strcmp(v->subject, item->subject) == 0 && strcmp(v->session, item->session) == 0 &&
           strcmp(v->acq, item->acq) == 0 && v->split == split;
}

bool cache_plan_is_idle(const cache_step *steps, const io_items *items, const io_split *split,
                        const io_cache *old) {
    if (!old || io_cache_n_volumes(old) != items->n) return false;
    for (int64_t i = 0; i < items->n; i++)
        if (steps[i].action != CACHE_KEEP || steps[i].old != i ||
            !same_identity(io_cache_entry(old, i), &items->item[i], split[i]))
            return false;
    return true;
}
