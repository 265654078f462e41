/* The cache from its parts: one run at a time, by rounds of one volume a rank in item order, so
 * that the bytes do not depend on who made which part, on how many ranks. */
#include <inttypes.h>
#include <time.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "jobs/cache/cache.h"
#include "mpi/mp_stop.h"

/* No item has such a name: they end in .nii. */
static const char lease[] = "assemble";

/* ---- whose turn it is ---- */

/* This run has dealt with its share, if need be by an outcome without a part. */
static bool is_there(const cache_run *r, int64_t i) {
    return r->steps[i].action == CACHE_KEEP || work_outcomes(r->w)[i].state != WORK_WAITING ||
           cache_part_exists(r->parts, &r->steps[i]);
}

bool cache_is_complete(const cache_run *r) {
    int64_t missing = 0;
    if (mp_rank(r->c) == 0) sx_folder_refresh(r->parts);
    for (int64_t i = 0; mp_rank(r->c) == 0 && i < r->items.n; i++) missing += !is_there(r, i);
    mp_bcast(r->c, &missing, sizeof missing, 0);
    return missing == 0;
}

/* Rank 0's answer on all ranks. */
static sx_err ask(const cache_run *r, mp_claim *claim, char holder[MP_HOLDER_TEXT]) {
    int64_t answer = MP_CLAIM_HELD;
    if (mp_rank(r->c) == 0) answer = mp_lease_claim(work_leases(r->w), lease, holder);
    sx_err rc = mp_agree(r->c, mp_claim_error((mp_claim)answer));
    mp_bcast(r->c, &answer, sizeof answer, 0);
    *claim = (mp_claim)answer;
    return rc;
}

sx_err cache_claim(const cache_run *r, bool wait, bool *mine) {
    static const struct timespec between_looks = {0, 200000000};
    char holder[MP_HOLDER_TEXT] = "";
    mp_claim claim;
    sx_err rc;
    for (bool said = false; (rc = ask(r, &claim, holder)) == SX_OK; said = true) {
        *mine = claim == MP_CLAIM_MINE;
        if (*mine || !wait) break;
        if (mp_stop_agreed(r->c))
            return sx_fail(SX_E_AGAIN, "%s: stopped while another run puts it together", r->path);
        if (!said) sx_info("%s: waiting for %s to put it together", r->path, holder);
        mp_lease_move(work_leases(r->w), "waiting for another run to put the cache together");
        nanosleep(&between_looks, NULL);
    }
    return rc;
}

void cache_release(const cache_run *r) {
    if (mp_rank(r->c) == 0) mp_lease_release(work_leases(r->w), lease);
}

/* Rank 0. Errors: SX_E_AGAIN, SX_E_IO (nobody can tell). */
static sx_err check_lease(const cache_run *r) {
    const mp_hold hold = mp_lease_holds(work_leases(r->w), lease);
    if (hold == MP_HOLD_MINE) return SX_OK;
    if (hold == MP_HOLD_UNKNOWN)
        return sx_fail_context(SX_E_IO, "%s: who puts it together cannot be read", r->path);
    return sx_fail(SX_E_AGAIN, "%s: another run has taken over, run again", r->path);
}

/* ---- rounds ---- */

void cache_count(const io_cache_volume *v, int64_t counts[N_COUNTS]) {
    counts[v->ok ? N_OK : N_FAILED]++;
    counts[N_REUSED] += v->reused;
    if (v->ok) counts[N_SLICES + v->split] += v->n;
}

/* What is kept comes from the older cache, but when it was made again, by this run or by one before
 * it that was asked to (a part of it that is good). A part that was damaged since it was looked at
 * is made again here, while the others wait. */
static void one_volume(cache_run *r, int64_t i, io_cache_volume *v) {
    const cache_step *s = &r->steps[i];
    const work_outcome *o = &work_outcomes(r->w)[i];
    const bool made = o->state == WORK_MADE || o->state == WORK_FAILED;
    cache_volume_name(v, &r->items.item[i], r->split[i]);
    if (s->action == CACHE_KEEP && !made && !cache_part_is_good(r->parts, s, r->config) &&
        cache_volume_take(v, r->old, s->old)) {
        v->reused = true;
        return;
    }
    if (cache_part_take(r->parts, s, r->config, v)) return;
    cache_step_sign(s, v);
    if (o->state == WORK_FAILED)
        cache_volume_refuse(v, sx_err_name(o->code), o->reason);
    else if (cache_volume_make(v, &r->recipe, cache_run_mask(r, i)) != SX_OK)
        sx_warn("%s: %s: left out: %s", v->rel, v->reason, v->message);
}

static sx_err round_of(cache_run *r, io_cache_writer *w, int64_t item, int64_t counts[N_COUNTS]) {
    const bool mine = item < r->items.n;
    io_cache_volume v = {0};
    if (mine) one_volume(r, item, &v);
    sx_err rc = io_cache_append(w, mine ? item : -1, &v);
    if (rc == SX_OK && mine) cache_count(&v, counts);
    io_cache_volume_clear(&v);
    return rc;
}

static sx_err all_rounds(cache_run *r, io_cache_writer *w, int64_t counts[N_COUNTS]) {
    const int64_t size = mp_size(r->c), n = r->items.n;
    sx_err rc = SX_OK;
    sx_progress progress;
    sx_progress_begin(&progress, "cache", "volume", 0, n);
    for (int64_t first = 0; first < n && rc == SX_OK; first += size) {
        if (mp_stop_agreed(r->c))
            rc = sx_fail(SX_E_AGAIN,
                         "%s: stopped at volume %" PRId64 " of %" PRId64
                         " while it was put together, its parts are kept: run again",
                         r->path, first, n);
        else
            rc = round_of(r, w, first + mp_rank(r->c), counts);
        mp_lease_move(work_leases(r->w), "putting the cache together");
        sx_progress_step(&progress, first + size < n ? first + size : n, NULL);
    }
    sx_progress_end(&progress);
    return rc;
}

static void read_back(void *user) {
    mp_lease_move(work_leases(((const cache_run *)user)->w), "reading the cache back");
}

sx_err cache_assemble(cache_run *r, int64_t counts[N_COUNTS]) {
    io_cache_writer *w;
    sx_err rc = io_cache_create(&w, r->c, r->path, r->config);
    if (rc != SX_OK) return rc;
    io_cache_watch(w, read_back, r);
    rc = all_rounds(r, w, counts);
    if (rc == SX_OK) rc = mp_agree(r->c, mp_rank(r->c) == 0 ? check_lease(r) : SX_OK);
    const bool keep = rc == SX_OK;
    io_cache_close(r->old); /* before the rename: nobody reads the file that goes away */
    r->old = NULL;
    sx_err end = io_cache_commit(w, keep);
    return keep ? end : rc;
}
