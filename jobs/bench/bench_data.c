/* A training to measure: the step, the feed and the degradation of `sagax train`, on a cohort made
 * up here. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "jobs/bench/bench.h"

/* ---- the cohort: sagittal slices of a typical size ---- */

enum { N_VOLUMES = 2, SLICES = 12, SIDE = 320, WAVES = 24 };
static const double hr_mm = 0.8571;

/* A sum of plane waves of falling strength: detail at all scales, different in every slice. */
static void draw_slice(uint16_t *pixels, uint64_t volume, uint64_t slice) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, volume, slice);
    float *sum = SX_NEW_ARRAY(float, SIDE *SIDE);
    for (int k = 1; k <= WAVES; k++) {
        float fx = sx_rng_range(&r, -0.3f, 0.3f), fy = sx_rng_range(&r, -0.3f, 0.3f);
        float phase = sx_rng_range(&r, 0, 6.2831853f), strength = 0.5f / sqrtf((float)k);
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++)
                sum[i * SIDE + j] += strength * sinf(fy * (float)i + fx * (float)j + phase);
    }
    for (int i = 0; i < SIDE * SIDE; i++)
        pixels[i] = (uint16_t)(65535.0f * fminf(1.0f, fmaxf(0.0f, 0.5f + 0.25f * sum[i])));
    sx_free(sum);
}

static void make_volume(io_cache_volume *v, int i) {
    memset(v, 0, sizeof *v);
    v->rel = sx_strf("sub-%d/anat/sub-%d_T2w.nii.gz", i, i);
    v->path = sx_strdup(v->rel);
    snprintf(v->sha256, sizeof v->sha256, "%064d", i);
    snprintf(v->subject, sizeof v->subject, "%d", i);
    v->split = IO_TRAIN;
    v->ok = true;
    v->n = SLICES;
    v->h = v->w = SIDE;
    v->affine[0][2] = -3.3;
    v->affine[1][0] = v->affine[2][1] = -hr_mm;
    v->affine[3][3] = 1;
    strcpy(v->axcodes, "PIR");
    for (int a = 0; a < 3; a++) v->zooms[a] = hr_mm;
    v->mapping = (im_mapping){.offset = 0, .scale = 1000, .quantile = 0.999};
    v->pixels = SX_NEW_ARRAY(uint16_t, SLICES * SIDE * SIDE);
    for (int s = 0; s < SLICES; s++)
        draw_slice(v->pixels + (int64_t)s * SIDE * SIDE, (uint64_t)i, (uint64_t)s);
}

static sx_err write_cache(const char *path) {
    io_cache_writer *w = NULL;
    sx_err rc = io_cache_create(&w, mp_self(), path, "bench");
    for (int i = 0; i < N_VOLUMES && rc == SX_OK; i++) {
        io_cache_volume v;
        make_volume(&v, i);
        rc = io_cache_append(w, i, &v);
        io_cache_volume_clear(&v);
    }
    sx_err end = w ? io_cache_commit(w, rc == SX_OK) : SX_OK;
    return rc == SX_OK ? end : rc;
}

char *bench_scratch_path(const char *suffix) {
    return sx_strf("%s/sagax-bench-%ld%s", sx_tmp_folder(), (long)getpid(), suffix);
}

sx_err bench_data_open(bench_data *d) {
    char *path = bench_scratch_path(".h5");
    sx_err rc;
    *d = (bench_data){.cache = NULL};
    SX_TRY(rc, write_cache(path));
    SX_TRY(rc, io_cache_open(&d->cache, path));
    rc = train_slices_list(&d->slices, mp_self(), d->cache, IO_TRAIN, 0, false);
out:
    remove(path); /* what is open stays readable */
    sx_free(path);
    return rc;
}

void bench_data_clear(bench_data *d) {
    train_slices_clear(&d->slices);
    io_cache_close(d->cache);
    d->cache = NULL;
}

/* ---- the training ---- */

void bench_fill(const nn_params *p, float *block) {
    nn_params_init(p, block, 1);
    for (int i = 0; i < p->n; i++) {
        const nn_param *it = &p->item[i];
        sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, (uint64_t)i);
        for (int64_t k = 0; it->init == NN_INIT_ZERO && k < it->count; k++)
            block[it->offset + k] = sx_rng_range(&r, -0.02f, 0.02f);
    }
}

sx_err bench_training_begin(bench_training *t, const bench_config *c, mp_comm *comm, int batch,
                            int threads, const bench_data *d) {
    int first, last;
    sx_err rc;
    *t = (bench_training){.c = c->train};
    t->c.comm = comm;
    t->c.batch = batch;
    t->c.shards = train_default_shards(batch);
    t->c.threads = threads;
    rc = net_new(&t->n, &c->net, c->h, c->w, c->kernels,
                 (net_opt){.train = true, .threads = threads, .most_bytes = t->c.activation_bytes});
    if (rc == SX_OK) rc = train_state_init(&t->state, net_params(t->n), NULL);
    SX_TRY(rc, mp_agree(comm, rc));
    bench_fill(t->state.params, t->state.param);
    memcpy(t->state.ema, t->state.param, (size_t)t->state.params->block * sizeof(float));
    SX_TRY(rc, train_stepper_new(&t->stepper, &t->c, t->n, NULL));
    train_stepper_shards(t->stepper, &first, &last);
    rc = train_feed_new(&t->feed, &t->c, d->cache, &d->slices, first, last, 0);
    rc = mp_agree(comm, rc);
out:
    return rc;
}

void bench_training_end(bench_training *t) {
    train_feed_free(t->feed); /* first: its threads use the cache */
    train_stepper_free(t->stepper);
    train_state_clear(&t->state);
    net_free(t->n);
    *t = (bench_training){.n = NULL};
}

sx_err bench_training_step(bench_training *t, train_step_info *info) {
    return train_step(t->stepper, t->feed, &t->state, t->c.lr.base, info);
}
