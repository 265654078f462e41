/* Rows of the items of a work (jobs/items/work.h) while it runs. An item may be made more than
 * once, by one rank or by several, as when its lease went from one to another: its rows are there
 * once all the same. Rows are plain data without pointers, which ranks exchange as bytes. */
#ifndef EV_ITEM_ROWS_H
#define EV_ITEM_ROWS_H

#include "jobs/items/work.h"

typedef struct ev_item_rows ev_item_rows;

/* For the rows, of row_bytes each, of n items; new. */
ev_item_rows *ev_item_rows_new(int64_t n, size_t row_bytes);
void ev_item_rows_free(ev_item_rows *t); /* takes NULL */

/* row [n] are the rows of item i, in place of those that it had; copied. */
void ev_item_rows_replace(ev_item_rows *t, int64_t i, const void *row, int64_t n);
bool ev_item_rows_has(const ev_item_rows *t, int64_t i);

/* All ranks' rows, by item and then as they were given; *n of them, new (sx_free), the same on all
 * ranks. outcome [items] of work_outcomes: an item's rows are those of the rank that it names.
 * Collective. */
void *ev_item_rows_gather(const ev_item_rows *t, mp_comm *c, const work_outcome *outcome,
                          int64_t *n);

#endif
