/* Memory: aligned blocks and strings.
 *
 * Blocks are 64-byte aligned and zeroed. Out of memory is reported (SX_E_NOMEM) by functions that
 * take sizes from files; `sx_alloc` aborts with a message for sizes that the program itself chose.
 */
#ifndef SX_MEM_H
#define SX_MEM_H

#include <stddef.h>
#include <stdint.h>
#include "base/sx_err.h"

/* New zeroed block of `count` items of `size` bytes, 64-byte aligned; aborts when memory is out or
 * the product overflows. Free with sx_free (takes NULL). */
void *sx_alloc(int64_t count, size_t size);
/* The same, but NULL when memory is out or the product overflows: for sizes read from files. */
void *sx_try_alloc(int64_t count, size_t size);
void sx_free(void *p);

/* Room for item number n (0, 1, … in turn) in an array that this function alone makes larger: the
 * block as it is, or a new one of twice the room into which the items have moved; aborts as above.
 * The room is the power of two that holds the items and needs no field of its own. */
void *sx_grow(void *block, int64_t n, size_t size);

#define SX_NEW(type) ((type *)sx_alloc(1, sizeof(type)))
#define SX_NEW_ARRAY(type, n) ((type *)sx_alloc((n), sizeof(type)))

/* Copy of a string, freed with sx_free; NULL for NULL. */
char *sx_strdup(const char *s);
/* printf into a new string, freed with sx_free. */
char *sx_strf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Peak resident set of this process in bytes (getrusage). */
int64_t sx_peak_rss_bytes(void);

#endif
