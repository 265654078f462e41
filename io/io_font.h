/* A fixed font for captions: printable ASCII in cells of 5 by 7 dots. Five columns a character,
 * from left to right; bit 0 is the top dot. For io/ only. */
#ifndef IO_FONT_H
#define IO_FONT_H

#define IO__FONT_WIDTH 5
#define IO__FONT_HEIGHT 7
#define IO__FONT_FIRST ' '
#define IO__FONT_LAST '~'

extern const unsigned char io__font[IO__FONT_LAST - IO__FONT_FIRST + 1][IO__FONT_WIDTH];

#endif
