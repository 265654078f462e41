/* The table of a study: the paper's columns, ours with intervals beside what was published.
 *
 * Reads the summary that the step `scores` wrote (STUDY/scores_summary.tsv), so that the table can
 * hold nothing that was not measured; a row of which nothing was measured says so. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/ablate/ablate.h"
#include "jobs/eval/ev_stat.h"

static const struct figure {
    const char *metric, *title, *tex; /* metric: as in scores_summary.tsv */
} figures[ABLATE_N_FIGURES] = {
    {"dtr", "detection", "dtr $\\uparrow$"},
    {"b0_error", "b0 error", "$b_0$ er $\\downarrow$"},
    {"b1_error", "b1 error", "$b_1$ er $\\downarrow$"},
    {"axial_dice", "axial Dice", "Dice $\\uparrow$"},
};

typedef struct cell {
    ev_estimate mean, difference; /* difference: to the row that others are compared with */
    double p_holm;
} cell;

/* ---- from the summary ---- */

static double number_at(const io_table *t, int64_t row, const char *column) {
    const int c = io_table_column(t, column);
    char *end = NULL;
    if (c < 0) return (double)NAN;
    const char *text = io_table_at(t, row, c);
    const double x = strtod(text, &end);
    return end == text ? (double)NAN : x;
}

static ev_estimate estimate_at(const io_table *t, int64_t row) {
    const double n = number_at(t, row, "subjects");
    return (ev_estimate){.n = isfinite(n) ? (int64_t)n : 0,
                         .mean = number_at(t, row, "mean"),
                         .low = number_at(t, row, "low"),
                         .high = number_at(t, row, "high")};
}

static int64_t find(const io_table *t, const char *method, const char *metric, const char *kind) {
    const int m = io_table_column(t, "method"), k = io_table_column(t, "metric"),
              w = io_table_column(t, "kind");
    for (int64_t i = 0; i < t->n_rows; i++)
        if (strcmp(io_table_at(t, i, m), method) == 0 &&
            strcmp(io_table_at(t, i, k), metric) == 0 && strcmp(io_table_at(t, i, w), kind) == 0)
            return i;
    return -1;
}

static cell cell_of(const io_table *t, const char *method, const char *metric) {
    const ev_estimate none = {0, (double)NAN, (double)NAN, (double)NAN};
    const int64_t macro = find(t, method, metric, "macro"),
                  difference = find(t, method, metric, "difference");
    return (cell){.mean = macro < 0 ? none : estimate_at(t, macro),
                  .difference = difference < 0 ? none : estimate_at(t, difference),
                  .p_holm = difference < 0 ? (double)NAN : number_at(t, difference, "p_holm")};
}

/* cells [plan.n][ABLATE_N_FIGURES] is filled. */
static sx_err read_cells(const ablate_study *s, cell (*cells)[ABLATE_N_FIGURES]) {
    static const char *const needed[] = {"method", "metric", "kind"};
    char *path = sx_path_join(s->out, "scores_summary.tsv");
    io_table t = {0};
    sx_err rc = io_table_read(path, &t);
    for (size_t i = 0; i < sizeof needed / sizeof *needed && rc == SX_OK; i++)
        if (io_table_column(&t, needed[i]) < 0)
            rc = sx_fail(SX_E_DATA, "%s: has no column %s", path, needed[i]);
    for (int r = 0; r < s->plan.n && rc == SX_OK; r++)
        for (int f = 0; f < ABLATE_N_FIGURES; f++)
            cells[r][f] = cell_of(&t, s->plan.row[r].name, figures[f].metric);
    io_table_clear(&t);
    sx_free(path);
    return rc;
}

/* ---- Markdown and LaTeX ---- */

/* What differs between the two: how cells begin, are parted and end, and how an interval reads. */
typedef struct style {
    const char *first, *between, *last, *interval;
    bool tex;
} style;
static const style markdown = {"| ", " | ", " |\n", " [%.3f, %.3f]", false};
static const style latex = {"", " & ", " \\\\\n", " {\\scriptsize [%.3f, %.3f]}", true};

static void put_estimate(FILE *f, const style *y, const ev_estimate *e) {
    if (!isfinite(e->mean)) {
        fputs("–", f);
        return;
    }
    fprintf(f, "%.3f", e->mean);
    if (isfinite(e->low)) fprintf(f, y->interval, e->low, e->high);
}

static void put_name(FILE *f, const style *y, const char *name) {
    for (; *name; name++) {
        if (y->tex && *name == '_') fputc('\\', f);
        fputc(*name, f);
    }
}

static void put_row(FILE *f, const style *y, const ablate_row *r, const cell *c) {
    fputs(y->first, f);
    put_name(f, y, r->name);
    for (int i = 0; i < ABLATE_N_FIGURES; i++) {
        fputs(y->between, f);
        put_estimate(f, y, &c[i].mean);
    }
    for (int i = 0; i < ABLATE_N_FIGURES; i++) {
        fputs(y->between, f);
        if (isfinite(r->paper[i]))
            fprintf(f, "%.3f", r->paper[i]);
        else
            fputs("–", f);
    }
    fputs(y->last, f);
}

/* Below the head of a table: a name and two columns a figure. */
static void put_rule(FILE *f) {
    fputs("\n|---|", f);
    for (int i = 0; i < 2 * ABLATE_N_FIGURES; i++) fputs("---|", f);
    fputc('\n', f);
}

static void put_markdown(FILE *f, const ablate_study *s, cell (*cells)[ABLATE_N_FIGURES]) {
    const ablate_plan *p = &s->plan;
    fprintf(f,
            "# %s\n\nMeans over sessions, 95 %% intervals over subjects (none below %d "
            "subjects); beside them what was published (Graf et al., MIDL 2024).\n\n| row |",
            p->title, EV_LEAST_SUBJECTS);
    for (int i = 0; i < ABLATE_N_FIGURES; i++) fprintf(f, " %s |", figures[i].title);
    for (int i = 0; i < ABLATE_N_FIGURES; i++) fprintf(f, " %s, published |", figures[i].title);
    put_rule(f);
    for (int r = 0; r < p->n; r++) put_row(f, &markdown, &p->row[r], cells[r]);
    fprintf(f,
            "\nDifferences to %s, paired by session; p of a sign-flip test over subjects, "
            "adjusted by Holm for all tests of the study.\n\n| row |",
            p->against);
    for (int i = 0; i < ABLATE_N_FIGURES; i++) fprintf(f, " %s | p |", figures[i].title);
    put_rule(f);
    for (int r = 0; r < p->n; r++) {
        if (strcmp(p->row[r].name, p->against) == 0) continue;
        fprintf(f, "| %s", p->row[r].name);
        for (int i = 0; i < ABLATE_N_FIGURES; i++) {
            fputs(" | ", f);
            put_estimate(f, &markdown, &cells[r][i].difference);
            if (isfinite(cells[r][i].p_holm))
                fprintf(f, " | %.4f", cells[r][i].p_holm);
            else
                fputs(" | –", f);
        }
        fputs(" |\n", f);
    }
    for (int r = 0; r < p->n; r++) ablate_row_remarks(s, r, f);
}

static void put_latex(FILE *f, const ablate_study *s, cell (*cells)[ABLATE_N_FIGURES]) {
    const ablate_plan *p = &s->plan;
    fputs("\\begin{tabular}{lcccccccc}\n\\hline\n & \\multicolumn{4}{c}{measured} & "
          "\\multicolumn{4}{c}{Graf et al.\\ 2024} \\\\\n",
          f);
    for (int i = 0; i < 2 * ABLATE_N_FIGURES; i++)
        fprintf(f, " & %s", figures[i % ABLATE_N_FIGURES].tex);
    fputs(" \\\\\n\\hline\n", f);
    for (int r = 0; r < p->n; r++) put_row(f, &latex, &p->row[r], cells[r]);
    fputs("\\hline\n\\end{tabular}\n", f);
}

static sx_err write_text(const ablate_study *s, const char *name,
                         void (*put)(FILE *f, const ablate_study *s,
                                     cell (*cells)[ABLATE_N_FIGURES]),
                         cell (*cells)[ABLATE_N_FIGURES]) {
    char *path = sx_path_join(s->out, name), *text = NULL;
    size_t n_bytes = 0;
    FILE *f = open_memstream(&text, &n_bytes);
    SX_ASSERT(f);
    put(f, s, cells);
    fclose(f);
    sx_err rc = sx_file_write(path, text, n_bytes);
    free(text);
    sx_free(path);
    return rc;
}

/* ---- TSV ---- */

static void number_text(char text[32], double x) {
    if (isfinite(x))
        snprintf(text, 32, "%.6f", x);
    else
        snprintf(text, 32, "n/a");
}

static sx_err write_tsv(const ablate_study *s, cell (*cells)[ABLATE_N_FIGURES]) {
    static const char *const header[] = {
        "row",        "metric",         "subjects",        "mean",   "low",       "high",
        "difference", "difference_low", "difference_high", "p_holm", "published", "settings"};
    enum { N = sizeof header / sizeof *header, N_NUMBERS = 8 };
    char *path = sx_path_join(s->out, "table.tsv");
    io_table t = {0};
    io_table_init(&t, N, header);
    for (int r = 0; r < s->plan.n; r++)
        for (int i = 0; i < ABLATE_N_FIGURES; i++) {
            const cell *c = &cells[r][i];
            const double x[N_NUMBERS] = {
                c->mean.mean,      c->mean.low,        c->mean.high, c->difference.mean,
                c->difference.low, c->difference.high, c->p_holm,    s->plan.row[r].paper[i]};
            char n_subjects[32], text[N_NUMBERS][32];
            const char *line[N] = {s->plan.row[r].name, figures[i].metric, n_subjects};
            snprintf(n_subjects, sizeof n_subjects, "%lld", (long long)c->mean.n);
            for (int k = 0; k < N_NUMBERS; k++) {
                number_text(text[k], x[k]);
                line[3 + k] = text[k];
            }
            line[N - 1] = s->plan.row[r].settings;
            io_table_add(&t, line);
        }
    sx_err rc = io_table_write(path, &t);
    io_table_clear(&t);
    sx_free(path);
    return rc;
}

sx_err ablate_table(const ablate_study *s) {
    cell(*cells)[ABLATE_N_FIGURES] = sx_alloc(s->plan.n, sizeof *cells);
    sx_err rc;
    SX_TRY(rc, read_cells(s, cells));
    SX_TRY(rc, write_tsv(s, cells));
    SX_TRY(rc, write_text(s, "table.md", put_markdown, cells));
    SX_TRY(rc, write_text(s, "table.tex", put_latex, cells));
    sx_info("%s/table.md, table.tsv, table.tex: %d rows", s->out, s->plan.n);
out:
    sx_free(cells);
    return rc;
}
