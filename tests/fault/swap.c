/* A file that is replaced while a program works on it, to be preloaded (LD_PRELOAD): when the
 * program has opened a file whose path ends with SWAP_PATH for the SWAP_AT-th time (number, from 1
 * on), SWAP_BY gets its name. The program goes on with the old file, which it holds open. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* The function that would have been called. */
#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static void opened(const char *path) {
    static atomic_int n_opened;
    const char *end = getenv("SWAP_PATH"), *at = getenv("SWAP_AT"), *by = getenv("SWAP_BY");
    if (!end || !at || !by || strlen(path) < strlen(end)) return;
    if (strcmp(path + strlen(path) - strlen(end), end) != 0) return;
    if (atomic_fetch_add(&n_opened, 1) + 1 == atoi(at)) rename(by, path);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    const int fd = REAL(open)(path, flags, mode);
    opened(path);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open(path, flags, mode);
}

FILE *fopen(const char *path, const char *how) {
    FILE *f = REAL(fopen)(path, how);
    opened(path);
    return f;
}

FILE *fopen64(const char *path, const char *how) {
    return fopen(path, how);
}
