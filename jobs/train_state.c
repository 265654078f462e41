/* Checkpoints: rank 0 reads and writes, the others get the blocks by broadcast, so that a file seen
 * differently by two nodes cannot split a training. */
#include "jobs/train_state.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_ckpt.h"
#include "jobs/job_json.h"
#include "jobs/job_weights.h"

enum { N_BLOCKS = 4 };
static const char *const block_name[N_BLOCKS] = {"param", "adam_m", "adam_v", "ema"};

static void blocks_of(const train_state *s, float *block[N_BLOCKS]) {
    block[0] = s->param;
    block[1] = s->m;
    block[2] = s->v;
    block[3] = s->ema;
}

static size_t block_bytes(const train_state *s) {
    return (size_t)s->params->block * sizeof(float);
}

sx_err train_state_init(train_state *s, const nn_params *p) {
    memset(s, 0, sizeof *s);
    s->params = p;
    s->param = sx_try_alloc(p->block, sizeof(float));
    s->m = sx_try_alloc(p->block, sizeof(float));
    s->v = sx_try_alloc(p->block, sizeof(float));
    s->ema = sx_try_alloc(p->block, sizeof(float));
    if (s->param && s->m && s->v && s->ema) return SX_OK;
    return sx_fail(SX_E_NOMEM, "no memory for %lld parameters and their moments",
                   (long long)p->count);
}

void train_state_clear(train_state *s) {
    sx_free(s->param);
    sx_free(s->m);
    sx_free(s->v);
    sx_free(s->ema);
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

static char *checkpoint_path(const train_config *c, int64_t step) {
    return sx_strf("%s/ckpt/step-%08lld.h5", c->run_path, (long long)step);
}

/* Step number in a checkpoint's file name, or -1 (temporaries and strangers). */
static int64_t step_in_name(const char *name) {
    char *end;
    if (strncmp(name, "step-", 5) != 0) return -1;
    long long step = strtoll(name + 5, &end, 10);
    return end != name + 5 && strcmp(end, ".h5") == 0 && step >= 0 ? step : -1;
}

static found find_checkpoints(const train_config *c) {
    found f = {0};
    char *folder = sx_path_join(c->run_path, "ckpt");
    DIR *dir = opendir(folder);
    sx_free(folder);
    if (!dir) return f;
    int64_t room = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        int64_t step = step_in_name(e->d_name);
        if (step < 0) continue;
        if (f.n == room) {
            int64_t *bigger = SX_NEW_ARRAY(int64_t, room + 64);
            if (f.n) memcpy(bigger, f.step, (size_t)f.n * sizeof *bigger);
            sx_free(f.step);
            f.step = bigger;
            room += 64;
        }
        f.step[f.n++] = step;
    }
    closedir(dir);
    if (f.n) qsort(f.step, (size_t)f.n, sizeof *f.step, ascending);
    return f;
}

/* ---- counters as JSON ---- */

static char *counters_json(const train_state *s, const char *identity, bool with_clock) {
    json_t *id = json_loads(identity, 0, NULL);
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:I, s:o}", "format", "sagax training",
                          "step", (json_int_t)s->step, "updates", (json_int_t)s->updates,
                          "bad_in_row", (json_int_t)s->bad_in_row, "loss_sum", s->loss_sum,
                          "norm_sum", s->norm_sum, "n_sum", (json_int_t)s->n_sum, "identity", id);
    SX_ASSERT(o);
    if (with_clock) json_object_set_new(o, "trained_s", json_real(s->trained_s));
    return job_json_text(o, JSON_SORT_KEYS | JSON_INDENT(1));
}

/* Counters out of a checkpoint's JSON after its identity was compared. */
static sx_err take_counters(train_state *s, const char *text, const char *identity,
                            const char *path) {
    json_t *o = json_loads(text, 0, NULL), *id = json_object_get(o, "identity");
    char *theirs = id ? json_dumps(id, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    sx_err rc = SX_OK;
    if (!theirs || !json_is_integer(json_object_get(o, "step")))
        rc = sx_fail(SX_E_DATA, "%s: not a checkpoint of a training", path);
    if (rc == SX_OK) rc = train_identity_check(identity, theirs, path);
    if (rc == SX_OK) {
        s->step = json_integer_value(json_object_get(o, "step"));
        s->updates = json_integer_value(json_object_get(o, "updates"));
        s->bad_in_row = json_integer_value(json_object_get(o, "bad_in_row"));
        s->n_sum = json_integer_value(json_object_get(o, "n_sum"));
        s->loss_sum = json_number_value(json_object_get(o, "loss_sum"));
        s->norm_sum = json_number_value(json_object_get(o, "norm_sum"));
        s->trained_s = json_number_value(json_object_get(o, "trained_s"));
    }
    free(theirs);
    json_decref(o);
    return rc;
}

/* ---- resume ---- */

static sx_err take_blocks(train_state *s, const io_ckpt *k, const char *path) {
    float *block[N_BLOCKS];
    blocks_of(s, block);
    for (int i = 0; i < N_BLOCKS; i++) {
        const io_block *b = io_ckpt_find(k, block_name[i]);
        if (!b || b->rank != 1 || b->shape[0] != s->params->block)
            return sx_fail(SX_E_DATA, "%s: block %s is missing or has another length", path,
                           block_name[i]);
        memcpy(block[i], b->data, block_bytes(s));
    }
    return SX_OK;
}

/* One file, whole or not at all. SX_E_CONFIG is final; anything else means: try an older one. */
static sx_err load(train_state *s, const char *path, const char *identity) {
    io_ckpt k = {0};
    sx_err rc;
    SX_TRY(rc, io_ckpt_read(path, &k));
    SX_TRY(rc, take_counters(s, k.json, identity, path));
    SX_TRY(rc, take_blocks(s, &k, path));
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
    memcpy(s->ema, s->param, block_bytes(s));
    char why[64] = "there is no checkpoint";
    if (n_damaged) snprintf(why, sizeof why, "none of %d checkpoints can be read", n_damaged);
    sx_info("fresh start because %s; weights %s%s", why, *c->init_path ? "from " : "random",
            c->init_path);
    return SX_OK;
}

/* Rank 0: newest checkpoint that verifies, or a fresh start. */
static sx_err open_here(train_state *s, const train_config *c, const char *identity) {
    found f = find_checkpoints(c);
    char **refused =
        SX_NEW_ARRAY(char *, f.n + 1); /* told after the line that says what was done */
    int n_refused = 0;
    sx_err rc = SX_E_DATA;
    for (int i = f.n - 1; i >= 0 && rc != SX_OK && rc != SX_E_CONFIG; i--) {
        char *path = checkpoint_path(c, f.step[i]);
        rc = load(s, path, identity);
        if (rc == SX_OK) {
            s->resumed = true;
            sx_info("resumed step %lld from %s", (long long)s->step, path);
        } else if (rc != SX_E_CONFIG) {
            refused[n_refused++] = sx_strdup(sx_err_text());
        }
        sx_free(path);
    }
    if (rc != SX_OK && rc != SX_E_CONFIG) rc = start_fresh(s, c, n_refused);
    for (int i = 0; i < n_refused; i++) {
        sx_warn("checkpoint not used: %s", refused[i]);
        sx_free(refused[i]);
    }
    sx_free(refused);
    sx_free(f.step);
    return rc;
}

sx_err train_state_open(train_state *s, const train_config *c, const char *identity) {
    sx_err rc = SX_OK;
    if (mp_rank(c->comm) == 0) rc = open_here(s, c, identity);
    rc = mp_agree(c->comm, rc);
    if (rc != SX_OK) return rc;

    float *block[N_BLOCKS];
    blocks_of(s, block);
    for (int i = 0; i < N_BLOCKS; i++) mp_bcast(c->comm, block[i], block_bytes(s), 0);
    struct {
        int64_t step, updates, bad_in_row, n_sum, resumed;
        double loss_sum, norm_sum, trained_s;
    } w = {s->step,    s->updates,  s->bad_in_row, s->n_sum,
           s->resumed, s->loss_sum, s->norm_sum,   s->trained_s};
    mp_bcast(c->comm, &w, sizeof w, 0);
    s->step = w.step;
    s->updates = w.updates;
    s->bad_in_row = w.bad_in_row;
    s->n_sum = w.n_sum;
    s->resumed = w.resumed != 0;
    s->loss_sum = w.loss_sum;
    s->norm_sum = w.norm_sum;
    s->trained_s = w.trained_s;
    return SX_OK;
}

/* ---- save ---- */

/* Temporaries that a killed run left; this run's own is already renamed. */
static void remove_temporaries(const train_config *c) {
    char *folder = sx_path_join(c->run_path, "ckpt");
    sx_file_sweep(folder, "step-");
    sx_free(folder);
}

static void remove_old(const train_config *c) {
    found f = find_checkpoints(c);
    for (int i = 0; i < f.n - c->keep; i++) {
        char *path = checkpoint_path(c, f.step[i]);
        if (unlink(path) != 0) sx_warn("%s: cannot be removed", path);
        sx_free(path);
    }
    sx_free(f.step);
}

static sx_err save_here(const train_state *s, const train_config *c, const char *identity) {
    io_block b[N_BLOCKS];
    float *block[N_BLOCKS];
    char *path = checkpoint_path(c, s->step);
    char *json = counters_json(s, identity, c->minutes > 0);
    blocks_of(s, block);
    for (int i = 0; i < N_BLOCKS; i++)
        b[i] = (io_block){
            .name = block_name[i], .rank = 1, .shape = {s->params->block}, .data = block[i]};
    sx_err rc;
    SX_TRY(rc, sx_mkdirs_for(path));
    SX_TRY(rc, io_ckpt_write(path, json, b, N_BLOCKS));
    remove_old(c);
    remove_temporaries(c);
out:
    sx_free(json);
    sx_free(path);
    return rc;
}

sx_err train_state_save(const train_state *s, const train_config *c, const char *identity) {
    sx_err rc = SX_OK;
    if (mp_rank(c->comm) == 0) rc = save_here(s, c, identity);
    return mp_agree(c->comm, rc);
}
