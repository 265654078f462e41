/* Slice profile of an SLR pulse, from first principles.
 *
 * b polynomial: least-squares low-pass filter; a polynomial: the minimum-phase partner with
 * |a|^2 + |b|^2 = 1; pulse: inverse SLR recursion; profile: simulation of the hard pulses with a
 * balanced rewinder. Follows Pauly, Le Roux, Nishimura, Macovski, IEEE TMI 10(1), 1991, with the
 * conventions of the usual Python implementation so that the taps agree to 1e-6. As b is real, so
 * are a and the pulse. Everything runs once, in double precision, in about 20 ms. */
#include "degrade/dg_pulse.h"

#include <complex.h>
#include <math.h>
#include <pthread.h>
#include "base/sx_err.h"

enum {
    N_PULSE = 128,            /* samples of the pulse                                 */
    N_FIRLS = N_PULSE + 1,    /* taps of the symmetric filter                          */
    N_HALF = N_FIRLS / 2 + 1, /* its independent taps                                  */
    N_SPECTRUM = 16 * N_PULSE /* frequencies at which the minimum-phase partner is made */
};

static const double pi = 3.14159265358979323846;
static const double time_bandwidth = 16.0;

static double spline_coefficient[DG_PROFILE_POINTS];
static pthread_once_t designed = PTHREAD_ONCE_INIT;

/* Transition width measure of a filter with ripples d1, d2 (Pauly 1991, eq. 21). */
static double d_infinity(double d1, double d2) {
    double l1 = log10(d1), l2 = log10(d2);
    return (5.309e-3 * l1 * l1 + 7.114e-2 * l1 - 4.761e-1) * l2 +
           (-2.66e-3 * l1 * l1 - 5.941e-1 * l1 - 4.278e-1);
}

static double sinc(double x) {
    return x == 0.0 ? 1.0 : sin(pi * x) / (pi * x);
}

/* Solve A x = b in place of b; A symmetric positive definite [N_HALF][N_HALF], overwritten. */
static void solve_spd(double a[N_HALF][N_HALF], double b[N_HALF]) {
    for (int j = 0; j < N_HALF; j++) {
        for (int i = j; i < N_HALF; i++) {
            double s = a[i][j];
            for (int k = 0; k < j; k++) s -= a[i][k] * a[j][k];
            if (i == j) SX_ASSERT(s > 0.0);
            a[i][j] = i == j ? sqrt(s) : s / a[j][j];
        }
    }
    for (int i = 0; i < N_HALF; i++) {
        for (int k = 0; k < i; k++) b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (int i = N_HALF - 1; i >= 0; i--) {
        for (int k = i + 1; k < N_HALF; k++) b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
}

/* Linear-phase low-pass of least weighted squared error: pass band 0..pass, stop band stop..1 (of
 * the Nyquist frequency), the stop band `weight` times as important. */
static void filter_least_squares(double pass, double stop, double weight, double h[N_FIRLS]) {
    static double a[N_HALF][N_HALF]; /* called once; too large for a stack of unknown size */
    double q[N_FIRLS], b[N_HALF];
    for (int n = 0; n < N_FIRLS; n++)
        q[n] = pass * sinc(pass * n) + weight * (sinc(n) - stop * sinc(stop * n));
    for (int i = 0; i < N_HALF; i++) {
        b[i] = pass * sinc(pass * i);
        for (int j = 0; j < N_HALF; j++) a[i][j] = q[i > j ? i - j : j - i] + q[i + j];
    }
    solve_spd(a, b);
    h[N_HALF - 1] = 2.0 * b[0];
    for (int i = 1; i < N_HALF; i++) h[N_HALF - 1 - i] = h[N_HALF - 1 + i] = b[i];
}

/* b[i] = h(i + 1/2) by band-limited periodic interpolation; the last sample is dropped. */
static void shift_half_sample(const double h[N_FIRLS], double b[N_PULSE]) {
    for (int i = 0; i < N_PULSE; i++) {
        b[i] = 0.0;
        for (int m = 0; m < N_FIRLS; m++) {
            double x = i + 0.5 - m;
            b[i] += h[m] * sin(pi * x) / (N_FIRLS * sin(pi * x / N_FIRLS));
        }
    }
}

/* a with |a|^2 = 1 - |b|^2 and minimum phase. The folded cepstrum c of log|a| gives a as the power
 * series exp(sum c_k z^k), whose coefficients obey n a_n = sum k c_k a_(n-k). Returned reversed, as
 * the recursion below wants it. */
static void minimum_phase_partner(const double b[N_PULSE], double a[N_PULSE]) {
    double cosine[N_SPECTRUM], log_a[N_SPECTRUM], c[N_PULSE], series[N_PULSE];
    for (int i = 0; i < N_SPECTRUM; i++) cosine[i] = cos(2.0 * pi * i / N_SPECTRUM);
    for (int f = 0; f < N_SPECTRUM; f++) {
        double re = 0.0, im = 0.0;
        for (int n = 0; n < N_PULSE; n++) {
            re += b[n] * cosine[(n * f) % N_SPECTRUM];
            im += b[n] * cosine[(n * f + 3 * N_SPECTRUM / 4) % N_SPECTRUM];
        }
        log_a[f] = 0.5 * log(1.0 - re * re - im * im);
    }
    for (int k = 0; k < N_PULSE; k++) {
        c[k] = 0.0;
        for (int f = 0; f < N_SPECTRUM; f++) c[k] += log_a[f] * cosine[(f * k) % N_SPECTRUM];
        c[k] *= (k == 0 ? 1.0 : 2.0) / N_SPECTRUM;
    }
    for (int n = 0; n < N_PULSE; n++) {
        series[n] = n == 0 ? exp(c[0]) : 0.0;
        for (int k = 1; k <= n; k++) series[n] += k * c[k] * series[n - k] / n;
        a[N_PULSE - 1 - n] = series[n];
    }
}

/* Inverse SLR: peel one hard pulse (flip angle in radians) a step off the polynomials. */
static void inverse_slr(double a[N_PULSE], double b[N_PULSE], double pulse[N_PULSE]) {
    for (int i = N_PULSE - 1; i >= 0; i--) {
        double ratio = b[i] / a[i];
        double cj = 1.0 / sqrt(1.0 + ratio * ratio), sj = cj * ratio;
        pulse[i] = 2.0 * atan2(sj, cj);
        for (int k = 0; k <= i; k++) {
            double next_a = cj * a[k] + sj * b[k];
            b[k] = cj * b[k] - sj * a[k];
            a[k] = next_a;
        }
        for (int k = 0; k < i; k++) a[k] = a[k + 1];
    }
}

/* Cayley-Klein parameters of pulse and constant gradient at offset t, then |2 conj(a) b|. */
static double simulate(const double pulse[N_PULSE], double t) {
    double complex a = 1.0, b = 0.0;
    double gradient = t * 2.0 * pi / N_PULSE;
    for (int i = 0; i < N_PULSE; i++) {
        double phi = hypot(pulse[i], gradient);
        double s = phi > 0.0 ? sin(0.5 * phi) / phi : 0.5;
        double complex av = cos(0.5 * phi) - I * gradient * s, bv = -I * pulse[i] * s;
        double complex next_a = av * a - conj(bv) * b;
        b = bv * a + conj(av) * b;
        a = next_a;
    }
    return 2.0 * cabs(a) * cabs(b); /* a rewinder only turns phases */
}

/* One recursive pass each way for a pole z, mirror boundary (Unser et al. 1993). */
static void spline_pole(double *x, int n, double z) {
    double sum = 0.0, power = 1.0;
    for (int i = 0; i < n && fabs(power) > 1e-18; i++, power *= z) sum += power * x[i];
    x[0] = sum;
    for (int i = 1; i < n; i++) x[i] += z * x[i - 1];
    x[n - 1] = z / (z * z - 1.0) * (x[n - 1] + z * x[n - 2]);
    for (int i = n - 2; i >= 0; i--) x[i] = z * (x[i + 1] - x[i]);
}

static void design(void) {
    double d1 = sqrt(0.01 / 2.0), d2 = 0.01 / sqrt(2.0); /* ripples of b for an excitation */
    double w = d_infinity(d1, d2) / time_bandwidth;
    double h[N_FIRLS], b[N_PULSE], a[N_PULSE], pulse[N_PULSE];
    filter_least_squares((1.0 - w) * time_bandwidth / N_PULSE, (1.0 + w) * time_bandwidth / N_PULSE,
                         d1 / d2, h);
    shift_half_sample(h, b);
    for (int i = 0; i < N_PULSE; i++) b[i] *= sqrt(0.5); /* 90 degrees */
    minimum_phase_partner(b, a);
    inverse_slr(a, b, pulse);

    double *c = spline_coefficient;
    for (int i = 0; i < DG_PROFILE_POINTS; i++)
        c[i] = simulate(pulse, DG_PROFILE_EDGE * (2.0 * i / (DG_PROFILE_POINTS - 1) - 1.0));
    double u = sqrt(17745.0 / 4.0), v = sqrt(105.0 / 4.0); /* poles of the quintic B-spline */
    double pole[2] = {sqrt(67.5 - u) + v - 6.5, sqrt(67.5 + u) - v - 6.5};
    for (int p = 0; p < 2; p++) {
        for (int i = 0; i < DG_PROFILE_POINTS; i++) c[i] *= (1.0 - pole[p]) * (1.0 - 1.0 / pole[p]);
        spline_pole(c, DG_PROFILE_POINTS, pole[p]);
    }
}

static double quintic(double x) {
    x = fabs(x);
    if (x < 1.0) return 0.55 + x * x * (-0.5 + x * x * (0.25 - x / 12.0));
    if (x < 2.0) return 0.425 + x * (0.625 + x * (-1.75 + x * (1.25 + x * (-0.375 + x / 24.0))));
    double y = x < 3.0 ? 3.0 - x : 0.0;
    return y * y * y * y * y / 120.0;
}

double dg__profile(double t) {
    pthread_once(&designed, design);
    const int last = DG_PROFILE_POINTS - 1;
    double p = (t / DG_PROFILE_EDGE + 1.0) * 0.5 * last, sum = 0.0;
    int first = (int)floor(p) - 2;
    for (int i = first; i < first + 6; i++) {
        int folded = i < 0 ? -i : i > last ? 2 * last - i : i;
        if (folded >= 0 && folded <= last) sum += spline_coefficient[folded] * quintic(p - i);
    }
    return sum;
}
