/* What became of the items of a cohort, as a table beside the outputs and as JSON. Not collective.
 */
#ifndef WORK_TABLE_H
#define WORK_TABLE_H

#include "jobs/items/work.h"

/* Write item, status, reason, seconds, by name of item. Lines of an older table about items that
 * this run did not see or was not to make stay. Errors: SX_E_CREATE, SX_E_IO. */
sx_err work_table_write(const char *path, const char *const *name, const work_outcome *o,
                        int64_t n);
/* The outcomes of this run as JSON on stdout: [{"item", "status", "reason", "seconds"}]. */
void work_table_print(const char *const *name, const work_outcome *o, int64_t n);

#endif
