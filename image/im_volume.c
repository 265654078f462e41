/* Volumes and affine matrices: life cycle, spacing, axis codes, exact reorientation.
 *
 * Axis codes: each index gets the world axis with which its unit direction aligns best. All six
 * assignments of three indices to three axes are tried, so that the codes are a permutation even
 * for steep obliques; the largest sum of |cosine| wins, the first in the list on a tie. Resampling
 * is in im_resample.c. */
#include "image/im_volume.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "image/im_walk.h"

static const double identity[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
/* Letter of the direction in which world axis a decreases [a][0] or increases [a][1]. */
static const char letters[3][2] = {{'L', 'R'}, {'P', 'A'}, {'I', 'S'}};

/* ---- life cycle ---- */

sx_err im__grid_new(const int64_t dim[3], size_t voxel_size, double affine[4][4], void **voxel) {
    memcpy(affine, identity, sizeof identity);
    int64_t count = 1;
    for (int a = 0; a < 3; a++) {
        if (dim[a] < 1 || count > INT64_MAX / 8 / dim[a])
            return sx_fail(SX_E_DATA, "volume of %lld x %lld x %lld voxels", (long long)dim[0],
                           (long long)dim[1], (long long)dim[2]);
        count *= dim[a];
    }
    *voxel = sx_try_alloc(count, voxel_size);
    if (!*voxel)
        return sx_fail(SX_E_NOMEM, "no memory for a volume of %lld voxels", (long long)count);
    return SX_OK;
}

sx_err im_volume_init(im_volume *v, const int64_t dim[3]) {
    void *voxel = NULL;
    *v = (im_volume){{dim[0], dim[1], dim[2]}, {{0}}, NULL};
    const sx_err rc = im__grid_new(dim, sizeof *v->voxel, v->affine, &voxel);
    v->voxel = voxel;
    return rc;
}

void im_volume_clear(im_volume *v) {
    sx_free(v->voxel);
    *v = (im_volume){0};
}

sx_err im_volume_copy(im_volume *to, const im_volume *from) {
    const sx_err rc = im_volume_init(to, from->dim);
    if (rc != SX_OK) return rc;
    memcpy(to->affine, from->affine, sizeof to->affine);
    memcpy(to->voxel, from->voxel, (size_t)im_volume_count(from) * sizeof *to->voxel);
    return SX_OK;
}

int64_t im_volume_count(const im_volume *v) {
    return v->dim[0] * v->dim[1] * v->dim[2];
}

/* ---- matrices ---- */

void im_affine_multiply(const double a[4][4], const double b[4][4], double ab[4][4]) {
    double product[4][4] = {{0}}; /* ab may be a or b */
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            for (int k = 0; k < 4; k++) product[r][c] += a[r][k] * b[k][c];
    memcpy(ab, product, sizeof product);
}

void im_affine_apply(const double a[4][4], const double p[3], double q[3]) {
    const double x = p[0], y = p[1], z = p[2];
    for (int r = 0; r < 3; r++) q[r] = a[r][0] * x + a[r][1] * y + a[r][2] * z + a[r][3];
}

/* Cofactor of m[r][c] of the 3 x 3 part. */
static double cofactor(const double m[4][4], int r, int c) {
    const int r1 = (r + 1) % 3, r2 = (r + 2) % 3, c1 = (c + 1) % 3, c2 = (c + 2) % 3;
    return m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1];
}

static double column_norm(const double m[4][4], int c) {
    return sqrt(m[0][c] * m[0][c] + m[1][c] * m[1][c] + m[2][c] * m[2][c]);
}

static double determinant_of(const double a[4][4]) {
    return a[0][0] * cofactor(a, 0, 0) + a[0][1] * cofactor(a, 0, 1) + a[0][2] * cofactor(a, 0, 2);
}

double im_voxel_mm3(const double affine[4][4]) {
    return fabs(determinant_of(affine));
}

bool im_affine_invert(const double a[4][4], double inverse[4][4]) {
    const double determinant = determinant_of(a);
    /* Compared with the box of the same edges: independent of the voxel size. */
    const double box = column_norm(a, 0) * column_norm(a, 1) * column_norm(a, 2);
    if (!(fabs(determinant) > 1e-9 * box) || !isfinite(determinant)) return false;
    double inv[4][4] = {{0}}; /* inverse may be a */
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) inv[r][c] = cofactor(a, c, r) / determinant;
    for (int r = 0; r < 3; r++)
        inv[r][3] = -(inv[r][0] * a[0][3] + inv[r][1] * a[1][3] + inv[r][2] * a[2][3]);
    inv[3][3] = 1.0;
    memcpy(inverse, inv, sizeof inv);
    return true;
}

void im_spacing(const im_volume *v, double spacing_mm[3]) {
    for (int c = 0; c < 3; c++) spacing_mm[c] = column_norm(v->affine, c);
}

/* ---- axis codes ---- */

/* World axis of each index, and whether the index runs along it upwards. */
static void nearest_axes(const double affine[4][4], int axis[3], bool up[3]) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    double best = -1.0;
    for (int o = 0; o < 6; o++) {
        double sum = 0.0;
        for (int c = 0; c < 3; c++)
            sum += fabs(affine[orders[o][c]][c]) / fmax(column_norm(affine, c), 1e-300);
        if (sum > best + 1e-12) {
            best = sum;
            memcpy(axis, orders[o], sizeof orders[o]);
        }
    }
    for (int c = 0; c < 3; c++) up[c] = affine[axis[c]][c] >= 0.0;
}

void im_axcodes(const double affine[4][4], char codes[4]) {
    int axis[3] = {0, 1, 2};
    bool up[3];
    nearest_axes(affine, axis, up);
    for (int c = 0; c < 3; c++) codes[c] = letters[axis[c]][up[c]];
    codes[3] = '\0';
}

int im_head_axis(const double affine[4][4]) {
    int axis[3] = {0, 1, 2}, c = 0;
    bool up[3];
    nearest_axes(affine, axis, up);
    while (axis[c] != 2) c++;
    return c;
}

/* The same from letters; false unless they name each world axis once. */
static bool parse_axcodes(const char *codes, int axis[3], bool up[3]) {
    bool seen[3] = {false, false, false};
    if (strlen(codes) != 3) return false;
    for (int c = 0; c < 3; c++) {
        int a = 0;
        while (a < 3 && codes[c] != letters[a][0] && codes[c] != letters[a][1]) a++;
        if (a == 3 || seen[a]) return false;
        seen[a] = true;
        axis[c] = a;
        up[c] = codes[c] == letters[a][1];
    }
    return true;
}

/* ---- reorientation ---- */

/* Matrix that takes result indices to source indices: index c of the result runs along index
 * from[c] of the source, backwards if flip[c]. */
static void walk_matrix(const int from[3], const bool flip[3], const int64_t dim[3],
                        double m[4][4]) {
    memset(m, 0, 16 * sizeof m[0][0]);
    m[3][3] = 1.0;
    for (int c = 0; c < 3; c++) {
        const int s = from[c];
        m[s][c] = flip[c] ? -1.0 : 1.0;
        m[s][3] = flip[c] ? (double)(dim[s] - 1) : 0.0;
    }
}

sx_err im__walk_to(im__walk *w, const int64_t dim[3], const double affine[4][4],
                   const char *codes) {
    int axis[3] = {0, 1, 2}, to_axis[3], from[3] = {0, 1, 2};
    bool up[3], to_up[3], flip[3] = {false, false, false};
    double m[4][4];
    if (!parse_axcodes(codes, to_axis, to_up))
        return sx_fail(SX_E_DATA,
                       "axis codes '%s' do not name right-left, front-back and up-down once",
                       codes);
    nearest_axes(affine, axis, up);
    const int64_t source_step[3] = {1, dim[0], dim[0] * dim[1]};
    w->first = 0;
    for (int c = 0; c < 3; c++) {
        int s = 0;
        while (axis[s] != to_axis[c]) s++;
        from[c] = s;
        flip[c] = up[s] != to_up[c];
        w->dim[c] = dim[s];
        w->step[c] = flip[c] ? -source_step[s] : source_step[s];
        if (flip[c]) w->first += (dim[s] - 1) * source_step[s];
    }
    walk_matrix(from, flip, dim, m);
    im_affine_multiply(affine, m, w->affine);
    return SX_OK;
}

sx_err im_reorient(im_volume *to, const im_volume *from, const char *codes) {
    im__walk w;
    sx_err rc = im__walk_to(&w, from->dim, from->affine, codes);
    if (rc == SX_OK) rc = im_volume_init(to, w.dim);
    if (rc != SX_OK) return rc;
    memcpy(to->affine, w.affine, sizeof to->affine);
    float *y = to->voxel;
    for (int64_t k = 0; k < w.dim[2]; k++)
        for (int64_t j = 0; j < w.dim[1]; j++) {
            const float *x = from->voxel + w.first + k * w.step[2] + j * w.step[1];
            for (int64_t i = 0; i < w.dim[0]; i++) *y++ = x[i * w.step[0]];
        }
    return SX_OK;
}
