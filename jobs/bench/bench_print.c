/* The report, for people and for machines. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "jobs/bench/bench.h"
#include "jobs/job/job_json.h"

/* What follows from the medians of a row. */
typedef struct speed {
    double ms, images_per_s, gflops, percent; /* percent: of the direct peak */
} speed;

static speed speed_of(const bench_report *r, const bench_row *row) {
    speed s = {.ms = bench_row_ms(row)};
    s.images_per_s = 1e3 / s.ms;
    s.gflops = row->flop * s.images_per_s * 1e-9;
    s.percent = 100 * s.gflops / bench_peak_gflops(r->ceilings, r->c->kernels, row->threads);
    return s;
}

/* Share of the time of one row, whole runs, that its ops take; the rest is the update, the exchange
 * and the waiting. */
static double op_ms(const bench_row *row, int i) {
    return 1e3 * (row->op[i].forward_s + row->op[i].backward_s) / row->batch / row->wall_ms.n;
}

static double mean(const bench_series *s) {
    double sum = 0;
    for (int i = 0; i < s->n; i++) sum += s->x[i];
    return sum / s->n;
}

static double rest_ms(const bench_row *row) {
    double rest = mean(&row->wall_ms);
    for (int i = 0; i < row->n_ops; i++) rest -= op_ms(row, i);
    return rest;
}

/* Of the shortest steps. */
static double least_speed_up(const bench_scale *s) {
    return bench_least(&s->one_s) / bench_least(&s->all_s);
}

/* ---- text ---- */

static void text_head(const bench_report *r) {
    const bench_config *c = r->c;
    printf("%s, %d x %d pixels, kernels %s (%s), medians of %d interleaved rounds\n", c->net.arch,
           c->h, c->w, c->kernels->name, c->kernels->isa, c->rounds);
}

static void text_ceilings(const bench_ceilings *v) {
    if (v->n_peaks > 0) printf("\ndirect fp32 peak   threads    GFLOP/s\n");
    for (int i = 0; i < v->n_peaks; i++)
        printf("%-18s %7d %10.1f\n", v->peak[i].isa->name, v->peak[i].threads,
               bench_median(&v->peak[i].gflops));
    if (v->n_levels > 0) printf("\nread, one core      KiB       GB/s\n");
    for (int i = 0; i < v->n_levels; i++)
        printf("%-14s %8lld %10.1f\n", v->level[i].name, (long long)v->level[i].n_bytes / 1024,
               bench_median(&v->level[i].gb_per_s));
}

/* "-" for what was not measured. */
static const char *text_percent(double percent, char text[16]) {
    if (!isfinite(percent)) return "-";
    snprintf(text, 16, "%.1f", percent);
    return text;
}

static void text_rows(const bench_report *r) {
    const int n = r->run ? bench_run_rows(r->run) : 0;
    if (n == 0) return;
    printf("\n%-8s %7s %5s %9s %9s %9s %9s %9s %7s %6s\n", "an image", "threads", "batch", "CPU ms",
           "wall ms", "least ms", "images/s", "GFLOP/s", "% peak", "% wait");
    for (int i = 0; i < n; i++) {
        const bench_row *row = bench_run_row(r->run, i);
        const speed s = speed_of(r, row);
        char text[16];
        printf("%-8s %7d %5d %9.2f %9.2f %9.2f %9.2f %9.1f %7s %6.2f\n", row->task, row->threads,
               row->batch, bench_median(&row->cpu_ms), bench_median(&row->wall_ms),
               bench_row_least_ms(row), s.images_per_s, s.gflops, text_percent(s.percent, text),
               100 * bench_median(&row->wait_ms) / bench_median(&row->wall_ms));
    }
}

static void text_ops(const bench_row *row) {
    const double all = mean(&row->wall_ms);
    printf("\n%s, batch %d, %d thread%s: ms an image (wall, mean)\n%-12s %6s %10s %10s %7s\n",
           row->task, row->batch, row->threads, row->threads > 1 ? "s" : "", "op", "calls",
           "forward", "backward", "%");
    const double per_image = 1.0 / row->batch / row->wall_ms.n;
    for (int i = 0; i < row->n_ops; i++)
        printf("%-12s %6.0f %10.3f %10.3f %7.2f\n", row->op[i].op,
               (double)row->op[i].calls * per_image, 1e3 * row->op[i].forward_s * per_image,
               1e3 * row->op[i].backward_s * per_image, 100 * op_ms(row, i) / all);
    printf("%-12s %6s %10s %10.3f %7.2f\n", "rest", "", "", rest_ms(row), 100 * rest_ms(row) / all);
}

static void text_memory(const bench_report *r) {
    if (r->n_memory > 0)
        printf("\n%-10s %5s %12s %9s %9s %11s\n", "MiB", "batch", "activations", "scratch",
               "weights", "peak RSS");
    for (int i = 0; i < r->n_memory; i++) {
        const bench_memory *m = &r->memory[i];
        printf("%-10s %5d %12.1f %9.1f %9.1f %11.1f\n", m->task, m->batch,
               (double)m->activation_bytes / 0x1p20, (double)m->scratch_bytes / 0x1p20,
               (double)m->parameter_bytes / 0x1p20, (double)m->peak_rss_bytes / 0x1p20);
    }
}

static void text_scale(const bench_report *r) {
    if (r->n_scale > 0)
        printf("\n%-5s %7s %5s %14s %14s %9s %9s %10s %21s\n", "ranks", "threads", "batch",
               "images/s: one", "all", "speed-up", "of least", "% exchange",
               "% wait for rank, data");
    for (int i = 0; i < r->n_scale; i++) {
        const bench_scale *s = &r->scale[i];
        const double one_s = bench_median(&s->one_s), all_s = bench_median(&s->all_s);
        printf("%-5d %7d %5d %14.3f %14.3f %9.3f %9.3f %10.2f %14.2f %6.2f\n", s->ranks,
               r->c->rank_threads, s->batch, s->batch / one_s, s->batch / all_s, one_s / all_s,
               least_speed_up(s), 100 * bench_median(&s->exchange_share),
               100 * bench_median(&s->rank_wait_share), 100 * bench_median(&s->data_wait_share));
    }
}

void bench_print_text(const bench_report *r) {
    text_head(r);
    text_ceilings(r->ceilings);
    text_rows(r);
    for (int i = 0; r->run && i < bench_run_rows(r->run); i++) text_ops(bench_run_row(r->run, i));
    text_memory(r);
    text_scale(r);
}

/* ---- JSON ---- */

static json_t *json_peaks(const bench_ceilings *v) {
    json_t *list = json_array();
    for (int i = 0; i < v->n_peaks; i++)
        json_array_append_new(list, json_pack("{s:s,s:i,s:o}", "isa", v->peak[i].isa->name,
                                              "threads", v->peak[i].threads, "gflops",
                                              job_json_number(bench_median(&v->peak[i].gflops))));
    return list;
}

static json_t *json_levels(const bench_ceilings *v) {
    json_t *list = json_array();
    for (int i = 0; i < v->n_levels; i++)
        json_array_append_new(list,
                              json_pack("{s:s,s:I,s:o}", "level", v->level[i].name, "bytes",
                                        (json_int_t)v->level[i].n_bytes, "gb_per_s",
                                        job_json_number(bench_median(&v->level[i].gb_per_s))));
    return list;
}

static json_t *json_ops(const bench_row *row) {
    const double per_image = 1.0 / row->batch / row->wall_ms.n, all = mean(&row->wall_ms);
    json_t *list = json_array();
    for (int i = 0; i < row->n_ops; i++)
        json_array_append_new(list, json_pack("{s:s,s:f,s:f,s:f,s:f}", "op", row->op[i].op, "calls",
                                              (double)row->op[i].calls * per_image, "forward_ms",
                                              1e3 * row->op[i].forward_s * per_image, "backward_ms",
                                              1e3 * row->op[i].backward_s * per_image, "percent",
                                              100 * op_ms(row, i) / all));
    return list;
}

static json_t *json_rows(const bench_report *r) {
    json_t *list = json_array();
    for (int i = 0; r->run && i < bench_run_rows(r->run); i++) {
        const bench_row *row = bench_run_row(r->run, i);
        const speed s = speed_of(r, row);
        json_array_append_new(
            list,
            json_pack("{s:s,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:o,s:f,s:f,s:o}", "task", row->task,
                      "threads", row->threads, "batch", row->batch, "ms", s.ms, "cpu_ms",
                      bench_median(&row->cpu_ms), "wall_ms", bench_median(&row->wall_ms),
                      "least_ms", bench_row_least_ms(row), "images_per_s", s.images_per_s, "gflops",
                      s.gflops, "peak_percent", job_json_number(s.percent), "wait_ms",
                      bench_median(&row->wait_ms), "rest_ms", rest_ms(row), "ops", json_ops(row)));
    }
    return list;
}

static json_t *json_memory(const bench_report *r) {
    json_t *list = json_array();
    for (int i = 0; i < r->n_memory; i++) {
        const bench_memory *m = &r->memory[i];
        json_array_append_new(list, json_pack("{s:s,s:i,s:I,s:I,s:I,s:I}", "task", m->task, "batch",
                                              m->batch, "activation_bytes",
                                              (json_int_t)m->activation_bytes, "scratch_bytes",
                                              (json_int_t)m->scratch_bytes, "parameter_bytes",
                                              (json_int_t)m->parameter_bytes, "peak_rss_bytes",
                                              (json_int_t)m->peak_rss_bytes));
    }
    return list;
}

static json_t *json_scale(const bench_report *r) {
    json_t *list = json_array();
    for (int i = 0; i < r->n_scale; i++) {
        const bench_scale *s = &r->scale[i];
        const double one_s = bench_median(&s->one_s), all_s = bench_median(&s->all_s);
        json_array_append_new(
            list, json_pack("{s:i,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "ranks", s->ranks,
                            "threads", r->c->rank_threads, "batch", s->batch, "images_per_s_one",
                            s->batch / one_s, "images_per_s_all", s->batch / all_s, "speed_up",
                            one_s / all_s, "least_speed_up", least_speed_up(s), "exchange_share",
                            bench_median(&s->exchange_share), "rank_wait_share",
                            bench_median(&s->rank_wait_share), "data_wait_share",
                            bench_median(&s->data_wait_share)));
    }
    return list;
}

void bench_print_json(const bench_report *r) {
    const bench_config *c = r->c;
    json_t *o = json_pack("{s:s,s:i,s:i,s:s,s:s,s:i,s:o,s:o,s:o,s:o,s:o}", "net", c->net.arch,
                          "height", c->h, "width", c->w, "kernels", c->kernels->name, "isa",
                          c->kernels->isa, "rounds", c->rounds, "peak", json_peaks(r->ceilings),
                          "bandwidth", json_levels(r->ceilings), "rows", json_rows(r), "memory",
                          json_memory(r), "ranks", json_scale(r));
    job_json_print(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
}
