/* cache build: list, split and plan; make the parts that are missing; put the cache together; one
 * report.
 *
 * The file is written under a temporary name and renamed at the end; volumes that an older cache
 * has are copied from it. So a stopped or killed build leaves the older cache as it was, and its
 * parts for the next one. Several runs may share a build: each makes parts that nobody has made,
 * one puts them together, and the others, whose plan is out of date then, plan again. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/cache/cache.h"
#include "jobs/job/job_data.h"

/* ---- before any pixel ---- */

static sx_err list_items(cache_run *r, const char *root) {
    const job *j = r->j;
    const io_filter filter = job_filter(j);
    const char *list = job_text(j, "data.list");
    sx_err rc =
        list[0] ? io_bids_list(list, &filter, &r->items) : io_bids_walk(root, &filter, &r->items);
    if (rc == SX_OK && r->items.n == 0) rc = job_items_none(j, root, &filter);
    return rc;
}

/* Ranks on different nodes may see a shared folder at different times; they must not go on then. */
static sx_err compare_lists(cache_run *r) {
    char mine[SX_HASH_HEX], first[SX_HASH_HEX];
    sx_hasher *h = sx_hasher_new();
    for (int64_t i = 0; i < r->items.n; i++) sx_hasher_add_text(h, r->items.item[i].rel);
    sx_hasher_end(h, mine);
    memcpy(first, mine, sizeof first);
    mp_bcast(r->c, first, sizeof first, 0);
    sx_err rc = strcmp(mine, first) == 0
                    ? SX_OK
                    : sx_fail(SX_E_NOINPUT, "this rank finds %" PRId64 " images, others differ",
                              r->items.n);
    return mp_agree(r->c, rc);
}

/* What is no HDF5 file at all is something that the user would miss. */
static sx_err check_is_hdf5(const char *path) {
    char head[8] = "";
    FILE *f = fopen(path, "rb");
    if (!f) return sx_fail(SX_E_NOINPUT, "%s: %s", path, strerror(errno));
    const size_t n = fread(head, 1, sizeof head, f);
    fclose(f);
    if (n == sizeof head && memcmp(head, "\x89HDF\r\n\x1a\n", sizeof head) == 0) return SX_OK;
    return sx_fail(SX_E_CREATE, "%s exists and is no cache: remove it first", path);
}

/* Opened, since that is when a file system over a network looks at its server. */
static cache_stamp stamp_of(const char *path) {
    cache_stamp stamp = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0)
        stamp = (cache_stamp){1, (int64_t)st.st_ino, (int64_t)st.st_size,
                              (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
    if (fd >= 0) close(fd);
    return stamp;
}

const io_item *cache_run_mask(const cache_run *r, int64_t i) {
    return r->steps[i].labels_sha256[0] ? cache_labels_of(&r->labels, &r->items.item[i]) : NULL;
}

bool cache_run_is_late(const cache_run *r) {
    const cache_stamp now = stamp_of(r->path);
    return memcmp(&now, &r->seen, sizeof now) != 0;
}

/* An older cache under the same name. One that cannot be used is made anew. */
static sx_err open_old(cache_run *r) {
    io_cache_close(r->old);
    r->old = NULL;
    r->seen = stamp_of(r->path);
    if (!sx_file_exists(r->path)) return SX_OK;
    const sx_err rc = check_is_hdf5(r->path);
    if (rc != SX_OK) return rc;
    if (io_cache_open(&r->old, r->path) != SX_OK && mp_rank(r->c) == 0)
        sx_warn("older cache cannot be used: %s", sx_err_text());
    return SX_OK;
}

/* Whether all ranks have opened the same file, and it still has the name. Collective. */
static bool all_see_the_same(const cache_run *r) {
    cache_stamp first = r->seen;
    mp_bcast(r->c, &first, sizeof first, 0);
    int64_t differ = memcmp(&first, &r->seen, sizeof first) != 0 || cache_run_is_late(r);
    mp_max_i64(r->c, &differ, 1);
    return !differ;
}

/* The same older cache on all ranks, while other runs may put another one in its place. Collective.
 */
static sx_err open_together(cache_run *r) {
    enum { TRIES = 100 };
    static const struct timespec between = {0, 100000000};
    for (int i = 0; i < TRIES; i++) {
        const sx_err rc = mp_agree(r->c, open_old(r));
        if (rc != SX_OK || all_see_the_same(r)) return rc;
        nanosleep(&between, NULL);
    }
    return sx_fail(SX_E_AGAIN, "%s: ranks see different files under this name, run again", r->path);
}

/* What to do about each item, as things are now. Collective. */
static sx_err plan(cache_run *r) {
    sx_err rc = open_together(r);
    if (rc != SX_OK) return rc;
    /* All ranks use the older cache or none does. */
    int64_t unusable = r->old == NULL;
    mp_max_i64(r->c, &unusable, 1);
    if (unusable) {
        io_cache_close(r->old);
        r->old = NULL;
    }
    return cache_plan(r->c, &r->items, r->whole ? 0 : r->first, r->whole ? 1 : r->step, r->old,
                      &r->recipe, r->config, r->parts, &r->steps);
}

static sx_err prepare(cache_run *r, const char *root) {
    sx_err rc = work_part(r->j, &r->first, &r->step);
    r->whole = r->step == 1;
    if (rc == SX_OK) rc = list_items(r, root);
    if (rc == SX_OK) rc = cache_split(r->j, &r->items, NULL, &r->split);
    if ((rc = mp_agree(r->c, rc)) != SX_OK) return rc;
    if ((rc = compare_lists(r)) != SX_OK) return rc;
    return plan(r);
}

static void explain(const cache_run *r) {
    for (int64_t i = r->whole ? 0 : r->first; i < r->items.n; i += r->whole ? 1 : r->step)
        printf("%s\t%s\t%s\t%s\n", cache_step_word(&r->steps[i]), io_split_name(r->split[i]),
               r->items.item[i].rel, cache_step_why(&r->steps[i]));
    fflush(stdout);
}

/* ---- a turn: from a plan to a cache, or to a plan that is out of date ---- */

typedef enum turn { UP_TO_DATE, WRITTEN, SHARE_MADE, PLAN_AGAIN } turn;

static bool asked_to_make_all(const cache_run *r) {
    return strcmp(job_text(r->j, "run.retry"), "all") == 0;
}

/* Rank 0's answer on all ranks. Collective. */
static bool is_late(const cache_run *r) {
    int64_t late = mp_rank(r->c) == 0 && cache_run_is_late(r);
    mp_bcast(r->c, &late, sizeof late, 0);
    return late;
}

static void say_what_is_there(const cache_run *r) {
    int64_t there = 0, n = 0;
    for (int64_t i = 0; i < r->items.n; i++) {
        there += r->steps[i].action == CACHE_KEEP || r->steps[i].action == CACHE_PART;
        n += r->steps[i].action != CACHE_OTHER;
    }
    if (there > 0) sx_info("%" PRId64 " of %" PRId64 " volumes are there already", there, n);
}

/* Parts that are there, also unfinished ones if asked; of rank 0, on all. Collective. */
static int64_t count_parts(const cache_run *r, bool unfinished_too) {
    int64_t n = 0, n_unfinished = 0;
    if (mp_rank(r->c) == 0) n = cache_parts_count(r->parts, &n_unfinished);
    n += unfinished_too ? n_unfinished : 0;
    mp_bcast(r->c, &n, sizeof n, 0);
    return n;
}

/* Before a task reads the files of all shares to find out. Collective. */
static bool may_be_complete(const cache_run *r) {
    const bool useful = r->old && strcmp(io_cache_config_hash(r->old), r->config) == 0;
    return count_parts(r, false) + (useful ? io_cache_n_volumes(r->old) : 0) >= r->items.n;
}

/* Whether all who are alive in the folder are ranks of this run. */
static bool is_alone(const cache_run *r) {
    mp_member *member = NULL;
    int n = 0, n_living = 0;
    if (mp_crew_read(r->folder, &member, &n) != SX_OK) return false;
    for (int i = 0; i < n; i++) n_living += !member[i].gone;
    sx_free(member);
    return n_living <= mp_size(r->c);
}

static void remove_parts(const cache_run *r) {
    if (mp_rank(r->c) == 0)
        cache_parts_remove(r->parts, r->steps, &r->items, work_leases(r->w), is_alone(r));
}

/* Of a run that ended between its last two steps. Collective. */
static sx_err remove_leftovers(cache_run *r) {
    bool mine = false;
    if (count_parts(r, true) == 0) return SX_OK;
    sx_err rc = cache_work_open(r);
    if (rc == SX_OK) rc = cache_claim(r, false, &mine);
    if (!mine) return rc;
    remove_parts(r);
    cache_release(r);
    return rc;
}

static sx_err put_together(cache_run *r, int64_t counts[N_COUNTS], turn *t) {
    sx_err rc = SX_OK;
    *t = PLAN_AGAIN;
    if (is_late(r) || !cache_is_complete(r)) return SX_OK;
    SX_TRY(rc, cache_split_again(r));
    SX_TRY(rc, cache_assemble(r, counts));
    mp_sum_i64(r->c, counts, N_COUNTS);
    remove_parts(r);
    *t = WRITTEN;
out:
    return rc;
}

/* What follows for a task of an array when its share is made. Collective. */
static turn after_share(const cache_run *r) {
    if (is_late(r)) return PLAN_AGAIN;
    if (!r->whole) return may_be_complete(r) ? PLAN_AGAIN : SHARE_MADE;
    return cache_is_complete(r) ? WRITTEN : SHARE_MADE;
}

/* SX_E_ITEMS: *t holds, but volumes of this run's share failed. Collective. */
static sx_err take_turn(cache_run *r, int64_t counts[N_COUNTS], turn *t) {
    const bool is_task = r->step > 1;
    bool mine = false;
    sx_err rc, made;
    *t = SHARE_MADE;
    say_what_is_there(r);
    SX_TRY(rc, cache_work_open(r));
    made = rc = work_run(r->w);
    if (rc != SX_OK && rc != SX_E_ITEMS) goto out;
    if (is_task && (*t = after_share(r)) != WRITTEN) goto out;
    SX_TRY(rc, cache_claim(r, !is_task, &mine));
    *t = SHARE_MADE; // unless it is this run's turn
    rc = mine ? put_together(r, counts, t) : made;
    if (mine) cache_release(r);
out:
    return rc;
}

static void count_old(const cache_run *r, int64_t counts[N_COUNTS]) {
    for (int64_t i = 0; i < r->items.n; i++) {
        io_cache_volume v = *io_cache_entry(r->old, i);
        v.reused = true;
        cache_count(&v, counts);
    }
}

/* Turns until one ends well. Collective. */
static sx_err take_turns(cache_run *r, int64_t counts[N_COUNTS], turn *t) {
    for (;;) {
        sx_err rc;
        *t = UP_TO_DATE;
        if (cache_plan_is_idle(r->steps, &r->items, r->split, r->old) && !asked_to_make_all(r)) {
            count_old(r, counts);
            return remove_leftovers(r);
        }
        rc = take_turn(r, counts, t);
        if (*t != PLAN_AGAIN || (rc != SX_OK && rc != SX_E_ITEMS)) return rc;
        work_goes_on(r->w);
        work_close(r->w);
        r->w = NULL;
        r->whole = true;
        if ((rc = plan(r)) != SX_OK) return rc;
    }
}

/* ---- the end ---- */

/* Too few subjects, or all of a split's failed. */
static void warn_of_empty_splits(const cache_run *r, const int64_t slices[IO_N_SPLITS]) {
    if (job_text(r->j, "data.split_list")[0]) return;
    for (int s = 0; s < IO_N_SPLITS; s++) {
        char key[32];
        snprintf(key, sizeof key, "data.split_%s", io_split_name((io_split)s));
        if (job_real(r->j, key) > 0 && slices[s] == 0)
            sx_warn("%s: no slices for %s, although %s is %g", r->path, io_split_name((io_split)s),
                    key, job_real(r->j, key));
    }
}

static sx_err run_plan(cache_run *r, double start_s) {
    int64_t counts[N_COUNTS] = {0};
    turn t;
    const bool speaks = mp_rank(r->c) == 0;
    if (speaks && (job_explain(r->j) || job_dry_run(r->j))) explain(r);
    if (job_dry_run(r->j)) return SX_OK;
    const sx_err rc = take_turns(r, counts, &t);
    if (rc != SX_OK && rc != SX_E_ITEMS) return rc;
    if (t == SHARE_MADE) {
        const int64_t n_parts = count_parts(r, false);
        if (speaks) cache_report_share(r, n_parts);
        return rc;
    }
    if (speaks) cache_report(r, counts, t == WRITTEN, sx_now_s() - start_s);
    if (speaks) warn_of_empty_splits(r, counts + N_SLICES);
    if (counts[N_FAILED] == 0) return job_check_folders(job_arg(r->j, 1), &r->items);
    return sx_fail(SX_E_ITEMS, "%s: %" PRId64 " of %" PRId64 " volumes failed", r->path,
                   counts[N_FAILED], r->items.n);
}

/* A task cannot know which parts of the others are from before. */
static sx_err check_share(const cache_run *r) {
    if (!asked_to_make_all(r) || !*job_text(r->j, "run.part")) return SX_OK;
    return sx_fail(SX_E_USAGE,
                   "cache build: run.retry = all goes with the whole cohort, not with "
                   "run.part = %s",
                   job_text(r->j, "run.part"));
}

sx_err cache_build(const job *j, const char *root, const char *path) {
    const double start_s = sx_now_s();
    cache_run r = {.j = j, .c = job_comm(j), .path = path};
    r.folder = work_folder(path, false);
    r.parts = sx_path_join(r.folder, "parts");
    sx_err rc = mp_agree(r.c, cache_labels_open(&r.labels, j));
    r.recipe = cache_recipe_of(j, &r.labels);
    cache_recipe_hash(&r.recipe, r.config);
    if (rc == SX_OK) rc = check_share(&r);
    if (rc == SX_OK) rc = prepare(&r, root);
    if (rc == SX_OK) rc = run_plan(&r, start_s);
    if (rc != SX_OK && rc != SX_E_ITEMS) work_goes_on(r.w); // its parts are kept
    work_close(r.w);
    io_cache_close(r.old);
    io_items_clear(&r.items);
    cache_labels_close(&r.labels);
    sx_free(r.split);
    sx_free(r.steps);
    sx_free(r.folder);
    sx_free(r.parts);
    return rc;
}
