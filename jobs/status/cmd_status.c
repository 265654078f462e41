/* sagax status OUT: what became of the items and jobs of a run, who works, and what goes on. A
 * folder that is no run itself may hold some, as that of slurm/chain: then all of these. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/items/work.h"
#include "jobs/job/job_json.h"
#include "jobs/job/verbs.h"
#include "jobs/status/status.h"

enum { LEVELS = 2 };

/* An output is of the first kind that it is. */
static const status_kind *const kinds[] = {&status_study, &status_items, &status_training,
                                           &status_sweep, &status_submitted};

/* ---- what kinds share ---- */

bool status_is_left_alone(const status *s) {
    return s->crew.n_heard == 0 && !status_jobs_queued(&s->jobs);
}

void status_print_go_on(const status *s, const char *command) {
    char *mend = status_jobs_to_mend(&s->jobs);
    if (mend)
        printf("\n%s\n", mend);
    else
        printf("\nto go on:\n  %s\n", command);
    sx_free(mend);
}

json_t *status_json(const status *s, const char *verb) {
    return json_pack("{s:o, s:s, s:o, s:o}", "folder", job_json_string(s->out), "verb", verb,
                     "crew", status_crew_json(&s->crew), "jobs", status_jobs_json(&s->jobs));
}

void status_print_json(json_t *o) {
    job_json_print(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
}

/* ---- the verb ---- */

static const status_kind *kind_of(const status *s) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i]->is(s)) return kinds[i];
    return NULL;
}

/* What there is to tell of an output; *told stays false when it is none. */
static sx_err tell(const char *out, bool json, bool *told) {
    status s = {.out = out, .folder = work_folder(out, sx_file_is_dir(out))};
    const status_kind *kind;
    sx_err rc;
    SX_TRY(rc, status_jobs_read(&s.jobs, s.folder));
    kind = kind_of(&s);
    *told = kind != NULL;
    if (!kind) goto out;
    SX_TRY(rc, status_crew_read(&s.crew, s.folder));
    rc = kind->tell(&s, json);
out:
    status_jobs_clear(&s.jobs);
    status_crew_clear(&s.crew);
    sx_free(s.folder);
    return rc;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of outputs in a folder: NAME of NAME.sagax, and of folders; sorted, new, as the texts. */
static char **outputs_in(const char *folder, int64_t *n) {
    static const char suffix[] = ".sagax";
    char **name = NULL;
    DIR *d = opendir(folder);
    *n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        const size_t cut = sx_has_suffix(e->d_name, suffix) ? strlen(suffix) : 0;
        name = sx_grow(name, *n, sizeof *name);
        name[(*n)++] = sx_strf("%.*s", (int)(strlen(e->d_name) - cut), e->d_name);
    }
    if (d) closedir(d);
    if (*n) qsort(name, (size_t)*n, sizeof *name, by_name);
    return name;
}

/* Each of them once: a file and its work folder have the same name here. A folder that is none may
 * hold some, as that of slurm/chain, down to `levels` below this one. */
static sx_err tell_all(const char *folder, int levels, bool json, bool *told) {
    int64_t n;
    char **name = outputs_in(folder, &n);
    sx_err rc = SX_OK;
    for (int64_t i = 0; i < n && rc == SX_OK; i++) {
        if (i > 0 && strcmp(name[i], name[i - 1]) == 0) continue;
        char *out = sx_path_join(folder, name[i]);
        bool one = false;
        rc = tell(out, json, &one);
        if (one && !json) putchar('\n');
        if (rc == SX_OK && !one && levels > 1) rc = tell_all(out, levels - 1, json, &one);
        *told |= one;
        sx_free(out);
    }
    for (int64_t i = 0; i < n; i++) sx_free(name[i]);
    sx_free(name);
    return rc;
}

static sx_err run(job *j) {
    const char *out = job_arg(j, 0);
    bool told = false;
    sx_err rc = tell(out, job_json(j), &told);
    if (rc == SX_OK && !told) rc = tell_all(out, LEVELS, job_json(j), &told);
    if (rc != SX_OK || told) return rc;
    char *folder = work_folder(out, sx_file_is_dir(out));
    rc = sx_fail(SX_E_NOINPUT, "%s: no run of sagax has worked here (%s tells of none)", out,
                 folder);
    sx_free(folder);
    return rc;
}

const job_verb cmd_status = {.name = "status",
                             .arguments = "OUT",
                             .summary = "what became of the items and jobs of a run, and who works",
                             .min_args = 1,
                             .max_args = 1,
                             .run = run};
