/* Chunks of one field come back as the field: any number, bright or dark, tilted, one inside
 * another, with a gap; and chunks of a phantom's scan as good as the scan in one piece. */
#include "image/im_stitch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_nifti.h"
#include "phantom/ph_protocol.h"
#include "tests/check_run.h"

static void ck_ok(sx_err rc) {
    ck_assert_msg(rc == SX_OK, "%s", sx_err_text());
}

/* ---- a field ---- */

/* Positive and smooth against all voxels used here (mm). */
static double field(const double w[3]) {
    return 600.0 + 200.0 * cos(w[0] / 9.0) + 150.0 * cos(w[1] / 11.0 + 1.0) +
           120.0 * cos(w[2] / 16.0);
}

/* A chunk of the field times `gain`. */
typedef struct part {
    int64_t dim[3];
    double spacing_mm[3], from_mm[3]; /* of the first voxel */
    double tilt_deg;                  /* about the first axis */
    double gain;
} part;

static im_volume chunk_of(const part *p) {
    im_volume v = {0};
    const double c = cos(p->tilt_deg * 0.017453292519943), s = sin(p->tilt_deg * 0.017453292519943);
    const double axis[3][3] = {{1, 0, 0}, {0, c, -s}, {0, s, c}};
    ck_ok(im_volume_init(&v, p->dim));
    for (int r = 0; r < 3; r++) {
        for (int a = 0; a < 3; a++) v.affine[r][a] = axis[r][a] * p->spacing_mm[a];
        v.affine[r][3] = p->from_mm[r];
    }
    for (int64_t i = 0; i < im_volume_count(&v); i++) {
        const double q[3] = {(double)(i % p->dim[0]), (double)(i / p->dim[0] % p->dim[1]),
                             (double)(i / p->dim[0] / p->dim[1])};
        double w[3];
        im_affine_apply(v.affine, q, w);
        v.voxel[i] = (float)(p->gain * field(w));
    }
    return v;
}

static void stitch_parts(const part *p, int n, im_volume *to, im_stitch_report *r) {
    im_volume chunk[8] = {{.voxel = NULL}};
    for (int i = 0; i < n; i++) chunk[i] = chunk_of(&p[i]);
    ck_ok(im_stitch(to, chunk, n, r));
    for (int i = 0; i < n; i++) im_volume_clear(&chunk[i]);
}

/* Every voxel that is not 0 is the field times one factor, within `tolerance` of it; how many. */
static int64_t check_field(const im_volume *v, double factor, double tolerance) {
    int64_t n = 0;
    for (int64_t i = 0; i < im_volume_count(v); i++) {
        const double q[3] = {(double)(i % v->dim[0]), (double)(i / v->dim[0] % v->dim[1]),
                             (double)(i / v->dim[0] / v->dim[1])};
        double w[3];
        if (v->voxel[i] == 0.0f) continue;
        im_affine_apply(v->affine, q, w);
        ck_assert_msg(fabs((double)v->voxel[i] - factor * field(w)) <=
                          tolerance * factor * field(w),
                      "at %.1f %.1f %.1f mm: got %.6g, want %.6g", w[0], w[1], w[2],
                      (double)v->voxel[i], factor * field(w));
        n++;
    }
    return n;
}

#define AXIAL                                                                                      \
    { 0.9, 0.9, 5.0 }
static const part row_of_four[] = {
    {{20, 24, 8}, AXIAL, {0, 0, 0}, 0, 1.0},
    {{20, 24, 8}, AXIAL, {0, 0, 27.5}, 0, 1.6},
    {{20, 24, 9}, AXIAL, {0, 0, 52}, 0, 0.7},
    {{20, 24, 6}, AXIAL, {0, 0, 85}, 0, 1.1},
};

START_TEST(chunks_of_different_brightness_come_back_as_one_field) {
    for (int n = 2; n <= 4; n++) {
        im_volume v = {0};
        im_stitch_report r = {0};
        double level = 1.0, gain = 1.0;
        stitch_parts(row_of_four, n, &v, &r);
        for (int i = 0; i < n; i++) level *= row_of_four[i].gain, gain *= r.chunk[i].gain;
        ck_assert_double_eq_tol(gain, 1.0, 1e-9);
        /* slices are interpolated, and the outermost ones repeated for half a slice */
        const int64_t covered = check_field(&v, pow(level, 1.0 / n), 0.04);
        ck_assert_int_eq(covered, im_volume_count(&v));
        ck_assert_int_eq(r.n_overlaps, n - 1);
        ck_assert_int_eq(r.n_apart, 1);
        ck_assert_int_eq(r.n_empty, 0);
        for (int k = 0; k < n - 1; k++) {
            ck_assert_double_ge(r.overlap[k].ncc, 0.999);
            ck_assert_double_eq_tol(r.overlap[k].ratio,
                                    row_of_four[k + 1].gain / row_of_four[k].gain, 0.01);
        }
        im_stitch_report_clear(&r);
        im_volume_clear(&v);
    }
}
END_TEST

START_TEST(the_grid_has_the_smallest_box_and_spacings_and_keeps_the_voxels_of_one_chunk) {
    static const part p[] = {
        {{20, 24, 8}, {0.9, 0.9, 5.0}, {0, 0, 0}, 12, 1.0},
        {{20, 24, 14}, {0.9, 0.8, 4.0}, {0, 0, 27}, 0, 1.0},
        {{20, 24, 9}, {0.9, 0.9, 5.0}, {0, 0, 70}, 0, 1.0},
    };
    im_volume v = {0}, kept = chunk_of(&p[1]);
    im_stitch_report r = {0};
    double mm[3];
    stitch_parts(p, 3, &v, &r);
    im_spacing(&v, mm);
    ck_assert_double_eq_tol(mm[0], 0.9, 1e-9);
    ck_assert_double_eq_tol(mm[1], 0.8, 1e-9);
    ck_assert_double_eq_tol(mm[2], 4.0, 1e-9);
    ck_assert_int_eq(r.grid_of, 1);
    ck_assert_double_eq_tol(r.chunk[0].turned_deg, 12.0, 1e-6);
    ck_assert_double_eq_tol(r.chunk[2].turned_deg, 0.0, 1e-6);
    check_field(&v, 1.0, 0.02);
    /* a slice that this chunk alone covers */
    const int64_t k = (int64_t)((27 + 6 * 4 - v.affine[2][3]) / 4 + 0.5);
    const int64_t j0 = (int64_t)(-v.affine[1][3] / 0.8 + 0.5), nx = v.dim[0];
    ck_assert_int_eq(nx, 20);
    for (int64_t j = 0; j < 24; j++)
        for (int64_t i = 0; i < 20; i++)
            ck_assert_float_eq_tol(v.voxel[(k * v.dim[1] + j0 + j) * nx + i],
                                   (float)r.chunk[1].gain * kept.voxel[(6 * 24 + j) * 20 + i],
                                   0.02f);
    im_volume_clear(&kept);
    im_volume_clear(&v);
    im_stitch_report_clear(&r);
}
END_TEST

START_TEST(how_a_chunk_is_stored_does_not_matter) {
    im_volume a = {0}, b = {0}, chunk[4], turned[4] = {{.voxel = NULL}};
    im_stitch_report r = {0}, q = {0};
    for (int i = 0; i < 4; i++) {
        chunk[i] = chunk_of(&row_of_four[i]);
        ck_ok(
            im_reorient(&turned[i], &chunk[i], ((const char *[]){"RAS", "LPS", "PIR", "SRA"})[i]));
    }
    ck_ok(im_stitch(&a, chunk, 4, &r));
    ck_ok(im_stitch(&b, turned, 4, &q));
    ck_assert_int_eq(memcmp(a.dim, b.dim, sizeof a.dim), 0);
    for (int64_t i = 0; i < im_volume_count(&a); i++)
        ck_assert_float_eq_tol(a.voxel[i], b.voxel[i], 0.05f);
    for (int i = 0; i < 4; i++) im_volume_clear(&chunk[i]), im_volume_clear(&turned[i]);
    im_volume_clear(&a);
    im_volume_clear(&b);
    im_stitch_report_clear(&r);
    im_stitch_report_clear(&q);
}
END_TEST

/* Two flat chunks so narrow that their gains are not matched: what is left are the weights. */
START_TEST(weights_fall_in_equal_steps_towards_where_a_chunk_ends) {
    const int64_t dim[3] = {3, 3, 8};
    im_volume chunk[2] = {{.voxel = NULL}}, v = {0};
    im_stitch_report r = {0};
    for (int c = 0; c < 2; c++) {
        ck_ok(im_volume_init(&chunk[c], dim));
        chunk[c].affine[2][2] = 5.0;
        chunk[c].affine[2][3] = 20.0 * c; /* slices 4 to 7 are shared */
        for (int64_t i = 0; i < 72; i++) chunk[c].voxel[i] = c ? 200.0f : 100.0f;
    }
    ck_ok(im_stitch(&v, chunk, 2, &r));
    ck_assert(isnan(r.overlap[0].ratio) && isnan(r.overlap[0].ncc));
    ck_assert_int_eq(r.overlap[0].n, 36);
    ck_assert_int_eq(v.dim[2], 12);
    for (int64_t k = 0; k < 12; k++) {
        const double share = fmin(fmax((double)(k - 3) / 5.0, 0.0), 1.0);
        ck_assert_double_eq_tol((double)v.voxel[k * 9 + 4], 100.0 + 100.0 * share, 1e-4);
    }
    for (int c = 0; c < 2; c++) im_volume_clear(&chunk[c]);
    im_volume_clear(&v);
    im_stitch_report_clear(&r);
}
END_TEST

START_TEST(a_chunk_inside_another_has_its_say) {
    static const part p[] = {
        {{20, 24, 20}, AXIAL, {0, 0, 0}, 0, 1.0},
        {{20, 24, 7}, AXIAL, {0, 0, 32}, 0, 1.5},
    };
    im_volume v = {0}, whole = chunk_of(&p[0]);
    im_stitch_report r = {0};
    stitch_parts(p, 2, &v, &r);
    ck_assert_int_eq(memcmp(v.dim, whole.dim, sizeof v.dim), 0);
    check_field(&v, sqrt(1.5), 0.02);
    ck_assert_double_eq_tol(r.chunk[0].gain / r.chunk[1].gain, 1.5, 0.01);
    /* the inner one is interpolated: its share is seen */
    double most = 0.0;
    for (int64_t i = 0; i < im_volume_count(&v); i++)
        most = fmax(most, fabs((double)v.voxel[i] / r.chunk[0].gain - (double)whole.voxel[i]));
    ck_assert_double_ge(most, 0.01);
    im_volume_clear(&whole);
    im_volume_clear(&v);
    im_stitch_report_clear(&r);
}
END_TEST

START_TEST(a_gap_is_filled_with_0_and_counted) {
    static const part p[] = {
        {{20, 24, 6}, AXIAL, {0, 0, 0}, 0, 1.0},
        {{20, 24, 6}, AXIAL, {0, 0, 45}, 0, 3.0},
    };
    im_volume v = {0};
    im_stitch_report r = {0};
    stitch_parts(p, 2, &v, &r);
    ck_assert_int_eq(r.n_overlaps, 0);
    ck_assert_int_eq(r.n_apart, 2);
    ck_assert_int_eq(r.n_empty, 3);
    ck_assert_int_eq(v.dim[2], 15);
    for (int64_t k = 0; k < 15; k++)
        ck_assert((v.voxel[k * 480 + 200] == 0.0f) == (k >= 6 && k < 9));
    ck_assert_double_eq(r.chunk[1].gain, 1.0);
    im_volume_clear(&v);
    im_stitch_report_clear(&r);
}
END_TEST

START_TEST(one_chunk_is_copied_as_it_is) {
    im_volume chunk = chunk_of(&row_of_four[0]), v = {0};
    im_stitch_report r = {0};
    chunk.voxel[7] = -3.0f;
    ck_ok(im_stitch(&v, &chunk, 1, &r));
    ck_assert_int_eq(memcmp(v.affine, chunk.affine, sizeof v.affine), 0);
    ck_assert_int_eq(memcmp(v.voxel, chunk.voxel, (size_t)im_volume_count(&v) * sizeof(float)), 0);
    ck_assert_int_eq(r.n_apart, 1);
    im_volume_clear(&chunk);
    im_volume_clear(&v);
    im_stitch_report_clear(&r);
}
END_TEST

START_TEST(nothing_is_negative_and_contrast_that_is_inverted_is_seen) {
    im_volume chunk[2], v = {0};
    im_stitch_report r = {0};
    for (int i = 0; i < 2; i++) chunk[i] = chunk_of(&row_of_four[i]);
    for (int64_t i = 0; i < im_volume_count(&chunk[1]); i++)
        chunk[1].voxel[i] = 1000.0f - chunk[1].voxel[i];
    ck_ok(im_stitch(&v, chunk, 2, &r));
    ck_assert_double_le(r.overlap[0].ncc, -0.9);
    for (int64_t i = 0; i < im_volume_count(&v); i++) ck_assert_float_ge(v.voxel[i], 0.0f);
    for (int i = 0; i < 2; i++) im_volume_clear(&chunk[i]);
    im_volume_clear(&v);
    im_stitch_report_clear(&r);
}
END_TEST

START_TEST(chunks_that_are_no_one_scan_are_refused) {
    part p[2] = {row_of_four[0], row_of_four[1]};
    im_volume chunk[2], v = {0};
    p[1].from_mm[2] = 5000.0;
    for (int i = 0; i < 2; i++) chunk[i] = chunk_of(&p[i]);
    for (int flat = 0; flat < 2; flat++) {
        im_stitch_report r = {0};
        ck_assert_int_eq(im_stitch(&v, chunk, 2, &r), SX_E_DATA);
        ck_assert_ptr_null(v.voxel);
        memset(chunk[1].affine[2], 0, sizeof chunk[1].affine[2]);
        im_stitch_report_clear(&r);
    }
    im_stitch_report r = {0};
    ck_assert_int_eq(im_stitch(&v, chunk, 0, &r), SX_E_DATA);
    for (int i = 0; i < 2; i++) im_volume_clear(&chunk[i]);
}
END_TEST

/* ---- a phantom ---- */

/* PSNR (dB) of a scan, resampled on the truth's grid, where `count` is set. */
static double psnr(const im_volume *scan, const im_volume *truth, const unsigned char *count) {
    im_volume on = {0};
    double sum = 0.0, most = 0.0;
    int64_t n = 0;
    ck_ok(im_volume_init(&on, truth->dim));
    memcpy(on.affine, truth->affine, sizeof on.affine);
    ck_ok(im_resample(&on, scan, 3, NULL));
    for (int64_t i = 0; i < im_volume_count(truth); i++) {
        if (!count[i]) continue;
        const double e = (double)on.voxel[i] - (double)truth->voxel[i];
        most = fmax(most, (double)truth->voxel[i]);
        sum += e * e;
        n++;
    }
    im_volume_clear(&on);
    return 10.0 * log10(most * most * (double)n / sum);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Mean |difference| between slice k and the next one. */
static double gradient(const im_volume *v, int64_t k) {
    const int64_t n = v->dim[0] * v->dim[1];
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs((double)v->voxel[(k + 1) * n + i] - (double)v->voxel[k * n + i]);
    return sum / (double)n;
}

/* What a stitched scan is like beside one scan in one piece. */
typedef struct figures {
    double stitched_db, whole_db; /* PSNR against the truth                               */
    double seam;  /* largest step at an end of an overlap: share of that in one piece */
    double other; /* the same of all other steps                                      */
} figures;

static bool is_seam(const im_stitch_report *r, int64_t k) {
    for (int i = 0; i < r->n_overlaps; i++) {
        const im_stitch_chunk *a = &r->chunk[r->overlap[i].a], *b = &r->chunk[r->overlap[i].b];
        const int64_t low = a->low[2] > b->low[2] ? a->low[2] : b->low[2];
        const int64_t high = a->high[2] < b->high[2] ? a->high[2] : b->high[2];
        if (k == low - 1 || k == high) return true;
    }
    return false;
}

/* Steps of the anatomy fall out: both volumes have slices at the same places, those of `whole` are
 * the slices from `first` on of `stitched`. The median share counts as 1. */
static void compare_steps(figures *f, const im_volume *stitched, const im_volume *whole,
                          int64_t first, const im_stitch_report *r) {
    double share[256], sorted[256];
    const int64_t n = whole->dim[2] - 1;
    for (int64_t k = 0; k < n; k++)
        sorted[k] = share[k] = gradient(stitched, first + k) / gradient(whole, k);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    for (int64_t k = 0; k < n; k++) {
        double *most = is_seam(r, first + k) ? &f->seam : &f->other;
        *most = fmax(*most, share[k] / sorted[n / 2]);
    }
}

/* One long scan of the truth whose slices are those of `v`, as far as the truth goes; the first of
 * them. */
static int64_t scan_whole(im_volume *whole, const im_volume *v, const im_volume *truth,
                          ph_scan_options s) {
    const double half_mm = 0.5 * (double)truth->dim[1] * fabs(truth->affine[2][1]);
    const double low_mm = v->affine[2][3] - 0.5 * s.spacing_mm[2]; /* of the lowest slice */
    const int64_t first = (int64_t)ceil(fmax(-half_mm - low_mm, 0.0) / s.spacing_mm[2]);
    const double from_mm = low_mm + (double)first * s.spacing_mm[2];
    const int64_t n = (int64_t)((half_mm - from_mm) / s.spacing_mm[2]);
    s.to_mm = half_mm - from_mm;
    s.from_mm = fmax(s.to_mm - (double)n * s.spacing_mm[2], 0.0);
    s.key = 4711;
    ck_ok(ph_scan(whole, truth, &s));
    ck_assert_double_eq_tol(whole->affine[2][3], v->affine[2][3] + 5.0 * (double)first, 1e-6);
    return first;
}

/* A session's chunks, as the phantom's protocol has them but none that moved, against one long
 * scan with the slices of the stitched volume, the same noise and a gain field of its own as strong
 * as theirs. */
static figures compare_session(const ph_options *o, const ph_session_options *how, int subject) {
    ph_subject body = {.truth = {.voxel = NULL}};
    ph_planned_scan plan[PH_MAX_SCANS];
    im_volume chunk[PH_MAX_SCANS] = {{.voxel = NULL}}, whole = {0}, probe = {0}, v = {0};
    im_stitch_report r = {0};
    figures f = {0};
    ck_ok(ph_subject_make(&body, o, subject, 0));
    const int n = ph_plan_session(o, how, subject, 0, plan) - 1; /* the first is sagittal */
    for (int i = 0; i < n; i++) ck_ok(ph_scan(&chunk[i], &body.truth, &plan[1 + i].scan));
    ck_ok(im_stitch(&v, chunk, n, &r));
    compare_steps(&f, &v, &whole, scan_whole(&whole, &v, &body.truth, plan[1].scan), &r);
    unsigned char *count = SX_NEW_ARRAY(unsigned char, im_volume_count(&body.truth));
    ck_ok(im_volume_copy(&probe, &body.truth));
    ck_ok(im_resample(&probe, &whole, 0, count)); /* where the long scan is */
    f.stitched_db = psnr(&v, &body.truth, count);
    f.whole_db = psnr(&whole, &body.truth, count);
    printf("subject %d, %d chunks: stitched %.2f dB, in one scan %.2f dB; largest step at a seam "
           "%.3f, elsewhere %.3f\n",
           subject + 1, n, f.stitched_db, f.whole_db, f.seam, f.other);
    for (int i = 0; i < n; i++) im_volume_clear(&chunk[i]);
    im_volume_clear(&whole);
    im_volume_clear(&probe);
    im_volume_clear(&v);
    im_stitch_report_clear(&r);
    ph_subject_clear(&body);
    sx_free(count);
    return f;
}

START_TEST(a_phantom_in_chunks_is_as_good_as_in_one_scan) {
    const ph_options o = {
        .seed = 5, .iso_mm = 0.8571, .height_mm = 125, .width_mm = 16, .depth_mm = 60};
    const ph_session_options how = {.chunks = 3, .noise = 0.012};
    const figures f = compare_session(&o, &how, 0);
    ck_assert_double_ge(f.stitched_db, f.whole_db - 0.5);
    ck_assert_double_le(f.seam, 1.1);
}
END_TEST

/* Whole sessions as `sagax phantom` makes them, without gain fields and with one in each scan; how
 * many is an argument of the program. */
static int n_sessions;
START_TEST(sessions_in_chunks_are_as_good_as_in_one_scan) {
    const ph_options o = {
        .seed = 1, .iso_mm = 0.8571, .height_mm = 200, .width_mm = 50, .depth_mm = 140};
    const bool biased = _i == 1;
    const ph_session_options how = {.noise = 0.012, .bias = biased ? 0.15 : 0.0};
    double db = 0.0, seam = 0.0, most = 0.0;
    for (int i = 0; i < n_sessions; i++) {
        const figures f = compare_session(&o, &how, i);
        db += (f.stitched_db - f.whole_db) / n_sessions;
        seam += f.seam / n_sessions;
        most = fmax(most, f.seam);
        ck_assert_double_ge(f.stitched_db, f.whole_db - 0.5);
        ck_assert_double_le(f.seam, 1.1);
    }
    printf("%d sessions, %s: %+.2f dB, step at a seam %.3f on average, %.3f at most\n", n_sessions,
           biased ? "each scan with its own gain field" : "no gain fields", db, seam, most);
}
END_TEST

/* ---- real data ---- */

static im_volume read_scan(const char *root, const char *name) {
    char *path = sx_strf("%s/%s", root, name);
    im_volume v = {0};
    ck_ok(io_nifti_read(path, &(io_read_opt){.frame = -1}, &v, NULL));
    sx_free(path);
    return v;
}

static const char *real_root;
#define M23 "sub-m23/ses-2024"
START_TEST(chunks_of_a_scanned_spine_are_as_good_as_the_scan_in_one_piece) {
    im_volume chunk[2] = {
        read_scan(real_root,
                  "rawdata/" M23 "0202/anat/sub-m23_ses-20240202_acq-ax_chunk-1_T2w.nii.gz"),
        read_scan(real_root,
                  "rawdata/" M23 "0202/anat/sub-m23_ses-20240202_acq-ax_chunk-2_T2w.nii.gz")};
    im_volume whole =
        read_scan(real_root, "rawdata/" M23 "0101/anat/sub-m23_ses-20240101_acq-ax_T2w.nii.gz");
    im_volume truth = read_scan(real_root, "derivatives/groundtruth/" M23
                                           "0101/anat/sub-m23_ses-20240101_acq-iso_T2w.nii.gz");
    im_volume probe = {0}, v = {0};
    im_stitch_report r = {0};
    figures f = {0};
    for (int64_t i = 0; i < im_volume_count(&chunk[1]); i++) chunk[1].voxel[i] *= 1.4f;
    ck_ok(im_stitch(&v, chunk, 2, &r));
    ck_assert_double_eq_tol(r.overlap[0].ratio, 1.4, 0.01);
    ck_assert_double_ge(r.overlap[0].ncc, 0.999);
    for (int64_t i = 0; i < im_volume_count(&v); i++) v.voxel[i] /= sqrtf(1.4f);
    compare_steps(&f, &v, &whole, 0, &r);
    unsigned char *count = SX_NEW_ARRAY(unsigned char, im_volume_count(&truth));
    ck_ok(im_volume_copy(&probe, &truth));
    ck_ok(im_resample(&probe, &whole, 0, count));
    f.stitched_db = psnr(&v, &truth, count);
    f.whole_db = psnr(&whole, &truth, count);
    printf("stitched %.2f dB, in one scan %.2f dB; step at a seam %.3f\n", f.stitched_db,
           f.whole_db, f.seam);
    ck_assert_double_ge(f.stitched_db, f.whole_db - 0.5);
    ck_assert_double_le(f.seam, 1.1);
    for (int i = 0; i < 2; i++) im_volume_clear(&chunk[i]);
    im_volume_clear(&whole);
    im_volume_clear(&truth);
    im_volume_clear(&probe);
    im_volume_clear(&v);
    im_stitch_report_clear(&r);
    sx_free(count);
}
END_TEST

static int check_real(void) {
    const char *shared = getenv("SAGAX_SHARED");
    char *root = sx_path_join(shared ? shared : "../shared", "data/sim/dataset-spinesim");
    int rc = 77;
    real_root = root;
    if (sx_file_is_dir(root))
        rc = CHECK_RUN("image_stitch_real",
                       chunks_of_a_scanned_spine_are_as_good_as_the_scan_in_one_piece);
    else
        printf("SKIPPED: %s is not there\n", root);
    sx_free(root);
    return rc;
}

static Suite *sessions_suite(void) {
    Suite *s = suite_create("image_stitch_sessions");
    TCase *c = tcase_create("sessions");
    tcase_add_loop_test(c, sessions_in_chunks_are_as_good_as_in_one_scan, 0, 2);
    suite_add_tcase(s, c);
    return s;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "real") == 0) return check_real();
    n_sessions = argc > 1 ? atoi(argv[1]) : 0;
    if (n_sessions > 0) return check_run_suite(sessions_suite());
    return CHECK_RUN(
        "image_stitch", chunks_of_different_brightness_come_back_as_one_field,
        the_grid_has_the_smallest_box_and_spacings_and_keeps_the_voxels_of_one_chunk,
        how_a_chunk_is_stored_does_not_matter,
        weights_fall_in_equal_steps_towards_where_a_chunk_ends, a_chunk_inside_another_has_its_say,
        a_gap_is_filled_with_0_and_counted, one_chunk_is_copied_as_it_is,
        nothing_is_negative_and_contrast_that_is_inverted_is_seen,
        chunks_that_are_no_one_scan_are_refused, a_phantom_in_chunks_is_as_good_as_in_one_scan);
}
