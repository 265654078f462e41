/* Geometry, slice profile, motion and noise of scans, on objects whose scan is known in closed
 * form. */
#include <math.h>
#include <string.h>
#include "phantom/ph_phantom.h"
#include "tests/check_run.h"

enum { NX = 30, NY = 60, NZ = 80 };

/* A "PIR" truth of 1 mm voxels, off the origin, so that a forgotten offset shows. */
static void make_truth(im_volume *v) {
    const int64_t dim[3] = {NY, NZ, NX};
    memset(v, 0, sizeof *v);
    ck_assert_int_eq(im_volume_init(v, dim), SX_OK);
    memset(v->affine, 0, sizeof v->affine);
    v->affine[1][0] = v->affine[2][1] = -1;
    v->affine[0][2] = v->affine[3][3] = 1;
    v->affine[0][3] = 4.3;
    v->affine[1][3] = 50.1;
    v->affine[2][3] = -12.7;
}

typedef double shape(const double world[3]);

static void fill(im_volume *v, shape *f) {
    for (int64_t k = 0, at = 0; k < v->dim[2]; k++)
        for (int64_t j = 0; j < v->dim[1]; j++)
            for (int64_t i = 0; i < v->dim[0]; i++, at++) {
                double voxel[3] = {(double)i, (double)j, (double)k}, world[3];
                im_affine_apply(v->affine, voxel, world);
                v->voxel[at] = (float)f(world);
            }
}

static const double marker_mm[3] = {19.7, 18.4, -54.2};
static double marker(const double w[3]) {
    double q = 0;
    for (int c = 0; c < 3; c++) q += (w[c] - marker_mm[c]) * (w[c] - marker_mm[c]);
    return 1000.0 * exp(-q / (2 * 3.0 * 3.0));
}
static double ramp(const double w[3]) {
    return 500.0 + 4.0 * w[2];
}
static double edge(const double w[3]) {
    return w[2] < -50.2 ? 800.0 : 0.0;
}
static double rod(const double w[3]) {
    return 1000.0 * exp(-(w[1] - 20.0) * (w[1] - 20.0) / (2 * 3.0 * 3.0));
}
static double sheet_mm = 0;
static double sheet(const double w[3]) {
    double off = fabs(w[2] - sheet_mm);
    return off < 0.5 ? 1000.0 : 0.0;
}
static double nothing(const double w[3]) {
    return w[2] > -20.0 ? 1000.0 : 0.0;
}

static ph_scan_options axial(void) {
    return (ph_scan_options){.spacing_mm = {0.9, 1.1, 5.0},
                             .thickness_mm = 4,
                             .axial = true,
                             .from_mm = 0,
                             .to_mm = NZ,
                             .key = 7};
}

static ph_scan_options sagittal(void) {
    ph_scan_options o = axial();
    o.axial = false;
    o.spacing_mm[1] = 1.0;
    o.spacing_mm[2] = 3.3;
    o.thickness_mm = 3;
    return o;
}

static void scan_of(im_volume *scan, shape *f, const ph_scan_options *o) {
    im_volume truth;
    make_truth(&truth);
    fill(&truth, f);
    memset(scan, 0, sizeof *scan);
    ck_assert_int_eq(ph_scan(scan, &truth, o), SX_OK);
    im_volume_clear(&truth);
}

/* Centroid (mm) of slices first, first + step, …; world. */
static void centroid(const im_volume *v, int64_t first, int64_t step, double c[3]) {
    double sum = 0;
    memset(c, 0, 3 * sizeof *c);
    for (int64_t k = first; k < v->dim[2]; k += step)
        for (int64_t j = 0; j < v->dim[1]; j++)
            for (int64_t i = 0; i < v->dim[0]; i++) {
                double voxel[3] = {(double)i, (double)j, (double)k}, world[3];
                double x = (double)v->voxel[(k * v->dim[1] + j) * v->dim[0] + i];
                im_affine_apply(v->affine, voxel, world);
                for (int n = 0; n < 3; n++) c[n] += x * world[n];
                sum += x;
            }
    for (int n = 0; n < 3; n++) c[n] /= sum;
}

static double slice_mean(const im_volume *v, int64_t k) {
    double sum = 0;
    int64_t n = v->dim[0] * v->dim[1];
    for (int64_t i = 0; i < n; i++) sum += (double)v->voxel[k * n + i];
    return sum / (double)n;
}

static double slice_z(const im_volume *v, int64_t k) {
    return v->affine[2][3] + v->affine[2][2] * (double)k;
}

START_TEST(a_marker_stays_where_it_is_in_the_world) {
    ph_scan_options o[2] = {axial(), sagittal()};
    const char *want[2] = {"LAS", "PSR"};
    for (int n = 0; n < 2; n++) {
        im_volume scan;
        char codes[4];
        double c[3];
        scan_of(&scan, marker, &o[n]);
        im_axcodes(scan.affine, codes);
        ck_assert_str_eq(codes, want[n]);
        centroid(&scan, 0, 1, c);
        for (int a = 0; a < 3; a++)
            ck_assert_msg(fabs(c[a] - marker_mm[a]) < 0.1,
                          "scan %d axis %d: got %g, want %g +- 0.1", n, a, c[a], marker_mm[a]);
        im_volume_clear(&scan);
    }
}
END_TEST

START_TEST(a_ramp_keeps_its_height_in_every_inner_slice) {
    im_volume scan;
    ph_scan_options o = axial();
    scan_of(&scan, ramp, &o);
    for (int64_t k = 1; k < scan.dim[2] - 1; k++) {
        const double p[3] = {0, 0, slice_z(&scan, k)};
        ck_assert_msg(fabs(slice_mean(&scan, k) - ramp(p)) < 0.5, "slice %lld: got %g, want %g",
                      (long long)k, slice_mean(&scan, k), ramp(p));
    }
    im_volume_clear(&scan);
}
END_TEST

START_TEST(an_edge_is_seen_only_by_slices_that_reach_it) {
    im_volume scan;
    ph_scan_options o = axial();
    scan_of(&scan, edge, &o);
    for (int64_t k = 0; k < scan.dim[2]; k++) {
        double off = slice_z(&scan, k) + 50.2, got = slice_mean(&scan, k);
        if (fabs(off) < 0.5 * o.thickness_mm + 1.0) continue;
        double want = off < 0 ? 800.0 : 0.0;
        ck_assert_msg(fabs(got - want) < 16.0, "slice at %+.1f mm: got %g, want %g +- 16", off, got,
                      want);
    }
    im_volume_clear(&scan);
}
END_TEST

/* A sheet of one voxel, moved voxel by voxel past a slice, tells the profile of that slice. */
START_TEST(a_slice_is_as_thick_as_asked_for) {
    enum { N = 13 };
    ph_scan_options o = axial();
    double got[N] = {0}, most = 0, width_mm = 0;
    for (int n = 0; n < N; n++) {
        im_volume scan;
        sheet_mm = -12.7 - 42 - (n - N / 2); /* on a row of the truth */
        scan_of(&scan, sheet, &o);
        got[n] = slice_mean(&scan, 7);
        most = fmax(most, got[n]);
        im_volume_clear(&scan);
    }
    for (int n = 0; n + 1 < N; n++) { /* between the crossings of half the maximum */
        double a = got[n] / most - 0.5, b = got[n + 1] / most - 0.5;
        width_mm += a > 0 && b > 0 ? 1.0 : a > 0 || b > 0 ? fmax(a, b) / fabs(a - b) : 0.0;
    }
    ck_assert_msg(fabs(width_mm - o.thickness_mm) < 0.3, "half maximum over %.2f mm, want %g",
                  width_mm, o.thickness_mm);
}
END_TEST

START_TEST(slices_of_a_chunk_lie_inside_its_stretch_and_fill_it) {
    im_volume scan;
    ph_scan_options o = axial();
    o.from_mm = 23;
    o.to_mm = 61.5;
    scan_of(&scan, ramp, &o);
    double top = -12.7 + 0.5, upper = top - o.from_mm, lower = top - o.to_mm;
    ck_assert_int_eq(scan.dim[2], 7);
    double low = slice_z(&scan, 0) - 2.5, high = slice_z(&scan, scan.dim[2] - 1) + 2.5;
    ck_assert_msg(low >= lower - 1e-9 && low < lower + 5, "lower end %g, stretch %g", low, lower);
    ck_assert_msg(high <= upper + 1e-9 && high > upper - 5, "upper end %g, stretch %g", high,
                  upper);
    im_volume_clear(&scan);
}
END_TEST

START_TEST(motion_moves_odd_slices_back_and_even_ones_not) {
    im_volume scan;
    ph_scan_options o = axial();
    double still[3], moved[3];
    o.motion_mm = 1.3;
    scan_of(&scan, rod, &o);
    centroid(&scan, 0, 2, still);
    centroid(&scan, 1, 2, moved);
    ck_assert_double_eq_tol(still[1], 20.0, 0.05);
    ck_assert_double_eq_tol(moved[1], 20.0 - 1.3, 0.05);
    im_volume_clear(&scan);
}
END_TEST

START_TEST(noise_is_rician_of_the_asked_sigma_and_keyed) {
    im_volume a, b, c;
    ph_scan_options o = axial();
    o.noise = 0.02;
    scan_of(&a, nothing, &o);
    scan_of(&b, nothing, &o);
    o.key = 8;
    scan_of(&c, nothing, &o);
    size_t bytes = (size_t)im_volume_count(&a) * sizeof *a.voxel;
    ck_assert(memcmp(a.voxel, b.voxel, bytes) == 0);
    ck_assert(memcmp(a.voxel, c.voxel, bytes) != 0);
    /* Without signal the magnitude is Rayleigh: mean sigma * sqrt(pi / 2), sigma = 0.02 * 1000. */
    double want = 20.0 * 1.2533141373155, got = slice_mean(&a, 1);
    ck_assert_msg(fabs(got - want) < 0.6, "mean of air: got %g, want %g +- 0.6", got, want);
    im_volume_clear(&a);
    im_volume_clear(&b);
    im_volume_clear(&c);
}
END_TEST

START_TEST(bias_is_smooth_and_within_its_strength) {
    im_volume plain, gained;
    ph_scan_options o = axial();
    scan_of(&plain, ramp, &o);
    o.bias = 0.3;
    scan_of(&gained, ramp, &o);
    double spread = 0, step = 0, least = 1, most = -1;
    for (int64_t i = 1; i < im_volume_count(&plain); i++) {
        double g = (double)(gained.voxel[i] / plain.voxel[i]) - 1.0;
        double before = (double)(gained.voxel[i - 1] / plain.voxel[i - 1]) - 1.0;
        spread = fmax(spread, fabs(g));
        least = fmin(least, g);
        most = fmax(most, g);
        if (i % plain.dim[0]) step = fmax(step, fabs(g - before));
    }
    ck_assert_msg(spread <= 0.3001 && spread > 0.01, "largest gain: got %g, want 0.01..0.3",
                  spread);
    ck_assert_msg(most - least > 0.03, "gain from %g to %g: it should vary", least, most);
    ck_assert_msg(step < 0.005, "largest step between voxels: got %g, want below 0.005", step);
    im_volume_clear(&plain);
    im_volume_clear(&gained);
}
END_TEST

START_TEST(impossible_scans_are_refused) {
    im_volume truth;
    make_truth(&truth);
    ph_scan_options wrong[4] = {axial(), axial(), axial(), axial()};
    wrong[0].spacing_mm[1] = 0;
    wrong[1].thickness_mm = -1;
    wrong[2].to_mm = NZ + 1;
    wrong[3].from_mm = wrong[3].to_mm;
    for (int n = 0; n < 4; n++) {
        im_volume scan = {.voxel = NULL};
        ck_assert_int_eq(ph_scan(&scan, &truth, &wrong[n]), SX_E_CONFIG);
        ck_assert_ptr_null(scan.voxel);
    }
    im_volume_clear(&truth);
}
END_TEST

int main(void) {
    return CHECK_RUN("scan", a_marker_stays_where_it_is_in_the_world,
                     a_ramp_keeps_its_height_in_every_inner_slice,
                     an_edge_is_seen_only_by_slices_that_reach_it, a_slice_is_as_thick_as_asked_for,
                     slices_of_a_chunk_lie_inside_its_stretch_and_fill_it,
                     motion_moves_odd_slices_back_and_even_ones_not,
                     noise_is_rician_of_the_asked_sigma_and_keyed,
                     bias_is_smooth_and_within_its_strength, impossible_scans_are_refused);
}
