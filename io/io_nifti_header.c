/* NIfTI headers, checked field by field before anything is believed.
 *
 * The two versions hold the same fields in other places and widths, so one table names both places
 * and one loop reads them, on either endianness, into doubles (exact for every value that is not
 * refused anyway). Places: nifti1.h and nifti2.h. niftilib's own reader is not used, since it
 * repairs bad headers silently (pixdim 0 becomes 1) and reports success on truncated files. */
#include "io/io_nifti_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- fields ---- */

typedef enum kind { U8, I16, I32, I64, F32, F64 } kind;
static const int kind_bytes[] = {[U8] = 1, [I16] = 2, [I32] = 4, [I64] = 8, [F32] = 4, [F64] = 8};

typedef enum field {
    DIM,
    DATATYPE,
    BITPIX,
    PIXDIM,
    VOX_OFFSET,
    SCL_SLOPE,
    SCL_INTER,
    UNITS,
    INTENT,
    QFORM_CODE,
    SFORM_CODE,
    QUATERN,
    QOFFSET,
    SROW,
    N_FIELDS
} field;

typedef struct place {
    int offset;
    kind kind;
} place;

static const place places[N_FIELDS][2] = {
    [DIM] = {{40, I16}, {16, I64}},          [DATATYPE] = {{70, I16}, {12, I16}},
    [BITPIX] = {{72, I16}, {14, I16}},       [PIXDIM] = {{76, F32}, {104, F64}},
    [VOX_OFFSET] = {{108, F32}, {168, I64}}, [SCL_SLOPE] = {{112, F32}, {176, F64}},
    [SCL_INTER] = {{116, F32}, {184, F64}},  [UNITS] = {{123, U8}, {500, I32}},
    [INTENT] = {{68, I16}, {504, I32}},      [QFORM_CODE] = {{252, I16}, {344, I32}},
    [SFORM_CODE] = {{254, I16}, {348, I32}}, [QUATERN] = {{256, F32}, {352, F64}},
    [QOFFSET] = {{268, F32}, {376, F64}},    [SROW] = {{280, F32}, {400, F64}},
};

enum { HEADER_1 = 348, HEADER_2 = 540, EXTENDER = 4 };

/* The bytes of a header with what is needed to read a field. */
typedef struct raw_header {
    unsigned char byte[HEADER_2];
    int version;
    bool swapped;
} raw_header;

static double number(const unsigned char *at, kind k, bool swapped) {
    unsigned char b[8] = {0};
    const int n = kind_bytes[k];
    for (int i = 0; i < n; i++) b[i] = at[swapped ? n - 1 - i : i];
    int16_t i16;
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    switch (k) {
    case U8:
        return b[0];
    case I16:
        memcpy(&i16, b, sizeof i16);
        return i16;
    case I32:
        memcpy(&i32, b, sizeof i32);
        return i32;
    case I64:
        memcpy(&i64, b, sizeof i64);
        return (double)i64;
    case F32:
        memcpy(&f32, b, sizeof f32);
        return (double)f32;
    case F64:
        memcpy(&f64, b, sizeof f64);
        return f64;
    }
    return 0.0;
}

/* Element i of a field. */
static double get(const raw_header *r, field f, int i) {
    const place p = places[f][r->version - 1];
    return number(r->byte + p.offset + i * kind_bytes[p.kind], p.kind, r->swapped);
}

/* ---- which header is it ---- */

static const char *const magic_2[2] = {"n+2\0\r\n\032\n", "ni2\0\r\n\032\n"};
static const char *const magic_1[2] = {"n+1", "ni1"};

/* 348 or 540 in either byte order; false otherwise. */
static bool recognise(raw_header *r) {
    static const int sizes[2] = {HEADER_1, HEADER_2};
    for (int version = 1; version <= 2; version++)
        for (int swapped = 0; swapped < 2; swapped++)
            if (number(r->byte, I32, swapped != 0) == sizes[version - 1]) {
                r->version = version;
                r->swapped = swapped != 0;
                return true;
            }
    return false;
}

static sx_err check_magic(const raw_header *r, const io__subject *s, bool pair) {
    const bool one = r->version == 1;
    const char *want = one ? magic_1[pair] : magic_2[pair];
    const unsigned char *got = r->byte + (one ? 344 : 4);
    if (memcmp(got, want, one ? 4 : 8) == 0) return SX_OK;
    const bool analyze = one && memcmp(got, "\0\0\0", 4) == 0;
    return io__refuse(s, SX_E_DATA, "magic", "%s: %s", s->path,
                      analyze ? "is ANALYZE 7.5, which does not say left from right"
                      : pair  ? "does not carry the magic of a .hdr/.img pair"
                              : "does not carry the magic of a single NIfTI file");
}

static sx_err read_raw(raw_header *r, const io__subject *s, io__bytes *b, bool pair) {
    sx_err rc = io__bytes_read(b, r->byte, HEADER_1);
    if (rc != SX_OK) return rc;
    if (!recognise(r))
        return io__refuse(s, SX_E_DATA, "sizeof_hdr",
                          "%s: is not NIfTI: first field is %.0f, not 348 or 540", s->path,
                          number(r->byte, I32, false));
    if (r->version == 2) rc = io__bytes_read(b, r->byte + HEADER_1, HEADER_2 - HEADER_1);
    return rc == SX_OK ? check_magic(r, s, pair) : rc;
}

/* ---- checks, in the order in which fields lean on each other ---- */

/* No axis of an image is longer; also keeps products of three inside 64 bits. */
static const double longest_axis = 1 << 20;

static sx_err read_dims(io__header *h, const raw_header *r, const io__subject *s) {
    const double rank = get(r, DIM, 0);
    if (!(rank >= 1.0 && rank <= 7.0))
        return io__refuse(s, SX_E_DATA, "dims", "%s: dim[0] is %.0f, not 1 to 7", s->path, rank);
    for (int i = 0; i < 7; i++) h->dim[i] = 1; /* entries beyond dim[0] hold anything */
    for (int i = 0; i < (int)rank; i++) {
        const double n = get(r, DIM, i + 1);
        if (!(n >= 1.0 && n <= longest_axis))
            return io__refuse(s, SX_E_DATA, "dims", "%s: dim[%d] is %.0f", s->path, i + 1, n);
        h->dim[i] = (int64_t)n;
    }
    s->info->rank = (int)rank;
    while (s->info->rank > 3 && h->dim[s->info->rank - 1] == 1) s->info->rank--;
    for (int i = 0; i < s->info->rank; i++) s->info->shape[i] = h->dim[i];
    if (s->info->rank < 3)
        return io__refuse(s, SX_E_DATA, "dims", "%s: has %d dimensions, a volume needs 3", s->path,
                          s->info->rank);
    h->n_frame = h->dim[0] * h->dim[1] * h->dim[2];
    h->n_frames = 1;
    for (int i = 3; i < 7; i++) {
        if (h->n_frames > (INT64_MAX / 64) / h->n_frame / h->dim[i])
            return io__refuse(s, SX_E_DATA, "dims", "%s: dimensions overflow", s->path);
        h->n_frames *= h->dim[i];
    }
    return SX_OK;
}

static sx_err read_datatype(io__header *h, const raw_header *r, const io__subject *s) {
    const int code = (int)get(r, DATATYPE, 0), bits = (int)get(r, BITPIX, 0);
    h->type = io__datatype_find(code);
    if (!h->type)
        return io__refuse(s, SX_E_DATA, "datatype", "%s: undefined datatype %d", s->path, code);
    snprintf(s->info->datatype, sizeof s->info->datatype, "%s", h->type->name);
    if (!h->type->convert)
        return io__refuse(s, SX_E_DATA, "datatype", "%s: datatype %s is not an intensity", s->path,
                          h->type->name);
    if (bits != h->type->bits)
        return io__refuse(s, SX_E_DATA, "bitpix", "%s: bitpix is %d, but %s has %d bits", s->path,
                          bits, h->type->name, h->type->bits);
    return SX_OK;
}

static sx_err read_offset(io__header *h, const raw_header *r, const io__subject *s) {
    const double offset = get(r, VOX_OFFSET, 0);
    const double least = h->pair ? 0.0 : (r->version == 1 ? HEADER_1 : HEADER_2) + EXTENDER;
    if (!(offset >= least && offset < 1e15) || offset != floor(offset))
        return io__refuse(s, SX_E_DATA, "offset", "%s: vox_offset is %g, at least %.0f is needed",
                          s->path, offset, least);
    h->vox_offset = (int64_t)offset;
    return SX_OK;
}

static sx_err read_scaling(io__header *h, const raw_header *r, const io__subject *s) {
    const double slope = get(r, SCL_SLOPE, 0), inter = get(r, SCL_INTER, 0);
    h->slope = 1.0;
    h->inter = 0.0;
    if (slope == 0.0) return SX_OK; /* the standard's way to say "no scaling" */
    if (isnan(slope)) {
        io__warn(s, "scl_slope is NaN: intensities taken as stored");
        return SX_OK;
    }
    if (!isfinite(slope) || !isfinite(inter))
        return io__refuse(s, SX_E_DATA, "scaling", "%s: scl_slope is %g, scl_inter is %g", s->path,
                          slope, inter);
    h->slope = slope;
    h->inter = inter;
    return SX_OK;
}

static sx_err read_units(io__header *h, const raw_header *r, const io__subject *s) {
    static const double mm_per_unit[4] = {1.0, 1000.0, 1.0, 0.001}; /* unknown, m, mm, um */
    const int unit = (int)get(r, UNITS, 0) & 7;
    if (unit > 3)
        return io__refuse(s, SX_E_DATA, "units", "%s: xyzt_units names space unit %d", s->path,
                          unit);
    if (unit == 1 || unit == 3)
        io__warn(s, "geometry converted from %s to mm", unit == 1 ? "m" : "um");
    h->mm_per_unit = mm_per_unit[unit];
    return SX_OK;
}

static void read_geometry(io__header *h, const raw_header *r) {
    h->qform_code = (int)get(r, QFORM_CODE, 0);
    h->sform_code = (int)get(r, SFORM_CODE, 0);
    for (int i = 0; i < 4; i++) h->pixdim[i] = get(r, PIXDIM, i);
    for (int i = 0; i < 3; i++) {
        h->quatern[i] = get(r, QUATERN, i);
        h->qoffset[i] = get(r, QOFFSET, i);
    }
    for (int i = 0; i < 12; i++) h->srow[i / 4][i % 4] = get(r, SROW, i);
}

/* CIFTI-2 files are NIfTI-2 by their header, but matrices of surfaces by their meaning. */
static sx_err check_intent(const raw_header *r, const io__subject *s) {
    const double intent = get(r, INTENT, 0);
    if (intent < 3000.0 || intent >= 3100.0) return SX_OK;
    return io__refuse(s, SX_E_DATA, "cifti", "%s: is CIFTI (intent %.0f), not a volume", s->path,
                      intent);
}

/* The part that must be there before memory is asked for. */
static sx_err check_size(const io__header *h, const io__subject *s, const io__bytes *b) {
    const int64_t n_bytes = h->n_frame * h->n_frames * (h->type->bits / 8);
    const int64_t present = io__bytes_bound(b) - h->vox_offset;
    if (h->pair || n_bytes <= present) return SX_OK;
    if (present < 0)
        return io__refuse(s, SX_E_DATA, "truncated",
                          "%s: vox_offset is %lld, the file has at most %lld bytes", s->path,
                          (long long)h->vox_offset, (long long)io__bytes_bound(b));
    return io__refuse(s, SX_E_DATA, "truncated",
                      "%s: %lld bytes of voxels claimed, at most %lld present", s->path,
                      (long long)n_bytes, (long long)present);
}

/* ---- extensions ---- */

/* From the end of the header to vox_offset; the chain of extensions must fit. */
static sx_err pass_extensions(const io__header *h, const raw_header *r, const io__subject *s,
                              io__bytes *b) {
    unsigned char extender[EXTENDER], head[8];
    int64_t left = h->vox_offset - (r->version == 1 ? HEADER_1 : HEADER_2) - EXTENDER;
    sx_err rc = io__bytes_read(b, extender, EXTENDER);
    while (rc == SX_OK && extender[0] != 0 && left >= (int64_t)sizeof head) {
        rc = io__bytes_read(b, head, sizeof head);
        if (rc != SX_OK) break;
        const int64_t size = (int64_t)number(head, I32, r->swapped);
        if (size < 8 || size > left)
            return io__refuse(s, SX_E_DATA, "extension",
                              "%s: header extension of %lld bytes, %lld left", s->path,
                              (long long)size, (long long)left);
        rc = io__bytes_skip(b, size - (int64_t)sizeof head);
        left -= size;
    }
    return rc == SX_OK ? io__bytes_skip(b, left) : rc;
}

sx_err io__header_read(io__header *h, const io__subject *s, io__bytes *b) {
    raw_header r = {{0}, 0, false};
    sx_err rc;
    SX_TRY(rc, read_raw(&r, s, b, h->pair));
    h->version = r.version;
    h->swapped = r.swapped;
    SX_TRY(rc, check_intent(&r, s));
    SX_TRY(rc, read_dims(h, &r, s));
    SX_TRY(rc, read_datatype(h, &r, s));
    SX_TRY(rc, read_offset(h, &r, s));
    SX_TRY(rc, read_scaling(h, &r, s));
    SX_TRY(rc, read_units(h, &r, s));
    read_geometry(h, &r);
    SX_TRY(rc, check_size(h, s, b));
    if (!h->pair) SX_TRY(rc, pass_extensions(h, &r, s, b));
out:
    return rc;
}
