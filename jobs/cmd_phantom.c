/* sagax phantom OUT: a synthetic cohort as a BIDS tree, to try and test everything else on.
 *
 * OUT holds what a scanner would give (sagittal and axial T2w scans with sidecars);
 * OUT/derivatives/truth the isotropic truth with its labels. Ranks take (subject, session) items
 * from a queue; every file is a pure function of (options, subject, session), so the tree does not
 * depend on the number of ranks. Files that exist are kept, and a session that is complete costs
 * nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "io/io_bids.h"
#include "io/io_nifti.h"
#include "io/io_png.h"
#include "io/io_table.h"
#include "jobs/verbs.h"
#include "mpi/mp_queue.h"
#include "mpi/mp_stop.h"
#include "phantom/ph_phantom.h"

static const job_option options_phantom[] = {
    {"phantom.subjects", JOB_INT, "4", NULL, 1, 999, "subjects"},
    {"phantom.sessions", JOB_INT, "1", NULL, 1, 99, "sessions a subject"},
    {"phantom.seed", JOB_INT, "1", NULL, 0, 9e15, "seed of anatomy and acquisition"},
    {"phantom.height_mm", JOB_REAL, "200", NULL, 40, 600, "field of view head to foot, mm"},
    {"phantom.width_mm", JOB_REAL, "50", NULL, 10, 120, "field of view left to right, mm"},
    {"phantom.depth_mm", JOB_REAL, "140", NULL, 40, 300, "field of view front to back, mm"},
    {"phantom.iso_mm", JOB_REAL, "0.8571", NULL, 0.4, 4, "voxel of the truth, mm"},
    {"phantom.chunks", JOB_INT, "0", NULL, 0, 8, "axial chunks a session; 0: drawn, 2 to 4"},
    {"phantom.motion", JOB_REAL, "0.25", NULL, 0, 1,
     "share of the axial scans with motion between interleaved slices"},
    {"phantom.bias", JOB_REAL, "0.15", NULL, 0, 1, "strength of the smooth gain of a scan"},
    {"phantom.noise", JOB_REAL, "0.012", NULL, 0, 1,
     "Rician sigma as a share of the 99th percentile"},
    {"phantom.picture", JOB_TEXT, "", NULL, 0, 0,
     "also draw the first subject into this PNG; empty: no"},
    JOB_OPTIONS_END};

static const job_option *const sections[] = {options_phantom, NULL};
static const job_alias aliases[] = {{"--subjects", "phantom.subjects"},
                                    {"--sessions", "phantom.sessions"},
                                    {"--seed", "phantom.seed"},
                                    {"--picture", "phantom.picture"},
                                    JOB_ALIASES_END};

static const double overlap_mm = 20.0; // of neighbouring chunks

// The protocols of a scan; spacing as in ph_scan_options.
typedef struct protocol {
    const char *acq;
    double spacing_mm[3], thickness_mm, repetition_s, echo_s;
} protocol;
static const protocol axial = {"ax", {0.6, 0.6, 5.0}, 4.0, 4.5, 0.095};
static const protocol sagittal = {"sag", {0.8, 0.8, 3.3}, 3.0, 3.6, 0.105};

// One (subject, session) and where its files go.
typedef struct session {
    const job *j;
    const char *root;
    int subject, number; // from 0
    ph_options options;
    ph_subject body; // made when the first missing file asks for it
    bool made;
} session;

static ph_options subject_options(const job *j) {
    return (ph_options){.seed = (uint64_t)job_int(j, "phantom.seed"),
                        .iso_mm = job_real(j, "phantom.iso_mm"),
                        .height_mm = job_real(j, "phantom.height_mm"),
                        .width_mm = job_real(j, "phantom.width_mm"),
                        .depth_mm = job_real(j, "phantom.depth_mm")};
}

// OUT[/derivatives/truth]/sub-001/ses-01/anat/sub-001_ses-01_TAIL, new.
static char *name_file(const session *s, bool truth, const char *tail) {
    int sub = s->subject + 1, ses = s->number + 1;
    return sx_strf("%s%s/sub-%03d/ses-%02d/anat/sub-%03d_ses-%02d_%s", s->root,
                   truth ? "/derivatives/truth" : "", sub, ses, sub, ses, tail);
}

static sx_err need_body(session *s) {
    if (s->made) return SX_OK;
    s->made = true;
    return ph_subject_make(&s->body, &s->options, s->subject, s->number);
}

/* ---- truth ---- */

static sx_err write_truth(session *s) {
    const struct {
        const char *tail;
        const im_volume *volume;
        io_dtype type;
    } files[] = {{"acq-iso_T2w.nii.gz", &s->body.truth, IO_INT16},
                 {"seg-vert_dseg.nii.gz", &s->body.instance, IO_UINT16},
                 {"seg-subreg_dseg.nii.gz", &s->body.subregion, IO_UINT8}};
    sx_err rc = SX_OK;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && rc == SX_OK; i++) {
        char *path = name_file(s, true, files[i].tail);
        if (!sx_file_exists(path) && (rc = need_body(s)) == SX_OK &&
            (rc = sx_mkdirs_for(path)) == SX_OK)
            rc = io_nifti_write(path, files[i].volume, files[i].type, "sagax phantom");
        sx_free(path);
    }
    return rc;
}

/* ---- scans ---- */

static sx_err write_sidecar(const char *path, const protocol *p) {
    json_t *o =
        json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:b}", "Modality", "MR", "Manufacturer",
                  "sagax phantom", "MagneticFieldStrength", 3.0, "SliceThickness", p->thickness_mm,
                  "SpacingBetweenSlices", p->spacing_mm[2], "RepetitionTime", p->repetition_s,
                  "EchoTime", p->echo_s, "Simulated", 1);
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6) | JSON_SORT_KEYS);
    sx_err rc = sx_file_write(path, text, strlen(text));
    free(text);
    json_decref(o);
    return rc;
}

// One scan with its sidecar; `stem` without extension, `from_mm` to `to_mm` down from the top.
static sx_err write_scan(session *s, const protocol *p, const char *stem, sx_rng r, double from_mm,
                         double to_mm) {
    im_volume scan = {.voxel = NULL};
    char *image = sx_strf("%s.nii.gz", stem), *sidecar = sx_strf("%s.json", stem);
    bool moves = p == &axial && (double)sx_rng_uniform(&r) < job_real(s->j, "phantom.motion");
    double motion_mm = moves ? (double)sx_rng_range(&r, -1.5f, 1.5f) : 0.0;
    uint64_t key = (uint64_t)sx_rng_u32(&r) << 32;
    key |= sx_rng_u32(&r); /* one draw a statement: their order is part of the scan's bytes */
    ph_scan_options o = {.thickness_mm = p->thickness_mm,
                         .axial = p == &axial,
                         .motion_mm = motion_mm,
                         .bias = job_real(s->j, "phantom.bias"),
                         .noise = job_real(s->j, "phantom.noise"),
                         .from_mm = from_mm,
                         .to_mm = to_mm,
                         .key = key};
    memcpy(o.spacing_mm, p->spacing_mm, sizeof o.spacing_mm);
    sx_err rc = SX_OK;
    SX_TRY(rc, sx_mkdirs_for(image));
    if (!sx_file_exists(sidecar)) SX_TRY(rc, write_sidecar(sidecar, p));
    if (sx_file_exists(image)) goto out;
    SX_TRY(rc, need_body(s));
    SX_TRY(rc, ph_scan(&scan, &s->body.truth, &o));
    SX_TRY(rc, io_nifti_write(image, &scan, IO_INT16, "sagax phantom"));
out:
    im_volume_clear(&scan);
    sx_free(image);
    sx_free(sidecar);
    return rc;
}

static double truth_height_mm(const ph_options *o) {
    return rint(o->height_mm / o->iso_mm) * o->iso_mm;
}

// n stretches of equal length, whole slices each, cover the field of view and have at least
// `overlap_mm` in common (less where the field of view is short).
static void plan_chunk(double height_mm, int n, int i, double *from_mm, double *to_mm) {
    const double slice_mm = axial.spacing_mm[2];
    double common = n > 1 ? fmin(overlap_mm, 0.25 * height_mm / n) : 0.0;
    double length = slice_mm * ceil((height_mm + (n - 1) * common) / n / slice_mm - 1e-9);
    if (n == 1 || length > height_mm) length = height_mm;
    *from_mm = n > 1 ? i * (height_mm - length) / (n - 1) : 0.0;
    *to_mm = fmin(*from_mm + length, height_mm);
}

static int count_chunks(const session *s, sx_rng *r) {
    int drawn = (int)sx_rng_int(r, 2, 4), asked = (int)job_int(s->j, "phantom.chunks");
    return asked > 0 ? asked : drawn;
}

static sx_rng acquisition_stream(const session *s, int item) {
    const int first = 4096; // beyond the items of the anatomy (phantom/ph_anatomy.c)
    return sx_rng_make(s->options.seed, SX_RNG_PHANTOM, (uint64_t)s->subject,
                       (uint64_t)(first + 16 * s->number + item));
}

static sx_err write_scans(session *s) {
    sx_rng r = acquisition_stream(s, 0);
    const double height = truth_height_mm(&s->options);
    const int n = count_chunks(s, &r);
    char *stem = name_file(s, false, "acq-sag_T2w");
    sx_err rc = write_scan(s, &sagittal, stem, acquisition_stream(s, 1), 0.0, height);
    sx_free(stem);
    for (int i = 0; i < n && rc == SX_OK; i++) {
        double from, to;
        char tail[64] = "acq-ax_T2w";
        if (n > 1) snprintf(tail, sizeof tail, "acq-ax_chunk-%d_T2w", i + 1);
        plan_chunk(height, n, i, &from, &to);
        stem = name_file(s, false, tail);
        rc = write_scan(s, &axial, stem, acquisition_stream(s, 2 + i), from, to);
        sx_free(stem);
    }
    return rc;
}

static sx_err write_session(const job *j, int64_t item) {
    const int64_t sessions = job_int(j, "phantom.sessions");
    session s = {.j = j,
                 .root = job_arg(j, 0),
                 .subject = (int)(item / sessions),
                 .number = (int)(item % sessions),
                 .options = subject_options(j)};
    sx_err rc = write_truth(&s);
    if (rc == SX_OK) rc = write_scans(&s);
    ph_subject_clear(&s.body);
    return rc;
}

/* ---- the data set around the sessions ---- */

static sx_err write_description(const char *root) {
    static const char text[] = "{\n"
                               "  \"Name\": \"Phantom spines\",\n"
                               "  \"BIDSVersion\": \"1.9.0\",\n"
                               "  \"DatasetType\": \"raw\",\n"
                               "  \"GeneratedBy\": [{\"Name\": \"sagax phantom\"}]\n"
                               "}\n";
    char *path = sx_path_join(root, "dataset_description.json");
    sx_err rc = sx_file_exists(path) ? SX_OK : sx_file_write(path, text, sizeof text - 1);
    sx_free(path);
    return rc;
}

// Rewritten on every run: a later run may add subjects.
static sx_err write_participants(const char *root, int64_t subjects) {
    static const char *const header[] = {"participant_id", "species"};
    io_table t = {0};
    io_table_init(&t, 2, header);
    for (int64_t i = 0; i < subjects; i++) {
        char id[32];
        snprintf(id, sizeof id, "sub-%03d", (int)i + 1);
        io_table_add(&t, (const char *const[]){id, "phantom"});
    }
    char *path = sx_path_join(root, "participants.tsv");
    sx_err rc = io_table_write(path, &t);
    sx_free(path);
    io_table_clear(&t);
    return rc;
}

static sx_err write_dataset(const job *j) {
    const char *root = job_arg(j, 0);
    char *truth = sx_path_join(root, "derivatives/truth");
    sx_err rc = SX_OK;
    SX_TRY(rc, sx_mkdirs(truth));
    SX_TRY(rc, write_description(root));
    SX_TRY(rc, write_participants(root, job_int(j, "phantom.subjects")));
    SX_TRY(rc, io_bids_describe(truth, "Truth of phantom spines", "../.."));
out:
    sx_free(truth);
    return rc;
}

/* ---- picture ---- */

// Plane k of the third index as [rows = second index][columns = first].
static const float *plane(const im_volume *v, int64_t k) {
    return v->voxel + k * v->dim[0] * v->dim[1];
}

// The labels as shades: neighbours differ, background is black.
static void shade_labels(const ph_subject *b, im_volume *shade) {
    for (int64_t i = 0, n = im_volume_count(shade); i < n; i++) {
        int label = (int)b->instance.voxel[i], region = (int)b->subregion.voxel[i];
        int code = label ? label * 5 + region * 3 : region ? region * 11 : 0;
        shade->voxel[i] = region ? 60.0f + (float)(code * 29 % 190) : 0.0f;
    }
}

static sx_err draw_picture(const job *j) {
    session s = {.j = j, .options = subject_options(j)};
    im_volume scan[2] = {{.voxel = NULL}, {.voxel = NULL}};
    im_volume view[2] = {{.voxel = NULL}, {.voxel = NULL}}, shade = {.voxel = NULL};
    const protocol *protocols[2] = {&axial, &sagittal};
    sx_err rc = SX_OK;
    SX_TRY(rc, need_body(&s));
    const im_volume *truth = &s.body.truth;
    for (int n = 0; n < 2; n++) {
        ph_scan_options o = {.thickness_mm = protocols[n]->thickness_mm,
                             .axial = n == 0,
                             .bias = job_real(j, "phantom.bias"),
                             .noise = job_real(j, "phantom.noise"),
                             .to_mm = truth_height_mm(&s.options),
                             .key = s.options.seed + (uint64_t)n};
        memcpy(o.spacing_mm, protocols[n]->spacing_mm, sizeof o.spacing_mm);
        SX_TRY(rc, ph_scan(&scan[n], truth, &o));
        SX_TRY(rc, im_volume_init(&view[n], truth->dim));
        memcpy(view[n].affine, truth->affine, sizeof view[n].affine);
        SX_TRY(rc, im_resample(&view[n], &scan[n], 0, NULL));
    }
    SX_TRY(rc, im_volume_init(&shade, truth->dim));
    shade_labels(&s.body, &shade);
    const int h = (int)truth->dim[1], w = (int)truth->dim[0];
    const int64_t k = truth->dim[2] / 2, off = k + (int64_t)(11.0 / s.options.iso_mm);
    const int64_t beside = off < truth->dim[2] ? off : truth->dim[2] - 1;
    const io_panel panel[] = {{plane(truth, k), h, w, 0, 800, "TRUTH"},
                              {plane(&view[0], k), h, w, 0, 800, "AXIAL SCAN 5 MM"},
                              {plane(&view[1], k), h, w, 0, 800, "SAGITTAL SCAN"},
                              {plane(&shade, k), h, w, 0, 255, "LABELS"},
                              {plane(truth, beside), h, w, 0, 800, "TRUTH, BESIDE"},
                              {plane(&shade, beside), h, w, 0, 255, "LABELS, BESIDE"}};
    const char *path = job_text(j, "phantom.picture");
    SX_TRY(rc, sx_mkdirs_for(path));
    SX_TRY(rc, io_png_montage(path, panel, sizeof panel / sizeof panel[0], 3, 2));
out:
    for (int n = 0; n < 2; n++) {
        im_volume_clear(&scan[n]);
        im_volume_clear(&view[n]);
    }
    im_volume_clear(&shade);
    ph_subject_clear(&s.body);
    return rc;
}

/* ---- the verb ---- */

// Items until none is left, a stop is wanted or one fails; all ranks leave together.
static sx_err write_sessions(job *j, int64_t n_items) {
    mp_comm *c = job_comm(j);
    mp_queue *q = NULL;
    sx_progress bar;
    sx_err rc = mp_queue_new(&q, c, n_items), again = SX_OK;
    if ((rc = mp_agree(c, rc)) != SX_OK) return rc;
    sx_progress_begin(&bar, "phantom", "session", 0, n_items);
    for (int64_t item; rc == SX_OK && (item = mp_queue_next(q)) >= 0;) {
        if (mp_stop_wanted()) {
            again = sx_fail(SX_E_AGAIN, "stopped before session %lld of %lld; run me again",
                            (long long)item + 1, (long long)n_items);
            break;
        }
        rc = write_session(j, item);
        if (mp_rank(c) == 0) sx_progress_step(&bar, item + 1, NULL);
    }
    sx_progress_end(&bar);
    rc = mp_agree(c, rc != SX_OK ? rc : again);
    mp_queue_free(q);
    return rc;
}

static sx_err run(job *j) {
    mp_comm *c = job_comm(j);
    const int64_t n_items = job_int(j, "phantom.subjects") * job_int(j, "phantom.sessions");
    const bool first = mp_rank(c) == 0;
    if (first) sx_info("%lld sessions below %s", (long long)n_items, job_arg(j, 0));
    if (job_dry_run(j)) return SX_OK;
    sx_err rc = mp_agree(c, first ? write_dataset(j) : SX_OK);
    if (rc == SX_OK) rc = write_sessions(j, n_items);
    if (rc == SX_OK && *job_text(j, "phantom.picture"))
        rc = mp_agree(c, first ? draw_picture(j) : SX_OK);
    return rc;
}

const job_verb cmd_phantom = {"phantom", "OUT",   "write a synthetic cohort as a BIDS tree",
                              sections,  aliases, 1,
                              1,         true,    run};
