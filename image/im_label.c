/* Volumes of labels: life cycle, turning, nearest-neighbour resampling, connected pieces, counts.
 *
 * Pieces are found by runs: a row of voxels is cut into runs of one label, runs of neighbouring
 * rows that touch are joined in a forest whose roots are the earliest runs (union-find, path
 * halving), and the roots are numbered in turn. Work and memory follow the number of runs, which
 * in masks is a small part of the voxels. */
#include "image/im_label.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "image/im_walk.h"

/* ---- life cycle ---- */

sx_err im_labels_init(im_labels *l, const int64_t dim[3]) {
    void *voxel = NULL;
    *l = (im_labels){{dim[0], dim[1], dim[2]}, {{0}}, NULL};
    const sx_err rc = im__grid_new(dim, sizeof *l->voxel, l->affine, &voxel);
    l->voxel = voxel;
    return rc;
}

sx_err im_labels_on(im_labels *l, const int64_t dim[3], const double affine[4][4]) {
    const sx_err rc = im_labels_init(l, dim);
    if (rc == SX_OK) memcpy(l->affine, affine, sizeof l->affine);
    return rc;
}

void im_labels_clear(im_labels *l) {
    sx_free(l->voxel);
    *l = (im_labels){0};
}

int64_t im_labels_count(const im_labels *l) {
    return l->dim[0] * l->dim[1] * l->dim[2];
}

sx_err im_labels_copy(im_labels *to, const im_labels *from) {
    const sx_err rc = im_labels_on(to, from->dim, from->affine);
    if (rc == SX_OK)
        memcpy(to->voxel, from->voxel, (size_t)im_labels_count(from) * sizeof *to->voxel);
    return rc;
}

/* ---- intensities to labels and back ---- */

sx_err im_labels_from_volume(im_labels *to, const im_volume *from) {
    static const float largest = 16777216.0f; /* 2^24: up to here a float holds each whole number */
    sx_err rc = im_labels_on(to, from->dim, from->affine);
    if (rc != SX_OK) return rc;
    const int64_t n = im_volume_count(from);
    for (int64_t i = 0; i < n; i++) {
        const float x = from->voxel[i];
        if (!(x >= 0.0f && x <= largest && x == floorf(x))) {
            rc = sx_fail(SX_E_DATA, "a voxel is %g, which is no label (a whole number from 0)",
                         (double)x);
            im_labels_clear(to);
            return rc;
        }
        to->voxel[i] = (int32_t)x;
    }
    return SX_OK;
}

sx_err im_labels_to_volume(im_volume *to, const im_labels *from) {
    const sx_err rc = im_volume_init(to, from->dim);
    if (rc != SX_OK) return rc;
    memcpy(to->affine, from->affine, sizeof to->affine);
    const int64_t n = im_labels_count(from);
    for (int64_t i = 0; i < n; i++) to->voxel[i] = (float)from->voxel[i];
    return SX_OK;
}

/* ---- other grids ---- */

sx_err im_labels_reorient(im_labels *to, const im_labels *from, const char *codes) {
    im__walk w;
    sx_err rc = im__walk_to(&w, from->dim, from->affine, codes);
    if (rc == SX_OK) rc = im_labels_on(to, w.dim, w.affine);
    if (rc != SX_OK) return rc;
    int32_t *y = to->voxel;
    for (int64_t k = 0; k < w.dim[2]; k++)
        for (int64_t j = 0; j < w.dim[1]; j++) {
            const int32_t *x = from->voxel + w.first + k * w.step[2] + j * w.step[1];
            for (int64_t i = 0; i < w.dim[0]; i++) *y++ = x[i * w.step[0]];
        }
    return SX_OK;
}

/* Label of the voxel in whose box point p (voxel indices) lies; 0 where there is none. Halves go to
 * the later voxel, also those that the float32 numbers of a header have brought off the half. */
static int32_t label_at(const im_labels *l, const double p[3]) {
    static const double half = 0.5 + 1e-4;
    int64_t q[3];
    for (int a = 0; a < 3; a++) {
        const double nearest = floor(p[a] + half);
        if (!(nearest >= 0.0 && nearest < (double)l->dim[a])) return 0;
        q[a] = (int64_t)nearest;
    }
    return l->voxel[(q[2] * l->dim[1] + q[1]) * l->dim[0] + q[0]];
}

sx_err im_labels_resample(im_labels *to, const im_labels *from) {
    double world_to_source[4][4], m[4][4];
    if (!im_affine_invert(from->affine, world_to_source))
        return sx_fail(SX_E_DATA, "singular affine matrix");
    im_affine_multiply(world_to_source, to->affine, m);
    int32_t *y = to->voxel;
    for (int64_t k = 0; k < to->dim[2]; k++)
        for (int64_t j = 0; j < to->dim[1]; j++)
            for (int64_t i = 0; i < to->dim[0]; i++) {
                double p[3];
                im_affine_apply(m, (double[3]){(double)i, (double)j, (double)k}, p);
                *y++ = label_at(from, p);
            }
    return SX_OK;
}

/* ---- connected pieces ---- */

typedef struct run {
    int64_t begin, end; /* voxels begin .. end - 1 of its row */
    int64_t parent;     /* an earlier run of the piece, or itself; in the end the piece's number */
    int32_t label;
} run;

typedef struct runs {
    int64_t *row; /* [rows + 1]: row r has the runs row[r] .. row[r + 1] - 1 */
    run *run;     /* [row[rows]] */
} runs;

/* Runs of a row x [n] into `to`, or their number alone if `to` is NULL. */
static int64_t cut_row(const int32_t *x, int64_t n, int64_t number, run *to) {
    int64_t count = 0;
    for (int64_t i = 0; i < n;) {
        const int64_t begin = i;
        const int32_t label = x[i];
        while (i < n && x[i] == label) i++;
        if (label == 0) continue;
        if (to) to[count] = (run){begin, i, number + count, label};
        count++;
    }
    return count;
}

/* All runs of `l`, new. */
static sx_err cut_runs(runs *r, const im_labels *l) {
    const int64_t n = l->dim[0], rows = l->dim[1] * l->dim[2];
    r->row = sx_try_alloc(rows + 1, sizeof *r->row);
    if (!r->row) return sx_fail(SX_E_NOMEM, "no memory for %lld rows", (long long)rows);
    for (int64_t j = 0; j < rows; j++)
        r->row[j + 1] = r->row[j] + cut_row(l->voxel + j * n, n, 0, NULL);
    r->run = sx_try_alloc(r->row[rows] + 1, sizeof *r->run);
    if (!r->run) return sx_fail(SX_E_NOMEM, "no memory for %lld runs", (long long)r->row[rows]);
    for (int64_t j = 0; j < rows; j++) cut_row(l->voxel + j * n, n, r->row[j], r->run + r->row[j]);
    return SX_OK;
}

static int64_t root_of(run *r, int64_t i) {
    while (r[i].parent != i) {
        r[i].parent = r[r[i].parent].parent;
        i = r[i].parent;
    }
    return i;
}

static void join(run *r, int64_t a, int64_t b) {
    a = root_of(r, a);
    b = root_of(r, b);
    if (a < b)
        r[b].parent = a;
    else
        r[a].parent = b;
}

static void join_if_touching(run *r, int64_t a, int64_t b, int64_t reach) {
    const run *x = &r[a], *y = &r[b];
    if (x->label == y->label && x->begin < y->end + reach && y->begin < x->end + reach)
        join(r, a, b);
}

/* Join the runs of two rows side by side; `reach` 1 lets them touch diagonally, else 0. */
static void join_rows(const runs *r, int64_t row_a, int64_t row_b, int64_t reach) {
    const int64_t end_a = r->row[row_a + 1], end_b = r->row[row_b + 1];
    int64_t a = r->row[row_a], b = r->row[row_b];
    while (a < end_a && b < end_b) {
        const int64_t gap = r->run[a].end - r->run[b].end;
        join_if_touching(r->run, a, b, reach);
        /* The run that ends first meets no later one; two that end together may still touch the
         * next run of the other's row at a corner. */
        if (gap == 0 && b + 1 < end_b) join_if_touching(r->run, a, b + 1, reach);
        if (gap == 0 && a + 1 < end_a) join_if_touching(r->run, a + 1, b, reach);
        if (gap <= 0) a++;
        if (gap >= 0) b++;
    }
}

static void join_all(const runs *r, const int64_t dim[3], im_neighbours n) {
    /* The rows before row (j, k) that touch it, and how many axes apart they are. */
    static const struct {
        int j, k, apart;
    } before[4] = {{-1, 0, 1}, {-1, -1, 2}, {0, -1, 1}, {1, -1, 2}};
    const int most = n == IM_FACES ? 1 : n == IM_EDGES ? 2 : 3;
    for (int64_t k = 0; k < dim[2]; k++)
        for (int64_t j = 0; j < dim[1]; j++)
            for (int i = 0; i < 4; i++) {
                const int64_t other_j = j + before[i].j, other_k = k + before[i].k;
                if (other_j < 0 || other_j >= dim[1] || other_k < 0 || before[i].apart > most)
                    continue;
                join_rows(r, other_k * dim[1] + other_j, k * dim[1] + j, before[i].apart < most);
            }
}

/* Number the pieces in the order of their first voxel, which is that of their roots; every run's
 * parent becomes its number. Returns how many there are. */
static int64_t number_pieces(run *r, int64_t n_runs) {
    int64_t count = 0;
    for (int64_t i = 0; i < n_runs; i++)
        r[i].parent = r[i].parent == i ? ++count : r[r[i].parent].parent;
    return count;
}

sx_err im_components(im_labels *to, const im_labels *from, im_neighbours n, int64_t *count) {
    runs r = {NULL, NULL};
    const int64_t rows = from->dim[1] * from->dim[2];
    sx_err rc;
    SX_TRY(rc, cut_runs(&r, from));
    SX_TRY(rc, im_labels_on(to, from->dim, from->affine));
    join_all(&r, from->dim, n);
    *count = number_pieces(r.run, r.row[rows]);
    for (int64_t j = 0; j < rows; j++)
        for (int64_t i = r.row[j]; i < r.row[j + 1]; i++)
            for (int64_t x = r.run[i].begin; x < r.run[i].end; x++)
                to->voxel[j * from->dim[0] + x] = (int32_t)r.run[i].parent;
out:
    sx_free(r.row);
    sx_free(r.run);
    return rc;
}

/* ---- counts ---- */

static void add_voxel(im_label_stat *s, const int64_t at[3]) {
    for (int a = 0; a < 3; a++) {
        if (s->count == 0 || at[a] < s->low[a]) s->low[a] = at[a];
        if (s->count == 0 || at[a] > s->high[a]) s->high[a] = at[a];
        s->centre[a] += (double)at[a]; /* a sum for now; exact below 2^53 */
    }
    s->count++;
}

void im_label_stats(const im_labels *l, im_label_stat *stat, int64_t n) {
    const int32_t *x = l->voxel;
    for (int64_t i = 0; i < n; i++) stat[i] = (im_label_stat){0};
    for (int64_t k = 0; k < l->dim[2]; k++)
        for (int64_t j = 0; j < l->dim[1]; j++)
            for (int64_t i = 0; i < l->dim[0]; i++, x++)
                if (*x >= 0 && *x < n) add_voxel(&stat[*x], (int64_t[3]){i, j, k});
    for (int64_t i = 0; i < n; i++)
        for (int a = 0; a < 3 && stat[i].count > 0; a++) stat[i].centre[a] /= (double)stat[i].count;
}
