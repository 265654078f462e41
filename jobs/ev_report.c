/* Tables of scores (ev_report.h). */
#include "jobs/ev_report.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "image/im_stat.h"
#include "io/io_table.h"

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
enum { N_METRICS = sizeof metrics / sizeof metrics[0], N_RESAMPLES = 2000 };

static double metric_of(const ev_row *r, int metric) {
    double x;
    memcpy(&x, (const char *)&r->scores + metrics[metric].offset, sizeof x);
    return r->failed ? (double)NAN : x;
}

/* ---- rows ---- */

static int by_item(const void *a, const void *b) {
    const ev_row *x = a, *y = b;
    if (x->item != y->item) return x->item < y->item ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

void ev_rows_sort(ev_row *row, int64_t n) {
    qsort(row, (size_t)n, sizeof *row, by_item);
}

/* "nan" whatever its sign bit, which differs between machines. */
static void number_text(char text[32], double x) {
    if (isnan(x))
        snprintf(text, 32, "nan");
    else
        snprintf(text, 32, "%.6f", x);
}

sx_err ev_report_tsv(const char *path, const io_items *items, const ev_row *row, int64_t n) {
    enum { N_COLUMNS = 4 + N_METRICS + 1 };
    const char *cell[N_COLUMNS] = {"subject", "session", "item", "method"};
    char text[N_METRICS + 1][32];
    io_table t = {0};
    for (int m = 0; m < N_METRICS; m++) cell[4 + m] = metrics[m].name;
    cell[N_COLUMNS - 1] = "n_voxels";
    io_table_init(&t, N_COLUMNS, cell);
    for (int64_t i = 0; i < n; i++) {
        const io_item *it = &items->item[row[i].item];
        cell[0] = it->subject;
        cell[1] = it->session;
        cell[2] = it->stem;
        cell[3] = row[i].method;
        for (int m = 0; m < N_METRICS; m++) {
            number_text(text[m], metric_of(&row[i], m));
            cell[4 + m] = text[m];
        }
        snprintf(text[N_METRICS], 32, "%lld", (long long)row[i].scores.n_voxels);
        cell[N_COLUMNS - 1] = text[N_METRICS];
        io_table_add(&t, cell);
    }
    const sx_err rc = io_table_write(path, &t);
    io_table_clear(&t);
    return rc;
}

/* ---- intervals ---- */

void ev_bootstrap(const double *x, int64_t n, uint64_t metric, double *mean, double *low,
                  double *high) {
    double *finite = SX_NEW_ARRAY(double, n + 1);
    float *means = SX_NEW_ARRAY(float, N_RESAMPLES);
    sx_rng r = sx_rng_make(0, SX_RNG_BOOTSTRAP, 0, metric);
    int64_t count = 0;
    *mean = *low = *high = (double)NAN;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i])) finite[count++] = x[i];
    if (count > 0) {
        double sum = 0.0;
        for (int64_t i = 0; i < count; i++) sum += finite[i];
        *mean = sum / (double)count;
        for (int b = 0; b < N_RESAMPLES; b++) {
            sum = 0.0;
            for (int64_t i = 0; i < count; i++) sum += finite[sx_rng_int(&r, 0, count - 1)];
            means[b] = (float)(sum / (double)count);
        }
        *low = im_quantile(means, N_RESAMPLES, 0.025);
        *high = im_quantile(means, N_RESAMPLES, 0.975);
    }
    sx_free(finite);
    sx_free(means);
}

/* ---- the page ---- */

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
static double item_value(const ev_row *row, int64_t n, int64_t item, const char *method,
                         int metric) {
    double sum = 0.0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (row[i].item != item || strcmp(row[i].method, method) != 0) continue;
        sum += metric_of(&row[i], metric);
        count++;
    }
    return count ? sum / (double)count : (double)NAN;
}

/* value [items->n] -> mean of each subject's finite values; returns the number of subjects. Items
 * are sorted by path, so those of a subject follow one another. */
static int64_t subject_means(const io_items *items, const double *value, double *mean) {
    int64_t subjects = 0;
    for (int64_t i = 0; i < items->n;) {
        const char *subject = items->item[i].subject;
        double sum = 0.0;
        int64_t count = 0;
        for (; i < items->n && strcmp(items->item[i].subject, subject) == 0; i++) {
            if (!isfinite(value[i])) continue;
            sum += value[i];
            count++;
        }
        mean[subjects++] = count ? sum / (double)count : (double)NAN;
    }
    return subjects;
}

static int64_t count_method(const ev_row *row, int64_t n, const char *method, bool failed_only) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += strcmp(row[i].method, method) == 0 && (!failed_only || row[i].failed);
    return count;
}

static void print_cell(FILE *f, double mean, double low, double high) {
    if (isnan(mean))
        fprintf(f, " – |");
    else
        fprintf(f, " %.3f [%.3f, %.3f] |", mean, low, high);
}

static void print_series(FILE *f, const struct series *s, const io_items *items, const ev_row *row,
                         int64_t n) {
    double *value = SX_NEW_ARRAY(double, items->n + 1), *means = SX_NEW_ARRAY(double, items->n + 1);
    fprintf(f, "| %s |", s->title);
    for (int m = 0; m < N_METRICS; m++) {
        double mean, low, high;
        for (int64_t i = 0; i < items->n; i++) {
            value[i] = item_value(row, n, i, s->method, m);
            if (s->minus) value[i] -= item_value(row, n, i, s->minus, m);
        }
        const int64_t subjects = subject_means(items, value, means);
        ev_bootstrap(means, subjects, (uint64_t)m, &mean, &low, &high);
        print_cell(f, mean, low, high);
    }
    fprintf(f, "\n");
    sx_free(value);
    sx_free(means);
}

static void print_page(FILE *f, const io_items *items, const ev_row *row, int64_t n) {
    fprintf(f, "# Image quality against the isotropic truth\n\n");
    fprintf(f, "| method | rows | failed |\n|---|---|---|\n");
    for (size_t s = 0; s < 3; s++)
        if (count_method(row, n, all_series[s].method, false) > 0)
            fprintf(f, "| %s | %lld | %lld |\n", all_series[s].title,
                    (long long)count_method(row, n, all_series[s].method, false),
                    (long long)count_method(row, n, all_series[s].method, true));
    fprintf(
        f,
        "\nMean over subjects [95 %% bootstrap interval over subjects, %d resamples]; differences "
        "are paired.\n\n| method |",
        N_RESAMPLES);
    for (int m = 0; m < N_METRICS; m++) fprintf(f, " %s |", metrics[m].title);
    fprintf(f, "\n|---|");
    for (int m = 0; m < N_METRICS; m++) fprintf(f, "---|");
    fprintf(f, "\n");
    for (size_t s = 0; s < sizeof all_series / sizeof all_series[0]; s++)
        if (count_method(row, n, all_series[s].method, false) > 0)
            print_series(f, &all_series[s], items, row, n);
}

sx_err ev_report_markdown(const char *path, const io_items *items, const ev_row *row, int64_t n) {
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *f = open_memstream(&text, &n_bytes);
    if (!f) return sx_fail(SX_E_NOMEM, "%s: no memory for the page", path);
    print_page(f, items, row, n);
    const bool complete = fclose(f) == 0;
    const sx_err rc = complete ? sx_file_write(path, text, n_bytes)
                               : sx_fail(SX_E_NOMEM, "%s: no memory for the page", path);
    free(text);
    return rc;
}
