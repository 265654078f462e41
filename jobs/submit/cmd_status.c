/* sagax status OUT: what became of the items of a run, who works on the others, how long that will
 * take, and the command that tries the failed ones again.
 *
 * Reads the work folder of OUT alone (work.h): outputs are not looked at, so the answer is quick
 * and right while a shared file system shows files late. For the folder of a training: its step,
 * and who trains. Jobs that were submitted for OUT are told of, too (status.h); they may wait, or
 * have failed before any work. Of a study: its rows and steps. A folder that is no run itself may
 * hold some, as that of slurm/chain: then all of these. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/ablate/ablate.h"
#include "jobs/job/job_json.h"
#include "jobs/submit/status.h"
#include "jobs/job/verbs.h"
#include "jobs/items/work_journal.h"
#include "mpi/mp_lease.h"

enum { FILE_LIMIT = 1 << 28, SHOWN = 20, WINDOW_S = 3600, LEVELS = 2 };

/* States of an item as they are shown. */
typedef enum shown { MADE, UNCHANGED, RUNNING, WAITING, STOPPED, FAILED, CRASHED, N_SHOWN } shown;
static const char *const shown_name[N_SHOWN] = {"made",    "unchanged", "running", "waiting",
                                                "stopped", "failed",    "crashed"};

typedef struct failure {
    const char *item, *code, *reason; /* borrowed from the history */
} failure;

typedef struct report {
    const char *out;
    char *folder;
    status_jobs jobs;
    char verb[32], config[65], *command;
    int64_t run, n;
    io_table items;
    work_history history;
    mp_member *crew;              /* alive first */
    int n_crew, n_alive, n_heard; /* heard: alive, and its heart has beaten lately */
    int64_t count[N_SHOWN], code[SX_E_COUNT];
    failure *failed;
    int64_t n_failed, to_go;
    double per_hour, eta_s; /* NAN: not known */
} report;

/* ---- reading ---- */

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static sx_err read_run(report *r) {
    char *path = sx_path_join(r->folder, "run.json"), *list = sx_path_join(r->folder, "items.tsv");
    json_t *o = NULL;
    sx_err rc;
    SX_TRY(rc, job_json_read(path, FILE_LIMIT, &o));
    snprintf(r->verb, sizeof r->verb, "%s", text_of(o, "verb"));
    snprintf(r->config, sizeof r->config, "%s", text_of(o, "config"));
    r->command = sx_strdup(text_of(o, "command"));
    r->run = json_integer_value(json_object_get(o, "run"));
    SX_TRY(rc, io_table_read(list, &r->items));
    r->n = r->items.n_rows;
    rc = work_history_read(r->folder, &r->history);
out:
    json_decref(o);
    sx_free(path);
    sx_free(list);
    return rc;
}

static int alive_first(const void *a, const void *b) {
    const mp_member *x = a, *y = b;
    return x->gone != y->gone ? x->gone - y->gone : x->rank - y->rank;
}

/* By clocks and time stamps, which may be wrong: good for telling alone. Entries of a node that
 * died stay until another run comes. */
static bool is_silent(const mp_member *m) {
    return m->beat >= 0 && m->age_s > m->silence_s;
}

static sx_err read_crew(report *r) {
    sx_err rc = mp_crew_read(r->folder, &r->crew, &r->n_crew);
    if (rc == SX_OK && r->n_crew > 0)
        qsort(r->crew, (size_t)r->n_crew, sizeof *r->crew, alive_first);
    for (int i = 0; i < r->n_crew; i++) {
        r->n_alive += !r->crew[i].gone;
        r->n_heard += !r->crew[i].gone && !is_silent(&r->crew[i]);
    }
    return rc;
}

/* Whether this silent rank belongs to a start of which others beat: they wait for it, or will. A
 * rank that beats in its place is of a later start. */
static bool is_missed(const report *r, const mp_member *silent) {
    bool missed = false;
    for (int i = 0; i < r->n_alive; i++) {
        const mp_member *m = &r->crew[i];
        if (is_silent(m) || strcmp(m->job, silent->job) != 0 || m->size != silent->size) continue;
        if (m->rank == silent->rank) return false;
        missed |= m->restart == silent->restart;
    }
    return missed;
}

/* How many ranks are missed; *least_s is the shortest of their silences. */
static int n_missed(const report *r, double *least_s) {
    int n = 0;
    *least_s = INFINITY;
    for (int i = 0; i < r->n_alive; i++) {
        if (!is_silent(&r->crew[i]) || !is_missed(r, &r->crew[i])) continue;
        *least_s = fmin(*least_s, r->crew[i].age_s);
        n++;
    }
    return n;
}

/* ---- what became of an item ---- */

static bool is_alive(const report *r, const char *owner) {
    for (int i = 0; i < r->n_alive; i++)
        if (strcmp(r->crew[i].owner, owner) == 0) return true;
    return false;
}

static shown state_of(const report *r, const work_record *last) {
    static const shown of[WORK_N_STATES] = {
        [WORK_WAITING] = WAITING,     [WORK_BEGUN] = STOPPED, [WORK_MADE] = MADE,
        [WORK_UNCHANGED] = UNCHANGED, [WORK_FAILED] = FAILED, [WORK_STOPPED] = STOPPED,
        [WORK_CRASHED] = CRASHED};
    if (!last || strcmp(last->config, r->config) != 0) return WAITING; /* of another run */
    return last->state == WORK_BEGUN && is_alive(r, last->owner) ? RUNNING : of[last->state];
}

static void note_failure(report *r, const work_record *last) {
    r->failed = sx_grow(r->failed, r->n_failed, sizeof *r->failed);
    r->failed[r->n_failed++] = (failure){last->item, last->code, last->reason ? last->reason : ""};
    for (int c = 0; c < SX_E_COUNT; c++)
        r->code[c] += strcmp(sx_err_name((sx_err)c), last->code) == 0;
}

static void look_at_items(report *r) {
    for (int64_t i = 0; i < r->n; i++) {
        int64_t n;
        const work_record *all = work_history_find(&r->history, io_table_at(&r->items, i, 0), &n);
        const work_record *last = all ? &all[n - 1] : NULL;
        const shown s = state_of(r, last);
        r->count[s]++;
        if (s == FAILED) note_failure(r, last);
    }
    r->to_go = r->count[RUNNING] + r->count[WAITING] + r->count[STOPPED] + r->count[CRASHED];
}

/* Items an hour over the last hour in which any was made. */
static void measure_rate(report *r) {
    double newest_s = 0, first_s = INFINITY;
    int64_t n_made = 0;
    for (int64_t i = 0; i < r->history.n; i++)
        if (r->history.record[i].state == WORK_MADE)
            newest_s = fmax(newest_s, r->history.record[i].time_s);
    for (int64_t i = 0; i < r->history.n; i++) {
        const work_record *k = &r->history.record[i];
        if (k->state != WORK_MADE || k->time_s < newest_s - WINDOW_S) continue;
        first_s = fmin(first_s, k->time_s - k->seconds);
        n_made++;
    }
    r->per_hour = n_made > 0 ? (double)n_made * 3600 / fmax(newest_s - first_s, 1) : NAN;
    r->eta_s = r->n_heard > 0 ? (double)r->to_go / r->per_hour * 3600 : NAN;
}

/* ---- telling ---- */

static void print_duration(double s) {
    if (s >= 3600)
        printf("%d h %02d min", (int)(s / 3600), (int)fmod(s / 60, 60));
    else if (s >= 60)
        printf("%d min", (int)(s / 60));
    else
        printf("%d s", (int)s);
}

static void print_states(const report *r) {
    for (int s = 0; s < N_SHOWN; s++) {
        if (r->count[s] == 0) continue;
        printf("  %-10s %8lld", shown_name[s], (long long)r->count[s]);
        const char *between = "   ";
        for (int c = 0; c < SX_E_COUNT && s == FAILED; c++) {
            if (r->code[c] == 0) continue;
            printf("%s%s %lld", between, sx_err_name((sx_err)c), (long long)r->code[c]);
            between = ", ";
        }
        putchar('\n');
    }
}

static void print_member(const mp_member *m) {
    printf("  rank %d of %d on %s, job %s, %s", m->rank, m->size, m->host, *m->job ? m->job : "-",
           *m->doing ? m->doing : "beginning");
    if (m->idle_s >= 60) {
        printf(" (since ");
        print_duration(m->idle_s);
        printf(")");
    }
    if (is_silent(m)) {
        printf(", no heartbeat for ");
        print_duration(m->age_s);
    }
    putchar('\n');
}

static void print_members(const report *r, bool silent, const char *title) {
    bool titled = false;
    for (int i = 0; i < r->n_alive; i++) {
        if (is_silent(&r->crew[i]) != silent) continue;
        if (!titled) printf("\n%s:\n", title);
        titled = true;
        print_member(&r->crew[i]);
    }
}

static void print_crew(const report *r) {
    print_members(r, false, "at work");
    print_members(r, true, "gone without a word");
}

static void print_failures(const report *r) {
    if (r->n_failed > 0) printf("\nfailed:\n");
    for (int64_t i = 0; i < r->n_failed && i < SHOWN; i++)
        printf("  %s\t%s\t%s\n", r->failed[i].item, r->failed[i].code, r->failed[i].reason);
    if (r->n_failed > SHOWN)
        printf("  and %lld more; --json lists all\n", (long long)(r->n_failed - SHOWN));
}

/* Nobody works, and no job will. */
static bool is_left_alone(const report *r) {
    return r->n_heard == 0 && !status_jobs_queued(&r->jobs);
}

/* The command, unless it can only fail again. */
static void print_go_on(const report *r, const char *command) {
    char *mend = status_jobs_to_mend(&r->jobs);
    if (mend)
        printf("\n%s\n", mend);
    else
        printf("\nto go on:\n  %s\n", command);
    sx_free(mend);
}

static void print_commands(const report *r) {
    if (r->to_go > 0 && is_left_alone(r)) print_go_on(r, r->command);
    if (r->count[FAILED] + r->count[CRASHED] > 0)
        printf("\nto try those that failed again:\n  %s --retry failed\n", r->command);
}

static void print_text(const report *r) {
    printf("%s: %s, run %lld, %lld items\n", r->out, r->verb, (long long)r->run, (long long)r->n);
    print_states(r);
    if (isfinite(r->per_hour)) printf("%.0f items/h in the last hour of work", r->per_hour);
    if (isfinite(r->eta_s) && r->to_go > 0) {
        printf("; %lld to go: about ", (long long)r->to_go);
        print_duration(r->eta_s);
    }
    if (isfinite(r->per_hour)) putchar('\n');
    print_crew(r);
    status_jobs_print(&r->jobs);
    print_failures(r);
    print_commands(r);
}

static json_t *json_of_crew(const report *r) {
    json_t *list = json_array();
    for (int i = 0; i < r->n_alive; i++) {
        const mp_member *m = &r->crew[i];
        json_array_append_new(list,
                              json_pack("{s:i, s:i, s:s, s:s, s:i, s:o, s:f, s:b}", "rank", m->rank,
                                        "size", m->size, "host", m->host, "job", m->job, "pid",
                                        m->pid, "doing", job_json_string(m->doing), "idle_s",
                                        m->idle_s, "silent", (int)is_silent(m)));
    }
    return list;
}

static json_t *json_of_failures(const report *r) {
    json_t *list = json_array();
    for (int64_t i = 0; i < r->n_failed; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "item", r->failed[i].item, "code",
                                              r->failed[i].code, "reason", r->failed[i].reason));
    return list;
}

static void print_json(const report *r) {
    json_t *states = json_object();
    for (int s = 0; s < N_SHOWN; s++)
        json_object_set_new(states, shown_name[s], json_integer(r->count[s]));
    job_json_print(json_pack("{s:o, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "folder",
                             job_json_string(r->folder), "verb", r->verb, "command", r->command,
                             "run", (json_int_t)r->run, "items", (json_int_t)r->n, "states", states,
                             "per_hour", job_json_number(r->per_hour), "eta_s",
                             job_json_number(r->eta_s), "crew", json_of_crew(r), "jobs",
                             status_jobs_json(&r->jobs), "failed", json_of_failures(r)),
                   JSON_INDENT(2) | JSON_REAL_PRECISION(6));
}

static sx_err tell_work(report *r, bool json) {
    sx_err rc = read_run(r);
    if (rc != SX_OK) return rc;
    look_at_items(r);
    measure_rate(r);
    if (json)
        print_json(r);
    else
        print_text(r);
    return SX_OK;
}

/* ---- a training ---- */

/* The last whole line of a file of JSON lines; NULL when there is none. */
static json_t *last_line(const char *path) {
    char *text = NULL;
    size_t n_bytes;
    json_t *o = NULL;
    if (sx_file_read(path, FILE_LIMIT, &text, &n_bytes) != SX_OK) return NULL;
    while (n_bytes > 0 && text[n_bytes - 1] != '\n') text[--n_bytes] = '\0'; // still being written
    while (n_bytes > 0 && text[n_bytes - 1] == '\n') text[--n_bytes] = '\0';
    const char *line = strrchr(text, '\n');
    o = json_loads(line ? line + 1 : text, 0, NULL);
    sx_free(text);
    return o;
}

/* A training needs all of its ranks. */
static void print_pace(const report *r) {
    double silent_s;
    const int missed = n_missed(r, &silent_s);
    if (missed == 0) {
        puts(r->n_heard > 0 ? "running" : "nobody at work");
        return;
    }
    printf("stands still: %d rank%s without a heartbeat for ", missed, missed > 1 ? "s" : "");
    print_duration(silent_s);
    putchar('\n');
}

static sx_err tell_training(const report *r, const char *metrics, bool json) {
    json_t *o = last_line(metrics);
    if (json) {
        job_json_print(json_pack("{s:o, s:s, s:o, s:o, s:o}", "folder", job_json_string(r->out),
                                 "verb", "train", "last", o ? o : json_null(), "crew",
                                 json_of_crew(r), "jobs", status_jobs_json(&r->jobs)),
                       JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        return SX_OK;
    }
    printf("%s: train, ", r->out);
    if (o)
        printf("step %lld, loss %.5f, ", (long long)json_integer_value(json_object_get(o, "step")),
               json_number_value(json_object_get(o, "loss")));
    else
        printf("nothing logged yet, ");
    print_pace(r);
    json_decref(o);
    print_crew(r);
    status_jobs_print(&r->jobs);
    if (r->jobs.n > 0 && is_left_alone(r) && !status_jobs_done(&r->jobs))
        print_go_on(r, status_jobs_command(&r->jobs));
    return SX_OK;
}

/* ---- jobs before any work ---- */

static sx_err tell_jobs(const report *r, bool json) {
    const char *verb = r->jobs.job[r->jobs.n - 1].of->verb,
               *command = status_jobs_command(&r->jobs);
    if (strcmp(verb, "sweep") == 0) {
        status_sweep(r->out, &r->jobs, json);
        return SX_OK;
    }
    if (json) {
        job_json_print(json_pack("{s:o, s:s, s:o, s:o, s:o}", "folder", job_json_string(r->out),
                                 "verb", verb, "command", job_json_string(command), "crew",
                                 json_of_crew(r), "jobs", status_jobs_json(&r->jobs)),
                       JSON_INDENT(2));
        return SX_OK;
    }
    printf("%s: %s, submitted, no work has begun\n", r->out, verb);
    print_crew(r);
    status_jobs_print(&r->jobs);
    if (is_left_alone(r)) print_go_on(r, command);
    return SX_OK;
}

/* ---- a study ---- */

static sx_err tell_study(const report *r, bool as_json) {
    json_t *study;
    sx_err rc = ablate_status(r->out, &study);
    if (rc != SX_OK) return rc;
    if (as_json) {
        json_object_set_new(study, "folder", job_json_string(r->out));
        json_object_set_new(study, "verb", json_string("ablate"));
        json_object_set_new(study, "jobs", status_jobs_json(&r->jobs));
        job_json_print(study, JSON_INDENT(2));
        return SX_OK;
    }
    const bool done = ablate_status_print(study);
    status_jobs_print(&r->jobs);
    if (!done && is_left_alone(r))
        print_go_on(r, json_string_value(json_object_get(study, "command")));
    json_decref(study);
    return SX_OK;
}

/* ---- the verb ---- */

static void report_clear(report *r) {
    work_history_clear(&r->history);
    io_table_clear(&r->items);
    status_jobs_clear(&r->jobs);
    sx_free(r->failed);
    sx_free(r->crew);
    sx_free(r->command);
    sx_free(r->folder);
}

/* What there is to tell of an output; *told stays false when it is none. */
static sx_err tell(const char *out, bool json, bool *told) {
    report r = {.out = out};
    r.folder = work_folder(out, sx_file_is_dir(out));
    char *metrics = sx_path_join(out, "metrics.jsonl"), *list = sx_path_join(r.folder, "run.json");
    const bool works = sx_file_exists(list), trains = sx_file_exists(metrics),
               studies = ablate_is_study(out);
    sx_err rc;
    SX_TRY(rc, status_jobs_read(&r.jobs, r.folder));
    *told = works || trains || studies || r.jobs.n > 0;
    if (!*told) goto out;
    SX_TRY(rc, read_crew(&r));
    rc = studies  ? tell_study(&r, json)
         : works  ? tell_work(&r, json)
         : trains ? tell_training(&r, metrics, json)
                  : tell_jobs(&r, json);
out:
    report_clear(&r);
    sx_free(metrics);
    sx_free(list);
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
