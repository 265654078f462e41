/* sagax train CACHE RUN: train a network on degraded slices of a cache; how, says its kind.
 *
 * The run folder gets ckpt/, metrics.jsonl, preview/, config.json and, at the end, weights.h5 (the
 * averaged weights). Called again with the same folder a training goes on where its newest
 * checkpoint stands, on any number of ranks. All ranks walk through the same calls in the same
 * order; what a rank meets alone is agreed on before anyone leaves. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/cache/cache_pixel.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "jobs/train/train_kind.h"
#include "jobs/train/train_owner.h"
#include "jobs/train/train_report.h"
#include "jobs/train/train_rival.h"
#include "jobs/train/train_val.h"
#include "jobs/job/verbs.h"
#include "jobs/items/work.h"
#include "mpi/mp_stop.h"

/* All that lives as long as the verb. */
typedef struct training {
    const job *j;
    train_config c;
    io_cache *cache;
    train_slices train, val;
    double quantile; /* of the cache's intensity mapping */
    net *n, *rival;  /* rival NULL: kinds without one */
    train_state state;
    train_stepper *stepper;
    train_val *validation;
    train_feed *feed;
    train_report *report;
    char *identity;
    double start_s;
    double longest_round_s,
        longest_save_s; /* a step with all that was due after it; a checkpoint */
} training;

/* ---- data ---- */

/* The pixel size and mapping of the cached grid; all volumes must share them. */
static sx_err read_geometry(training *t) {
    return cache_pixel_mm(t->cache, t->c.cache_path, &t->c.degrade.hr_mm, &t->quantile);
}

static sx_err open_data(training *t) {
    train_config *c = &t->c;
    sx_err rc = io_cache_open(&t->cache, c->cache_path);
    if (rc == SX_OK) rc = read_geometry(t);
    SX_TRY(rc, mp_agree(c->comm, rc));
    SX_TRY(rc, train_slices_list(&t->train, c->comm, t->cache, IO_TRAIN, c->min_content,
                                 c->kind->classes));
    SX_TRY(rc,
           train_slices_list(&t->val, c->comm, t->cache, IO_VAL, c->min_content, c->kind->classes));
    if (t->train.n == 0)
        rc = sx_fail(SX_E_DATA,
                     "%s: no slice of the training split is usable (%lld too small, %lld empty, "
                     "%lld without labels)",
                     c->cache_path, (long long)t->train.n_small, (long long)t->train.n_empty,
                     (long long)t->train.n_bare);
out:
    return rc;
}

/* A crop that is larger than all slices costs memory and time for what it mirrors. */
static void warn_of_padding(const training *t) {
    const int64_t crop = t->c.crop;
    int64_t h = 0, w = 0;
    for (int64_t i = 0; i < t->train.n; i++) {
        const io_cache_volume *e = io_cache_entry(t->cache, t->train.item[i].volume);
        if (e->h > h) h = e->h;
        if (e->w > w) w = e->w;
    }
    if (mp_rank(t->c.comm) == 0 && crop > h && crop > w)
        sx_warn(
            "train.crop = %lld: no slice is larger than %lld x %lld pixels; the rest is padding",
            (long long)crop, (long long)h, (long long)w);
}

/* ---- preparation ---- */

/* What model.activations does to the plan of a network. */
static void describe_limit(const train_config *c, const char *arch, const nn_plan *p) {
    if (p->again_macs > 0)
        sx_info("memory: %s makes %.0f %% of the forward pass again to keep to model.activations",
                arch, 100 * (double)p->again_macs / (double)p->macs);
    if (c->activation_bytes > 0 && p->activation_bytes > c->activation_bytes &&
        mp_rank(c->comm) == 0)
        sx_warn("model.activations: %s with images of %d x %d takes %.0f MiB, more than the limit, "
                "which no way found keeps",
                arch, c->crop, c->crop, (double)p->activation_bytes / 0x1p20);
}

static void describe(const training *t) {
    const train_config *c = &t->c;
    const nn_plan *p = net_plan(t->n);
    char engine[JOB_ENGINE_TEXT];
    sx_info("data: %lld slices for training, %lld for validation (left out: %lld too small, %lld "
            "empty, %lld without labels), %g mm",
            (long long)t->train.n, (long long)t->val.n,
            (long long)(t->train.n_small + t->val.n_small),
            (long long)(t->train.n_empty + t->val.n_empty),
            (long long)(t->train.n_bare + t->val.n_bare), c->degrade.hr_mm);
    sx_info("network: %s, %lld parameters, %.2f GMAC an image of %d x %d, %.0f MiB activations, %s",
            c->net.arch, (long long)net_params(t->n)->count, (double)p->macs * 1e-9, c->crop,
            c->crop, (double)(p->activation_bytes + p->scratch_bytes) / 0x1p20,
            job_engine_text(c->kernels, c->threads, engine));
    describe_limit(c, c->net.arch, p);
    if (t->rival) describe_limit(c, "the discriminator", net_plan(t->rival));
    sx_info("training: %lld steps of %d images in %d shards on %d ranks", (long long)c->steps,
            c->batch, c->shards, mp_size(c->comm));
    if (mp_rank(c->comm) != 0) return;
    if (t->state.step > c->steps)
        sx_warn("the checkpoint is of step %lld, train.steps = %lld: there is nothing to train",
                (long long)t->state.step, (long long)c->steps);
    if (c->spill && sx_folder_in_memory(sx_tmp_folder()))
        sx_warn("train.spill: %s (TMPDIR) is in memory itself, so that none is saved",
                sx_tmp_folder());
    if (t->val.n == 0) sx_warn("the validation split is empty: no validation, no previews");
    if (mp_size(c->comm) > c->shards)
        sx_warn("%d of %d ranks have nothing to do: train.shards = %d (at most train.batch = %d)",
                mp_size(c->comm) - c->shards, mp_size(c->comm), c->shards, c->batch);
}

static sx_err prepare(training *t) {
    train_config *c = &t->c;
    char hash[SX_HASH_HEX];
    sx_err rc = train_config_read(c, t->j);
    SX_TRY(rc, mp_agree(c->comm, rc));
    SX_TRY(rc, open_data(t));
    warn_of_padding(t);
    io_cache_content_hash(t->cache, hash);
    t->identity = train_identity(t->j, hash);
    rc = net_new(&t->n, &c->net, c->crop, c->crop, c->kernels,
                 (net_opt){.train = true,
                           .threads = c->threads,
                           .most_bytes = c->activation_bytes,
                           .plan_only = c->dry_run});
    if (rc == SX_OK) rc = train_rival_net(c, &t->rival);
    if (rc == SX_OK)
        rc = train_state_init(&t->state, net_params(t->n), t->rival ? net_params(t->rival) : NULL);
    SX_TRY(rc, mp_agree(c->comm, rc));
    if (!c->dry_run) SX_TRY(rc, train_owner_enter(c));
    SX_TRY(rc, train_state_open(&t->state, c, t->identity));
    describe(t);
    if (c->dry_run) goto out; /* what follows is memory that only steps need */
    SX_TRY(rc, train_stepper_new(&t->stepper, c, t->n, t->rival));
    SX_TRY(rc, train_val_new(&t->validation, c, t->cache, &t->val, t->n));
out:
    return rc;
}

/* What a killed owner left half-written; checkpoints sweep for themselves. */
static void sweep_run(const train_config *c) {
    char *previews = sx_path_join(c->run_path, "preview");
    sx_file_sweep(c->run_path, "");
    sx_file_sweep(previews, "");
    sx_free(previews);
}

/* What a dry run does not do: files and threads. */
static sx_err begin(training *t) {
    train_config *c = &t->c;
    int first, last;
    sx_err rc = SX_OK;
    if (mp_rank(c->comm) == 0) {
        char *path = sx_path_join(c->run_path, "config.json"), *json = job_config_json(t->j);
        rc = sx_mkdirs(c->run_path);
        sweep_run(c);
        if (rc == SX_OK) rc = sx_file_write(path, json, strlen(json));
        sx_free(path);
        sx_free(json);
    }
    SX_TRY(rc, mp_agree(c->comm, rc));
    SX_TRY(rc, train_report_open(&t->report, c, &t->state));
    train_stepper_shards(t->stepper, &first, &last);
    rc = train_feed_new(&t->feed, c, t->cache, &t->train, first, last, t->state.step);
    rc = mp_agree(c->comm, rc);
out:
    return rc;
}

static void training_clear(training *t) {
    train_feed_free(t->feed); /* first: its thread uses the cache */
    train_report_close(t->report);
    train_val_free(t->validation);
    train_stepper_free(t->stepper);
    train_state_clear(&t->state);
    net_free(t->n);
    net_free(t->rival);
    train_slices_clear(&t->train);
    train_slices_clear(&t->val);
    io_cache_close(t->cache);
    sx_free(t->identity);
    train_owner_leave(&t->c); /* last: nothing is written after this */
}

/* ---- pace: when to end, and the learning rate ---- */

typedef struct pace {
    bool stop;      /* somebody wants to stop */
    double clock_s; /* rank 0's time in this training, over all runs */
} pace;

static pace agree_on_pace(const training *t) {
    double elapsed_s = t->state.trained_s + sx_now_s() - t->start_s;
    double say[2] = {mp_stop_wanted(), mp_rank(t->c.comm) == 0 ? elapsed_s : 0};
    mp_max_f64(t->c.comm, say, 2);
    return (pace){say[0] > 0, say[1]};
}

static bool at_end(const training *t, const pace *p) {
    return t->state.step >= t->c.steps || (t->c.minutes > 0 && p->clock_s >= 60 * t->c.minutes);
}

/* By step; with a wall-time limit the cosine follows the share of time or steps used, the greater.
 */
static double learning_rate(const training *t, double clock_s) {
    const train_config *c = &t->c;
    if (c->minutes <= 0) return nn_lr_at(&c->lr, t->state.step);
    double by_step = (double)t->state.step / (double)c->steps;
    return nn_lr_at_share(&c->lr, t->state.step, fmax(clock_s / (60 * c->minutes), by_step));
}

static bool due(int64_t step, int64_t every) {
    return every > 0 && step % every == 0;
}

/* ---- after a step ---- */

/* The averaged weights on the validation set, and their mean PSNR where images were sampled. */
static void measure_loss(training *t) {
    double loss = train_val_loss(t->validation, t->state.ema);
    t->state.interval.val_loss = loss;
    sx_info("step %lld: validation loss %.5f", (long long)t->state.step, loss);
}

static sx_err draw_preview(training *t, bool last) {
    train_interval *i = &t->state.interval;
    char *path =
        last ? sx_strf("%s/preview/final.png", t->c.run_path)
             : sx_strf("%s/preview/step-%08lld.png", t->c.run_path, (long long)t->state.step);
    sx_err rc = train_val_preview(t->validation, t->state.ema, path, &i->psnr_sr, &i->psnr_lr);
    if (rc == SX_OK && t->c.kind->classes)
        sx_info("step %lld: preview %s", (long long)t->state.step, path);
    else if (rc == SX_OK)
        sx_info("step %lld: preview PSNR %.2f dB (LR %.2f dB), %s", (long long)t->state.step,
                i->psnr_sr, i->psnr_lr, path);
    sx_free(path);
    return rc;
}

/* A job must not end between two looks at the clock and while what follows a stop is written. */
static void needs_time(training *t, double round_s, double save_s) {
    t->longest_round_s = fmax(t->longest_round_s, round_s);
    t->longest_save_s = fmax(t->longest_save_s, save_s);
    mp_stop_needs(2 * (t->longest_round_s + t->longest_save_s));
}

static sx_err save(training *t, bool good) {
    double began_s = t->state.trained_s, save_s = sx_now_s();
    train_owner_moves(&t->c, "checkpoint of step %lld", (long long)t->state.step);
    t->state.trained_s = began_s + sx_now_s() - t->start_s;
    sx_err rc = train_state_save(&t->state, &t->c, t->identity, good);
    t->state.trained_s = began_s;
    needs_time(t, 0, sx_now_s() - save_s);
    return rc;
}

/* What is due after this step; after the last one, everything that is on. A checkpoint to go back
 * to is one that is due, not one of a stop, so that a training does not depend on those, and it
 * holds weights that the step before could still use. */
static sx_err after_step(training *t, double lr, bool last, bool skipped, bool *saved) {
    const train_config *c = &t->c;
    const int64_t step = t->state.step;
    const bool measured = train_val_count(t->validation) > 0;
    sx_err rc = SX_OK;
    if (measured && (due(step, c->val_every) || (last && c->val_every > 0))) measure_loss(t);
    if (measured && (due(step, c->preview_every) || (last && c->preview_every > 0)))
        SX_TRY(rc, draw_preview(t, last));
    if (last || due(step, c->log_every)) SX_TRY(rc, train_report_line(t->report, &t->state, lr));
    const bool good = !skipped && due(step, c->checkpoint_every);
    *saved = last || good;
    if (*saved) SX_TRY(rc, save(t, good));
out:
    return rc;
}

/* ---- the result ---- */

/* RUN/weights.h5: the averaged weights of this step. */
static sx_err write_weights(const training *t) {
    sx_err rc = SX_OK;
    train_owner_moves(&t->c, "weights of step %lld", (long long)t->state.step);
    if (mp_rank(t->c.comm) == 0) {
        char *path = sx_path_join(t->c.run_path, "weights.h5");
        char *json = job_weights_describe(t->j, t->c.kind->name, t->state.step, t->c.degrade.hr_mm,
                                          t->quantile, t->cache);
        rc = job_weights_write(path, json, t->state.params, t->state.ema, train_owner_holds,
                               (void *)&t->c);
        if (rc == SX_OK) sx_info("weights of step %lld: %s", (long long)t->state.step, path);
        sx_free(path);
        sx_free(json);
    }
    return mp_agree(t->c.comm, rc);
}

static sx_err stopped(training *t, bool saved) {
    mp_stop_tell();
    sx_err rc = saved ? SX_OK : save(t, false);
    if (rc == SX_OK) rc = write_weights(t);
    if (rc != SX_OK) return rc;
    return sx_fail(SX_E_AGAIN, "asked to stop: checkpoint of step %lld written, run me again",
                   (long long)t->state.step);
}

/* ---- the loop ---- */

/* Progress counts steps, or seconds where the clock decides. */
static void show_progress(const training *t, sx_progress *p, double clock_s, double loss) {
    char note[80];
    if (t->c.minutes > 0) {
        snprintf(note, sizeof note, "step %lld, loss %.4f", (long long)t->state.step, loss);
        sx_progress_step(p, (int64_t)clock_s, note);
    } else {
        snprintf(note, sizeof note, "loss %.4f", loss);
        sx_progress_step(p, t->state.step, note);
    }
}

/* A checkpoint may be past what is asked for now. */
static void begin_progress(const training *t, sx_progress *p) {
    const bool by_clock = t->c.minutes > 0;
    const int64_t done = by_clock ? (int64_t)t->state.trained_s : t->state.step;
    const int64_t asked = by_clock ? (int64_t)(60 * t->c.minutes) : t->c.steps;
    sx_progress_begin(p, "train", by_clock ? "s" : "step", done, done > asked ? done : asked);
}

static void tell_speed(const training *t, int64_t n_steps, double busy_s) {
    if (n_steps == 0) return;
    sx_info("%lld steps, %.3f s a step, %.2f images/s, peak memory %.0f MiB a rank",
            (long long)n_steps, busy_s / (double)n_steps, (double)(n_steps * t->c.batch) / busy_s,
            (double)sx_peak_rss_bytes() / 0x1p20);
}

/* Steps until the end, the wall-time limit, a stop request or a failure. */
static sx_err loop(training *t) {
    sx_progress progress;
    int64_t n_steps = 0;
    double busy_s = 0;
    bool saved = false;
    sx_err rc = SX_OK;
    begin_progress(t, &progress);
    for (pace p = agree_on_pace(t); !at_end(t, &p);) {
        if (p.stop) {
            rc = stopped(t, saved);
            goto out;
        }
        double lr = learning_rate(t, p.clock_s), round_s = sx_now_s();
        train_step_info info;
        SX_TRY(rc, train_step(t->stepper, t->feed, &t->state, lr, &info));
        n_steps++;
        busy_s += info.step_s;
        show_progress(t, &progress, p.clock_s, info.loss);
        train_report_step(t->report, &info);
        if (t->state.bad_in_row >= t->c.max_bad)
            SX_TRY(rc, train_state_go_back(&t->state, &t->c, t->identity));
        p = agree_on_pace(t);
        SX_TRY(rc, after_step(t, lr, at_end(t, &p), info.skipped, &saved));
        needs_time(t, sx_now_s() - round_s, 0);
    }
    rc = write_weights(t);
out:
    sx_progress_end(&progress);
    tell_speed(t, n_steps, busy_s);
    return rc;
}

static sx_err run(job *j) {
    training t = {.j = j, .start_s = sx_now_s()};
    sx_err rc;
    SX_TRY(rc, prepare(&t));
    if (job_dry_run(j)) goto out;
    SX_TRY(rc, begin(&t));
    rc = loop(&t);
out:
    training_clear(&t);
    return rc;
}

static const job_option *const sections[] = {options_train,   options_model,    options_diffusion,
                                             options_degrade, options_run_crew, NULL};

static const job_alias aliases[] = {{"--steps", "train.steps"},
                                    {"--minutes", "train.minutes"},
                                    {"--batch", "train.batch"},
                                    {"--lr", "train.lr"},
                                    {"--seed", "train.seed"},
                                    {"--init", "train.init"},
                                    {"--kind", "train.kind"},
                                    {"--kernels", "model.kernels"},
                                    {"--threads", "model.threads"},
                                    {"--level", "degrade.level"},
                                    JOB_ALIASES_END};

const job_verb cmd_train = {
    .name = "train",
    .arguments = "CACHE RUN",
    .summary = "train a network on degraded slices of a cache; goes on where RUN stands",
    .sections = sections,
    .aliases = aliases,
    .min_args = 2,
    .max_args = 2,
    .ranks = JOB_RANKS,
    .run = run,
};
