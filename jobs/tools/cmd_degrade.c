/* sagax degrade CACHE|NIFTI OUT: training pairs to look at and to use elsewhere.
 *
 * For each pair OUT/pair-NNNN.safetensors (hr, lr [h][w], the draw and where it comes from as JSON
 * in the metadata) and a montage OUT/pair-NNNN.png: the slice, HR, LR and their difference, then
 * for each step that fired the LR image after it and what the step changed. Pair i of n takes the
 * slice in the middle of the i-th n-th of all slices; its key is (seed, 0, i). Ranks take pairs
 * from a queue; every file is a pure function of options and source. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_cache.h"
#include "io/io_png.h"
#include "io/io_tensors.h"
#include "jobs/cache/cache_pixel.h"
#include "jobs/job/job_data.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/sr/sr_volume.h"
#include "jobs/job/verbs.h"
#include "mpi/mp_queue.h"
#include "mpi/mp_stop.h"

/* ---- options ---- */

static const job_option options_pairs[] = {
    {"degrade.count", JOB_INT, "8", NULL, 1, 1e6, "pairs to make"},
    {"degrade.seed", JOB_INT, "0", NULL, 0, 9e15, "seed of the draws"},
    {"degrade.size", JOB_INT, "0", NULL, 0, 4096, "side of the crop, pixels; 0: whole slices"},
    {"degrade.slice", JOB_INT, "-1", NULL, -1, 9e15,
     "take this slice for every pair, each with its own draw; -1: spread over all slices"},
    {"degrade.every_step", JOB_BOOL, "false", NULL, 0, 0, "let every step that is on fire"},
    {"degrade.montage", JOB_BOOL, "true", NULL, 0, 0, "also write a picture of each pair"},
    JOB_OPTIONS_END,
};

static const job_option *const sections[] = {options_pairs, options_degrade, options_data, NULL};
static const job_alias aliases[] = {
    {"--count", "degrade.count"},
    {"--seed", "degrade.seed"},
    {"--size", "degrade.size"},
    {"--level", "degrade.level"},
    {"--slice", "degrade.slice"},
    {"--every-step", "degrade.every_step"},
    JOB_ALIASES_END,
};

/* ---- slices of a cache or of one image ---- */

typedef struct source {
    io_cache *cache;  /* or NULL: */
    im_volume volume; /* PIR, 0..1 */
    const char *path;
    char sha256[SX_HASH_HEX]; /* of the image */
    double hr_mm;
    int64_t n_slices;
} source;

/* One slice, and where it comes from. */
typedef struct slice {
    float *image; /* [h][w], owned */
    int h, w;
    int64_t number;            /* among all slices of the source */
    const char *file, *sha256; /* of the image it belongs to, borrowed */
    int64_t in_file;
} slice;

static void source_close(source *s) {
    io_cache_close(s->cache);
    im_volume_clear(&s->volume);
}

static sx_err open_image(source *s, const job *j, const char *path) {
    s->hr_mm = job_real(j, "data.hr_mm");
    const double spacing[3] = {s->hr_mm, s->hr_mm, 0.0};
    im_volume pir = {0};
    im_mapping map;
    sx_err rc;
    const io_read_opt opt = job_read_opt(j);
    SX_TRY(rc, io_nifti_hash(path, s->sha256));
    SX_TRY(rc, sr_read_pir(path, &opt, &pir));
    SX_TRY(rc, im_rescale(&s->volume, &pir, spacing));
    rc = im_mapping_fit(s->volume.voxel, im_volume_count(&s->volume), job_real(j, "data.quantile"),
                        &map);
    if (rc != SX_OK) {
        sx_fail_context(rc, "%s", path);
        goto out;
    }
    im_mapping_apply(&map, s->volume.voxel, im_volume_count(&s->volume));
    s->n_slices = s->volume.dim[2];
out:
    im_volume_clear(&pir);
    return rc;
}

static sx_err open_cache(source *s, const char *path) {
    double quantile;
    sx_err rc = io_cache_open(&s->cache, path);
    if (rc == SX_OK) rc = cache_pixel_mm(s->cache, path, &s->hr_mm, &quantile);
    if (rc != SX_OK) return rc;
    for (int64_t v = 0; v < io_cache_n_volumes(s->cache); v++) {
        const io_cache_volume *e = io_cache_entry(s->cache, v);
        if (e->ok) s->n_slices += e->n;
    }
    return s->n_slices > 0 ? SX_OK : sx_fail(SX_E_DATA, "%s: no slices in this cache", path);
}

static sx_err source_open(source *s, const job *j, const char *path) {
    s->path = path;
    return io_nifti_is_name(path) ? open_image(s, j, path) : open_cache(s, path);
}

/* Volume and slice in it of the n-th slice of a cache. */
static int64_t find_volume(const source *s, int64_t n, int64_t *in_file) {
    for (int64_t v = 0;; v++) {
        const io_cache_volume *e = io_cache_entry(s->cache, v);
        if (e->ok && n < e->n) {
            *in_file = n;
            return v;
        }
        if (e->ok) n -= e->n;
    }
}

/* Read the slice whose number is given. */
static sx_err source_slice(const source *s, slice *x) {
    if (s->cache) {
        int64_t v = find_volume(s, x->number, &x->in_file);
        const io_cache_volume *e = io_cache_entry(s->cache, v);
        x->h = (int)e->h;
        x->w = (int)e->w;
        x->file = e->rel;
        x->sha256 = e->sha256;
        x->image = SX_NEW_ARRAY(float, e->h * e->w);
        return io_cache_slice(s->cache, v, x->in_file, x->image);
    }
    x->w = (int)s->volume.dim[0];
    x->h = (int)s->volume.dim[1];
    x->in_file = x->number;
    x->file = sx_path_base(s->path);
    x->sha256 = s->sha256;
    int64_t n_pixels = (int64_t)x->h * x->w;
    x->image = SX_NEW_ARRAY(float, n_pixels);
    memcpy(x->image, s->volume.voxel + x->number * n_pixels, (size_t)n_pixels * sizeof(float));
    return SX_OK;
}

/* ---- the draw as JSON ---- */

static json_t *draw_steps(const dg_draw *d) {
    json_t *list = json_array();
    for (int s = 0; s < DG_N_STEPS; s++)
        if (d->steps & (1u << s))
            json_array_append_new(list, json_string(dg_step_name((dg_step)s)));
    return list;
}

/* Everything a pair is a function of, new. */
static char *pair_json(const job *j, const dg_config *c, const dg_draw *d, const slice *x) {
    int row, col, size = (int)job_int(j, "degrade.size");
    char config[SX_HASH_HEX];
    json_t *bias = json_array(), *o = json_object();
    dg_crop_origin(d, x->h, x->w, size, size, &row, &col);
    job_config_hash(j, "degrade,data", config);
    for (int i = 0; i < 10; i++) json_array_append_new(bias, json_real(d->bias[i]));
    const struct {
        const char *key;
        double value;
    } reals[] = {
        {"hr_mm", c->hr_mm},
        {"lr_mm", d->lr_mm},
        {"magnification", d->magnification},
        {"angle_deg", d->angle_deg},
        {"slice_noise_sigma", d->slice_noise_sigma},
        {"interlace_shift", d->interlace_shift},
        {"blur_sigma_px", d->blur_sigma_px},
        {"noise_sigma", d->noise_sigma},
        {"brightness", d->brightness},
        {"contrast", d->contrast},
    };
    json_object_set_new(o, "steps", draw_steps(d));
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        json_object_set_new(o, reals[i].key, json_real(reals[i].value));
    json_object_set_new(o, "gap_rows", json_integer(d->gap_rows));
    json_object_set_new(o, "interlace_rows", json_integer(d->interlace_rows));
    json_object_set_new(o, "bias", bias);
    json_object_set_new(o, "seed", json_integer((json_int_t)d->seed));
    json_object_set_new(o, "epoch", json_integer((json_int_t)d->epoch));
    json_object_set_new(o, "item", json_integer((json_int_t)d->item));
    json_object_set_new(o, "crop", json_pack("[i, i]", row, col));
    json_object_set_new(o, "slice", json_integer(x->number));
    json_object_set_new(o, "source", job_json_string(x->file));
    json_object_set_new(o, "source_sha256", json_string(x->sha256));
    json_object_set_new(o, "source_slice", json_integer(x->in_file));
    json_object_set_new(o, "config_sha256", json_string(config));
    return job_json_text(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
}

/* ---- the montage ---- */

enum { FIRST_PANELS = 4, MAX_PANELS = FIRST_PANELS + 2 * DG_N_STEPS };

typedef struct montage {
    const dg_draw *draw;
    io_panel panel[MAX_PANELS];
    char caption[MAX_PANELS][48];
    int n;
    int w;               /* of the whole slice */
    const float *before; /* image before the step, one of the panels */
} montage;

/* A copy of the image goes into the montage; captions of changes end with the window shown. */
static const float *add_panel(montage *m, const char *caption, const float *x, int h, int w) {
    float *copy = SX_NEW_ARRAY(float, (int64_t)h *w);
    memcpy(copy, x, (size_t)((int64_t)h * w) * sizeof(float));
    snprintf(m->caption[m->n], sizeof m->caption[0], "%s", caption);
    m->panel[m->n] = (io_panel){copy, h, w, 0.0f, 1.0f, m->caption[m->n]};
    m->n++;
    return copy;
}

/* a - b, so bright that all but 0.5 % of it is inside the window. */
static void add_change(montage *m, const char *caption, const float *a, const float *b, int h,
                       int w) {
    int64_t n = (int64_t)h * w;
    float *d = SX_NEW_ARRAY(float, n);
    for (int64_t i = 0; i < n; i++) d[i] = fabsf(a[i] - b[i]);
    float most = fmaxf((float)im_quantile(d, n, 0.995), 1e-6f);
    for (int64_t i = 0; i < n; i++) d[i] = a[i] - b[i];
    snprintf(m->caption[m->n], sizeof m->caption[0], "%s +-%.2g", caption, (double)most);
    m->panel[m->n] = (io_panel){d, h, w, -most, most, m->caption[m->n]};
    m->n++;
}

/* In a few words: a format for up to two numbers. */
static void say_step(const dg_draw *d, dg_step s, int w, char *to, size_t size) {
    const struct {
        const char *format;
        double x, y;
    } words[DG_N_STEPS] = {
        [DG_RESCALE] = {"rescale x%.2f", d->magnification, 0},
        [DG_ROTATE] = {"rotate %.1f deg", d->angle_deg, 0},
        [DG_PSF] = {"psf %.2f mm", d->lr_mm, 0},
        [DG_GAP] = {"gap %.0f rows", d->gap_rows, 0},
        [DG_DOWN_UP] = {"down/up %.2f mm", d->lr_mm, 0},
        [DG_SLICE_NOISE] = {"slice noise %.3f", d->slice_noise_sigma, 0},
        [DG_INTERLACE] = {"interlace %.0f rows %.1f px", d->interlace_rows, d->interlace_shift * w},
        [DG_BLUR] = {"blur %.2f px", d->blur_sigma_px, 0},
        [DG_NOISE] = {"noise %.3f", d->noise_sigma, 0},
        [DG_BIAS] = {"bias field", 0, 0},
        [DG_JITTER] = {"jitter x%.2f c%.2f", d->brightness, d->contrast},
    };
    snprintf(to, size, words[s].format, words[s].x, words[s].y);
}

static void watch_step(void *user, dg_step after, const float *hr, const float *lr, int h, int w) {
    montage *m = user;
    char name[48];
    (void)hr;
    say_step(m->draw, after, m->w, name, sizeof name);
    const float *image = add_panel(m, name, lr, h, w);
    add_change(m, "change", image, m->before, h, w);
    m->before = image;
}

static void montage_clear(montage *m) {
    for (int i = 0; i < m->n; i++) sx_free((float *)(uintptr_t)m->panel[i].image);
}

/* The steps are watched once more, from the slice as it is. */
static sx_err write_montage(const char *path, const dg_config *c, const dg_draw *d, const slice *x,
                            const float *hr, const float *lr, int size, dg_work *work) {
    montage m = {.draw = d, .w = x->w};
    dg_draw still = *d;
    int h = size ? size : x->h, w = size ? size : x->w;
    float *scratch = SX_NEW_ARRAY(float, 2 * (int64_t)h * w), *other = scratch + (int64_t)h * w;
    sx_err rc;
    still.steps = 0;
    SX_TRY(rc, dg_pair(c, &still, x->image, x->h, x->w, size, size, scratch, other, work));
    m.before = add_panel(&m, "slice", scratch, h, w);
    add_panel(&m, "HR", hr, h, w);
    add_panel(&m, "LR", lr, h, w);
    add_change(&m, "LR - HR", lr, hr, h, w);
    SX_TRY(rc, dg_pair_observed(c, d, x->image, x->h, x->w, size, size, scratch, other, work,
                                watch_step, &m));
    rc = io_png_montage(path, m.panel, m.n, 6, h <= 200 && w <= 200 ? 2 : 1);
out:
    montage_clear(&m);
    sx_free(scratch);
    return rc;
}

/* ---- pairs ---- */

static sx_err write_tensors(const char *path, const float *hr, const float *lr, int h, int w,
                            const char *draw) {
    const int64_t shape[2] = {h, w};
    io_tensors t = {0};
    io_tensors_add_f32(&t, "hr", 2, shape, hr);
    io_tensors_add_f32(&t, "lr", 2, shape, lr);
    io_tensors_add_meta(&t, "draw", draw);
    sx_err rc = io_tensors_write(path, &t);
    io_tensors_clear(&t);
    return rc;
}

/* What the verb works with, on one rank. */
typedef struct pairs {
    const job *j;
    source source;
    dg_config config;
    dg_work *work;
    int64_t count, n_failed;
    char **line; /* [count], "i JSON" of this rank's pairs, else NULL */
} pairs;

/* Pair i; what it is goes into line[i]. */
static sx_err write_pair(pairs *p, int64_t i) {
    const job *j = p->j;
    int64_t given = job_int(j, "degrade.slice");
    slice x = {.number = given >= 0 ? given : (2 * i + 1) * p->source.n_slices / (2 * p->count)};
    dg_draw d = dg_draw_make(&p->config, (uint64_t)job_int(j, "degrade.seed"), 0, (uint64_t)i);
    if (job_bool(j, "degrade.every_step")) d.steps = p->config.steps;
    char *tensors = sx_strf("%s/pair-%04lld.safetensors", job_arg(j, 1), (long long)i);
    char *picture = sx_strf("%s/pair-%04lld.png", job_arg(j, 1), (long long)i);
    char *text = NULL;
    float *hr = NULL, *lr = NULL;
    int size = (int)job_int(j, "degrade.size");
    sx_err rc;
    SX_TRY(rc, source_slice(&p->source, &x));
    int h = size ? size : x.h, w = size ? size : x.w;
    hr = SX_NEW_ARRAY(float, (int64_t)h *w);
    lr = SX_NEW_ARRAY(float, (int64_t)h *w);
    SX_TRY(rc, dg_pair(&p->config, &d, x.image, x.h, x.w, size, size, hr, lr, p->work));
    text = pair_json(j, &p->config, &d, &x);
    SX_TRY(rc, write_tensors(tensors, hr, lr, h, w, text));
    if (job_bool(j, "degrade.montage"))
        SX_TRY(rc, write_montage(picture, &p->config, &d, &x, hr, lr, size, p->work));
    p->line[i] = sx_strf("%lld %s", (long long)i, text);
out:
    sx_free(x.image);
    sx_free(hr);
    sx_free(lr);
    sx_free(tensors);
    sx_free(picture);
    sx_free(text);
    return rc;
}

/* Pairs until none is left or a stop is wanted. A slice that cannot be read fails alone; what fails
 * otherwise (a full disk) ends the work of this rank. Collective. */
static sx_err write_pairs(pairs *p, mp_comm *c) {
    mp_queue *q = mp_queue_new(c, p->count);
    sx_err rc = SX_OK;
    for (int64_t i; rc == SX_OK && (i = mp_queue_next(q)) >= 0;) {
        if (mp_stop_wanted()) {
            rc = sx_fail(SX_E_AGAIN, "stopped before pair %lld of %lld", (long long)i + 1,
                         (long long)p->count);
            break;
        }
        rc = write_pair(p, i);
        if (rc != SX_E_DATA) continue;
        sx_warn("pair %lld: %s", (long long)i, sx_err_text());
        p->n_failed++;
        rc = SX_OK;
    }
    mp_queue_free(q);
    return mp_agree(c, rc);
}

/* The lines of all ranks on rank 0, by pair. Collective. */
static void print_lines(const pairs *p, mp_comm *c) {
    const char **line = SX_NEW_ARRAY(const char *, p->count);
    char *mine, *all;
    size_t n_mine = 0, n_all;
    for (int64_t i = 0; i < p->count; i++) n_mine += p->line[i] ? strlen(p->line[i]) + 1 : 0;
    char *to = mine = sx_alloc((int64_t)n_mine + 1, 1);
    for (int64_t i = 0; i < p->count; i++)
        if (p->line[i]) to = stpcpy(to, p->line[i]) + 1;
    mp_allgather(c, mine, n_mine, (void **)&all, &n_all);
    for (char *at = all; at < all + n_all; at += strlen(at) + 1) {
        char *text;
        long long i = strtoll(at, &text, 10);
        line[i] = text + 1;
    }
    for (int64_t i = 0; mp_rank(c) == 0 && i < p->count; i++)
        if (line[i]) printf("%s\n", line[i]);
    sx_free(line);
    sx_free(mine);
    sx_free(all);
}

static sx_err prepare(pairs *p) {
    const job *j = p->j;
    sx_err rc;
    SX_TRY(rc, job_degrade_config(j, &p->config));
    SX_TRY(rc, source_open(&p->source, j, job_arg(j, 0)));
    p->config.hr_mm = p->source.hr_mm;
    if (job_int(j, "degrade.slice") >= p->source.n_slices)
        rc = sx_fail(SX_E_USAGE, "degrade.slice = %lld: %s has %lld slices",
                     (long long)job_int(j, "degrade.slice"), job_arg(j, 0),
                     (long long)p->source.n_slices);
    else if (!job_dry_run(j))
        rc = sx_mkdirs(job_arg(j, 1));
out:
    return rc;
}

static sx_err run(job *j) {
    mp_comm *c = job_comm(j);
    pairs p = {.j = j, .work = dg_work_new(), .count = job_int(j, "degrade.count")};
    p.line = SX_NEW_ARRAY(char *, p.count);
    sx_err rc;
    SX_TRY(rc, mp_agree(c, prepare(&p)));
    if (job_dry_run(j)) {
        if (mp_rank(c) == 0)
            printf("%lld pairs from %lld slices\n", (long long)p.count,
                   (long long)p.source.n_slices);
        goto out;
    }
    SX_TRY(rc, write_pairs(&p, c));
    if (job_json(j)) print_lines(&p, c);
    mp_sum_i64(c, &p.n_failed, 1);
    if (p.n_failed > 0)
        rc = sx_fail(SX_E_ITEMS, "%lld of %lld pairs failed", (long long)p.n_failed,
                     (long long)p.count);
    else if (mp_rank(c) == 0)
        sx_info("%lld pairs in %s", (long long)p.count, job_arg(j, 1));
out:
    for (int64_t i = 0; i < p.count; i++) sx_free(p.line[i]);
    sx_free(p.line);
    dg_work_free(p.work);
    source_close(&p.source);
    return rc;
}

const job_verb cmd_degrade = {
    .name = "degrade",
    .arguments = "CACHE|NIFTI OUT",
    .summary = "pairs and montages of the acquisition model",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = JOB_RANKS,
    .run = run,
};
