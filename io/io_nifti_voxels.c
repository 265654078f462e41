/* Voxels: stored bytes to scaled floats, with statistics, in one pass through a small buffer.
 *
 * Scaling is done in double, so that large integers keep their differences; a value beyond the
 * range of float counts as infinite. */
#include "io/io_nifti_private.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { CHUNK = 8192 }; /* voxels */

/* ---- types ---- */

#define CONVERTER(type)                                                                            \
    static void from_##type(const void *raw, double *out, int64_t n) {                             \
        const unsigned char *at = raw;                                                             \
        for (int64_t i = 0; i < n; i++, at += sizeof(type)) {                                      \
            type x;                                                                                \
            memcpy(&x, at, sizeof x);                                                              \
            out[i] = (double)x;                                                                    \
        }                                                                                          \
    }
CONVERTER(uint8_t)
CONVERTER(int8_t)
CONVERTER(int16_t)
CONVERTER(uint16_t)
CONVERTER(int32_t)
CONVERTER(uint32_t)
CONVERTER(int64_t)
CONVERTER(uint64_t)
CONVERTER(float)
CONVERTER(double)

static const io__datatype datatypes[] = {
    {2, 8, "uint8", from_uint8_t, 1},
    {4, 16, "int16", from_int16_t, 2},
    {8, 32, "int32", from_int32_t, 4},
    {16, 32, "float32", from_float, 4},
    {64, 64, "float64", from_double, 8},
    {256, 8, "int8", from_int8_t, 1},
    {512, 16, "uint16", from_uint16_t, 2},
    {768, 32, "uint32", from_uint32_t, 4},
    {1024, 64, "int64", from_int64_t, 8},
    {1280, 64, "uint64", from_uint64_t, 8},
    {1, 1, "binary", NULL, 0},
    {32, 64, "complex64", NULL, 0},
    {128, 24, "rgb24", NULL, 0},
    {1536, 128, "float128", NULL, 0},
    {1792, 128, "complex128", NULL, 0},
    {2048, 256, "complex256", NULL, 0},
    {2304, 32, "rgba32", NULL, 0},
};

const io__datatype *io__datatype_find(int code) {
    for (size_t i = 0; i < sizeof datatypes / sizeof datatypes[0]; i++)
        if (datatypes[i].code == code) return &datatypes[i];
    return NULL;
}

static void reverse_bytes(unsigned char *raw, int64_t n, int unit) {
    for (int64_t i = 0; i < n; i++, raw += unit)
        for (int a = 0, b = unit - 1; a < b; a++, b--) {
            const unsigned char t = raw[a];
            raw[a] = raw[b];
            raw[b] = t;
        }
}

/* ---- statistics ---- */

typedef struct tally {
    double min, max, sum;
    int64_t finite, nonfinite;
} tally;

static float scale_one(double x, const io__header *h, tally *t) {
    const double y = h->slope * x + h->inter;
    if (!(fabs(y) <= (double)FLT_MAX)) { /* also NaN */
        t->nonfinite++;
        return isnan(y) ? NAN : y > 0.0 ? INFINITY : -INFINITY;
    }
    t->finite++;
    t->sum += y;
    if (y < t->min) t->min = y;
    if (y > t->max) t->max = y;
    return (float)y;
}

static void report(const tally *t, io_nifti_info *info) {
    const bool any = t->finite > 0;
    info->min = any ? t->min : (double)NAN;
    info->max = any ? t->max : (double)NAN;
    info->mean = any ? t->sum / (double)t->finite : (double)NAN;
    info->nonfinite = t->nonfinite;
}

/* ---- streaming ---- */

static sx_err read_frames(const io__header *h, io__bytes *b, int64_t n_voxels, tally *t,
                          float *voxel) {
    unsigned char raw[CHUNK * 8];
    double value[CHUNK];
    const int unit = h->type->bits / 8;
    for (int64_t done = 0; done < n_voxels; done += CHUNK) {
        const int64_t n = n_voxels - done < CHUNK ? n_voxels - done : CHUNK;
        const sx_err rc = io__bytes_read(b, raw, n * unit);
        if (rc != SX_OK) return rc;
        if (h->swapped) reverse_bytes(raw, n, h->type->swap_bytes);
        h->type->convert(raw, value, n);
        for (int64_t i = 0; i < n; i++) {
            const float y = scale_one(value[i], h, t);
            if (voxel) voxel[done + i] = y;
        }
    }
    return SX_OK;
}

sx_err io__voxels(const io__header *h, const io__subject *s, io__bytes *b, int64_t first, int64_t n,
                  float *voxel) {
    const int64_t frame_bytes = h->n_frame * (h->type->bits / 8);
    tally t = {INFINITY, -INFINITY, 0.0, 0, 0};
    sx_err rc;
    SX_TRY(rc, io__bytes_skip(b, first * frame_bytes));
    SX_TRY(rc, read_frames(h, b, n * h->n_frame, &t, voxel));
    SX_TRY(rc, io__bytes_skip(b, (h->n_frames - first - n) * frame_bytes));
    report(&t, s->info);
out:
    return rc;
}
