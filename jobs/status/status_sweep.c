/* A sweep (slurm/sweep): what became of the runs of a list, by the files NAME.status and NAME.log
 * in LIST.sweep (status.h). */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/status/status.h"

enum { NOT_ENDED = -1, FILE_LIMIT = 1 << 16 };

typedef struct run {
    char *name;
    int code; /* exit code; NOT_ENDED: it has a log, but no end */
} run;

static int by_name(const void *a, const void *b) {
    return strcmp(((const run *)a)->name, ((const run *)b)->name);
}

/* What NAME.status begins with. */
static int code_of(const char *folder, const char *name) {
    char *path = sx_strf("%s/%s.status", folder, name), *text = NULL;
    size_t n_bytes;
    int code = NOT_ENDED;
    if (sx_file_exists(path) && sx_file_read(path, FILE_LIMIT, &text, &n_bytes) == SX_OK &&
        text[0] >= '0' && text[0] <= '9')
        code = atoi(text);
    sx_free(text);
    sx_free(path);
    return code;
}

/* Runs that have begun: each has a log. Sorted, new, as their names. */
static run *runs_of(const char *folder, int64_t *n) {
    static const char suffix[] = ".log";
    run *all = NULL;
    DIR *d = opendir(folder);
    *n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!sx_has_suffix(e->d_name, suffix)) continue;
        all = sx_grow(all, *n, sizeof *all);
        char *name = sx_strf("%.*s", (int)(strlen(e->d_name) - strlen(suffix)), e->d_name);
        all[(*n)++] = (run){name, code_of(folder, name)};
    }
    if (d) closedir(d);
    if (*n) qsort(all, (size_t)*n, sizeof *all, by_name);
    return all;
}

static void print_json(const status *s, const run *all, int64_t n) {
    json_t *o = status_json(s, "sweep"), *list = json_array();
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{s:o, s:o}", "run", job_json_string(all[i].name), "code",
                            all[i].code == NOT_ENDED ? json_null() : json_integer(all[i].code)));
    json_object_set_new(o, "runs", list);
    status_print_json(o);
}

static void print_text(const status *s, const run *all, int64_t n) {
    int64_t done = 0, open = 0;
    for (int64_t i = 0; i < n; i++) {
        done += all[i].code == 0;
        open += all[i].code == NOT_ENDED;
    }
    const int64_t failed = n - done - open;
    printf("%s: sweep, %" PRId64 " runs begun\n", s->out, n);
    printf("  %-10s %8" PRId64 "\n  %-10s %8" PRId64 "\n  %-10s %8" PRId64 "\n", "done", done,
           "not ended", open, "failed", failed);
    status_jobs_print(&s->jobs);
    if (failed > 0) printf("\nfailed:\n");
    for (int64_t i = 0; i < n; i++)
        if (all[i].code > 0)
            printf("  %s\t%d\t%s/%s.log\n", all[i].name, all[i].code, s->out, all[i].name);
    if (!status_jobs_queued(&s->jobs) && !status_jobs_done(&s->jobs))
        printf("\nto go on with those that are not done:\n  %s\n", status_jobs_command(&s->jobs));
}

static bool is_sweep(const status *s) {
    return s->jobs.n > 0 && strcmp(s->jobs.job[s->jobs.n - 1].of->verb, "sweep") == 0;
}

static sx_err tell(const status *s, bool json) {
    int64_t n;
    run *all = runs_of(s->out, &n);
    (json ? print_json : print_text)(s, all, n);
    for (int64_t i = 0; i < n; i++) sx_free(all[i].name);
    sx_free(all);
    return SX_OK;
}

const status_kind status_sweep = {.is = is_sweep, .tell = tell};
