/* Between libinih's callback and ours (job_ini.h). */
#include "jobs/job/job_ini.h"

#include <ini.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"

#define FILE_LIMIT_BYTES ((size_t)1 << 20)
#define LINE_LIMIT 197 /* INI_MAX_LINE 200 of the packaged libinih, less newline and zero */

typedef struct reader {
    job_ini_entry *entry;
    void *user;
    sx_err rc;
} reader;

/* 0 means error. After the first error the rest of the file is only skipped. */
static int on_entry(void *user, const char *section, const char *name, const char *value) {
    reader *r = user;
    if (r->rc != SX_OK) return 1;
    r->rc = r->entry(r->user, section, name, value);
    return r->rc == SX_OK;
}

static sx_err check_lines(const char *text, const char *path) {
    int number = 1;
    for (const char *line = text; *line; number++) {
        size_t n = strcspn(line, "\n");
        if (n > LINE_LIMIT)
            return sx_fail(SX_E_CONFIG, "%s:%d: line of %zu characters, at most %d can be read",
                           path, number, n, LINE_LIMIT);
        line += n + (line[n] == '\n');
    }
    return SX_OK;
}

sx_err job_ini_read(const char *path, job_ini_entry *entry, void *user) {
    char *text = NULL;
    size_t n_bytes = 0;
    reader r = {entry, user, SX_OK};
    sx_err rc;
    SX_TRY(rc, sx_file_read(path, FILE_LIMIT_BYTES, &text, &n_bytes));
    if (strlen(text) != n_bytes) {
        rc = sx_fail(SX_E_CONFIG, "%s: not a text file (zero byte at %zu)", path, strlen(text));
        goto out;
    }
    SX_TRY(rc, check_lines(text, path));
    int line = ini_parse_string(text, on_entry, &r);
    if (r.rc != SX_OK)
        rc = sx_fail_context(r.rc, "%s:%d", path, line);
    else if (line != 0)
        rc = sx_fail(SX_E_CONFIG, "%s:%d: not a line of INI", path, line);
out:
    sx_free(text);
    return rc;
}
