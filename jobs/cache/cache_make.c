/* The parts of a build that are missing, as work on items (jobs/items/work.h). A volume that cannot
 * be used gets a part too, which says why: whoever puts the cache together needs its entry. */
#include <stdio.h>
#include <string.h>

#include "jobs/cache/cache.h"

static const char *name_of(void *user, int64_t i) {
    return ((cache_run *)user)->items.item[i].rel;
}

/* Another process may have made the part since the plan, or put the whole cache together; then the
 * plan is made again after this. */
static sx_err inspect(void *user, int64_t i, char print[65], char why[WORK_WHY]) {
    const cache_run *r = user;
    const cache_step *s = &r->steps[i];
    const bool there = s->action == CACHE_KEEP || s->action == CACHE_PART || cache_run_is_late(r) ||
                       cache_part_is_good(r->parts, s, r->config);
    memcpy(print, s->key, sizeof s->key);
    snprintf(why, WORK_WHY, "%s", there ? "" : cache_step_why(s));
    return SX_OK;
}

static sx_err make(void *user, mp_comm *share, int64_t i, const char print[65], char **payload,
                   bool *lost) {
    cache_run *r = user;
    const cache_step *s = &r->steps[i];
    io_cache_volume v;
    sx_err made, rc;
    (void)share, (void)print, (void)payload; // the step has the hashes
    cache_volume_name(&v, &r->items.item[i], r->split[i]);
    cache_step_sign(s, &v);
    made = cache_volume_make(&v, &r->recipe, cache_run_mask(r, i));
    rc = work_holds(r->w);
    if (rc == SX_OK) rc = cache_part_write(r->parts, s, r->config, &v);
    *lost = rc != SX_OK && rc != SX_E_AGAIN;
    if (rc == SX_OK && made != SX_OK) rc = sx_fail(made, "%s", v.message);
    io_cache_volume_clear(&v);
    return rc;
}

sx_err cache_work_open(cache_run *r) {
    static const work_kind kind = {
        .verb = "cache", .forgives = true, .name = name_of, .inspect = inspect, .make = make};
    return work_open(&r->w, r->j, r->folder, &kind, r, r->items.n);
}
