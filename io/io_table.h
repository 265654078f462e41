/* TSV tables: strict reading, atomic writing; cells are strings; a tab or line end in a cell
 * becomes a space when it is added. Blank lines at the end are no rows. Not collective. */
#ifndef IO_TABLE_H
#define IO_TABLE_H

#include <stdint.h>
#include "base/sx_err.h"

typedef struct io_table {
    int n_columns;
    int64_t n_rows;
    char **cell; /* [1 + n_rows][n_columns], row 0 is the header; owned */
} io_table;

/* Errors: SX_E_NOINPUT, SX_E_DATA (ragged line: its number), SX_E_IO. */
sx_err io_table_read(const char *path, io_table *t);
void io_table_clear(io_table *t);
int io_table_column(const io_table *t, const char *name);            /* or -1 */
const char *io_table_at(const io_table *t, int64_t row, int column); /* row 0 = first data row */

/* Building: header first, then rows. */
void io_table_init(io_table *t, int n_columns, const char *const *header);
void io_table_add(io_table *t, const char *const *cells);
sx_err io_table_write(const char *path, const io_table *t);

#endif
