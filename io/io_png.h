/* Montages of slices with captions (built-in 5x7 font) as PNG pictures of 8 bits. Byte-stable (no
 * time stamp). Not collective. Errors: SX_E_CREATE, SX_E_IO, SX_E_NOMEM. */
#ifndef IO_PNG_H
#define IO_PNG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"

/* One panel of a montage: image [h][w] shown with lo -> black, hi -> white; caption below. */
typedef struct io_panel {
    const float *image;
    int h, w;
    float lo, hi;
    const char *caption;
} io_panel;
/* Panels in rows of `columns`, integer magnification `zoom`, in grey. */
sx_err io_png_montage(const char *path, const io_panel *panel, int n, int columns, int zoom);

typedef struct io_colour {
    uint8_t red, green, blue;
} io_colour;
/* A montage in colours: panel i with coloured[i] shows each whole number 0 .. n_colours - 1 of its
 * image as one of `colour`, others as black; the rest are grey. */
sx_err io_png_montage_colours(const char *path, const io_panel *panel, const bool *coloured, int n,
                              int columns, int zoom, const io_colour *colour, int n_colours);

#endif
