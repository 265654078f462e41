/* cache build: list, split, plan, then rounds of one volume a rank in item order, then one report.
 *
 * The file is written under a temporary name and renamed at the end; volumes that an older cache
 * has are copied from it. So a stopped or killed build leaves the older cache as it was. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/cache.h"
#include "jobs/job_data.h"
#include "jobs/job_json.h"
#include "mpi/mp_stop.h"

typedef struct build {
    const job *j;
    mp_comm *c;
    const char *path;
    cache_recipe recipe;
    char config[65];
    io_items items;
    io_split *split;   /* [items.n] */
    cache_step *steps; /* [items.n] */
    io_cache *old;     /* NULL when there is none to use */
} build;

/* ---- before any pixel ---- */

static sx_err list_items(build *b, const char *root) {
    const job *j = b->j;
    const io_filter filter = job_filter(j);
    const char *list = job_text(j, "data.list");
    sx_err rc =
        list[0] ? io_bids_list(list, &filter, &b->items) : io_bids_walk(root, &filter, &b->items);
    if (rc == SX_OK && b->items.n == 0)
        rc = sx_fail(SX_E_NOINPUT, "%s: no image of acquisition %s and suffix %s",
                     list[0] ? list : root, filter.acq[0] ? filter.acq : "(any)",
                     filter.suffix[0] ? filter.suffix : "(any)");
    return rc;
}

/* Ranks on different nodes may see a shared folder at different times; they must not go on then. */
static sx_err compare_lists(build *b) {
    char mine[SX_HASH_HEX], first[SX_HASH_HEX];
    sx_hasher *h = sx_hasher_new();
    for (int64_t i = 0; i < b->items.n; i++)
        sx_hasher_add(h, b->items.item[i].rel, strlen(b->items.item[i].rel) + 1);
    sx_hasher_end(h, mine);
    memcpy(first, mine, sizeof first);
    mp_bcast(b->c, first, sizeof first, 0);
    sx_err rc = strcmp(mine, first) == 0
                    ? SX_OK
                    : sx_fail(SX_E_NOINPUT, "this rank finds %" PRId64 " images, others differ",
                              b->items.n);
    return mp_agree(b->c, rc);
}

static bool looks_like_hdf5(const char *path) {
    char head[8] = "";
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f) fclose(f);
    return n == sizeof head && memcmp(head, "\x89HDF\r\n\x1a\n", sizeof head) == 0;
}

/* An older cache under the same name. One that cannot be read is made anew; what is no HDF5 file at
 * all is something else that the user would miss. */
static sx_err open_old(build *b) {
    if (!sx_file_exists(b->path)) return SX_OK;
    if (!looks_like_hdf5(b->path))
        return sx_fail(SX_E_CREATE, "%s exists and is no cache: remove it first", b->path);
    if (io_cache_open(&b->old, b->path) != SX_OK && mp_rank(b->c) == 0)
        sx_warn("older cache cannot be used: %s", sx_err_text());
    return SX_OK;
}

static sx_err prepare(build *b, const char *root) {
    sx_err rc = list_items(b, root);
    if (rc == SX_OK) rc = cache_split(b->j, &b->items, &b->split);
    if (rc == SX_OK) rc = open_old(b);
    if ((rc = mp_agree(b->c, rc)) != SX_OK) return rc;
    if ((rc = compare_lists(b)) != SX_OK) return rc;
    /* All ranks use the older cache or none does. */
    int64_t unusable = b->old == NULL;
    mp_max_i64(b->c, &unusable, 1);
    if (unusable) {
        io_cache_close(b->old);
        b->old = NULL;
    }
    return cache_plan(b->c, &b->items, b->old, b->config, &b->steps);
}

static void explain(const build *b) {
    for (int64_t i = 0; i < b->items.n; i++)
        printf("%s\t%s\t%s\t%s\n", cache_step_keeps(&b->steps[i]) ? "keep" : "make",
               io_split_name(b->split[i]), b->items.item[i].rel, cache_step_why(&b->steps[i]));
    fflush(stdout);
}

/* ---- rounds ---- */

/* What the last line counts; summed over ranks. */
enum { N_OK, N_FAILED, N_REUSED, N_SLICES, N_COUNTS = N_SLICES + IO_N_SPLITS };

static void count_volume(const io_cache_volume *v, int64_t counts[N_COUNTS]) {
    counts[v->ok ? N_OK : N_FAILED]++;
    counts[N_REUSED] += v->reused;
    if (v->ok) counts[N_SLICES + v->split] += v->n;
}

/* Take everything but identity and split from the older cache. *v has its identity; untouched when
 * the old pixels cannot be read after all. */
static bool take_over(io_cache_volume *v, io_cache *old, int64_t volume) {
    io_cache_volume taken = *io_cache_entry(old, volume);
    if (taken.ok && io_cache_pixels(old, volume, &taken.pixels) != SX_OK) return false;
    taken.rel = v->rel, taken.path = v->path, taken.split = v->split;
    memcpy(taken.subject, v->subject, sizeof v->subject);
    memcpy(taken.session, v->session, sizeof v->session);
    memcpy(taken.acq, v->acq, sizeof v->acq);
    taken.reused = true;
    *v = taken;
    return true;
}

/* Volume of item i, taken over or made. */
static void one_volume(build *b, int64_t i, io_cache_volume *v) {
    const cache_step *s = &b->steps[i];
    cache_volume_name(v, &b->items.item[i], b->split[i]);
    if (cache_step_keeps(s) && take_over(v, b->old, s->old)) return;
    memcpy(v->sha256, s->sha256, sizeof v->sha256);
    cache_volume_make(v, &b->recipe);
}

static sx_err round_of(build *b, io_cache_writer *w, int64_t item, int64_t counts[N_COUNTS]) {
    const bool mine = item < b->items.n;
    io_cache_volume v = {0};
    if (mine) one_volume(b, item, &v);
    sx_err rc = io_cache_append(w, mine ? item : -1, &v);
    if (rc == SX_OK && mine) count_volume(&v, counts);
    io_cache_volume_clear(&v);
    return rc;
}

static sx_err write_cache(build *b, int64_t counts[N_COUNTS]) {
    const int size = mp_size(b->c), rank = mp_rank(b->c);
    io_cache_writer *w;
    sx_progress progress;
    sx_err rc = io_cache_create(&w, b->c, b->path, b->config);
    if (rc != SX_OK) return rc;
    sx_progress_begin(&progress, "cache", "volume", 0, b->items.n);
    for (int64_t first = 0; first < b->items.n && rc == SX_OK; first += size) {
        if (mp_stop_agreed(b->c)) {
            rc = sx_fail(SX_E_AGAIN,
                         "%s: stopped at volume %" PRId64 " of %" PRId64
                         ", nothing was written and the next run begins again",
                         b->path, first, b->items.n);
            break;
        }
        rc = round_of(b, w, first + rank, counts);
        sx_progress_step(&progress, first + size < b->items.n ? first + size : b->items.n, NULL);
    }
    sx_progress_end(&progress);
    const bool keep = rc == SX_OK;
    io_cache_close(b->old); /* before the rename: nobody reads the file that goes away */
    b->old = NULL;
    sx_err end = io_cache_commit(w, keep);
    return keep ? end : rc;
}

/* ---- the report ---- */

static void count_old(const build *b, int64_t counts[N_COUNTS]) {
    for (int64_t i = 0; i < b->items.n; i++) {
        io_cache_volume v = *io_cache_entry(b->old, i);
        v.reused = true;
        count_volume(&v, counts);
    }
}

static void report(const build *b, const int64_t counts[N_COUNTS], bool written, double seconds) {
    const int64_t *slices = counts + N_SLICES, bytes = sx_file_size(b->path);
    if (!job_json(b->j)) {
        printf("%-10s %10s %10s %10s\n", "volumes", "ok", "failed", "reused");
        printf("%-10s %10" PRId64 " %10" PRId64 " %10" PRId64 "\n", "", counts[N_OK],
               counts[N_FAILED], counts[N_REUSED]);
        printf("%-10s %10s %10s %10s\n", "slices", "train", "val", "test");
        printf("%-10s %10" PRId64 " %10" PRId64 " %10" PRId64 "\n", "", slices[IO_TRAIN],
               slices[IO_VAL], slices[IO_TEST]);
        printf("%s: %s, %.1f MB, %.1f s\n", b->path, written ? "written" : "up to date",
               (double)bytes / 1e6, seconds);
        return;
    }
    json_t *o = json_pack(
        "{s:o, s:b, s:I, s:I, s:I, s:{s:I, s:I, s:I}, s:I, s:f}", "file", job_json_string(b->path),
        "written", written, "ok", (json_int_t)counts[N_OK], "failed", (json_int_t)counts[N_FAILED],
        "reused", (json_int_t)counts[N_REUSED], "slices", "train", (json_int_t)slices[IO_TRAIN],
        "val", (json_int_t)slices[IO_VAL], "test", (json_int_t)slices[IO_TEST], "bytes",
        (json_int_t)bytes, "seconds", seconds);
    job_json_print(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
}

/* The split is drawn before anybody knows which volumes fail. */
static void warn_of_empty_splits(const build *b, const int64_t slices[IO_N_SPLITS]) {
    if (job_text(b->j, "data.split_list")[0]) return;
    for (int s = 0; s < IO_N_SPLITS; s++) {
        char key[32];
        snprintf(key, sizeof key, "data.split_%s", io_split_name((io_split)s));
        if (job_real(b->j, key) > 0 && slices[s] == 0)
            sx_warn("%s: no slices for %s, although %s is %g", b->path, io_split_name((io_split)s),
                    key, job_real(b->j, key));
    }
}

static sx_err run_plan(build *b, double start_s) {
    int64_t counts[N_COUNTS] = {0};
    const bool speaks = mp_rank(b->c) == 0;
    if (speaks && (job_explain(b->j) || job_dry_run(b->j))) explain(b);
    if (job_dry_run(b->j)) return SX_OK;
    const bool idle = cache_plan_is_idle(b->steps, &b->items, b->split, b->old);
    if (idle) {
        count_old(b, counts);
    } else {
        sx_err rc = write_cache(b, counts);
        if (rc != SX_OK) return rc;
        mp_sum_i64(b->c, counts, N_COUNTS);
    }
    if (speaks) report(b, counts, !idle, sx_now_s() - start_s);
    if (speaks) warn_of_empty_splits(b, counts + N_SLICES);
    if (counts[N_FAILED] == 0) return job_check_folders(job_arg(b->j, 1), &b->items);
    return sx_fail(SX_E_ITEMS, "%s: %" PRId64 " of %" PRId64 " volumes failed", b->path,
                   counts[N_FAILED], b->items.n);
}

sx_err cache_build(const job *j, const char *root, const char *path) {
    const double start_s = sx_now_s();
    build b = {.j = j, .c = job_comm(j), .path = path, .recipe = cache_recipe_of(j)};
    cache_recipe_hash(&b.recipe, b.config);
    sx_err rc = prepare(&b, root);
    if (rc == SX_OK) rc = run_plan(&b, start_s);
    io_cache_close(b.old);
    io_items_clear(&b.items);
    sx_free(b.split);
    sx_free(b.steps);
    return rc;
}
