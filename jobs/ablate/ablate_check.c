/* What is wrong with a study, before it trains for days (ablate.h). */
#include <jansson.h>
#include <string.h>
#include "jobs/ablate/ablate.h"
#include "jobs/job/job_weights.h"
#include "jobs/train/train.h"
#include "jobs/job/verbs.h"
#include "model/net.h"

/* Each value is one that its key takes. What depends on images shows when they are read. */
static sx_err check_step(const ablate_step *step) {
    job *j = NULL;
    train_config c = {.kind = NULL};
    sx_err rc = job_new(&j, step->verb, mp_self(), step->n, step->word);
    if (rc == SX_OK && step->verb == &cmd_train) rc = train_config_read(&c, j);
    job_free(j);
    return rc == SX_OK ? rc : sx_fail_context(rc, "%s", step->name);
}

static sx_err check_steps(const ablate_study *s, ablate_stage stage, int row) {
    ablate_step *step;
    int n;
    sx_err rc = SX_OK;
    ablate_steps(s, stage, row, &step, &n);
    for (int i = 0; i < n && rc == SX_OK; i++) rc = check_step(&step[i]);
    ablate_steps_free(step, n);
    return rc;
}

static sx_err check_rows(const ablate_study *s) {
    sx_err rc = SX_OK;
    for (int i = 0; i < s->plan.n && rc == SX_OK; i++) {
        const ablate_row *r = &s->plan.row[i];
        rc = ablate_row_keys(r);
        if (rc == SX_OK) rc = check_steps(s, ABLATE_ROWS, i);
        if (rc != SX_OK) sx_fail_context(rc, "row %s", r->name);
    }
    return rc;
}

static sx_err check_segmenter(const job *j) {
    const char *path = job_text(j, "ablate.segmenter");
    json_t *about = NULL;
    sx_err rc = *path ? job_weights_about(path, &about) : SX_OK;
    if (!about) return rc; /* an error, or weights that do not say what they are */
    const char *arch = json_string_value(json_object_get(json_object_get(about, "model"), "arch"));
    const net_about *known = arch ? net_about_arch(arch) : NULL;
    if (!known || strcmp(known->kind, "segmentation") != 0)
        rc = sx_fail(SX_E_CONFIG, "ablate.segmenter = %s: network %s is no segmenter", path,
                     arch ? arch : "unknown");
    json_decref(about);
    return rc;
}

/* What is wrong with an option there stands in a file. */
static sx_err check_plan(const ablate_study *s) {
    sx_err rc = ablate_segmenter_keys(&s->plan);
    if (rc == SX_OK) rc = check_steps(s, ABLATE_PREPARE, -1);
    if (rc == SX_OK) rc = check_rows(s);
    if (rc == SX_E_USAGE) rc = SX_E_CONFIG;
    return rc == SX_OK ? rc : sx_fail_context(rc, "%s", job_arg(s->j, 0));
}

sx_err ablate_check(const ablate_study *s) {
    const sx_err rc = check_segmenter(s->j);
    return rc == SX_OK ? check_plan(s) : rc;
}
