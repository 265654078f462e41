/* Tables of columns (dg_columns.h). The run, mostly all of them, is taken without the table. */
#include "degrade/dg_columns.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "base/sx_loops.h"
#include "degrade/dg_rows.h"

dg_columns dg__columns_make(int w, int first, int n, double shift, int origin, int *a, int *b) {
    const int back = (int)ceil(shift);
    dg_columns c = {.n = n, .a = a, .b = b, .weight = (float)(back - shift)};
    const int reach = c.weight > 0.0f; /* of the interpolation, to the right */
    for (int j = 0; j < n; j++) {
        int64_t from = dg__fold(first + j, w) - back;
        a[j] = (int)dg__fold(from, w) - origin;
        b[j] = (int)dg__fold(from + reach, w) - origin;
    }
    /* inside the image before and after the move */
    int begin = -first > back - first ? -first : back - first;
    int end = w - first < w - reach + back - first ? w - first : w - reach + back - first;
    c.run = begin < 0 ? 0 : begin > n ? n : begin;
    c.n_run = (end > n ? n : end) - c.run;
    if (c.n_run < 0) c.n_run = 0;
    return c;
}

SX_CLONES static void between(const float *restrict x, float weight, int n, float *restrict y) {
    for (int j = 0; j < n; j++) y[j] = x[j] + weight * (x[j + 1] - x[j]);
}

static void by_table(const dg_columns *c, const float *x, int from, int to, float *y) {
    for (int j = from; j < to; j++) y[j] = x[c->a[j]] + c->weight * (x[c->b[j]] - x[c->a[j]]);
}

void dg__columns_take(const dg_columns *c, const float *x, float *y) {
    by_table(c, x, 0, c->run, y);
    by_table(c, x, c->run + c->n_run, c->n, y);
    if (c->n_run == 0) return;
    const float *from = x + c->a[c->run];
    if (c->weight > 0.0f)
        between(from, c->weight, c->n_run, y + c->run);
    else
        memcpy(y + c->run, from, (size_t)c->n_run * sizeof *y);
}
