/* Reading a NIfTI file: name, bytes, header, geometry, voxels, end; the first doubt refuses the
 * file.
 *
 * Everything streams: memory is one float volume, asked for only after the header has been checked
 * against what the file can hold at all. */
#include "io/io_nifti.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_nifti_private.h"

/* Bytes after the last voxel that are tolerated, with a warning: padding of some writers. */
static const int64_t trailing_limit = 1 << 16;
static const int64_t default_max_bytes = (int64_t)2 << 30;

enum { PATH_BYTES = 4096 }; /* PATH_MAX of Linux; longer ones cannot be opened */

/* ---- verdicts ---- */

/* Sentences begin with the path and end with what is wrong: too long a one loses its head. */
static void set_sentence(char *to, size_t room, const char *sentence) {
    const size_t n = strlen(sentence);
    const char *from = n < room ? sentence : sentence + n - (room - 4);
    while (((unsigned char)*from & 0xc0) == 0x80) from++; /* no half letters */
    const size_t dots = n < room ? 0 : 3;
    memcpy(to, "...", dots);
    memcpy(to + dots, from, strlen(from) + 1);
}

sx_err io__refuse(const io__subject *s, sx_err code, const char *reason, const char *format, ...) {
    char sentence[PATH_BYTES + 400];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    set_sentence(s->info->message, sizeof s->info->message, sentence);
    snprintf(s->info->reason, sizeof s->info->reason, "%s", reason);
    s->info->ok = false;
    return sx_fail(code, "%s", s->info->message);
}

void io__warn(const io__subject *s, const char *format, ...) {
    if (s->info->warning[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(s->info->warning, sizeof s->info->warning, format, args);
    va_end(args);
}

/* ---- names ---- */

io_xform io_xform_parse(const char *name) {
    return strcmp(name, "sform") == 0   ? IO_XFORM_SFORM
           : strcmp(name, "qform") == 0 ? IO_XFORM_QFORM
                                        : IO_XFORM_AUTO;
}

size_t io_nifti_stem_length(const char *path) {
    static const char *const names[] = {".nii", ".nii.gz", ".hdr", ".hdr.gz"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (sx_has_suffix(path, names[i])) return strlen(path) - strlen(names[i]);
    return strlen(path);
}

bool io_nifti_is_name(const char *path) {
    const char *base = sx_path_base(path);
    const size_t n = io_nifti_stem_length(base);
    return n > 0 && n < strlen(base);
}

/* `path` with `old` at its end replaced, new string; NULL if it does not end so. */
static char *with_suffix(const char *path, const char *old, const char *new) {
    if (!sx_has_suffix(path, old)) return NULL;
    return sx_strf("%.*s%s", (int)(strlen(path) - strlen(old)), path, new);
}

/* Two files of one name: which one is the image is anybody's guess. */
static sx_err check_sibling(const io__subject *s) {
    char *sibling = with_suffix(s->path, ".nii", ".nii.gz");
    if (!sibling) sibling = with_suffix(s->path, ".nii.gz", ".nii");
    sx_err rc = SX_OK;
    if (sibling && sx_file_exists(sibling))
        rc = io__refuse(s, SX_E_DATA, "sibling", "%s: %s lies beside it", s->path,
                        sx_path_base(sibling));
    sx_free(sibling);
    return rc;
}

/* The .img of a .hdr, new string; NULL for single files. */
static char *image_of(const char *path) {
    char *image = with_suffix(path, ".hdr", ".img");
    return image ? image : with_suffix(path, ".hdr.gz", ".img.gz");
}

/* ---- identity ---- */

/* A pipe would be waited for. */
static sx_err hash_part(sx_hasher *h, const char *path) {
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return sx_fail(SX_E_DATA, "%s: is not a regular file", path);
    return sx_hasher_add_file(h, path);
}

sx_err io_nifti_hash(const char *path, char hex[SX_HASH_HEX]) {
    sx_err rc;
    io_nifti_info info;
    char *image = image_of(path);
    sx_hasher *h = sx_hasher_new();
    SX_TRY(rc, check_sibling(&(io__subject){path, &info}));
    SX_TRY(rc, hash_part(h, path));
    if (image) rc = hash_part(h, image);
out:
    sx_hasher_end(h, hex);
    sx_free(image);
    return rc;
}

/* ---- pairs ---- */

/* Continue in the .img file: afterwards *b stands at vox_offset of that. */
static sx_err switch_to_image(const io__header *h, const io__subject *s, const char *image,
                              io__bytes **b) {
    const int64_t n_bytes = h->n_frame * h->n_frames * (h->type->bits / 8);
    io__bytes_close(*b);
    *b = NULL;
    sx_err rc = io__bytes_open(b, s, image);
    if (rc != SX_OK) return rc;
    if (h->vox_offset + n_bytes > io__bytes_bound(*b))
        return io__refuse(s, SX_E_DATA, "truncated",
                          "%s: %lld bytes of voxels claimed, at most %lld present", image,
                          (long long)n_bytes, (long long)io__bytes_bound(*b));
    return io__bytes_skip(*b, h->vox_offset);
}

/* ---- reading ---- */

/* Which frames: all of them for `every`, else the one that the caller wants. */
static sx_err choose_frames(const io__header *h, const io__subject *s, const io_read_opt *opt,
                            bool every, int64_t *first, int64_t *n) {
    *first = every ? 0 : opt->frame < 0 ? 0 : opt->frame;
    *n = every ? h->n_frames : 1;
    if (!every && opt->frame < 0 && h->n_frames > 1)
        return io__refuse(s, SX_E_DATA, "frames", "%s: holds %lld volumes, one is wanted", s->path,
                          (long long)h->n_frames);
    if (*first + *n > h->n_frames)
        return io__refuse(s, SX_E_DATA, "frames", "%s: holds %lld volumes, number %d is wanted",
                          s->path, (long long)h->n_frames, opt->frame);
    if (every && h->n_frames > 1) io__warn(s, "holds %lld volumes", (long long)h->n_frames);
    return SX_OK;
}

static sx_err check_memory(const io__header *h, const io__subject *s, const io_read_opt *opt) {
    const int64_t limit = opt->max_bytes > 0 ? opt->max_bytes : default_max_bytes;
    const int64_t n = h->n_frame * h->n_frames;
    if (n <= limit / (int64_t)sizeof(float)) return SX_OK;
    return io__refuse(s, SX_E_DATA, "too-large",
                      "%s: %lld voxels are more than the limit of %lld bytes", s->path,
                      (long long)n, (long long)limit);
}

static sx_err check_end(const io__subject *s, io__bytes *b) {
    int64_t left = 0;
    const sx_err rc = io__bytes_finish(b, trailing_limit, &left);
    if (rc == SX_OK && left > 0) io__warn(s, "%lld bytes after the last voxel", (long long)left);
    return rc;
}

/* v NULL: statistics of all frames. */
static sx_err read_file(const io__subject *s, const io_read_opt *opt, im_volume *v) {
    io__bytes *b = NULL;
    char *image = image_of(s->path);
    io__header h = {.pair = image != NULL};
    int64_t first, n;
    sx_err rc;
    if (!io_nifti_is_name(s->path) && sx_file_exists(s->path) && !sx_file_is_dir(s->path)) {
        rc = io__refuse(s, SX_E_DATA, "name", "%s: is not named .nii, .nii.gz, .hdr or .hdr.gz",
                        s->path);
        goto out;
    }
    SX_TRY(rc, io__bytes_open(&b, s, s->path));
    SX_TRY(rc, check_sibling(s));
    SX_TRY(rc, io__header_read(&h, s, b));
    SX_TRY(rc, choose_frames(&h, s, opt, v == NULL, &first, &n));
    SX_TRY(rc, io__geometry(&h, s, opt->xform));
    SX_TRY(rc, check_memory(&h, s, opt));
    if (h.pair) SX_TRY(rc, switch_to_image(&h, s, image, &b));
    if (v && im_volume_init(v, h.dim) != SX_OK) {
        rc = io__refuse(s, SX_E_NOMEM, "memory", "%s: no memory for %lld voxels", s->path,
                        (long long)h.n_frame);
        goto out;
    }
    if (v) memcpy(v->affine, s->info->affine, sizeof v->affine);
    SX_TRY(rc, io__voxels(&h, s, b, first, n, v ? v->voxel : NULL));
    SX_TRY(rc, check_end(s, b));
    s->info->ok = true;
out:
    if (rc != SX_OK && v) im_volume_clear(v);
    io__bytes_close(b);
    sx_free(image);
    return rc;
}

static void info_reset(io_nifti_info *info) {
    *info = (io_nifti_info){0};
    info->min = info->max = info->mean = (double)NAN;
}

sx_err io_nifti_read(const char *path, const io_read_opt *opt, im_volume *v, io_nifti_info *info) {
    io_nifti_info own;
    const io__subject s = {path, info ? info : &own};
    info_reset(s.info);
    sx_err rc = read_file(&s, opt, v);
    if (rc != SX_OK) return rc;
    if (s.info->warning[0]) sx_warn("%s: %s", path, s.info->warning);
    if (s.info->nonfinite > 0)
        sx_warn("%s: %" PRId64 " voxels are not finite", path, s.info->nonfinite);
    return SX_OK;
}

sx_err io_nifti_inspect(const char *path, const io_read_opt *opt, io_nifti_info *info) {
    const io__subject s = {path, info};
    info_reset(info);
    return read_file(&s, opt, NULL);
}
