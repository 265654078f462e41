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

static sx_err put_file(const char *path, const char *tmp, const picture *p) {
    FILE *f = fopen(tmp, "wb");
    if (!f) return sx_fail(SX_E_CREATE, "%s: cannot create: %s", path, strerror(errno));
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, leave, quiet_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    const bool room = info != NULL, good = room && put_image(f, png, info, p);
    png_destroy_write_struct(&png, &info);
    if (fclose(f) == 0 && good) return SX_OK;
    if (!room) return sx_fail(SX_E_NOMEM, "%s: no memory for a picture", path);
    return sx_fail(SX_E_IO, "%s: cannot write a picture of %d x %d: %s", path, p->w, p->h,
                   strerror(errno));
}

static sx_err write_picture(const char *path, const picture *p) {
    SX_ASSERT(p->h > 0 && p->w > 0);
    char *tmp = sx_file_tmp_name(path);
    sx_err rc = put_file(path, tmp, p);
    if (rc == SX_OK)
        rc = sx_file_commit(tmp, path);
    else
        sx_file_abort(tmp);
    sx_free(tmp);
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
