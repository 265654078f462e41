/* What the tests of io/ share: a scratch folder, raw bytes of files, damage. */
#ifndef IO_TEST_H
#define IO_TEST_H

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"

#define ck_ok(call)                                                                                \
    do {                                                                                           \
        sx_err ck_rc = (call);                                                                     \
        ck_assert_msg(ck_rc == SX_OK, #call ": %s", sx_err_text());                                \
    } while (0)

#define ck_err(call, expected)                                                                     \
    do {                                                                                           \
        sx_err ck_rc = (call);                                                                     \
        ck_assert_msg(ck_rc == (expected), #call ": got %s, want %s: %s", sx_err_name(ck_rc),      \
                      sx_err_name(expected), sx_err_text());                                       \
    } while (0)

/* From now on no file grows beyond so many bytes, as on a full disk; -1: any does. */
static inline void io_test_room(int64_t n_bytes) {
    struct rlimit r;
    getrlimit(RLIMIT_FSIZE, &r);
    r.rlim_cur = n_bytes < 0 ? r.rlim_max : (rlim_t)n_bytes;
    signal(SIGXFSZ, n_bytes < 0 ? SIG_DFL : SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &r);
}

typedef struct io_bytes {
    char *data;
    size_t n;
} io_bytes;

static inline io_bytes io_bytes_read(const char *path) {
    io_bytes b;
    ck_ok(sx_file_read(path, (size_t)1 << 30, &b.data, &b.n));
    return b;
}

/* Without the care (and the time) of sx_file_write: for damaged files by the hundred. A file that
 * is there goes first: file systems write one that was cut to nothing and filled again to the disk.
 */
static inline void io_bytes_write(const char *path, const char *data, size_t n) {
    unlink(path);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

/* Where tests may write; made once, below the working directory; borrowed. */
static inline const char *io_test_path(const char *name) {
    static char path[8][512];
    static int turn;
    char *p = path[turn++ % 8];
    ck_ok(sx_mkdirs("scratch-io"));
    snprintf(p, sizeof path[0], "scratch-io/%d-%s", (int)getpid(), name);
    return p;
}

#endif
