/* NIfTI-1/2 in and out, strictly.
 *
 * niftilib returns success on truncated files and repairs bad headers silently, so files are read
 * and checked here: size, magic, endianness, dims, datatype against bitpix,
 * vox_offset, pixdim, the whole gzip stream with CRC and byte count, no `.nii` beside a `.nii.gz`
 * of the same name. `.nii`, `.nii.gz`, `.hdr`/`.img` pairs (both gzipped or neither); all real
 * datatypes; scl_slope 0 or NaN means (1, 0), infinite ones are refused. Geometry: sform if its
 * code > 0, else qform, else pixdim with a warning; both given and more than 0.1 voxel apart at a
 * corner: refused unless `xform` chooses; metres and micrometres become millimetres. Source:
 * NIfTI-1.1 and NIfTI-2 headers (nifti1.h, nifti2.h). Not collective. */
#ifndef IO_NIFTI_H
#define IO_NIFTI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "image/im_volume.h"

typedef enum io_xform { IO_XFORM_AUTO, IO_XFORM_SFORM, IO_XFORM_QFORM } io_xform;
/* "sform" or "qform"; any other word is IO_XFORM_AUTO. */
io_xform io_xform_parse(const char *name);

typedef struct io_read_opt {
    io_xform xform;
    int64_t max_bytes; /* refuse volumes larger than this in memory; 0: 2 GiB */
    int frame;         /* which 3-D volume of a 4-D file; -1: refuse files with more than one */
} io_read_opt;

/* What the reader made of a file. Plain data. */
typedef struct io_nifti_info {
    bool ok;
    char reason[32];   /* one word when refused: "truncated", "crc", "datatype", … ; "" when ok */
    char message[400]; /* the sentence; of long ones the end */
    char warning[200]; /* e.g. geometry from pixdim only; "" */
    int rank;          /* dimensions in the file; trailing ones of length 1 dropped */
    int64_t shape[7];
    double zooms[3];
    double affine[4][4];
    char axcodes[4];
    char datatype[16];     /* "int16", … as stored */
    double min, max, mean; /* of the finite voxels of the frame(s) read, after scaling */
    int64_t nonfinite;
} io_nifti_info;

/* Read one 3-D volume as float. `v` must be zeroed. `info` may be NULL; filled also on refusal. The
 * warning and voxels that are not finite are logged here, so that no caller forgets.
 * Errors: SX_E_NOINPUT, SX_E_DATA (refused; the sentence names path and reason), SX_E_NOMEM,
 * SX_E_IO. */
sx_err io_nifti_read(const char *path, const io_read_opt *opt, im_volume *v, io_nifti_info *info);

/* Read every voxel of every frame, keep none: the verdict and statistics over all frames.
 * `opt->frame` is not used. Errors as above. */
sx_err io_nifti_inspect(const char *path, const io_read_opt *opt, io_nifti_info *info);

typedef enum io_dtype { IO_FLOAT32, IO_INT16, IO_UINT8, IO_UINT16 } io_dtype;
/* What a voxel is in a file of this type: for integers the nearest one in their range; NaN is 0. */
double io_dtype_value(io_dtype type, float x);

/* Write atomically, gzipped if the name ends in .gz (fixed level, no time stamp: byte-stable). Both
 * sform and qform when the matrix is orthogonal within 1e-4, else sform only; mm; slope 1, inter 0.
 * Integer types round to nearest and saturate, NaN becomes 0. Errors: SX_E_CREATE, SX_E_IO,
 * SX_E_DATA (an axis longer than NIfTI-1 can say). */
sx_err io_nifti_write(const char *path, const im_volume *v, io_dtype type, const char *descrip);

/* Whether a path names something this reader takes (.nii, .nii.gz, .hdr, .hdr.gz). */
bool io_nifti_is_name(const char *path);
/* Length of a path without these endings; all of it if there is none. */
size_t io_nifti_stem_length(const char *path);

/* SHA-256 of all that the reader reads: the file; of a pair the header, then the image. Errors:
 * SX_E_NOINPUT, SX_E_IO, SX_E_DATA (no regular file, two files of one name: refused anyway). */
sx_err io_nifti_hash(const char *path, char hex[65]);

#endif
