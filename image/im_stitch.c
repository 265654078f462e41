/* Pieces, weights, blending (im_stitch.h). Each chunk is resampled on the part of the grid that it
 * reaches only, so that memory is that of the chunks, not chunks times grid. */
#include "image/im_stitch.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "image/im__stitch.h"
#include "image/im_distance.h"

/* ---- pieces ---- */

/* What a piece says about a voxel while covers are made. */
enum { OUTSIDE, EDGE /* beyond the outermost centres, within their voxels */, WITHIN };

static void piece_clear(im__piece *p) {
    im_volume_clear(&p->v);
    sx_free(p->cover);
    sx_free(p->weight);
}

/* Size, place and affine of the part of the grid that a chunk reaches. */
static sx_err piece_place(im__piece *p, const im_volume *grid, const double chunk_to_grid[4][4],
                          const int64_t dim[3]) {
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
    int64_t size[3];
    for (int corner = 0; corner < 8; corner++) {
        double q[3], c[3];
        for (int a = 0; a < 3; a++) c[a] = corner >> a & 1 ? (double)dim[a] - 0.5 : -0.5;
        im_affine_apply(chunk_to_grid, c, q);
        for (int a = 0; a < 3; a++) low[a] = fmin(low[a], q[a]), high[a] = fmax(high[a], q[a]);
    }
    for (int a = 0; a < 3; a++) {
        const double last = (double)grid->dim[a] - 1.0;
        const double from = fmin(fmax(floor(low[a]), 0.0), last);
        const double to = fmin(fmax(ceil(high[a]), from), last);
        p->low[a] = (int64_t)from;
        size[a] = (int64_t)(to - from) + 1;
    }
    const sx_err rc = im_volume_init(&p->v, size);
    if (rc != SX_OK) return rc;
    memcpy(p->v.affine, grid->affine, sizeof grid->affine);
    double origin[3];
    im_affine_apply(grid->affine,
                    (double[3]){(double)p->low[0], (double)p->low[1], (double)p->low[2]}, origin);
    for (int r = 0; r < 3; r++) p->v.affine[r][3] = origin[r];
    return SX_OK;
}

/* Mark what lies in the outer half of a chunk's outermost voxels. */
static void mark_edges(im__piece *p, const double to_chunk[4][4], const int64_t dim[3]) {
    const double reach = 0.5 + 2e-3; /* voxel */
    int64_t at = 0;
    for (int64_t k = 0; k < p->v.dim[2]; k++)
        for (int64_t j = 0; j < p->v.dim[1]; j++)
            for (int64_t i = 0; i < p->v.dim[0]; i++, at++) {
                double q[3];
                bool in = true;
                im_affine_apply(to_chunk, (double[3]){(double)i, (double)j, (double)k}, q);
                for (int a = 0; a < 3; a++)
                    in = in && q[a] >= -reach && q[a] <= (double)(dim[a] - 1) + reach;
                p->cover[at] = p->cover[at] ? WITHIN : in ? EDGE : OUTSIDE;
            }
}

static sx_err piece_make(im__piece *p, const im_volume *grid, const im_volume *chunk) {
    double inverse[4][4], m[4][4];
    sx_err rc = SX_OK;
    im_affine_invert(grid->affine, inverse); /* both have been inverted before */
    im_affine_multiply(inverse, chunk->affine, m);
    SX_TRY(rc, piece_place(p, grid, m, chunk->dim));
    const int64_t n = im_volume_count(&p->v);
    p->cover = sx_try_alloc(n, sizeof *p->cover);
    p->weight = sx_try_alloc(n, sizeof *p->weight);
    if (!p->cover || !p->weight) {
        rc = sx_fail(SX_E_NOMEM, "no memory for a chunk of %lld voxels", (long long)n);
        goto out;
    }
    SX_TRY(rc, im_resample(&p->v, chunk, 3, p->cover));
    im_affine_invert(chunk->affine, inverse);
    im_affine_multiply(inverse, p->v.affine, m);
    mark_edges(p, m, chunk->dim);
out:
    return rc;
}

/* ---- pieces on the grid ---- */

/* Walks a piece row by row: `at` in the piece, `to` on the grid, n voxels side by side. */
typedef struct row {
    int64_t at, to, n, j, k;
} row;

static bool next_row(const im__piece *p, const im_volume *grid, row *r) {
    if (r->n == 0) {
        *r = (row){.n = p->v.dim[0]};
    } else {
        r->at += r->n;
        if (++r->j == p->v.dim[1]) r->j = 0, r->k++;
    }
    r->to = ((p->low[2] + r->k) * grid->dim[1] + p->low[1] + r->j) * grid->dim[0] + p->low[0];
    return r->k < p->v.dim[2];
}

/* Decide who has a say where: edges only where nobody has more. n_cover [grid] counts them. */
static void settle_covers(im__piece *p, int n, const im_volume *grid, unsigned char *n_cover) {
    enum { SOLID = 128 }; /* beside the count, which is at most IM_STITCH_MOST */
    for (int i = 0; i < n; i++)
        for (row r = {0}; next_row(&p[i], grid, &r);)
            for (int64_t x = 0; x < r.n; x++)
                if (p[i].cover[r.at + x] == WITHIN) n_cover[r.to + x] = SOLID;
    for (int i = 0; i < n; i++)
        for (row r = {0}; next_row(&p[i], grid, &r);)
            for (int64_t x = 0; x < r.n; x++) {
                unsigned char *c = &p[i].cover[r.at + x], *count = &n_cover[r.to + x];
                *c = *c == WITHIN || (*c == EDGE && !(*count & SOLID));
                if (*c) ++*count;
            }
    for (int64_t i = 0, m = im_volume_count(grid); i < m; i++) n_cover[i] &= SOLID - 1;
}

/* Distance of one piece to the places that others alone cover. */
static sx_err weigh(im__piece *p, const im_volume *grid, const unsigned char *n_cover,
                    unsigned char *others, float *distance_mm) {
    const int64_t n = im_volume_count(grid);
    double spacing[3];
    im_spacing(grid, spacing);
    for (int64_t i = 0; i < n; i++) others[i] = n_cover[i] > 0;
    for (row r = {0}; next_row(p, grid, &r);)
        for (int64_t x = 0; x < r.n; x++)
            if (p->cover[r.at + x]) others[r.to + x] = 0;
    sx_err rc = im_distance(distance_mm, others, grid->dim, spacing);
    if (rc != SX_OK) return rc;
    for (row r = {0}; next_row(p, grid, &r);)
        memcpy(p->weight + r.at, distance_mm + r.to, (size_t)r.n * sizeof *distance_mm);
    return SX_OK;
}

/* The farthest from its end that any piece is where it meets another; 1 where none ends. */
static float farthest(const im__piece *p, int n, const im_volume *grid,
                      const unsigned char *n_cover) {
    float most = 0.0f;
    for (int i = 0; i < n; i++)
        for (row r = {0}; next_row(&p[i], grid, &r);)
            for (int64_t x = 0; x < r.n; x++) {
                const float w = p[i].weight[r.at + x];
                if (p[i].cover[r.at + x] && n_cover[r.to + x] > 1 && isfinite(w) && w > most)
                    most = w;
            }
    return most > 0.0f ? most : 1.0f;
}

static sx_err weigh_all(im__piece *p, int n, const im_volume *grid, const unsigned char *n_cover) {
    const int64_t count = im_volume_count(grid);
    unsigned char *others = sx_try_alloc(count, sizeof *others);
    float *distance_mm = sx_try_alloc(count, sizeof *distance_mm);
    sx_err rc = SX_OK;
    if (!others || !distance_mm) {
        rc = sx_fail(SX_E_NOMEM, "no memory for the weights of %lld voxels", (long long)count);
        goto out;
    }
    for (int i = 0; i < n; i++) SX_TRY(rc, weigh(&p[i], grid, n_cover, others, distance_mm));
    const float most = farthest(p, n, grid, n_cover);
    for (int i = 0; i < n; i++)
        for (int64_t x = 0; x < im_volume_count(&p[i].v); x++)
            p[i].weight[x] = fminf(p[i].weight[x], most);
out:
    sx_free(others);
    sx_free(distance_mm);
    return rc;
}

/* ---- the result ---- */

static sx_err blend(im_volume *to, const im__piece *p, int n, const im_stitch_report *r) {
    const int64_t count = im_volume_count(to);
    float *sum = sx_try_alloc(count, sizeof *sum);
    if (!sum) return sx_fail(SX_E_NOMEM, "no memory to blend %lld voxels", (long long)count);
    for (int i = 0; i < n; i++) {
        const float gain = (float)r->chunk[i].gain;
        for (row w = {0}; next_row(&p[i], to, &w);)
            for (int64_t x = 0; x < w.n; x++) {
                if (!p[i].cover[w.at + x]) continue;
                sum[w.to + x] += p[i].weight[w.at + x];
                to->voxel[w.to + x] += p[i].weight[w.at + x] * gain * p[i].v.voxel[w.at + x];
            }
    }
    for (int64_t i = 0; i < count; i++)
        to->voxel[i] = sum[i] > 0.0f ? fmaxf(to->voxel[i] / sum[i], 0.0f) : 0.0f;
    sx_free(sum);
    return SX_OK;
}

/* Voxels of the grid that a piece reaches. */
static void report_box(im_stitch_chunk *c, const im__piece *p, const im_volume *grid) {
    const int64_t *n = p->v.dim;
    for (int a = 0; a < 3; a++) c->low[a] = grid->dim[a], c->high[a] = -1;
    for (int64_t k = 0, at = 0; k < n[2]; k++)
        for (int64_t j = 0; j < n[1]; j++)
            for (int64_t i = 0; i < n[0]; i++, at++) {
                const int64_t q[3] = {p->low[0] + i, p->low[1] + j, p->low[2] + k};
                for (int a = 0; a < 3 && p->cover[at]; a++) {
                    if (q[a] < c->low[a]) c->low[a] = q[a];
                    if (q[a] > c->high[a]) c->high[a] = q[a];
                }
            }
}

/* The longest run of slices that lie between chunks and belong to none. */
static void report_gap(im_stitch_report *r, const im_volume *grid) {
    double spacing[3];
    int64_t run = 0;
    im_spacing(grid, spacing);
    for (int a = 1; a < 3; a++)
        if (spacing[a] > spacing[r->slice_axis]) r->slice_axis = a;
    for (int64_t s = 0; s < grid->dim[r->slice_axis]; s++) {
        bool covered = false;
        for (int i = 0; i < r->n; i++)
            covered = covered ||
                      (s >= r->chunk[i].low[r->slice_axis] && s <= r->chunk[i].high[r->slice_axis]);
        run = covered ? 0 : run + 1;
        if (run > r->n_empty) r->n_empty = run;
    }
}

void im_stitch_report_clear(im_stitch_report *r) {
    sx_free(r->chunk);
    sx_free(r->overlap);
    *r = (im_stitch_report){0};
}

static sx_err copy_one(im_volume *to, const im_volume *chunk, im_stitch_report *r) {
    r->n_apart = 1;
    r->chunk[0].gain = 1.0;
    for (int a = 0; a < 3; a++) r->chunk[0].high[a] = chunk->dim[a] - 1;
    report_gap(r, chunk);
    return im_volume_copy(to, chunk);
}

/* Chunks whose axes have the same codes. */
static sx_err stitch(im_volume *to, const im_volume *chunk, int n, im_stitch_report *r) {
    im_volume grid = {0};
    im__piece *p = SX_NEW_ARRAY(im__piece, n);
    unsigned char *n_cover = NULL;
    sx_err rc;
    SX_TRY(rc, im__stitch_grid(&grid, chunk, n, r));
    SX_TRY(rc, im_volume_init(to, grid.dim));
    memcpy(to->affine, grid.affine, sizeof to->affine);
    n_cover = sx_try_alloc(im_volume_count(to), sizeof *n_cover);
    if (!n_cover) {
        rc = sx_fail(SX_E_NOMEM, "no memory for a grid of %lld voxels",
                     (long long)im_volume_count(to));
        goto out;
    }
    for (int i = 0; i < n; i++) SX_TRY(rc, piece_make(&p[i], to, &chunk[i]));
    settle_covers(p, n, to, n_cover);
    SX_TRY(rc, im__stitch_gains(p, n, r));
    SX_TRY(rc, weigh_all(p, n, to, n_cover));
    for (int i = 0; i < n; i++) report_box(&r->chunk[i], &p[i], to);
    report_gap(r, to);
    rc = blend(to, p, n, r);
out:
    for (int i = 0; i < n; i++) piece_clear(&p[i]);
    sx_free(p);
    sx_free(n_cover);
    if (rc != SX_OK) im_volume_clear(to);
    return rc;
}

sx_err im_stitch(im_volume *to, const im_volume *chunk, int n, im_stitch_report *r) {
    im_volume turned[IM_STITCH_MOST] = {{.voxel = NULL}};
    char codes[4];
    sx_err rc = SX_OK;
    if (n < 1 || n > IM_STITCH_MOST)
        return sx_fail(SX_E_DATA, "%d chunks; 1 to %d can be stitched", n, IM_STITCH_MOST);
    r->n = n;
    r->chunk = SX_NEW_ARRAY(im_stitch_chunk, n);
    if (n == 1) return copy_one(to, chunk, r);
    im_axcodes(chunk[0].affine, codes);
    for (int i = 0; i < n; i++) SX_TRY(rc, im_reorient(&turned[i], &chunk[i], codes));
    rc = stitch(to, turned, n, r);
out:
    for (int i = 0; i < n; i++) im_volume_clear(&turned[i]);
    return rc;
}
