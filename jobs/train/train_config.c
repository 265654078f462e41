/* train.*: the options table, what they mean together, and the identity of a training. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/train/train_kind.h"
#include "jobs/train/train_rival.h"
#include "jobs/job/verbs.h"
#include "spine/sp_class.h"

const job_option options_train[] = {
    {"train.kind", JOB_CHOICE, "auto", "auto|diffusion|regression|adversarial|segmentation", 0, 0,
     "what is trained how; auto: as the architecture is"},
    {"train.steps", JOB_INT, "100000", NULL, 1, 1e12, "optimizer steps in all"},
    {"train.minutes", JOB_REAL, "0", NULL, 0, 1e7,
     "end after this wall time in all, minutes; the cosine then follows the clock and weights "
     "are no longer reproducible bit by bit; 0: no limit"},
    {"train.batch", JOB_INT, "32", NULL, 1, 65536, "images a step, over all ranks"},
    {"train.shards", JOB_INT, "0", NULL, 0, 65536,
     "parts of a batch whose gradients are added in a fixed order; 0: 8 or the batch"},
    {"train.wire", JOB_CHOICE, "fp32", "fp32|bf16", 0, 0,
     "how gradients travel between nodes; bf16: half the bytes, rounded, and weights then depend "
     "on the number of nodes"},
    {"train.spill", JOB_BOOL, "false", NULL, 0, 0,
     "sums of gradients wait in a file in TMPDIR, not in memory: with 8 shards a rank needs three "
     "gradients less; the same weights"},
    {"train.workers", JOB_INT, "2", NULL, 1, 64,
     "threads a rank that read and degrade slices ahead of the step"},
    {"train.crop", JOB_INT, "160", NULL, 8, 4096, "side of the training images, pixels"},
    {"train.seed", JOB_INT, "0", NULL, 0, 9e15,
     "seed of order, degradation, noise, initial weights"},
    {"train.min_content", JOB_REAL, "0.02", NULL, 0, 1,
     "slices with a smaller share of pixels above 0.1 are left out"},
    {"train.init", JOB_TEXT, "", NULL, 0, 0,
     "weights to start from (weights.h5, run folder, safetensors); empty: random"},
    {"train.lr", JOB_REAL, "1e-4", NULL, 0, 1, "learning rate"},
    {"train.lr_schedule", JOB_CHOICE, "constant", "constant|cosine", 0, 0,
     "course of the learning rate after the warm-up"},
    {"train.lr_floor", JOB_REAL, "0", NULL, 0, 1, "learning rate at the end of the cosine"},
    {"train.warmup", JOB_INT, "0", NULL, 0, 1e9, "steps of linear warm-up"},
    {"train.beta1", JOB_REAL, "0.9", NULL, 0, 0.99999, "Adam: decay of the first moment"},
    {"train.beta2", JOB_REAL, "0.999", NULL, 0, 0.9999999, "Adam: decay of the second moment"},
    {"train.weight_decay", JOB_REAL, "0", NULL, 0, 1, "decoupled weight decay (AdamW)"},
    {"train.clip", JOB_REAL, "1", NULL, 0, 1e9, "largest global gradient norm; 0: no limit"},
    {"train.ema", JOB_REAL, "0.999", NULL, 0, 0.9999999, "decay of the averaged weights"},
    {"train.ema_warmup", JOB_BOOL, "true", NULL, 0, 0,
     "decay at most (1 + n) / (10 + n) at update n"},
    {"train.ema_every", JOB_INT, "1", NULL, 1, 1000, "optimizer steps between averages"},
    {"train.gan_weight", JOB_REAL, "0.1", NULL, 0, 1000,
     "adversarial: weight of the discriminator's judgement beside the absolute error"},
    {"train.rival_channels", JOB_INT, "64", NULL, 1, 1024,
     "adversarial: channels of the discriminator at full resolution"},
    {"train.max_bad", JOB_INT, "20", NULL, 1, 1e9,
     "go back to the last checkpoint after so many steps in a row without a finite loss and "
     "gradient; give up when that happens again before the next checkpoint"},
    {"train.log_every", JOB_INT, "10", NULL, 1, 1e9, "steps between lines of metrics.jsonl"},
    {"train.val_every", JOB_INT, "500", NULL, 0, 1e9, "steps between validations; 0: never"},
    {"train.val_images", JOB_INT, "32", NULL, 1, 4096, "validation images at most"},
    {"train.preview_every", JOB_INT, "1000", NULL, 0, 1e9, "steps between previews; 0: never"},
    {"train.preview_images", JOB_INT, "4", NULL, 1, 64, "images of a preview at most"},
    {"train.checkpoint_every", JOB_INT, "500", NULL, 1, 1e9, "steps between checkpoints"},
    {"train.keep", JOB_INT, "3", NULL, 2, 1e6, "newest checkpoints kept"},
    JOB_OPTIONS_END,
};

/* What may differ when a training is resumed: it changes how long, where and what is reported, and
 * which checkpoint many bad steps lead back to, not what a step does. (train.steps shapes the
 * cosine, see is_free.) */
static const char *const free_keys[] = {
    "train.steps",          "train.minutes",   "train.init",       "train.max_bad",
    "train.log_every",      "train.val_every", "train.val_images", "train.preview_every",
    "train.preview_images", "train.keep",      "train.workers",    "train.checkpoint_every",
    "train.spill",          "diffusion.steps",
};
static const char *const shaping_sections[] = {"model", "diffusion", "degrade", "train"};

/* What train.kind means. */
static const char *kind_name(const job *j) {
    const char *name = job_text(j, "train.kind");
    return strcmp(name, "auto") == 0 ? net_about_arch(job_text(j, "model.arch"))->kind : name;
}

/* Whether the network takes what the kind gives it. */
static sx_err check_kind(const train_config *c) {
    const net_about *about = net_about_arch(c->net.arch);
    if (strcmp(about->image, c->kind->image) != 0)
        return sx_fail(SX_E_CONFIG, "train.kind = %s: network %s is not made for that",
                       c->kind->name, c->net.arch);
    if (c->kind->classes != (strcmp(about->kind, "segmentation") == 0))
        return sx_fail(SX_E_CONFIG, "train.kind = %s: network %s %s", c->kind->name, c->net.arch,
                       c->kind->classes ? "tells no classes apart" : "makes no image");
    if (c->kind->classes && c->net.classes != SP_N_CLASSES)
        return sx_fail(SX_E_CONFIG, "train.kind = %s: model.classes = %d, there are %d",
                       c->kind->name, c->net.classes, SP_N_CLASSES);
    if (c->kind->timed && !about->has_time)
        return sx_fail(SX_E_CONFIG,
                       "train.kind = %s: network %s takes no noised image and diffusion time",
                       c->kind->name, c->net.arch);
    return SX_OK;
}

/* Sizes, and whether they take images of train.crop. */
static sx_err check_networks(const train_config *c) {
    net_config rival;
    sx_err rc = net_check(&c->net, c->crop, c->crop);
    if (rc == SX_OK && c->kind->rival) rc = train_rival_config(c, &rival);
    if (rc == SX_OK && c->kind->rival) rc = net_check(&rival, c->crop, c->crop);
    return rc;
}

int train_default_shards(int batch) {
    return batch < 8 ? batch : 8;
}

sx_err train_config_read(train_config *c, const job *j) {
    sx_err rc = SX_OK;
    c->kind = train_kind_find(kind_name(j));
    c->comm = job_comm(j);
    c->dry_run = job_dry_run(j);
    c->cache_path = job_arg(j, 0);
    c->run_path = job_arg(j, 1);
    c->init_path = job_text(j, "train.init");
    c->seed = (uint64_t)job_int(j, "train.seed");
    c->batch = (int)job_int(j, "train.batch");
    c->shards = (int)job_int(j, "train.shards");
    if (c->shards == 0) c->shards = train_default_shards(c->batch);
    c->wire = strcmp(job_text(j, "train.wire"), "bf16") == 0 ? MP_WIRE_BF16 : MP_WIRE_FP32;
    c->spill = job_bool(j, "train.spill");
    c->workers = (int)job_int(j, "train.workers");
    c->crop = (int)job_int(j, "train.crop");
    c->min_content = job_real(j, "train.min_content");
    c->steps = job_int(j, "train.steps");
    c->minutes = job_real(j, "train.minutes");
    c->clip = job_real(j, "train.clip");
    c->ema = job_real(j, "train.ema");
    c->ema_warmup = job_bool(j, "train.ema_warmup");
    c->ema_every = job_int(j, "train.ema_every");
    c->max_bad = job_int(j, "train.max_bad");
    c->log_every = job_int(j, "train.log_every");
    c->val_every = job_int(j, "train.val_every");
    c->preview_every = job_int(j, "train.preview_every");
    c->checkpoint_every = job_int(j, "train.checkpoint_every");
    c->val_images = (int)job_int(j, "train.val_images");
    c->preview_images = (int)job_int(j, "train.preview_images");
    c->keep = (int)job_int(j, "train.keep");
    c->lease_s = job_real(j, "run.lease_s");
    c->stall_s = job_real(j, "run.stall_s");
    c->leases = NULL;
    c->sampler_steps = (int)job_int(j, "diffusion.steps");
    c->rival_channels = (int)job_int(j, "train.rival_channels");
    c->gan_weight = job_real(j, "train.gan_weight");
    c->adam = (nn_adam){.beta1 = job_real(j, "train.beta1"),
                        .beta2 = job_real(j, "train.beta2"),
                        .eps = 1e-8,
                        .weight_decay = job_real(j, "train.weight_decay"),
                        .decoupled = true};
    c->lr = (nn_lr){.base = job_real(j, "train.lr"),
                    .floor = job_real(j, "train.lr_floor"),
                    .warmup = job_int(j, "train.warmup"),
                    .total = c->steps};
    if (c->shards > c->batch)
        return sx_fail(SX_E_CONFIG, "train.shards = %d is more than train.batch = %d", c->shards,
                       c->batch);
    SX_TRY(rc, nn_lr_parse(job_text(j, "train.lr_schedule"), &c->lr.kind));
    SX_TRY(rc, job_net_config(j, &c->net));
    SX_TRY(rc, check_kind(c));
    SX_TRY(rc, job_kernels(j, &c->kernels));
    c->threads = job_threads(j);
    c->activation_bytes = job_activation_bytes(j);
    SX_TRY(rc, job_schedule(j, &c->schedule));
    SX_TRY(rc, job_degrade_config(j, &c->degrade));
    rc = check_networks(c);
out:
    return rc;
}

/* ---- identity ---- */

/* The cosine ends at train.steps; where the clock sets the pace (train.minutes) it ends with that.
 */
static bool is_free(const job *j, const char *key) {
    if (strncmp(key, "model.", strlen("model.")) == 0 && !job_net_reads(j, key)) return true;
    if (strcmp(key, "train.steps") == 0 && job_real(j, "train.minutes") <= 0 &&
        strcmp(job_text(j, "train.lr_schedule"), "cosine") == 0)
        return false;
    for (size_t i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++)
        if (strcmp(key, free_keys[i]) == 0) return true;
    return false;
}

char *train_identity(const job *j, const char *cache_hash) {
    json_t *flat = json_object();
    for (size_t i = 0; i < sizeof shaping_sections / sizeof shaping_sections[0]; i++) {
        json_t *section = job_section_json(j, shaping_sections[i]), *value;
        const char *key;
        json_object_foreach(section, key, value) {
            char *full = sx_strf("%s.%s", shaping_sections[i], key);
            if (!is_free(j, full)) json_object_set(flat, full, value);
            sx_free(full);
        }
        json_decref(section);
    }
    json_object_set_new(flat, "train.kind", json_string(kind_name(j)));
    if (cache_hash) json_object_set_new(flat, "cache", json_string(cache_hash));
    return job_json_text(flat, JSON_SORT_KEYS | JSON_COMPACT);
}

static void print_value(const json_t *v, char text[80]) {
    /* digits enough for what somebody typed: 5e-4 and not 0.00050000000000000001 */
    char *dumped = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
    snprintf(text, 80, "%s", dumped ? dumped : "nothing");
    free(dumped);
}

/* What a training has that says nothing: keys are younger than checkpoints, and trainings that
 * began before there was one go on as its default would have it. */
static json_t *identity_by_default(void) {
    char *argv[] = {"cache", "run"};
    job *j = NULL;
    json_t *o = NULL;
    if (job_new(&j, &cmd_train, mp_self(), 2, argv) == SX_OK) {
        char *text = train_identity(j, "");
        o = json_loads(text, 0, NULL);
        sx_free(text);
    }
    job_free(j);
    return o;
}

sx_err train_identity_check(const char *ours, const char *theirs, const char *where) {
    json_t *a = json_loads(ours, 0, NULL), *b = json_loads(theirs, 0, NULL);
    json_t *unsaid = identity_by_default();
    sx_err rc = SX_OK;
    const char *key;
    json_t *value;
    if (!json_is_object(b)) rc = sx_fail(SX_E_DATA, "%s: no configuration inside", where);
    json_object_foreach(a, key, value) {
        if (rc != SX_OK) break;
        const json_t *said = json_object_get(b, key);
        const json_t *other = said ? said : json_object_get(unsaid, key);
        if (!other || !json_equal(value, other)) {
            char now[80], then[80];
            print_value(value, now);
            print_value(other, then);
            rc = sx_fail(SX_E_CONFIG,
                         "%s: %s was %s and is now %s; a training is resumed with the "
                         "configuration it began with, another one needs another folder",
                         where, key, then, now);
        }
    }
    json_decref(a);
    json_decref(b);
    json_decref(unsaid);
    return rc;
}
