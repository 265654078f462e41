/* Rows of items (ev_item_rows.h): a list for each item. Between ranks they travel as the items that
 * have any, each with its number and its count before its rows. */
#include "jobs/eval/ev_item_rows.h"

#include <string.h>
#include "base/sx_mem.h"

typedef struct rows {
    char *row; /* [n] of row_bytes */
    int64_t n;
} rows;

struct ev_item_rows {
    int64_t n;
    size_t row_bytes;
    rows *of; /* [n] */
};

typedef struct head {
    int64_t item, n;
} head;

ev_item_rows *ev_item_rows_new(int64_t n, size_t row_bytes) {
    ev_item_rows *t = SX_NEW(ev_item_rows);
    *t = (ev_item_rows){n, row_bytes, SX_NEW_ARRAY(rows, n + 1)};
    return t;
}

void ev_item_rows_free(ev_item_rows *t) {
    if (!t) return;
    for (int64_t i = 0; i < t->n; i++) sx_free(t->of[i].row);
    sx_free(t->of);
    sx_free(t);
}

void ev_item_rows_replace(ev_item_rows *t, int64_t i, const void *row, int64_t n) {
    rows *r = &t->of[i];
    sx_free(r->row);
    *r = (rows){n > 0 ? sx_alloc(n, t->row_bytes) : NULL, n};
    if (n > 0) memcpy(r->row, row, (size_t)n * t->row_bytes);
}

bool ev_item_rows_has(const ev_item_rows *t, int64_t i) {
    return t->of[i].n > 0;
}

/* ---- all ranks ---- */

/* Copy n bytes to to[at] on, where `to` is not NULL; returns where they end. */
static size_t put(char *to, size_t at, const void *from, size_t n) {
    if (to && n) memcpy(to + at, from, n);
    return at + n;
}

/* The items that count as this rank's, to `to`; NULL: to nowhere. Returns their bytes. */
static size_t pack(const ev_item_rows *t, int rank, const work_outcome *outcome, char *to) {
    size_t at = 0;
    for (int64_t i = 0; i < t->n; i++) {
        const head h = {i, t->of[i].n};
        if (h.n == 0 || outcome[i].rank != rank) continue;
        at = put(to, at, &h, sizeof h);
        at = put(to, at, t->of[i].row, (size_t)h.n * t->row_bytes);
    }
    return at;
}

/* Where the rows of each item lie in what all ranks packed; `of` [items], zeroed. */
static void unpack(const ev_item_rows *t, char *all, size_t n_bytes, rows *of) {
    for (size_t at = 0; at < n_bytes;) {
        head h;
        memcpy(&h, all + at, sizeof h);
        of[h.item] = (rows){all + at + sizeof h, h.n};
        at += sizeof h + (size_t)h.n * t->row_bytes;
    }
}

void *ev_item_rows_gather(const ev_item_rows *t, mp_comm *c, const work_outcome *outcome,
                          int64_t *n) {
    const size_t n_mine = pack(t, mp_rank(c), outcome, NULL);
    char *mine = SX_NEW_ARRAY(char, (int64_t)n_mine + 1);
    rows *of = SX_NEW_ARRAY(rows, t->n + 1);
    void *all = NULL;
    size_t n_all = 0, at = 0;
    pack(t, mp_rank(c), outcome, mine);
    mp_allgather(c, mine, n_mine, &all, &n_all);
    unpack(t, all, n_all, of);
    *n = 0;
    for (int64_t i = 0; i < t->n; i++) *n += of[i].n;
    char *list = sx_alloc(*n + 1, t->row_bytes);
    for (int64_t i = 0; i < t->n; i++)
        at = put(list, at, of[i].row, (size_t)of[i].n * t->row_bytes);
    sx_free(all);
    sx_free(of);
    sx_free(mine);
    return list;
}
