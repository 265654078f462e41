/* sagax points MASKS OUT: points on the cord at the levels of the discs, for registration to a
 * template.
 *
 * MASKS is a tree with vertebra and sub-region masks (of `segment`, SPINEPS, the phantom's truth),
 * a TSV list or one vertebra mask. Masks are work (work.h): one that cannot be used gets its reason
 * in OUT/sagax-points.tsv, the others go on, and the exit code is 1. Outputs that are finished and
 * still valid are not made again. */
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/items/cohort.h"
#include "jobs/segment/points.h"
#include "jobs/job/verbs.h"

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

static sx_err inspect(void *user, const io_item *item, char print[65], char why[WORK_WHY]) {
    return pt_inspect(user, item, print, why);
}

static sx_err make(void *user, work *w, mp_comm *share, const io_item *item, const char print[65],
                   bool *lost) {
    const pt_config *c = user;
    pt_inputs in = {.subreg = NULL};
    im_labels vert = {.voxel = NULL}, subreg = {.voxel = NULL}, grid = {.voxel = NULL};
    sp_points p;
    sx_err rc;
    (void)share; /* this rank alone */
    SX_TRY(rc, pt_inputs_find(c, item, &in));
    SX_TRY(rc, pt_masks_read(c, item, &in, &vert, &subreg, &grid));
    rc = sp_points_find(&p, &vert, &subreg);
    if (rc != SX_OK) {
        sx_fail_context(rc, "%s", item->rel);
        goto out;
    }
    say(item, &p);
    rc = work_holds(w);
    if (rc == SX_OK) rc = pt_write(c, item, &in, &p, &grid, print);
    *lost = work_is_loss(rc);
out:
    im_labels_clear(&vert);
    im_labels_clear(&subreg);
    im_labels_clear(&grid);
    pt_inputs_clear(&in);
    return rc;
}

static const cohort_kind kind = {.verb = "points",
                                 .about = "sagax points",
                                 .find = pt_items_find,
                                 .output_name = pt_output_name,
                                 .inspect = inspect,
                                 .make = make};

static sx_err run(job *j) {
    pt_config c = {.ball_mm = 0};
    char config[SX_HASH_HEX];
    job_config_hash(j, "points,data", config);
    sx_err rc = mp_agree(job_comm(j), pt_config_read(&c, j));
    if (rc == SX_OK) rc = cohort_run(j, &kind, config, &c);
    pt_config_clear(&c);
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
    .ranks = JOB_RANKS,
    .run = run,
};
