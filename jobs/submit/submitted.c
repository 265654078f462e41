/* The list of submitted jobs beside an output (submitted.h). */
#include "jobs/submit/submitted.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"

enum { FILE_LIMIT = 1 << 26 };

static char *path_of(const char *folder) {
    return sx_path_join(folder, "jobs.jsonl");
}

sx_err submitted_note(const char *folder, const char *id, const char *verb, int64_t tasks,
                      const char *log, const char *command) {
    char *path = path_of(folder);
    char *text =
        job_json_text(json_pack("{s:s, s:s, s:I, s:o, s:o, s:I}", "job", id, "verb", verb, "tasks",
                                (json_int_t)tasks, "log", job_json_string(log), "command",
                                job_json_string(command), "time", (json_int_t)time(NULL)),
                      JSON_COMPACT);
    char *line = sx_strf("%s\n", text);
    sx_err rc = SX_OK;
    const size_t n = strlen(line);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        rc = sx_fail(SX_E_CREATE, "%s: %s", path, strerror(errno));
    else if (write(fd, line, n) != (ssize_t)n)
        rc = sx_fail(SX_E_IO, "%s: %s", path, strerror(errno));
    if (fd >= 0 && close(fd) != 0 && rc == SX_OK)
        rc = sx_fail(SX_E_IO, "%s: %s", path, strerror(errno));
    sx_free(text);
    sx_free(line);
    sx_free(path);
    return rc;
}

static char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return sx_strdup(text ? text : "");
}

static submitted parse(const json_t *o) {
    return (submitted){.job = text_of(o, "job"),
                       .verb = text_of(o, "verb"),
                       .tasks = json_integer_value(json_object_get(o, "tasks")),
                       .log = text_of(o, "log"),
                       .command = text_of(o, "command"),
                       .time_s = json_number_value(json_object_get(o, "time"))};
}

sx_err submitted_read(const char *folder, submitted **all, int64_t *n) {
    char *path = path_of(folder), *text = NULL, *rest = NULL;
    size_t n_bytes;
    sx_err rc = SX_OK;
    *all = NULL;
    *n = 0;
    if (!sx_file_exists(path)) goto out;
    SX_TRY(rc, sx_file_read(path, FILE_LIMIT, &text, &n_bytes));
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *o = json_loads(line, 0, NULL);
        if (json_is_object(o)) {
            *all = sx_grow(*all, *n, sizeof **all);
            (*all)[(*n)++] = parse(o);
        }
        json_decref(o);
    }
out:
    sx_free(text);
    sx_free(path);
    return rc;
}

void submitted_free(submitted *all, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        sx_free(all[i].job);
        sx_free(all[i].verb);
        sx_free(all[i].log);
        sx_free(all[i].command);
    }
    sx_free(all);
}
