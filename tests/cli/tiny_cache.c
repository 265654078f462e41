/* See tiny_cache.h. */
#include "tests/cli/tiny_cache.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "io/io_cache.h"

enum { N_VOLUMES = 4, SLICES = 9, ROWS = 70, COLUMNS = 60, BLOBS = 12 };
static const double hr_mm = 0.8571;

static void draw_slice(uint16_t *pixels, uint64_t volume, uint64_t slice) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, volume, slice);
    float sum[ROWS][COLUMNS] = {{0}};
    for (int b = 0; b < BLOBS; b++) {
        float y = sx_rng_range(&r, 0, ROWS), x = sx_rng_range(&r, 0, COLUMNS);
        float s = sx_rng_range(&r, 3, 10), a = sx_rng_range(&r, 0.2f, 0.8f);
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < COLUMNS; j++) {
                float dy = (float)i - y, dx = (float)j - x;
                sum[i][j] += a * expf(-(dy * dy + dx * dx) / (2 * s * s));
            }
    }
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++)
            pixels[i * COLUMNS + j] = (uint16_t)(65535.0f * fminf(sum[i][j], 1.0f));
}

static void make_volume(io_cache_volume *v, int i) {
    static const io_split split[N_VOLUMES] = {IO_TRAIN, IO_TRAIN, IO_VAL, IO_TEST};
    memset(v, 0, sizeof *v);
    v->rel = sx_strf("sub-%d/anat/sub-%d_acq-sag_T2w.nii.gz", i, i);
    v->path = sx_strdup(v->rel);
    snprintf(v->sha256, sizeof v->sha256, "%064d", i);
    snprintf(v->subject, sizeof v->subject, "%d", i);
    v->split = split[i];
    v->ok = true;
    v->n = SLICES;
    v->h = ROWS;
    v->w = COLUMNS;
    v->affine[0][2] = -3.3;   /* slices to the left */
    v->affine[1][0] = -hr_mm; /* columns posterior  */
    v->affine[2][1] = -hr_mm; /* rows inferior      */
    v->affine[3][3] = 1;
    strcpy(v->axcodes, "PIR");
    for (int a = 0; a < 3; a++) v->zooms[a] = hr_mm;
    v->mapping = (im_mapping){.offset = 0, .scale = 1000, .quantile = 0.999};
    v->pixels = SX_NEW_ARRAY(uint16_t, SLICES * ROWS * COLUMNS);
    int filled = v->split == IO_TRAIN ? SLICES - 1 : SLICES;
    for (int s = 0; s < filled; s++)
        draw_slice(v->pixels + (int64_t)s * ROWS * COLUMNS, (uint64_t)i, (uint64_t)s);
}

sx_err tiny_cache_write(const char *path) {
    io_cache_writer *w = NULL;
    sx_err rc = io_cache_create(&w, mp_self(), path, "tiny");
    for (int i = 0; i < N_VOLUMES && rc == SX_OK; i++) {
        io_cache_volume v;
        make_volume(&v, i);
        rc = io_cache_append(w, i, &v);
        io_cache_volume_clear(&v);
    }
    if (w) {
        sx_err end = io_cache_commit(w, rc == SX_OK);
        if (rc == SX_OK) rc = end;
    }
    return rc;
}
