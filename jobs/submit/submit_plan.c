/* What is known about the verbs that can be submitted (submit.h). */
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_cache.h"
#include "io/io_nifti.h"
#include "jobs/ablate/ablate.h"
#include "jobs/segment/seg.h"
#include "jobs/sr/sr.h"
#include "jobs/submit/submit.h"
#include "jobs/train/train_state.h"
#include "jobs/items/work.h"

/* Reads the weights, and takes from them what they bring along. */
static sx_err check_sr(job *inner) {
    sr_config c = {0};
    sx_err rc = sr_config_read(&c, inner);
    sr_config_clear(&c);
    return rc;
}

/* Reads the weights, or looks at the command; and finds the anchors. */
static sx_err check_segment(job *inner) {
    seg_config c = {.comm = NULL};
    const sx_err rc = seg_config_read(&c, inner);
    seg_config_clear(&c);
    return rc;
}

/* What is not there may come until the job starts: said, not refused. */
static void look_for(const char *path) {
    if (*path && !sx_file_exists(path)) sx_warn("%s: is not there; the job will need it", path);
}

/* A run folder that has a checkpoint goes on with the configuration it began with. The cache may
 * still be to come, and is then not compared. */
static sx_err check_resume(const job *inner, const train_config *c) {
    char hash[SX_HASH_HEX];
    const bool there = sx_file_exists(c->cache_path);
    io_cache *cache = NULL;
    sx_err rc = there ? io_cache_open(&cache, c->cache_path) : SX_OK;
    if (rc != SX_OK) return rc;
    if (there) io_cache_content_hash(cache, hash);
    char *identity = train_identity(inner, there ? hash : NULL);
    rc = train_state_check(c, identity);
    sx_free(identity);
    io_cache_close(cache);
    return rc;
}

static sx_err check_train(job *inner) {
    train_config c = {0};
    look_for(job_arg(inner, 0));
    const sx_err rc = train_config_read(&c, inner);
    return rc == SX_OK ? check_resume(inner, &c) : rc;
}

static sx_err check_cache(job *inner) {
    const char *list = job_text(inner, "data.list");
    look_for(*list ? list : job_arg(inner, 1));
    return SX_OK;
}

static sx_err check_eval(job *inner) {
    static const char *const keys[] = {"eval.lr", "eval.truth", "eval.sr", "vertebrae.axial"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) look_for(job_text(inner, keys[i]));
    return SX_OK;
}

static sx_err check_input(job *inner) {
    look_for(job_arg(inner, 0));
    return SX_OK;
}

/* Rows and settings; and the folders that it names. */
static sx_err check_ablate(job *inner) {
    ablate_study s = {.j = inner, .out = job_arg(inner, 1)};
    sx_err rc = ablate_plan_read(&s.plan, job_arg(inner, 0), job_text(inner, "ablate.size"));
    if (rc == SX_OK) rc = ablate_check(&s);
    ablate_plan_clear(&s.plan);
    look_for(job_text(inner, "ablate.bids"));
    look_for(job_text(inner, "ablate.truth"));
    return rc;
}

static const submit_plan plans[] = {
    {.verb = "cache",
     .action = "build",
     .template = "cache.sbatch",
     .out = 2,
     .check = check_cache},
    {.verb = "train",
     .template = "train.sbatch",
     .out = 1,
     .out_is_folder = true,
     .check = check_train},
    {.verb = "sr",
     .template = "sr.sbatch",
     .array_template = "sr-array.sbatch",
     .out = 1,
     .out_is_folder = true,
     .check = check_sr,
     .find = sr_items_find},
    {.verb = "segment",
     .template = "segment.sbatch",
     .array_template = "segment-array.sbatch",
     .out = 1,
     .out_is_folder = true,
     .check = check_segment,
     .find = seg_items_find},
    {.verb = "eval", .action = "images", .template = "eval.sbatch", .out = 1, .check = check_eval},
    {.verb = "eval",
     .action = "vertebrae",
     .template = "eval-vertebrae.sbatch",
     .out = 1,
     .check = check_eval},
    {.verb = "points",
     .template = "points.sbatch",
     .out = 1,
     .out_is_folder = true,
     .check = check_input},
    {.verb = "stitch",
     .template = "stitch.sbatch",
     .out = 1,
     .out_is_folder = true,
     .check = check_input},
    {.verb = "ablate",
     .template = "ablate.sbatch",
     .out = 1,
     .out_is_folder = true,
     .check = check_ablate},
};
#define N_PLANS ((int)(sizeof plans / sizeof *plans))

sx_err submit_plan_of(const job *inner, const submit_plan **plan) {
    const char *verb = job_verb_of(inner)->name;
    for (int i = 0; i < N_PLANS; i++) {
        *plan = &plans[i];
        if (strcmp(plans[i].verb, verb) != 0) continue;
        if (plans[i].action && strcmp(job_arg(inner, 0), plans[i].action) != 0) continue;
        if (job_n_args(inner) > plans[i].out) return SX_OK;
    }
    return sx_fail(SX_E_USAGE,
                   "submit: no template for sagax %s%s%s; there is one for ablate, cache build, "
                   "eval images, eval vertebrae, points, segment, sr, stitch and train",
                   verb, job_n_args(inner) ? " " : "", job_n_args(inner) ? job_arg(inner, 0) : "");
}

static void make_absolute(char **path) {
    char *whole = sx_path_absolute(*path);
    sx_free(*path);
    *path = whole;
}

char *submit_folder(const submit_plan *plan, const job *inner) {
    char *out = sx_path_absolute(job_arg(inner, plan->out));
    for (size_t n = strlen(out); n > 1 && out[n - 1] == '/'; n--) out[n - 1] = '\0';
    char *folder = work_folder(out, plan->out_is_folder);
    sx_free(out);
    return folder;
}

sx_err submit_find(const submit_plan *plan, const job *inner, io_items *items, bool *listed) {
    *items = (io_items){0};
    *listed = plan->find && (job_text(inner, "data.list")[0] || sx_file_is_dir(job_arg(inner, 0)) ||
                             !io_nifti_is_name(job_arg(inner, 0)));
    if (!*listed) return SX_OK;
    sx_err rc = plan->find(inner, items);
    for (int64_t i = 0; i < items->n; i++) {
        io_item *it = &items->item[i];
        make_absolute(&it->path);
        for (int p = 0; p < it->n_parts; p++) make_absolute(&it->part[p].path);
    }
    return rc;
}
