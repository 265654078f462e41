/* io_png: stable bytes, errors told apart, panels and captions of montages where they belong. */
#include <png.h>
#include <stdint.h>

#include "io/io_png.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"
#include "base/sx_mem.h"

/* A picture as it is stored, in png.format; new. */
static uint8_t *read_png(png_image *png, const char *path) {
    *png = (png_image){.version = PNG_IMAGE_VERSION};
    ck_assert_msg(png_image_begin_read_from_file(png, path), "%s: %s", path, png->message);
    uint8_t *pixels = SX_NEW_ARRAY(uint8_t, PNG_IMAGE_SIZE(*png));
    ck_assert_msg(png_image_finish_read(png, NULL, pixels, 0, NULL), "%s: %s", path, png->message);
    return pixels;
}

static const float ramp[6] = {0, 1, 2, 3, 4, 5};
static const io_panel ramps[1] = {{ramp, 2, 3, 0, 5, "ramp"}};

START_TEST(equal_pixels_give_equal_bytes) {
    const char *one = io_test_path("one.png"), *two = io_test_path("two.png");
    ck_ok(io_png_montage(one, ramps, 1, 1, 40));
    sleep(1);
    ck_ok(io_png_montage(two, ramps, 1, 1, 40));
    io_bytes p = io_bytes_read(one), q = io_bytes_read(two);
    ck_assert_uint_eq(p.n, q.n);
    ck_assert_mem_eq(p.data, q.data, p.n);
    sx_free(p.data);
    sx_free(q.data);
}
END_TEST

START_TEST(no_folder_and_no_room_are_two_errors) {
    const char *path = io_test_path("full.png");
    ck_err(io_png_montage("scratch-io/no/such/folder.png", ramps, 1, 1, 1), SX_E_CREATE);
    for (int64_t room = 0; room < 300; room += 100) {
        io_test_room(room);
        const sx_err rc = io_png_montage(path, ramps, 1, 1, 400);
        io_test_room(-1);
        ck_assert_msg(rc == SX_E_IO, "%d bytes: %s", (int)room, sx_err_text());
    }
    ck_assert(!sx_file_exists(path));
}
END_TEST

START_TEST(a_montage_scales_clips_and_captions) {
    const float a[4] = {0, 0.5f, 1, 9}, b[4] = {-1, 0, 1, 0};
    const io_panel panel[3] = {{a, 2, 2, 0, 1, "I"}, {b, 2, 2, -1, 1, NULL}, {a, 2, 2, 0, 2, "x"}};
    const char *path = io_test_path("montage.png");
    png_image png;
    int ink = 0;
    ck_ok(io_png_montage(path, panel, 3, 2, 10));
    uint8_t *y = read_png(&png, path);
    const int w = (int)png.width;
    ck_assert_uint_eq(png.format, PNG_FORMAT_GRAY);
    ck_assert_int_eq(w, 4 + 2 * 24);               // margin + columns of 20 + margin
    ck_assert_int_eq((int)png.height, 4 + 2 * 34); // margin + rows of 20 + caption 10 + margin
    ck_assert_int_eq(y[4 * w + 4], 0);
    ck_assert_int_eq(y[4 * w + 14], 128);
    ck_assert_int_eq(y[14 * w + 4], 255);
    ck_assert_int_eq(y[14 * w + 14], 255);
    ck_assert_int_eq(y[4 * w + 28 + 10], 128); // second panel: 0 in -1..1
    for (int r = 24; r < 38; r++)
        for (int c = 4; c < 24; c++) ink += y[r * w + c] == 230;
    ck_assert_int_eq(ink, 5 + 6); // "I": two bars of three dots, a stem of seven, shared ends
    sx_free(y);
}
END_TEST

START_TEST(a_long_caption_of_all_letters_stays_inside) {
    float x[64 * 128] = {0};
    char all[96] = "";
    for (int c = 0; c < 95; c++) all[c] = (char)(' ' + c);
    io_panel panel[6];
    for (int i = 0; i < 6; i++) panel[i] = (io_panel){x, 8, 120, 0, 1, all + 16 * i};
    ck_ok(io_png_montage(io_test_path("letters.png"), panel, 6, 1, 1));
    panel[0].caption = "\xc3\xa9 not ASCII";
    ck_ok(io_png_montage(io_test_path("other.png"), panel, 1, 3, 1));
}
END_TEST

START_TEST(numbers_have_their_colours_and_the_rest_is_grey) {
    static const io_colour paint[2] = {{1, 2, 3}, {200, 100, 50}};
    static const bool coloured[2] = {true, false};
    const float image[4] = {0, 1, 1, 7};
    const io_panel panel[2] = {{image, 2, 2, 0, 7, NULL}, {image, 2, 2, 0, 7, NULL}};
    const char *path = io_test_path("colours.png");
    png_image png;
    ck_ok(io_png_montage_colours(path, panel, coloured, 2, 2, 1, paint, 2));
    uint8_t *rgb = read_png(&png, path);
    ck_assert_uint_eq(png.format, PNG_FORMAT_RGB);
    const uint8_t *first = rgb + 3 * (4 * png.width + 4), *second = first + 3 * (2 + 4);
    const uint8_t *below = first + 3 * png.width;
    ck_assert(first[0] == 1 && first[1] == 2 && first[2] == 3);
    ck_assert(first[3] == 200 && first[4] == 100 && first[5] == 50);
    ck_assert(below[3] == 0 && below[4] == 0 && below[5] == 0); /* 7 has no colour */
    ck_assert(second[0] == 0 && second[3] == 36 && second[4] == 36 && second[5] == 36);
    sx_free(rgb);
}
END_TEST

int main(void) {
    Suite *s = suite_create("io_png");
    TCase *c = tcase_create("all");
    tcase_add_test(c, equal_pixels_give_equal_bytes);
    tcase_add_test(c, no_folder_and_no_room_are_two_errors);
    tcase_add_test(c, a_montage_scales_clips_and_captions);
    tcase_add_test(c, numbers_have_their_colours_and_the_rest_is_grey);
    tcase_add_test(c, a_long_caption_of_all_letters_stays_inside);
    suite_add_tcase(s, c);
    return check_run_suite(s);
}
