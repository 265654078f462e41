/* Magnifying and turning a slice about its centre, by one bilinear interpolation with mirrored
 * borders; for degrade/ only. Not collective. */
#ifndef DG_WARP_H
#define DG_WARP_H

/* Columns first .. first + n - 1 of src [h][w] (both sides at least 2), magnified and turned by
 * angle_deg (positive: counter-clockwise as displayed): y [h][n], filled. A column's values do not
 * depend on which others are asked for. */
void dg__warp(const float *src, int h, int w, double magnification, double angle_deg, int first,
              int n, float *y);

#endif
