/* The NIfTI reader and writer on files that the tests write themselves: every voxel type in both
 * byte orders, scaling, geometry, damage; and what the writer writes comes back. */
#include "io/io_nifti.h"

#include <math.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_rng.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"

static const io_read_opt one_frame = {.frame = -1};

/* ---- files made byte by byte ---- */

enum { NX = 7, NY = 6, NZ = 5, N_VOXELS = NX * NY * NZ, OFFSET = 352 };

/* A NIfTI-1 file in memory. */
typedef struct image_file {
    unsigned char byte[OFFSET + 8 * N_VOXELS];
    size_t n;
    bool swapped;
} image_file;

static void put(image_file *f, size_t at, const void *value, size_t n) {
    const unsigned char *v = value;
    for (size_t i = 0; i < n; i++) f->byte[at + i] = v[f->swapped ? n - 1 - i : i];
}

static void put_i16(image_file *f, size_t at, int x) {
    put(f, at, &(int16_t){(int16_t)x}, 2);
}
static void put_f32(image_file *f, size_t at, double x) {
    put(f, at, &(float){(float)x}, 4);
}

/* Header of 7 x 6 x 5 voxels of 0.5, 0.5 and 4 mm; sform: first index to the right, second to the
 * front. */
static void put_header(image_file *f, int code, int bits, bool swapped) {
    static const double rows[3][4] = {{0.5, 0, 0, -10}, {0, 0.5, 0, 20}, {0, 0, 4, 30}};
    memset(f, 0, sizeof *f);
    f->swapped = swapped;
    f->n = OFFSET + (size_t)bits / 8 * N_VOXELS;
    put(f, 0, &(int32_t){348}, 4);
    put_i16(f, 40, 3);
    for (size_t i = 0; i < 7; i++) put_i16(f, 42 + 2 * i, i < 3 ? (int[]){NX, NY, NZ}[i] : 1);
    put_i16(f, 70, code);
    put_i16(f, 72, bits);
    for (size_t i = 0; i < 4; i++) put_f32(f, 76 + 4 * i, i == 0 ? 1.0 : i == 3 ? 4.0 : 0.5);
    put_f32(f, 108, OFFSET);
    put_i16(f, 254, 1);
    for (size_t i = 0; i < 12; i++) put_f32(f, 280 + 4 * i, rows[i / 4][i % 4]);
    memcpy(f->byte + 344, "n+1", 4);
}

/* One value into voxel i as the type of this code. */
static void put_voxel(image_file *f, int code, size_t i, double x) {
    switch (code) {
#define CASE(number, type)                                                                         \
    case number: {                                                                                 \
        type y = (type)x;                                                                          \
        put(f, OFFSET + i * sizeof y, &y, sizeof y);                                               \
        break;                                                                                     \
    }
        CASE(2, uint8_t)
        CASE(4, int16_t)
        CASE(8, int32_t)
        CASE(16, float)
        CASE(64, double)
        CASE(256, int8_t)
        CASE(512, uint16_t)
        CASE(768, uint32_t)
        CASE(1024, int64_t)
        CASE(1280, uint64_t)
    default:
        ck_abort_msg("no type of code %d", code);
    }
}

static image_file int16_file(bool swapped) {
    image_file f;
    put_header(&f, 4, 16, swapped);
    for (size_t i = 0; i < N_VOXELS; i++) put_voxel(&f, 4, i, (double)i);
    return f;
}

static const char *store(const image_file *f, const char *name) {
    const char *path = io_test_path(name);
    io_bytes_write(path, (const char *)f->byte, f->n);
    return path;
}

static io_nifti_info inspect(const char *path) {
    io_nifti_info info;
    io_nifti_inspect(path, &one_frame, &info);
    return info;
}

/* Store, read, remove; the verdict's reason, "" for ok. */
static void expect_reason(const image_file *f, const char *want) {
    const char *path = store(f, "one.nii");
    const io_nifti_info info = inspect(path);
    remove(path);
    ck_assert_msg(strcmp(info.reason, want) == 0, "reason: got '%s' (%s), want '%s'", info.reason,
                  info.message, want);
    ck_assert_int_eq(info.ok, want[0] == '\0');
}

/* ---- types and scaling ---- */

START_TEST(every_type_is_read_in_both_byte_orders) {
    static const struct {
        int code, bits;
        const char *name;
        double low, high;
    } types[] = {{2, 8, "uint8", 0, 255},
                 {4, 16, "int16", -32768, 32767},
                 {8, 32, "int32", -2147483648.0, 2147483647.0},
                 {16, 32, "float32", -1e30, 1e30},
                 {64, 64, "float64", -1e30, 1e30},
                 {256, 8, "int8", -128, 127},
                 {512, 16, "uint16", 0, 65535},
                 {768, 32, "uint32", 0, 4294967295.0},
                 {1024, 64, "int64", -9e18, 9e18},
                 {1280, 64, "uint64", 0, 1.8e19}};
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
        for (int swapped = 0; swapped < 2; swapped++) {
            image_file f;
            im_volume v = {0};
            io_nifti_info info;
            put_header(&f, types[t].code, types[t].bits, swapped != 0);
            for (size_t i = 0; i < N_VOXELS; i++)
                put_voxel(&f, types[t].code, i,
                          i == 0   ? types[t].low
                          : i == 1 ? types[t].high
                                   : (double)i / 2);
            const char *path = store(&f, "type.nii");
            ck_ok(io_nifti_read(path, &one_frame, &v, &info));
            ck_assert_str_eq(info.datatype, types[t].name);
            ck_assert_msg(fabs(info.min - types[t].low) <= 1e-6 * fabs(types[t].low),
                          "%s min: got %g, want %g", types[t].name, info.min, types[t].low);
            ck_assert_msg(fabs(info.max - types[t].high) <= 1e-6 * types[t].high,
                          "%s max: got %g, want %g", types[t].name, info.max, types[t].high);
            for (int i = 2; i < N_VOXELS; i++) {
                const double want =
                    types[t].code == 16 || types[t].code == 64 ? i / 2.0 : floor(i / 2.0);
                ck_assert_msg((double)v.voxel[i] == want, "%s voxel %d: got %g, want %g",
                              types[t].name, i, (double)v.voxel[i], want);
            }
            im_volume_clear(&v);
            remove(path);
        }
}
END_TEST

START_TEST(slope_and_intercept_scale_and_odd_ones_are_judged) {
    static const struct {
        double slope, inter;
        const char *reason;
        double min, max;
    } cases[] = {{2.0, -10.0, "", -10.0, 408.0},   {-1.0, 0.0, "", -209.0, 0.0},
                 {0.0, 55.0, "", 0.0, 209.0},      {(double)NAN, 0.0, "", 0.0, 209.0},
                 {INFINITY, 0.0, "scaling", 0, 0}, {1.0, (double)NAN, "scaling", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        image_file f = int16_file(false);
        put_f32(&f, 112, cases[i].slope);
        put_f32(&f, 116, cases[i].inter);
        const io_nifti_info info = inspect(store(&f, "slope.nii"));
        ck_assert_str_eq(info.reason, cases[i].reason);
        if (!info.ok) continue;
        ck_assert_double_eq_tol(info.min, cases[i].min, 1e-9);
        ck_assert_double_eq_tol(info.max, cases[i].max, 1e-9);
    }
}
END_TEST

START_TEST(voxels_that_are_not_finite_are_counted_and_kept_out_of_the_statistics) {
    image_file f;
    im_volume v = {0};
    io_nifti_info info;
    put_header(&f, 64, 64, false);
    for (size_t i = 0; i < N_VOXELS; i++) put_voxel(&f, 64, i, 3.0);
    put_voxel(&f, 64, 5, (double)NAN);
    put_voxel(&f, 64, 6, -INFINITY);
    put_voxel(&f, 64, 7, 1e300); /* finite as double, not as float */
    ck_ok(io_nifti_read(store(&f, "finite.nii"), &one_frame, &v, &info));
    ck_assert_int_eq(info.nonfinite, 3);
    ck_assert_double_eq(info.mean, 3.0);
    ck_assert(isnan(v.voxel[5]) && v.voxel[6] == -INFINITY && v.voxel[7] == INFINITY);
    im_volume_clear(&v);
}
END_TEST

/* ---- header fields ---- */

START_TEST(bad_header_fields_are_refused_with_their_reason) {
    static const struct {
        size_t at;
        char kind; /* h int16, f float32, b byte */
        double value;
        const char *reason;
    } cases[] = {
        {40, 'h', 0, "dims"},          {40, 'h', 8, "dims"},
        {40, 'h', 2, "dims"},          {42, 'h', 0, "dims"},
        {44, 'h', -6, "dims"},         {46, 'h', 6, "truncated"},
        {46, 'h', 32767, "truncated"}, {70, 'h', 0, "datatype"},
        {70, 'h', 1, "datatype"},      {70, 'h', 32, "datatype"},
        {70, 'h', 128, "datatype"},    {70, 'h', 9999, "datatype"},
        {72, 'h', 32, "bitpix"},       {70, 'h', 8, "bitpix"},
        {108, 'f', 0, "offset"},       {108, 'f', 348, "offset"},
        {108, 'f', -352, "offset"},    {108, 'f', 352.5, "offset"},
        {108, 'f', 1e20, "offset"},    {108, 'f', (double)NAN, "offset"},
        {108, 'f', 353, "truncated"},  {280, 'f', (double)NAN, "geometry"},
        {280, 'f', 0, "geometry"},     {280, 'f', 1e-6, "spacing"},
        {280, 'f', 5000, "spacing"},   {123, 'b', 7, "units"},
        {344, 'b', 'x', "magic"},      {345, 'b', 'i', "magic"},
        {68, 'h', 3001, "cifti"},      {0, 'b', 0, "sizeof_hdr"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        image_file f = int16_file(false);
        if (cases[i].kind == 'h') put_i16(&f, cases[i].at, (int)cases[i].value);
        if (cases[i].kind == 'f') put_f32(&f, cases[i].at, cases[i].value);
        if (cases[i].kind == 'b') f.byte[cases[i].at] = (unsigned char)cases[i].value;
        expect_reason(&f, cases[i].reason);
    }
    const image_file good = int16_file(false);
    expect_reason(&good, "");
}
END_TEST

START_TEST(dimensions_beyond_the_rank_may_hold_anything) {
    image_file f = int16_file(false);
    for (size_t i = 3; i < 7; i++) put_i16(&f, 42 + 2 * i, -77);
    expect_reason(&f, "");
}
END_TEST

START_TEST(extensions_must_fit_before_the_voxels) {
    static const struct {
        int size;
        const char *reason;
    } cases[] = {
        {16, ""}, {0, "extension"}, {-16, "extension"}, {32, "extension"}, {1 << 30, "extension"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        image_file f = int16_file(false);
        memmove(f.byte + OFFSET + 16, f.byte + OFFSET, 2 * N_VOXELS);
        memset(f.byte + OFFSET, 0, 16);
        f.n += 16;
        f.byte[348] = 1;
        put_f32(&f, 108, OFFSET + 16);
        put(&f, OFFSET, &(int32_t){cases[i].size}, 4);
        expect_reason(&f, cases[i].reason);
    }
}
END_TEST

/* ---- geometry ---- */

START_TEST(forms_that_disagree_are_refused_unless_one_is_chosen) {
    image_file f = int16_file(false);
    io_nifti_info info;
    put_i16(&f, 252, 1);
    const double qoffset[3] = {-10, 20, 30};
    for (size_t i = 0; i < 3; i++) put_f32(&f, 268 + 4 * i, qoffset[i]);
    expect_reason(&f, ""); /* quaternion 0 0 0: the same matrix */
    put_f32(&f, 268, -10.0 + 0.5 * 0.09);
    expect_reason(&f, "");
    put_f32(&f, 268, -10.0 + 0.5 * 0.11);
    expect_reason(&f, "disagree");
    const char *path = store(&f, "forms.nii");
    ck_ok(io_nifti_inspect(path, &(io_read_opt){.xform = IO_XFORM_SFORM}, &info));
    ck_assert_double_eq_tol(info.affine[0][3], -10.0, 1e-6);
    ck_ok(io_nifti_inspect(path, &(io_read_opt){.xform = IO_XFORM_QFORM}, &info));
    ck_assert_double_eq_tol(info.affine[0][3], -9.945, 1e-6);
    put_i16(&f, 252, 0);
    path = store(&f, "forms.nii");
    ck_err(io_nifti_inspect(path, &(io_read_opt){.xform = IO_XFORM_QFORM}, &info), SX_E_DATA);
}
END_TEST

START_TEST(a_quaternion_places_the_voxels) {
    /* Half a turn about z (d = 1) and qfac -1: x and y reversed, k downwards. */
    image_file f = int16_file(true);
    put_i16(&f, 254, 0);
    put_i16(&f, 252, 1);
    put_f32(&f, 76, -1.0);
    put_f32(&f, 264, 1.0);
    const io_nifti_info info = inspect(store(&f, "quatern.nii"));
    ck_assert_msg(info.ok, "%s", info.message);
    ck_assert_str_eq(info.axcodes, "LPI");
    ck_assert_double_eq_tol(info.zooms[2], 4.0, 1e-6);
}
END_TEST

START_TEST(without_forms_the_orientation_is_warned_about) {
    image_file f = int16_file(false);
    put_i16(&f, 254, 0);
    const io_nifti_info info = inspect(store(&f, "none.nii"));
    ck_assert(info.ok);
    ck_assert_str_eq(info.axcodes, "LAS");
    ck_assert_ptr_nonnull(strstr(info.warning, "orientation unknown"));
    put_f32(&f, 80, 0.0);
    expect_reason(&f, "geometry");
}
END_TEST

START_TEST(metres_become_millimetres) {
    image_file f = int16_file(false);
    f.byte[123] = 1;
    for (size_t i = 0; i < 12; i++) {
        static const double rows[12] = {5e-4, 0, 0, -0.01, 0, 5e-4, 0, 0.02, 0, 0, 4e-3, 0.03};
        put_f32(&f, 280 + 4 * i, rows[i]);
    }
    const io_nifti_info info = inspect(store(&f, "metre.nii"));
    ck_assert_msg(info.ok, "%s", info.message);
    ck_assert_double_eq_tol(info.zooms[0], 0.5, 1e-6);
    ck_assert_double_eq_tol(info.affine[2][3], 30.0, 1e-5);
}
END_TEST

/* ---- frames, names, neighbours ---- */

START_TEST(one_frame_of_several_is_chosen_or_the_file_refused) {
    image_file f;
    im_volume v = {0};
    io_nifti_info info;
    put_header(&f, 2, 8, false);
    f.n = OFFSET + 3 * N_VOXELS;
    put_i16(&f, 40, 4);
    put_i16(&f, 48, 3);
    for (size_t i = 0; i < 3 * N_VOXELS; i++)
        f.byte[OFFSET + i] = (unsigned char)(i / N_VOXELS + 1);
    const char *path = store(&f, "frames.nii");
    ck_err(io_nifti_read(path, &one_frame, &v, &info), SX_E_DATA);
    ck_assert_str_eq(info.reason, "frames");
    ck_err(io_nifti_read(path, &(io_read_opt){.frame = 3}, &v, &info), SX_E_DATA);
    ck_ok(io_nifti_read(path, &(io_read_opt){.frame = 1}, &v, &info));
    ck_assert_double_eq(info.mean, 2.0);
    ck_assert_int_eq(info.rank, 4);
    ck_assert_int_eq(im_volume_count(&v), N_VOXELS);
    im_volume_clear(&v);
    ck_assert_double_eq(inspect(path).mean, 2.0);
    ck_assert_double_eq(inspect(path).max, 3.0);
}
END_TEST

START_TEST(two_files_of_one_name_are_refused) {
    const image_file f = int16_file(false);
    char other[600];
    const char *path = store(&f, "twin.nii");
    snprintf(other, sizeof other, "%s.gz", path);
    io_bytes_write(other, "x", 1);
    ck_assert_str_eq(inspect(path).reason, "sibling");
    remove(other);
    ck_assert_str_eq(inspect(path).reason, "");
}
END_TEST

START_TEST(what_is_not_an_image_is_refused_by_its_kind) {
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    io_nifti_info info;
    ck_err(io_nifti_inspect("no-such-file.nii", &one_frame, &info), SX_E_NOINPUT);
    ck_assert_str_eq(info.reason, "missing");
    ck_ok(sx_mkdirs("scratch-io/folder.nii.gz"));
    ck_assert_str_eq(inspect("scratch-io/folder.nii.gz").reason, "directory");
    ck_assert_str_eq(inspect("/dev/null.nii").reason, "missing");
    ck_assert_str_eq(inspect("/nonexistent").reason, "missing");
    unlink("scratch-io/pipe.nii");
    ck_assert_int_eq(mkfifo("scratch-io/pipe.nii", 0666), 0);
    ck_assert_str_eq(inspect("scratch-io/pipe.nii").reason, "not-a-file");
    io_bytes_write("scratch-io/empty.nii", "", 0);
    ck_assert_str_eq(inspect("scratch-io/empty.nii").reason, "empty");
    io_bytes_write("scratch-io/lfs.nii.gz", lfs, sizeof lfs - 1);
    ck_assert_str_eq(inspect("scratch-io/lfs.nii.gz").reason, "pointer");
    io_bytes_write("scratch-io/image.dcm", lfs, sizeof lfs - 1);
    ck_assert_str_eq(inspect("scratch-io/image.dcm").reason, "name");
}
END_TEST

START_TEST(names_are_recognised) {
    static const char *const yes[] = {"a.nii", "a.nii.gz", "x/y.hdr", "y.hdr.gz"};
    static const char *const no[] = {"a.img", "a.nii.bz2", ".nii", "x/.nii.gz",
                                     "nii",   "a.json",    ""};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        ck_assert_msg(io_nifti_is_name(yes[i]), "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        ck_assert_msg(!io_nifti_is_name(no[i]), "%s", no[i]);
}
END_TEST

START_TEST(the_hash_covers_all_that_is_read) {
    char hdr[SX_HASH_HEX], other[SX_HASH_HEX], file[SX_HASH_HEX];
    remove("scratch-io/hash.nii.gz");
    io_bytes_write("scratch-io/hash.hdr", "header", 6);
    io_bytes_write("scratch-io/hash.img", "image", 5);
    io_bytes_write("scratch-io/hash.nii", "headerimage", 11);
    ck_ok(io_nifti_hash("scratch-io/hash.hdr", hdr));
    ck_ok(sx_hash_file("scratch-io/hash.nii", file));
    ck_assert_str_eq(hdr, file); /* header, then image */
    ck_ok(io_nifti_hash("scratch-io/hash.nii", other));
    ck_assert_str_eq(other, file);
    io_bytes_write("scratch-io/hash.img", "imagf", 5);
    ck_ok(io_nifti_hash("scratch-io/hash.hdr", other));
    ck_assert_str_ne(hdr, other);
    remove("scratch-io/hash.img");
    ck_err(io_nifti_hash("scratch-io/hash.hdr", other), SX_E_NOINPUT);
    io_bytes_write("scratch-io/hash.nii.gz", "x", 1);
    ck_err(io_nifti_hash("scratch-io/hash.nii", other), SX_E_DATA);
    remove("scratch-io/hash.nii.gz");
    unlink("scratch-io/hash-pipe.nii");
    ck_assert_int_eq(mkfifo("scratch-io/hash-pipe.nii", 0666), 0);
    ck_err(io_nifti_hash("scratch-io/hash-pipe.nii", other), SX_E_DATA); /* nor waits */
}
END_TEST

START_TEST(voxels_that_are_not_finite_are_logged_by_the_reader) {
    image_file f;
    im_volume v = {0};
    const char *log = io_test_path("read.jsonl");
    put_header(&f, 64, 64, false);
    for (size_t i = 0; i < N_VOXELS; i++) put_voxel(&f, 64, i, i == 9 ? (double)NAN : 3.0);
    ck_ok(sx_log_open_json(log));
    ck_ok(io_nifti_read(store(&f, "logged.nii"), &one_frame, &v, NULL));
    ck_ok(sx_log_open_json(NULL));
    io_bytes text = io_bytes_read(log);
    ck_assert_msg(strstr(text.data, "logged.nii: 1 voxels are not finite") != NULL, "%s",
                  text.data);
    sx_free(text.data);
    im_volume_clear(&v);
}
END_TEST

START_TEST(a_long_path_leaves_room_for_the_reason) {
    char folder[600], *path;
    snprintf(folder, sizeof folder, "scratch-io/%0250d/%0250d", 1, 2);
    ck_ok(sx_mkdirs(folder));
    path = sx_path_join(folder, "short.nii");
    io_bytes_write(path, "x", 1);
    const io_nifti_info info = inspect(path);
    ck_assert_msg(strstr(info.message, "short.nii: ends 347 bytes early") != NULL, "%s",
                  info.message);
    ck_assert_int_eq(strncmp(info.message, "...", 3), 0);
    sx_free(path);
}
END_TEST

START_TEST(a_quaternion_that_is_no_rotation_is_named_as_such) {
    image_file f = int16_file(false);
    const int16_t qform = 1, sform = 0;
    put(&f, 252, &qform, 2);
    put(&f, 254, &sform, 2);
    for (size_t i = 0; i < 3; i++) put_f32(&f, 256 + 4 * i, 0.9f);
    const io_nifti_info info = inspect(store(&f, "quat.nii"));
    ck_assert_str_eq(info.reason, "geometry");
    ck_assert_msg(strstr(info.message, "is 2.43, more than 1") != NULL, "%s", info.message);
}
END_TEST

START_TEST(a_pair_is_read_through_its_header) {
    image_file f = int16_file(true);
    memcpy(f.byte + 344, "ni1", 4);
    put_f32(&f, 108, 0);
    io_bytes_write("scratch-io/pair.hdr", (const char *)f.byte, 348);
    io_bytes_write("scratch-io/pair.img", (const char *)f.byte + OFFSET, 2 * N_VOXELS);
    io_nifti_info info = inspect("scratch-io/pair.hdr");
    ck_assert_msg(info.ok, "%s", info.message);
    ck_assert_double_eq(info.max, N_VOXELS - 1);
    io_bytes_write("scratch-io/pair.img", (const char *)f.byte + OFFSET, 2 * N_VOXELS - 1);
    ck_assert_str_eq(inspect("scratch-io/pair.hdr").reason, "truncated");
    remove("scratch-io/pair.img");
    ck_assert_str_eq(inspect("scratch-io/pair.hdr").reason, "missing");
}
END_TEST

/* ---- damage ---- */

/* A volume with structure, so that its compressed form has all kinds of symbols. */
static im_volume written_volume(const char *path, io_dtype type) {
    const int64_t dim[3] = {24, 20, 16};
    im_volume v = {0};
    sx_rng r = sx_rng_make(5, SX_RNG_TEST, 0, 0);
    ck_ok(im_volume_init(&v, dim));
    for (int64_t i = 0; i < im_volume_count(&v); i++)
        v.voxel[i] = (float)((i / 7) % 50) * 4.0f + floorf(9.0f * sx_rng_uniform(&r));
    for (int a = 0; a < 3; a++) v.affine[a][a] = 0.75 + a;
    ck_ok(io_nifti_write(path, &v, type, "test"));
    return v;
}

/* Cut a file at n_cuts lengths: none may be read. */
static void expect_cuts_refused(const char *name, int n_cuts) {
    const char *path = io_test_path(name);
    im_volume v = written_volume(path, IO_INT16);
    const io_bytes whole = io_bytes_read(path);
    for (int i = 0; i < n_cuts; i++) {
        const size_t n = i < 60 ? whole.n - 1 - (size_t)i
                                : (whole.n - 61) * (size_t)(n_cuts - i) / (size_t)n_cuts;
        io_bytes_write(path, whole.data, n);
        const io_nifti_info info = inspect(path);
        ck_assert_msg(!info.ok && info.reason[0], "%s cut to %zu of %zu bytes was read", path, n,
                      whole.n);
    }
    sx_free(whole.data);
    im_volume_clear(&v);
}

START_TEST(a_file_cut_at_any_length_is_refused) {
    expect_cuts_refused("cut.nii", 300);
}
END_TEST

START_TEST(a_gzip_file_cut_at_any_length_is_refused) {
    expect_cuts_refused("cut.nii.gz", 300);
}
END_TEST

START_TEST(a_flipped_bit_in_a_gzip_file_is_refused) {
    enum { GZIP_HEADER = 10 }; /* its time, flags and system are outside the check sum */
    const char *path = io_test_path("flip.nii.gz");
    im_volume v = written_volume(path, IO_INT16);
    const io_bytes whole = io_bytes_read(path);
    sx_rng r = sx_rng_make(6, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < 300; i++) {
        const size_t at = (size_t)sx_rng_int(&r, GZIP_HEADER, (int64_t)whole.n - 1);
        const char kept = whole.data[at];
        whole.data[at] = (char)(kept ^ (1 << sx_rng_int(&r, 0, 7)));
        io_bytes_write(path, whole.data, whole.n);
        whole.data[at] = kept;
        const io_nifti_info info = inspect(path);
        ck_assert_msg(!info.ok && info.reason[0],
                      "%s with a bit flipped in byte %zu of %zu was read", path, at, whole.n);
    }
    sx_free(whole.data);
    im_volume_clear(&v);
}
END_TEST

START_TEST(flipped_header_bits_never_crash_and_never_pass_for_another_size) {
    const image_file good = int16_file(false);
    sx_rng r = sx_rng_make(7, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < 1500; i++) {
        image_file f = good;
        for (int64_t k = sx_rng_int(&r, 1, 3); k > 0; k--)
            f.byte[sx_rng_int(&r, 0, OFFSET - 1)] ^= (unsigned char)(1 << sx_rng_int(&r, 0, 7));
        const io_nifti_info info = inspect(store(&f, "fuzz.nii"));
        ck_assert(info.ok || info.reason[0]);
        int64_t n = 1;
        for (int a = 0; a < info.rank; a++) n *= info.shape[a];
        if (info.ok) ck_assert_int_le(n, N_VOXELS * 2);
    }
}
END_TEST

START_TEST(several_gzip_members_are_one_file_and_junk_after_them_is_not) {
    const char *path = io_test_path("members.nii.gz");
    const image_file f = int16_file(false);
    for (int junk = 0; junk < 2; junk++) {
        remove(path);
        for (size_t at = 0; at < f.n; at += 200) { /* the header itself spans two members */
            gzFile g = gzopen(path, "ab");
            const size_t n = f.n - at < 200 ? f.n - at : 200;
            ck_assert_int_eq(gzwrite(g, f.byte + at, (unsigned)n), (int)n);
            ck_assert_int_eq(gzclose(g), Z_OK);
        }
        if (junk) {
            FILE *tail = fopen(path, "ab");
            ck_assert_int_ge(fputs("junk", tail), 0);
            ck_assert_int_eq(fclose(tail), 0);
        }
        const io_nifti_info info = inspect(path);
        ck_assert_str_eq(info.reason, junk ? "trailing" : "");
        if (!junk) ck_assert_double_eq(info.max, N_VOXELS - 1);
    }
}
END_TEST

START_TEST(a_few_bytes_after_the_voxels_are_warned_about_many_are_refused) {
    const image_file f = int16_file(false);
    char *longer = sx_alloc((int64_t)f.n + (1 << 17), 1);
    memcpy(longer, f.byte, f.n);
    const char *path = io_test_path("longer.nii");
    io_bytes_write(path, longer, f.n + 100);
    const io_nifti_info info = inspect(path);
    ck_assert(info.ok);
    ck_assert_ptr_nonnull(strstr(info.warning, "100 bytes"));
    io_bytes_write(path, longer, f.n + (1 << 17));
    ck_assert_str_eq(inspect(path).reason, "trailing");
    sx_free(longer);
}
END_TEST

/* ---- writing ---- */

static const char *const all_codes[48] = {
    "LPI", "RPI", "LAI", "RAI", "LPS", "RPS", "LAS", "RAS", "LIP", "RIP", "LSP", "RSP",
    "LIA", "RIA", "LSA", "RSA", "PLI", "ALI", "PRI", "ARI", "PLS", "ALS", "PRS", "ARS",
    "PIL", "AIL", "PSL", "ASL", "PIR", "AIR", "PSR", "ASR", "ILP", "SLP", "IRP", "SRP",
    "ILA", "SLA", "IRA", "SRA", "IPL", "SPL", "IAL", "SAL", "IPR", "SPR", "IAR", "SAR"};

START_TEST(written_volumes_come_back_in_all_48_orientations) {
    const double cosine = 0.9848077530, sine = 0.1736481777; /* 10 degrees */
    const int64_t dim[3] = {6, 5, 4};
    im_volume v = {0};
    ck_ok(im_volume_init(&v, dim));
    const double affine[3][4] = {{0.7 * cosine, -0.9 * sine, 0, -31.5},
                                 {0.7 * sine, 0.9 * cosine, 0, 12.25},
                                 {0, 0, 5, 100}};
    for (int i = 0; i < 12; i++) v.affine[i / 4][i % 4] = affine[i / 4][i % 4];
    for (int64_t i = 0; i < im_volume_count(&v); i++) v.voxel[i] = (float)i * 1.5f;
    for (int o = 0; o < 48; o++) {
        im_volume turned = {0}, back = {0};
        io_nifti_info info;
        const char *path = io_test_path(o % 2 ? "deflated.nii.gz" : "plain.nii");
        ck_ok(im_reorient(&turned, &v, all_codes[o]));
        ck_ok(io_nifti_write(path, &turned, IO_FLOAT32, "round trip"));
        ck_ok(io_nifti_read(path, &one_frame, &back, &info)); /* also: both forms agree */
        ck_assert_str_eq(info.axcodes, all_codes[o]);
        ck_assert_str_eq(info.warning, "");
        for (int i = 0; i < 12; i++)
            ck_assert_double_eq_tol(back.affine[i / 4][i % 4], turned.affine[i / 4][i % 4], 1e-5);
        ck_assert_mem_eq(back.voxel, turned.voxel, (size_t)im_volume_count(&v) * sizeof *v.voxel);
        ck_ok(io_nifti_inspect(path, &(io_read_opt){.xform = IO_XFORM_QFORM}, &info));
        for (int i = 0; i < 12; i++) /* float32 quaternion near half a turn: 3.5e-4 rad of 5 mm */
            ck_assert_double_eq_tol(info.affine[i / 4][i % 4], turned.affine[i / 4][i % 4], 2e-3);
        im_volume_clear(&turned);
        im_volume_clear(&back);
    }
    im_volume_clear(&v);
}
END_TEST

START_TEST(long_volumes_half_a_turn_around_agree_with_themselves) {
    /* 1 - b^2 - c^2 - d^2 is rounding noise here, and 900 voxels magnify it. */
    const int64_t dim[3] = {900, 700, 2};
    for (int tilt = 0; tilt < 12; tilt++) {
        const double t = 0.7 + 1e-4 * tilt * tilt, c = cos(t), s = sin(t);
        const double affine[3][4] = {
            {-0.5, 0, 0, 0}, {0, 0.5 * c, 0.5 * s, 0}, {0, 0.5 * s, -0.5 * c, 0}};
        im_volume v = {0};
        io_nifti_info info;
        const char *path = io_test_path("long.nii");
        ck_ok(im_volume_init(&v, dim));
        for (int i = 0; i < 12; i++) v.affine[i / 4][i % 4] = affine[i / 4][i % 4];
        ck_ok(io_nifti_write(path, &v, IO_UINT8, NULL));
        ck_ok(io_nifti_inspect(path, &one_frame, &info));
        ck_assert_str_eq(info.warning, "");
        im_volume_clear(&v);
        remove(path);
    }
}
END_TEST

START_TEST(equal_volumes_give_equal_bytes) {
    static const io_dtype types[] = {IO_FLOAT32, IO_INT16, IO_UINT8, IO_UINT16};
    for (size_t t = 0; t < 4; t++) {
        const char *a = io_test_path("a.nii.gz"), *b = io_test_path("b.nii.gz");
        im_volume v = written_volume(a, types[t]), w = written_volume(b, types[t]);
        const io_bytes x = io_bytes_read(a), y = io_bytes_read(b);
        ck_assert_uint_eq(x.n, y.n);
        ck_assert_mem_eq(x.data, y.data, x.n);
        sx_free(x.data);
        sx_free(y.data);
        im_volume_clear(&v);
        im_volume_clear(&w);
    }
}
END_TEST

START_TEST(integer_types_round_and_saturate) {
    static const struct {
        io_dtype type;
        float want[6];
    } cases[] = {{IO_INT16, {-32768, -1, 2, 2, 32767, 0}},
                 {IO_UINT8, {0, 0, 2, 2, 255, 0}},
                 {IO_UINT16, {0, 0, 2, 2, 65535, 0}}};
    const float values[6] = {-1e6f, -0.6f, 1.5f, 2.5f, 1e6f, NAN}; /* halves go to even */
    const int64_t dim[3] = {6, 1, 1};
    for (size_t c = 0; c < 3; c++) {
        im_volume v = {0}, back = {0};
        const char *path = io_test_path("integer.nii");
        ck_ok(im_volume_init(&v, dim));
        memcpy(v.voxel, values, sizeof values);
        ck_ok(io_nifti_write(path, &v, cases[c].type, NULL));
        ck_ok(io_nifti_read(path, &one_frame, &back, NULL));
        for (int i = 0; i < 6; i++)
            ck_assert_msg(back.voxel[i] == cases[c].want[i], "voxel %d: got %g, want %g", i,
                          (double)back.voxel[i], (double)cases[c].want[i]);
        im_volume_clear(&v);
        im_volume_clear(&back);
    }
}
END_TEST

START_TEST(a_sheared_grid_is_written_with_sform_alone) {
    const char *path = io_test_path("shear.nii");
    im_volume v = written_volume(path, IO_INT16);
    io_nifti_info info;
    v.affine[0][1] = 0.1;
    ck_ok(io_nifti_write(path, &v, IO_INT16, NULL));
    ck_ok(io_nifti_inspect(path, &one_frame, &info));
    ck_assert_double_eq_tol(info.affine[0][1], 0.1, 1e-6);
    ck_assert_ptr_nonnull(strstr(info.warning, "sheared"));
    ck_err(io_nifti_inspect(path, &(io_read_opt){.xform = IO_XFORM_QFORM}, &info), SX_E_DATA);
    im_volume_clear(&v);
}
END_TEST

START_TEST(what_cannot_be_written_leaves_nothing_behind) {
    const int64_t dim[3] = {40000, 1, 1};
    im_volume v = {0};
    ck_ok(im_volume_init(&v, dim));
    ck_err(io_nifti_write("scratch-io/long.nii", &v, IO_UINT8, NULL), SX_E_DATA);
    ck_err(io_nifti_write("no/such/folder/x.nii", &v, IO_UINT8, NULL), SX_E_DATA);
    v.dim[0] = 100;
    ck_err(io_nifti_write("no/such/folder/x.nii", &v, IO_UINT8, NULL), SX_E_CREATE);
    ck_assert(!sx_file_exists("scratch-io/long.nii"));
    im_volume_clear(&v);
}
END_TEST

int main(void) {
    Suite *s = suite_create("nifti");
    TCase *c = tcase_create("nifti");
    if (sx_mkdirs("scratch-io") != SX_OK) return EXIT_FAILURE;
    tcase_set_timeout(c, 120);
    tcase_add_test(c, every_type_is_read_in_both_byte_orders);
    tcase_add_test(c, slope_and_intercept_scale_and_odd_ones_are_judged);
    tcase_add_test(c, voxels_that_are_not_finite_are_counted_and_kept_out_of_the_statistics);
    tcase_add_test(c, bad_header_fields_are_refused_with_their_reason);
    tcase_add_test(c, dimensions_beyond_the_rank_may_hold_anything);
    tcase_add_test(c, extensions_must_fit_before_the_voxels);
    tcase_add_test(c, forms_that_disagree_are_refused_unless_one_is_chosen);
    tcase_add_test(c, a_quaternion_places_the_voxels);
    tcase_add_test(c, without_forms_the_orientation_is_warned_about);
    tcase_add_test(c, metres_become_millimetres);
    tcase_add_test(c, one_frame_of_several_is_chosen_or_the_file_refused);
    tcase_add_test(c, two_files_of_one_name_are_refused);
    tcase_add_test(c, what_is_not_an_image_is_refused_by_its_kind);
    tcase_add_test(c, names_are_recognised);
    tcase_add_test(c, a_pair_is_read_through_its_header);
    tcase_add_test(c, the_hash_covers_all_that_is_read);
    tcase_add_test(c, voxels_that_are_not_finite_are_logged_by_the_reader);
    tcase_add_test(c, a_long_path_leaves_room_for_the_reason);
    tcase_add_test(c, a_quaternion_that_is_no_rotation_is_named_as_such);
    tcase_add_test(c, a_file_cut_at_any_length_is_refused);
    tcase_add_test(c, a_gzip_file_cut_at_any_length_is_refused);
    tcase_add_test(c, a_flipped_bit_in_a_gzip_file_is_refused);
    tcase_add_test(c, flipped_header_bits_never_crash_and_never_pass_for_another_size);
    tcase_add_test(c, several_gzip_members_are_one_file_and_junk_after_them_is_not);
    tcase_add_test(c, a_few_bytes_after_the_voxels_are_warned_about_many_are_refused);
    tcase_add_test(c, written_volumes_come_back_in_all_48_orientations);
    tcase_add_test(c, long_volumes_half_a_turn_around_agree_with_themselves);
    tcase_add_test(c, equal_volumes_give_equal_bytes);
    tcase_add_test(c, integer_types_round_and_saturate);
    tcase_add_test(c, a_sheared_grid_is_written_with_sform_alone);
    tcase_add_test(c, what_cannot_be_written_leaves_nothing_behind);
    suite_add_tcase(s, c);
    return check_run_suite(s);
}
