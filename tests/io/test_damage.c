/* test_damage [PERCENT]: damage by the thousand to what the program reads. Each damaged file must
 * be refused, or read back as it was written; nothing else, no crash, and nobody waits longer than
 * a minute. PERCENT of the cases are tried (default 10); a case depends on its row and number
 * alone.
 *
 * "refused": an error of the reader, or of the check that verbs make before use. "warned": accepted
 * with a warning or with voxels that are not finite. "passed": accepted and different. Only where a
 * format has no checksum may anything pass: an uncompressed .nii. There a flipped voxel is another
 * voxel, and a flipped bit of the header another size or place. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "io/io_cache.h"
#include "io/io_ckpt.h"
#include "io/io_nifti.h"

static const unsigned limit_s = 60; /* a file */
static char folder[64];

typedef enum verdict { REFUSED, WARNED, SAME, PASSED, N_VERDICTS } verdict;

/* ---- NIfTI ---- */

static void write_nifti(const char *path, io_dtype type) {
    im_volume v = {0};
    SX_ASSERT(im_volume_init(&v, (const int64_t[3]){30, 40, 12}) == SX_OK);
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 1, 0);
    for (int64_t i = 0; i < 30 * 40 * 12; i++)
        v.voxel[i] = (float)sx_rng_int(&r, 0, 900) + (float)(i % 30);
    v.affine[0][0] = -0.8, v.affine[1][1] = 0.8, v.affine[2][2] = 4, v.affine[2][3] = 7;
    SX_ASSERT(io_nifti_write(path, &v, type, "damage") == SX_OK);
    im_volume_clear(&v);
}

static void write_int16(const char *path) {
    write_nifti(path, IO_INT16);
}
static void write_float32(const char *path) {
    write_nifti(path, IO_FLOAT32);
}

static verdict judge_nifti(const char *whole, const char *damaged) {
    const io_read_opt opt = {.frame = -1};
    io_nifti_info info;
    im_volume v = {0}, w = {0};
    verdict found = REFUSED;
    SX_ASSERT(io_nifti_read(whole, &opt, &w, NULL) == SX_OK);
    if (io_nifti_read(damaged, &opt, &v, &info) == SX_OK) {
        const bool same = memcmp(v.dim, w.dim, sizeof v.dim) == 0 &&
                          memcmp(v.affine, w.affine, sizeof v.affine) == 0 &&
                          memcmp(v.voxel, w.voxel, (size_t)(30 * 40 * 12) * sizeof(float)) == 0;
        found = same ? SAME : info.warning[0] || info.nonfinite > 0 ? WARNED : PASSED;
    }
    im_volume_clear(&v);
    im_volume_clear(&w);
    return found;
}

/* ---- checkpoint ---- */

static void write_ckpt(const char *path) {
    static float x[120 * 100];
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 2, 0);
    sx_rng_normals(&r, x, 120 * 100);
    const io_block blocks[] = {{.name = "param", .rank = 2, .shape = {120, 100}, .data = x},
                               {.name = "net/in/w", .rank = 4, .shape = {2, 3, 2, 2}, .data = x},
                               {.name = "net/in/b", .rank = 1, .shape = {7}, .data = x}};
    SX_ASSERT(io_ckpt_write(path, "{\"step\": 12}", blocks, 3) == SX_OK);
}

static bool same_block(const io_block *a, const io_block *b) {
    size_t n = sizeof *a->data;
    for (int d = 0; d < a->rank; d++) n *= (size_t)a->shape[d];
    return strcmp(a->name, b->name) == 0 && a->rank == b->rank &&
           memcmp(a->shape, b->shape, sizeof a->shape) == 0 && memcmp(a->data, b->data, n) == 0;
}

static verdict judge_ckpt(const char *whole, const char *damaged) {
    io_ckpt k, w;
    verdict found = REFUSED;
    SX_ASSERT(io_ckpt_read(whole, &w) == SX_OK);
    if (io_ckpt_read(damaged, &k) == SX_OK) {
        bool same = k.n == w.n && strcmp(k.json, w.json) == 0;
        for (int i = 0; same && i < k.n; i++) same = same_block(&k.block[i], &w.block[i]);
        found = same ? SAME : PASSED;
    }
    io_ckpt_clear(&k);
    io_ckpt_clear(&w);
    return found;
}

/* ---- slice cache ---- */

enum { SLICES = 6, ROWS = 64, COLUMNS = 50 };

/* A bright disc with noise before a background of zeros, in part saturated: as scans are. */
static void draw(uint16_t *pixels, int64_t volume) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 3, (uint64_t)volume);
    for (int s = 0; s < SLICES; s++)
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < COLUMNS; j++) {
                const int y = i - ROWS / 2, x = j - COLUMNS / 2, d = y * y + x * x;
                const int64_t noise = sx_rng_int(&r, 0, 40000);
                *pixels++ = (uint16_t)(d < 150 ? 65535 : d < 400 ? 1000 + noise : 0);
            }
}

/* Three sub-regions of the disc. */
static void draw_labels(io_cache_volume *v) {
    snprintf(v->labels_sha256, sizeof v->labels_sha256, "%064d", 1);
    v->labels = SX_NEW_ARRAY(uint8_t, SLICES * ROWS * COLUMNS);
    for (int p = 0; p < SLICES * ROWS * COLUMNS; p++)
        v->labels[p] = (uint8_t)(v->pixels[p] == 0 ? 0 : v->pixels[p] == 65535 ? 50 : 41 + p % 2);
}

static void write_cache(const char *path) {
    io_cache_writer *w;
    SX_ASSERT(io_cache_create(&w, mp_self(), path, "damage") == SX_OK);
    for (int64_t i = 0; i < 5; i++) {
        io_cache_volume v = {.rel = sx_strf("sub-%d_T2w.nii", (int)i), .ok = i != 3};
        if (v.ok) {
            v.n = SLICES, v.h = ROWS, v.w = COLUMNS;
            v.pixels = SX_NEW_ARRAY(uint16_t, SLICES * ROWS * COLUMNS);
            draw(v.pixels, i);
            if (i % 2 == 0) draw_labels(&v);
        }
        SX_ASSERT(io_cache_append(w, i, &v) == SX_OK);
        io_cache_volume_clear(&v);
    }
    SX_ASSERT(io_cache_commit(w, true) == SX_OK);
}

static bool same_entry(const io_cache *k, const io_cache *w, int64_t i) {
    char *a = io_cache_entry_text(k, i), *b = io_cache_entry_text(w, i);
    const bool same = strcmp(a, b) == 0;
    sx_free(a);
    sx_free(b);
    return same;
}

/* The labels of a slice; room for both in a and b. */
static verdict judge_labels(io_cache *k, io_cache *w, int64_t i, int64_t s, void *a, void *b) {
    const io_cache_volume *v = io_cache_entry(w, i);
    if (!v->labels_sha256[0]) return SAME;
    SX_ASSERT(io_cache_slice_labels(w, i, s, b) == SX_OK);
    if (io_cache_slice_labels(k, i, s, a) != SX_OK) return REFUSED;
    return memcmp(a, b, (size_t)(v->h * v->w)) == 0 ? SAME : PASSED;
}

static verdict worse(verdict a, verdict b) {
    return a == PASSED || b == PASSED ? PASSED : a == REFUSED ? REFUSED : b;
}

/* A volume as training reads it, slice by slice, without a check before. */
static verdict judge_slices(io_cache *k, io_cache *w, int64_t i) {
    const io_cache_volume *v = io_cache_entry(w, i);
    const int64_t area = v->h * v->w;
    float *x = SX_NEW_ARRAY(float, area), *y = SX_NEW_ARRAY(float, area);
    verdict found = SAME;
    for (int64_t s = 0; s < v->n && found != PASSED; s++) {
        SX_ASSERT(io_cache_slice(w, i, s, y) == SX_OK);
        if (io_cache_slice(k, i, s, x) != SX_OK)
            found = REFUSED;
        else if (memcmp(x, y, (size_t)area * sizeof *x) != 0)
            found = PASSED;
        found = worse(found, judge_labels(k, w, i, s, x, y));
    }
    sx_free(x);
    sx_free(y);
    return found;
}

/* What the check says must agree with what reading finds. */
static verdict judge_volume(io_cache *k, io_cache *w, int64_t i) {
    const sx_err rc = io_cache_check(k, i);
    if (!same_entry(k, w, i)) return rc == SX_OK ? PASSED : REFUSED;
    if (!io_cache_entry(w, i)->ok) return SAME;
    const verdict found = judge_slices(k, w, i);
    if (found == REFUSED && rc == SX_OK) return PASSED;
    return found == SAME && rc != SX_OK ? REFUSED : found;
}

static verdict judge_cache(const char *whole, const char *damaged) {
    io_cache *k, *w;
    verdict found = REFUSED;
    SX_ASSERT(io_cache_open(&w, whole) == SX_OK);
    if (io_cache_open(&k, damaged) == SX_OK) {
        found = io_cache_n_volumes(k) == io_cache_n_volumes(w) ? SAME : PASSED;
        for (int64_t i = 0; i < io_cache_n_volumes(w) && found != PASSED; i++) {
            const verdict one = judge_volume(k, w, i);
            if (one != SAME) found = one;
        }
    }
    io_cache_close(k);
    io_cache_close(w);
    return found;
}

/* ---- damage: `*n` bytes changed in place; only a cut changes their number ---- */

typedef struct file {
    char *data;
    size_t n;
} file;

static size_t pick(sx_rng *r, size_t low, size_t below) {
    return (size_t)sx_rng_int(r, (int64_t)low, (int64_t)below - 1);
}

static void flip_in(file *f, sx_rng *r, size_t low, size_t below) {
    const size_t at = pick(r, low, below < f->n ? below : f->n);
    f->data[at] = (char)(f->data[at] ^ 1 << pick(r, 0, 8));
}

static void cut(file *f, sx_rng *r) {
    f->n = pick(r, 0, f->n);
}
static void flip(file *f, sx_rng *r) {
    flip_in(f, r, 0, f->n);
}
static void flip_three(file *f, sx_rng *r) {
    for (int i = 0; i < 3; i++) flip_in(f, r, 0, 4096);
}
static void flip_header(file *f, sx_rng *r) {
    flip_in(f, r, 0, 352);
}
static void flip_voxel(file *f, sx_rng *r) {
    flip_in(f, r, 352, f->n);
}

/* A sector of the disk reads as zeros, or as ones; or two changed places. */
enum { SECTOR = 512 };
static void fill_sector(file *f, sx_rng *r, int byte) {
    memset(f->data + SECTOR * pick(r, 0, f->n / SECTOR), byte, SECTOR);
}
static void zero_sector(file *f, sx_rng *r) {
    fill_sector(f, r, 0);
}
static void set_sector(file *f, sx_rng *r) {
    fill_sector(f, r, 0xff);
}
static void swap_sectors(file *f, sx_rng *r) {
    char *a = f->data + SECTOR * pick(r, 0, f->n / SECTOR);
    char *b = f->data + SECTOR * pick(r, 0, f->n / SECTOR), kept[SECTOR];
    memcpy(kept, a, SECTOR);
    memmove(a, b, SECTOR);
    memcpy(b, kept, SECTOR);
}

/* ---- rows ---- */

static const struct kind {
    const char *name;
    void (*write)(const char *path);
    verdict (*judge)(const char *whole, const char *damaged);
} kinds[] = {
    {"int16.nii", write_int16, judge_nifti},    {"float32.nii", write_float32, judge_nifti},
    {"int16.nii.gz", write_int16, judge_nifti}, {"float32.nii.gz", write_float32, judge_nifti},
    {"cache.h5", write_cache, judge_cache},     {"ckpt.h5", write_ckpt, judge_ckpt},
};

static const struct row {
    int kind;
    const char *what;
    void (*damage)(file *f, sx_rng *r);
    int n;
    bool unprotected; /* no checksum in the format */
} rows[] = {
    {0, "cut", cut, 1000, false},
    {0, "bit of the header", flip_header, 1000, true},
    {0, "bit of a voxel", flip_voxel, 200, true},
    {1, "cut", cut, 1000, false},
    {1, "bit of a voxel", flip_voxel, 200, true},
    {2, "cut", cut, 1000, false},
    {2, "bit", flip, 1000, false},
    {2, "sector of zeros", zero_sector, 200, false},
    {2, "sectors swapped", swap_sectors, 200, false},
    {3, "cut", cut, 1000, false},
    {3, "bit", flip, 1000, false},
    {4, "cut", cut, 1000, false},
    {4, "bit", flip, 2000, false},
    {4, "3 bits in 4 KiB", flip_three, 2000, false},
    {4, "sector of zeros", zero_sector, 500, false},
    {4, "sector of ones", set_sector, 500, false},
    {4, "sectors swapped", swap_sectors, 500, false},
    {5, "cut", cut, 1000, false},
    {5, "bit", flip, 2000, false},
    {5, "3 bits in 4 KiB", flip_three, 2000, false},
    {5, "sector of zeros", zero_sector, 500, false},
    {5, "sector of ones", set_sector, 500, false},
    {5, "sectors swapped", swap_sectors, 500, false},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds, N_ROWS = sizeof rows / sizeof *rows };

/* One folder a file: readers look at names, and refuse a .nii beside a .nii.gz. */
static char *path_of(const char *place, const struct kind *k) {
    char *path = sx_strf("%s/%s-%d/%s", folder, place, (int)(k - kinds), k->name);
    SX_ASSERT(sx_mkdirs_for(path) == SX_OK);
    return path;
}

/* File systems write a file that was cut to nothing and filled again to the disk at once: it goes.
 */
static void put(const char *path, const file *f) {
    unlink(path);
    FILE *out = fopen(path, "wb");
    SX_ASSERT(out && fwrite(f->data, 1, f->n, out) == f->n && fclose(out) == 0);
}

static verdict try_case(int row, int number, const char *whole, const char *damaged) {
    file f;
    sx_rng r = sx_rng_make(9, SX_RNG_TEST, (uint64_t)row, (uint64_t)number);
    SX_ASSERT(sx_file_read(whole, (size_t)1 << 30, &f.data, &f.n) == SX_OK);
    rows[row].damage(&f, &r);
    put(damaged, &f);
    sx_free(f.data);
    alarm(limit_s);
    const verdict found = kinds[rows[row].kind].judge(whole, damaged);
    alarm(0);
    return found;
}

/* Returns how many passed that must not. */
static int run_row(int row, int percent) {
    const struct row *w = &rows[row];
    const struct kind *k = &kinds[w->kind];
    char *whole = path_of("whole", k), *damaged = path_of("damaged", k);
    int count[N_VERDICTS] = {0}, n = (w->n * percent + 99) / 100;
    for (int i = 0; i < n; i++) {
        const verdict found = try_case(row, i, whole, damaged);
        count[found]++;
        if (found == PASSED && !w->unprotected) printf("passed: row %d, case %d\n", row, i);
    }
    printf("%-15s %-18s %6d %8d %7d %5d %7d%s\n", k->name, w->what, n, count[REFUSED],
           count[WARNED], count[SAME], count[PASSED], w->unprotected ? "  no checksum" : "");
    fflush(stdout);
    sx_free(whole);
    sx_free(damaged);
    return w->unprotected ? 0 : count[PASSED] + count[WARNED];
}

int main(int argc, char **argv) {
    const int percent = argc > 1 ? atoi(argv[1]) : 10;
    int n_passed = 0;
    SX_ASSERT(percent >= 1 && percent <= 100);
    sx_log_set_level(SX_LOG_SILENT);
    snprintf(folder, sizeof folder, "scratch-damage-%d", percent);
    for (int k = 0; k < N_KINDS; k++) {
        char *path = path_of("whole", &kinds[k]);
        kinds[k].write(path);
        sx_free(path);
    }
    printf("%-15s %-18s %6s %8s %7s %5s %7s\n", "file", "damage", "n", "refused", "warned", "same",
           "passed");
    for (int row = 0; row < N_ROWS; row++) n_passed += run_row(row, percent);
    return n_passed == 0 ? 0 : 1;
}
