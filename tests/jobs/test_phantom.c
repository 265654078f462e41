/* The picture of `phantom`: what its captions say of the scan. */
#include <png.h>
#include <string.h>

#include "base/sx_mem.h"
#include "io/io_png.h"
#include "jobs/job/verbs.h"
#include "tests/check_run.h"

enum { COLUMNS = 5, PANELS = 10, MARGIN = 4, CAPTION = 10, ZOOM = 2 };

/* In 8 bits of grey; new. */
static uint8_t *read_png(png_image *png, const char *path) {
    *png = (png_image){.version = PNG_IMAGE_VERSION};
    ck_assert_msg(png_image_begin_read_from_file(png, path), "%s: %s", path, png->message);
    png->format = PNG_FORMAT_GRAY;
    uint8_t *pixels = SX_NEW_ARRAY(uint8_t, PNG_IMAGE_SIZE(*png));
    ck_assert_msg(png_image_finish_read(png, NULL, pixels, 0, NULL), "%s: %s", path, png->message);
    return pixels;
}

/* A montage of the same size, black but for one caption, in column 1 of the first line. */
static uint8_t *captioned(const png_image *like, const char *caption) {
    const char *path = "scratch-caption.png";
    const int w = ((int)like->width - MARGIN) / COLUMNS - MARGIN;
    const int h = ((int)like->height - MARGIN) / 2 - CAPTION - MARGIN;
    float *black = SX_NEW_ARRAY(float, (int64_t)h *w);
    io_panel panel[PANELS];
    png_image png;
    for (int i = 0; i < PANELS; i++)
        panel[i] = (io_panel){black, h / ZOOM, w / ZOOM, 0, 1, i == 1 ? caption : ""};
    ck_assert_int_eq(io_png_montage(path, panel, PANELS, COLUMNS, ZOOM), SX_OK);
    sx_free(black);
    uint8_t *pixels = read_png(&png, path);
    ck_assert_uint_eq(png.width, like->width);
    ck_assert_uint_eq(png.height, like->height);
    return pixels;
}

START_TEST(the_picture_says_how_far_apart_the_axial_slices_are) {
    char *argv[] = {"scratch-phantom",
                    "--subjects",
                    "1",
                    "--picture",
                    "scratch-shot.png",
                    "--set",
                    "phantom.iso_mm=1.6",
                    "--set",
                    "phantom.height_mm=90",
                    "--set",
                    "phantom.width_mm=100",
                    "--set",
                    "phantom.depth_mm=100",
                    "--set",
                    "phantom.axial_mm=7.5"};
    job *j = NULL;
    png_image png;
    ck_assert_int_eq(job_new(&j, &cmd_phantom, mp_self(), sizeof argv / sizeof *argv, argv), SX_OK);
    ck_assert_int_eq(cmd_phantom.run(j), SX_OK);
    job_free(j);
    uint8_t *got = read_png(&png, "scratch-shot.png"), *want = captioned(&png, "AXIAL SCAN 7.5 MM");
    const size_t width = png.width, cell = (width - MARGIN) / COLUMNS;
    const size_t top = (png.height - MARGIN) / 2 - CAPTION;
    for (size_t y = top; y < top + CAPTION; y++) {
        const size_t at = y * width + MARGIN + cell;
        ck_assert_mem_eq(got + at, want + at, cell - MARGIN);
    }
    sx_free(got);
    sx_free(want);
}
END_TEST

int main(void) {
    return CHECK_RUN("jobs_phantom", the_picture_says_how_far_apart_the_axial_slices_are);
}
