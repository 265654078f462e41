/* Parts of the NIfTI reader: bytes (io_nifti_bytes.c) -> header (io_nifti_header.c) -> geometry
 * (io_nifti_geometry.c) -> voxels (io_nifti_voxels.c), put together in io_nifti.c.
 *
 * Every refusal goes through io__refuse, so that the one-word reason, the sentence and the error
 * code are set together. Private to io/. */
#ifndef IO_NIFTI_PRIVATE_H
#define IO_NIFTI_PRIVATE_H

#include "io/io_nifti.h"

/* Who is being read, and where the verdict goes. Borrowed pointers. */
typedef struct io__subject {
    const char *path;
    io_nifti_info *info;
} io__subject;

/* Set reason and message of the info and of the thread's error; returns `code`. */
sx_err io__refuse(const io__subject *s, sx_err code, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Note something odd that is not a refusal; the first note stays. */
void io__warn(const io__subject *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- bytes: a file, plain or gzip, as a checked stream of limited memory ---- */

typedef struct io__bytes io__bytes;
/* Errors: SX_E_NOINPUT, SX_E_DATA (folder, empty, gzip or not against its name), SX_E_IO. */
sx_err io__bytes_open(io__bytes **b, const io__subject *s, const char *path);
void io__bytes_close(io__bytes *b); /* takes NULL */
/* Most bytes that the stream can hold: the file's size, or that times deflate's best ratio. */
int64_t io__bytes_bound(const io__bytes *b);
/* Fill exactly n bytes. Errors: SX_E_DATA (truncated, corrupt), SX_E_IO. */
sx_err io__bytes_read(io__bytes *b, void *out, int64_t n);
/* Pass over n bytes. Errors as above. */
sx_err io__bytes_skip(io__bytes *b, int64_t n);
/* Go to the end of the stream and verify its check sums; at most `limit` bytes may be left, their
 * number goes into *n_left. Errors: SX_E_DATA (check sums, junk after the stream, too much left),
 * SX_E_IO. */
sx_err io__bytes_finish(io__bytes *b, int64_t limit, int64_t *n_left);

/* ---- header ---- */

/* A voxel type that may be read; NULL convert: known, but refused. */
typedef struct io__datatype {
    int code, bits;
    const char *name;
    /* n elements in native byte order at `raw` into doubles. */
    void (*convert)(const void *raw, double *out, int64_t n);
    int swap_bytes; /* size of the unit whose bytes are reversed on the other endianness */
} io__datatype;
/* NULL for undefined codes. */
const io__datatype *io__datatype_find(int code);

/* What a checked header says. Plain data. */
typedef struct io__header {
    int version;               /* 1 or 2 */
    bool swapped;              /* of the other endianness than this machine */
    bool pair;                 /* voxels are in the .img file */
    int64_t dim[7];            /* trailing ones included, unused entries 1 */
    int64_t n_frame, n_frames; /* voxels of one 3-D volume; number of volumes */
    int64_t vox_offset;
    const io__datatype *type;
    double slope, inter;
    double pixdim[4]; /* [0] qfac */
    double quatern[3], qoffset[3], srow[3][4];
    int qform_code, sform_code;
    double mm_per_unit;
} io__header;

/* Read and check the header and the extensions of a single file: afterwards the stream stands at
 * vox_offset (of a pair: anywhere). Fills the info's rank, shape and datatype as soon as they are
 * known. Errors: SX_E_DATA, SX_E_IO. */
sx_err io__header_read(io__header *h, const io__subject *s, io__bytes *b);

/* Affine, zooms and axis codes into the info. Errors: SX_E_DATA (no usable or two different ones).
 */
sx_err io__geometry(const io__header *h, const io__subject *s, io_xform xform);

/* ---- voxels ---- */

/* Stream all frames: those in [first, first + n) are scaled, counted into the info's statistics
 * and, if `voxel` is not NULL, stored one after another. Errors: SX_E_DATA, SX_E_IO. */
sx_err io__voxels(const io__header *h, const io__subject *s, io__bytes *b, int64_t first, int64_t n,
                  float *voxel);

#endif
