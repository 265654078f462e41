/* STUDY/ablate.json, which says what a study consists of, and the grid of rows and steps. */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/ablate/ablate.h"
#include "jobs/job/job_json.h"

enum { FILE_LIMIT = 1 << 20 };
#define PLAN_FILE "ablate.json"

static json_t *steps_json(const ablate_study *s, ablate_stage stage, int row) {
    json_t *names = json_array();
    ablate_step *step;
    int n;
    ablate_steps(s, stage, row, &step, &n);
    for (int i = 0; i < n; i++) json_array_append_new(names, json_string(step[i].name));
    ablate_steps_free(step, n);
    return names;
}

static json_t *line_json(const ablate_study *s, ablate_stage stage, int row) {
    const ablate_row *r = row < 0 ? NULL : &s->plan.row[row];
    return json_pack("{s:s, s:o, s:o}", "name", r ? r->name : "", "settings",
                     job_json_string(r ? r->settings : ""), "steps", steps_json(s, stage, row));
}

sx_err ablate_plan_write(const ablate_study *s) {
    char *path = sx_path_join(s->out, PLAN_FILE);
    json_t *lines = json_array();
    json_array_append_new(lines, line_json(s, ABLATE_PREPARE, -1));
    for (int i = 0; i < s->plan.n; i++) json_array_append_new(lines, line_json(s, ABLATE_ROWS, i));
    json_array_append_new(lines, line_json(s, ABLATE_SCORES, -1));
    char *text = job_json_text(json_pack("{s:o, s:o, s:o}", "title", job_json_string(s->plan.title),
                                         "command", job_json_string(job_command_again(s->j)),
                                         "lines", lines),
                               JSON_INDENT(2));
    sx_err rc = sx_mkdirs(s->out);
    if (rc == SX_OK) rc = sx_file_write(path, text, strlen(text));
    sx_free(text);
    sx_free(path);
    return rc;
}

bool ablate_is_study(const char *folder) {
    char *path = sx_path_join(folder, PLAN_FILE);
    const bool is = sx_file_exists(path);
    sx_free(path);
    return is;
}

/* ---- the grid ---- */

static json_t *step_json(const io_table *t, const char *step) {
    const char *state = "waiting", *seconds = "", *reason = "";
    const int64_t i = ablate_state_of(t, step);
    if (i >= 0) {
        state = io_table_at(t, i, ABLATE_STATE);
        seconds = io_table_at(t, i, ABLATE_SECONDS);
        reason = io_table_at(t, i, ABLATE_REASON);
    }
    return json_pack("{s:s, s:s, s:s, s:o}", "step", step, "state", state, "seconds", seconds,
                     "reason", job_json_string(reason));
}

/* A line of the plan with what became of its steps. */
static sx_err fill(const char *study, json_t *line, json_t *grid) {
    const char *name = json_string_value(json_object_get(line, "name"));
    const json_t *steps = json_object_get(line, "steps");
    if (!name) return sx_fail(SX_E_DATA, "%s/%s: a line without name", study, PLAN_FILE);
    char *folder = *name ? sx_strf("%s/rows/%s", study, name) : sx_strdup(study);
    json_t *filled = json_array();
    io_table t;
    sx_err rc = ablate_state(folder, &t);
    for (size_t i = 0; rc == SX_OK && i < json_array_size(steps); i++) {
        const char *step = json_string_value(json_array_get(steps, i));
        json_array_append_new(filled, step_json(&t, step ? step : ""));
    }
    json_array_append_new(grid, json_pack("{s:s, s:o}", "row", name, "steps", filled));
    io_table_clear(&t);
    sx_free(folder);
    return rc;
}

static bool print_line(const json_t *line) {
    const char *name = json_string_value(json_object_get(line, "row"));
    const json_t *steps = json_object_get(line, "steps");
    bool all_done = true;
    printf("%-24s", *name ? name : "(study)");
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const char *step, *state, *seconds, *reason;
        json_unpack(json_array_get(steps, i), "{s:s, s:s, s:s, s:s}", "step", &step, "state",
                    &state, "seconds", &seconds, "reason", &reason);
        const bool done = strcmp(state, "done") == 0;
        printf("  %s %s", step, state);
        if (done) printf(" (%s s)", seconds);
        if (*reason) printf(": %s", reason);
        all_done &= done;
    }
    putchar('\n');
    return all_done;
}

bool ablate_status_print(const json_t *status) {
    const json_t *rows = json_object_get(status, "rows");
    bool all_done = true;
    printf("%s\n", json_string_value(json_object_get(status, "title")));
    for (size_t i = 0; i < json_array_size(rows); i++)
        all_done &= print_line(json_array_get(rows, i));
    return all_done;
}

sx_err ablate_status(const char *study, json_t **status) {
    char *path = sx_path_join(study, PLAN_FILE);
    json_t *plan = NULL, *grid = json_array(), *lines;
    const char *title, *command;
    sx_err rc;
    *status = NULL;
    SX_TRY(rc, job_json_read(path, FILE_LIMIT, &plan));
    if (json_unpack(plan, "{s:s, s:s, s:o}", "title", &title, "command", &command, "lines",
                    &lines) != 0 ||
        !json_is_array(lines))
        rc = sx_fail(SX_E_DATA, "%s: is no plan of a study", path);
    for (size_t i = 0; rc == SX_OK && i < json_array_size(lines); i++)
        rc = fill(study, json_array_get(lines, i), grid);
    if (rc == SX_OK)
        *status = json_pack("{s:s, s:s, s:O}", "title", title, "command", command, "rows", grid);
out:
    json_decref(plan);
    json_decref(grid);
    sx_free(path);
    return rc;
}
