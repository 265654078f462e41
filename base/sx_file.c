/* Files others can trust: temporary name, fsync, rename, fsync of the directory; and small path
 * helpers. The errors say the path and the system's reason. */
#include "base/sx_file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/sx_mem.h"

enum { HOST_BYTES = 255 }; /* HOST_NAME_MAX of POSIX */

#define FAIL_AT(code, path) sx_fail((code), "%s: %s", (path), strerror(errno))

char *sx_file_tmp_name(const char *path) {
    char host[HOST_BYTES + 1] = "";
    if (gethostname(host, HOST_BYTES) != 0) host[0] = '\0';
    return sx_strf("%s.tmp.%ld.%s", path, (long)getpid(), host);
}

/* The folder that holds `path`, new string. */
static char *folder_of(const char *path) {
    const char *base = sx_path_base(path);
    if (base == path) return sx_strdup(".");
    if (base == path + 1) return sx_strdup("/");
    char *folder = sx_strdup(path);
    folder[base - path - 1] = '\0';
    return folder;
}

static sx_err sync_path(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) return FAIL_AT(SX_E_IO, path);
    /* EINVAL, ENOTSUP: a file system without fsync for this kind of entry; nothing more to do. */
    bool bad = fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP;
    sx_err rc = bad ? FAIL_AT(SX_E_IO, path) : SX_OK;
    close(fd);
    return rc;
}

static sx_err no_room(const char *path, int64_t n_bytes, int why) {
    return sx_fail(SX_E_IO, "%s: no room for %lld bytes: %s", path, (long long)n_bytes,
                   strerror(why));
}

/* 0 or an errno. */
static int take_room(int fd, int64_t n_bytes) {
    int why;
    do why = posix_fallocate(fd, 0, n_bytes);
    while (why == EINTR);
    return why;
}

sx_err sx_file_reserve(const char *tmp, int64_t n_bytes) {
    int fd = open(tmp, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return sx_fail(SX_E_CREATE, "%s: %s", tmp, strerror(errno));
    const int why = take_room(fd, n_bytes);
    close(fd);
    if (why == 0) return SX_OK;
    sx_file_abort(tmp);
    return no_room(tmp, n_bytes, why);
}

const char *sx_tmp_folder(void) {
    const char *folder = getenv("TMPDIR");
    return folder && sx_file_is_dir(folder) ? folder : "/tmp";
}

bool sx_folder_in_memory(const char *folder) {
    struct statfs fs;
    return statfs(folder, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

sx_err sx_file_scratch(int64_t n_bytes, int *fd) {
    char *path = sx_path_join(sx_tmp_folder(), "sagax-XXXXXX");
    sx_err rc = SX_OK;
    *fd = mkstemp(path);
    if (*fd < 0) {
        rc = FAIL_AT(SX_E_CREATE, path);
        goto out;
    }
    unlink(path);
    fcntl(*fd, F_SETFD, FD_CLOEXEC);
    const int why = take_room(*fd, n_bytes);
    if (why != 0) {
        rc = no_room(path, n_bytes, why);
        close(*fd);
        *fd = -1;
    }
out:
    sx_free(path);
    return rc;
}

int sx_file_lost(int fd) {
    /* Of a page that no file has: there is nothing to wait for, and errors are told for all. */
    const off_t nowhere = (off_t)1 << 62;
    if (sync_file_range(fd, nowhere, 1, SYNC_FILE_RANGE_WAIT_BEFORE) == 0) return 0;
    return errno == EINVAL || errno == ENOSYS || errno == EINTR ? 0 : errno;
}

static bool has_vanished(const char *tmp) {
    return access(tmp, F_OK) != 0 && errno == ENOENT;
}

sx_err sx_file_commit(const char *tmp, const char *path) {
    return sx_file_commit_if(tmp, path, NULL, NULL);
}

sx_err sx_file_commit_if(const char *tmp, const char *path, sx_file_gate *gate, void *user) {
    char *folder = folder_of(path);
    sx_err rc = SX_OK, lost = SX_OK;
    SX_TRY(rc, sync_path(tmp, O_RDONLY));
    if (gate) SX_TRY(rc, gate(user));
    if (rename(tmp, path) != 0) {
        rc = FAIL_AT(SX_E_CREATE, path);
        goto out;
    }
    rc = sync_path(folder, O_RDONLY | O_DIRECTORY);
out:
    if (rc != SX_OK && gate && has_vanished(tmp)) lost = gate(user);
    if (rc != SX_OK) sx_file_abort(tmp);
    sx_free(folder);
    return lost != SX_OK ? lost : rc;
}

void sx_file_abort(const char *tmp) {
    unlink(tmp);
}

/* Remove the entries of `folder` that begin with `prefix` and hold `mark` behind it. */
static void sweep(const char *folder, const char *prefix, const char *mark) {
    const size_t n = strlen(prefix);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strncmp(e->d_name, prefix, n) != 0 || !strstr(e->d_name + n, mark)) continue;
        char *path = sx_path_join(folder, e->d_name);
        sx_file_abort(path);
        sx_free(path);
    }
    if (d) closedir(d);
}

void sx_file_sweep(const char *folder, const char *prefix) {
    sweep(folder, prefix, ".tmp.");
}

void sx_file_sweep_for(const char *path) {
    char *folder = folder_of(path), *prefix = sx_strf("%s.tmp.", sx_path_base(path));
    sweep(folder, prefix, "");
    sx_free(folder);
    sx_free(prefix);
}

/* All bytes into an open descriptor; short writes and interruptions are normal. */
static bool write_all(int fd, const char *data, size_t n_bytes) {
    while (n_bytes > 0) {
        ssize_t n = write(fd, data, n_bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data += n;
        n_bytes -= (size_t)n;
    }
    return true;
}

sx_err sx_file_write(const char *path, const void *data, size_t n_bytes) {
    char *tmp = sx_file_tmp_name(path);
    sx_err rc = SX_OK;
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        rc = FAIL_AT(SX_E_CREATE, path);
        goto out;
    }
    bool written = write_all(fd, data, n_bytes);
    if (!written) rc = FAIL_AT(SX_E_IO, path);
    if (close(fd) != 0 && rc == SX_OK) rc = FAIL_AT(SX_E_IO, path); /* NFS reports here */
    if (rc != SX_OK) {
        sx_file_abort(tmp);
        goto out;
    }
    rc = sx_file_commit(tmp, path);
out:
    sx_free(tmp);
    return rc;
}

/* Read to the end of the file, growing: /proc and pipes have no size to ask for. */
static sx_err read_all(FILE *f, const char *path, size_t limit, char **data, size_t *n_bytes) {
    size_t room = 1 << 12, n = 0;
    char *block = NULL;
    for (;;) {
        char *larger = sx_try_alloc((int64_t)room + 1, 1);
        if (!larger) {
            sx_free(block);
            return sx_fail(SX_E_NOMEM, "%s: no memory for %zu bytes", path, room);
        }
        if (block) memcpy(larger, block, n);
        sx_free(block);
        block = larger;
        n += fread(block + n, 1, room - n, f);
        if (n < room || n > limit) break;
        room *= 4;
    }
    sx_err rc = SX_OK;
    if (ferror(f))
        rc = FAIL_AT(SX_E_IO, path);
    else if (n > limit)
        rc = sx_fail(SX_E_DATA, "%s: larger than %zu bytes", path, limit);
    if (rc != SX_OK) {
        sx_free(block);
        return rc;
    }
    block[n] = '\0';
    *data = block;
    *n_bytes = n;
    return SX_OK;
}

sx_err sx_file_read(const char *path, size_t limit, char **data, size_t *n_bytes) {
    FILE *f = fopen(path, "rb");
    if (!f) return FAIL_AT(SX_E_NOINPUT, path);
    sx_err rc = read_all(f, path, limit, data, n_bytes);
    fclose(f);
    return rc;
}

const char *sx_file_why(const char *path, int error, char why[SX_FILE_WHY]) {
    char target[SX_FILE_WHY - 64];
    const ssize_t n = error == ENOENT ? readlink(path, target, sizeof target) : -1;
    if (n < 0)
        snprintf(why, SX_FILE_WHY, "%s", strerror(error));
    else
        snprintf(why, SX_FILE_WHY, "a link to %.*s, which is not there", (int)n, target);
    return why;
}

bool sx_file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

bool sx_file_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void sx_folder_refresh(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) close(fd);
}

int64_t sx_file_size(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

/* One folder; that it exists already (or another process was faster) is fine. */
static sx_err make_folder(const char *path) {
    if (mkdir(path, 0777) == 0) return SX_OK;
    int why = errno;
    if (sx_file_is_dir(path)) return SX_OK;
    errno = why;
    return FAIL_AT(SX_E_CREATE, path);
}

sx_err sx_mkdirs(const char *path) {
    char *part = sx_strdup(path);
    sx_err rc = SX_OK;
    for (char *slash = strchr(part + (*part == '/'), '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        SX_TRY(rc, make_folder(part));
        *slash = '/';
    }
    rc = make_folder(part);
out:
    sx_free(part);
    return rc;
}

sx_err sx_mkdirs_for(const char *path) {
    char *folder = folder_of(path);
    sx_err rc = sx_mkdirs(folder);
    sx_free(folder);
    return rc;
}

char *sx_path_absolute(const char *path) {
    char here[4096];
    if (path[0] == '/' || !getcwd(here, sizeof here)) return sx_strdup(path);
    return sx_path_join(here, path);
}

char *sx_path_join(const char *a, const char *b) {
    return sx_strf(sx_has_suffix(a, "/") ? "%s%s" : "%s/%s", a, b);
}

const char *sx_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool sx_has_suffix(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}
