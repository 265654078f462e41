/* sagax eval vertebrae OUT: the verb's options and course (ev_vertebrae.h). */
#include "jobs/eval/ev_vertebrae.h"

#include <stdio.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/eval/ev_match.h"

const job_option ev_vertebrae_options[] = {
    {"vertebrae.pred", JOB_TEXT, "", NULL, 0, 0,
     "BIDS folders of predicted masks, NAME=FOLDER,NAME=FOLDER; the first is compared with"},
    {"vertebrae.scheme", JOB_TEXT, "", NULL, 0, 0,
     "label scheme of all predictions, or NAME=SCHEME,…; empty: SPINEPS numbers"},
    {"vertebrae.truth_scheme", JOB_TEXT, "", NULL, 0, 0, "label scheme of the truth"},
    {"vertebrae.match", JOB_TEXT, "", NULL, 0, 0, "part of the names of predicted masks"},
    {"vertebrae.truth_match", JOB_TEXT, "", NULL, 0, 0, "part of the names of true masks"},
    {"vertebrae.axial", JOB_TEXT, "", NULL, 0, 0,
     "BIDS folder of annotated axial masks; empty: the truth on the scans of --lr"},
    {"vertebrae.slices", JOB_CHOICE, "annotated", "annotated|all", 0, 0,
     "slices of axial images that count"},
    {"vertebrae.neck", JOB_CHOICE, "truth", "truth|prediction", 0, 0,
     "whose number says that a vertebra may have three tunnels"},
    {"vertebrae.partial", JOB_CHOICE, "skip", "skip|count", 0, 0,
     "true vertebrae without body, or cut off at the upper or lower end of the volume"},
    {"vertebrae.box", JOB_BOOL, "false", NULL, 0, 0,
     "erase predictions outside of boxes around the truth, as the method's authors do"},
    {"vertebrae.surfaces", JOB_BOOL, "true", NULL, 0, 0, "distances between surfaces, mm"},
    JOB_OPTIONS_END};

static void print_plan(const ev_vertebrae *e) {
    for (int64_t i = 0; i < e->n_sessions * e->n_methods; i++) {
        const ev_tree *t = &e->method[i % e->n_methods];
        const io_item *found;
        const sx_err rc = ev_find_mask(t, e->visit[i / e->n_methods], false, &found);
        printf("%s\t%s\t%s\n", e->visit[i / e->n_methods]->rel, t->name,
               rc != SX_OK ? "several"
               : found     ? found->rel
                           : "missing");
    }
}

/* SX_E_ITEMS when a prediction is missing, something failed, or a folder could not be listed. */
static sx_err verdict(const ev_vertebrae *e, sx_err rc) {
    int64_t n[EV_N_STATES] = {0};
    for (int64_t i = 0; i < e->rows.n_sessions; i++) n[e->rows.session[i].state]++;
    if (rc == SX_E_ITEMS)
        return sx_fail(SX_E_ITEMS,
                       "of %lld rows %lld are of missing and %lld of unusable predictions, %lld "
                       "failed",
                       (long long)e->rows.n_sessions, (long long)n[EV_MISSING],
                       (long long)n[EV_UNUSABLE], (long long)n[EV_FAILED]);
    rc = job_check_folders(e->truth.root, &e->truth.items);
    for (int m = 0; m < e->n_methods && rc == SX_OK; m++)
        rc = job_check_folders(e->method[m].root, &e->method[m].items);
    return rc;
}

static sx_err write_files(const ev_vertebrae *e, const char *out) {
    if (job_json(e->j)) ev_vertebrae_print(e);
    const sx_err rc = ev_vertebrae_write(e, out);
    if (rc == SX_OK) sx_info("%s.tsv: %lld rows", out, (long long)e->rows.n_sessions);
    return rc;
}

sx_err ev_vertebrae_run(job *j) {
    const bool first = mp_rank(job_comm(j)) == 0;
    const char *out = job_arg(j, 1);
    ev_vertebrae *e = SX_NEW(ev_vertebrae);
    sx_err rc, scored;
    SX_TRY(rc, mp_agree(job_comm(j), ev_vertebrae_open(e, j, first)));
    if (job_dry_run(j)) {
        if (first) print_plan(e);
        goto out;
    }
    SX_TRY(rc, mp_agree(e->comm, first ? sx_mkdirs_for(out) : SX_OK));
    if (first) ev_warn_trained(ev_vertebrae_count_trained(e), e->n_sessions, "sessions");
    rc = scored = ev_vertebrae_score(e, out);
    if (rc != SX_OK && rc != SX_E_ITEMS) goto out;
    if (job_text(j, "run.part")[0]) {
        sx_info("%s: a part is scored; a run without run.part takes all parts and writes files",
                out);
        goto out;
    }
    SX_TRY(rc, mp_agree(e->comm, first ? write_files(e, out) : SX_OK));
    rc = verdict(e, scored);
out:
    ev_vertebrae_close(e);
    sx_free(e);
    return rc;
}
