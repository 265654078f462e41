/* Outputs and their sidecars (job_output.h). */
#include "jobs/items/job_output.h"

#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "io/io_bids.h"
#include "jobs/job/job_json.h"

#define SIDECAR_LIMIT ((size_t)16 << 20)

/* ---- reading ---- */

json_t *job_sidecar_read(const char *image) {
    char *path = io_bids_sidecar(image);
    json_t *o = NULL;
    if (sx_file_exists(path)) job_json_read(path, SIDECAR_LIMIT, &o);
    if (!json_is_object(o)) {
        json_decref(o);
        o = NULL;
    }
    sx_free(path);
    return o;
}

json_t *job_output_record(const char *image) {
    json_t *sidecar = job_sidecar_read(image);
    json_t *record = json_incref(json_object_get(sidecar, "Sagax"));
    json_decref(sidecar);
    return record;
}

bool job_output_trained_on(const char *image) {
    json_t *record = job_output_record(image);
    const bool yes = json_is_true(json_object_get(record, "TrainedOnSubject"));
    json_decref(record);
    return yes;
}

/* ---- is it done? ---- */

bool job_record_says(const json_t *record, const char *key, const char *value) {
    const char *text = json_string_value(json_object_get(record, key));
    return text && strcmp(text, value) == 0;
}

static const char *look(const char *image, const json_t *record, const job_claim *claim, int n) {
    char sha256[SX_HASH_HEX];
    if (!sx_file_exists(image)) return "not made yet";
    if (!record) return "no sidecar";
    for (int i = 0; i < n; i++)
        if (!job_record_says(record, claim[i].key, claim[i].value)) return claim[i].otherwise;
    if (sx_hash_file(image, sha256) != SX_OK || !job_record_says(record, "OutputSHA256", sha256))
        return "the output is damaged";
    return "";
}

void job_output_inspect(const char *image, const job_claim *claim, int n, char why[WORK_WHY]) {
    json_t *record = job_output_record(image);
    snprintf(why, WORK_WHY, "%s", look(image, record, claim, n));
    json_decref(record);
}

/* ---- writing ---- */

sx_err job_output_write(const char *image, const im_volume *v, io_dtype type, const char *note,
                        json_t *sidecar, int digits) {
    const size_t layout = JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION((size_t)digits);
    char *path = io_bids_sidecar(image), *text = NULL, sha256[SX_HASH_HEX];
    sx_err rc;
    SX_TRY(rc, sx_mkdirs_for(image));
    sx_file_sweep_for(image);
    sx_file_sweep_for(path);
    SX_TRY(rc, io_nifti_write(image, v, type, note));
    SX_TRY(rc, sx_hash_file(image, sha256));
    json_object_set_new(json_object_get(sidecar, "Sagax"), "OutputSHA256", json_string(sha256));
    text = job_json_text(json_incref(sidecar), layout);
    rc = sx_file_write(path, text, strlen(text));
out:
    json_decref(sidecar);
    sx_free(text);
    sx_free(path);
    return rc;
}
