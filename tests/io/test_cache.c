/* io_cache: what goes in comes out, equal bytes on any number of ranks, damage is named. Run on 1,
 * 2 and 3 ranks; single-process behaviour is tested by rank 0 alone. */
#include <math.h>
#include <stdint.h>

#include "base/sx_rng.h"
#include "io/io_cache_private.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"

static mp_comm *world;

enum { N_VOLUMES = 7, FAILED = 3 };

/* Volume i of a made-up cohort: sizes differ, one failed. */
static io_cache_volume volume(int64_t i) {
    io_cache_volume v = {.rel = sx_strf("sub-%d/anat/sub-%d_T2w.nii.gz", (int)i, (int)i),
                         .ok = i != FAILED,
                         .split = (io_split)(i % IO_N_SPLITS),
                         .axcodes = "PIR",
                         .mapping = {0, 812.25, 0.999}};
    snprintf(v.subject, sizeof v.subject, "%d", (int)i);
    snprintf(v.sha256, sizeof v.sha256, "%064d", (int)i);
    if (!v.ok) {
        snprintf(v.reason, sizeof v.reason, "crc");
        snprintf(v.message, sizeof v.message, "%s: damaged", v.rel);
        return v;
    }
    v.n = 3 + i, v.h = 20 + 3 * i, v.w = 31 - i;
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, (uint64_t)i);
    v.pixels = SX_NEW_ARRAY(uint16_t, v.n * v.h * v.w);
    for (int64_t p = 0; p < v.n * v.h * v.w; p++) v.pixels[p] = (uint16_t)sx_rng_u32(&r);
    for (int d = 0; d < 3; d++) {
        v.zooms[d] = 0.1 * (double)(i + d + 1);
        v.affine[d][d] = v.zooms[d];
        v.affine[d][3] = -100.0 / 3 * d;
        v.crop[d] = i + d;
    }
    v.affine[3][3] = 1;
    return v;
}

static sx_err write_cache(mp_comm *c, const char *path) {
    io_cache_writer *w;
    sx_err rc = io_cache_create(&w, c, path, "0123abcd");
    if (rc != SX_OK) return rc;
    for (int64_t first = 0; first < N_VOLUMES && rc == SX_OK; first += mp_size(c)) {
        int64_t item = first + mp_rank(c);
        io_cache_volume v = {0};
        if (item < N_VOLUMES) v = volume(item);
        rc = io_cache_append(w, item < N_VOLUMES ? item : -1, &v);
        io_cache_volume_clear(&v);
    }
    sx_err end = io_cache_commit(w, rc == SX_OK);
    return rc != SX_OK ? rc : end;
}

static void compare_files(const char *one, const char *two) {
    io_bytes p = io_bytes_read(one), q = io_bytes_read(two);
    ck_assert_uint_eq(p.n, q.n);
    ck_assert_mem_eq(p.data, q.data, p.n);
    sx_free(p.data);
    sx_free(q.data);
}

START_TEST(ranks_together_write_the_bytes_that_one_process_writes) {
    char path[64];
    snprintf(path, sizeof path, "scratch-io/cache-np%d.h5", mp_size(world));
    ck_ok(sx_mkdirs("scratch-io"));
    ck_ok(write_cache(world, path));
    if (mp_rank(world) == 0) {
        const char *serial = io_test_path("serial.h5");
        ck_ok(write_cache(mp_self(), serial));
        compare_files(path, serial);
    }
    mp_barrier(world);
}
END_TEST

START_TEST(ranks_learn_together_that_a_place_cannot_be_written) {
    io_cache_writer *w;
    ck_err(io_cache_create(&w, world, "/proc/no/such/cache.h5", "x"), SX_E_CREATE);
    ck_assert_ptr_null(w);
}
END_TEST

START_TEST(a_cache_that_is_not_kept_leaves_nothing) {
    io_cache_writer *w;
    ck_ok(sx_mkdirs("scratch-io"));
    ck_ok(io_cache_create(&w, world, "scratch-io/dropped.h5", "x"));
    ck_ok(io_cache_commit(w, false));
    mp_barrier(world);
    ck_assert(!sx_file_exists("scratch-io/dropped.h5"));
}
END_TEST

/* ---- one process ---- */

static const char *fresh(const char *name) {
    const char *path = io_test_path(name);
    ck_ok(write_cache(mp_self(), path));
    return path;
}

START_TEST(entries_come_back_whole) {
    io_cache *k;
    ck_ok(io_cache_open(&k, fresh("entries.h5")));
    ck_assert_int_eq(io_cache_n_volumes(k), N_VOLUMES);
    ck_assert_str_eq(io_cache_config_hash(k), "0123abcd");
    for (int64_t i = 0; i < N_VOLUMES; i++) {
        io_cache_volume v = volume(i);
        const io_cache_volume *e = io_cache_entry(k, i);
        ck_assert_str_eq(e->rel, v.rel);
        ck_assert_str_eq(e->sha256, v.sha256);
        ck_assert_str_eq(e->subject, v.subject);
        ck_assert_str_eq(e->reason, v.reason);
        ck_assert_str_eq(e->message, v.message);
        ck_assert_str_eq(e->axcodes, v.axcodes);
        ck_assert_int_eq(e->split, v.split);
        ck_assert_int_eq(e->ok, v.ok);
        ck_assert_int_eq(e->n, v.n);
        ck_assert_int_eq(e->h, v.h);
        ck_assert_int_eq(e->w, v.w);
        ck_assert_mem_eq(e->affine, v.affine, sizeof v.affine);
        ck_assert_mem_eq(e->zooms, v.zooms, sizeof v.zooms);
        ck_assert_mem_eq(e->crop, v.crop, sizeof v.crop);
        ck_assert_mem_eq(&e->mapping, &v.mapping, sizeof v.mapping);
        ck_assert_ptr_null(e->pixels);
        io_cache_volume_clear(&v);
    }
    io_cache_close(k);
}
END_TEST

START_TEST(pixels_and_slices_come_back_bit_for_bit) {
    io_cache *k;
    ck_ok(io_cache_open(&k, fresh("pixels.h5")));
    for (int64_t i = 0; i < N_VOLUMES; i++) {
        io_cache_volume v = volume(i);
        uint16_t *pixels;
        if (!v.ok) {
            ck_err(io_cache_pixels(k, i, &pixels), SX_E_DATA);
            io_cache_volume_clear(&v);
            continue;
        }
        const int64_t area = v.h * v.w;
        float *slice = SX_NEW_ARRAY(float, area);
        ck_ok(io_cache_pixels(k, i, &pixels));
        ck_assert_mem_eq(pixels, v.pixels, (size_t)(v.n * area) * 2);
        ck_ok(io_cache_slice(k, i, v.n - 1, slice));
        for (int64_t p = 0; p < area; p++)
            ck_assert_int_eq(lrintf(slice[p] * 65535), v.pixels[(v.n - 1) * area + p]);
        ck_ok(io_cache_check(k, i));
        sx_free(slice);
        sx_free(pixels);
        io_cache_volume_clear(&v);
    }
    io_cache_close(k);
}
END_TEST

/* A large cohort must not need more memory than a small one: each open dataset takes some. */
START_TEST(a_cache_of_many_volumes_keeps_few_of_them_open_and_reads_all) {
    enum { MANY = 600, FEW = 300 };
    const char *path = io_test_path("many.h5");
    io_cache_writer *w;
    io_cache *k;
    float got = 0;
    ck_ok(io_cache_create(&w, mp_self(), path, "0123abcd"));
    for (int64_t i = 0; i < MANY; i++) {
        uint16_t value = (uint16_t)(7 * i);
        io_cache_volume v = {.rel = sx_strf("sub-%d_T2w.nii.gz", (int)i), .ok = true};
        v.n = v.h = v.w = 1;
        v.pixels = &value;
        ck_ok(io_cache_append(w, i, &v));
        sx_free(v.rel);
    }
    ck_ok(io_cache_commit(w, true));
    ck_ok(io_cache_open(&k, path));
    for (int64_t read = 0; read < 2 * MANY; read++) {
        const int64_t i = read % MANY;
        ck_ok(io_cache_slice(k, i, 0, &got));
        ck_assert_int_eq(lrintf(got * 65535), 7 * i);
        io__hdf5_lock();
        ck_assert_int_le(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_DATASET), FEW);
        io__hdf5_unlock();
    }
    io_cache_close(k);
    io__hdf5_lock();
    ck_assert_int_eq(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    io__hdf5_unlock();
}
END_TEST

/* Everything in a cache is what was written; SX_OK, or the error of whatever refused. */
static sx_err read_all(const char *path, const char *what) {
    io_cache *k;
    sx_err rc = io_cache_open(&k, path);
    for (int64_t i = 0; rc == SX_OK && i < N_VOLUMES; i++) {
        io_cache_volume v = volume(i);
        uint16_t *pixels = NULL;
        rc = io_cache_check(k, i);
        if (rc == SX_OK && v.ok) {
            ck_ok(io_cache_pixels(k, i, &pixels));
            ck_assert_msg(memcmp(pixels, v.pixels, (size_t)(v.n * v.h * v.w) * 2) == 0,
                          "%s: other pixels were accepted", what);
            ck_assert_msg(strcmp(io_cache_entry(k, i)->rel, v.rel) == 0, "%s: other entry", what);
        }
        sx_free(pixels);
        io_cache_volume_clear(&v);
    }
    io_cache_close(k);
    return rc;
}

START_TEST(a_flipped_bit_is_refused_or_harmless) {
    const char *path = fresh("flip.h5");
    io_bytes whole = io_bytes_read(path);
    sx_rng r = sx_rng_make(6, SX_RNG_TEST, 0, 0);
    int refused = 0;
    for (int i = 0; i < 200; i++) {
        size_t at = (size_t)sx_rng_int(&r, 0, (int64_t)whole.n - 1);
        char bit = (char)(1 << sx_rng_int(&r, 0, 7)), what[40];
        snprintf(what, sizeof what, "byte %zu", at);
        whole.data[at] = (char)(whole.data[at] ^ bit);
        io_bytes_write(path, whole.data, whole.n);
        whole.data[at] = (char)(whole.data[at] ^ bit);
        sx_err rc = read_all(path, what);
        ck_assert_msg(rc == SX_OK || rc == SX_E_DATA, "%s: got %s", what, sx_err_name(rc));
        refused += rc != SX_OK;
    }
    printf("flipped bits: %d of 200 refused, the rest harmless\n", refused);
    ck_assert_int_ge(refused, 150);
    sx_free(whole.data);
}
END_TEST

START_TEST(a_truncated_cache_is_refused) {
    const char *path = fresh("cut.h5");
    io_bytes whole = io_bytes_read(path);
    for (size_t i = 0; i < 50; i++) {
        char what[40];
        size_t n = i * whole.n / 50;
        snprintf(what, sizeof what, "cut to %zu", n);
        io_bytes_write(path, whole.data, n);
        sx_err rc = read_all(path, what);
        ck_assert_msg(rc == SX_E_DATA, "%s: got %s", what, sx_err_name(rc));
    }
    sx_free(whole.data);
}
END_TEST

START_TEST(damaged_pixels_are_found_and_named_and_spare_the_others) {
    const char *path = fresh("named.h5");
    io_bytes whole = io_bytes_read(path);
    io_cache_volume v = volume(2);
    size_t at = 0; // where the pixels of volume 2 begin
    while (memcmp(whole.data + at, v.pixels, 64) != 0) at++;
    whole.data[at + 5] ^= 4;
    io_bytes_write(path, whole.data, whole.n);
    io_cache *k;
    ck_ok(io_cache_open(&k, path));
    for (int64_t i = 0; i < N_VOLUMES; i++) {
        sx_err rc = io_cache_check(k, i);
        ck_assert_msg(rc == (i == 2 ? SX_E_DATA : SX_OK), "volume %d: %s", (int)i, sx_err_name(rc));
        if (i != 2) continue;
        ck_assert_msg(strstr(sx_err_text(), v.rel) != NULL, "%s", sx_err_text());
        ck_assert_msg(strstr(sx_err_text(), "damaged slices 0: ") != NULL, "%s", sx_err_text());
        ck_assert_msg(strstr(sx_err_text(), "unknown") == NULL, "%s", sx_err_text());
    }
    io_cache_close(k);
    io_cache_volume_clear(&v);
    sx_free(whole.data);
}
END_TEST

/* HDF5's checksum does not see it: words of zeros and of ones are the same to Fletcher-32. */
START_TEST(a_background_that_turned_into_ones_is_found) {
    const char *path = io_test_path("ones.h5");
    io_cache_writer *w;
    io_cache *k;
    io_cache_volume v = volume(2);
    float *slice = SX_NEW_ARRAY(float, v.h *v.w);
    memset(v.pixels + v.w, 0, (size_t)((v.h - 1) * v.w) * 2); // slice 0 but for its first row
    ck_ok(io_cache_create(&w, mp_self(), path, "x"));
    ck_ok(io_cache_append(w, 0, &v));
    ck_ok(io_cache_commit(w, true));
    io_bytes whole = io_bytes_read(path);
    size_t at = 0;
    while (memcmp(whole.data + at, v.pixels, (size_t)v.w * 2) != 0) at++;
    memset(whole.data + at + v.w * 2, 0xff, 512);
    io_bytes_write(path, whole.data, whole.n);
    ck_ok(io_cache_open(&k, path));
    ck_err(io_cache_check(k, 0), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), "damaged slices 0: ") != NULL, "%s", sx_err_text());
    ck_err(io_cache_slice(k, 0, 0, slice), SX_E_DATA);
    ck_ok(io_cache_slice(k, 0, 1, slice));
    io_cache_close(k);
    io_cache_volume_clear(&v);
    sx_free(slice);
    sx_free(whole.data);
}
END_TEST

START_TEST(entries_of_older_caches_have_no_crcs) {
    static const char *const bad[] = {"{\"crc\": 1}", "{\"crc\": [1]}", "{\"crc\": [1, -1]}",
                                      "{\"crc\": [1, 4294967296]}", "{\"crc\": [1, 2.0]}"};
    uint32_t *crc;
    json_t *entry = json_loads("{\"file\": \"a.nii\"}", 0, NULL);
    ck_assert(io__cache_get_crcs(entry, IO__PIXELS, 2, &crc) && !crc);
    ck_assert(!io__cache_get_crcs(entry, IO__LABELS, 2, &crc)); /* are younger than checksums */
    ck_assert(io__cache_put_crcs(entry, IO__PIXELS, (const uint32_t[]){7, UINT32_MAX}, 2));
    ck_assert(io__cache_get_crcs(entry, IO__PIXELS, 2, &crc) && crc[0] == 7 &&
              crc[1] == UINT32_MAX);
    sx_free(crc);
    json_decref(entry);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        entry = json_loads(bad[i], 0, NULL);
        ck_assert_msg(!io__cache_get_crcs(entry, IO__PIXELS, 2, &crc), "%s was taken", bad[i]);
        sx_free(crc);
        json_decref(entry);
    }
}
END_TEST

START_TEST(other_files_are_refused) {
    io_cache *k;
    const char *text = io_test_path("text.h5");
    io_bytes_write(text, "hello", 5);
    ck_err(io_cache_open(&k, text), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), "unknown") == NULL, "%s", sx_err_text());
    ck_err(io_cache_open(&k, "scratch-io/absent.h5"), SX_E_NOINPUT);
}
END_TEST

START_TEST(a_cache_of_one_holds_its_volume_or_why_there_is_none) {
    for (int64_t i = FAILED - 1; i <= FAILED; i++) {
        const char *path = io_test_path("one.h5");
        io_cache_volume v = volume(i);
        io_cache *k;
        ck_ok(io_cache_write_one(path, "0123abcd", &v));
        ck_ok(io_cache_open(&k, path));
        ck_assert_str_eq(io_cache_config_hash(k), "0123abcd");
        ck_assert_int_eq(io_cache_n_volumes(k), 1);
        ck_assert_str_eq(io_cache_entry(k, 0)->rel, v.rel);
        ck_assert_str_eq(io_cache_entry(k, 0)->message, v.message);
        ck_ok(io_cache_check(k, 0));
        if (v.ok) {
            uint16_t *pixels;
            ck_ok(io_cache_pixels(k, 0, &pixels));
            ck_assert_mem_eq(pixels, v.pixels, (size_t)(v.n * v.h * v.w) * 2);
            sx_free(pixels);
        }
        io_cache_close(k);
        io_cache_volume_clear(&v);
    }
}
END_TEST

/* A volume with labels that depend on `seed`. */
static io_cache_volume labelled(uint64_t seed) {
    io_cache_volume v = volume(1);
    sx_rng r = sx_rng_make(seed, SX_RNG_TEST, 1, 0);
    snprintf(v.labels_sha256, sizeof v.labels_sha256, "%064d", 77);
    v.labels = SX_NEW_ARRAY(uint8_t, v.n * v.h * v.w);
    for (int64_t i = 0; i < v.n * v.h * v.w; i++) v.labels[i] = (uint8_t)sx_rng_u32(&r);
    return v;
}

START_TEST(labels_come_back_bit_for_bit) {
    const char *path = io_test_path("labels.h5");
    io_cache_volume v = labelled(1);
    const int64_t area = v.h * v.w;
    uint8_t *labels, *slice = SX_NEW_ARRAY(uint8_t, area);
    io_cache *k;
    ck_ok(io_cache_write_one(path, "0123abcd", &v));
    ck_ok(io_cache_open(&k, path));
    ck_assert_str_eq(io_cache_entry(k, 0)->labels_sha256, v.labels_sha256);
    ck_ok(io_cache_labels(k, 0, &labels));
    ck_assert_mem_eq(labels, v.labels, (size_t)(v.n * area));
    ck_ok(io_cache_slice_labels(k, 0, 2, slice));
    ck_assert_mem_eq(slice, v.labels + 2 * area, (size_t)area);
    ck_ok(io_cache_check(k, 0));
    io_cache_close(k);
    sx_free(labels);
    sx_free(slice);
    io_cache_volume_clear(&v);
}
END_TEST

/* Hash of what a cache of one volume holds. */
static void hash_of_one(const io_cache_volume *v, char hex[65]) {
    const char *path = io_test_path("hashed.h5");
    io_cache *k;
    ck_ok(io_cache_write_one(path, "0123abcd", v));
    ck_ok(io_cache_open(&k, path));
    io_cache_content_hash(k, hex);
    io_cache_close(k);
}

START_TEST(other_labels_are_another_content) {
    io_cache_volume v = labelled(1);
    char first[65], again[65], other[65], without[65];
    hash_of_one(&v, first);
    hash_of_one(&v, again);
    ck_assert_str_eq(first, again);
    v.labels_sha256[63] ^= 1;
    hash_of_one(&v, other);
    ck_assert_str_ne(first, other);
    v.labels_sha256[0] = '\0';
    hash_of_one(&v, without);
    ck_assert_str_ne(first, without);
    io_cache_volume_clear(&v);
}
END_TEST

START_TEST(a_volume_without_labels_says_so) {
    io_cache *k;
    uint8_t *labels;
    ck_ok(io_cache_open(&k, fresh("no-labels.h5")));
    ck_assert_str_eq(io_cache_entry(k, 0)->labels_sha256, "");
    ck_err(io_cache_labels(k, 0, &labels), SX_E_DATA);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "has no labels"));
    io_cache_close(k);
}
END_TEST

START_TEST(damage_to_labels_is_found) {
    const char *path = io_test_path("bad-labels.h5");
    io_cache_volume v = labelled(2);
    ck_ok(io_cache_write_one(path, "0123abcd", &v));
    io_bytes whole = io_bytes_read(path);
    size_t at = 0; /* of the second slice */
    while (at + 40 < whole.n && memcmp(whole.data + at, v.labels + v.h * v.w, 40) != 0) at++;
    ck_assert_uint_lt(at + 40, whole.n);
    whole.data[at + 20] ^= 4;
    io_bytes_write(path, whole.data, whole.n);
    io_cache *k;
    uint8_t *labels;
    ck_ok(io_cache_open(&k, path));
    ck_err(io_cache_labels(k, 0, &labels), SX_E_DATA);
    ck_err(io_cache_check(k, 0), SX_E_DATA);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "damaged slices 1:"));
    io_cache_close(k);
    sx_free(whole.data);
    io_cache_volume_clear(&v);
}
END_TEST

/* The program must also end well afterwards: HDF5 crashes on files that it could not write. */
START_TEST(a_cache_of_one_that_finds_no_room_is_an_error_and_leaves_nothing) {
    const char *path = io_test_path("no-room.h5");
    io_cache_volume v = volume(5);
    for (int64_t kib = 0; kib < 8; kib += 3) {
        io_test_room(kib << 10);
        const sx_err rc = io_cache_write_one(path, "0123abcd", &v);
        io_test_room(-1);
        ck_assert_msg(rc == SX_E_IO, "%d KiB: got %s", (int)kib, sx_err_name(rc));
        ck_assert(!sx_file_exists(path));
    }
    ck_ok(io_cache_write_one(path, "0123abcd", &v));
    io_cache_volume_clear(&v);
}
END_TEST

int main(int argc, char **argv) {
    if (mp_start(&argc, &argv, &world) != SX_OK) return EXIT_FAILURE;
    Suite *s = suite_create("io_cache");
    TCase *together = tcase_create("ranks"), *alone = tcase_create("one process");
    tcase_add_test(together, ranks_together_write_the_bytes_that_one_process_writes);
    tcase_add_test(together, ranks_learn_together_that_a_place_cannot_be_written);
    tcase_add_test(together, a_cache_that_is_not_kept_leaves_nothing);
    tcase_add_test(alone, entries_come_back_whole);
    tcase_add_test(alone, pixels_and_slices_come_back_bit_for_bit);
    tcase_add_test(alone, a_cache_of_many_volumes_keeps_few_of_them_open_and_reads_all);
    tcase_add_test(alone, a_flipped_bit_is_refused_or_harmless);
    tcase_add_test(alone, a_truncated_cache_is_refused);
    tcase_add_test(alone, damaged_pixels_are_found_and_named_and_spare_the_others);
    tcase_add_test(alone, a_background_that_turned_into_ones_is_found);
    tcase_add_test(alone, entries_of_older_caches_have_no_crcs);
    tcase_add_test(alone, other_files_are_refused);
    tcase_add_test(alone, a_cache_of_one_holds_its_volume_or_why_there_is_none);
    tcase_add_test(alone, labels_come_back_bit_for_bit);
    tcase_add_test(alone, other_labels_are_another_content);
    tcase_add_test(alone, a_volume_without_labels_says_so);
    tcase_add_test(alone, damage_to_labels_is_found);
    tcase_add_test(alone, a_cache_of_one_that_finds_no_room_is_an_error_and_leaves_nothing);
    suite_add_tcase(s, together);
    if (mp_size(world) == 1) suite_add_tcase(s, alone);
    int code = check_run_suite(s);
    mp_finish(world);
    return code;
}
