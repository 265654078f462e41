/* Smoothing spline, tabulated as a polyline with fine steps (sp_curve.h).
 *
 * The spline minimises |y - f|^2 + smooth * integral of f''^2. With the knots' second derivatives g
 * this is (R + smooth Q'Q) g = Q'y, f = y - smooth Q g, R and Q tridiagonal (Green and Silverman,
 * "Nonparametric regression and generalized linear models", 1994, section 2.3): one band matrix of
 * five diagonals for all coordinates. The residual grows with `smooth`, which is found by
 * bisection. */
#include "spine/sp_curve.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"

static const double apart_mm = 0.01;   /* points nearer than this are one */
static const double table_mm = 0.25;   /* about the step between places of the table */
enum { COARSE = 16, BISECTIONS = 60 }; /* places a step of the first search */

struct sp_curve {
    int64_t n;                         /* places, at least 2 */
    double *s;                         /* [n] arc length */
    double (*place)[3], (*tangent)[3]; /* [n] */
};

/* ---- spline ---- */

typedef struct spline {
    int64_t n;      /* knots, at least 2 */
    double *t;      /* [n] chord length */
    double (*y)[3]; /* [n] points */
    double (*f)[3]; /* [n] values at the knots */
    double (*g)[3]; /* [n] second derivatives; 0 at the ends */
    double (*d)[3]; /* [n] diagonal, first and second off-diagonal of the band matrix */
} spline;

static void spline_clear(spline *p) {
    sx_free(p->t);
    sx_free(p->y);
    sx_free(p->f);
    sx_free(p->g);
    sx_free(p->d);
}

static double distance(const double a[3], const double b[3]) {
    return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
                (a[2] - b[2]) * (a[2] - b[2]));
}

static sx_err spline_init(spline *p, const double (*point)[3], int64_t n) {
    *p = (spline){.t = sx_try_alloc(n, sizeof *p->t),
                  .y = sx_try_alloc(n, sizeof *p->y),
                  .f = sx_try_alloc(n, sizeof *p->f),
                  .g = sx_try_alloc(n, sizeof *p->g),
                  .d = sx_try_alloc(n, sizeof *p->d)};
    if (!p->t || !p->y || !p->f || !p->g || !p->d)
        return sx_fail(SX_E_NOMEM, "no memory for a curve through %lld points", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        const double chord = p->n ? distance(point[i], p->y[p->n - 1]) : 0.0;
        if (p->n && chord < apart_mm) continue;
        p->t[p->n] = p->n ? p->t[p->n - 1] + chord : 0.0;
        memcpy(p->y[p->n++], point[i], sizeof *point);
    }
    return p->n >= 2 ? SX_OK
                     : sx_fail(SX_E_DATA, "a curve needs two points, here %s",
                               p->n ? "all are one" : "is none");
}

/* Column i of Q has three entries, at rows i - 1, i and i + 1. */
static void column(const spline *p, int64_t i, double q[3]) {
    const double a = 1.0 / (p->t[i] - p->t[i - 1]), b = 1.0 / (p->t[i + 1] - p->t[i]);
    q[0] = a;
    q[1] = -a - b;
    q[2] = b;
}

/* R + smooth Q'Q, inner knots only. */
static void fill_band(spline *p, double smooth) {
    double q[3], r[3];
    for (int64_t i = 1; i + 1 < p->n; i++) {
        double *d = p->d[i];
        column(p, i, q);
        d[0] =
            (p->t[i + 1] - p->t[i - 1]) / 3.0 + smooth * (q[0] * q[0] + q[1] * q[1] + q[2] * q[2]);
        d[1] = d[2] = 0.0;
        if (i + 2 < p->n) {
            column(p, i + 1, r);
            d[1] = (p->t[i + 1] - p->t[i]) / 6.0 + smooth * (q[1] * r[0] + q[2] * r[1]);
        }
        if (i + 3 < p->n) {
            column(p, i + 2, r);
            d[2] = smooth * q[2] * r[0];
        }
    }
}

/* L D L' in place: D in entry 0, columns of L in 1 and 2. */
static void factor_band(spline *p) {
    for (int64_t i = 1; i + 1 < p->n; i++) {
        double *d = p->d[i], *e = p->d[i + 1];
        const double a = d[1] / d[0], b = d[2] / d[0];
        if (i + 2 < p->n) {
            e[0] -= a * d[1];
            e[1] -= a * d[2];
        }
        if (i + 3 < p->n) p->d[i + 2][0] -= b * d[2];
        d[1] = a;
        d[2] = b;
    }
}

/* Q'y in, second derivatives out. */
static void solve_band(spline *p) {
    const int64_t last = p->n - 2;
    for (int c = 0; c < 3; c++) {
        for (int64_t i = 1; i <= last; i++) {
            if (i > 1) p->g[i][c] -= p->d[i - 1][1] * p->g[i - 1][c];
            if (i > 2) p->g[i][c] -= p->d[i - 2][2] * p->g[i - 2][c];
        }
        for (int64_t i = 1; i <= last; i++) p->g[i][c] /= p->d[i][0];
        for (int64_t i = last; i >= 1; i--) {
            if (i + 1 <= last) p->g[i][c] -= p->d[i][1] * p->g[i + 1][c];
            if (i + 2 <= last) p->g[i][c] -= p->d[i][2] * p->g[i + 2][c];
        }
    }
}

/* Root-mean-square distance of the knots' values from the points. */
static double spline_solve(spline *p, double smooth) {
    double q[3], sum = 0.0;
    fill_band(p, smooth);
    factor_band(p);
    memset(p->g, 0, (size_t)p->n * sizeof *p->g);
    for (int64_t i = 1; i + 1 < p->n; i++) {
        column(p, i, q);
        for (int c = 0; c < 3; c++)
            p->g[i][c] = q[0] * p->y[i - 1][c] + q[1] * p->y[i][c] + q[2] * p->y[i + 1][c];
    }
    solve_band(p);
    memcpy(p->f, p->y, (size_t)p->n * sizeof *p->f);
    for (int64_t i = 1; i + 1 < p->n; i++) {
        column(p, i, q);
        for (int k = 0; k < 3; k++)
            for (int c = 0; c < 3; c++) p->f[i + k - 1][c] -= smooth * q[k] * p->g[i][c];
    }
    for (int64_t i = 0; i < p->n; i++) {
        const double off = distance(p->f[i], p->y[i]);
        sum += off * off;
    }
    return sqrt(sum / (double)p->n);
}

/* The smoothest within rms_mm. */
static void spline_fit(spline *p, double rms_mm) {
    const double length = p->t[p->n - 1];
    double low = -30.0, high = log(1e6 * length * length * length); /* of log smooth */
    if (rms_mm <= 0.0) {
        spline_solve(p, 0.0);
        return;
    }
    for (int k = 0; k < BISECTIONS; k++) {
        const double middle = 0.5 * (low + high);
        if (spline_solve(p, exp(middle)) > rms_mm)
            high = middle;
        else
            low = middle;
    }
    spline_solve(p, exp(low));
}

/* Value at t in the piece after knot i. */
static void spline_value(const spline *p, int64_t i, double t, double x[3]) {
    const double h = p->t[i + 1] - p->t[i], b = (t - p->t[i]) / h, a = 1.0 - b;
    for (int c = 0; c < 3; c++)
        x[c] = a * p->f[i][c] + b * p->f[i + 1][c] +
               ((a * a * a - a) * p->g[i][c] + (b * b * b - b) * p->g[i + 1][c]) * h * h / 6.0;
}

/* ---- table ---- */

static sx_err table_alloc(sp_curve *c, int64_t n) {
    c->n = n;
    c->s = sx_try_alloc(n, sizeof *c->s);
    c->place = sx_try_alloc(n, sizeof *c->place);
    c->tangent = sx_try_alloc(n, sizeof *c->tangent);
    return c->s && c->place && c->tangent
               ? SX_OK
               : sx_fail(SX_E_NOMEM, "no memory for a curve of %lld places", (long long)n);
}

static void fill_tangent(sp_curve *c, int64_t i) {
    const double *a = c->place[i > 0 ? i - 1 : 0], *b = c->place[i + 1 < c->n ? i + 1 : i];
    const double d = distance(a, b);
    for (int k = 0; k < 3; k++) c->tangent[i][k] = (b[k] - a[k]) / d;
}

static sx_err table_fill(sp_curve *c, const spline *p) {
    const double length = p->t[p->n - 1];
    const int64_t steps = (int64_t)ceil(length / table_mm);
    sx_err rc = table_alloc(c, steps + 1);
    if (rc != SX_OK) return rc;
    for (int64_t i = 0, knot = 0; i <= steps; i++) {
        const double t = length * (double)i / (double)steps;
        while (knot + 2 < p->n && t > p->t[knot + 1]) knot++;
        spline_value(p, knot, t, c->place[i]);
        c->s[i] = i ? c->s[i - 1] + distance(c->place[i - 1], c->place[i]) : 0.0;
    }
    for (int64_t i = 0; i < c->n; i++) fill_tangent(c, i);
    return SX_OK;
}

/* ---- the curve ---- */

sx_err sp_curve_fit(sp_curve **c, const double (*point)[3], int64_t n, double rms_mm) {
    spline p = {0};
    sx_err rc;
    *c = SX_NEW(sp_curve);
    SX_TRY(rc, spline_init(&p, point, n));
    spline_fit(&p, rms_mm);
    rc = table_fill(*c, &p);
out:
    spline_clear(&p);
    if (rc != SX_OK) {
        sp_curve_free(*c);
        *c = NULL;
    }
    return rc;
}

void sp_curve_free(sp_curve *c) {
    if (!c) return;
    sx_free(c->s);
    sx_free(c->place);
    sx_free(c->tangent);
    sx_free(c);
}

double sp_curve_length(const sp_curve *c) {
    return c->s[c->n - 1];
}

/* The last entry, but one, at or before s. */
static int64_t find_entry(const sp_curve *c, double s) {
    int64_t low = 0, high = c->n - 1;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (c->s[middle] <= s)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void sp_curve_at(const sp_curve *c, double s, double place[3], double tangent[3]) {
    const int64_t i = find_entry(c, s);
    const double u = (s - c->s[i]) / (c->s[i + 1] - c->s[i]);
    const double inside = fmin(fmax(u, 0.0), 1.0), beyond = (u - inside) * (c->s[i + 1] - c->s[i]);
    double t[3], norm = 0.0;
    for (int k = 0; k < 3; k++) {
        t[k] = c->tangent[i][k] + inside * (c->tangent[i + 1][k] - c->tangent[i][k]);
        norm += t[k] * t[k];
    }
    for (int k = 0; k < 3; k++) {
        t[k] /= sqrt(norm);
        if (place)
            place[k] =
                c->place[i][k] + inside * (c->place[i + 1][k] - c->place[i][k]) + beyond * t[k];
        if (tangent) tangent[k] = t[k];
    }
}

static int64_t nearest_of(const sp_curve *c, const double p[3], int64_t from, int64_t to,
                          int64_t step) {
    int64_t best = from;
    double least = INFINITY;
    for (int64_t i = from; i <= to; i += step) {
        const double *q = c->place[i];
        const double d = (p[0] - q[0]) * (p[0] - q[0]) + (p[1] - q[1]) * (p[1] - q[1]) +
                         (p[2] - q[2]) * (p[2] - q[2]);
        if (d < least) least = d, best = i;
    }
    return best;
}

double sp_curve_project(const sp_curve *c, const double p[3]) {
    const int64_t about = nearest_of(c, p, 0, c->n - 1, COARSE);
    const int64_t low = about > COARSE ? about - COARSE : 0;
    const int64_t high = about + COARSE < c->n ? about + COARSE : c->n - 1;
    const int64_t i = nearest_of(c, p, low, high, 1);
    double along = 0.0;
    for (int k = 0; k < 3; k++) along += (p[k] - c->place[i][k]) * c->tangent[i][k];
    return c->s[i] + along;
}
