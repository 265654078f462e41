/* Tables of scores (ev_report.h). */
#include "jobs/eval/ev_report.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/eval/ev_stat.h"
#include "jobs/job/job_json.h"

/* The metrics, in the order of the columns. */
static const struct metric {
    const char *name, *title;
    size_t offset;
} metrics[] = {
    {"psnr", "PSNR (dB)", offsetof(ev_scores, psnr)},
    {"nrmse", "NRMSE", offsetof(ev_scores, nrmse)},
    {"ssim", "SSIM", offsetof(ev_scores, ssim)},
    {"gms", "GMS", offsetof(ev_scores, gms)},
    {"hf", "HF ratio", offsetof(ev_scores, hf)},
    {"psnr_fit", "PSNR fit (dB)", offsetof(ev_scores, psnr_fit)},
    {"nrmse_fit", "NRMSE fit", offsetof(ev_scores, nrmse_fit)},
    {"ssim_fit", "SSIM fit", offsetof(ev_scores, ssim_fit)},
};
enum { N_METRICS = sizeof metrics / sizeof metrics[0] };

static double metric_of(const ev_row *r, int metric) {
    double x;
    memcpy(&x, (const char *)&r->scores + metrics[metric].offset, sizeof x);
    return r->failed ? (double)NAN : x;
}

/* ---- rows ---- */

void ev_number_text(char text[32], double x) {
    if (isnan(x))
        snprintf(text, 32, "nan");
    else
        snprintf(text, 32, "%.6f", x);
}

sx_err ev_report_tsv(const char *path, const io_items *items, const ev_row *row, int64_t n) {
    enum { VOXELS = 4 + N_METRICS, SAMPLE, N_COLUMNS };
    const char *cell[N_COLUMNS] = {"subject", "session", "item", "method"};
    char text[N_METRICS][32], voxels[32], sample[32];
    io_table t = {0};
    for (int m = 0; m < N_METRICS; m++) cell[4 + m] = metrics[m].name;
    cell[VOXELS] = "n_voxels";
    cell[SAMPLE] = "sample";
    io_table_init(&t, N_COLUMNS, cell);
    for (int64_t i = 0; i < n; i++) {
        const io_item *it = &items->item[row[i].item];
        cell[0] = it->subject;
        cell[1] = it->session;
        cell[2] = it->stem;
        cell[3] = row[i].method;
        for (int m = 0; m < N_METRICS; m++) {
            ev_number_text(text[m], metric_of(&row[i], m));
            cell[4 + m] = text[m];
        }
        snprintf(voxels, sizeof voxels, "%lld", (long long)row[i].scores.n_voxels);
        snprintf(sample, sizeof sample, "%lld", (long long)row[i].sample);
        cell[VOXELS] = voxels;
        cell[SAMPLE] = row[i].sample > 0 ? sample : "n/a";
        io_table_add(&t, cell);
    }
    const sx_err rc = io_table_write(path, &t);
    io_table_clear(&t);
    return rc;
}

/* ---- the page ---- */

/* All rows, and whose they are. */
typedef struct results {
    const io_items *items;
    const ev_row *row; /* [n] */
    int64_t n;
    int64_t *subject; /* [items->n] number of each item's subject; owned */
    int64_t n_subjects;
} results;

static results results_of(const io_items *items, const ev_row *row, int64_t n) {
    results r = {.items = items, .row = row, .n = n};
    const char **name = SX_NEW_ARRAY(const char *, items->n + 1);
    for (int64_t i = 0; i < items->n; i++) name[i] = items->item[i].subject;
    r.subject = ev_groups(name, items->n, &r.n_subjects);
    sx_free(name);
    return r;
}

/* A line of the page: a method, or its difference to another one. */
static const struct series {
    const char *title, *method, *minus;
} all_series[] = {
    {"cubic", "cubic", NULL},
    {"sr", "sr", NULL},
    {"sr-mean", "sr-mean", NULL},
    {"sr − cubic", "sr", "cubic"},
    {"sr-mean − cubic", "sr-mean", "cubic"},
};

/* Mean over the samples of a method on an item; NaN if there is none or one failed. */
static double item_value(const results *r, int64_t item, const char *method, int metric) {
    double sum = 0.0;
    int64_t count = 0;
    for (int64_t i = 0; i < r->n; i++) {
        if (r->row[i].item != item || strcmp(r->row[i].method, method) != 0) continue;
        sum += metric_of(&r->row[i], metric);
        count++;
    }
    return count ? sum / (double)count : (double)NAN;
}

/* value [items->n] -> mean [n_subjects] of each subject's finite values. */
static void subject_means(const results *r, const double *value, double *mean) {
    int64_t *count = SX_NEW_ARRAY(int64_t, r->n_subjects + 1);
    for (int64_t s = 0; s < r->n_subjects; s++) mean[s] = 0.0;
    for (int64_t i = 0; i < r->items->n; i++) {
        if (!isfinite(value[i])) continue;
        mean[r->subject[i]] += value[i];
        count[r->subject[i]]++;
    }
    for (int64_t s = 0; s < r->n_subjects; s++)
        mean[s] = count[s] ? mean[s] / (double)count[s] : (double)NAN;
    sx_free(count);
}

static int64_t count_method(const results *r, const char *method, bool failed_only) {
    int64_t count = 0;
    for (int64_t i = 0; i < r->n; i++)
        count += strcmp(r->row[i].method, method) == 0 && (!failed_only || r->row[i].failed);
    return count;
}

/* One cell of the page. */
static ev_estimate summarise(const struct series *s, int metric, const results *r) {
    const int64_t n = r->items->n;
    double *value = SX_NEW_ARRAY(double, n + 1), *mean = SX_NEW_ARRAY(double, r->n_subjects + 1);
    for (int64_t i = 0; i < n; i++) {
        value[i] = item_value(r, i, s->method, metric);
        if (s->minus) value[i] -= item_value(r, i, s->minus, metric);
    }
    subject_means(r, value, mean);
    const ev_estimate y = ev_bootstrap(mean, r->n_subjects, (uint64_t)metric);
    sx_free(value);
    sx_free(mean);
    return y;
}

static void print_cell(FILE *f, const ev_estimate *y) {
    if (y->n == 0)
        fprintf(f, " – |");
    else if (y->n < EV_LEAST_SUBJECTS)
        fprintf(f, " %.3f (n too small) |", y->mean);
    else
        fprintf(f, " %.3f [%.3f, %.3f] |", y->mean, y->low, y->high);
}

static void print_series(FILE *f, const struct series *s, const results *r) {
    for (int m = 0; m < N_METRICS; m++) {
        const ev_estimate y = summarise(s, m, r);
        if (m == 0) fprintf(f, "| %s | %lld |", s->title, (long long)y.n);
        print_cell(f, &y);
    }
    fprintf(f, "\n");
}

static void print_page(FILE *f, const results *r) {
    fprintf(f, "# Image quality against the isotropic truth\n\n");
    fprintf(f, "| method | rows | failed |\n|---|---|---|\n");
    for (size_t s = 0; s < 3; s++)
        if (count_method(r, all_series[s].method, false) > 0)
            fprintf(f, "| %s | %lld | %lld |\n", all_series[s].title,
                    (long long)count_method(r, all_series[s].method, false),
                    (long long)count_method(r, all_series[s].method, true));
    fprintf(f,
            "\nMean over the n subjects of a line [95 %% bootstrap interval over subjects, %d "
            "resamples; from %d subjects on]. Lines of different n are not of the same subjects; "
            "differences are paired.\n\n| method | n |",
            EV_N_RESAMPLES, EV_LEAST_SUBJECTS);
    for (int m = 0; m < N_METRICS; m++) fprintf(f, " %s |", metrics[m].title);
    fprintf(f, "\n|---|---|");
    for (int m = 0; m < N_METRICS; m++) fprintf(f, "---|");
    fprintf(f, "\n");
    for (size_t s = 0; s < sizeof all_series / sizeof all_series[0]; s++)
        if (count_method(r, all_series[s].method, false) > 0) print_series(f, &all_series[s], r);
}

sx_err ev_report_markdown(const char *path, const io_items *items, const ev_row *row, int64_t n,
                          int64_t n_truthless, int64_t n_unclaimed) {
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *f = open_memstream(&text, &n_bytes);
    if (!f) return sx_fail(SX_E_NOMEM, "%s: no memory for the page", path);
    results r = results_of(items, row, n);
    print_page(f, &r);
    sx_free(r.subject);
    fprintf(f, "\n%lld scans without truth, %lld predictions without a scan.\n",
            (long long)n_truthless, (long long)n_unclaimed);
    const bool complete = fclose(f) == 0;
    const sx_err rc = complete ? sx_file_write(path, text, n_bytes)
                               : sx_fail(SX_E_NOMEM, "%s: no memory for the page", path);
    free(text);
    return rc;
}

/* ---- JSON ---- */

static json_t *row_json(const io_items *items, const ev_row *r) {
    const io_item *it = &items->item[r->item];
    json_t *o = json_pack("{s:o, s:o, s:o, s:s}", "subject", job_json_string(it->subject),
                          "session", job_json_string(it->session), "item",
                          job_json_string(it->stem), "method", r->method);
    for (int m = 0; m < N_METRICS; m++)
        json_object_set_new(o, metrics[m].name, job_json_number(metric_of(r, m)));
    json_object_set_new(o, "n_voxels", json_integer(r->scores.n_voxels));
    json_object_set_new(o, "sample", r->sample > 0 ? json_integer(r->sample) : json_null());
    return o;
}

static json_t *series_json(const struct series *s, const results *r) {
    json_t *o = json_pack("{s:s}", "method", s->title);
    for (int m = 0; m < N_METRICS; m++) {
        const ev_estimate y = summarise(s, m, r);
        const bool enough = y.n >= EV_LEAST_SUBJECTS;
        json_object_set_new(o, metrics[m].name,
                            json_pack("{s:I, s:o, s:o, s:o}", "n", (json_int_t)y.n, "mean",
                                      job_json_number(y.mean), "low",
                                      job_json_number(enough ? y.low : (double)NAN), "high",
                                      job_json_number(enough ? y.high : (double)NAN)));
    }
    return o;
}

void ev_report_print(const io_items *items, const ev_row *row, int64_t n) {
    json_t *rows = json_array(), *means = json_array();
    results r = results_of(items, row, n);
    for (int64_t i = 0; i < n; i++) json_array_append_new(rows, row_json(items, &row[i]));
    for (size_t s = 0; s < sizeof all_series / sizeof all_series[0]; s++)
        if (count_method(&r, all_series[s].method, false) > 0)
            json_array_append_new(means, series_json(&all_series[s], &r));
    sx_free(r.subject);
    job_json_print(json_pack("{s:o, s:o}", "rows", rows, "means", means),
                   JSON_INDENT(2) | JSON_REAL_PRECISION(9));
}
