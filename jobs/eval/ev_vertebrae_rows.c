/* Rows of sessions and instances: lists, and text for the journal,
 * {"state", "values": ["0x1.8p+4", …], "instances": [{"what", "values"}, …]}. Numbers are
 * hexadecimal, which is exact, and texts, since JSON has no word for what is not finite. */
#include <stdlib.h>
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/eval/ev_vertebrae.h"
#include "jobs/job/job_json.h"

const ev_column ev_session_columns[EVS_N] = {
    [EVS_TRUTHS] = {"truths", true},
    [EVS_PREDICTIONS] = {"predictions", true},
    [EVS_DETECTED] = {"detected", true},
    [EVS_MISSED] = {"missed", true},
    [EVS_DUPLICATES] = {"duplicates", true},
    [EVS_FALSE_POSITIVES] = {"false_positives", true},
    [EVS_MERGES] = {"merges", true},
    [EVS_SPLITS] = {"splits", true},
    [EVS_MISLABELLED] = {"mislabelled", true},
    [EVS_LEVEL_SHIFT] = {"level_shift", true},
    [EVS_JUDGED] = {"judged", true},
    [EVS_DTR] = {"dtr", false},
    [EVS_B0_ERROR] = {"b0_error", false},
    [EVS_B1_ERROR] = {"b1_error", false},
    [EVS_B2_ERROR] = {"b2_error", false},
    [EVS_MATCHED] = {"matched", true},
    [EVS_RQ] = {"rq", false},
    [EVS_SQ] = {"sq", false},
    [EVS_PQ] = {"pq", false},
    [EVS_DICE] = {"dice", false},
    [EVS_LABEL_DICE] = {"label_dice", false},
    [EVS_UNION_DICE] = {"union_dice", false},
    [EVS_PAIRS] = {"pairs", true},
    [EVS_ASSD] = {"assd_mm", false},
    [EVS_HD95] = {"hd95_mm", false},
    [EVS_AXIAL_SCANS] = {"axial_images", true},
    [EVS_AXIAL_DICE] = {"axial_dice", false},
};

const char *const ev_instance_columns[EVI_N] = {
    [EVI_TRUTH] = "truth",
    [EVI_PREDICTION] = "prediction",
    [EVI_PARTNER] = "partner",
    [EVI_DICE] = "dice",
    [EVI_IOU] = "iou",
    [EVI_ASSD] = "assd_mm",
    [EVI_HD] = "hd_mm",
    [EVI_HD95] = "hd95_mm",
    [EVI_B0] = "b0",
    [EVI_B1] = "b1",
    [EVI_B2] = "b2",
    [EVI_WRONG_B0] = "b0_wrong",
    [EVI_WRONG_B1] = "b1_wrong",
    [EVI_WRONG_B2] = "b2_wrong",
};

const char *ev_state_name(ev_state s) {
    static const char *const names[EV_N_STATES] = {"scored", "missing", "unusable", "failed"};
    return names[s];
}

/* ---- lists ---- */

void ev_vert_rows_clear(ev_vert_rows *r) {
    sx_free(r->session);
    sx_free(r->instance);
    *r = (ev_vert_rows){NULL, NULL, 0, 0};
}

/* ---- text ---- */

static json_t *values_json(const double *x, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, json_sprintf("%a", x[i]));
    return list;
}

static bool values_parse(const json_t *list, double *x, int n) {
    if (json_array_size(list) != (size_t)n) return false;
    for (int i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, (size_t)i));
        char *end = NULL;
        if (!text || !*text) return false;
        x[i] = strtod(text, &end);
        if (*end) return false;
    }
    return true;
}

char *ev_vert_rows_text(const ev_vert_rows *r) {
    json_t *instances = json_array();
    for (int64_t i = 0; i < r->n_instances; i++)
        json_array_append_new(instances,
                              json_pack("{s:I, s:o}", "what", (json_int_t)r->instance[i].what,
                                        "values", values_json(r->instance[i].value, EVI_N)));
    return job_json_text(json_pack("{s:I, s:o, s:o}", "state", (json_int_t)r->session[0].state,
                                   "values", values_json(r->session[0].value, EVS_N), "instances",
                                   instances),
                         JSON_COMPACT);
}

/* A whole number from 0 below `end`. */
static bool small_parse(const json_t *x, int64_t end, int64_t *y) {
    *y = json_integer_value(x);
    return json_is_integer(x) && *y >= 0 && *y < end;
}

static bool instance_parse(const json_t *o, ev_instance_row *row) {
    return small_parse(json_object_get(o, "what"), EV_N_WHATS, &row->what) &&
           values_parse(json_object_get(o, "values"), row->value, EVI_N);
}

sx_err ev_vert_rows_parse(const char *text, int64_t item, ev_vert_rows *r) {
    json_t *root = json_loads(text, 0, NULL), *instances = json_object_get(root, "instances");
    const int64_t n = (int64_t)json_array_size(instances);
    ev_session_row row = {.item = item};
    bool good = small_parse(json_object_get(root, "state"), EV_N_STATES, &row.state) &&
                values_parse(json_object_get(root, "values"), row.value, EVS_N) &&
                json_is_array(instances);
    r->session = sx_grow(NULL, 0, sizeof row);
    r->session[r->n_sessions++] = row;
    for (int64_t i = 0; good && i < n; i++) {
        ev_instance_row one = {.item = item};
        good = instance_parse(json_array_get(instances, (size_t)i), &one);
        r->instance = sx_grow(r->instance, r->n_instances, sizeof one);
        r->instance[r->n_instances++] = one;
    }
    json_decref(root);
    if (good) return SX_OK;
    ev_vert_rows_clear(r);
    return sx_fail(SX_E_DATA, "rows of an earlier run cannot be read");
}
