/* io_tensors: round trips, widening, strictness, damage. */
#include <math.h>
#include <stdint.h>

#include "base/sx_rng.h"
#include "io/io_tensors.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"

/* A file of a hand-written header and data. */
static const char *raw_file(const char *header, const void *data, size_t n_data) {
    const char *path = io_test_path("raw.safetensors");
    size_t n = strlen(header);
    char *bytes = sx_alloc((int64_t)(8 + n + n_data), 1);
    bytes[0] = (char)(n & 255), bytes[1] = (char)(n >> 8);
    memcpy(bytes + 8, header, n);
    memcpy(bytes + 8 + n, data, n_data);
    io_bytes_write(path, bytes, 8 + n + n_data);
    sx_free(bytes);
    return path;
}

static void fill(io_tensors *t) {
    const float x[6] = {1, -2, 3.5f, NAN, INFINITY, 1e-42f};
    const int64_t i[3] = {INT64_MAX, INT64_MIN, 7};
    io_tensors_add_f32(t, "b/weight", 2, (int64_t[]){2, 3}, x);
    io_tensors_add_i64(t, "t", 1, (int64_t[]){3}, i);
    io_tensors_add_f32(t, "a", 0, NULL, x);
    io_tensors_add_f32(t, "empty", 2, (int64_t[]){0, 5}, NULL);
    io_tensors_add_meta(t, "net", "palette \"x\"\n");
    io_tensors_add_meta(t, "base", "32");
}

START_TEST(a_set_comes_back_bit_for_bit) {
    io_tensors t = {0}, u;
    const char *path = io_test_path("round.safetensors");
    fill(&t);
    ck_ok(io_tensors_write(path, &t));
    ck_ok(io_tensors_read(path, &u));
    ck_assert_int_eq(u.n, t.n);
    for (int k = 0; k < t.n; k++) {
        const io_tensor *x = &t.item[k], *y = io_tensors_find(&u, x->name);
        ck_assert_ptr_nonnull(y);
        ck_assert_int_eq(y->rank, x->rank);
        ck_assert_mem_eq(y->shape, x->shape, sizeof x->shape);
        ck_assert_int_eq(y->count, x->count);
        ck_assert(!x->f32 == !y->f32);
        if (x->f32)
            ck_assert_mem_eq(y->f32, x->f32, (size_t)x->count * 4);
        else
            ck_assert_mem_eq(y->i64, x->i64, (size_t)x->count * 8);
    }
    ck_assert_str_eq(io_tensors_meta(&u, "net"), "palette \"x\"\n");
    ck_assert_str_eq(io_tensors_meta(&u, "base"), "32");
    ck_assert_ptr_null(io_tensors_meta(&u, "other"));
    ck_assert_ptr_null(io_tensors_find(&u, "other"));
    io_tensors_clear(&t);
    io_tensors_clear(&u);
}
END_TEST

START_TEST(equal_sets_give_equal_bytes_in_any_order) {
    io_tensors t = {0}, u = {0};
    const char *one = io_test_path("one.safetensors"), *two = io_test_path("two.safetensors");
    const float x[2] = {1, 2};
    io_tensors_add_f32(&t, "a", 1, (int64_t[]){2}, x);
    io_tensors_add_f32(&t, "b", 1, (int64_t[]){1}, x);
    io_tensors_add_meta(&t, "k", "1");
    io_tensors_add_meta(&t, "a", "2");
    io_tensors_add_meta(&u, "a", "2");
    io_tensors_add_meta(&u, "k", "1");
    io_tensors_add_f32(&u, "b", 1, (int64_t[]){1}, x);
    io_tensors_add_f32(&u, "a", 1, (int64_t[]){2}, x);
    ck_ok(io_tensors_write(one, &t));
    ck_ok(io_tensors_write(two, &u));
    io_bytes p = io_bytes_read(one), q = io_bytes_read(two);
    ck_assert_uint_eq(p.n, q.n);
    ck_assert_mem_eq(p.data, q.data, p.n);
    sx_free(p.data);
    sx_free(q.data);
    io_tensors_clear(&t);
    io_tensors_clear(&u);
}
END_TEST

START_TEST(halves_brain_floats_and_doubles_are_widened) {
    io_tensors t;
    // F16: 1, -2, 65504, smallest subnormal, inf; BF16: 1, -3; F64: 0.5; I8: -1
    const unsigned char data[] = {0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00,
                                  0x00, 0x7c, 0x80, 0x3f, 0x40, 0xc0, 0,    0,
                                  0,    0,    0,    0,    0xe0, 0x3f, 0xff};
    const char *path = raw_file("{\"h\":{\"dtype\":\"F16\",\"shape\":[5],\"data_offsets\":[0,10]},"
                                "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[10,14]},"
                                "\"d\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[14,22]},"
                                "\"i\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[22,23]}}",
                                data, sizeof data);
    ck_ok(io_tensors_read(path, &t));
    const float h[5] = {1, -2, 65504, 0x1p-24f, INFINITY}, b[2] = {1, -3};
    for (int i = 0; i < 5; i++) ck_assert_float_eq(io_tensors_find(&t, "h")->f32[i], h[i]);
    for (int i = 0; i < 2; i++) ck_assert_float_eq(io_tensors_find(&t, "b")->f32[i], b[i]);
    ck_assert_float_eq(io_tensors_find(&t, "d")->f32[0], 0.5f);
    ck_assert_int_eq(io_tensors_find(&t, "i")->i64[0], -1);
    io_tensors_clear(&t);
}
END_TEST

#define ONE(dtype, shape, offsets)                                                                 \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const char *const bad_headers[] = {
    ONE("\"F31\"", "[2]", "[0,8]"),
    ONE("7", "[2]", "[0,8]"),
    ONE("\"F32\"", "[3]", "[0,8]"),
    ONE("\"F32\"", "[-2]", "[0,8]"),
    ONE("\"F32\"", "[2.0]", "[0,8]"),
    ONE("\"F32\"", "2", "[0,8]"),
    ONE("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]"),
    ONE("\"F32\"", "[4611686018427387904,4611686018427387904,2]", "[0,8]"),
    ONE("\"F32\"", "[9223372036854775807]", "[0,8]"),
    ONE("\"F32\"", "[3]", "[0,12]"),
    ONE("\"F32\"", "[1]", "[0,4]"),
    ONE("\"F32\"", "[1]", "[4,8]"),
    ONE("\"F32\"", "[2]", "[8,0]"),
    ONE("\"F32\"", "[2]", "[0,8,8]"),
    ONE("\"F32\"", "[2]", "[-8,0]"),
    ONE("\"F32\"", "[2]", "[0,8],\"x\":1"),
    "{\"a\":[]}",
    "{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
    "{\"__metadata__\":{\"k\":1},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
    "[]",
    "{}",
    "{",
    "no json",
};

START_TEST(a_header_that_lies_is_refused) {
    const float data[2] = {1, 2};
    io_tensors t;
    const char *path = raw_file(bad_headers[_i], data, sizeof data);
    sx_err rc = io_tensors_read(path, &t);
    ck_assert_msg(rc == SX_E_DATA, "header %s: got %s", bad_headers[_i], sx_err_name(rc));
    ck_assert_msg(strstr(sx_err_text(), path) != NULL, "no path in: %s", sx_err_text());
    ck_assert_int_eq(t.n, 0);
}
END_TEST

START_TEST(every_truncation_is_refused) {
    io_tensors t = {0}, u;
    const char *whole = io_test_path("whole.safetensors"), *cut = io_test_path("cut.safetensors");
    fill(&t);
    ck_ok(io_tensors_write(whole, &t));
    io_bytes b = io_bytes_read(whole);
    for (size_t n = 0; n < b.n; n++) {
        io_bytes_write(cut, b.data, n);
        ck_err(io_tensors_read(cut, &u), SX_E_DATA);
    }
    sx_free(b.data);
    io_tensors_clear(&t);
}
END_TEST

START_TEST(random_damage_never_crashes_the_reader) {
    io_tensors t = {0}, u;
    const char *path = io_test_path("fuzz.safetensors");
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    fill(&t);
    ck_ok(io_tensors_write(path, &t));
    io_bytes b = io_bytes_read(path);
    for (int i = 0; i < 1500; i++) {
        char *damaged = sx_alloc((int64_t)b.n, 1);
        memcpy(damaged, b.data, b.n);
        for (int k = 0; k < 3; k++)
            damaged[sx_rng_int(&r, 0, (int64_t)b.n - 1)] ^= (char)(1 << sx_rng_int(&r, 0, 7));
        io_bytes_write(path, damaged, b.n);
        sx_err rc = io_tensors_read(path, &u);
        ck_assert_msg(rc == SX_OK || rc == SX_E_DATA, "got %s", sx_err_name(rc));
        io_tensors_clear(&u);
        sx_free(damaged);
    }
    sx_free(b.data);
    io_tensors_clear(&t);
}
END_TEST

START_TEST(absent_files_and_folders_are_missing_inputs) {
    io_tensors t;
    ck_err(io_tensors_read("scratch-io/none.safetensors", &t), SX_E_NOINPUT);
    ck_err(io_tensors_read("scratch-io", &t), SX_E_NOINPUT);
}
END_TEST

START_TEST(an_unwritable_place_is_refused_and_leaves_nothing) {
    io_tensors t = {0};
    fill(&t);
    ck_err(io_tensors_write("scratch-io/no/such/folder.safetensors", &t), SX_E_CREATE);
    io_tensors_clear(&t);
}
END_TEST

START_TEST(a_full_disk_is_no_place_that_cannot_be_created_and_leaves_the_old_file) {
    const char *path = io_test_path("full.safetensors");
    static float x[1 << 16];
    io_tensors t = {0}, back;
    fill(&t);
    ck_ok(io_tensors_write(path, &t));
    io_tensors_add_f32(&t, "large", 1, (int64_t[]){1 << 16}, x);
    for (int64_t room = 0; room < (1 << 18); room = 8 * room + 5) {
        io_test_room(room);
        const sx_err rc = io_tensors_write(path, &t);
        io_test_room(-1);
        ck_assert_msg(rc == SX_E_IO, "%d bytes: %s", (int)room, sx_err_text());
    }
    ck_ok(io_tensors_read(path, &back));
    ck_assert_ptr_null(io_tensors_find(&back, "large"));
    io_tensors_clear(&back);
    io_tensors_clear(&t);
}
END_TEST

START_TEST(the_palette_fixture_has_its_known_tensors) {
    const char *shared = getenv("SAGAX_SHARED");
    char path[600];
    io_tensors t;
    snprintf(path, sizeof path, "%s/fixtures/palette.safetensors", shared ? shared : "");
    if (!shared || !sx_file_exists(path)) {
        printf("SKIPPED: no %s\n", path);
        return;
    }
    ck_ok(io_tensors_read(path, &t));
    const io_tensor *x = io_tensors_find(&t, "input/x"), *time = io_tensors_find(&t, "input/t");
    ck_assert_ptr_nonnull(x);
    ck_assert_ptr_nonnull(time);
    ck_assert_int_eq(x->rank, 4);
    ck_assert_int_eq(x->shape[0], 2);
    ck_assert_ptr_nonnull(time->i64);
    for (int i = 0; i < t.n; i++) {
        int64_t n = 0; /* finite values from the first on */
        while (t.item[i].f32 && n < t.item[i].count && isfinite(t.item[i].f32[n])) n++;
        ck_assert_msg(!t.item[i].f32 || n == t.item[i].count, "%s[%ld]", t.item[i].name, (long)n);
    }
    io_tensors_clear(&t);
}
END_TEST

START_TEST(metadata_that_is_not_utf8_is_refused_not_dropped) {
    io_tensors t = {0};
    const char *path = io_test_path("latin.safetensors");
    io_tensors_add_meta(&t, "note", "caf\xe9");
    ck_err(io_tensors_write(path, &t), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), "UTF-8") != NULL, "%s", sx_err_text());
    ck_assert(!sx_file_exists(path));
    io_tensors_clear(&t);
}
END_TEST

int main(void) {
    Suite *s = suite_create("io_tensors");
    TCase *c = tcase_create("all");
    tcase_add_test(c, a_set_comes_back_bit_for_bit);
    tcase_add_test(c, equal_sets_give_equal_bytes_in_any_order);
    tcase_add_test(c, halves_brain_floats_and_doubles_are_widened);
    tcase_add_loop_test(c, a_header_that_lies_is_refused, 0,
                        (int)(sizeof bad_headers / sizeof bad_headers[0]));
    tcase_add_test(c, every_truncation_is_refused);
    tcase_add_test(c, random_damage_never_crashes_the_reader);
    tcase_add_test(c, metadata_that_is_not_utf8_is_refused_not_dropped);
    tcase_add_test(c, absent_files_and_folders_are_missing_inputs);
    tcase_add_test(c, an_unwritable_place_is_refused_and_leaves_nothing);
    tcase_add_test(c, a_full_disk_is_no_place_that_cannot_be_created_and_leaves_the_old_file);
    tcase_add_test(c, the_palette_fixture_has_its_known_tensors);
    suite_add_tcase(s, c);
    return check_run_suite(s);
}
