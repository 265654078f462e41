/* Rows and means as tables, as a page, and as JSON (ev_vertebrae.h). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/eval/ev_report.h"
#include "jobs/eval/ev_vertebrae.h"
#include "jobs/job/job_json.h"
#include "spine/sp_labels.h"

static const char *const whats[EV_N_WHATS] = {"detected", "missed", "duplicate", "false"};

/* Estimates of a summary, and what they are called. */
static const struct {
    const char *name, *title;
    size_t offset;
} estimates[] = {
    {"macro", "Macro means: over sessions", offsetof(ev_summary, macro)},
    {"micro", "Micro means: over instances, Dice over axial images", offsetof(ev_summary, micro)},
    {"difference", "Differences to the first method, macro, paired by session",
     offsetof(ev_summary, difference)},
};
enum { DIFFERENCE = 2, N_ESTIMATES = sizeof estimates / sizeof estimates[0] };

static const ev_estimate *estimate_of(const ev_summary *s, int which) {
    return (const ev_estimate *)(const void *)((const char *)s + estimates[which].offset);
}

/* ---- numbers ---- */

enum { CELL = 32 };

/* Whole numbers as such. */
static void count_text(char text[CELL], double x) {
    if (isfinite(x) && x == rint(x) && fabs(x) < 1e15)
        snprintf(text, CELL, "%.0f", x);
    else
        ev_number_text(text, x);
}

/* Numbers of instances: none is "n/a", which BIDS has for what does not apply. */
static void label_text(char text[CELL], double label) {
    if (label > 0.0)
        snprintf(text, CELL, "%.0f", label);
    else
        snprintf(text, CELL, "n/a");
}

/* ---- tables ---- */

static void put_place(const ev_vertebrae *e, int64_t item, const char **cell) {
    const io_item *of = e->visit[item / e->n_methods];
    cell[0] = of->subject;
    cell[1] = of->session[0] ? of->session : "n/a";
    cell[2] = e->method[item % e->n_methods].name;
}

static sx_err write_sessions(const ev_vertebrae *e, const char *path) {
    enum { N = 4 + EVS_N };
    const char *cell[N] = {"subject", "session", "method", "state"};
    char text[EVS_N][CELL];
    io_table t = {0};
    for (int v = 0; v < EVS_N; v++) cell[4 + v] = ev_session_columns[v].name;
    io_table_init(&t, N, cell);
    for (int64_t i = 0; i < e->rows.n_sessions; i++) {
        const ev_session_row *r = &e->rows.session[i];
        put_place(e, r->item, cell);
        cell[3] = ev_state_name((ev_state)r->state);
        for (int v = 0; v < EVS_N; v++) {
            (ev_session_columns[v].whole ? count_text : ev_number_text)(text[v], r->value[v]);
            cell[4 + v] = text[v];
        }
        io_table_add(&t, cell);
    }
    const sx_err rc = io_table_write(path, &t);
    io_table_clear(&t);
    return rc;
}

static void instance_texts(const ev_instance_row *r, char text[EVI_N][CELL]) {
    for (int v = 0; v < EVI_N; v++) {
        if (v <= EVI_PARTNER)
            label_text(text[v], r->value[v]);
        else if (isnan(r->value[v]))
            snprintf(text[v], CELL, "n/a");
        else if (v >= EVI_B0)
            count_text(text[v], r->value[v]);
        else
            ev_number_text(text[v], r->value[v]);
    }
}

static sx_err write_instances(const ev_vertebrae *e, const char *path) {
    enum { N = 5 + EVI_N };
    const char *cell[N] = {"subject", "session", "method", "what", "name"};
    char text[EVI_N][CELL];
    io_table t = {0};
    for (int v = 0; v < EVI_N; v++) cell[5 + v] = ev_instance_columns[v];
    io_table_init(&t, N, cell);
    for (int64_t i = 0; i < e->rows.n_instances; i++) {
        const ev_instance_row *r = &e->rows.instance[i];
        const char *name = sp_vertebra_name((int)r->value[EVI_TRUTH]);
        put_place(e, r->item, cell);
        cell[3] = whats[r->what];
        cell[4] = name[0] ? name : "n/a";
        instance_texts(r, text);
        for (int v = 0; v < EVI_N; v++) cell[5 + v] = text[v];
        io_table_add(&t, cell);
    }
    const sx_err rc = io_table_write(path, &t);
    io_table_clear(&t);
    return rc;
}

static sx_err write_summary(const ev_vertebrae *e, const char *path,
                            ev_summary (*summary)[EV_N_METRICS]) {
    static const char *const header[] = {"method", "metric", "kind", "subjects", "mean",
                                         "low",    "high",   "p",    "p_holm"};
    io_table t = {0};
    io_table_init(&t, 9, header);
    for (int m = 0; m < e->n_methods; m++)
        for (int k = 0; k < EV_N_METRICS; k++)
            for (int i = 0; i < N_ESTIMATES; i++) {
                const ev_summary *s = &summary[m][k];
                const ev_estimate *y = estimate_of(s, i);
                const bool enough = y->n >= EV_LEAST_SUBJECTS;
                const double number[5] = {y->mean, enough ? y->low : (double)NAN,
                                          enough ? y->high : (double)NAN,
                                          i == DIFFERENCE ? s->p : (double)NAN,
                                          i == DIFFERENCE ? s->p_holm : (double)NAN};
                char text[6][CELL];
                if (y->n == 0) continue;
                snprintf(text[0], CELL, "%lld", (long long)y->n);
                for (int v = 0; v < 5; v++) ev_number_text(text[1 + v], number[v]);
                io_table_add(&t, (const char *const[]){e->method[m].name, ev_metrics[k].name,
                                                       estimates[i].name, text[0], text[1], text[2],
                                                       text[3], text[4], text[5]});
            }
    const sx_err rc = io_table_write(path, &t);
    io_table_clear(&t);
    return rc;
}

/* ---- the page ---- */

static int64_t count_state(const ev_vertebrae *e, int method, ev_state state) {
    int64_t n = 0;
    for (int64_t i = 0; i < e->rows.n_sessions; i++)
        n += e->rows.session[i].item % e->n_methods == method &&
             e->rows.session[i].state == (int64_t)state;
    return n;
}

static double sum_column(const ev_vertebrae *e, int method, int column) {
    double sum = 0.0;
    for (int64_t i = 0; i < e->rows.n_sessions; i++) {
        const ev_session_row *r = &e->rows.session[i];
        if (r->item % e->n_methods == method && isfinite(r->value[column])) sum += r->value[column];
    }
    return sum;
}

static void print_counts(FILE *f, const ev_vertebrae *e) {
    static const int columns[] = {EVS_TRUTHS, EVS_PREDICTIONS,     EVS_DETECTED,
                                  EVS_MISSED, EVS_FALSE_POSITIVES, EVS_DUPLICATES,
                                  EVS_MERGES, EVS_SPLITS,          EVS_MISLABELLED};
    enum { N = sizeof columns / sizeof columns[0] };
    fprintf(f, "| method | sessions | missing | unusable | failed |");
    for (int c = 0; c < N; c++) {
        char *title = sx_strdup(ev_session_columns[columns[c]].name);
        for (char *at = title; (at = strchr(at, '_'));) *at = ' ';
        fprintf(f, " %s |", title);
        sx_free(title);
    }
    fprintf(f, "\n|---|---|---|---|---|");
    for (int c = 0; c < N; c++) fprintf(f, "---|");
    for (int m = 0; m < e->n_methods; m++) {
        fprintf(f, "\n| %s | %lld |", e->method[m].name, (long long)e->n_sessions);
        for (int s = EV_MISSING; s < EV_N_STATES; s++)
            fprintf(f, " %lld |", (long long)count_state(e, m, (ev_state)s));
        for (int c = 0; c < N; c++) fprintf(f, " %.0f |", sum_column(e, m, columns[c]));
    }
    fprintf(f, "\n");
}

static void print_cell(FILE *f, const ev_summary *s, int which) {
    const ev_estimate *y = estimate_of(s, which);
    if (y->n == 0) {
        fprintf(f, " – |");
        return;
    }
    fprintf(f, " %.4f", y->mean);
    if (y->n >= EV_LEAST_SUBJECTS)
        fprintf(f, " [%.4f, %.4f]", y->low, y->high);
    else
        fprintf(f, " (n too small)");
    if (which == DIFFERENCE && !isnan(s->p_holm)) fprintf(f, " p = %.4f", s->p_holm);
    fprintf(f, " |");
}

/* Whether a metric has a mean of this kind for any method. */
static bool is_shown(const ev_vertebrae *e, ev_summary (*summary)[EV_N_METRICS], int metric,
                     int which) {
    for (int m = 0; m < e->n_methods; m++)
        if (estimate_of(&summary[m][metric], which)->n > 0) return true;
    return false;
}

static void print_means(FILE *f, const ev_vertebrae *e, ev_summary (*summary)[EV_N_METRICS],
                        int which) {
    const int first = which == DIFFERENCE ? 1 : 0;
    if (first >= e->n_methods) return;
    fprintf(f, "\n## %s\n\n| method | subjects |", estimates[which].title);
    for (int k = 0; k < EV_N_METRICS; k++)
        if (is_shown(e, summary, k, which)) fprintf(f, " %s |", ev_metrics[k].title);
    fprintf(f, "\n|---|---|");
    for (int k = 0; k < EV_N_METRICS; k++)
        if (is_shown(e, summary, k, which)) fprintf(f, "---|");
    for (int m = first; m < e->n_methods; m++) {
        fprintf(f, "\n| %s%s%s | %lld |", e->method[m].name, first ? " − " : "",
                first ? e->method[0].name : "", (long long)estimate_of(&summary[m][0], which)->n);
        for (int k = 0; k < EV_N_METRICS; k++)
            if (is_shown(e, summary, k, which)) print_cell(f, &summary[m][k], which);
    }
    fprintf(f, "\n");
}

static void print_page(FILE *f, const ev_vertebrae *e, ev_summary (*summary)[EV_N_METRICS]) {
    fprintf(f, "# Vertebrae against the truth\n\n");
    print_counts(f, e);
    fprintf(
        f,
        "\nA missing or unusable prediction counts as an empty one. Intervals: 95 %%, bootstrap "
        "over subjects, %d resamples; from %d subjects on. p: sign flips of subjects, two-sided, "
        "adjusted by Holm for all tests of this page. The number of subjects is that of the "
        "first column.\n",
        EV_N_RESAMPLES, EV_LEAST_SUBJECTS);
    for (int i = 0; i < N_ESTIMATES; i++) print_means(f, e, summary, i);
    fprintf(f, "\nNeck by the %s number. %s%lld predicted masks without truth.\n",
            e->neck == SP_NECK_TRUE ? "true" : "predicted",
            e->box ? "Predictions cut by boxes around the truth. " : "", (long long)e->n_unclaimed);
}

static sx_err write_page(const ev_vertebrae *e, const char *path,
                         ev_summary (*summary)[EV_N_METRICS]) {
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *f = open_memstream(&text, &n_bytes);
    if (!f) return sx_fail(SX_E_NOMEM, "%s: no memory for the page", path);
    print_page(f, e, summary);
    const bool complete = fclose(f) == 0;
    const sx_err rc = complete ? sx_file_write(path, text, n_bytes)
                               : sx_fail(SX_E_NOMEM, "%s: no memory for the page", path);
    free(text);
    return rc;
}

sx_err ev_vertebrae_write(const ev_vertebrae *e, const char *out) {
    ev_summary(*summary)[EV_N_METRICS] = sx_alloc(e->n_methods, sizeof *summary);
    char *sessions = sx_strf("%s.tsv", out), *instances = sx_strf("%s_instances.tsv", out),
         *means = sx_strf("%s_summary.tsv", out), *page = sx_strf("%s.md", out);
    sx_err rc;
    ev_summarise(e, summary);
    SX_TRY(rc, write_sessions(e, sessions));
    SX_TRY(rc, write_instances(e, instances));
    SX_TRY(rc, write_summary(e, means, summary));
    rc = write_page(e, page, summary);
out:
    sx_free(summary);
    sx_free(sessions);
    sx_free(instances);
    sx_free(means);
    sx_free(page);
    return rc;
}

/* ---- JSON ---- */

static json_t *session_json(const ev_vertebrae *e, const ev_session_row *r) {
    const char *cell[3];
    put_place(e, r->item, cell);
    json_t *o = json_pack("{s:o, s:o, s:o, s:s}", "subject", job_json_string(cell[0]), "session",
                          job_json_string(cell[1]), "method", job_json_string(cell[2]), "state",
                          ev_state_name((ev_state)r->state));
    for (int v = 0; v < EVS_N; v++)
        json_object_set_new(o, ev_session_columns[v].name,
                            ev_session_columns[v].whole && isfinite(r->value[v])
                                ? json_integer((json_int_t)r->value[v])
                                : job_json_number(r->value[v]));
    return o;
}

static json_t *estimate_json(const ev_estimate *y) {
    const bool enough = y->n >= EV_LEAST_SUBJECTS;
    return json_pack("{s:I, s:o, s:o, s:o}", "subjects", (json_int_t)y->n, "mean",
                     job_json_number(y->mean), "low",
                     job_json_number(enough ? y->low : (double)NAN), "high",
                     job_json_number(enough ? y->high : (double)NAN));
}

static json_t *summary_json(const ev_summary *s) {
    json_t *o = json_object();
    for (int i = 0; i < N_ESTIMATES; i++) {
        if (estimate_of(s, i)->n == 0) continue;
        json_t *y = estimate_json(estimate_of(s, i));
        if (i == DIFFERENCE && !isnan(s->p)) {
            json_object_set_new(y, "p", json_real(s->p));
            json_object_set_new(y, "p_holm", json_real(s->p_holm));
        }
        json_object_set_new(o, estimates[i].name, y);
    }
    return o;
}

void ev_vertebrae_print(const ev_vertebrae *e) {
    ev_summary(*summary)[EV_N_METRICS] = sx_alloc(e->n_methods, sizeof *summary);
    json_t *sessions = json_array(), *means = json_array();
    ev_summarise(e, summary);
    for (int64_t i = 0; i < e->rows.n_sessions; i++)
        json_array_append_new(sessions, session_json(e, &e->rows.session[i]));
    for (int m = 0; m < e->n_methods; m++) {
        json_t *o = json_pack("{s:o}", "method", job_json_string(e->method[m].name));
        for (int k = 0; k < EV_N_METRICS; k++)
            json_object_set_new(o, ev_metrics[k].name, summary_json(&summary[m][k]));
        json_array_append_new(means, o);
    }
    job_json_print(json_pack("{s:o, s:o}", "sessions", sessions, "means", means),
                   JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    sx_free(summary);
}
