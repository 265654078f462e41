/* NIfTI. The input is a file by its own first bytes: gzip, a header whose magic says that its
 * voxels are elsewhere (then what follows the header is the .img), or a single file. That one is
 * read gzipped too, since damage of compressed bytes ends at their checksum and not at ours: both
 * must get the same verdict and the same numbers. */
#include <math.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/sx_mem.h"
#include "io/io_nifti.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_BYTES = 4 << 20, HEADER_1 = 348, HEADER_2 = 540 };

static bool same(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

static bool same_numbers(const io_nifti_info *a, const io_nifti_info *b) {
    return a->rank == b->rank && memcmp(a->shape, b->shape, sizeof a->shape) == 0 &&
           memcmp(a->affine, b->affine, sizeof a->affine) == 0 &&
           strcmp(a->axcodes, b->axcodes) == 0 && strcmp(a->datatype, b->datatype) == 0 &&
           same(a->min, b->min) && same(a->max, b->max) && same(a->mean, b->mean) &&
           a->nonfinite == b->nonfinite;
}

/* A verdict has a reason or numbers that can be used. */
static void check_info(sx_err rc, const io_nifti_info *info) {
    SX_ASSERT(info->ok == (rc == SX_OK));
    SX_ASSERT(info->ok == (info->reason[0] == '\0') && info->ok == (info->message[0] == '\0'));
    if (!info->ok) return;
    int64_t n = 1;
    SX_ASSERT(info->rank >= 1 && info->rank <= 7);
    for (int d = 0; d < info->rank; d++) n *= info->shape[d];
    SX_ASSERT(n > 0 && n <= MAX_BYTES / 4 && info->nonfinite >= 0 && info->nonfinite <= n);
    const bool none = isnan(info->min) && isnan(info->mean) && isnan(info->max);
    const double rounding = 1e-9 * fmax(fabs(info->min), fabs(info->max));
    SX_ASSERT(none ? info->nonfinite > 0
                   : info->min <= info->mean + rounding && info->mean <= info->max + rounding);
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++) SX_ASSERT(isfinite(info->affine[r][c]));
    for (int d = 0; d < 3; d++) SX_ASSERT(isfinite(info->zooms[d]) && info->zooms[d] > 0);
    SX_ASSERT(strlen(info->axcodes) == 3);
}

/* Verdict over all frames; the last frame read alone must agree with it. */
static io_nifti_info read_path(const char *path) {
    io_nifti_info all, one;
    im_volume v = {0};
    io_read_opt opt = {.frame = -1, .max_bytes = MAX_BYTES};
    const sx_err rc = io_nifti_inspect(path, &opt, &all);
    check_info(rc, &all);
    int64_t n_frames = 1;
    for (int d = 3; all.ok && d < all.rank; d++) n_frames *= all.shape[d];
    if (n_frames > 1) opt.frame = (int)(n_frames - 1);
    const sx_err of_one = io_nifti_read(path, &opt, &v, &one);
    check_info(of_one, &one);
    SX_ASSERT(of_one == rc);
    SX_ASSERT(!v.voxel == (rc != SX_OK));
    if (rc == SX_OK && n_frames == 1) SX_ASSERT(same_numbers(&all, &one));
    im_volume_clear(&v);
    return all;
}

static io_nifti_info read_as(const char *name, const uint8_t *data, size_t n) {
    char *path = fuzz_file(name, data, n);
    const io_nifti_info info = read_path(path);
    unlink(path); /* a sibling of the next one */
    sx_free(path);
    return info;
}

/* One gzip member, stored: its speed is that of a CRC. New (sx_free). */
static uint8_t *zipped(const uint8_t *data, size_t n, size_t *n_zipped) {
    z_stream z = {0};
    SX_ASSERT(deflateInit2(&z, Z_NO_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) ==
              Z_OK);
    const size_t room = deflateBound(&z, (uLong)n);
    uint8_t *out = sx_alloc((int64_t)room, 1);
    z.next_in = (uint8_t *)data, z.avail_in = (uInt)n;
    z.next_out = out, z.avail_out = (uInt)room;
    SX_ASSERT(deflate(&z, Z_FINISH) == Z_STREAM_END);
    *n_zipped = room - z.avail_out;
    deflateEnd(&z);
    return out;
}

/* Bytes of the header if this is one of a pair, else 0. */
static size_t pair_header(const uint8_t *data, size_t n) {
    if (n >= HEADER_1 && memcmp(data + 344, "ni1", 4) == 0) return HEADER_1;
    if (n >= HEADER_2 && memcmp(data + 4, "ni2", 4) == 0) return HEADER_2;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const size_t header = pair_header(data, n);
    if (n >= 2 && data[0] == 0x1f && data[1] == 0x8b) {
        read_as("a.nii.gz", data, n);
    } else if (header) {
        char *image = fuzz_file("a.img", data + header, n - header);
        read_as("a.hdr", data, header);
        sx_free(image);
    } else {
        size_t n_zipped;
        uint8_t *gzip = zipped(data, n, &n_zipped);
        const io_nifti_info plain = read_as("a.nii", data, n);
        const io_nifti_info packed = read_as("a.nii.gz", gzip, n_zipped);
        SX_ASSERT(plain.ok == packed.ok && (!plain.ok || same_numbers(&plain, &packed)));
        sx_free(gzip);
    }
    return 0;
}
