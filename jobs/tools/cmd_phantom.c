/* sagax phantom OUT: a synthetic cohort as a BIDS tree, to try and test everything else on.
 *
 * OUT holds what a scanner would give (sagittal and axial T2w scans with sidecars);
 * OUT/derivatives/truth the isotropic truth with its labels. Ranks take (subject, session) items
 * from a queue; every file is a pure function of (options, subject, session), so the tree does not
 * depend on the number of ranks. Files that exist are kept, and a session that is complete costs
 * nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_bids.h"
#include "io/io_nifti.h"
#include "io/io_png.h"
#include "io/io_table.h"
#include "jobs/job/job_json.h"
#include "jobs/job/verbs.h"
#include "mpi/mp_queue.h"
#include "mpi/mp_stop.h"
#include "phantom/ph_protocol.h"
#include "spine/sp_labels.h"

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
    {"phantom.axial_mm", JOB_REAL, "5", NULL, 1, 20, "from one axial slice to the next, mm"},
    {"phantom.thickness_mm", JOB_REAL, "4", NULL, 1, 20, "thickness of axial slices, mm"},
    {"phantom.picture", JOB_TEXT, "", NULL, 0, 0,
     "also draw the first subject into this PNG; empty: no"},
    JOB_OPTIONS_END};

static const job_option *const sections[] = {options_phantom, NULL};
static const job_alias aliases[] = {{"--subjects", "phantom.subjects"},
                                    {"--sessions", "phantom.sessions"},
                                    {"--seed", "phantom.seed"},
                                    {"--picture", "phantom.picture"},
                                    JOB_ALIASES_END};

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

static ph_session_options session_options(const job *j) {
    return (ph_session_options){.chunks = (int)job_int(j, "phantom.chunks"),
                                .motion = job_real(j, "phantom.motion"),
                                .bias = job_real(j, "phantom.bias"),
                                .noise = job_real(j, "phantom.noise"),
                                .axial_mm = job_real(j, "phantom.axial_mm"),
                                .thickness_mm = job_real(j, "phantom.thickness_mm")};
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

static sx_err write_sidecar(const char *path, const ph_planned_scan *x) {
    const ph_protocol *p = x->protocol;
    json_t *o =
        json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:b}", "Modality", "MR", "Manufacturer",
                  "sagax phantom", "MagneticFieldStrength", 3.0, "SliceThickness",
                  x->scan.thickness_mm, "SpacingBetweenSlices", x->scan.spacing_mm[2],
                  "RepetitionTime", p->repetition_s, "EchoTime", p->echo_s, "Simulated", 1);
    if (x->scan.motion_mm != 0)
        json_object_set_new(o, "SimulatedMotionMM", json_real(x->scan.motion_mm));
    char *text = job_json_text(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6) | JSON_SORT_KEYS);
    sx_err rc = sx_file_write(path, text, strlen(text));
    sx_free(text);
    return rc;
}

// One scan with its sidecar.
static sx_err write_scan(session *s, const ph_planned_scan *x) {
    im_volume scan = {.voxel = NULL};
    char tail[64], number[16] = "";
    if (x->chunk) snprintf(number, sizeof number, "_chunk-%d", x->chunk);
    snprintf(tail, sizeof tail, "acq-%s%s_T2w", x->protocol->acq, number);
    char *stem = name_file(s, false, tail);
    char *image = sx_strf("%s.nii.gz", stem), *sidecar = sx_strf("%s.json", stem);
    sx_err rc = SX_OK;
    SX_TRY(rc, sx_mkdirs_for(image));
    if (!sx_file_exists(sidecar)) SX_TRY(rc, write_sidecar(sidecar, x));
    if (sx_file_exists(image)) goto out;
    SX_TRY(rc, need_body(s));
    SX_TRY(rc, ph_scan(&scan, &s->body.truth, &x->scan));
    SX_TRY(rc, io_nifti_write(image, &scan, IO_INT16, "sagax phantom"));
out:
    im_volume_clear(&scan);
    sx_free(stem);
    sx_free(image);
    sx_free(sidecar);
    return rc;
}

static sx_err write_scans(session *s) {
    const ph_session_options how = session_options(s->j);
    ph_planned_scan list[PH_MAX_SCANS];
    int n = ph_plan_session(&s->options, &how, s->subject, s->number, list);
    sx_err rc = SX_OK;
    for (int i = 0; i < n && rc == SX_OK; i++) rc = write_scan(s, &list[i]);
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

// The options that the bytes of a file depend on, sorted, as text; new.
static char *options_text(json_t *options) {
    static const char *const free_keys[] = {"subjects", "sessions", "picture"};
    for (size_t i = 0; i < sizeof free_keys / sizeof *free_keys; i++)
        json_object_del(options, free_keys[i]);
    return job_json_text(options, JSON_COMPACT | JSON_REAL_PRECISION(9) | JSON_SORT_KEYS);
}

// Files that exist are kept, so those that come must be of the same phantoms.
static sx_err check_description(const char *path, const char *options) {
    json_t *o = json_load_file(path, 0, NULL);
    json_t *by = json_array_get(json_object_get(o, "GeneratedBy"), 0);
    json_t *before = json_object_get(by, "Parameters");
    char *text = options_text(before ? json_incref(before) : json_object());
    sx_err rc = SX_OK;
    if (strcmp(text, options) != 0)
        rc =
            sx_fail(SX_E_CONFIG, "%s: the phantoms there were made with %s, these would be with %s",
                    path, before ? text : "unknown options", options);
    sx_free(text);
    json_decref(o);
    return rc;
}

static sx_err write_description(const job *j, const char *root) {
    char *path = sx_path_join(root, "dataset_description.json"), *text = NULL;
    char *options = options_text(job_section_json(j, "phantom"));
    sx_err rc = SX_OK;
    if (sx_file_exists(path)) {
        rc = check_description(path, options);
        goto out;
    }
    text =
        job_json_text(json_pack("{s:s, s:s, s:s, s:[{s:s, s:o}]}", "Name", "Phantom spines",
                                "BIDSVersion", "1.9.0", "DatasetType", "raw", "GeneratedBy", "Name",
                                "sagax phantom", "Parameters", json_loads(options, 0, NULL)),
                      JSON_INDENT(2) | JSON_REAL_PRECISION(9) | JSON_SORT_KEYS);
    rc = sx_file_write(path, text, strlen(text));
out:
    sx_free(path);
    sx_free(text);
    sx_free(options);
    return rc;
}

// Rewritten on every run: a run may add subjects, but takes none away.
static sx_err write_participants(const char *root, int64_t subjects) {
    static const char *const header[] = {"participant_id", "species"};
    char *path = sx_path_join(root, "participants.tsv");
    io_table t = {0};
    sx_err rc = SX_OK;
    if (sx_file_exists(path)) SX_TRY(rc, io_table_read(path, &t));
    if (t.n_rows > subjects) subjects = t.n_rows;
    io_table_clear(&t);
    io_table_init(&t, 2, header);
    for (int64_t i = 0; i < subjects; i++) {
        char id[32];
        snprintf(id, sizeof id, "sub-%03d", (int)i + 1);
        io_table_add(&t, (const char *const[]){id, "phantom"});
    }
    rc = io_table_write(path, &t);
out:
    sx_free(path);
    io_table_clear(&t);
    return rc;
}

static sx_err write_dataset(const job *j) {
    const char *root = job_arg(j, 0);
    char *truth = sx_path_join(root, "derivatives/truth");
    sx_err rc = SX_OK;
    SX_TRY(rc, sx_mkdirs(truth));
    SX_TRY(rc, write_description(j, root));
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

// Each sub-region has a shade; background is black.
static void shade_labels(const ph_subject *b, im_volume *shade) {
    static const unsigned char shades[256] = {[SP_SACRUM] = 120,
                                              [SP_ARCUS] = 110,
                                              [SP_SPINOUS] = 135,
                                              [SP_COSTAL_LEFT] = 160,
                                              [SP_COSTAL_RIGHT] = 168,
                                              [SP_ARTICULAR_SUP_LEFT] = 200,
                                              [SP_ARTICULAR_SUP_RIGHT] = 208,
                                              [SP_ARTICULAR_INF_LEFT] = 232,
                                              [SP_ARTICULAR_INF_RIGHT] = 240,
                                              [SP_CORPUS_BORDER] = 75,
                                              [SP_CORPUS] = 95,
                                              [SP_CORD] = 255,
                                              [SP_CANAL] = 35,
                                              [SP_ENDPLATE] = 185,
                                              [SP_DISC] = 55};
    for (int64_t i = 0, n = im_volume_count(shade); i < n; i++)
        shade->voxel[i] = (float)shades[(int)b->subregion.voxel[i]];
}

// Row, nearest to the middle of the field, of the centre of a body or disc, which `part` names.
static int64_t find_row(const ph_subject *b, int part) {
    const int64_t h = b->truth.dim[1], w = b->truth.dim[0];
    const float *id = plane(&b->instance, b->truth.dim[2] / 2);
    const float *region = plane(&b->subregion, b->truth.dim[2] / 2);
    int64_t sum[256] = {0}, count[256] = {0}, best = 0;
    for (int64_t i = 0; i < h * w; i++) {
        if ((int)region[i] != part) continue;
        sum[(int)id[i]] += i / w;
        count[(int)id[i]]++;
    }
    for (int n = 0; n < 256; n++)
        if (count[n] && llabs(sum[n] / count[n] - h / 2) < llabs(best - h / 2))
            best = sum[n] / count[n];
    return best;
}

// Row j as an axial image [posterior][from the patient's right to the left], new.
static float *axial_plane(const im_volume *v, int64_t j) {
    const int64_t h = v->dim[0], w = v->dim[2];
    float *x = SX_NEW_ARRAY(float, h *w);
    for (int64_t i = 0; i < h; i++)
        for (int64_t k = 0; k < w; k++)
            x[i * w + w - 1 - k] = v->voxel[(k * v->dim[1] + j) * h + i];
    return x;
}

static sx_err draw_picture(const job *j) {
    session s = {.j = j, .options = subject_options(j)};
    ph_session_options how = session_options(j);
    ph_planned_scan list[PH_MAX_SCANS]; // sagittal, axial
    im_volume scan[2] = {{.voxel = NULL}, {.voxel = NULL}};
    im_volume view[2] = {{.voxel = NULL}, {.voxel = NULL}}, shade = {.voxel = NULL};
    float *axial[4] = {NULL};
    sx_err rc = SX_OK;
    SX_TRY(rc, need_body(&s));
    const im_volume *truth = &s.body.truth;
    char spaced[32];
    how.chunks = 1;
    how.motion = 0.0;
    snprintf(spaced, sizeof spaced, "AXIAL SCAN %.3g MM", how.axial_mm);
    ph_plan_session(&s.options, &how, 0, 0, list);
    for (int n = 0; n < 2; n++) {
        SX_TRY(rc, ph_scan(&scan[n], truth, &list[n].scan));
        SX_TRY(rc, im_volume_init(&view[n], truth->dim));
        memcpy(view[n].affine, truth->affine, sizeof view[n].affine);
        SX_TRY(rc, im_resample(&view[n], &scan[n], 0, NULL));
    }
    SX_TRY(rc, im_volume_init(&shade, truth->dim));
    shade_labels(&s.body, &shade);
    for (int n = 0; n < 4; n++)
        axial[n] =
            axial_plane(n % 2 ? &shade : &view[1], find_row(&s.body, n < 2 ? SP_CORPUS : SP_DISC));
    const int h = (int)truth->dim[1], w = (int)truth->dim[0], side = (int)truth->dim[2];
    const int64_t k = side / 2, off = k + (int64_t)(16.0 / s.options.iso_mm);
    const int64_t beside = off < side ? off : side - 1;
    const io_panel panel[] = {{plane(truth, k), h, w, 0, 800, "TRUTH"},
                              {plane(&view[1], k), h, w, 0, 800, spaced},
                              {plane(&view[0], k), h, w, 0, 800, "SAGITTAL SCAN"},
                              {axial[0], w, side, 0, 800, "AXIAL SCAN, BODY"},
                              {axial[2], w, side, 0, 800, "AXIAL SCAN, DISC"},
                              {plane(&shade, k), h, w, 0, 255, "LABELS"},
                              {plane(truth, beside), h, w, 0, 800, "TRUTH, BESIDE"},
                              {plane(&shade, beside), h, w, 0, 255, "LABELS, BESIDE"},
                              {axial[1], w, side, 0, 255, "LABELS, BODY"},
                              {axial[3], w, side, 0, 255, "LABELS, DISC"}};
    const char *path = job_text(j, "phantom.picture");
    SX_TRY(rc, sx_mkdirs_for(path));
    SX_TRY(rc, io_png_montage(path, panel, sizeof panel / sizeof panel[0], 5, 2));
out:
    for (int n = 0; n < 2; n++) {
        im_volume_clear(&scan[n]);
        im_volume_clear(&view[n]);
    }
    for (int n = 0; n < 4; n++) sx_free(axial[n]);
    im_volume_clear(&shade);
    ph_subject_clear(&s.body);
    return rc;
}

/* ---- the verb ---- */

// Items until none is left, a stop is wanted or one fails; all ranks leave together.
static sx_err write_sessions(job *j, int64_t n_items) {
    mp_comm *c = job_comm(j);
    mp_queue *q = mp_queue_new(c, n_items);
    sx_progress bar;
    sx_err rc = SX_OK, again = SX_OK;
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
    mp_queue_free(q);
    return mp_agree(c, rc != SX_OK ? rc : again);
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

const job_verb cmd_phantom = {
    .name = "phantom",
    .arguments = "OUT",
    .summary = "write a synthetic cohort as a BIDS tree",
    .sections = sections,
    .aliases = aliases,
    .min_args = 1,
    .max_args = 1,
    .ranks = JOB_RANKS,
    .run = run,
};
