/* A slice cache small enough for tests of training. */
#ifndef TINY_CACHE_H
#define TINY_CACHE_H

#include "base/sx_err.h"

/* Write it with one process, without MPI: smooth random blobs; two volumes for training, one for
 * validation, one for testing; the last slice of each training volume is empty. */
sx_err tiny_cache_write(const char *path);

enum { TINY_TRAIN_SLICES = 16, TINY_TRAIN_EMPTY = 2, TINY_VAL_SLICES = 9 };

#endif
