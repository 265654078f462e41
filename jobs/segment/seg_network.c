/* Sub-regions by a trained network (seg.h): the volume on isotropic voxels, its sagittal slices one
 * by one, and in each voxel the class that is likeliest on average over its slice and those beside
 * it. (Half weights for those left more than twice as many tunnels in vertebrae.) */
#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "image/im_spline.h"
#include "image/im_stat.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "jobs/segment/seg.h"
#include "jobs/sr/sr_volume.h"
#include "mpi/mp_stop.h"
#include "spine/sp_class.h"

enum { MIN_SIDE = 8 };

/* ---- weights ---- */

static sx_err check_network(const net_config *c, const char *weights) {
    if (strcmp(net_about_arch(c->arch)->kind, "segmentation") != 0)
        return sx_fail(SX_E_CONFIG,
                       "%s: weights of network %s, which makes images, not masks; --weights takes "
                       "a training of kind segmentation",
                       weights, c->arch);
    if (c->classes != SP_N_CLASSES)
        return sx_fail(SX_E_CONFIG, "%s: network %s with %d classes is no segmenter of these %d",
                       weights, c->arch, c->classes, SP_N_CLASSES);
    return SX_OK;
}

sx_err seg_network_read(seg_network *n, job *j, const char *weights) {
    json_t *about = NULL;
    sx_err rc;
    SX_TRY(rc, job_weights_inherit(j, weights, &about));
    SX_TRY(rc, job_net_config(j, &n->net));
    SX_TRY(rc, job_kernels(j, &n->kernels));
    n->threads = job_threads(j);
    n->hr_mm = job_real(j, "data.hr_mm");
    n->quantile = job_real(j, "data.quantile");
    n->trained_on = job_weights_subjects(about);
    SX_TRY(rc, check_network(&n->net, weights));
    rc = job_weights_load(weights, &n->net, n->kernels, &n->params, n->sha256);
out:
    json_decref(about);
    return rc;
}

void seg_network_clear(seg_network *n) {
    net_free(n->built);
    sx_free(n->params);
    sx_free(n->trained_on);
    sx_free(n->slice);
    for (int i = 0; i < SEG_SLICES; i++) sx_free(n->p[i]);
    *n = (seg_network){.params = NULL};
}

/* ---- the volume ---- */

/* Isotropic, PIR, 0..1. */
static sx_err read_volume(const seg_config *c, const io_item *item, im_volume *iso) {
    const double mm = c->network.hr_mm;
    im_volume pir = {.voxel = NULL};
    im_mapping map;
    sx_err rc;
    SX_TRY(rc, sr_read_pir(item->path, &c->read, &pir));
    SX_TRY(rc, im_rescale(iso, &pir, (const double[3]){mm, mm, mm}));
    if (iso->dim[0] < MIN_SIDE || iso->dim[1] < MIN_SIDE) {
        rc = sx_fail(SX_E_DATA, "%s: sagittal slices of %lld x %lld pixels; each side needs %d",
                     item->path, (long long)iso->dim[1], (long long)iso->dim[0], MIN_SIDE);
        goto out;
    }
    rc = im_mapping_fit(iso->voxel, im_volume_count(iso), c->network.quantile, &map);
    if (rc != SX_OK)
        sx_fail_context(rc, "%s", item->path);
    else
        im_mapping_apply(&map, iso->voxel, im_volume_count(iso));
out:
    im_volume_clear(&pir);
    return rc;
}

/* ---- slices ---- */

/* Network and room for slices of this size. */
static sx_err fit(seg_network *n, const im_volume *v) {
    const int h = net_padded(&n->net, v->dim[1]), w = net_padded(&n->net, v->dim[0]);
    if (n->built && n->h == h && n->w == w) return SX_OK;
    net_free(n->built);
    n->built = NULL;
    sx_err rc = net_new(&n->built, &n->net, h, w, n->kernels, (net_opt){.threads = n->threads});
    if (rc != SX_OK) return rc;
    n->h = h;
    n->w = w;
    bool good = true;
    sx_free(n->slice);
    n->slice = sx_try_alloc((int64_t)h * w, sizeof(float));
    for (int i = 0; i < SEG_SLICES; i++) {
        sx_free(n->p[i]);
        n->p[i] = sx_try_alloc((int64_t)h * w * SP_N_CLASSES, sizeof(float));
        good = good && n->p[i];
    }
    if (good && n->slice) return SX_OK;
    net_free(n->built);
    n->built = NULL;
    return sx_fail(SX_E_NOMEM, "no memory for slices of %d x %d pixels", h, w);
}

/* Slice k of 0..1 in -1..1, mirrored beyond its lower and right edge. */
static void put_slice(seg_network *n, const im_volume *v, int64_t k) {
    const float *from = v->voxel + k * v->dim[0] * v->dim[1];
    for (int i = 0; i < n->h; i++)
        for (int j = 0; j < n->w; j++)
            n->slice[(int64_t)i * n->w + j] =
                2.0f * from[im_mirror(i, v->dim[1]) * v->dim[0] + im_mirror(j, v->dim[0])] - 1.0f;
}

/* False when there is no answer: a logit is not finite. */
static bool softmax(const float *logit, float *p) {
    float most = logit[0], sum = 0.0f;
    for (int c = 1; c < SP_N_CLASSES; c++) most = fmaxf(most, logit[c]);
    for (int c = 0; c < SP_N_CLASSES; c++) {
        p[c] = expf(logit[c] - most);
        sum += p[c];
    }
    for (int c = 0; c < SP_N_CLASSES; c++) p[c] /= sum;
    return isfinite(sum);
}

/* Probabilities of slice k, in the place of the ring that it has. */
static sx_err classify(seg_network *n, const im_volume *v, int64_t k) {
    put_slice(n, v, k);
    const float *logit = net_forward(n->built, n->params, n->slice, n->slice, 0.0);
    float *p = n->p[k % SEG_SLICES];
    bool good = true;
    for (int64_t i = 0; i < (int64_t)n->h * n->w; i++)
        good = softmax(logit + i * SP_N_CLASSES, p + i * SP_N_CLASSES) && good;
    if (good) return SX_OK;
    return sx_fail(SX_E_DATA,
                   "the network gives values that are not finite (slice %lld of %lld): did its "
                   "training diverge?",
                   (long long)k + 1, (long long)v->dim[2]);
}

/* Decide slice k, whose neighbours are classified where there are any. */
static void decide(const seg_network *n, int64_t k, im_labels *out) {
    const int64_t before = k > 0 ? k - 1 : k, after = k + 1 < out->dim[2] ? k + 1 : k;
    const float *p[SEG_SLICES] = {n->p[before % SEG_SLICES], n->p[k % SEG_SLICES],
                                  n->p[after % SEG_SLICES]};
    int32_t *y = out->voxel + k * out->dim[0] * out->dim[1];
    for (int64_t i = 0; i < out->dim[1]; i++)
        for (int64_t j = 0; j < out->dim[0]; j++) {
            const int64_t at = (i * n->w + j) * SP_N_CLASSES;
            int best = 0;
            float most = -1.0f;
            for (int c = 0; c < SP_N_CLASSES; c++) {
                const float x = p[0][at + c] + p[1][at + c] + p[2][at + c];
                if (x > most) most = x, best = c;
            }
            *y++ = (int32_t)sp_class_subregion((sp_class)best);
        }
}

static sx_err classify_all(seg_network *n, const im_volume *v, work *w, im_labels *out) {
    const int64_t slices = v->dim[2];
    sx_err rc = SX_OK;
    nn_graph_dropout(net_graph(n->built), false, 0, 0, 0);
    for (int64_t k = 0; k <= slices; k++) {
        if (mp_stop_wanted()) return sx_fail(SX_E_AGAIN, "stopped on request");
        if (k < slices) SX_TRY(rc, classify(n, v, k));
        if (k > 0) decide(n, k - 1, out);
        work_step(w, k, slices, "slice");
    }
out:
    return rc;
}

sx_err seg_network_make(seg_config *c, const io_item *item, work *w, seg_masks *m) {
    im_volume iso = {.voxel = NULL};
    sx_err rc;
    SX_TRY(rc, read_volume(c, item, &iso));
    SX_TRY(rc, fit(&c->network, &iso));
    SX_TRY(rc, im_labels_on(&m->mask[SEG_SUBREG], iso.dim, iso.affine));
    m->grid = "isotropic";
    rc = classify_all(&c->network, &iso, w, &m->mask[SEG_SUBREG]);
out:
    im_volume_clear(&iso);
    return rc;
}
