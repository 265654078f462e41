/* A file as a stream of checked bytes.
 *
 * gzip streams are inflated here, not by gzread: gzread takes plain files for gzip, passes over
 * junk after the stream, and does not say where a stream was cut. zlib verifies CRC and length of
 * each member; several members (pigz, bgzip) follow one another (RFC 1952). Memory: two buffers and
 * the inflate window, whatever the file claims. */
#include "io/io_nifti_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"

enum { BUFFER = 1 << 16 };
/* Deflate cannot exceed 1032:1 (258 bytes from 2 bits); members and headers only lower it. */
enum { DEFLATE_BEST_RATIO = 1032 };

struct io__bytes {
    const io__subject *subject;
    const char *path;
    FILE *file;
    int64_t size; /* of the file */
    bool gzip, inflating, ended;
    z_stream z;
    unsigned char in[BUFFER]; /* gzip: what zlib reads from; else scratch */
    unsigned char skip[BUFFER];
};

/* ---- opening ---- */

static sx_err check_kind(const io__subject *s, const char *path, int64_t *size) {
    struct stat st;
    if (stat(path, &st) != 0) {
        char why[SX_FILE_WHY];
        return io__refuse(s, SX_E_NOINPUT, errno == ENOENT ? "missing" : "unreadable", "%s: %s",
                          path, sx_file_why(path, errno, why));
    }
    if (S_ISDIR(st.st_mode) && access(path, R_OK | X_OK) != 0)
        return io__refuse(s, SX_E_NOINPUT, "unreadable", "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) return io__refuse(s, SX_E_DATA, "directory", "%s: is a folder", path);
    if (!S_ISREG(st.st_mode))
        return io__refuse(s, SX_E_DATA, "not-a-file", "%s: is not a regular file", path);
    if (st.st_size == 0) return io__refuse(s, SX_E_DATA, "empty", "%s: has 0 bytes", path);
    *size = (int64_t)st.st_size;
    return SX_OK;
}

/* Text where an image should be is most often the stub of a version control system. */
static bool is_pointer_file(const unsigned char *start, size_t n) {
    static const char *const stubs[] = {"version https://git-lfs", "/annex/objects",
                                        "../.git/annex"};
    for (size_t i = 0; i < sizeof stubs / sizeof stubs[0]; i++)
        if (n >= strlen(stubs[i]) && memcmp(start, stubs[i], strlen(stubs[i])) == 0) return true;
    return false;
}

/* The content's first bytes against the name's promise. */
static sx_err check_content(io__bytes *b) {
    const size_t n = fread(b->in, 1, 64, b->file);
    const bool gzip = n >= 2 && b->in[0] == 0x1f && b->in[1] == 0x8b;
    if (is_pointer_file(b->in, n))
        return io__refuse(b->subject, SX_E_DATA, "pointer",
                          "%s: is a git-lfs or git-annex pointer, its content was not fetched",
                          b->path);
    if (b->gzip && !gzip)
        return io__refuse(b->subject, SX_E_DATA, "gzip", "%s: is named .gz but is not gzip",
                          b->path);
    if (!b->gzip && gzip)
        return io__refuse(b->subject, SX_E_DATA, "gzip", "%s: is gzip but is not named .gz",
                          b->path);
    if (fseek(b->file, 0, SEEK_SET) != 0)
        return io__refuse(b->subject, SX_E_IO, "unreadable", "%s: %s", b->path, strerror(errno));
    return SX_OK;
}

sx_err io__bytes_open(io__bytes **out, const io__subject *s, const char *path) {
    int64_t size = 0;
    sx_err rc = check_kind(s, path, &size);
    if (rc != SX_OK) return rc;
    io__bytes *b = SX_NEW(io__bytes);
    *b = (io__bytes){.subject = s, .path = path, .size = size, .gzip = sx_has_suffix(path, ".gz")};
    b->file = fopen(path, "rb");
    if (!b->file) {
        rc = io__refuse(s, SX_E_NOINPUT, "unreadable", "%s: %s", path, strerror(errno));
        goto out;
    }
    SX_TRY(rc, check_content(b));
    if (b->gzip && inflateInit2(&b->z, 15 + 16) != Z_OK) { /* 15-bit window, gzip wrapper only */
        rc = io__refuse(s, SX_E_NOMEM, "memory", "%s: no memory to inflate", path);
        goto out;
    }
    b->inflating = b->gzip;
    *out = b;
    b = NULL;
out:
    io__bytes_close(b);
    return rc;
}

void io__bytes_close(io__bytes *b) {
    if (!b) return;
    if (b->inflating) inflateEnd(&b->z);
    if (b->file) fclose(b->file);
    sx_free(b);
}

int64_t io__bytes_bound(const io__bytes *b) {
    if (!b->gzip) return b->size;
    return b->size < INT64_MAX / DEFLATE_BEST_RATIO ? b->size * DEFLATE_BEST_RATIO : INT64_MAX;
}

/* ---- reading ---- */

static sx_err refuse_read(io__bytes *b) {
    return io__refuse(b->subject, SX_E_IO, "unreadable", "%s: read error: %s", b->path,
                      strerror(errno));
}

/* More compressed bytes for zlib; none left is not an error here. */
static sx_err refill(io__bytes *b) {
    if (b->z.avail_in > 0) return SX_OK;
    const size_t n = fread(b->in, 1, BUFFER, b->file);
    if (n == 0 && ferror(b->file)) return refuse_read(b);
    b->z.next_in = b->in;
    b->z.avail_in = (uInt)n;
    return SX_OK;
}

/* A member ended: nothing, another member, or junk follows. */
static sx_err next_member(io__bytes *b) {
    sx_err rc = refill(b);
    if (rc != SX_OK) return rc;
    if (b->z.avail_in == 0) {
        b->ended = true;
        return SX_OK;
    }
    if (b->z.next_in[0] != 0x1f)
        return io__refuse(b->subject, SX_E_DATA, "trailing", "%s: junk after the gzip stream",
                          b->path);
    inflateReset(&b->z);
    return SX_OK;
}

static sx_err refuse_inflate(io__bytes *b) {
    const char *why = b->z.msg ? b->z.msg : "corrupt";
    const bool check = strstr(why, "check") != NULL; /* "incorrect data check", "… length check" */
    return io__refuse(b->subject, SX_E_DATA, check ? "crc" : "corrupt", "%s: gzip stream: %s",
                      b->path, why);
}

/* Up to n bytes, *got < n only at the end of the stream. */
static sx_err inflate_some(io__bytes *b, void *out, int64_t n, int64_t *got) {
    b->z.next_out = out;
    b->z.avail_out = (uInt)n; /* n <= BUFFER */
    while (b->z.avail_out > 0 && !b->ended) {
        sx_err rc = refill(b);
        if (rc != SX_OK) return rc;
        const uInt before = b->z.avail_in;
        const int code = inflate(&b->z, Z_NO_FLUSH);
        if (code == Z_STREAM_END)
            rc = next_member(b);
        else if (before == 0)
            rc = io__refuse(b->subject, SX_E_DATA, "truncated",
                            "%s: gzip stream is cut after %lld bytes", b->path, (long long)b->size);
        else if (code != Z_OK && code != Z_BUF_ERROR)
            rc = refuse_inflate(b);
        if (rc != SX_OK) return rc;
    }
    *got = n - (int64_t)b->z.avail_out;
    return SX_OK;
}

static sx_err read_some(io__bytes *b, void *out, int64_t n, int64_t *got) {
    if (b->gzip) return inflate_some(b, out, n, got);
    *got = (int64_t)fread(out, 1, (size_t)n, b->file);
    if (*got < n && ferror(b->file)) return refuse_read(b);
    return SX_OK;
}

sx_err io__bytes_read(io__bytes *b, void *out, int64_t n) {
    unsigned char *to = out;
    while (n > 0) {
        const int64_t want = n < BUFFER ? n : BUFFER;
        int64_t got = 0;
        const sx_err rc = read_some(b, to, want, &got);
        if (rc != SX_OK) return rc;
        if (got < want)
            return io__refuse(b->subject, SX_E_DATA, "truncated", "%s: ends %lld bytes early",
                              b->path, (long long)(n - got));
        to += got;
        n -= got;
    }
    return SX_OK;
}

sx_err io__bytes_skip(io__bytes *b, int64_t n) {
    sx_err rc = SX_OK;
    for (; n > 0 && rc == SX_OK; n -= BUFFER)
        rc = io__bytes_read(b, b->skip, n < BUFFER ? n : BUFFER);
    return rc;
}

sx_err io__bytes_finish(io__bytes *b, int64_t limit, int64_t *n_left) {
    int64_t got = BUFFER;
    for (*n_left = 0; got == BUFFER; *n_left += got) {
        const sx_err rc = read_some(b, b->skip, BUFFER, &got);
        if (rc != SX_OK) return rc;
        if (*n_left + got > limit)
            return io__refuse(b->subject, SX_E_DATA, "trailing",
                              "%s: more than %lld bytes after the last voxel", b->path,
                              (long long)limit);
    }
    return SX_OK;
}
