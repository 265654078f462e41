/* What became of the items, as a table beside the outputs and as JSON (work_table.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/job/job_json.h"
#include "jobs/items/work_table.h"

enum { N_COLUMNS = 4 };
static const char *const header[N_COLUMNS] = {"item", "status", "reason", "seconds"};

typedef struct line {
    const char *cell[N_COLUMNS]; /* borrowed */
    char seconds[32];            /* of a line of this run */
    int weight;                  /* among lines of one item the greatest counts */
} line;

/* An item that this run did not come to keeps its older line, if it has one. */
enum { NOT_REACHED, OLDER, OF_THIS_RUN };

static int by_item(const void *a, const void *b) {
    const line *const *x = a, *const *y = b;
    const int order = strcmp((*x)->cell[0], (*y)->cell[0]);
    return order ? order : (*x)->weight - (*y)->weight;
}

/* The table of an earlier run, or an empty one. */
static void read_old(const char *path, io_table *old) {
    bool good =
        sx_file_exists(path) && io_table_read(path, old) == SX_OK && old->n_columns == N_COLUMNS;
    for (int i = 0; i < N_COLUMNS && good; i++) good = io_table_column(old, header[i]) == i;
    if (good) return;
    if (sx_file_exists(path)) sx_warn("%s: not a table of outcomes; it is replaced", path);
    io_table_clear(old);
    io_table_init(old, N_COLUMNS, header);
}

static void of_outcome(line *l, const char *name, const work_outcome *o) {
    const char *const cell[N_COLUMNS] = {name, work_state_name(o->state),
                                         *o->reason ? o->reason : "-", l->seconds};
    memcpy(l->cell, cell, sizeof cell);
    snprintf(l->seconds, sizeof l->seconds, "%.1f", o->seconds);
    l->weight = o->state == WORK_WAITING ? NOT_REACHED : OF_THIS_RUN;
}

static void of_row(line *l, const io_table *t, int64_t row) {
    for (int k = 0; k < N_COLUMNS; k++) l->cell[k] = io_table_at(t, row, k);
    l->weight = OLDER;
}

sx_err work_table_write(const char *path, const char *const *name, const work_outcome *o,
                        int64_t n) {
    io_table old = {0}, t = {0};
    read_old(path, &old);
    const int64_t n_lines = n + old.n_rows;
    line *all = SX_NEW_ARRAY(line, n_lines + 1);
    line **sorted = SX_NEW_ARRAY(line *, n_lines + 1);
    for (int64_t i = 0; i < n; i++) of_outcome(&all[i], name[i], &o[i]);
    for (int64_t i = 0; i < old.n_rows; i++) of_row(&all[n + i], &old, i);
    for (int64_t i = 0; i < n_lines; i++) sorted[i] = &all[i];
    if (n_lines > 0) qsort(sorted, (size_t)n_lines, sizeof *sorted, by_item);
    io_table_init(&t, N_COLUMNS, header);
    for (int64_t i = 0; i < n_lines; i++)
        if (i + 1 == n_lines || strcmp(sorted[i]->cell[0], sorted[i + 1]->cell[0]) != 0)
            io_table_add(&t, sorted[i]->cell);
    sx_err rc = io_table_write(path, &t);
    io_table_clear(&t);
    io_table_clear(&old);
    sx_free(sorted);
    sx_free(all);
    return rc;
}

void work_table_print(const char *const *name, const work_outcome *o, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(list,
                              json_pack("{s:o, s:s, s:o, s:f}", "item", job_json_string(name[i]),
                                        "status", work_state_name(o[i].state), "reason",
                                        job_json_string(o[i].reason), "seconds", o[i].seconds));
    job_json_print(list, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
}
