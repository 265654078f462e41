/* sagax points MASKS OUT: points on the cord at the levels of the discs, for registration to a
 * template.
 *
 * MASKS is a tree with vertebra and sub-region masks (of `segment`, SPINEPS, the phantom's truth),
 * a TSV list or one vertebra mask. Masks are work (work.h): one that cannot be used gets its reason
 * in OUT/sagax-points.tsv, the others go on, and the exit code is 1. Outputs that are finished and
 * still valid are not made again. */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job_data.h"
#include "jobs/points.h"
#include "jobs/sr.h"
#include "jobs/verbs.h"

static const job_option *const sections[] = {options_points, options_data_masks, options_run,
                                             options_run_crew, NULL};
static const job_alias aliases[] = {
    {"--reference", "points.reference"},
    {"--scheme", "points.scheme"},
    {"--ball", "points.ball_mm"},
    {"--subjects", "data.subjects"},
    {"--retry", "run.retry"},
    JOB_ALIASES_END,
};

typedef struct cohort {
    pt_config c;
    io_items items;
    char **clash;         /* [items.n] why an item cannot be made, or NULL */
    char *table, *folder; /* of outcomes; of the work */
    work *work;
} cohort;

/* ---- what is said about an item ---- */

/* Levels of one kind as a list of names. */
static void say_levels(const io_item *item, const char *what, const sp_level *level, int n,
                       bool (*is)(const sp_level *l)) {
    char *list = NULL;
    for (int i = 0; i < n; i++) {
        char name[16];
        if (!is(&level[i])) continue;
        sp_level_name(&level[i], name);
        char *longer = sx_strf("%s%s%s", list ? list : "", list ? ", " : "", name);
        sx_free(list);
        list = longer;
    }
    if (list) sx_warn("%s: %s: %s", item->rel, what, list);
    sx_free(list);
}

static bool is_between_bodies(const sp_level *l) {
    return l->from == SP_FROM_BODIES;
}

static bool is_without_disc(const sp_level *l) {
    return l->why == SP_NO_DISC;
}

static bool is_out_of_order(const sp_level *l) {
    return l->why == SP_NO_ORDER;
}

static void say(const io_item *item, const sp_points *p) {
    for (int i = 0; i < p->n_odd; i++)
        sx_warn("%s: %s is out of order from head to foot, left out", item->rel,
                sp_vertebra_name(p->odd_body[i]));
    say_levels(item, "no disc, placed between the bodies", p->point, p->n, is_between_bodies);
    say_levels(item, "no point for want of a disc", p->missing, p->n_missing, is_without_disc);
    say_levels(item, "left out, out of order along the spine", p->missing, p->n_missing,
               is_out_of_order);
}

/* ---- the masks as work ---- */

static const char *name_of(void *user, int64_t i) {
    return ((cohort *)user)->items.item[i].rel;
}

static sx_err inspect(void *user, int64_t i, char print[65], char why[WORK_WHY]) {
    const cohort *h = user;
    if (h->clash[i]) return sx_fail(SX_E_DATA, "%s", h->clash[i]);
    return pt_inspect(&h->c, &h->items.item[i], print, why);
}

static sx_err make(void *user, mp_comm *share, int64_t i, char **payload, bool *lost) {
    cohort *h = user;
    const io_item *item = &h->items.item[i];
    pt_inputs in = {.subreg = NULL};
    im_labels vert = {.voxel = NULL}, subreg = {.voxel = NULL}, grid = {.voxel = NULL};
    sp_points p;
    sx_err rc;
    (void)share; /* this rank alone */
    (void)payload;
    SX_TRY(rc, pt_inputs_find(&h->c, item, &in));
    SX_TRY(rc, pt_masks_read(&h->c, item, &in, &vert, &subreg, &grid));
    rc = sp_points_find(&p, &vert, &subreg);
    if (rc != SX_OK) {
        sx_fail_context(rc, "%s", item->rel);
        goto out;
    }
    say(item, &p);
    SX_TRY(rc, work_holds(h->work));
    rc = pt_write(&h->c, item, &in, &p, &grid);
    *lost = rc == SX_E_CREATE || rc == SX_E_IO;
out:
    im_labels_clear(&vert);
    im_labels_clear(&subreg);
    im_labels_clear(&grid);
    pt_inputs_clear(&in);
    return rc;
}

/* ---- the verb ---- */

static sx_err find(cohort *h, const job *j) {
    sx_err rc = pt_config_read(&h->c, j);
    if (rc == SX_OK) rc = pt_items_find(j, &h->items);
    if (rc == SX_OK && sx_file_exists(h->c.out) && !sx_file_is_dir(h->c.out))
        rc = sx_fail(SX_E_CREATE, "%s: is not a folder", h->c.out);
    if ((rc = mp_agree(job_comm(j), rc)) == SX_OK)
        h->clash = sr_items_clashes(&h->items, pt_output_name);
    return rc;
}

static sx_err begin(const cohort *h, mp_comm *comm) {
    sx_err rc = SX_OK;
    if (mp_rank(comm) == 0) {
        rc = sx_mkdirs(h->c.out);
        if (rc == SX_OK) rc = io_bids_describe(h->c.out, "sagax points", h->c.input);
    }
    return mp_agree(comm, rc);
}

static void cohort_clear(cohort *h) {
    work_close(h->work);
    for (int64_t i = 0; h->clash && i < h->items.n; i++) sx_free(h->clash[i]);
    sx_free(h->clash);
    sx_free(h->table);
    sx_free(h->folder);
    pt_config_clear(&h->c);
    io_items_clear(&h->items);
}

static sx_err run(job *j) {
    mp_comm *comm = job_comm(j);
    cohort h = {.table = sx_path_join(job_arg(j, 1), "sagax-points.tsv"),
                .folder = work_folder(job_arg(j, 1), true)};
    work_kind kind = {
        .verb = "points", .table = h.table, .name = name_of, .inspect = inspect, .make = make};
    sx_err rc;
    job_config_hash(j, "points,data", kind.config);
    SX_TRY(rc, find(&h, j));
    if (!job_dry_run(j)) SX_TRY(rc, begin(&h, comm));
    SX_TRY(rc, work_open(&h.work, j, h.folder, &kind, &h, h.items.n));
    if (job_dry_run(j)) {
        rc = mp_agree(comm, mp_rank(comm) == 0 ? work_plan(h.work) : SX_OK);
    } else {
        SX_TRY(rc, work_run(h.work));
        rc = job_check_folders(h.c.input, &h.items);
    }
out:
    cohort_clear(&h);
    return rc;
}

const job_verb cmd_points = {
    .name = "points",
    .arguments = "MASKS|LIST.tsv|NIFTI OUT",
    .summary = "levels of discs as points on the cord",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = true,
    .run = run,
};
