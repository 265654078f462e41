/* Splitting by subject, never by file: follow-ups and second orientations stay together. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "io/io_table.h"
#include "jobs/cache/cache.h"

/* ---- drawn ---- */

typedef struct subject {
    const char *label; /* borrowed from the first item */
    double u;          /* its place in [0, 1) */
    bool usable;       /* it has an image that did not fail */
    io_split split;
} subject;

static double place_of(uint64_t seed, const char *label) {
    sx_rng r = sx_rng_make(seed, SX_RNG_SPLIT, 0, sx_hash_key(label));
    return (double)sx_rng_uniform(&r);
}

static int by_label(const void *a, const void *b) {
    return strcmp(((const subject *)a)->label, ((const subject *)b)->label);
}

/* Subjects of the items, sorted, once each; new. */
static subject *subjects_of(const io_items *items, int64_t *n) {
    subject *s = SX_NEW_ARRAY(subject, items->n + 1);
    int64_t unique = 0;
    for (int64_t i = 0; i < items->n; i++) s[i].label = items->item[i].subject;
    qsort(s, (size_t)items->n, sizeof *s, by_label);
    for (int64_t i = 0; i < items->n; i++)
        if (unique == 0 || strcmp(s[unique - 1].label, s[i].label) != 0) s[unique++] = s[i];
    *n = unique;
    return s;
}

static subject *subject_of(subject *s, int64_t n, const io_item *item) {
    const subject key = {.label = item->subject};
    return bsearch(&key, s, (size_t)n, sizeof *s, by_label);
}

static void count_splits(const subject *s, int64_t n, int64_t count[IO_N_SPLITS]) {
    memset(count, 0, IO_N_SPLITS * sizeof *count);
    for (int64_t i = 0; i < n; i++) count[s[i].split] += s[i].usable;
}

/* Give a split without a usable subject the one nearest to its interval's centre that its own split
 * can spare. */
static void fill_empty(subject *s, int64_t n, io_split empty, double centre) {
    int64_t count[IO_N_SPLITS], best = -1;
    count_splits(s, n, count);
    if (count[empty] > 0) return;
    for (int64_t i = 0; i < n; i++)
        if (s[i].usable && count[s[i].split] > 1 &&
            (best < 0 || fabs(s[i].u - centre) < fabs(s[best].u - centre)))
            best = i;
    if (best >= 0) s[best].split = empty;
}

static sx_err draw(const job *j, subject *s, int64_t n) {
    const double fraction[IO_N_SPLITS] = {job_real(j, "data.split_train"),
                                          job_real(j, "data.split_val"),
                                          job_real(j, "data.split_test")};
    const double sum = fraction[0] + fraction[1] + fraction[2];
    if (!(sum > 0)) return sx_fail(SX_E_CONFIG, "data.split_train, _val and _test are all 0");
    const double end[IO_N_SPLITS] = {fraction[0] / sum, (fraction[0] + fraction[1]) / sum, 1};
    for (int64_t i = 0; i < n; i++) {
        s[i].u = place_of((uint64_t)job_int(j, "data.split_seed"), s[i].label);
        s[i].split = s[i].u < end[0] ? IO_TRAIN : s[i].u < end[1] ? IO_VAL : IO_TEST;
    }
    static const io_split order[] = {IO_TRAIN, IO_TEST, IO_VAL}; // by importance
    for (int k = 0; n >= 3 && k < IO_N_SPLITS; k++)
        if (fraction[order[k]] > 0)
            fill_empty(s, n, order[k], end[order[k]] - fraction[order[k]] / sum / 2);
    return SX_OK;
}

/* ---- from a list ---- */

static const char *without_prefix(const char *label) {
    return strncmp(label, "sub-", 4) == 0 ? label + 4 : label;
}

/* Row of a subject; -1 when absent, -2 when there are two. */
static int64_t row_of(const io_table *t, int column, const char *label) {
    int64_t row = -1;
    for (int64_t i = 0; i < t->n_rows; i++) {
        if (strcmp(without_prefix(io_table_at(t, i, column)), label) != 0) continue;
        if (row >= 0) return -2;
        row = i;
    }
    return row;
}

static sx_err look_up(const char *path, subject *s, int64_t n) {
    io_table t;
    sx_err rc = io_table_read(path, &t);
    if (rc != SX_OK) return rc;
    const int name = io_table_column(&t, "subject"), split = io_table_column(&t, "split");
    if (name < 0 || split < 0)
        rc = sx_fail(SX_E_DATA, "%s:1: columns subject and split are needed", path);
    for (int64_t i = 0; rc == SX_OK && i < n; i++) {
        int64_t row = row_of(&t, name, s[i].label);
        if (row < 0) {
            rc = sx_fail(SX_E_DATA, "%s: subject %s is %s", path, s[i].label,
                         row == -1 ? "not listed" : "listed twice");
            break;
        }
        s[i].split = io_split_parse(io_table_at(&t, row, split));
        if (s[i].split == IO_N_SPLITS)
            rc = sx_fail(SX_E_DATA, "%s:%" PRId64 ": split %s is none of train, val, test", path,
                         row + 2, io_table_at(&t, row, split));
    }
    io_table_clear(&t);
    return rc;
}

/* ---- from another cache ---- */

/* Subjects that it does not have stay where they were drawn. */
static sx_err take_over(const char *path, subject *s, int64_t n) {
    io_cache *k;
    const sx_err rc = io_cache_open(&k, path);
    if (rc != SX_OK) return rc;
    for (int64_t v = 0; v < io_cache_n_volumes(k); v++) {
        const io_cache_volume *e = io_cache_entry(k, v);
        const subject key = {.label = e->subject};
        subject *found = bsearch(&key, s, (size_t)n, sizeof *s, by_label);
        if (found) found->split = e->split;
    }
    io_cache_close(k);
    return SX_OK;
}

sx_err cache_split(const job *j, const io_items *items, const int64_t *usable, io_split **split) {
    int64_t n;
    subject *s = subjects_of(items, &n);
    for (int64_t i = 0; i < items->n; i++)
        if (!usable || usable[i]) subject_of(s, n, &items->item[i])->usable = true;
    const char *list = job_text(j, "data.split_list");
    const bool cache = sx_has_suffix(list, ".h5");
    sx_err rc = list[0] && !cache ? look_up(list, s, n) : draw(j, s, n);
    if (rc == SX_OK && cache) rc = take_over(list, s, n);
    *split = NULL;
    if (rc == SX_OK) *split = SX_NEW_ARRAY(io_split, items->n + 1);
    for (int64_t i = 0; rc == SX_OK && i < items->n; i++)
        (*split)[i] = subject_of(s, n, &items->item[i])->split;
    sx_free(s);
    return rc;
}

/* ---- once it is known which images fail ---- */

static bool is_usable(const cache_run *r, int64_t i) {
    switch (work_outcomes(r->w)[i].state) {
    case WORK_FAILED:
        return false;
    case WORK_MADE:
    case WORK_UNCHANGED:
        return true;
    default: /* of another task's share */
        return r->steps[i].action == CACHE_KEEP ||
               cache_part_is_good(r->parts, &r->steps[i], r->config);
    }
}

sx_err cache_split_again(cache_run *r) {
    const int64_t n = r->items.n, rank = mp_rank(r->c), size = mp_size(r->c);
    int64_t *usable = SX_NEW_ARRAY(int64_t, n + 1);
    io_split *split = NULL;
    for (int64_t i = rank; i < n; i += size) usable[i] = is_usable(r, i);
    mp_sum_i64(r->c, usable, (int)n);
    const sx_err rc = mp_agree(r->c, cache_split(r->j, &r->items, usable, &split));
    if (rc == SX_OK) {
        sx_free(r->split);
        r->split = split;
        split = NULL;
    }
    sx_free(split);
    sx_free(usable);
    return rc;
}
