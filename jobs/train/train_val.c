/* Validation and previews. Image i belongs to rank i modulo ranks; each image's result is one
 * number from one rank, and numbers are added in the order of the images. Row k of a preview shows
 * image shown(k). */
#include "jobs/train/train_val.h"

#include <math.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_png.h"
#include "jobs/train/train_kind.h"
#include "jobs/train/train_owner.h"
#include "spine/sp_class.h"

struct train_val {
    const train_config *c;
    net *n;
    int n_images, n_preview;
    train_pair *pair; /* [n_images]; filled where this rank owns the image, or writes it as PNG */
    double *loss;     /* [n_images] */
    double *psnr;     /* [2][n_preview] dB of what was sampled, of the condition */
    float *sampled;   /* [n_preview][crop][crop] */
};

static int owner_of(const train_val *v, int i) {
    return i % mp_size(v->c->comm);
}

static bool mine(const train_val *v, int i) {
    return owner_of(v, i) == mp_rank(v->c->comm);
}

static int64_t pixels(const train_val *v) {
    return (int64_t)v->c->crop * v->c->crop;
}

/* Place k of n that lie evenly among `of`, each in the middle of its share. The first ones would be
 * the outermost slices of one scan. */
static int64_t evenly(int64_t k, int64_t n, int64_t of) {
    return (2 * k + 1) * of / (2 * n);
}

static int shown(const train_val *v, int k) {
    return (int)evenly(k, v->n_preview, v->n_images);
}

static bool is_shown(const train_val *v, int i) {
    for (int k = 0; k < v->n_preview; k++)
        if (shown(v, k) == i) return true;
    return false;
}

static sx_err make_pairs(train_val *v, io_cache *k, const train_slices *s) {
    train_maker *m = train_maker_new(v->c, k);
    dg_config degrade = dg_config_validation(&v->c->degrade);
    sx_err rc = SX_OK;
    for (int i = 0; i < v->n_images && rc == SX_OK; i++) {
        if (!mine(v, i) && !(mp_rank(v->c->comm) == 0 && is_shown(v, i))) continue;
        const train_slice which = s->item[evenly(i, v->n_images, s->n)];
        const int t = (int)evenly(i, v->n_images, DF_STEPS);
        train_pair_init(&v->pair[i], v->c->crop);
        rc = v->c->kind->make(m, &degrade, which, (train_key){TRAIN_KEY_VALIDATION, i, t},
                              &v->pair[i]);
    }
    train_maker_free(m);
    return mp_agree(v->c->comm, rc);
}

sx_err train_val_new(train_val **out, const train_config *c, io_cache *k, const train_slices *s,
                     net *n) {
    train_val *v = SX_NEW(train_val);
    v->c = c;
    v->n = n;
    v->n_images = (int)(s->n < c->val_images ? s->n : c->val_images);
    v->n_preview = v->n_images < c->preview_images ? v->n_images : c->preview_images;
    v->pair = SX_NEW_ARRAY(train_pair, v->n_images + 1);
    v->loss = SX_NEW_ARRAY(double, v->n_images + 1);
    v->psnr = SX_NEW_ARRAY(double, 2 * v->n_preview + 1);
    v->sampled = SX_NEW_ARRAY(float, v->n_preview *pixels(v) + 1);
    sx_err rc = make_pairs(v, k, s);
    if (rc != SX_OK) {
        train_val_free(v);
        return rc;
    }
    *out = v;
    return SX_OK;
}

void train_val_free(train_val *v) {
    if (!v) return;
    for (int i = 0; i < v->n_images; i++) train_pair_clear(&v->pair[i]);
    sx_free(v->pair);
    sx_free(v->loss);
    sx_free(v->psnr);
    sx_free(v->sampled);
    sx_free(v);
}

int train_val_count(const train_val *v) {
    return v->n_images;
}

/* Mean of the numbers of n images. Only the rank of an image has one that is not zero, so the sum
 * over ranks is exact, and what comes out does not depend on how many there are. Collective. */
static double mean_of(mp_comm *c, double *number, int n) {
    double sum = 0;
    mp_sum_f64(c, number, n);
    for (int i = 0; i < n; i++) sum += number[i];
    return sum / n;
}

static double mean_square(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum / (double)n;
}

double train_val_loss(train_val *v, const float *ema) {
    nn_graph_dropout(net_graph(v->n), false, 0, 0, 0);
    for (int i = 0; i < v->n_images; i++) {
        v->loss[i] = 0;
        if (!mine(v, i)) continue;
        const train_pair *p = &v->pair[i];
        train_owner_moves(v->c, "validation, image %d of %d", i + 1, v->n_images);
        const float *answer = net_forward(v->n, ema, p->x_t, p->lr, p->t);
        v->loss[i] = v->c->kind->measure(v->c, p, answer);
    }
    return mean_of(v->c->comm, v->loss, v->n_images);
}

/* Peak 2: images in -1..1. NaN of values that are none. */
static double psnr_db(const float *a, const float *b, int64_t n) {
    const double square = mean_square(a, b, n);
    return 10 * log10(4.0 / (square < 1e-12 ? 1e-12 : square));
}

static const io_colour class_colours[SP_N_CLASSES] = {
    [SP_CLASS_NONE] = {0, 0, 0},         [SP_CLASS_BODY] = {230, 200, 120},
    [SP_CLASS_ARCH] = {110, 170, 220},   [SP_CLASS_DISC] = {200, 80, 80},
    [SP_CLASS_CANAL] = {70, 130, 90},    [SP_CLASS_CORD] = {240, 240, 240},
    [SP_CLASS_SACRUM] = {160, 110, 190},
};

static sx_err write_montage(const train_val *v, const char *path) {
    const int n = 3 * v->n_preview;
    io_panel *panel = SX_NEW_ARRAY(io_panel, n);
    bool *coloured = SX_NEW_ARRAY(bool, n);
    for (int k = 0; k < v->n_preview; k++) {
        const train_pair *p = &v->pair[shown(v, k)];
        const float *image[3] = {p->lr, v->sampled + k * pixels(v), p->x0};
        for (int column = 0; column < 3; column++) {
            panel[3 * k + column] = (io_panel){.image = image[column],
                                               .h = v->c->crop,
                                               .w = v->c->crop,
                                               .lo = -1,
                                               .hi = 1,
                                               .caption = v->c->kind->captions[column]};
            coloured[3 * k + column] = column > 0;
        }
    }
    sx_err rc = sx_mkdirs_for(path);
    if (rc == SX_OK && v->c->kind->classes)
        rc = io_png_montage_colours(path, panel, coloured, n, 3, 1, class_colours, SP_N_CLASSES);
    else if (rc == SX_OK)
        rc = io_png_montage(path, panel, n, 3, 1);
    sx_free(panel);
    sx_free(coloured);
    return rc;
}

sx_err train_val_preview(train_val *v, const float *ema, const char *path, double *psnr_sr,
                         double *psnr_lr) {
    const train_config *c = v->c;
    int64_t n = pixels(v);
    double *sr_db = v->psnr, *lr_db = v->psnr + v->n_preview;
    memset(v->psnr, 0, 2 * (size_t)v->n_preview * sizeof *v->psnr);
    nn_graph_dropout(net_graph(v->n), false, 0, 0, 0);
    for (int k = 0; k < v->n_preview; k++) {
        const int i = shown(v, k);
        if (!mine(v, i)) continue;
        float *x = v->sampled + k * n;
        c->kind->restore(c, v->n, ema, &v->pair[i], i, x);
        sr_db[k] = psnr_db(x, v->pair[i].x0, n);
        lr_db[k] = psnr_db(v->pair[i].lr, v->pair[i].x0, n);
    }
    for (int k = 0; k < v->n_preview; k++)
        mp_bcast(c->comm, v->sampled + k * n, (size_t)n * sizeof(float), owner_of(v, shown(v, k)));
    *psnr_sr = c->kind->classes ? NAN : mean_of(c->comm, sr_db, v->n_preview);
    *psnr_lr = c->kind->classes ? NAN : mean_of(c->comm, lr_db, v->n_preview);
    return mp_agree(c->comm, mp_rank(c->comm) == 0 ? write_montage(v, path) : SX_OK);
}
