/* Where the columns of an image come from: cropping, padding by reflection and moving by a part of
 * a column, all at once; for degrade/ only. Not collective; no errors. */
#ifndef DG_COLUMNS_H
#define DG_COLUMNS_H

/* Column j of n is between columns a[j] and b[j]. In the run the sources are neighbours in order:
 * a[j] = a[run] + j - run and b[j] = a[j] + 1 (or weight 0, and never read). */
typedef struct dg_columns {
    int n, *a, *b;
    float weight; /* of b, for all columns */
    int run, n_run;
} dg_columns;

/* Columns of the image w wide from column `first` on (may be negative: reflected), its content
 * moved to the back by `shift` columns; a, b [n]: borrowed, filled, counted from `origin`. */
dg_columns dg__columns_make(int w, int first, int n, double shift, int origin, int *a, int *b);

/* y [n] from the row x, whose first column is `origin`. */
void dg__columns_take(const dg_columns *c, const float *x, float *y);

#endif
