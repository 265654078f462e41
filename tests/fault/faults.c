/* A bad disk, to be preloaded (LD_PRELOAD) into a program. Of the calls that change files below the
 * folder FAULT_UNDER, and whose path does not hold FAULT_EXCEPT, the FAULT_AT-th one fails:
 *
 *   FAULT_CALLS: which count, words of write fsync rename link truncate close allocate read open
 *     late (unset: all but read, open, which is that of files that are read only, and late, which
 *     is an error behind a write, told to sync_file_range)
 *   FAULT_AT: number, from 1 on
 *   FAULT_DO: kill (SIGKILL instead of the call), eio, enospc, eintr, enoent, short (half of a
 *     write or a read)
 *   FAULT_ROOM: in place of FAULT_AT; all files there together may have so many bytes. The write
 *     that wants more is cut short, the next one fails, as on a full disk
 *   FAULT_MARK: a file that is made when it happens
 *
 * A thread that writes by itself would make the count a matter of chance: leave its files out.
 * Streams are opened as cookies, because the C library does not call its own write through a symbol
 * that can be replaced. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The function that would have been called. */
#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* ---- which files ---- */

/* Leaves errno alone: a call that goes through must not seem to have set it. */
static bool path_counts(const char *path) {
    const int before = errno;
    const char *under = getenv("FAULT_UNDER"), *except = getenv("FAULT_EXCEPT");
    char folder[PATH_MAX];
    if (!under || !path) return false;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    char *whole = realpath(folder, NULL);
    errno = before;
    if (!whole) return false;
    snprintf(folder, sizeof folder, "%s/%s", whole, slash ? slash + 1 : path);
    free(whole);
    const size_t n = strlen(under);
    return strncmp(folder, under, n) == 0 && (folder[n] == '/' || folder[n] == '\0') &&
           !(except && strstr(folder, except));
}

static bool fd_counts(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return false;
    path[n] = '\0';
    return path_counts(path);
}

/* ---- when ---- */

typedef enum action { GO_ON, FAIL, SHORT } action;

static void mark(void) {
    const char *path = getenv("FAULT_MARK");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) REAL(close)(fd);
}

/* One more call of this kind on a file that counts. FAIL: with errno set. */
static action count(const char *call) {
    static atomic_llong n_calls;
    const char *calls = getenv("FAULT_CALLS"), *at = getenv("FAULT_AT"), *what = getenv("FAULT_DO");
    if (!at || !what) return GO_ON;
    const bool asked_for = strstr("read open late", call);
    if (calls ? !strstr(calls, call) : asked_for) return GO_ON;
    if (atomic_fetch_add(&n_calls, 1) + 1 != atoll(at)) return GO_ON;
    mark();
    if (strcmp(what, "kill") == 0) raise(SIGKILL);
    if (strcmp(what, "short") == 0) return SHORT;
    static const struct {
        const char *name;
        int number;
    } errors[] = {{"enospc", ENOSPC}, {"eintr", EINTR}, {"enoent", ENOENT}};
    errno = EIO;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(what, errors[i].name) == 0) errno = errors[i].number;
    return FAIL;
}

/* ---- room ---- */

static _Thread_local long long used;

static int add_size(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)path;
    (void)at;
    if (type == FTW_F) used += st->st_size;
    return 0;
}

/* How many bytes of a write that makes its file `grows` longer go through; -1: none. */
static long long fits(long long n, long long grows) {
    const char *room = getenv("FAULT_ROOM");
    if (!room || grows <= 0) return n;
    const int before = errno;
    used = 0;
    nftw(getenv("FAULT_UNDER"), add_size, 16, FTW_PHYS);
    errno = before;
    const long long left = atoll(room) - used;
    if (grows <= left) return n;
    mark();
    errno = ENOSPC;
    return n - grows + left > 0 ? n - grows + left : -1;
}

static long long growth(int fd, long long end) {
    struct stat st;
    return fstat(fd, &st) == 0 ? end - st.st_size : 0;
}

/* What becomes of a write of n bytes that ends at `end`: how many go through, -1: errno. */
static long long write_some(int fd, long long n, long long end) {
    if (!fd_counts(fd)) return n;
    const action a = count("write");
    if (a == FAIL) return -1;
    if (a == SHORT && n > 1) n /= 2;
    return fits(n, growth(fd, end));
}

static long long end_of(int fd, long long n) {
    struct stat st;
    if (fcntl(fd, F_GETFL) & O_APPEND && fstat(fd, &st) == 0) return st.st_size + n;
    return lseek(fd, 0, SEEK_CUR) + n;
}

/* ---- the calls ---- */

ssize_t write(int fd, const void *data, size_t n) {
    const long long some = write_some(fd, (long long)n, end_of(fd, (long long)n));
    return some < 0 ? -1 : REAL(write)(fd, data, (size_t)some);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    const long long some = write_some(fd, (long long)n, at + (long long)n);
    return some < 0 ? -1 : REAL(pwrite)(fd, data, (size_t)some, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    return pwrite(fd, data, n, at);
}

static long long total(const struct iovec *v, int n) {
    long long sum = 0;
    for (int i = 0; i < n; i++) sum += (long long)v[i].iov_len;
    return sum;
}

/* Of several pieces, those that go through whole; the first one may be cut. */
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) {
    const long long all = total(v, n), some = write_some(fd, all, at + all);
    if (some < 0) return -1;
    if (some == all) return REAL(pwritev)(fd, v, n, at);
    int whole = 0;
    while (whole < n && total(v, whole + 1) <= some) whole++;
    if (whole > 0) return REAL(pwritev)(fd, v, whole, at);
    return REAL(pwrite)(fd, v[0].iov_base, (size_t)some, at);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) {
    return pwritev(fd, v, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int n) {
    const long long all = total(v, n), some = write_some(fd, all, end_of(fd, all));
    if (some < 0) return -1;
    if (some == all) return REAL(writev)(fd, v, n);
    const size_t first = v[0].iov_len;
    return REAL(write)(fd, v[0].iov_base, (size_t)some < first ? (size_t)some : first);
}

static bool open_fails(const char *path, int how) {
    if ((how & O_ACCMODE) != O_RDONLY || how & O_DIRECTORY) return false;
    return path_counts(path) && count("open") == FAIL;
}

static mode_t mode_of(int how, va_list rest) {
    return how & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(rest, int) : 0;
}

int open(const char *path, int how, ...) {
    va_list rest;
    va_start(rest, how);
    const mode_t mode = mode_of(how, rest);
    va_end(rest);
    return open_fails(path, how) ? -1 : REAL(open)(path, how, mode);
}

int open64(const char *path, int how, ...) {
    va_list rest;
    va_start(rest, how);
    const mode_t mode = mode_of(how, rest);
    va_end(rest);
    return open_fails(path, how) ? -1 : REAL(open64)(path, how, mode);
}

ssize_t pread(int fd, void *data, size_t n, off_t at) {
    const action a = fd_counts(fd) ? count("read") : GO_ON;
    if (a == SHORT && n > 1) n /= 2;
    return a == FAIL ? -1 : REAL(pread)(fd, data, n, at);
}

ssize_t pread64(int fd, void *data, size_t n, off64_t at) {
    return pread(fd, data, n, at);
}

int fsync(int fd) {
    return fd_counts(fd) && count("fsync") == FAIL ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd) {
    return fd_counts(fd) && count("fsync") == FAIL ? -1 : REAL(fdatasync)(fd);
}

int sync_file_range(int fd, off64_t at, off64_t n, unsigned how) {
    return fd_counts(fd) && count("late") == FAIL ? -1 : REAL(sync_file_range)(fd, at, n, how);
}

int rename(const char *from, const char *to) {
    return path_counts(to) && count("rename") == FAIL ? -1 : REAL(rename)(from, to);
}

int link(const char *from, const char *to) {
    return path_counts(to) && count("link") == FAIL ? -1 : REAL(link)(from, to);
}

int ftruncate(int fd, off_t n) {
    if (!fd_counts(fd)) return REAL(ftruncate)(fd, n);
    if (count("truncate") == FAIL || fits(1, growth(fd, n)) < 0) return -1;
    return REAL(ftruncate)(fd, n);
}

int ftruncate64(int fd, off64_t n) {
    return ftruncate(fd, n);
}

/* The descriptor is gone either way, as on Linux. */
int close(int fd) {
    const bool fails = fd_counts(fd) && count("close") == FAIL;
    const int why = errno, rc = REAL(close)(fd);
    if (!fails) return rc;
    errno = why;
    return -1;
}

int posix_fallocate(int fd, off_t at, off_t n) {
    if (!fd_counts(fd)) return REAL(posix_fallocate)(fd, at, n);
    if (count("allocate") == FAIL) return errno;
    if (fits(n, growth(fd, at + n)) != n) return ENOSPC;
    return REAL(posix_fallocate)(fd, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n) {
    return posix_fallocate(fd, at, n);
}

/* ---- streams ---- */

/* As the C library does it: again after a short write, not after a failed one. */
static ssize_t stream_write(void *cookie, const char *data, size_t n) {
    size_t done = 0;
    while (done < n) {
        const ssize_t put = write(*(int *)cookie, data + done, n - done);
        if (put <= 0) break;
        done += (size_t)put;
    }
    return (ssize_t)done; /* less than n is an error to a stream */
}

static int stream_seek(void *cookie, off64_t *at, int from) {
    const off64_t got = lseek(*(int *)cookie, *at, from);
    if (got < 0) return -1;
    *at = got;
    return 0;
}

static int stream_close(void *cookie) {
    const int rc = close(*(int *)cookie);
    free(cookie);
    return rc;
}

FILE *fopen(const char *path, const char *mode) {
    const bool writes = mode[0] == 'w' || mode[0] == 'a';
    if (!writes || strchr(mode, '+') || !path_counts(path)) return REAL(fopen)(path, mode);
    int fd = open(path, O_WRONLY | O_CREAT | (mode[0] == 'w' ? O_TRUNC : O_APPEND), 0666);
    int *cookie = fd < 0 ? NULL : malloc(sizeof *cookie);
    if (!cookie) return NULL;
    *cookie = fd;
    return fopencookie(
        cookie, mode,
        (cookie_io_functions_t){.write = stream_write, .seek = stream_seek, .close = stream_close});
}

FILE *fopen64(const char *path, const char *mode) {
    return fopen(path, mode);
}
