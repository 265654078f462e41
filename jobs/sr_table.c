/* What became of the items, as a table beside the outputs and as JSON (sr.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/job_json.h"
#include "jobs/sr.h"

const char *sr_state_name(sr_state s) {
    static const char *const names[] = {"waiting", "made", "unchanged", "failed", "stopped"};
    return names[s];
}

enum { N_COLUMNS = 4 };
static const char *const header[N_COLUMNS] = {"item", "status", "reason", "seconds"};

typedef struct line {
    const char *cell[N_COLUMNS]; /* borrowed */
    char seconds[32];            /* of a line of this run */
} line;

static int by_item(const void *a, const void *b) {
    const line *const *x = a, *const *y = b;
    return strcmp((*x)->cell[0], (*y)->cell[0]);
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

static line of_outcome(const io_items *items, const sr_outcome *o) {
    line l = {{items->item[o->item].rel, sr_state_name(o->state), *o->reason ? o->reason : "-"},
              ""};
    snprintf(l.seconds, sizeof l.seconds, "%.1f", o->seconds);
    return l;
}

/* One table of both: a line of this run replaces the older one of the same item. */
sx_err sr_table_write(const char *out, const io_items *items, const sr_outcome *o) {
    char *path = sx_path_join(out, "sagax-sr.tsv");
    io_table old = {0}, t = {0};
    read_old(path, &old);
    line *all = SX_NEW_ARRAY(line, items->n + old.n_rows + 1);
    line **sorted = SX_NEW_ARRAY(line *, items->n + old.n_rows + 1);
    int64_t n = 0;
    for (; n < items->n; n++) {
        all[n] = of_outcome(items, &o[n]);
        all[n].cell[3] = all[n].seconds;
        sorted[n] = &all[n];
    }
    qsort(sorted, (size_t)n, sizeof *sorted, by_item);
    for (int64_t i = 0; i < old.n_rows; i++) {
        line *l = &all[n];
        for (int k = 0; k < N_COLUMNS; k++) l->cell[k] = io_table_at(&old, i, k);
        if (bsearch(&l, sorted, (size_t)items->n, sizeof *sorted, by_item)) continue;
        sorted[n++] = l;
    }
    qsort(sorted, (size_t)n, sizeof *sorted, by_item);
    io_table_init(&t, N_COLUMNS, header);
    for (int64_t i = 0; i < n; i++) io_table_add(&t, sorted[i]->cell);
    sx_err rc = io_table_write(path, &t);
    io_table_clear(&t);
    io_table_clear(&old);
    sx_free(sorted);
    sx_free(all);
    sx_free(path);
    return rc;
}

void sr_table_print(const io_items *items, const sr_outcome *o) {
    json_t *list = json_array();
    for (int64_t i = 0; i < items->n; i++)
        json_array_append_new(
            list, json_pack("{s:o, s:s, s:o, s:f}", "item", job_json_string(items->item[i].rel),
                            "status", sr_state_name(o[i].state), "reason",
                            job_json_string(o[i].reason), "seconds", o[i].seconds));
    job_json_print(list, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
}
