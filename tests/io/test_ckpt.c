/* io_ckpt: round trips, equal bytes, and damage that must never pass unseen. */
#include <hdf5.h>
#include <stdint.h>

#include "base/sx_rng.h"
#include "io/io_ckpt.h"
#include "io/io_hdf5.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"

static const char json[] = "{\"step\": 12, \"text\": \"\\u00e9\"}";

/* Three blocks, one larger than a chunk; data borrowed from statics. */
static int blocks(io_block *b) {
    static float param[530 * 500], small[24], m[7];
    sx_rng r = sx_rng_make(3, SX_RNG_TEST, 0, 0);
    sx_rng_normals(&r, param, 530 * 500);
    sx_rng_normals(&r, small, 24);
    sx_rng_normals(&r, m, 7);
    b[0] = (io_block){.name = "param", .rank = 2, .shape = {530, 500}, .data = param};
    b[1] = (io_block){.name = "net/in/weight", .rank = 4, .shape = {2, 3, 2, 2}, .data = small};
    b[2] = (io_block){.name = "net/in/bias", .rank = 1, .shape = {7}, .data = m};
    return 3;
}

static int64_t count(const io_block *b) {
    int64_t n = 1;
    for (int d = 0; d < b->rank; d++) n *= b->shape[d];
    return n;
}

static bool equal(const io_ckpt *k, const io_block *b, int n) {
    bool same = k->n == n && strcmp(k->json, json) == 0;
    for (int i = 0; same && i < n; i++)
        same = strcmp(k->block[i].name, b[i].name) == 0 && k->block[i].rank == b[i].rank &&
               memcmp(k->block[i].shape, b[i].shape, sizeof b[i].shape) == 0 &&
               memcmp(k->block[i].data, b[i].data, (size_t)count(&b[i]) * 4) == 0;
    return same;
}

START_TEST(blocks_and_text_come_back_in_order) {
    io_block b[3];
    io_ckpt k;
    const char *path = io_test_path("round.h5");
    int n = blocks(b);
    ck_ok(io_ckpt_write(path, json, b, n));
    ck_ok(io_ckpt_read(path, &k));
    ck_assert(equal(&k, b, n));
    ck_assert_uint_eq(strlen(k.digest), 64);
    ck_assert_ptr_eq(io_ckpt_find(&k, "net/in/bias"), &k.block[2]);
    ck_assert_ptr_null(io_ckpt_find(&k, "net/in"));
    io_ckpt_clear(&k);
}
END_TEST

/* One buffer for all blocks: what it holds is gone with the next call. */
static const float *make_in_turn(void *maker, int i) {
    static float buffer[530 * 500];
    const io_block *b = maker;
    memset(buffer, 0x7f, sizeof buffer);
    return memcpy(buffer, b[i].data, (size_t)count(&b[i]) * sizeof *buffer);
}

START_TEST(values_made_one_block_at_a_time_are_written) {
    io_block b[3], made[3];
    io_ckpt k;
    const char *path = io_test_path("made.h5");
    int n = blocks(b);
    memcpy(made, b, sizeof made);
    for (int i = 0; i < n; i++) {
        made[i].data = NULL;
        made[i].make = make_in_turn;
        made[i].maker = b;
        made[i].index = i;
    }
    ck_ok(io_ckpt_write(path, json, made, n));
    ck_ok(io_ckpt_read(path, &k));
    ck_assert(equal(&k, b, n));
    io_ckpt_clear(&k);
}
END_TEST

START_TEST(no_blocks_are_possible) {
    io_ckpt k;
    const char *path = io_test_path("none.h5");
    ck_ok(io_ckpt_write(path, json, NULL, 0));
    ck_ok(io_ckpt_read(path, &k));
    ck_assert_int_eq(k.n, 0);
    ck_assert_str_eq(k.json, json);
    io_ckpt_clear(&k);
}
END_TEST

START_TEST(equal_contents_give_equal_bytes) {
    io_block b[3];
    const char *one = io_test_path("one.h5"), *two = io_test_path("two.h5");
    int n = blocks(b);
    ck_ok(io_ckpt_write(one, json, b, n));
    sleep(1); // a time stamp would have whole seconds
    ck_ok(io_ckpt_write(two, json, b, n));
    io_bytes p = io_bytes_read(one), q = io_bytes_read(two);
    ck_assert_uint_eq(p.n, q.n);
    ck_assert_mem_eq(p.data, q.data, p.n);
    sx_free(p.data);
    sx_free(q.data);
}
END_TEST

/* Read `n` damaged bytes as a checkpoint: true if refused, false if intact; anything else fails. */
static bool refused_or_intact(const char *path, const char *bytes, size_t n, const char *what) {
    io_block b[3];
    io_ckpt k;
    int n_blocks = blocks(b);
    io_bytes_write(path, bytes, n);
    sx_err rc = io_ckpt_read(path, &k);
    ck_assert_msg(rc == SX_OK || rc == SX_E_DATA, "%s: got %s", what, sx_err_name(rc));
    if (rc == SX_OK) ck_assert_msg(equal(&k, b, n_blocks), "%s: other data were accepted", what);
    if (rc != SX_OK) ck_assert_msg(strstr(sx_err_text(), path) != NULL, "%s", sx_err_text());
    io_ckpt_clear(&k);
    return rc != SX_OK;
}

START_TEST(a_flipped_bit_is_refused_or_harmless) {
    io_block b[3];
    const char *path = io_test_path("flip.h5");
    sx_rng r = sx_rng_make(5, SX_RNG_TEST, 0, 0);
    ck_ok(io_ckpt_write(path, json, b, blocks(b)));
    io_bytes whole = io_bytes_read(path);
    int refused = 0;
    for (int i = 0; i < 200; i++) {
        // half of the flips anywhere, half in the first 8 KiB, where the metadata are
        size_t at = (size_t)sx_rng_int(&r, 0, i % 2 ? 8191 : (int64_t)whole.n - 1);
        char bit = (char)(1 << sx_rng_int(&r, 0, 7)), what[40];
        snprintf(what, sizeof what, "bit %d of byte %zu", bit, at);
        whole.data[at] = (char)(whole.data[at] ^ bit);
        refused += refused_or_intact(path, whole.data, whole.n, what);
        whole.data[at] = (char)(whole.data[at] ^ bit);
    }
    ck_assert_msg(refused >= 150, "%d of 200 refused, want 150 at least", refused);
    printf("flipped bits: %d of 200 refused, the rest harmless\n", refused);
    sx_free(whole.data);
}
END_TEST

START_TEST(a_truncated_file_is_refused) {
    io_block b[3];
    const char *path = io_test_path("cut.h5");
    ck_ok(io_ckpt_write(path, json, b, blocks(b)));
    io_bytes whole = io_bytes_read(path);
    for (size_t i = 0; i < 50; i++) {
        char what[40];
        size_t n = i < 40 ? i * whole.n / 40 : whole.n - 1 - (i - 40);
        snprintf(what, sizeof what, "cut to %zu of %zu", n, whole.n);
        ck_assert_msg(refused_or_intact(path, whole.data, n, what), "%s: accepted", what);
    }
    sx_free(whole.data);
}
END_TEST

START_TEST(other_files_are_refused_with_the_right_error) {
    io_ckpt k;
    const char *path = io_test_path("text.h5");
    ck_ok(sx_file_write(path, "hello", 5));
    ck_err(io_ckpt_read(path, &k), SX_E_DATA);
    ck_err(io_ckpt_read("scratch-io/absent.h5", &k), SX_E_NOINPUT);
    ck_err(io_ckpt_read("scratch-io", &k), SX_E_NOINPUT);
    ck_err(io_ckpt_write("scratch-io/no/such/folder.h5", json, NULL, 0), SX_E_CREATE);
}
END_TEST

START_TEST(older_kinds_of_hdf5_are_not_shown_to_the_library) {
    io_block b[3];
    io_ckpt k;
    const char *path = io_test_path("older.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    ck_err(io_ckpt_read(path, &k), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), "sagax does not write") != NULL, "%s", sx_err_text());
    ck_ok(io_ckpt_write(path, json, b, blocks(b)));
    io_bytes whole = io_bytes_read(path);
    whole.data[8] ^= 2; // one bit of the superblock's version: 3 becomes 1
    io_bytes_write(path, whole.data, whole.n);
    ck_err(io_ckpt_read(path, &k), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), "sagax does not write") != NULL, "%s", sx_err_text());
    whole.data[8] ^= 2;
    io_bytes_write(path, whole.data, whole.n - 1);
    ck_err(io_ckpt_read(path, &k), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), "truncated: ") != NULL, "%s", sx_err_text());
    sx_free(whole.data);
}
END_TEST

/* An HDF5 file as other programs might write it: `n` texts as the attribute `format`, and `names`.
 */
static const char *foreign_file(hsize_t n, const char *names) {
    const char *path = io_test_path("foreign.h5");
    char format[8][32] = {"sagax checkpoint"};
    const hsize_t n_names = strlen(names);
    io_block b[3];
    ck_ok(io_ckpt_write(path, json, b, blocks(b)));
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), type = H5Tcopy(H5T_C_S1);
    hid_t space = H5Screate_simple(1, &n, NULL), text = H5Screate_simple(1, &n_names, NULL);
    H5Tset_size(type, sizeof format[0]);
    H5Adelete(file, "format");
    hid_t a = H5Acreate2(file, "format", type, space, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Awrite(a, type, format), 0);
    H5Ldelete(file, "names", H5P_DEFAULT);
    hid_t d = H5Dcreate2(file, "names", H5T_STD_U8LE, text, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Dwrite(d, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, names), 0);
    H5Dclose(d), H5Aclose(a), H5Sclose(text), H5Sclose(space), H5Tclose(type), H5Fclose(file);
    return path;
}

static const char names_of_blocks[] = "param\nnet/in/weight\nnet/in/bias";

START_TEST(an_attribute_of_many_texts_is_not_read_into_the_room_of_one) {
    io_ckpt k;
    ck_err(io_ckpt_read(foreign_file(8, names_of_blocks), &k), SX_E_DATA);
    ck_ok(io_ckpt_read(foreign_file(1, names_of_blocks), &k));
    io_ckpt_clear(&k);
}
END_TEST

START_TEST(a_text_longer_than_the_file_takes_no_memory) {
    const char *path = foreign_file(1, names_of_blocks);
    const hsize_t n = 60 << 20;
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), space = H5Screate_simple(1, &n, NULL);
    H5Ldelete(file, "names", H5P_DEFAULT);
    H5Dclose(H5Dcreate2(file, "names", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space), H5Fclose(file);
    io_ckpt k;
    const int64_t before = sx_peak_rss_bytes();
    ck_err(io_ckpt_read(path, &k), SX_E_DATA);
    ck_assert_int_lt(sx_peak_rss_bytes() - before, 30 << 20);
}
END_TEST

START_TEST(names_may_lack_the_last_line_end) {
    io_ckpt k;
    ck_ok(io_ckpt_read(foreign_file(1, names_of_blocks), &k));
    ck_assert_int_eq(k.n, 3);
    io_ckpt_clear(&k);
    ck_err(io_ckpt_read(foreign_file(1, "param"), &k), SX_E_DATA); // other contents, one block
}
END_TEST

/* The library opens first what is not there: that is no error of the file that it makes then. */
START_TEST(a_file_is_made_where_there_was_none) {
    const char *path = io_test_path("fresh.h5");
    unlink(path);
    io__hdf5_lock();
    hid_t file = io__hdf5_create(path, NULL);
    ck_assert(file >= 0 && io__hdf5_put_attribute(file, "name", "value"));
    ck_assert_msg(io__hdf5_close(file), "%s", io__hdf5_reason());
    ck_ok(io__hdf5_open(path, &file));
    ck_assert(io__hdf5_close(file));
    io__hdf5_unlock();
}
END_TEST

START_TEST(a_checkpoint_of_another_version_is_no_damage) {
    const char *path = io_test_path("newer.h5"), *newer = "9";
    io_block b[3];
    io_ckpt k;
    ck_ok(io_ckpt_write(path, json, b, blocks(b)));
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t version = H5Aopen(file, "version", H5P_DEFAULT), type = H5Aget_type(version);
    ck_assert_int_ge(H5Awrite(version, type, newer), 0);
    H5Tclose(type);
    H5Aclose(version);
    H5Fclose(file);
    ck_err(io_ckpt_read(path, &k), SX_E_CONFIG);
    ck_assert_msg(strstr(sx_err_text(), "version 9") != NULL, "%s", sx_err_text());
}
END_TEST

int main(void) {
    Suite *s = suite_create("io_ckpt");
    TCase *c = tcase_create("all");
    tcase_add_test(c, blocks_and_text_come_back_in_order);
    tcase_add_test(c, values_made_one_block_at_a_time_are_written);
    tcase_add_test(c, no_blocks_are_possible);
    tcase_add_test(c, equal_contents_give_equal_bytes);
    tcase_add_test(c, a_flipped_bit_is_refused_or_harmless);
    tcase_add_test(c, a_truncated_file_is_refused);
    tcase_add_test(c, other_files_are_refused_with_the_right_error);
    tcase_add_test(c, older_kinds_of_hdf5_are_not_shown_to_the_library);
    tcase_add_test(c, an_attribute_of_many_texts_is_not_read_into_the_room_of_one);
    tcase_add_test(c, a_text_longer_than_the_file_takes_no_memory);
    tcase_add_test(c, names_may_lack_the_last_line_end);
    tcase_add_test(c, a_file_is_made_where_there_was_none);
    tcase_add_test(c, a_checkpoint_of_another_version_is_no_damage);
    suite_add_tcase(s, c);
    return check_run_suite(s);
}
