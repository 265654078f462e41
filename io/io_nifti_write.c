/* Writing NIfTI-1, so that equal volumes give equal bytes: fixed compression, no time, no name.
 *
 * Header layout and quaternion come from niftilib; the file itself is written here, through the
 * temporary name of base/sx_file.h, which niftilib's writer does not offer. */
#include "io/io_nifti.h"

#include <errno.h>
#include <math.h>
#include <nifti1_io.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"

enum { CHUNK = 8192, VOX_OFFSET = 352, DEFLATE_LEVEL = 6 };

/* ---- voxel types ---- */

double io_dtype_value(io_dtype type, float x) {
    static const struct {
        double low, high;
    } range[] = {[IO_INT16] = {INT16_MIN, INT16_MAX},
                 [IO_UINT8] = {0, UINT8_MAX},
                 [IO_UINT16] = {0, UINT16_MAX}};
    if (type == IO_FLOAT32) return (double)x;
    return isnan(x) ? 0.0 : fmin(fmax(rint((double)x), range[type].low), range[type].high);
}

static void to_float32(const float *x, void *out, int64_t n) {
    memcpy(out, x, (size_t)n * sizeof *x);
}

static void to_int16(const float *x, void *out, int64_t n) {
    int16_t *y = out;
    for (int64_t i = 0; i < n; i++) y[i] = (int16_t)io_dtype_value(IO_INT16, x[i]);
}

static void to_uint8(const float *x, void *out, int64_t n) {
    uint8_t *y = out;
    for (int64_t i = 0; i < n; i++) y[i] = (uint8_t)io_dtype_value(IO_UINT8, x[i]);
}

static void to_uint16(const float *x, void *out, int64_t n) {
    uint16_t *y = out;
    for (int64_t i = 0; i < n; i++) y[i] = (uint16_t)io_dtype_value(IO_UINT16, x[i]);
}

typedef struct encoding {
    short code;
    int bytes;
    void (*convert)(const float *x, void *out, int64_t n);
} encoding;

static const encoding encodings[] = {[IO_FLOAT32] = {DT_FLOAT32, 4, to_float32},
                                     [IO_INT16] = {DT_INT16, 2, to_int16},
                                     [IO_UINT8] = {DT_UINT8, 1, to_uint8},
                                     [IO_UINT16] = {DT_UINT16, 2, to_uint16}};

/* ---- header ---- */

/* Whether a quaternion can say the same as the matrix: columns at right angles. The second bound
 * keeps the two forms of a long volume within the tenth of a voxel that the reader grants. */
static bool is_orthogonal(const im_volume *v) {
    double mm[3];
    const double(*m)[4] = v->affine;
    im_spacing(v, mm);
    for (int a = 0; a < 3; a++) {
        const int b = (a + 1) % 3;
        const double dot = m[0][a] * m[0][b] + m[1][a] * m[1][b] + m[2][a] * m[2][b];
        const double longest =
            fmax((double)v->dim[a] * mm[a] / mm[b], (double)v->dim[b] * mm[b] / mm[a]);
        if (fabs(dot) > fmin(1e-4, 0.05 / longest) * mm[a] * mm[b]) return false;
    }
    return true;
}

static void set_qform(nifti_1_header *h, const im_volume *v) {
    mat44 m;
    float dx, dy, dz, qfac;
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++) m.m[r][c] = (float)v->affine[r][c];
    nifti_mat44_to_quatern(m, &h->quatern_b, &h->quatern_c, &h->quatern_d, &h->qoffset_x,
                           &h->qoffset_y, &h->qoffset_z, &dx, &dy, &dz, &qfac);
    h->pixdim[0] = qfac;
    h->qform_code = NIFTI_XFORM_SCANNER_ANAT;
}

static nifti_1_header make_header(const im_volume *v, const encoding *e, const char *descrip) {
    nifti_1_header h;
    double mm[3];
    memset(&h, 0, sizeof h);
    im_spacing(v, mm);
    h.sizeof_hdr = (int)sizeof h;
    h.dim[0] = 3;
    for (int a = 0; a < 7; a++) h.dim[a + 1] = a < 3 ? (short)v->dim[a] : 1;
    for (int a = 0; a < 7; a++) h.pixdim[a + 1] = a < 3 ? (float)mm[a] : 1.0f;
    h.pixdim[0] = 1.0f;
    h.datatype = e->code;
    h.bitpix = (short)(8 * e->bytes);
    h.vox_offset = VOX_OFFSET;
    h.scl_slope = 1.0f;
    h.xyzt_units = NIFTI_UNITS_MM;
    snprintf(h.descrip, sizeof h.descrip, "%s", descrip ? descrip : "");
    h.sform_code = NIFTI_XFORM_SCANNER_ANAT;
    for (int c = 0; c < 4; c++) {
        h.srow_x[c] = (float)v->affine[0][c];
        h.srow_y[c] = (float)v->affine[1][c];
        h.srow_z[c] = (float)v->affine[2][c];
    }
    if (is_orthogonal(v)) set_qform(&h, v);
    memcpy(h.magic, "n+1", 4);
    return h;
}

/* ---- output, plain or deflated ---- */

typedef struct sink {
    const char *path;
    FILE *file;
    bool gzip;
    z_stream z;
    unsigned char buffer[1 << 16];
} sink;

static sx_err sink_open(sink *k, const char *path, const char *tmp) {
    k->path = path;
    k->file = fopen(tmp, "wb");
    if (!k->file) return sx_fail(SX_E_CREATE, "%s: %s", path, strerror(errno));
    if (!sx_has_suffix(path, ".gz")) return SX_OK;
    /* Window 15, + 16 for a gzip wrapper, whose time and name zlib leaves empty. */
    k->gzip =
        deflateInit2(&k->z, DEFLATE_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    return k->gzip ? SX_OK : sx_fail(SX_E_NOMEM, "%s: no memory to deflate", path);
}

static sx_err sink_store(sink *k, const void *data, size_t n) {
    if (fwrite(data, 1, n, k->file) == n) return SX_OK;
    return sx_fail(SX_E_IO, "%s: %s", k->path, strerror(errno));
}

/* flush: Z_NO_FLUSH, or Z_FINISH at the end. */
static sx_err sink_deflate(sink *k, const void *data, size_t n, int flush) {
    k->z.next_in = (z_const Bytef *)data;
    k->z.avail_in = (uInt)n;
    do {
        k->z.next_out = k->buffer;
        k->z.avail_out = sizeof k->buffer;
        deflate(&k->z, flush);
        const sx_err rc = sink_store(k, k->buffer, sizeof k->buffer - k->z.avail_out);
        if (rc != SX_OK) return rc;
    } while (k->z.avail_out == 0);
    return SX_OK;
}

static sx_err sink_write(sink *k, const void *data, size_t n) {
    return k->gzip ? sink_deflate(k, data, n, Z_NO_FLUSH) : sink_store(k, data, n);
}

static sx_err sink_end(sink *k) {
    const sx_err rc = k->gzip ? sink_deflate(k, NULL, 0, Z_FINISH) : SX_OK;
    if (rc != SX_OK) return rc;
    FILE *file = k->file;
    k->file = NULL;
    return fclose(file) == 0 ? SX_OK : sx_fail(SX_E_IO, "%s: %s", k->path, strerror(errno));
}

static void sink_free(sink *k) {
    if (k->gzip) deflateEnd(&k->z);
    if (k->file) fclose(k->file);
    sx_free(k);
}

/* ---- the file ---- */

static sx_err write_voxels(sink *k, const im_volume *v, const encoding *e) {
    unsigned char raw[CHUNK * 4];
    const int64_t count = im_volume_count(v);
    sx_err rc = SX_OK;
    for (int64_t at = 0; at < count && rc == SX_OK; at += CHUNK) {
        const int64_t n = count - at < CHUNK ? count - at : CHUNK;
        e->convert(v->voxel + at, raw, n);
        rc = sink_write(k, raw, (size_t)n * (size_t)e->bytes);
    }
    return rc;
}

sx_err io_nifti_write(const char *path, const im_volume *v, io_dtype type, const char *descrip) {
    static const unsigned char no_extension[VOX_OFFSET - sizeof(nifti_1_header)] = {0};
    const encoding *e = &encodings[type];
    sink *k = SX_NEW(sink);
    char *tmp = sx_file_tmp_name(path);
    sx_err rc = SX_OK;
    for (int a = 0; a < 3 && rc == SX_OK; a++)
        if (v->dim[a] > INT16_MAX)
            rc = sx_fail(SX_E_DATA, "%s: NIfTI-1 has no axis of %lld voxels", path,
                         (long long)v->dim[a]);
    if (rc != SX_OK) goto out;
    const nifti_1_header h = make_header(v, e, descrip);
    SX_TRY(rc, sink_open(k, path, tmp));
    SX_TRY(rc, sink_write(k, &h, sizeof h));
    SX_TRY(rc, sink_write(k, no_extension, sizeof no_extension));
    SX_TRY(rc, write_voxels(k, v, e));
    SX_TRY(rc, sink_end(k));
    rc = sx_file_commit(tmp, path);
out:
    sink_free(k);
    if (rc != SX_OK) sx_file_abort(tmp);
    sx_free(tmp);
    return rc;
}
