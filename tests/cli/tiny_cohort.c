/* tiny_cohort FOLDER [bad]: a BIDS tree of ten small sagittal scans, one a subject; with `bad` the
 * odd ones are broken, each in its way: truncated gzip, wrong magic, text, geometry that is no
 * number, empty file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_nifti.h"

enum { N = 10 };

/* A bright ellipsoid off the centre, growing with the subject's number. */
static sx_err make_volume(im_volume *v, int subject) {
    const int64_t dim[3] = {5, 40 + subject, 30};
    sx_err rc = im_volume_init(v, dim);
    if (rc != SX_OK) return rc;
    v->affine[0][0] = 3.3, v->affine[1][1] = 0.9, v->affine[2][2] = 1.1;
    float *x = v->voxel;
    for (int64_t k = 0; k < dim[2]; k++)
        for (int64_t j = 0; j < dim[1]; j++)
            for (int64_t i = 0; i < dim[0]; i++) {
                double b = (double)(j - 20) / 12, c = (double)(k - 12) / 9;
                *x++ = (float)(100.0 * (subject + 1) * exp(-b * b - c * c) + (double)i);
            }
    return SX_OK;
}

static void put(const char *path, const char *data, size_t n) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) {
        perror(path);
        exit(74);
    }
}

/* Break the file: way 0 to 4. */
static void damage(const char *path, int way) {
    char *data;
    size_t n;
    if (sx_file_read(path, (size_t)1 << 30, &data, &n) != SX_OK) exit(66);
    const float not_a_number = NAN;
    switch (way) {
    case 0:
        put(path, data, n / 2);
        break;
    case 1:
        put(path, (memcpy(data + 344, "abc", 4), data), n);
        break;
    case 2:
        put(path, "this is no image\n", 17);
        break;
    case 3:
        for (int i = 0; i < 12; i++)
            memcpy(data + 280 + 4 * i, &not_a_number, 4); // srow_x .. srow_z
        put(path, data, n);
        break;
    default:
        put(path, "", 0);
    }
    sx_free(data);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: tiny_cohort FOLDER [bad]\n");
        return 64;
    }
    const bool bad = argc > 2 && strcmp(argv[2], "bad") == 0;
    sx_err rc = SX_OK;
    for (int s = 0; s < N && rc == SX_OK; s++) {
        im_volume v = {0};
        const bool broken = bad && s % 2 == 1, zipped = s != 3 && s != 7; // headers by byte
        char *path = sx_strf("%s/sub-%02d/anat/sub-%02d_acq-sag_T2w.nii%s", argv[1], s, s,
                             zipped ? ".gz" : "");
        rc = make_volume(&v, s);
        if (rc == SX_OK) rc = sx_mkdirs_for(path);
        if (rc == SX_OK) rc = io_nifti_write(path, &v, IO_INT16, "tiny cohort");
        if (rc == SX_OK && broken) damage(path, s / 2);
        im_volume_clear(&v);
        sx_free(path);
    }
    if (rc != SX_OK) fprintf(stderr, "tiny_cohort: %s\n", sx_err_text());
    return sx_err_exit(rc);
}
