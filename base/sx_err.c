/* Errors: one message a thread, one table of names and exit codes.
 *
 * The message lives in thread-local storage of fixed size, so that failing never allocates (it must
 * work when memory is what ran out). Longer messages are cut; the code is never lost. */
#include "base/sx_err.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 1024

static _Thread_local char current_text[TEXT_BYTES];

/* Exit codes follow sysexits(3); 1 is "finished, some items failed". */
static const struct {
    const char *name;
    int exit_code;
} table[SX_E_COUNT] = {
    [SX_OK] = {"ok", 0},        [SX_E_ITEMS] = {"items", 1},      [SX_E_USAGE] = {"usage", 64},
    [SX_E_DATA] = {"data", 65}, [SX_E_NOINPUT] = {"noinput", 66}, [SX_E_MPI] = {"mpi", 69},
    [SX_E_BUG] = {"bug", 70},   [SX_E_NOMEM] = {"nomem", 70},     [SX_E_CREATE] = {"create", 73},
    [SX_E_IO] = {"io", 74},     [SX_E_AGAIN] = {"again", 75},     [SX_E_CONFIG] = {"config", 78},
};

sx_err sx_fail(sx_err code, const char *format, ...) {
    char text[TEXT_BYTES]; /* arguments may point into the current message */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(current_text, text, sizeof text);
    return code;
}

sx_err sx_fail_context(sx_err code, const char *format, ...) {
    char prefix[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    return sx_fail(code, "%s: %s", prefix, current_text);
}

const char *sx_err_text(void) {
    return current_text;
}

static int in_table(sx_err code) {
    return (int)code >= 0 && (int)code < (int)SX_E_COUNT;
}

const char *sx_err_name(sx_err code) {
    return in_table(code) ? table[code].name : "unknown";
}

int sx_err_exit(sx_err code) {
    return in_table(code) ? table[code].exit_code : table[SX_E_BUG].exit_code;
}

void sx_err_tell_exit(int exit_code) {
    const char *path = getenv("SAGAX_VERDICT");
    FILE *f = path && *path ? fopen(path, "r+") : NULL;
    if (!f) return;
    fprintf(f, "%d\n", exit_code);
    fclose(f);
}

void sx_assert_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "sagax: internal error at %s:%d: %s does not hold\n", file, line, condition);
    fflush(stderr);
    abort();
}
