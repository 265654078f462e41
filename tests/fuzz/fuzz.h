/* Fuzzing of the readers of what users bring: one harness a reader, fed by libFuzzer (preset
 * `fuzz`) or by replay.c, file after file.
 *
 * A harness asserts more than "no crash": what was accepted must keep its promises (statistics of
 * voxels, a set that comes back when written, the same verdict for a file and its gzip). */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Give one input to the reader; always 0. libFuzzer chose the name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The input as a file called `name` (folders before it are made), written anew, in a folder of this
 * process that goes when it ends: in memory where the system has /dev/shm. New string (sx_free). */
char *fuzz_file(const char *name, const void *data, size_t n);

#endif
