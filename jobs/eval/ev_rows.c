/* Rows as JSON, [{"method", "sample", "scores": ["0x1.8p+4", …], "voxels"}]. Scores are
 * hexadecimal, which is exact, and texts, since JSON has no word for what is not finite. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "jobs/eval/ev_report.h"
#include "jobs/job/job_json.h"

/* All numbers of ev_scores but the count lie before it. */
enum { N_SCORES = offsetof(ev_scores, n_voxels) / sizeof(double) };

static json_t *scores_json(const ev_scores *s) {
    double x[N_SCORES];
    json_t *list = json_array();
    memcpy(x, s, sizeof x);
    for (int i = 0; i < N_SCORES; i++) json_array_append_new(list, json_sprintf("%a", x[i]));
    return list;
}

static bool scores_parse(const json_t *list, ev_scores *s) {
    double x[N_SCORES];
    if (json_array_size(list) != N_SCORES) return false;
    for (size_t i = 0; i < N_SCORES; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        char *end = NULL;
        if (!text || !*text) return false;
        x[i] = strtod(text, &end);
        if (*end) return false;
    }
    memcpy(s, x, sizeof x);
    return true;
}

char *ev_rows_text(const ev_row *row, int64_t n) {
    json_t *rows = json_array();
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(rows, json_pack("{s:s, s:I, s:o, s:I}", "method", row[i].method,
                                              "sample", (json_int_t)row[i].sample, "scores",
                                              scores_json(&row[i].scores), "voxels",
                                              (json_int_t)row[i].scores.n_voxels));
    return job_json_text(rows, JSON_COMPACT);
}

static bool row_parse(json_t *o, ev_row *r) {
    const char *method = json_string_value(json_object_get(o, "method"));
    const json_t *voxels = json_object_get(o, "voxels");
    if (!method || strlen(method) >= sizeof r->method || !json_is_integer(voxels)) return false;
    snprintf(r->method, sizeof r->method, "%s", method);
    r->scores.n_voxels = json_integer_value(voxels);
    r->sample = json_integer_value(json_object_get(o, "sample"));
    return scores_parse(json_object_get(o, "scores"), &r->scores);
}

sx_err ev_rows_parse(const char *text, int64_t item, ev_row **row, int64_t *n) {
    json_t *rows = json_loads(text, 0, NULL);
    const size_t count = json_array_size(rows);
    ev_row *list = SX_NEW_ARRAY(ev_row, (int64_t)count + 1);
    bool good = count > 0;
    for (size_t i = 0; good && i < count; i++) {
        list[i] = (ev_row){.item = item};
        good = row_parse(json_array_get(rows, i), &list[i]);
    }
    json_decref(rows);
    if (!good) {
        sx_free(list);
        return sx_fail(SX_E_DATA, "rows of an earlier run cannot be read");
    }
    *row = list;
    *n = (int64_t)count;
    return SX_OK;
}
