/* PNG through libpng: 8 bits, no time stamp, fixed compression level, so equal pixels give equal
 * bytes. A montage is drawn on one grey canvas first. */
#include "io/io_png.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_font.h"

#define SIDE_LIMIT 30000 /* pixels; a montage or preview is far smaller */

typedef struct picture {
    int h, w, channels; /* 1: grey, 3: colours */
    uint8_t *pixel;     /* [h][w][channels] */
} picture;

/* ---- writing ---- */

/* libpng leaves by longjmp: nothing in here owns memory that it would lose. */
static bool put_image(FILE *f, png_structp png, png_infop info, const picture *p) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_init_io(png, f);
    png_set_compression_level(png, 6);
    png_set_IHDR(png, info, (png_uint_32)p->w, (png_uint_32)p->h, 8,
                 p->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    const size_t row = (size_t)p->w * (size_t)p->channels;
    for (int y = 0; y < p->h; y++) png_write_row(png, p->pixel + (size_t)y * row);
    png_write_end(png, info);
    return true;
}

static void quiet_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void leave(png_structp png, png_const_charp text) {
    (void)text;
    png_longjmp(png, 1);
}

static bool put_file(const char *tmp, const picture *p) {
    FILE *f = fopen(tmp, "wb");
    if (!f) return false;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, leave, quiet_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool good = info && put_image(f, png, info, p);
    png_destroy_write_struct(&png, &info);
    return fclose(f) == 0 && good;
}

static sx_err write_picture(const char *path, const picture *p) {
    SX_ASSERT(p->h > 0 && p->w > 0);
    char *tmp = sx_file_tmp_name(path);
    sx_err rc;
    errno = 0;
    if (put_file(tmp, p)) {
        rc = sx_file_commit(tmp, path);
    } else {
        rc = sx_fail(SX_E_CREATE, "%s: cannot write a picture of %d x %d: %s", path, p->w, p->h,
                     strerror(errno));
        sx_file_abort(tmp);
    }
    sx_free(tmp);
    return rc;
}

sx_err io_png_write_grey(const char *path, const uint8_t *pixels, int h, int w) {
    return write_picture(path, &(picture){h, w, 1, (uint8_t *)pixels});
}

/* ---- reading, by libpng's simplified interface ---- */

sx_err io_png_read_grey(const char *path, uint8_t **pixels, int *h, int *w) {
    sx_err rc = SX_OK;
    png_image image = {.version = PNG_IMAGE_VERSION};
    *pixels = NULL;
    if (!sx_file_exists(path)) return sx_fail(SX_E_NOINPUT, "%s: no such picture", path);
    if (!png_image_begin_read_from_file(&image, path)) {
        rc = sx_fail(SX_E_DATA, "%s: not a PNG picture: %s", path, image.message);
        goto out;
    }
    if (image.format != PNG_FORMAT_GRAY || image.width > SIDE_LIMIT || image.height > SIDE_LIMIT) {
        rc = sx_fail(SX_E_DATA, "%s: %u x %u pixels of format %u, expected 8-bit grey up to %d",
                     path, image.width, image.height, image.format, SIDE_LIMIT);
        goto out;
    }
    *pixels = sx_try_alloc((int64_t)image.width * image.height, 1);
    if (!*pixels || !png_image_finish_read(&image, NULL, *pixels, 0, NULL)) {
        rc = sx_fail(SX_E_DATA, "%s: damaged picture: %s", path, image.message);
        sx_free(*pixels);
        *pixels = NULL;
    }
    *h = (int)image.height;
    *w = (int)image.width;
out:
    png_image_free(&image);
    return rc;
}

/* ---- montage ---- */

enum { MARGIN = 4, LINE = IO__FONT_HEIGHT + 3, LETTER = IO__FONT_WIDTH + 1, INK = 230, PAPER = 24 };

static void put_pixel(picture *c, int y, int x, io_colour colour) {
    uint8_t *to = c->pixel + ((size_t)y * (size_t)c->w + (size_t)x) * (size_t)c->channels;
    to[0] = colour.red;
    if (c->channels == 1) return;
    to[1] = colour.green;
    to[2] = colour.blue;
}

static void draw_letter(picture *c, int y, int x, char letter) {
    if (letter < IO__FONT_FIRST || letter > IO__FONT_LAST) letter = '?';
    const unsigned char *column = io__font[letter - IO__FONT_FIRST];
    for (int i = 0; i < IO__FONT_WIDTH; i++)
        for (int j = 0; j < IO__FONT_HEIGHT; j++)
            if (column[i] >> j & 1) put_pixel(c, y + j, x + i, (io_colour){INK, INK, INK});
}

/* As much of the text as fits into `width` pixels. */
static void draw_text(picture *c, int y, int x, int width, const char *text) {
    for (int end = x + width; *text && x + LETTER <= end; text++, x += LETTER)
        draw_letter(c, y, x, *text);
}

static uint8_t grey(const io_panel *p, float value) {
    float unit = (value - p->lo) / (p->hi > p->lo ? p->hi - p->lo : 1);
    if (!(unit > 0)) return 0; // NaN too
    return (uint8_t)lrintf(255 * (unit < 1 ? unit : 1));
}

/* Colours of whole numbers; none: grey. */
typedef struct palette {
    const io_colour *colour;
    int n;
} palette;

static io_colour shown(const io_panel *p, const palette *colours, float value) {
    if (!colours) {
        const uint8_t level = grey(p, value);
        return (io_colour){level, level, level};
    }
    return value >= 0 && value < (float)colours->n ? colours->colour[(int)value]
                                                   : (io_colour){0, 0, 0};
}

static void draw_panel(picture *c, int y0, int x0, const io_panel *p, const palette *colours,
                       int zoom) {
    for (int y = 0; y < p->h * zoom; y++)
        for (int x = 0; x < p->w * zoom; x++)
            put_pixel(c, y0 + y, x0 + x,
                      shown(p, colours,
                            p->image[(size_t)(y / zoom) * (size_t)p->w + (size_t)(x / zoom)]));
}

/* `coloured` NULL: all is grey. */
static sx_err draw_montage(const char *path, const io_panel *panel, const bool *coloured, int n,
                           int columns, int zoom, const palette *colours) {
    SX_ASSERT(n > 0 && columns > 0 && zoom > 0);
    const int channels = coloured ? 3 : 1;
    int cell_h = 0, cell_w = 0;
    for (int i = 0; i < n; i++) {
        if (panel[i].h * zoom > cell_h) cell_h = panel[i].h * zoom;
        if (panel[i].w * zoom > cell_w) cell_w = panel[i].w * zoom;
    }
    if (columns > n) columns = n;
    const int step_h = cell_h + LINE + MARGIN, step_w = cell_w + MARGIN;
    picture c = {.h = MARGIN + (n + columns - 1) / columns * step_h,
                 .w = MARGIN + columns * step_w,
                 .channels = channels};
    c.pixel = sx_alloc((int64_t)c.h * c.w, (size_t)channels);
    memset(c.pixel, PAPER, (size_t)c.h * (size_t)c.w * (size_t)channels);
    for (int i = 0; i < n; i++) {
        int y = MARGIN + i / columns * step_h, x = MARGIN + i % columns * step_w;
        draw_panel(&c, y, x, &panel[i], coloured && coloured[i] ? colours : NULL, zoom);
        if (panel[i].caption) draw_text(&c, y + cell_h + 2, x, cell_w, panel[i].caption);
    }
    sx_err rc = write_picture(path, &c);
    sx_free(c.pixel);
    return rc;
}

sx_err io_png_montage(const char *path, const io_panel *panel, int n, int columns, int zoom) {
    return draw_montage(path, panel, NULL, n, columns, zoom, NULL);
}

sx_err io_png_montage_colours(const char *path, const io_panel *panel, const bool *coloured, int n,
                              int columns, int zoom, const io_colour *colour, int n_colours) {
    const palette colours = {colour, n_colours};
    return draw_montage(path, panel, coloured, n, columns, zoom, &colours);
}
