/* sagax degrade CACHE|NIFTI OUT: training pairs to look at and to use elsewhere.
 *
 * For each pair OUT/pair-NNNN.safetensors (hr, lr [h][w], the draw as JSON in the metadata) and a
 * montage OUT/pair-NNNN.png: HR and LR - HR, then for each step that fired the LR image after it
 * and what the step changed. Pair i of n takes the slice in the middle of the i-th n-th of all
 * slices; its key is (seed, 0, number of the slice). */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_cache.h"
#include "io/io_png.h"
#include "io/io_tensors.h"
#include "jobs/job_json.h"
#include "jobs/job_model.h"
#include "jobs/sr_volume.h"
#include "jobs/verbs.h"

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
    int64_t n_slices;
} source;

static void source_close(source *s) {
    io_cache_close(s->cache);
    im_volume_clear(&s->volume);
}

static sx_err open_image(source *s, const job *j, const char *path) {
    double hr_mm = job_real(j, "data.hr_mm");
    const double spacing[3] = {hr_mm, hr_mm, 0.0};
    im_volume pir = {0};
    im_mapping map;
    sx_err rc;
    SX_TRY(rc, sr_read_pir(path, io_xform_parse(job_text(j, "data.xform")), &pir));
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
    sx_err rc = io_cache_open(&s->cache, path);
    if (rc != SX_OK) return rc;
    for (int64_t v = 0; v < io_cache_n_volumes(s->cache); v++) {
        const io_cache_volume *e = io_cache_entry(s->cache, v);
        if (e->ok) s->n_slices += e->n;
    }
    return s->n_slices > 0 ? SX_OK : sx_fail(SX_E_DATA, "%s: no slices in this cache", path);
}

static sx_err source_open(source *s, const job *j, const char *path) {
    return io_nifti_is_name(path) ? open_image(s, j, path) : open_cache(s, path);
}

/* Volume and slice in it of the n-th slice of a cache. */
static int64_t find_volume(const source *s, int64_t n, int64_t *slice) {
    for (int64_t v = 0;; v++) {
        const io_cache_volume *e = io_cache_entry(s->cache, v);
        if (e->ok && n < e->n) {
            *slice = n;
            return v;
        }
        if (e->ok) n -= e->n;
    }
}

/* Slice n as a new image [*h][*w]. */
static sx_err source_slice(const source *s, int64_t n, float **image, int *h, int *w) {
    if (s->cache) {
        int64_t slice, v = find_volume(s, n, &slice);
        const io_cache_volume *e = io_cache_entry(s->cache, v);
        *h = (int)e->h;
        *w = (int)e->w;
        *image = SX_NEW_ARRAY(float, e->h * e->w);
        return io_cache_slice(s->cache, v, slice, *image);
    }
    *w = (int)s->volume.dim[0];
    *h = (int)s->volume.dim[1];
    int64_t n_pixels = (int64_t)*h * *w;
    *image = SX_NEW_ARRAY(float, n_pixels);
    memcpy(*image, s->volume.voxel + n * n_pixels, (size_t)n_pixels * sizeof(float));
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

static char *draw_json(const dg_draw *d, int64_t slice) {
    json_t *bias = json_array(), *o = json_object();
    for (int i = 0; i < 10; i++) json_array_append_new(bias, json_real(d->bias[i]));
    const struct {
        const char *key;
        double value;
    } reals[] = {
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
    json_object_set_new(o, "slice", json_integer(slice));
    return job_json_text(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
}

/* ---- the montage ---- */

enum { MAX_PANELS = 2 * DG_N_STEPS + 2 };

/* Pairs of panels: an image, and what changed. */
typedef struct montage {
    const dg_draw *draw;
    io_panel panel[MAX_PANELS];
    char caption[MAX_PANELS][48];
    int n;
    const float *before; /* image before the step, one of the panels; NULL at first */
} montage;

static const float contrast_of_change = 0.25f; /* shown as black to white: -0.25 to 0.25 */

static void add_panel(montage *m, float *image, int h, int w, float lo, float hi) {
    m->panel[m->n] = (io_panel){image, h, w, lo, hi, m->caption[m->n]};
    m->n++;
}

static float *copy_image(const float *x, int64_t n) {
    float *copy = SX_NEW_ARRAY(float, n);
    memcpy(copy, x, (size_t)n * sizeof(float));
    return copy;
}

static float *subtract(const float *a, const float *b, int64_t n) {
    float *d = SX_NEW_ARRAY(float, n);
    for (int64_t i = 0; i < n; i++) d[i] = a[i] - b[i];
    return d;
}

static void say_step(const dg_draw *d, dg_step s, int w, char *to, size_t size) {
    switch (s) {
    case DG_RESCALE:
        snprintf(to, size, "rescale x%.2f", d->magnification);
        break;
    case DG_ROTATE:
        snprintf(to, size, "rotate %.1f deg", d->angle_deg);
        break;
    case DG_PSF:
        snprintf(to, size, "psf %.2f mm", d->lr_mm);
        break;
    case DG_GAP:
        snprintf(to, size, "gap %d rows", d->gap_rows);
        break;
    case DG_DOWN_UP:
        snprintf(to, size, "down/up %.2f mm", d->lr_mm);
        break;
    case DG_SLICE_NOISE:
        snprintf(to, size, "slice noise %.3f", d->slice_noise_sigma);
        break;
    case DG_INTERLACE:
        snprintf(to, size, "interlace %d rows %.1f px", d->interlace_rows, d->interlace_shift * w);
        break;
    case DG_BLUR:
        snprintf(to, size, "blur %.2f px", d->blur_sigma_px);
        break;
    case DG_NOISE:
        snprintf(to, size, "noise %.3f", d->noise_sigma);
        break;
    case DG_BIAS:
        snprintf(to, size, "bias field");
        break;
    default:
        snprintf(to, size, "jitter x%.2f c%.2f", d->brightness, d->contrast);
        break;
    }
}

typedef struct watch {
    montage *m;
    int w; /* of the whole slice */
} watch;

static void watch_step(void *user, dg_step after, const float *hr, const float *lr, int h, int w) {
    watch *k = user;
    montage *m = k->m;
    int64_t n = (int64_t)h * w;
    float *image = copy_image(lr, n);
    say_step(m->draw, after, k->w, m->caption[m->n], sizeof m->caption[0]);
    add_panel(m, image, h, w, 0.0f, 1.0f);
    snprintf(m->caption[m->n], sizeof m->caption[0], "change");
    float *change = subtract(image, m->before ? m->before : hr, n);
    add_panel(m, change, h, w, -contrast_of_change, contrast_of_change);
    m->before = image;
}

static void montage_clear(montage *m) {
    for (int i = 0; i < m->n; i++) sx_free((float *)(uintptr_t)m->panel[i].image);
}

static sx_err montage_write(montage *m, const char *path, const float *hr, const float *lr, int h,
                            int w) {
    io_panel all[MAX_PANELS + 2];
    float *difference = subtract(lr, hr, (int64_t)h * w);
    all[0] = (io_panel){hr, h, w, 0.0f, 1.0f, "HR"};
    all[1] = (io_panel){difference, h, w, -contrast_of_change, contrast_of_change, "LR - HR"};
    memcpy(all + 2, m->panel, (size_t)m->n * sizeof *all);
    sx_err rc = io_png_montage(path, all, m->n + 2, 6, h <= 200 && w <= 200 ? 2 : 1);
    sx_free(difference);
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

static sx_err write_pair(const job *j, const source *s, const dg_config *c, dg_work *work,
                         int64_t i) {
    int64_t given = job_int(j, "degrade.slice"), count = job_int(j, "degrade.count");
    int64_t slice = given >= 0 ? given : (2 * i + 1) * s->n_slices / (2 * count);
    dg_draw d = dg_draw_make(c, (uint64_t)job_int(j, "degrade.seed"), 0,
                             (uint64_t)(given >= 0 ? i : slice));
    if (job_bool(j, "degrade.every_step")) d.steps = c->steps;
    montage m = {.draw = &d};
    float *src = NULL, *hr = NULL, *lr = NULL;
    char *tensors = sx_strf("%s/pair-%04lld.safetensors", job_arg(j, 1), (long long)i);
    char *picture = sx_strf("%s/pair-%04lld.png", job_arg(j, 1), (long long)i);
    char *text = draw_json(&d, slice);
    int h, w, size = (int)job_int(j, "degrade.size");
    bool show = job_bool(j, "degrade.montage");
    sx_err rc;
    SX_TRY(rc, source_slice(s, slice, &src, &h, &w));
    int out_h = size ? size : h, out_w = size ? size : w;
    watch watcher = {&m, w};
    hr = SX_NEW_ARRAY(float, (int64_t)out_h *out_w);
    lr = SX_NEW_ARRAY(float, (int64_t)out_h *out_w);
    SX_TRY(rc, dg_pair_observed(c, &d, src, h, w, size, size, hr, lr, work,
                                show ? watch_step : NULL, &watcher));
    SX_TRY(rc, write_tensors(tensors, hr, lr, out_h, out_w, text));
    if (show) SX_TRY(rc, montage_write(&m, picture, hr, lr, out_h, out_w));
    if (job_json(j)) printf("%s\n", text);
out:
    montage_clear(&m);
    sx_free(src);
    sx_free(hr);
    sx_free(lr);
    sx_free(tensors);
    sx_free(picture);
    sx_free(text);
    return rc;
}

static sx_err run(job *j) {
    source s = {0};
    dg_config c;
    dg_work *work = dg_work_new();
    int64_t count = job_int(j, "degrade.count");
    sx_err rc;
    SX_TRY(rc, job_degrade_config(j, &c));
    SX_TRY(rc, source_open(&s, j, job_arg(j, 0)));
    if (job_int(j, "degrade.slice") >= s.n_slices) {
        rc = sx_fail(SX_E_USAGE, "degrade.slice = %lld: %s has %lld slices",
                     (long long)job_int(j, "degrade.slice"), job_arg(j, 0), (long long)s.n_slices);
        goto out;
    }
    if (job_dry_run(j)) {
        printf("%lld pairs from %lld slices\n", (long long)count, (long long)s.n_slices);
        goto out;
    }
    SX_TRY(rc, sx_mkdirs(job_arg(j, 1)));
    for (int64_t i = 0; i < count; i++) SX_TRY(rc, write_pair(j, &s, &c, work, i));
    sx_info("%lld pairs in %s", (long long)count, job_arg(j, 1));
out:
    dg_work_free(work);
    source_close(&s);
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
    .run = run,
};
