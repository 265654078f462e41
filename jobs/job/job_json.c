/* JSON out and in (job_json.h). jansson allocates with malloc; what leaves here is freed with
 * sx_free like every other text of the program. */
#include "jobs/job/job_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"

char *job_json_text(json_t *o, size_t flags) {
    char *dumped = o ? json_dumps(o, flags) : NULL, *text = sx_strdup(dumped);
    free(dumped);
    json_decref(o);
    return text;
}

void job_json_print(json_t *o, size_t flags) {
    json_dumpf(o, stdout, flags);
    putchar('\n');
    json_decref(o);
}

sx_err job_json_read(const char *path, size_t limit, json_t **o) {
    char *text = NULL;
    size_t n_bytes;
    sx_err rc = sx_file_read(path, limit, &text, &n_bytes);
    if (rc != SX_OK) return rc;
    *o = json_loadb(text, n_bytes, 0, NULL);
    sx_free(text);
    return *o ? SX_OK : sx_fail(SX_E_DATA, "%s: not JSON", path);
}

void job_json_clean(char *text) {
    json_t *good = json_string(text);
    for (char *c = text; !good && *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    json_decref(good);
}

json_t *job_json_string(const char *text) {
    char *clean = sx_strdup(text);
    job_json_clean(clean);
    json_t *string = json_string(clean);
    sx_free(clean);
    return string;
}

json_t *job_json_number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}
