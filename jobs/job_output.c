/* Outputs and their sidecars (job_output.h). */
#include "jobs/job_output.h"

#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "io/io_nifti.h"
#include "jobs/job_json.h"

#define SIDECAR_LIMIT ((size_t)16 << 20)

char *job_sidecar_path(const char *image) {
    const char *name = sx_path_base(image);
    return sx_strf("%.*s%.*s.json", (int)(name - image), image, (int)io_nifti_stem_length(name),
                   name);
}

static bool says(const json_t *record, const char *key, const char *value) {
    const char *text = json_string_value(json_object_get(record, key));
    return text && strcmp(text, value) == 0;
}

void job_output_inspect(const char *image, const char *inputs_sha256, char why[WORK_WHY]) {
    char *sidecar = job_sidecar_path(image), *text = NULL, sha256[SX_HASH_HEX];
    size_t n_bytes;
    json_t *root = NULL;
    const char *word = "";
    if (sx_file_exists(sidecar) && sx_file_read(sidecar, SIDECAR_LIMIT, &text, &n_bytes) == SX_OK)
        root = json_loadb(text, n_bytes, 0, NULL);
    const json_t *record = json_object_get(root, "Sagax");
    if (!sx_file_exists(image))
        word = "not made yet";
    else if (!record)
        word = "no sidecar";
    else if (!says(record, "InputsSHA256", inputs_sha256))
        word = "the inputs or the configuration changed";
    else if (sx_hash_file(image, sha256) != SX_OK || !says(record, "OutputSHA256", sha256))
        word = "the output is damaged";
    snprintf(why, WORK_WHY, "%s", word);
    json_decref(root);
    sx_free(text);
    sx_free(sidecar);
}
