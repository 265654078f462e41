/* TSV: one header line, equal numbers of cells in all lines, tab and newline never inside a cell.
 */
#include "io/io_table.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"

#define FILE_LIMIT ((size_t)1 << 30) /* bytes */

static char **row_of(const io_table *t, int64_t line) {
    return t->cell + line * t->n_columns;
}

/* Room for one more line (header or row). */
static char **new_row(io_table *t) {
    int64_t lines = t->cell ? 1 + t->n_rows : 0;
    t->cell = sx_grow(t->cell, lines, (size_t)t->n_columns * sizeof *t->cell);
    if (lines) t->n_rows++;
    return row_of(t, lines);
}

static int count_tabs(const char *s) {
    int n = 0;
    for (; *s; s++) n += *s == '\t';
    return n;
}

/* Take one line apart; the line is changed. */
static void add_line(io_table *t, char *line) {
    char **cell = new_row(t);
    for (int c = 0; c < t->n_columns; c++) {
        char *end = strchr(line, '\t');
        if (end) *end = 0;
        cell[c] = sx_strdup(line);
        line = end ? end + 1 : line;
    }
}

static void chomp(char *line) {
    size_t n = strlen(line);
    if (n && line[n - 1] == '\r') line[n - 1] = 0;
}

/* A byte order mark, as spreadsheets write it, is no part of the first name. */
static char *skip_bom(char *text) {
    return strncmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text;
}

sx_err io_table_read(const char *path, io_table *t) {
    sx_err rc = SX_OK;
    char *text = NULL;
    size_t n_bytes;
    *t = (io_table){0};
    SX_TRY(rc, sx_file_read(path, FILE_LIMIT, &text, &n_bytes));
    if (strlen(text) != n_bytes) {
        rc = sx_fail(SX_E_DATA, "%s: byte %zu is zero: no text", path, strlen(text));
        goto out;
    }
    int64_t number = 1;
    for (char *line = skip_bom(text); *line; number++) {
        char *end = strchr(line, '\n'), *next = end ? end + 1 : line + strlen(line);
        if (end) *end = 0;
        chomp(line);
        if (t->cell && !*line && !next[strspn(next, "\r\n")]) break; // blank to the end
        int n = 1 + count_tabs(line);
        if (!t->cell) t->n_columns = n;
        if (n != t->n_columns) {
            rc = sx_fail(SX_E_DATA, "%s:%" PRId64 ": %d cells, the header has %d", path, number, n,
                         t->n_columns);
            goto out;
        }
        add_line(t, line);
        line = next;
    }
    if (!t->cell) rc = sx_fail(SX_E_DATA, "%s: no header line", path);
out:
    sx_free(text);
    if (rc != SX_OK) io_table_clear(t);
    return rc;
}

void io_table_clear(io_table *t) {
    int64_t n = t->cell ? (1 + t->n_rows) * t->n_columns : 0;
    for (int64_t i = 0; i < n; i++) sx_free(t->cell[i]);
    sx_free(t->cell);
    *t = (io_table){0};
}

int io_table_column(const io_table *t, const char *name) {
    for (int c = 0; c < t->n_columns; c++)
        if (strcmp(t->cell[c], name) == 0) return c;
    return -1;
}

const char *io_table_at(const io_table *t, int64_t row, int column) {
    SX_ASSERT(row >= 0 && row < t->n_rows && column >= 0 && column < t->n_columns);
    return row_of(t, 1 + row)[column];
}

/* ---- building ---- */

static void copy_cells(io_table *t, const char *const *cells) {
    char **row = new_row(t);
    for (int c = 0; c < t->n_columns; c++) {
        row[c] = sx_strdup(cells[c]);
        for (char *p = row[c]; (p = strpbrk(p, "\t\r\n")) != NULL;) *p = ' ';
    }
}

void io_table_init(io_table *t, int n_columns, const char *const *header) {
    SX_ASSERT(n_columns > 0);
    *t = (io_table){.n_columns = n_columns};
    copy_cells(t, header);
}

void io_table_add(io_table *t, const char *const *cells) {
    copy_cells(t, cells);
}

sx_err io_table_write(const char *path, const io_table *t) {
    const int64_t n = (1 + t->n_rows) * t->n_columns;
    size_t n_bytes = 0;
    for (int64_t i = 0; i < n; i++) n_bytes += strlen(t->cell[i]) + 1;
    char *text = sx_alloc((int64_t)n_bytes + 1, 1), *at = text;
    for (int64_t i = 0; i < n; i++)
        at += sprintf(at, "%s%c", t->cell[i], (i + 1) % t->n_columns ? '\t' : '\n');
    sx_err rc = sx_file_write(path, text, n_bytes);
    sx_free(text);
    return rc;
}
