/* Metrics: sums of an interval become one JSON line. */
#include "jobs/train/train_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/train/train_kind.h"

struct train_report {
    const train_config *c;
    char *path;
    FILE *file;          /* rank 0 */
    int64_t n_steps;     /* timed since the last line, in this run */
    train_step_info sum; /* its times over them, of this rank */
};

/* Keep the lines up to and with `step`; a last line without its end was cut by a crash. */
static sx_err drop_lines_after(const char *path, int64_t step) {
    enum { LIMIT = 1 << 30 };
    char *text = NULL;
    size_t n = 0, kept = 0;
    sx_err rc = sx_file_read(path, LIMIT, &text, &n);
    if (rc != SX_OK) return rc;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *o = json_loadb(line, (size_t)(end - line), 0, NULL);
        json_t *at = json_object_get(o, "step");
        bool keep = json_is_integer(at) && json_integer_value(at) <= step;
        json_decref(o);
        if (!keep) continue;
        size_t length = (size_t)(end - line) + 1;
        memmove(text + kept, line, length);
        kept += length;
    }
    rc = sx_file_write(path, text, kept);
    sx_free(text);
    return rc;
}

static sx_err open_file(train_report *r, const train_state *s) {
    sx_err rc = sx_mkdirs(r->c->run_path);
    if (rc == SX_OK && sx_file_exists(r->path))
        rc = drop_lines_after(r->path, s->resumed ? s->step : -1);
    if (rc != SX_OK) return rc;
    r->file = fopen(r->path, "a");
    return r->file ? SX_OK : sx_fail(SX_E_CREATE, "%s: %s", r->path, strerror(errno));
}

sx_err train_report_open(train_report **out, const train_config *c, const train_state *s) {
    train_report *r = SX_NEW(train_report);
    r->c = c;
    r->path = sx_path_join(c->run_path, "metrics.jsonl");
    sx_err rc = mp_agree(c->comm, mp_rank(c->comm) == 0 ? open_file(r, s) : SX_OK);
    if (rc != SX_OK) {
        train_report_close(r);
        return rc;
    }
    *out = r;
    return SX_OK;
}

void train_report_close(train_report *r) {
    if (!r) return;
    if (r->file) fclose(r->file);
    sx_free(r->path);
    sx_free(r);
}

void train_report_step(train_report *r, const train_step_info *info) {
    r->n_steps++;
    r->sum.step_s += info->step_s;
    r->sum.data_wait_s += info->data_wait_s;
    r->sum.exchange_s += info->exchange_s;
    r->sum.rank_wait_s += info->rank_wait_s;
}

/* Over all ranks. */
typedef struct largest {
    int64_t peak_bytes;
    double data_wait, exchange, rank_wait; /* shares of the time of the steps */
} largest;

static largest find_largest(const train_report *r) {
    const train_step_info *i = &r->sum;
    double share[3] = {i->data_wait_s / i->step_s, i->exchange_s / i->step_s,
                       i->rank_wait_s / i->step_s};
    int64_t peak_bytes = sx_peak_rss_bytes();
    mp_max_i64(r->c->comm, &peak_bytes, 1);
    mp_max_f64(r->c->comm, share, 3);
    return (largest){peak_bytes, share[0], share[1], share[2]};
}

static sx_err write_line(train_report *r, const train_state *s, double lr, const largest *most) {
    const train_interval *i = &s->interval;
    double n = (double)i->n, n_steps = (double)r->n_steps;
    json_t *o = json_object();
    const struct {
        const char *key;
        json_t *value;
    } field[] = {
        {"step", json_integer(s->step)},
        {"loss", job_json_number(i->loss_sum / n)},
        {"grad_norm", job_json_number(i->norm_sum / n)},
        {"lr", job_json_number(lr)},
        {"skipped", json_integer(i->skipped)},
        {"images_per_s", job_json_number(n_steps * r->c->batch / r->sum.step_s)},
        {"step_s", job_json_number(r->sum.step_s / n_steps)},
        {"data_wait_share", job_json_number(most->data_wait)},
        {"exchange_share", job_json_number(most->exchange)},
        {"rank_wait_share", job_json_number(most->rank_wait)},
        {"val_loss", job_json_number(i->val_loss)},
        {"psnr_sr_db", job_json_number(i->psnr_sr)},
        {"psnr_lr_db", job_json_number(i->psnr_lr)},
        {"peak_rss_bytes", json_integer(most->peak_bytes)},
    };
    if (r->c->kind->rival) json_object_set_new(o, "rival_loss", job_json_number(i->rival_sum / n));
    for (size_t f = 0; f < sizeof field / sizeof field[0]; f++)
        json_object_set_new(o, field[f].key, field[f].value);
    char *text = json_dumps(o, JSON_COMPACT);
    bool ok = fprintf(r->file, "%s\n", text) > 0 && fflush(r->file) == 0;
    free(text);
    json_decref(o);
    return ok ? SX_OK : sx_fail(SX_E_IO, "%s: %s", r->path, strerror(errno));
}

sx_err train_report_line(train_report *r, train_state *s, double lr) {
    const largest most = find_largest(r);
    sx_err rc = r->file ? write_line(r, s, lr, &most) : SX_OK;
    s->interval = train_interval_new();
    r->n_steps = 0;
    r->sum = (train_step_info){0};
    return mp_agree(r->c->comm, rc);
}
