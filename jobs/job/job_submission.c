/* A job's configuration as a table, and back: what `sagax submit` freezes and --submission takes.
 *
 * Texts are those that were given, so that nothing is rounded on the way. Defaults and presets are
 * not taken from the table: the program has them itself, and weights may bring others. But a
 * default that is another one by now is refused: then the job would not be the one that was
 * submitted. */
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/job/job_internal.h"
#include "jobs/job/submission.h"

enum { KEY, VALUE, ORIGIN, N_COLUMNS };
static const char *const header[N_COLUMNS] = {"key", "value", "origin"};

sx_err job__write_settings(const job *j, const char *path) {
    io_table t = {0};
    sx_err rc = SX_OK;
    io_table_init(&t, N_COLUMNS, header);
    for (int i = 0; i < j->n_values; i++) {
        const job_value *v = &j->value[i];
        if (v->text[strcspn(v->text, "\t\r\n")]) {
            rc = sx_fail(SX_E_CONFIG,
                         "%s = \"%s\": a value with a tab or a line end cannot be submitted",
                         v->option->key, v->text);
            goto out;
        }
        io_table_add(&t, (const char *const[N_COLUMNS]){v->option->key, v->text,
                                                        job__origin_name(v->origin)});
    }
    rc = io_table_write(path, &t);
out:
    io_table_clear(&t);
    return rc;
}

static sx_err take_row(job *j, const char *path, const char *key, const char *text,
                       const char *origin) {
    const job_value *v = job__find(j, key);
    if (!v) return sx_fail(SX_E_CONFIG, "%s: %s has no key %s", path, j->verb->name, key);
    if (strcmp(origin, job__origin_name(JOB_DEFAULT)) == 0) {
        if (strcmp(text, v->option->initial) == 0) return SX_OK;
        return sx_fail(
            SX_E_CONFIG,
            "%s: %s was %s by default and is now %s: another version of sagax; submit again", path,
            key, text, v->option->initial);
    }
    for (job_origin o = JOB_FILE; o <= JOB_COMMAND_LINE; o++)
        if (strcmp(origin, job__origin_name(o)) == 0) return job__set(j, key, text, o, SX_E_CONFIG);
    return SX_OK;
}

static sx_err read_settings(job *j, const char *path) {
    io_table t = {0};
    sx_err rc;
    SX_TRY(rc, io_table_read(path, &t));
    for (int i = 0; i < N_COLUMNS; i++) {
        if (io_table_column(&t, header[i]) == i) continue;
        rc = sx_fail(SX_E_CONFIG, "%s: no table of settings", path);
        goto out;
    }
    for (int64_t i = 0; i < t.n_rows; i++)
        SX_TRY(rc, take_row(j, path, io_table_at(&t, i, KEY), io_table_at(&t, i, VALUE),
                            io_table_at(&t, i, ORIGIN)));
out:
    io_table_clear(&t);
    return rc;
}

sx_err job__read_submission(job *j, const char *folder) {
    char *settings = sx_path_join(folder, JOB_SETTINGS), *items = sx_path_join(folder, JOB_ITEMS);
    sx_err rc;
    SX_TRY(rc, submission_check(folder));
    SX_TRY(rc, read_settings(j, settings));
    if (sx_file_exists(items) && job_has(j, "data.list"))
        rc = job__set(j, "data.list", items, JOB_COMMAND_LINE, SX_E_CONFIG);
out:
    sx_free(settings);
    sx_free(items);
    return rc;
}
