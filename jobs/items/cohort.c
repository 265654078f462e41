/* A cohort as work (cohort.h). */
#include "jobs/items/cohort.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_data.h"
#include "jobs/job/job_json.h"

#define DESCRIPTION_LIMIT ((size_t)1 << 20) /* bytes */

typedef struct cohort {
    const cohort_kind *kind;
    void *user;
    const char *input, *out; /* borrowed from the job */
    io_items items;
    char **clash; /* [items.n] why an image cannot be made, or NULL */
    work *work;
} cohort;

/* ---- two images, one name ---- */

typedef struct named {
    char *name;
    int64_t item;
} named;

static int by_name(const void *a, const void *b) {
    const named *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : (x->item > y->item) - (x->item < y->item);
}

char **cohort_clashes(const io_items *items, char *(*output_name)(const io_item *item)) {
    char **clash = SX_NEW_ARRAY(char *, items->n + 1);
    named *all = SX_NEW_ARRAY(named, items->n + 1);
    for (int64_t i = 0; i < items->n; i++) all[i] = (named){output_name(&items->item[i]), i};
    qsort(all, (size_t)items->n, sizeof *all, by_name);
    for (int64_t k = 0; k < items->n; k++) {
        const bool before = k > 0 && strcmp(all[k - 1].name, all[k].name) == 0;
        const bool after = k + 1 < items->n && strcmp(all[k + 1].name, all[k].name) == 0;
        if (!before && !after) continue;
        const int64_t other = all[before ? k - 1 : k + 1].item;
        clash[all[k].item] = sx_strf("%s and %s would both become %s", items->item[all[k].item].rel,
                                     items->item[other].rel, all[k].name);
    }
    for (int64_t k = 0; k < items->n; k++) sx_free(all[k].name);
    sx_free(all);
    return clash;
}

/* ---- the images as work ---- */

static const char *name_of(void *user, int64_t i) {
    return ((cohort *)user)->items.item[i].rel;
}

static sx_err inspect(void *user, int64_t i, char print[65], char why[WORK_WHY]) {
    const cohort *h = user;
    if (h->clash[i]) return sx_fail(SX_E_DATA, "%s", h->clash[i]);
    return h->kind->inspect(h->user, &h->items.item[i], print, why);
}

static sx_err make(void *user, mp_comm *share, int64_t i, const char print[65], char **payload,
                   bool *lost) {
    const cohort *h = user;
    (void)payload; /* the outputs say it all */
    return h->kind->make(h->user, h->work, share, &h->items.item[i], print, lost);
}

/* ---- where outputs go ---- */

static bool same_folder(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISDIR(x.st_mode) && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* A data set that does not say what it is, is raw (BIDS 1.4). */
static bool is_raw(const char *folder) {
    char *path = sx_path_join(folder, "dataset_description.json");
    json_t *o = NULL;
    if (sx_file_exists(path)) job_json_read(path, DESCRIPTION_LIMIT, &o);
    const char *type = json_string_value(json_object_get(o, "DatasetType"));
    const bool raw = json_is_object(o) && (!type || strcmp(type, "raw") == 0);
    json_decref(o);
    sx_free(path);
    return raw;
}

static sx_err check_out(const cohort *h) {
    if (sx_file_exists(h->out) && !sx_file_is_dir(h->out))
        return sx_fail(SX_E_CREATE, "%s: is not a folder", h->out);
    if (same_folder(h->input, h->out))
        return sx_fail(SX_E_USAGE,
                       "%s: is the input, and outputs go into a folder of their own, such as "
                       "%s/derivatives/sagax-%s",
                       h->out, h->out, h->kind->verb);
    if (is_raw(h->out))
        return sx_fail(SX_E_USAGE,
                       "%s: is a raw data set (dataset_description.json), and outputs go into a "
                       "folder of their own, such as %s/derivatives/sagax-%s",
                       h->out, h->out, h->kind->verb);
    return SX_OK;
}

/* ---- the run ---- */

static sx_err find(cohort *h, job *j) {
    sx_err rc = check_out(h);
    if (rc == SX_OK) rc = h->kind->find(j, &h->items);
    if ((rc = mp_agree(job_comm(j), rc)) == SX_OK)
        h->clash = cohort_clashes(&h->items, h->kind->output_name);
    return rc;
}

/* What a dry run does not do. */
static sx_err begin(const cohort *h, mp_comm *comm) {
    sx_err rc = SX_OK;
    if (mp_rank(comm) == 0) {
        rc = sx_mkdirs(h->out);
        if (rc == SX_OK) rc = io_bids_describe(h->out, h->kind->about, h->input);
    }
    rc = mp_agree(comm, rc);
    return rc == SX_OK && h->kind->begin ? h->kind->begin(h->user) : rc;
}

static sx_err work_through(cohort *h, job *j, const char *folder, const work_kind *kind) {
    mp_comm *comm = job_comm(j);
    sx_err rc;
    SX_TRY(rc, find(h, j));
    if (!job_dry_run(j)) SX_TRY(rc, begin(h, comm));
    SX_TRY(rc, work_open(&h->work, j, folder, kind, h, h->items.n));
    if (job_dry_run(j)) {
        rc = mp_agree(comm, mp_rank(comm) == 0 ? work_plan(h->work) : SX_OK);
    } else {
        SX_TRY(rc, work_run(h->work));
        rc = job_check_folders(h->input, &h->items);
    }
out:
    return rc;
}

static void cohort_clear(cohort *h) {
    work_close(h->work);
    for (int64_t i = 0; h->clash && i < h->items.n; i++) sx_free(h->clash[i]);
    sx_free(h->clash);
    io_items_clear(&h->items);
}

sx_err cohort_run(job *j, const cohort_kind *kind, const char config[65], void *user) {
    cohort h = {.kind = kind, .user = user, .input = job_arg(j, 0), .out = job_arg(j, 1)};
    char *name = sx_strf("sagax-%s.tsv", kind->verb), *table = sx_path_join(h.out, name);
    char *folder = work_folder(h.out, true);
    work_kind as_work = {.verb = kind->verb,
                         .table = table,
                         .together = kind->together,
                         .name = name_of,
                         .inspect = inspect,
                         .make = make};
    snprintf(as_work.config, sizeof as_work.config, "%s", config);
    const sx_err rc = work_through(&h, j, folder, &as_work);
    cohort_clear(&h);
    sx_free(name);
    sx_free(table);
    sx_free(folder);
    return rc;
}
