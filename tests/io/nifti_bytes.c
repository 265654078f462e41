/* See nifti_bytes.h. Places and widths of the fields: nifti1.h, nifti2.h. */
#include "tests/io/nifti_bytes.h"

#include <stdint.h>
#include <string.h>

void nifti_bytes_put(unsigned char *at, const void *value, size_t n, bool swapped) {
    const unsigned char *v = value;
    for (size_t i = 0; i < n; i++) at[i] = v[swapped ? n - 1 - i : i];
}

/* kind as in Python's struct; returns its size. */
static size_t put_number(unsigned char *at, double x, char kind, bool swapped) {
    size_t n = 1;
    if (kind == 'b') *at = (unsigned char)x;
    if (kind == 'h') nifti_bytes_put(at, &(int16_t){(int16_t)x}, n = 2, swapped);
    if (kind == 'i') nifti_bytes_put(at, &(int32_t){(int32_t)x}, n = 4, swapped);
    if (kind == 'q') nifti_bytes_put(at, &(int64_t){(int64_t)x}, n = 8, swapped);
    if (kind == 'f') nifti_bytes_put(at, &(float){(float)x}, n = 4, swapped);
    if (kind == 'd') nifti_bytes_put(at, &x, n = 8, swapped);
    return n;
}

/* One field: its place and kind in versions 1 and 2, and n values. */
static void put_field(const nifti_spec *h, unsigned char *at, int place_1, int place_2,
                      const char *kinds, int n, const double *x) {
    unsigned char *field = at + (h->version == 1 ? place_1 : place_2);
    for (int i = 0; i < n; i++) field += put_number(field, x[i], kinds[h->version - 1], h->swapped);
}

static void put_magic(const nifti_spec *h, unsigned char *at) {
    if (h->version == 1)
        memcpy(at + 344, h->pair ? "ni1" : "n+1", 4);
    else
        memcpy(at + 4, h->pair ? "ni2\0\r\n\032\n" : "n+2\0\r\n\032\n", 8);
}

size_t nifti_bytes_header(const nifti_spec *h, unsigned char *at) {
    const size_t n_header = h->version == 1 ? 348 : 540;
    const size_t offset = h->pair ? 0 : n_header + 4 + (size_t)h->extension;
    const int frames = h->dim[3] > 1 ? h->dim[3] : 1;
    const double dim[8] = {frames > 1 ? 4 : 3, h->dim[0], h->dim[1], h->dim[2], frames, 1, 1, 1};
    const double size = (double)n_header, start = (double)offset, mm = 2;
    put_field(h, at, 0, 0, "ii", 1, &size);
    put_field(h, at, 40, 16, "hq", 8, dim);
    put_field(h, at, 70, 12, "hh", 2, (double[]){h->code, h->bits});
    put_field(h, at, 76, 104, "fd", 4, h->pixdim);
    put_field(h, at, 108, 168, "fq", 1, &start);
    put_field(h, at, 112, 176, "fd", 2, (double[]){h->slope, h->inter});
    put_field(h, at, 123, 500, "bi", 1, &mm);
    put_field(h, at, 252, 344, "hi", 2, (double[]){h->qform, h->sform});
    put_field(h, at, 256, 352, "fd", 3, h->quatern);
    put_field(h, at, 268, 376, "fd", 3, h->offset);
    put_field(h, at, 280, 400, "fd", 12, h->srow);
    put_magic(h, at);
    if (h->extension) {
        at[n_header] = 1;
        put_number(at + n_header + 4, h->extension, 'i', h->swapped);
        put_number(at + n_header + 8, 6, 'i', h->swapped); /* code 6: a comment */
    }
    return h->pair ? n_header : offset;
}
