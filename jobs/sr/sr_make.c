/* One scan from file to files: read, check, sample, write (sr.h). With consistency "project" values
 * may leave the range of the scan a little: the measured slices win over the range. */
#include <math.h>
#include "base/sx_mem.h"
#include "jobs/sr/sr.h"

/* Everything about the item that is being made. */
typedef struct making {
    const sr_config *c;
    const io_item *item;
    sr_volume v;
    sr_record r;
    dg_operator *op;
    double *sum, *sum2; /* over samples, [voxels]; NULL for a single one */
    work *work;
    int64_t sample; /* that is under way, from 0 */
} making;

/* Read and prepare on this rank; one of the ranks speaks. */
static sx_err prepare(making *k, bool speaks) {
    const sr_config *c = k->c;
    const char *name = k->item->n_parts > 1 ? k->item->rel : k->item->path;
    sr_volume *v = &k->v;
    im_volume scan = {0};
    sx_err rc;
    SX_TRY(rc, st_hash(&c->stitch, k->item, k->r.source_sha256));
    SX_TRY(rc, st_stitch(&c->stitch, k->item, &scan, &k->r.stitch));
    if (speaks) st_warn(k->item, &k->r.stitch);
    SX_TRY(rc, sr_volume_make(name, &scan, c->hr_mm, c->quantile, v));
    SX_TRY(rc, sr_check_dtype(c, k->item, &v->mapping));
    k->r.mapping = v->mapping;
    k->r.spacing_mm = v->spacing_mm;
    sr_thickness(c, k->item, &k->r);
    if (speaks) sr_check_warn(c, k->item, &k->r);
    SX_TRY(rc, dg_operator_new(&k->op, (int)v->cubic.dim[1], (int)v->measured.dim[1],
                               (double)v->first_row, v->spacing_mm / c->hr_mm, k->r.thickness_mm,
                               c->hr_mm));
    k->r.residual_cubic = sr_residual(k->op, v, v->cubic.voxel);
out:
    im_volume_clear(&scan);
    return rc;
}

/* ---- outputs ---- */

static void spread_add(making *k, const float *x, int64_t n) {
    if (!k->sum) return;
    for (int64_t i = 0; i < n; i++) {
        k->sum[i] += (double)x[i];
        k->sum2[i] += (double)x[i] * (double)x[i];
    }
}

/* What the writer rounds to, still in 0..1: the residual is that of the voxels in the file. */
static void round_voxels(const making *k, float *x, int64_t n) {
    const im_mapping *map = &k->v.mapping;
    if (k->c->dtype == IO_FLOAT32) return;
    for (int64_t i = 0; i < n; i++) {
        const float intensity = (float)((double)x[i] * map->scale + map->offset);
        x[i] = (float)((io_dtype_value(k->c->dtype, intensity) - map->offset) / map->scale);
    }
}

/* One output in the scan's intensities; its voxels are 0..1 and used up. */
static sx_err write_output(making *k, int what, im_volume *out) {
    int64_t n = im_volume_count(out);
    sx_err rc = work_holds(k->work);
    if (rc != SX_OK) return rc;
    if (what == SR_SD) {
        for (int64_t i = 0; i < n; i++) out->voxel[i] *= (float)k->v.mapping.scale;
    } else {
        round_voxels(k, out->voxel, n);
        k->r.residual = sr_residual(k->op, &k->v, out->voxel);
        im_mapping_invert(&k->v.mapping, out->voxel, n);
    }
    return sr_write(k->c, k->item, what, out, &k->r);
}

static sx_err write_spread(making *k, im_volume *out) {
    int64_t n = im_volume_count(out);
    double m = k->c->samples;
    sx_err rc;
    for (int64_t i = 0; i < n; i++) out->voxel[i] = (float)(k->sum[i] / m);
    SX_TRY(rc, write_output(k, SR_MEAN, out));
    for (int64_t i = 0; i < n; i++)
        out->voxel[i] =
            (float)sqrt(fmax(0.0, (k->sum2[i] - k->sum[i] * k->sum[i] / m) / (m - 1.0)));
    rc = write_output(k, SR_SD, out);
out:
    return rc;
}

/* ---- samples ---- */

static void on_slice(void *user, int64_t done, int64_t total) {
    making *k = user;
    work_step(k->work, k->sample * total + done, k->c->samples * total, "slice");
}

static sx_err begin(making *k, mp_comm *share, im_volume *out) {
    int64_t n = im_volume_count(&k->v.cubic);
    sx_err rc = im_volume_copy(out, &k->v.cubic);
    if (rc != SX_OK || k->c->samples == 1 || mp_rank(share) > 0) return rc;
    k->sum = sx_try_alloc(n, sizeof(double));
    k->sum2 = sx_try_alloc(n, sizeof(double));
    return k->sum && k->sum2 ? SX_OK
                             : sx_fail(SX_E_NOMEM, "%s: no memory for the mean", k->item->rel);
}

/* All samples of a prepared volume. */
static sx_err sample_all(making *k, sr_engine *e, mp_comm *share, bool *lost) {
    const sr_config *c = k->c;
    bool writer = mp_rank(share) == 0;
    im_volume out = {0};
    sx_err rc;
    SX_TRY(rc, mp_agree(share, begin(k, share, &out)));
    for (; k->sample < c->samples; k->sample++) {
        const int what = (int)k->sample + 1;
        SX_TRY(rc, sr_sample(e, share, &k->v, k->op, sr_noise_key(c, k->item), what, out.voxel,
                             on_slice, k));
        if (writer) {
            spread_add(k, out.voxel, im_volume_count(&out));
            rc = write_output(k, what, &out);
        }
        rc = mp_agree(share, rc);
        *lost = work_is_loss(rc);
        if (rc != SX_OK) goto out;
    }
    if (c->samples > 1) {
        rc = mp_agree(share, writer ? write_spread(k, &out) : SX_OK);
        *lost = work_is_loss(rc);
    }
out:
    im_volume_clear(&out);
    return rc;
}

sx_err sr_make(sr_engine *e, mp_comm *share, work *w, const io_item *item, bool *lost) {
    making k = {.c = e->c, .item = item, .work = w};
    bool first = mp_rank(share) == 0;
    if (first) sr_sweep(e->c, item);
    sx_err rc = mp_agree(share, prepare(&k, first));
    if (rc == SX_OK) rc = sample_all(&k, e, share, lost);
    dg_operator_free(k.op);
    sr_volume_clear(&k.v);
    st_result_clear(&k.r.stitch);
    sx_free(k.sum);
    sx_free(k.sum2);
    return rc;
}
