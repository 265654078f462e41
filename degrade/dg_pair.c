/* One training pair: the steps in order (dg_degrade.h), for the crop only.
 *
 * Rows of the LR image depend on columns only through the interlace shift, so the crop is chosen
 * first and just its columns (plus the reach of that shift) are processed, over all rows; profile,
 * gap and down-sampling are one kernel a slice (dg_rows.h). The result equals that of the whole
 * slice cropped afterwards; random pixel values belong to the crop by definition. Under an observer
 * the images between the steps are rendered from the same kernels. */
#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "degrade/dg_columns.h"
#include "degrade/dg_degrade.h"
#include "degrade/dg_pixels.h"
#include "degrade/dg_psf.h"
#include "degrade/dg_rows.h"
#include "degrade/dg_warp.h"
#include "image/im_spline.h"

enum { MIN_SIDE = 16 }; /* a shorter slice shows nothing of a spine, and has hardly two LR rows */

/* Sub-streams of SX_RNG_DEGRADE, item 4 * item + one of these; 0 is the draw itself. */
enum { STREAM_GAP = 1, STREAM_SLICE_NOISE, STREAM_NOISE };

enum { BUF_HR, BUF_SLICE, BUF_KEPT, BUF_ROW, BUF_PLANE, BUF_SUM, N_BUFFERS };

struct dg_work {
    float *buffer[N_BUFFERS];
    int64_t capacity[N_BUFFERS];
    int *source_row;
    int *column; /* [4][out_w]: a and b of dg_columns, still and shifted */
    int64_t row_capacity, column_capacity;
};

dg_work *dg_work_new(void) {
    return SX_NEW(dg_work);
}

void dg_work_free(dg_work *w) {
    if (!w) return;
    for (int i = 0; i < N_BUFFERS; i++) sx_free(w->buffer[i]);
    sx_free(w->source_row);
    sx_free(w->column);
    sx_free(w);
}

/* `block` itself if it holds `count` items, else a new one, zeroed; NULL: no memory. */
static void *grown(void *block, int64_t *capacity, int64_t count, size_t size) {
    if (count <= *capacity) return block;
    sx_free(block);
    block = sx_try_alloc(count, size);
    *capacity = block ? count : 0;
    return block;
}

/* Everything about one call. */
typedef struct pair {
    const dg_config *config;
    const dg_draw *draw;
    dg_work *work;
    const float *src; // [h][w]
    int h, w;
    int out_h, out_w;
    int row0, col0;      // of the crop in the slice; negative where the slice is padded
    int region0, region; // columns processed: first, count
    const float *image;  // HR after geometry [h][stride], first column of the region
    int64_t stride;
    double r;         // LR spacing in rows
    int n_slices;     // LR rows
    double first_row; // of LR row 0
    dg_psf psf;
    dg_columns still, moved; // columns of the output: without and with the interlace's shift
    float *hr, *lr;          // [out_h][out_w]
    dg_observer *observer;
    void *user;
} pair;

static bool fires(const pair *p, dg_step s) {
    return p->draw->steps & (1u << s);
}

static sx_rng stream(const pair *p, uint64_t which) {
    const dg_draw *d = p->draw;
    return sx_rng_make(d->seed, SX_RNG_DEGRADE, d->epoch, 4 * d->item + which);
}

static void observe(const pair *p, dg_step after) {
    if (p->observer) p->observer(p->user, after, p->hr, p->lr, p->out_h, p->out_w);
}

/* ---- the crop ---- */

/* First pixel of a crop of `size` in n; a slice too short is padded, floor half before. */
static int crop_start(int n, int size, sx_rng *rng) {
    if (n < size) return -((size - n) / 2);
    return (int)sx_rng_int(rng, 0, n - size);
}

void dg_crop_origin(const dg_draw *d, int h, int w, int size_h, int size_w, int *row, int *col) {
    sx_rng rng = sx_rng_make(d->seed, SX_RNG_CROP, d->epoch, d->item);
    *row = crop_start(h, size_h > 0 ? size_h : h, &rng);
    *col = crop_start(w, size_w > 0 ? size_w : w, &rng);
}

static void choose_crop(pair *p, int size_h, int size_w) {
    const dg_draw *d = p->draw;
    p->out_h = size_h > 0 ? size_h : p->h;
    p->out_w = size_w > 0 ? size_w : p->w;
    dg_crop_origin(d, p->h, p->w, size_h, size_w, &p->row0, &p->col0);

    /* Whether the stripes move or not: slice noise fills the region, and levels share it. */
    int margin = (int)ceil(fabs(d->interlace_shift) * p->w) + 1;
    int from = p->col0 - margin, to = p->col0 + p->out_w + margin;
    p->region0 = from > 0 ? from : 0;
    p->region = (to < p->w ? to : p->w) - p->region0;
    if (p->out_w > p->w) p->region0 = 0, p->region = p->w;
}

static sx_err reserve(pair *p) {
    dg_work *k = p->work;
    const int64_t count[N_BUFFERS] = {
        [BUF_HR] = (int64_t)p->h * p->region,
        [BUF_SLICE] = (int64_t)p->n_slices * p->region,
        [BUF_KEPT] = (int64_t)p->n_slices * p->region,
        [BUF_ROW] = p->region,
        [BUF_PLANE] = (int64_t)p->out_h * (p->out_w + 2 * DG_BLUR_HALF),
        [BUF_SUM] = p->out_w,
    };
    bool good = true;
    for (int i = 0; i < N_BUFFERS; i++) {
        k->buffer[i] = grown(k->buffer[i], &k->capacity[i], count[i], sizeof *k->buffer[i]);
        good = good && k->buffer[i];
    }
    k->source_row = grown(k->source_row, &k->row_capacity, p->out_h, sizeof *k->source_row);
    k->column = grown(k->column, &k->column_capacity, 4 * (int64_t)p->out_w, sizeof *k->column);
    if (good && k->source_row && k->column) return SX_OK;
    return sx_fail(SX_E_NOMEM, "degradation: no memory for slices of %d x %d pixels", p->h, p->w);
}

/* Where each row and column of the output comes from. */
static void make_tables(pair *p) {
    int *row = p->work->source_row, *column = p->work->column, n = p->out_w;
    for (int i = 0; i < p->out_h; i++) row[i] = (int)dg__fold(p->row0 + i, p->h);
    p->still = dg__columns_make(p->w, p->col0, n, 0.0, p->region0, column, column + n);
    if (fires(p, DG_INTERLACE))
        p->moved = dg__columns_make(p->w, p->col0, n, p->draw->interlace_shift * p->w, p->region0,
                                    column + 2 * n, column + 3 * n);
}

/* ---- geometry: rescale and rotate in one bilinear interpolation about the centre ---- */

/* Region of the slice magnified and turned. */
static void warp(pair *p, double magnification, double angle_deg) {
    float *to = p->work->buffer[BUF_HR];
    dg__warp(p->src, p->h, p->w, magnification, angle_deg, p->region0, p->region, to);
    p->image = to;
    p->stride = p->region;
}

static void take_hr(pair *p) {
    for (int i = 0; i < p->out_h; i++)
        dg__columns_take(&p->still, p->image + p->work->source_row[i] * p->stride,
                         p->hr + (int64_t)i * p->out_w);
}

static void take_lr_from_hr(pair *p) {
    memcpy(p->lr, p->hr, (size_t)p->out_h * (size_t)p->out_w * sizeof *p->lr);
}

static void geometry_step(pair *p, dg_step step, double magnification, double angle_deg) {
    if (!fires(p, step)) return;
    warp(p, magnification, angle_deg);
    if (!p->observer) return;
    take_hr(p);
    take_lr_from_hr(p);
    observe(p, step);
}

static void geometry(pair *p) {
    const dg_draw *d = p->draw;
    double magnification = fires(p, DG_RESCALE) ? d->magnification : 1.0;
    p->image = p->src + p->region0;
    p->stride = p->w;
    /* rotation warps the slice itself again, scaled as well: one interpolation in the end */
    if (p->observer || !fires(p, DG_ROTATE)) geometry_step(p, DG_RESCALE, magnification, 0.0);
    geometry_step(p, DG_ROTATE, magnification, d->angle_deg);
    take_hr(p);
}

/* ---- the axial acquisition ---- */

/* LR rows [n_slices][region] as measured, without noise. */
static void acquire(pair *p, bool with_gap) {
    static const double itself[1] = {1.0};
    sx_rng rng = stream(p, STREAM_GAP);
    const dg_psf *psf = fires(p, DG_PSF) ? &p->psf : NULL;
    dg_rows kernel;
    for (int k = 0; k < p->n_slices; k++) {
        double window[DG_ROWS_WINDOW], position = p->first_row + k * p->r;
        if (with_gap) dg__window_draw(&rng, p->draw->gap_rows, window);
        dg__rows_make(&kernel, position, psf, with_gap ? window : itself,
                      with_gap ? p->draw->gap_rows : 1);
        dg__rows_apply(&kernel, p->image, p->h, p->stride, p->region,
                       p->work->buffer[BUF_SLICE] + (int64_t)k * p->region);
    }
}

static void add_slice_noise(pair *p) {
    sx_rng rng = stream(p, STREAM_SLICE_NOISE);
    int64_t n = (int64_t)p->n_slices * p->region;
    dg__add_normals(p->work->buffer[BUF_SLICE], n, p->draw->slice_noise_sigma, &rng);
}

/* n columns of the region from `first` on of one row of the LR image: row `source` of the slice. */
typedef void row_maker(const pair *p, int source, int first, int n, float *row);

/* From the coefficients of the LR rows: cubic B-spline; beyond the outermost slice centres the edge
 * slice. */
static void row_of_spline(const pair *p, int source, int first, int n, float *row) {
    const int last = p->n_slices - 1;
    double at = ((double)source - p->first_row) / p->r, weight[4];
    at = at < 0.0 ? 0.0 : at > last ? last : at;
    dg_rows k;
    k.n = 4;
    k.first = im_spline_weights(at, weight);
    for (int i = 0; i < 4; i++) k.weight[i] = (float)weight[i];
    dg__rows_apply(&k, p->work->buffer[BUF_KEPT] + first, p->n_slices, p->region, n, row);
}

/* After the profile alone, or as it is. */
static void row_of_image(const pair *p, int source, int first, int n, float *row) {
    static const double itself[1] = {1.0};
    dg_rows k;
    dg__rows_make(&k, source, fires(p, DG_PSF) ? &p->psf : NULL, itself, 1);
    dg__rows_apply(&k, p->image + first, p->h, p->stride, n, row);
}

/* Each slice repeated over its thickness. */
static void row_of_slice(const pair *p, int source, int first, int n, float *row) {
    int k = (int)floor((source - p->first_row) / p->r + 0.5);
    k = k < 0 ? 0 : k > p->n_slices - 1 ? p->n_slices - 1 : k;
    memcpy(row, p->work->buffer[BUF_SLICE] + (int64_t)k * p->region + first,
           (size_t)n * sizeof *row);
}

/* Rows begin .. end - 1 of the LR image; stripes shifted along the columns when `interlaced`. */
static void take_lr(pair *p, row_maker *make_row, bool interlaced, int begin, int end) {
    const int stripe = p->draw->interlace_rows;
    for (int i = begin; i < end; i++) {
        int source = p->work->source_row[i];
        bool moved = interlaced && source % (2 * stripe) < stripe;
        float *row = p->work->buffer[BUF_ROW], *to = p->lr + (int64_t)i * p->out_w;
        if (!moved && p->still.n_run == p->out_w) { /* as they lie */
            make_row(p, source, p->still.a[0], p->out_w, to);
        } else {
            make_row(p, source, 0, p->region, row);
            dg__columns_take(moved ? &p->moved : &p->still, row, to);
        }
    }
}

static void show(pair *p, row_maker *make_row, dg_step after) {
    if (!p->observer) return;
    take_lr(p, make_row, false, 0, p->out_h);
    observe(p, after);
}

/* Coefficients of the spline through the LR rows, in BUF_KEPT. */
static void prefilter(pair *p) {
    dg_work *k = p->work;
    memcpy(k->buffer[BUF_KEPT], k->buffer[BUF_SLICE],
           (size_t)p->n_slices * (size_t)p->region * sizeof(float));
    im_spline_prefilter(k->buffer[BUF_KEPT], p->n_slices, p->region, p->region);
}

/* What makes the rows of the LR image, before the interlace. */
static row_maker *acquisition(pair *p) {
    bool psf = fires(p, DG_PSF), gap = fires(p, DG_GAP), down_up = fires(p, DG_DOWN_UP);
    if (psf) show(p, row_of_image, DG_PSF);
    if (gap || down_up) acquire(p, gap);
    if (gap) show(p, row_of_slice, DG_GAP);
    if (!down_up) return gap ? row_of_slice : row_of_image;
    if (p->observer) {
        prefilter(p);
        show(p, row_of_spline, DG_DOWN_UP);
    }
    if (fires(p, DG_SLICE_NOISE)) add_slice_noise(p);
    prefilter(p);
    if (fires(p, DG_SLICE_NOISE)) show(p, row_of_spline, DG_SLICE_NOISE);
    return row_of_spline;
}

/* ---- the whole ---- */

/* Rows begin .. end - 1: all that acts on a pixel alone. */
static void corrupt_rows(pair *p, int begin, int end, sx_rng *noise) {
    const dg_draw *d = p->draw;
    float *x = p->lr + (int64_t)begin * p->out_w;
    if (fires(p, DG_NOISE)) {
        dg__noise(x, (int64_t)(end - begin) * p->out_w, d->noise_sigma, noise);
        observe(p, DG_NOISE);
    }
    if (fires(p, DG_BIAS)) {
        dg__bias(x, begin, end, p->out_h, p->out_w, d->bias);
        observe(p, DG_BIAS);
    }
    if (fires(p, DG_JITTER))
        dg__scale(x, end - begin, p->out_w, d->brightness, 0.0, p->work->buffer[BUF_SUM]);
}

/* The LR image from its rows: in bands that stay in the first-level cache, but for what looks
 * beyond a row (blur) or at all of them (contrast). */
static void finish(pair *p, row_maker *make_row) {
    enum { BAND = 16 };
    const dg_draw *d = p->draw;
    const int h = p->out_h, w = p->out_w, band = p->observer ? h : BAND;
    const bool whole = p->observer || fires(p, DG_BLUR), interlaced = fires(p, DG_INTERLACE);
    float *sum = p->work->buffer[BUF_SUM];
    sx_rng noise = stream(p, STREAM_NOISE);
    if (whole) take_lr(p, make_row, interlaced, 0, h);
    if (interlaced) observe(p, DG_INTERLACE);
    if (fires(p, DG_BLUR)) {
        dg__blur(p->lr, h, w, d->blur_sigma_px, p->work->buffer[BUF_PLANE]);
        observe(p, DG_BLUR);
    }
    memset(sum, 0, (size_t)w * sizeof *sum);
    for (int begin = 0; begin < h; begin += band) {
        int end = begin + band < h ? begin + band : h;
        if (!whole) take_lr(p, make_row, interlaced, begin, end);
        corrupt_rows(p, begin, end, &noise);
    }
    if (fires(p, DG_JITTER)) {
        double total = 0.0;
        for (int j = 0; j < w; j++) total += (double)sum[j];
        dg__scale(p->lr, h, w, d->contrast, (1.0 - d->contrast) * total / ((double)h * w), sum);
        observe(p, DG_JITTER);
    }
}

static sx_err prepare(pair *p, int size_h, int size_w) {
    sx_err rc = SX_OK;
    if (p->h < MIN_SIDE || p->w < MIN_SIDE)
        return sx_fail(SX_E_DATA, "degradation: slice of %d x %d pixels; each side needs %d", p->h,
                       p->w, MIN_SIDE);
    p->r = p->draw->lr_mm / p->config->hr_mm;
    dg_grid(p->h, p->r, &p->n_slices, &p->first_row);
    if (fires(p, DG_DOWN_UP) && p->n_slices < 2)
        return sx_fail(SX_E_DATA, "degradation: %d rows hold fewer than two slices of %g mm", p->h,
                       p->draw->lr_mm);
    if (fires(p, DG_GAP) && p->draw->gap_rows > DG_ROWS_WINDOW)
        return sx_fail(SX_E_CONFIG, "degradation: a gap window of %d rows; at most %d are possible",
                       p->draw->gap_rows, DG_ROWS_WINDOW);
    if (fires(p, DG_PSF)) SX_TRY(rc, dg_psf_make(&p->psf, p->draw->lr_mm, p->config->hr_mm));
    choose_crop(p, size_h, size_w);
    SX_TRY(rc, reserve(p));
    make_tables(p);
out:
    return rc;
}

sx_err dg_pair_observed(const dg_config *c, const dg_draw *d, const float *src, int h, int w,
                        int size_h, int size_w, float *hr, float *lr, dg_work *work,
                        dg_observer *observer, void *user) {
    pair p = {.config = c,
              .draw = d,
              .src = src,
              .h = h,
              .w = w,
              .hr = hr,
              .lr = lr,
              .work = work ? work : dg_work_new(),
              .observer = observer,
              .user = user};
    sx_err rc = SX_OK;
    SX_TRY(rc, prepare(&p, size_h, size_w));
    geometry(&p);
    finish(&p, acquisition(&p));
out:
    if (!work) dg_work_free(p.work);
    return rc;
}

sx_err dg_pair(const dg_config *c, const dg_draw *d, const float *src, int h, int w, int size_h,
               int size_w, float *hr, float *lr, dg_work *work) {
    return dg_pair_observed(c, d, src, h, w, size_h, size_w, hr, lr, work, NULL, NULL);
}
