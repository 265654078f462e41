/* A run over items: how many are in which state and why, how long the others will take, and what
 * tries the failed ones again. Reads the work folder alone (work.h): outputs are not looked at, so
 * the answer is quick and right while a shared file system shows files late. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/items/work_journal.h"
#include "jobs/job/job_json.h"
#include "jobs/status/status.h"

enum { FILE_LIMIT = 1 << 28, SHOWN = 20, WINDOW_S = 3600 };

/* States of an item as they are shown. */
typedef enum shown { MADE, UNCHANGED, RUNNING, WAITING, STOPPED, FAILED, CRASHED, N_SHOWN } shown;
static const char *const shown_name[N_SHOWN] = {"made",    "unchanged", "running", "waiting",
                                                "stopped", "failed",    "crashed"};

typedef struct failure {
    const char *item, *code, *reason; /* borrowed from the history */
} failure;

typedef struct report {
    const status *of;
    char verb[32], config[65], *command;
    int64_t run, n;
    io_table items;
    work_history history;
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
    char *path = sx_path_join(r->of->folder, "run.json"),
         *list = sx_path_join(r->of->folder, "items.tsv");
    json_t *o = NULL;
    sx_err rc;
    SX_TRY(rc, job_json_read(path, FILE_LIMIT, &o));
    snprintf(r->verb, sizeof r->verb, "%s", text_of(o, "verb"));
    snprintf(r->config, sizeof r->config, "%s", text_of(o, "config"));
    r->command = sx_strdup(text_of(o, "command"));
    r->run = json_integer_value(json_object_get(o, "run"));
    SX_TRY(rc, io_table_read(list, &r->items));
    r->n = r->items.n_rows;
    rc = work_history_read(r->of->folder, &r->history);
out:
    json_decref(o);
    sx_free(path);
    sx_free(list);
    return rc;
}

/* ---- what became of an item ---- */

static shown state_of(const report *r, const work_record *last) {
    static const shown of[WORK_N_STATES] = {
        [WORK_WAITING] = WAITING,     [WORK_BEGUN] = STOPPED, [WORK_MADE] = MADE,
        [WORK_UNCHANGED] = UNCHANGED, [WORK_FAILED] = FAILED, [WORK_STOPPED] = STOPPED,
        [WORK_CRASHED] = CRASHED};
    if (!last || strcmp(last->config, r->config) != 0) return WAITING; /* of another run */
    return last->state == WORK_BEGUN && status_crew_has(&r->of->crew, last->owner)
               ? RUNNING
               : of[last->state];
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
    r->eta_s = r->of->crew.n_heard > 0 ? (double)r->to_go / r->per_hour * 3600 : NAN;
}

/* ---- telling ---- */

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

static void print_failures(const report *r) {
    if (r->n_failed > 0) printf("\nfailed:\n");
    for (int64_t i = 0; i < r->n_failed && i < SHOWN; i++)
        printf("  %s\t%s\t%s\n", r->failed[i].item, r->failed[i].code, r->failed[i].reason);
    if (r->n_failed > SHOWN)
        printf("  and %lld more; --json lists all\n", (long long)(r->n_failed - SHOWN));
}

/* What stands behind "--" in a command of slurm/ is sbatch's. */
static void print_retry(const char *command) {
    const char *end = strstr(command, " -- ");
    if (!end) end = command + strlen(command);
    printf("\nto try those that failed again:\n  %.*s --retry failed%s\n", (int)(end - command),
           command, end);
}

static void print_commands(const report *r) {
    if (r->to_go > 0 && status_is_left_alone(r->of)) status_print_go_on(r->of, r->command);
    if (r->count[FAILED] + r->count[CRASHED] > 0) print_retry(r->command);
}

static void print_text(const report *r) {
    printf("%s: %s, run %lld, %lld items\n", r->of->out, r->verb, (long long)r->run,
           (long long)r->n);
    print_states(r);
    if (isfinite(r->per_hour)) printf("%.0f items/h in the last hour of work", r->per_hour);
    if (isfinite(r->eta_s) && r->to_go > 0) {
        printf("; %lld to go: about ", (long long)r->to_go);
        status_print_duration(r->eta_s);
    }
    if (isfinite(r->per_hour)) putchar('\n');
    status_crew_print(&r->of->crew);
    status_jobs_print(&r->of->jobs);
    print_failures(r);
    print_commands(r);
}

static json_t *json_of_failures(const report *r) {
    json_t *list = json_array();
    for (int64_t i = 0; i < r->n_failed; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "item", r->failed[i].item, "code",
                                              r->failed[i].code, "reason", r->failed[i].reason));
    return list;
}

static void print_json(const report *r) {
    json_t *o = status_json(r->of, r->verb), *states = json_object();
    for (int s = 0; s < N_SHOWN; s++)
        json_object_set_new(states, shown_name[s], json_integer(r->count[s]));
    json_t *more = json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "command", r->command, "run",
                             (json_int_t)r->run, "items", (json_int_t)r->n, "states", states,
                             "per_hour", job_json_number(r->per_hour), "eta_s",
                             job_json_number(r->eta_s), "failed", json_of_failures(r));
    json_object_update(o, more);
    json_decref(more);
    status_print_json(o);
}

static bool is_run(const status *s) {
    char *path = sx_path_join(s->folder, "run.json");
    const bool is = sx_file_exists(path);
    sx_free(path);
    return is;
}

static sx_err tell(const status *s, bool json) {
    report r = {.of = s};
    sx_err rc = read_run(&r);
    if (rc == SX_OK) {
        look_at_items(&r);
        measure_rate(&r);
        (json ? print_json : print_text)(&r);
    }
    work_history_clear(&r.history);
    io_table_clear(&r.items);
    sx_free(r.failed);
    sx_free(r.command);
    return rc;
}

const status_kind status_items = {.is = is_run, .tell = tell};
