/* NIfTI headers made byte by byte, as the product's writer does not write them: both versions, both
 * byte orders, any type, either form. */
#ifndef NIFTI_BYTES_H
#define NIFTI_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* Every field that the reader looks at. */
typedef struct nifti_spec {
    int version; /* 1 or 2 */
    bool swapped, pair;
    int code, bits;
    int dim[4];    /* x, y, z, frames; 1 or 0 frames make three dimensions */
    int extension; /* bytes of an extension before the voxels, 0 or 16 at least */
    double slope, inter;
    int qform, sform;
    double pixdim[4]; /* [0] qfac */
    double quatern[3], offset[3];
    double srow[12];
} nifti_spec;

enum { NIFTI_BYTES_HEADER = 1024 }; /* room for a header with an extension */

/* Fill `at` (zeroed, NIFTI_BYTES_HEADER bytes); returns where the voxels begin in the same file, of
 * a pair the size of its .hdr. */
size_t nifti_bytes_header(const nifti_spec *h, unsigned char *at);

/* n bytes of `value` to `at`, reversed or not. */
void nifti_bytes_put(unsigned char *at, const void *value, size_t n, bool swapped);

#endif
