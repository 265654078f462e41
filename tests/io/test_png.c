/* io_png: pixels survive, bytes are stable, montages put panels and captions where they belong. */
#include <png.h>
#include <stdint.h>

#include "io/io_png.h"
#include "tests/check_run.h"
#include "tests/io/io_test.h"
#include "base/sx_mem.h"

START_TEST(grey_pixels_come_back) {
    uint8_t x[5 * 300], *y;
    int h, w;
    const char *path = io_test_path("grey.png");
    for (int i = 0; i < 5 * 300; i++) x[i] = (uint8_t)(i * 7);
    ck_ok(io_png_write_grey(path, x, 5, 300));
    ck_ok(io_png_read_grey(path, &y, &h, &w));
    ck_assert_int_eq(h, 5);
    ck_assert_int_eq(w, 300);
    ck_assert_mem_eq(x, y, sizeof x);
    sx_free(y);
}
END_TEST

START_TEST(equal_pixels_give_equal_bytes) {
    const uint8_t x[6] = {0, 1, 2, 3, 10, 255};
    const char *one = io_test_path("one.png"), *two = io_test_path("two.png");
    ck_ok(io_png_write_grey(one, x, 2, 3));
    sleep(1);
    ck_ok(io_png_write_grey(two, x, 2, 3));
    io_bytes p = io_bytes_read(one), q = io_bytes_read(two);
    ck_assert_uint_eq(p.n, q.n);
    ck_assert_mem_eq(p.data, q.data, p.n);
    sx_free(p.data);
    sx_free(q.data);
}
END_TEST

/* One pixel of colour. */
static const unsigned char colour[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00,
    0x00, 0x90, 0x77, 0x53, 0xde, 0x00, 0x00, 0x00, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x78,
    0x9c, 0x63, 0x60, 0x64, 0x62, 0x06, 0x00, 0x00, 0x0e, 0x00, 0x07, 0xd7, 0x6f, 0xe4,
    0x78, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

START_TEST(colour_text_and_absent_files_are_refused_by_the_grey_reader) {
    const uint8_t x[12] = {1};
    uint8_t *y;
    int h, w;
    const char *rgb = io_test_path("rgb.png"), *text = io_test_path("text.png");
    io_bytes_write(rgb, (const char *)colour, sizeof colour);
    io_bytes_write(text, "hello", 5);
    ck_err(io_png_read_grey(rgb, &y, &h, &w), SX_E_DATA);
    ck_err(io_png_read_grey(text, &y, &h, &w), SX_E_DATA);
    ck_err(io_png_read_grey("scratch-io/absent.png", &y, &h, &w), SX_E_NOINPUT);
    ck_err(io_png_write_grey("scratch-io/no/such/folder.png", x, 2, 2), SX_E_CREATE);
}
END_TEST

START_TEST(a_montage_scales_clips_and_captions) {
    const float a[4] = {0, 0.5f, 1, 9}, b[4] = {-1, 0, 1, 0};
    const io_panel panel[3] = {{a, 2, 2, 0, 1, "I"}, {b, 2, 2, -1, 1, NULL}, {a, 2, 2, 0, 2, "x"}};
    const char *path = io_test_path("montage.png");
    uint8_t *y;
    int h, w, ink = 0;
    ck_ok(io_png_montage(path, panel, 3, 2, 10));
    ck_ok(io_png_read_grey(path, &y, &h, &w));
    ck_assert_int_eq(w, 4 + 2 * 24); // margin + columns of 20 + margin
    ck_assert_int_eq(h, 4 + 2 * 34); // margin + rows of 20 + caption 10 + margin
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
    uint8_t *pixels;
    int h, w;
    ck_ok(io_png_montage_colours(path, panel, coloured, 2, 2, 1, paint, 2));
    ck_err(io_png_read_grey(path, &pixels, &h, &w), SX_E_DATA); /* it is not */
    png_image png = {.version = PNG_IMAGE_VERSION};
    ck_assert(png_image_begin_read_from_file(&png, path));
    png.format = PNG_FORMAT_RGB;
    uint8_t *rgb = SX_NEW_ARRAY(uint8_t, PNG_IMAGE_SIZE(png));
    ck_assert(png_image_finish_read(&png, NULL, rgb, 0, NULL));
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
    tcase_add_test(c, grey_pixels_come_back);
    tcase_add_test(c, equal_pixels_give_equal_bytes);
    tcase_add_test(c, colour_text_and_absent_files_are_refused_by_the_grey_reader);
    tcase_add_test(c, a_montage_scales_clips_and_captions);
    tcase_add_test(c, numbers_have_their_colours_and_the_rest_is_grey);
    tcase_add_test(c, a_long_caption_of_all_letters_stays_inside);
    suite_add_tcase(s, c);
    return check_run_suite(s);
}
