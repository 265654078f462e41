/* NIfTI at the edges of what scanners and converters write: every orientation under three
 * obliquities by either form, both versions and byte orders; one to five slices; every type there
 * is; voxels from 0.2 to 9 mm. With the argument `large` a volume of 1,024 x 1,024 x 200 instead.
 */
#include <math.h>
#include <stdint.h>
#include <zlib.h>

#include "io/io_nifti.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"
#include "tests/io/nifti_bytes.h"

static const io_read_opt one_frame = {.frame = -1};

enum { NX = 7, NY = 6, NZ = 5, N_VOXELS = NX * NY * NZ };

static nifti_spec plain_spec(void) {
    return (nifti_spec){.version = 1,
                        .code = 4,
                        .bits = 16,
                        .dim = {NX, NY, NZ, 1},
                        .sform = 1,
                        .pixdim = {1, 0.8, 0.8, 4},
                        .srow = {0.8, 0, 0, -9, 0, 0.8, 0, 8, 0, 0, 4, 7}};
}

/* Voxels 0, 1, 2, … in as many bytes as the type has, the low ones filled. */
static const char *store(const nifti_spec *h) {
    const char *path = io_test_path("odd.nii");
    const int64_t n = (int64_t)h->dim[0] * h->dim[1] * h->dim[2];
    const size_t unit = (size_t)h->bits / 8;
    unsigned char *file = sx_alloc(NIFTI_BYTES_HEADER + n * (int64_t)unit, 1);
    const size_t start = nifti_bytes_header(h, file);
    for (int64_t i = 0; i < n && unit > 0; i++)
        nifti_bytes_put(file + start + (size_t)i * unit, &(int64_t[4]){i}, unit, h->swapped);
    io_bytes_write(path, (const char *)file, start + (size_t)n * unit);
    sx_free(file);
    return path;
}

/* ---- geometry ---- */

typedef struct matrix {
    double m[3][4];
} matrix;

static double corner_error(const matrix *want, const double got[4][4]) {
    static const int dim[3] = {NX, NY, NZ};
    double worst = 0;
    for (int corner = 0; corner < 8; corner++)
        for (int r = 0; r < 3; r++) {
            double apart = got[r][3] - want->m[r][3];
            for (int a = 0; a < 3; a++)
                if (corner >> a & 1) apart += (got[r][a] - want->m[r][a]) * (dim[a] - 1);
            worst = fmax(worst, fabs(apart));
        }
    return worst;
}

/* Turn by `angle` about an axis of length 1 (Rodrigues). */
static void turn(const double axis[3], double angle, double r[3][3]) {
    const double c = cos(angle), s = sin(angle), *u = axis;
    const double skew[3][3] = {{0, -u[2], u[1]}, {u[2], 0, -u[0]}, {-u[1], u[0], 0}};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            r[i][j] = (i == j ? c : 0) + (1 - c) * u[i] * u[j] + s * skew[i][j];
}

/* Orientation 0 to 47: index k runs along world axis `order[k]`, forwards or backwards. */
static void orientation(int number, double r[3][3]) {
    static const int order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    memset(r, 0, 9 * sizeof r[0][0]);
    for (int k = 0; k < 3; k++) r[order[number / 8][k]][k] = number >> k & 1 ? -1 : 1;
}

static double determinant(const double r[3][3]) {
    double d = 0;
    for (int i = 0; i < 3; i++)
        d += r[0][i] *
             (r[1][(i + 1) % 3] * r[2][(i + 2) % 3] - r[1][(i + 2) % 3] * r[2][(i + 1) % 3]);
    return d;
}

/* Real part not negative, from the largest of the four parts (Shepperd 1978). */
static void quaternion(const double r[3][3], double q[4]) {
    const double trace = r[0][0] + r[1][1] + r[2][2];
    const double squares[4] = {1 + trace, 1 + 2 * r[0][0] - trace, 1 + 2 * r[1][1] - trace,
                               1 + 2 * r[2][2] - trace};
    int k = 0;
    for (int i = 1; i < 4; i++)
        if (squares[i] > squares[k]) k = i;
    const double half = sqrt(squares[k]) / 2, f = 0.25 / half;
    const double differences[3] = {r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]};
    for (int i = 0; i < 3; i++)
        q[i + 1] = k == 0       ? differences[i] * f
                   : k == i + 1 ? half
                                : (r[k - 1][i] + r[i][k - 1]) * f;
    q[0] = k == 0 ? half : differences[k - 1] * f;
    const double sign = q[0] < 0 ? -1 : 1;
    for (int i = 0; i < 4; i++) q[i] *= sign;
}

/* A header whose forms both say `want`; returns the real part of the quaternion. */
static double place(nifti_spec *h, int number, int obliquity, matrix *want) {
    static const double angle[3] = {0, 0.1745329252, 0.62};
    static const double axes[3][3] = {{0, 0, 1}, {0, 0, 1}, {0.6, 0, 0.8}};
    static const double zoom[3] = {0.7, 0.9, 5}, offset[3] = {-31.5, 12.25, 100};
    double along[3][3], tilt[3][3], r[3][3] = {{0}}, q[4];
    orientation(number, along);
    turn(axes[obliquity], angle[obliquity], tilt);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 3; k++) r[i][j] += tilt[i][k] * along[k][j];
    const double qfac = determinant(r) < 0 ? -1 : 1;
    for (int i = 0; i < 12; i++)
        want->m[i / 4][i % 4] = i % 4 == 3 ? offset[i / 4] : r[i / 4][i % 4] * zoom[i % 4];
    for (int i = 0; i < 3; i++) r[i][2] *= qfac;
    quaternion(r, q);
    *h = plain_spec();
    memcpy(h->srow, want->m, sizeof h->srow);
    memcpy(h->quatern, q + 1, sizeof h->quatern);
    memcpy(h->offset, offset, sizeof h->offset);
    h->pixdim[0] = qfac;
    memcpy(h->pixdim + 1, zoom, sizeof zoom);
    h->sform = h->qform = 1;
    return q[0];
}

/* By a quaternion of float32 near half a turn nobody can place voxels better than this: the real
 * part is the root of a difference of squares. */
static const double tolerance_mm = 1e-4, near_half_turn_mm = 0.03;

START_TEST(every_orientation_and_obliquity_is_placed_by_either_form) {
    for (int i = 0; i < 48 * 3 * 4; i++) {
        nifti_spec h;
        matrix want;
        io_nifti_info info;
        const double real = place(&h, i / 12, i / 4 % 3, &want);
        h.version = 1 + i % 2;
        h.swapped = i % 4 >= 2;
        const char *path = store(&h);
        ck_ok(io_nifti_inspect(path, &one_frame, &info)); /* the forms agree */
        ck_assert_str_eq(info.warning, "");
        ck_assert_double_le(corner_error(&want, (const double(*)[4])info.affine), tolerance_mm);
        ck_ok(io_nifti_inspect(path, &(io_read_opt){.xform = IO_XFORM_QFORM}, &info));
        const double error = corner_error(&want, (const double(*)[4])info.affine);
        const double limit = h.version == 1 && real < 0.05 ? near_half_turn_mm : tolerance_mm;
        ck_assert_msg(error <= limit, "case %d: %g mm, real part %g", i, error, real);
    }
}
END_TEST

START_TEST(voxels_from_a_fifth_to_nine_millimetres_are_taken) {
    static const double mm[] = {0.2, 0.29, 0.5, 0.8571, 1, 3.3, 5.5, 9};
    for (size_t i = 0; i < sizeof mm / sizeof *mm; i++) {
        io_nifti_info info;
        nifti_spec h = plain_spec();
        h.srow[0] = mm[i], h.srow[10] = 9 + 0.2 - mm[i];
        ck_ok(io_nifti_inspect(store(&h), &one_frame, &info));
        ck_assert_double_eq_tol(info.zooms[0], mm[i], 1e-6);
        ck_assert_double_eq_tol(info.zooms[2], 9.2 - mm[i], 1e-5);
    }
}
END_TEST

/* ---- shapes and types ---- */

START_TEST(thin_volumes_are_read_whole) {
    static const int shapes[][3] = {{7, 6, 1}, {7, 6, 2}, {7, 6, 3}, {7, 6, 4}, {7, 6, 5},
                                    {1, 6, 5}, {7, 1, 5}, {1, 1, 5}, {7, 1, 1}, {1, 1, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        im_volume v = {0};
        io_nifti_info info;
        nifti_spec h = plain_spec();
        memcpy(h.dim, shapes[i], sizeof shapes[i]);
        ck_ok(io_nifti_read(store(&h), &one_frame, &v, &info));
        ck_assert_int_eq(info.rank, 3);
        for (int a = 0; a < 3; a++) ck_assert_int_eq(v.dim[a], shapes[i][a]);
        for (int64_t k = 0; k < im_volume_count(&v); k++) ck_assert(v.voxel[k] == (float)k);
        im_volume_clear(&v);
    }
}
END_TEST

START_TEST(types_that_are_no_intensity_or_do_not_exist_are_refused_by_name) {
    static const struct {
        int code, bits;
        const char *says;
    } types[] = {{32, 64, "complex64"},     {128, 24, "rgb24"},        {1536, 128, "float128"},
                 {1792, 128, "complex128"}, {2048, 256, "complex256"}, {2304, 32, "rgba32"},
                 {0, 0, "undefined"},       {3, 16, "undefined"},      {255, 8, "undefined"}};
    for (size_t i = 0; i < 4 * sizeof types / sizeof *types; i++) {
        io_nifti_info info;
        nifti_spec h = plain_spec();
        h.version = 1 + (int)(i % 2);
        h.swapped = i % 4 >= 2;
        h.code = types[i / 4].code;
        h.bits = types[i / 4].bits;
        ck_err(io_nifti_inspect(store(&h), &one_frame, &info), SX_E_DATA);
        ck_assert_str_eq(info.reason, "datatype");
        ck_assert_msg(strstr(info.message, types[i / 4].says) != NULL, "%s", info.message);
    }
}
END_TEST

/* ---- large ---- */

enum { WIDE = 1024, DEEP = 200 };

static int16_t large_voxel(int64_t i) {
    return (int16_t)(i / 4096 % 3001);
}

static const char *store_large(void) {
    static int16_t slice[WIDE * WIDE];
    static unsigned char header[NIFTI_BYTES_HEADER];
    const char *path = io_test_path("large.nii.gz");
    nifti_spec h = plain_spec();
    h.dim[0] = h.dim[1] = WIDE, h.dim[2] = DEEP;
    gzFile out = gzopen(path, "wb1");
    ck_assert_ptr_nonnull(out);
    const size_t n = nifti_bytes_header(&h, header);
    ck_assert_int_eq(gzwrite(out, header, (unsigned)n), (int)n);
    for (int64_t z = 0; z < DEEP; z++) {
        for (int64_t i = 0; i < WIDE * WIDE; i++) slice[i] = large_voxel(z * WIDE * WIDE + i);
        ck_assert_int_eq(gzwrite(out, slice, sizeof slice), (int)sizeof slice);
    }
    ck_assert_int_eq(gzclose(out), Z_OK);
    return path;
}

START_TEST(a_volume_of_200_million_voxels_takes_its_own_memory_and_no_more) {
    im_volume v = {0};
    io_nifti_info info;
    const int64_t n = (int64_t)WIDE * WIDE * DEEP, n_bytes = n * (int64_t)sizeof *v.voxel;
    const char *path = store_large();
    const int64_t before = sx_peak_rss_bytes();
    ck_ok(io_nifti_read(path, &one_frame, &v, &info));
    ck_assert_int_lt(sx_peak_rss_bytes() - before, n_bytes + (32 << 20));
    for (int64_t i = 0; i < n; i += 4095)
        ck_assert_msg(v.voxel[i] == (float)large_voxel(i), "voxel %lld", (long long)i);
    ck_assert(info.min == 0 && info.max == 3000);
    im_volume_clear(&v);
    ck_err(io_nifti_read(path, &(io_read_opt){.frame = -1, .max_bytes = n_bytes - 1}, &v, &info),
           SX_E_DATA);
    ck_assert_str_eq(info.reason, "too-large");
    remove(path);
}
END_TEST

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "large") == 0)
        return CHECK_RUN("large", a_volume_of_200_million_voxels_takes_its_own_memory_and_no_more);
    return CHECK_RUN("odd", every_orientation_and_obliquity_is_placed_by_either_form,
                     voxels_from_a_fifth_to_nine_millimetres_are_taken, thin_volumes_are_read_whole,
                     types_that_are_no_intensity_or_do_not_exist_are_refused_by_name);
}
