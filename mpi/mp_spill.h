/* Shared inside mpi/ only: vectors that wait in a file and not in memory.
 *
 * The file lies in TMPDIR, has its full size from the start, and is gone with the process, however
 * that ends. After the first failure nothing is written or read any more: what was to be added is
 * NaN from mp__spill_check on, so that nothing wrong gets into a sum unseen. Not collective; ranges
 * of one vector may be written, added and checked by several threads at a time. */
#ifndef MP_SPILL_H
#define MP_SPILL_H

#include <stdint.h>
#include "base/sx_err.h"

typedef struct mp__spill mp__spill;

/* Room for `vectors` of n floats. Errors: those of sx_file_scratch. */
sx_err mp__spill_new(mp__spill **s, int vectors, int64_t n);
void mp__spill_free(mp__spill *s); /* takes NULL */
/* Elements at .. at + n - 1 of vector i become from[0 .. n-1]. */
void mp__spill_write(mp__spill *s, int i, int64_t at, const float *from, int64_t n);
/* to[0 .. n-1] += elements at .. at + n - 1 of vector i. */
void mp__spill_add(mp__spill *s, int i, int64_t at, float *to, int64_t n);
/* After additions to to[0 .. n-1], before anybody uses them: after a failure they become NaN; also
 * where the disk failed behind a write, and what was read is only what had been there before. */
void mp__spill_check(mp__spill *s, float *to, int64_t n);
/* SX_E_IO after a failure. */
sx_err mp__spill_sound(const mp__spill *s);

#endif
