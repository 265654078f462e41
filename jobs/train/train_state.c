/* Checkpoints: rank 0 reads and writes, the others get the blocks by broadcast, so that a file seen
 * differently by two nodes cannot split a training. */
#include "jobs/train/train_state.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_ckpt.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_weights.h"
#include "jobs/train/train_owner.h"
#include "jobs/train/train_rival.h"

/* What a checkpoint holds, beside its JSON. */
typedef struct block {
    const char *name;
    float **data; /* where the state has it */
    int64_t n;    /* floats */
} block;
enum { MAX_BLOCKS = 7 };

/* The blocks of this training; returns how many. */
static int blocks_of(train_state *s, block b[MAX_BLOCKS]) {
    const int64_t own = s->params->block, rival = s->rival ? s->rival->block : 0;
    const block all[MAX_BLOCKS] = {
        {"param", &s->param, own},
        {"adam_m", &s->m, own},
        {"adam_v", &s->v, own},
        {"ema", &s->ema, own},
        {"rival_param", &s->rival_param, rival},
        {"rival_adam_m", &s->rival_m, rival},
        {"rival_adam_v", &s->rival_v, rival},
    };
    int n = 0;
    for (int i = 0; i < MAX_BLOCKS; i++)
        if (all[i].n > 0) b[n++] = all[i];
    return n;
}

static size_t bytes_of(const block *b) {
    return (size_t)b->n * sizeof(float);
}

train_interval train_interval_new(void) {
    return (train_interval){.val_loss = NAN, .psnr_sr = NAN, .psnr_lr = NAN};
}

sx_err train_state_init(train_state *s, const nn_params *p, const nn_params *rival) {
    block b[MAX_BLOCKS];
    bool ok = true;
    *s = (train_state){
        .params = p, .rival = rival, .good = -1, .gone_back = -1, .interval = train_interval_new()};
    for (int i = 0, n = blocks_of(s, b); i < n; i++)
        ok = (*b[i].data = sx_try_alloc(b[i].n, sizeof(float))) != NULL && ok;
    if (ok) return SX_OK;
    return sx_fail(SX_E_NOMEM, "no memory for %lld parameters and their moments",
                   (long long)(p->count + (rival ? rival->count : 0)));
}

void train_state_clear(train_state *s) {
    block b[MAX_BLOCKS];
    if (!s->params) return;
    for (int i = 0, n = blocks_of(s, b); i < n; i++) sx_free(*b[i].data);
    memset(s, 0, sizeof *s);
}

/* ---- checkpoint files ---- */

typedef struct found {
    int64_t *step; /* [n] ascending; owned */
    int n;
} found;

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

#define CHECKPOINT "step-%08lld.h5"

static char *checkpoint_path(const train_config *c, int64_t step) {
    return sx_strf("%s/ckpt/" CHECKPOINT, c->run_path, (long long)step);
}

/* Step number in a checkpoint's file name, or -1 (temporaries and strangers). */
static int64_t step_in_name(const char *name) {
    char ours[32];
    const long long step = strncmp(name, "step-", 5) == 0 ? strtoll(name + 5, NULL, 10) : -1;
    snprintf(ours, sizeof ours, CHECKPOINT, step);
    return step >= 0 && strcmp(name, ours) == 0 ? step : -1;
}

/* No folder is no checkpoint; one that cannot be listed is an error. */
static sx_err find_checkpoints(const train_config *c, found *f) {
    char *folder = sx_path_join(c->run_path, "ckpt");
    sx_err rc = SX_OK;
    *f = (found){0};
    DIR *dir = opendir(folder);
    if (!dir) {
        if (errno != ENOENT) rc = sx_fail(SX_E_NOINPUT, "%s: %s", folder, strerror(errno));
        goto out;
    }
    struct dirent *e;
    while (errno = 0, (e = readdir(dir))) {
        int64_t step = step_in_name(e->d_name);
        if (step < 0) continue;
        f->step = sx_grow(f->step, f->n, sizeof *f->step);
        f->step[f->n++] = step;
    }
    if (errno != 0) rc = sx_fail(SX_E_IO, "%s: %s", folder, strerror(errno));
    closedir(dir);
    if (f->n) qsort(f->step, (size_t)f->n, sizeof *f->step, ascending);
out:
    sx_free(folder);
    return rc;
}

/* ---- counters as JSON ---- */

static json_t *interval_json(const train_interval *i) {
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o}", "n", (json_int_t)i->n, "skipped",
                     (json_int_t)i->skipped, "loss_sum", i->loss_sum, "norm_sum", i->norm_sum,
                     "rival_sum", i->rival_sum, "val_loss", job_json_number(i->val_loss), "psnr_sr",
                     job_json_number(i->psnr_sr), "psnr_lr", job_json_number(i->psnr_lr));
}

static double number_or_nan(const json_t *o, const char *key) {
    const json_t *x = json_object_get(o, key);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

static train_interval interval_of(const json_t *o) {
    return (train_interval){.n = json_integer_value(json_object_get(o, "n")),
                            .skipped = json_integer_value(json_object_get(o, "skipped")),
                            .loss_sum = json_number_value(json_object_get(o, "loss_sum")),
                            .norm_sum = json_number_value(json_object_get(o, "norm_sum")),
                            .rival_sum = json_number_value(json_object_get(o, "rival_sum")),
                            .val_loss = number_or_nan(o, "val_loss"),
                            .psnr_sr = number_or_nan(o, "psnr_sr"),
                            .psnr_lr = number_or_nan(o, "psnr_lr")};
}

static char *counters_json(const train_state *s, const char *identity, bool with_clock) {
    json_t *id = json_loads(identity, 0, NULL);
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "format", "sagax training",
                          "step", (json_int_t)s->step, "updates", (json_int_t)s->updates,
                          "bad_in_row", (json_int_t)s->bad_in_row, "good", (json_int_t)s->good,
                          "gone_back", (json_int_t)s->gone_back, "interval",
                          interval_json(&s->interval), "identity", id);
    SX_ASSERT(o);
    if (with_clock) json_object_set_new(o, "trained_s", json_real(s->trained_s));
    return job_json_text(o, JSON_SORT_KEYS | JSON_INDENT(1));
}

/* Checkpoints of earlier versions do not have all counters. */
static int64_t step_or_none(const json_t *o, const char *key) {
    const json_t *x = json_object_get(o, key);
    return json_is_integer(x) ? json_integer_value(x) : -1;
}

/* Whether this is the JSON of a checkpoint of this training. */
static sx_err check_identity(const char *text, const char *identity, const char *path) {
    json_t *o = json_loads(text, 0, NULL), *id = json_object_get(o, "identity");
    char *theirs = id ? json_dumps(id, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    sx_err rc = !theirs || !json_is_integer(json_object_get(o, "step"))
                    ? sx_fail(SX_E_DATA, "%s: not a checkpoint of a training", path)
                    : train_identity_check(identity, theirs, path);
    free(theirs);
    json_decref(o);
    return rc;
}

static void take_counters(train_state *s, const char *text) {
    json_t *o = json_loads(text, 0, NULL);
    s->step = json_integer_value(json_object_get(o, "step"));
    s->updates = json_integer_value(json_object_get(o, "updates"));
    s->bad_in_row = json_integer_value(json_object_get(o, "bad_in_row"));
    s->good = step_or_none(o, "good");
    s->gone_back = step_or_none(o, "gone_back");
    s->interval = interval_of(json_object_get(o, "interval"));
    s->trained_s = json_number_value(json_object_get(o, "trained_s"));
    json_decref(o);
}

/* ---- resume ---- */

static sx_err check_blocks(train_state *s, const io_ckpt *k, const char *path) {
    block b[MAX_BLOCKS];
    for (int i = 0, n = blocks_of(s, b); i < n; i++) {
        const io_block *f = io_ckpt_find(k, b[i].name);
        if (!f || f->rank != 1 || f->shape[0] != b[i].n)
            return sx_fail(SX_E_DATA, "%s: block %s is missing or has another length", path,
                           b[i].name);
    }
    return SX_OK;
}

static void take_blocks(train_state *s, const io_ckpt *k) {
    block b[MAX_BLOCKS];
    for (int i = 0, n = blocks_of(s, b); i < n; i++)
        memcpy(*b[i].data, io_ckpt_find(k, b[i].name)->data, bytes_of(&b[i]));
}

/* One file, whole or not at all. SX_E_DATA: try an older one; any other error is final. */
static sx_err load(train_state *s, const char *path, const char *identity) {
    io_ckpt k = {0};
    sx_err rc;
    SX_TRY(rc, io_ckpt_read(path, &k));
    SX_TRY(rc,
           check_identity(k.json, identity, path)); /* first: another network has other blocks */
    SX_TRY(rc, check_blocks(s, &k, path));
    take_counters(s, k.json);
    take_blocks(s, &k);
out:
    io_ckpt_clear(&k);
    return rc;
}

static sx_err start_fresh(train_state *s, const train_config *c, int n_damaged) {
    nn_params_init(s->params, s->param, c->seed);
    if (*c->init_path) {
        sx_err rc = job_weights_read(c->init_path, s->params, s->param);
        if (rc != SX_OK) return rc;
    }
    memcpy(s->ema, s->param, (size_t)s->params->block * sizeof(float));
    if (s->rival) train_rival_init(c, s->rival, s->rival_param);
    char why[64] = "there is no checkpoint";
    if (n_damaged) snprintf(why, sizeof why, "none of %d checkpoints can be read", n_damaged);
    sx_info("fresh start because %s; weights %s%s", why, *c->init_path ? "from " : "random",
            c->init_path);
    return SX_OK;
}

static void set_aside(const char *path) {
    char *aside = sx_strf("%s.damaged", path);
    if (rename(path, aside) != 0) sx_warn("%s: cannot be renamed", path);
    sx_free(aside);
}

/* Rank 0: newest checkpoint that verifies, or a fresh start. */
static sx_err open_here(train_state *s, const train_config *c, const char *identity) {
    found f;
    sx_err rc = find_checkpoints(c, &f);
    if (rc != SX_OK) return rc;
    char **damage = SX_NEW_ARRAY(char *, f.n + 1); /* told after the line that says what was done */
    int n_damaged = 0;
    rc = SX_E_DATA; /* nothing of use yet */
    for (int i = f.n - 1; i >= 0 && rc == SX_E_DATA; i--) {
        char *path = checkpoint_path(c, f.step[i]);
        rc = load(s, path, identity);
        if (rc == SX_OK) {
            s->resumed = true;
            sx_info("resumed step %lld from %s", (long long)s->step, path);
        } else if (rc == SX_E_DATA) {
            damage[n_damaged++] = sx_strdup(sx_err_text());
            if (!c->dry_run) set_aside(path);
        }
        sx_free(path);
    }
    if (rc == SX_E_DATA) rc = start_fresh(s, c, n_damaged);
    for (int i = 0; i < n_damaged; i++) {
        sx_warn("checkpoint not used: %s", damage[i]);
        sx_free(damage[i]);
    }
    sx_free(damage);
    sx_free(f.step);
    return rc;
}

/* What rank 0 has to all: blocks and counters. Pointers stay those of this rank. */
static void share(train_state *s, const train_config *c) {
    block b[MAX_BLOCKS];
    float *own[MAX_BLOCKS];
    const nn_params *params = s->params, *rival = s->rival;
    const int n = blocks_of(s, b);
    for (int i = 0; i < n; i++) {
        own[i] = *b[i].data;
        mp_bcast(c->comm, own[i], bytes_of(&b[i]), 0);
    }
    mp_bcast(c->comm, s, sizeof *s, 0);
    s->params = params;
    s->rival = rival;
    for (int i = 0; i < n; i++) *b[i].data = own[i];
}

sx_err train_state_open(train_state *s, const train_config *c, const char *identity) {
    sx_err rc = mp_agree(c->comm, mp_rank(c->comm) == 0 ? open_here(s, c, identity) : SX_OK);
    if (rc == SX_OK) share(s, c);
    return rc;
}

sx_err train_state_check(const train_config *c, const char *identity) {
    found f;
    char *path = NULL, *json = NULL;
    sx_err rc = find_checkpoints(c, &f);
    if (rc != SX_OK || f.n == 0) goto out;
    path = checkpoint_path(c, f.step[f.n - 1]);
    SX_TRY(rc, io_ckpt_read_json(path, &json));
    rc = check_identity(json, identity, path);
out:
    sx_free(json);
    sx_free(path);
    sx_free(f.step);
    return rc == SX_E_CONFIG ? rc : SX_OK;
}

/* ---- back ---- */

static sx_err diverged(const train_state *s, const char *why) {
    return sx_fail(SX_E_DATA,
                   "diverged: %lld steps in a row without a finite loss and gradient, up to step "
                   "%lld; %s",
                   (long long)s->bad_in_row, (long long)s->step, why);
}

/* Rank 0. Steps, clock and what is to be told go on; all else is that of the checkpoint. */
static sx_err go_back_here(train_state *s, const train_config *c, const char *identity) {
    const train_state now = *s;
    char *path = checkpoint_path(c, s->good);
    sx_err rc = load(s, path, identity);
    if (rc == SX_OK) {
        s->step = now.step;
        s->trained_s = now.trained_s;
        s->interval = now.interval;
        s->good = s->gone_back = now.good;
        sx_info("%lld steps in a row without a finite loss and gradient, up to step %lld: back to "
                "the weights of step %lld, and on with other data",
                (long long)now.bad_in_row, (long long)now.step, (long long)now.good);
    }
    sx_free(path);
    return rc;
}

sx_err train_state_go_back(train_state *s, const train_config *c, const char *identity) {
    if (s->good < 0) return diverged(s, "there is no checkpoint yet to go back to");
    if (s->good == s->gone_back)
        return diverged(s, "again, after going back to the last checkpoint before");
    sx_err rc = mp_agree(c->comm, mp_rank(c->comm) == 0 ? go_back_here(s, c, identity) : SX_OK);
    if (rc == SX_OK) share(s, c);
    return rc;
}

/* ---- save ---- */

/* Temporaries that a killed run left; this run's own is already renamed. */
static void remove_temporaries(const train_config *c) {
    char *folder = sx_path_join(c->run_path, "ckpt");
    sx_file_sweep(folder, "step-");
    sx_free(folder);
}

/* All but the newest c->keep, and never the one just written or the one to go back to. */
static void remove_old(const train_state *s, const train_config *c) {
    found f;
    if (find_checkpoints(c, &f) != SX_OK) return;
    for (int i = 0; i < f.n - c->keep; i++) {
        if (f.step[i] == s->step || f.step[i] == s->good) continue;
        char *path = checkpoint_path(c, f.step[i]);
        if (unlink(path) != 0) sx_warn("%s: cannot be removed", path);
        sx_free(path);
    }
    sx_free(f.step);
}

static sx_err save_here(train_state *s, const train_config *c, const char *identity) {
    block b[MAX_BLOCKS];
    io_block out[MAX_BLOCKS];
    const int n = blocks_of(s, b);
    char *path = checkpoint_path(c, s->step);
    char *json = counters_json(s, identity, c->minutes > 0);
    for (int i = 0; i < n; i++)
        out[i] = (io_block){.name = b[i].name, .rank = 1, .shape = {b[i].n}, .data = *b[i].data};
    sx_err rc;
    SX_TRY(rc, sx_mkdirs_for(path));
    SX_TRY(rc, io_ckpt_write_if(path, json, out, n, train_owner_holds, (void *)c));
    remove_old(s, c);
    remove_temporaries(c);
out:
    sx_free(json);
    sx_free(path);
    return rc;
}

sx_err train_state_save(train_state *s, const train_config *c, const char *identity, bool good) {
    sx_err rc = SX_OK;
    if (good) s->good = s->step;
    if (mp_rank(c->comm) == 0) rc = save_here(s, c, identity);
    return mp_agree(c->comm, rc);
}
