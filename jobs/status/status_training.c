/* The folder of a training: its last step, and whether all of its ranks are at work. */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/status/status.h"

enum { FILE_LIMIT = 1 << 28 };

static char *metrics_of(const status *s) {
    return sx_path_join(s->out, "metrics.jsonl");
}

static bool is_training(const status *s) {
    char *metrics = metrics_of(s);
    const bool is = sx_file_exists(metrics);
    sx_free(metrics);
    return is;
}

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
static void print_pace(const status *s) {
    double silent_s;
    const int missed = status_crew_missed(&s->crew, &silent_s);
    if (missed == 0) {
        puts(s->crew.n_heard > 0 ? "running" : "nobody at work");
        return;
    }
    printf("stands still: %d rank%s without a heartbeat for ", missed, missed > 1 ? "s" : "");
    status_print_duration(silent_s);
    putchar('\n');
}

static void print_text(const status *s, const json_t *last) {
    printf("%s: train, ", s->out);
    if (last)
        printf("step %lld, loss %.5f, ",
               (long long)json_integer_value(json_object_get(last, "step")),
               json_number_value(json_object_get(last, "loss")));
    else
        printf("nothing logged yet, ");
    print_pace(s);
    status_crew_print(&s->crew);
    status_jobs_print(&s->jobs);
    if (s->jobs.n > 0 && status_is_left_alone(s) && !status_jobs_done(&s->jobs))
        status_print_go_on(s, status_jobs_command(&s->jobs));
}

static sx_err tell(const status *s, bool json) {
    char *metrics = metrics_of(s);
    json_t *last = last_line(metrics);
    sx_free(metrics);
    if (json) {
        json_t *o = status_json(s, "train");
        json_object_set(o, "last", last ? last : json_null());
        status_print_json(o);
    } else {
        print_text(s, last);
    }
    json_decref(last);
    return SX_OK;
}

const status_kind status_training = {.is = is_training, .tell = tell};
