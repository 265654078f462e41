/* For libraries that are preloaded (LD_PRELOAD) and act when a program has opened a file: the calls
 * that open one. Each library says what it does then, in `opened`. */
#ifndef FAULT_OPENED_H
#define FAULT_OPENED_H

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/types.h>

/* The function that would have been called. */
#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* After a file was opened, or could not be. */
static void opened(const char *path);

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

#endif
