/* Acquisition operator (dg_operator.h): rows of A as short runs of weights, A A^T = L L^T in banded
 * storage. Loops over columns are innermost. */
#include "degrade/dg_operator.h"

#include <math.h>
#include "base/sx_mem.h"
#include "degrade/dg_rows.h"
#include "image/im_spline.h"

/* One row of A: weights of image rows from .. from + n - 1, border already folded in. */
typedef struct run {
    int from, n;
    float weight[DG_ROWS_MAX];
} run;

struct dg_operator {
    int n_hr, n_lr, band; /* L[i][j] is zero for i - j > band */
    run *row;             /* [n_lr] */
    double *factor;       /* [n_lr][band + 1]: L[i][i - d] at [i][d] */
};

void dg_operator_free(dg_operator *o) {
    if (!o) return;
    sx_free(o->row);
    sx_free(o->factor);
    sx_free(o);
}

static void fold(run *to, const dg_rows *k, int n_hr) {
    int64_t lo = n_hr, hi = -1;
    for (int i = 0; i < k->n; i++) {
        int64_t q = im_mirror(k->first + i, n_hr);
        lo = q < lo ? q : lo;
        hi = q > hi ? q : hi;
    }
    to->from = (int)lo;
    to->n = (int)(hi - lo + 1);
    for (int i = 0; i < k->n; i++) to->weight[im_mirror(k->first + i, n_hr) - lo] += k->weight[i];
}

/* (A A^T)[i][j] */
static double gram(const run *a, const run *b) {
    int lo = a->from > b->from ? a->from : b->from;
    int end_a = a->from + a->n, end_b = b->from + b->n, hi = end_a < end_b ? end_a : end_b;
    double sum = 0.0;
    for (int q = lo; q < hi; q++)
        sum += (double)a->weight[q - a->from] * (double)b->weight[q - b->from];
    return sum;
}

static int bandwidth(const dg_operator *o) {
    int band = 0;
    for (int i = 0; i < o->n_lr; i++)
        for (int j = 0; j < i; j++)
            if (o->row[j].from + o->row[j].n > o->row[i].from && i - j > band) band = i - j;
    return band;
}

static void factor(dg_operator *o) {
    int width = o->band + 1;
    double trace = 0.0;
    for (int i = 0; i < o->n_lr; i++) trace += gram(&o->row[i], &o->row[i]);
    double ridge = 1e-6 * trace / o->n_lr;
    for (int i = 0; i < o->n_lr; i++) {
        double *l = o->factor + (int64_t)i * width;
        int lowest = i > o->band ? i - o->band : 0;
        for (int j = lowest; j <= i; j++) {
            const double *m = o->factor + (int64_t)j * width;
            double s = gram(&o->row[i], &o->row[j]) + (i == j ? ridge : 0.0);
            for (int k = lowest; k < j; k++)
                if (j - k <= o->band) s -= l[i - k] * m[j - k];
            l[i - j] = i == j ? sqrt(s) : s / m[0];
        }
    }
}

sx_err dg_operator_new(dg_operator **out, int n_hr, int n_lr, double first, double step,
                       double thickness_mm, double hr_mm) {
    sx_err rc = SX_OK;
    dg_psf psf;
    dg_operator *o = NULL;
    static const double itself[1] = {1.0};
    double last = first + (n_lr - 1) * step;
    if (n_lr < 1 || !(step > 0.0) || first < -0.5 || last > n_hr - 0.5)
        return sx_fail(SX_E_DATA, "acquisition: %d slices at rows %g to %g of an image of %d rows",
                       n_lr, first, last, n_hr);
    if (thickness_mm > hr_mm) SX_TRY(rc, dg_psf_make(&psf, thickness_mm, hr_mm));
    o = SX_NEW(dg_operator);
    o->n_hr = n_hr;
    o->n_lr = n_lr;
    o->row = SX_NEW_ARRAY(run, n_lr);
    for (int k = 0; k < n_lr; k++) {
        dg_rows kernel;
        dg__rows_make(&kernel, first + k * step, thickness_mm > hr_mm ? &psf : NULL, itself, 1);
        fold(&o->row[k], &kernel, n_hr);
    }
    o->band = bandwidth(o);
    o->factor = SX_NEW_ARRAY(double, (int64_t)n_lr *(o->band + 1));
    factor(o);
out:
    *out = o;
    return rc;
}

void dg_operator_forward(const dg_operator *o, const float *x, int64_t x_stride, int w, float *y) {
    for (int k = 0; k < o->n_lr; k++) {
        const run *a = &o->row[k];
        float *to = y + (int64_t)k * w;
        for (int j = 0; j < w; j++) to[j] = 0.0f;
        for (int i = 0; i < a->n; i++) {
            const float *from = x + (a->from + i) * x_stride;
            for (int j = 0; j < w; j++) to[j] += a->weight[i] * from[j];
        }
    }
}

void dg_operator_add_adjoint(const dg_operator *o, const float *y, int w, float *x,
                             int64_t x_stride) {
    for (int k = 0; k < o->n_lr; k++) {
        const run *a = &o->row[k];
        const float *from = y + (int64_t)k * w;
        for (int i = 0; i < a->n; i++) {
            float *to = x + (a->from + i) * x_stride;
            for (int j = 0; j < w; j++) to[j] += a->weight[i] * from[j];
        }
    }
}

/* r <- (L L^T)^-1 r for every column */
static void solve(const dg_operator *o, float *r, int w) {
    int width = o->band + 1, n = o->n_lr;
    for (int i = 0; i < n; i++) {
        const double *l = o->factor + (int64_t)i * width;
        float *to = r + (int64_t)i * w;
        for (int d = 1; d <= o->band && d <= i; d++) {
            const float *from = to - (int64_t)d * w;
            float weight = (float)l[d];
            for (int j = 0; j < w; j++) to[j] -= weight * from[j];
        }
        float scale = (float)(1.0 / l[0]);
        for (int j = 0; j < w; j++) to[j] *= scale;
    }
    for (int i = n - 1; i >= 0; i--) {
        float *to = r + (int64_t)i * w;
        for (int d = 1; d <= o->band && i + d < n; d++) {
            const float *from = to + (int64_t)d * w;
            float weight = (float)o->factor[(int64_t)(i + d) * width + d];
            for (int j = 0; j < w; j++) to[j] -= weight * from[j];
        }
        float scale = (float)(1.0 / o->factor[(int64_t)i * width]);
        for (int j = 0; j < w; j++) to[j] *= scale;
    }
}

void dg_operator_project(const dg_operator *o, const float *y, int w, float *x, int64_t x_stride,
                         float *scratch) {
    int64_t n = (int64_t)o->n_lr * w;
    dg_operator_forward(o, x, x_stride, w, scratch);
    for (int64_t i = 0; i < n; i++) scratch[i] = y[i] - scratch[i];
    solve(o, scratch, w);
    dg_operator_add_adjoint(o, scratch, w, x, x_stride);
}

double dg_operator_residual2(const dg_operator *o, const float *y, int w, const float *x,
                             int64_t x_stride, float *scratch) {
    int64_t n = (int64_t)o->n_lr * w;
    double sum = 0.0;
    dg_operator_forward(o, x, x_stride, w, scratch);
    for (int64_t i = 0; i < n; i++) {
        double d = (double)scratch[i] - (double)y[i];
        sum += d * d;
    }
    return sum;
}
