/* sagax sr INPUT OUT --weights RUN|FILE: super-resolution of axial scans.
 *
 * INPUT is a BIDS tree, a TSV list or one NIfTI file. With at least as many items as ranks, whole
 * volumes are shared out, largest first, to whoever asks next; with fewer, all ranks work on the
 * same volume and share its slices. An item that cannot be used gets its reason in
 * OUT/sagax-sr.tsv, the others go on, and the exit code is 1. Outputs that are finished and still
 * valid are not made again. With consistency "project" values may leave the range of the scan a
 * little: the measured slices win over the range. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/job_data.h"
#include "jobs/sr.h"
#include "jobs/verbs.h"
#include "mpi/mp_queue.h"
#include "mpi/mp_stop.h"

static const job_option *const sections[] = {options_sr, options_data, options_model,
                                             options_diffusion, NULL};
static const job_alias aliases[] = {
    {"--weights", "sr.weights"},
    {"--seed", "sr.seed"},
    {"--samples", "sr.samples"},
    {"--steps", "diffusion.steps"},
    {"--consistency", "sr.consistency"},
    {"--kernels", "model.kernels"},
    {"--acq", "data.acq"},
    {"--subjects", "data.subjects"},
    {"--force", "sr.force"},
    JOB_ALIASES_END,
};

/* ---- items ---- */

static int largest_first(const void *a, const void *b) {
    const io_item *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->rel, y->rel);
}

static sx_err find_items(const job *j, io_items *items) {
    const char *input = job_arg(j, 0), *list = job_text(j, "data.list");
    const io_filter f = job_filter(j);
    sx_err rc = list[0]                        ? io_bids_list(list, &f, items)
                : sx_has_suffix(input, ".tsv") ? io_bids_list(input, &f, items)
                : io_nifti_is_name(input) && !sx_file_is_dir(input)
                    ? io_bids_file(input, items)
                    : io_bids_walk(input, &f, items);
    if (rc != SX_OK) return rc;
    if (items->n == 0)
        return sx_fail(SX_E_NOINPUT, "%s: no image with acq-%s and suffix %s", input,
                       f.acq[0] ? f.acq : "*", f.suffix[0] ? f.suffix : "*");
    qsort(items->item, (size_t)items->n, sizeof *items->item, largest_first);
    return SX_OK;
}

/* ---- one item ---- */

typedef enum state { WAITING, MADE, UNCHANGED, FAILED, STOPPED } state;
static const char *const state_names[] = {"waiting", "made", "unchanged", "failed", "stopped"};

/* What became of an item; travels between ranks as bytes. */
typedef struct outcome {
    int64_t item;
    state state;
    double seconds;
    char reason[480];
} outcome;

typedef struct cohort {
    const job *j;
    sr_config c;
    io_items items;
    sr_engine engine;
    outcome *outcome; /* [items.n]; of this rank, then of all */
} cohort;

typedef struct bar {
    sx_progress progress;
    int64_t before; /* slices of earlier samples */
} bar;

static void on_slice(void *user, int64_t done) {
    bar *b = user;
    sx_progress_step(&b->progress, b->before + done, NULL);
}

/* Slices that this rank will walk through, as far as it is known beforehand. */
static void bar_begin(bar *b, const io_item *item, const sr_volume *v, int samples, int ranks) {
    b->before = 0;
    sx_progress_begin(&b->progress, item->stem, "slice", 0, v->cubic.dim[2] * samples / ranks);
}

static void choose_thickness(const sr_config *c, const io_item *item, sr_record *r) {
    double sidecar = io_bids_slice_thickness(item, 0.0);
    r->thickness_mm = c->thickness_mm > 0.0 ? c->thickness_mm
                      : sidecar > 0.0       ? sidecar
                                            : r->spacing_mm;
    r->thickness_from = c->thickness_mm > 0.0 ? "configuration"
                        : sidecar > 0.0       ? "sidecar"
                                              : "spacing";
}

/* Read and prepare on this rank. */
static sx_err prepare(const sr_config *c, const io_item *item, sr_volume *v, sr_record *r,
                      dg_operator **op) {
    sx_err rc;
    SX_TRY(rc, io_nifti_hash(item->path, r->source_sha256));
    SX_TRY(rc, sr_volume_read_opt(item->path, &c->read, c->hr_mm, c->quantile, v));
    r->mapping = v->mapping;
    r->spacing_mm = v->spacing_mm;
    choose_thickness(c, item, r);
    SX_TRY(rc,
           dg_operator_new(op, (int)v->cubic.dim[1], (int)v->measured.dim[1], (double)v->first_row,
                           v->spacing_mm / c->hr_mm, r->thickness_mm, c->hr_mm));
    r->residual_cubic = sr_residual(*op, v, v->cubic.voxel);
out:
    return rc;
}

/* Sum and sum of squares over samples, [voxels]. */
typedef struct spread {
    double *sum, *sum2;
} spread;

static void spread_add(spread *s, const float *x, int64_t n) {
    if (!s->sum) return;
    for (int64_t i = 0; i < n; i++) {
        s->sum[i] += (double)x[i];
        s->sum2[i] += (double)x[i] * (double)x[i];
    }
}

/* One output in the scan's intensities; x [voxels] is 0..1 and used up. */
static sx_err write_output(const sr_config *c, const io_item *item, int what, const sr_volume *v,
                           const dg_operator *op, sr_record *r, im_volume *out) {
    int64_t n = im_volume_count(out);
    if (what == SR_SD) {
        for (int64_t i = 0; i < n; i++) out->voxel[i] *= (float)v->mapping.scale;
    } else {
        r->residual = sr_residual(op, v, out->voxel);
        im_mapping_invert(&v->mapping, out->voxel, n);
    }
    return sr_write(c, item, what, out, r);
}

static sx_err write_spread(const sr_config *c, const io_item *item, const sr_volume *v,
                           const dg_operator *op, sr_record *r, const spread *s, im_volume *out) {
    int64_t n = im_volume_count(out);
    double k = c->samples;
    sx_err rc;
    for (int64_t i = 0; i < n; i++) out->voxel[i] = (float)(s->sum[i] / k);
    SX_TRY(rc, write_output(c, item, SR_MEAN, v, op, r, out));
    for (int64_t i = 0; i < n; i++)
        out->voxel[i] =
            (float)sqrt(fmax(0.0, (s->sum2[i] - s->sum[i] * s->sum[i] / k) / (k - 1.0)));
    rc = write_output(c, item, SR_SD, v, op, r, out);
out:
    return rc;
}

/* All samples of one prepared volume. Collective over `share`; rank 0 of it writes. */
static sx_err make_samples(cohort *h, mp_comm *share, const io_item *item, const sr_volume *v,
                           const dg_operator *op, sr_record *r) {
    const sr_config *c = &h->c;
    bool writer = mp_rank(share) == 0;
    im_volume out = {0};
    spread s = {0};
    bar b;
    int64_t n = im_volume_count(&v->cubic);
    sx_err rc = im_volume_copy(&out, &v->cubic);
    if (rc == SX_OK && c->samples > 1 && writer) {
        s.sum = sx_try_alloc(n, sizeof(double));
        s.sum2 = sx_try_alloc(n, sizeof(double));
        if (!s.sum || !s.sum2) rc = sx_fail(SX_E_NOMEM, "%s: no memory for the mean", item->rel);
    }
    rc = mp_agree(share, rc);
    bar_begin(&b, item, v, c->samples, mp_size(share));
    for (int sample = 1; sample <= c->samples && rc == SX_OK; sample++) {
        rc = sr_sample(&h->engine, share, v, op, sr_noise_key(c, item), sample, out.voxel, on_slice,
                       &b);
        b.before = b.progress.done;
        if (rc != SX_OK) break;
        if (writer) {
            spread_add(&s, out.voxel, n);
            rc = write_output(c, item, sample, v, op, r, &out);
        }
        rc = mp_agree(share, rc);
    }
    if (rc == SX_OK && c->samples > 1) {
        if (writer) rc = write_spread(c, item, v, op, r, &s, &out);
        rc = mp_agree(share, rc);
    }
    sx_progress_end(&b.progress);
    sx_free(s.sum);
    sx_free(s.sum2);
    im_volume_clear(&out);
    return rc;
}

static sx_err make_item(cohort *h, mp_comm *share, const io_item *item) {
    sr_volume v = {0};
    sr_record r = {0};
    dg_operator *op = NULL;
    if (mp_rank(share) == 0) sr_sweep(&h->c, item);
    sx_err rc = mp_agree(share, prepare(&h->c, item, &v, &r, &op));
    if (rc == SX_OK) rc = make_samples(h, share, item, &v, op, &r);
    dg_operator_free(op);
    sr_volume_clear(&v);
    return rc;
}

/* Rank 0 of `share` decides; `why` and the result are the same on all its ranks. */
static sx_err reason(const cohort *h, mp_comm *share, const io_item *item, char why[128]) {
    sx_err rc = mp_rank(share) == 0 ? sr_reason(&h->c, item, why) : SX_OK;
    rc = mp_agree(share, rc);
    mp_bcast(share, why, 128, 0);
    return rc;
}

static void process(cohort *h, mp_comm *share, int64_t index) {
    const io_item *item = &h->items.item[index];
    outcome *o = &h->outcome[index];
    double start_s = sx_now_s();
    char why[128] = "";
    sx_err rc = reason(h, share, item, why);
    if (rc == SX_OK && *why) {
        if (job_explain(h->j)) sx_info("%s: %s", item->rel, why);
        rc = make_item(h, share, item);
        o->state = MADE;
    } else if (rc == SX_OK) {
        o->state = UNCHANGED;
    }
    if (rc != SX_OK) {
        o->state = rc == SX_E_AGAIN ? STOPPED : FAILED;
        sx_warn("%s: %s", item->rel, sx_err_text());
    }
    snprintf(o->reason, sizeof o->reason, "%s", rc != SX_OK ? sx_err_text() : why);
    o->seconds = sx_now_s() - start_s;
    sx_info("%s: %s in %.1f s (item %lld of %lld)", item->rel, state_names[o->state], o->seconds,
            (long long)index + 1, (long long)h->items.n);
}

/* ---- the cohort ---- */

/* Volumes to ranks. */
static sx_err process_shared_out(cohort *h) {
    mp_queue *q = NULL;
    sx_err rc = mp_queue_new(&q, h->c.comm, h->items.n);
    if (rc != SX_OK) return rc;
    for (int64_t i = mp_queue_next(q); i >= 0; i = mp_queue_next(q))
        if (!mp_stop_wanted()) process(h, mp_self(), i);
    mp_queue_free(q);
    return SX_OK;
}

/* All ranks on each volume. */
static void process_together(cohort *h) {
    for (int64_t i = 0; i < h->items.n && !mp_stop_agreed(h->c.comm); i++) process(h, h->c.comm, i);
}

/* Every rank's outcomes on all ranks. */
static void exchange(cohort *h) {
    outcome *mine = SX_NEW_ARRAY(outcome, h->items.n);
    void *all = NULL;
    size_t n_bytes = 0, n = 0;
    for (int64_t i = 0; i < h->items.n; i++)
        if (h->outcome[i].state != WAITING) mine[n++] = h->outcome[i];
    mp_allgather(h->c.comm, mine, n * sizeof *mine, &all, &n_bytes);
    const outcome *from = all;
    for (size_t i = 0; i < n_bytes / sizeof *from; i++)
        if (h->outcome[from[i].item].state == WAITING) h->outcome[from[i].item] = from[i];
    sx_free(all);
    sx_free(mine);
}

static int64_t count(const cohort *h, state s) {
    int64_t n = 0;
    for (int64_t i = 0; i < h->items.n; i++) n += h->outcome[i].state == s;
    return n;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* item, status, reason, seconds; in order of names. */
static sx_err write_table(const cohort *h) {
    static const char *const header[] = {"item", "status", "reason", "seconds"};
    char *path = sx_path_join(h->c.out, "sagax-sr.tsv");
    const char **name = SX_NEW_ARRAY(const char *, h->items.n);
    io_table t;
    io_table_init(&t, 4, header);
    for (int64_t i = 0; i < h->items.n; i++) name[i] = h->items.item[i].rel;
    qsort(name, (size_t)h->items.n, sizeof *name, by_name);
    for (int64_t k = 0; k < h->items.n; k++) {
        int64_t i = 0;
        while (h->items.item[i].rel != name[k]) i++;
        outcome *o = &h->outcome[i];
        for (char *s = o->reason; *s; s++)
            if (*s == '\t' || *s == '\n' || *s == '\r') *s = ' ';
        char seconds[32];
        snprintf(seconds, sizeof seconds, "%.1f", o->seconds);
        const char *cells[] = {name[k], state_names[o->state], *o->reason ? o->reason : "-",
                               seconds};
        io_table_add(&t, cells);
    }
    sx_err rc = io_table_write(path, &t);
    io_table_clear(&t);
    sx_free(name);
    sx_free(path);
    return rc;
}

static sx_err conclude(cohort *h) {
    mp_comm *comm = h->c.comm;
    exchange(h);
    sx_err rc = mp_agree(comm, mp_rank(comm) == 0 ? write_table(h) : SX_OK);
    if (rc != SX_OK) return rc;
    int64_t failed = count(h, FAILED), n = h->items.n;
    sx_info("%lld made, %lld unchanged, %lld failed of %lld", (long long)count(h, MADE),
            (long long)count(h, UNCHANGED), (long long)failed, (long long)n);
    if (count(h, STOPPED) + count(h, WAITING) > 0)
        return sx_fail(SX_E_AGAIN, "stopped on request; run again to finish");
    if (failed == 0) return SX_OK;
    return sx_fail(SX_E_ITEMS, "%lld of %lld items failed; reasons are in %s/sagax-sr.tsv",
                   (long long)failed, (long long)n, h->c.out);
}

/* What would be done, and why. */
static sx_err print_plan(const cohort *h) {
    for (int64_t i = 0; i < h->items.n && mp_rank(h->c.comm) == 0; i++) {
        char why[128] = "";
        const io_item *item = &h->items.item[i];
        sx_err rc = sr_reason(&h->c, item, why);
        printf("%s\t%s\t%s\n", item->rel,
               rc != SX_OK ? "fail"
               : *why      ? "make"
                           : "keep",
               rc != SX_OK ? sx_err_text()
               : *why      ? why
                           : "finished, nothing changed");
    }
    return SX_OK;
}

static sx_err start(cohort *h, job *j) {
    mp_comm *comm = job_comm(j);
    sx_err rc = job_preset(j, "data.acq", "ax");
    if (rc == SX_OK) rc = sr_config_read(&h->c, j);
    if (rc == SX_OK) rc = find_items(j, &h->items);
    if ((rc = mp_agree(comm, rc)) != SX_OK || job_dry_run(j)) return rc;
    if (mp_rank(comm) == 0) {
        rc = sx_mkdirs(h->c.out);
        if (rc == SX_OK) rc = io_bids_describe(h->c.out, "sagax super-resolution", h->c.input);
    }
    h->engine.c = &h->c;
    h->outcome = SX_NEW_ARRAY(outcome, h->items.n);
    for (int64_t i = 0; i < h->items.n; i++) h->outcome[i].item = i;
    return mp_agree(comm, rc);
}

static sx_err run(job *j) {
    cohort h = {.j = j};
    sx_err rc;
    SX_TRY(rc, start(&h, j));
    if (job_dry_run(j)) {
        rc = print_plan(&h);
        goto out;
    }
    if (h.items.n >= mp_size(h.c.comm))
        SX_TRY(rc, process_shared_out(&h));
    else
        process_together(&h);
    rc = conclude(&h);
out:
    sr_engine_clear(&h.engine);
    sr_config_clear(&h.c);
    io_items_clear(&h.items);
    sx_free(h.outcome);
    return rc;
}

const job_verb cmd_sr = {
    .name = "sr",
    .arguments = "BIDS|LIST.tsv|NIFTI OUT",
    .summary = "super-resolution of a cohort of axial scans",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = true,
    .run = run,
};
