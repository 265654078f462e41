/* safetensors: named arrays in one file (format: 8 bytes little-endian header length, JSON header,
 * data). Reading is strict: header length against file size, offsets contiguous and inside, known
 * dtypes, shapes that match. float32 and int64 are the types sagax uses; F16, BF16 and F64 become
 * float32, shorter integers and BOOL int64. Items of a set that was read are in the order of their
 * data. Writing is atomic and byte-stable (64-bit tensors first, then names sorted). Not
 * collective. */
#ifndef IO_TENSORS_H
#define IO_TENSORS_H

#include <stdint.h>
#include "base/sx_err.h"

typedef struct io_tensor {
    char name[128];
    int rank;
    int64_t shape[8];
    int64_t count;
    float *f32; /* one of the two is not NULL; owned by the set */
    int64_t *i64;
} io_tensor;

typedef struct io_tensors {
    io_tensor *item;
    int n;
    struct {
        char *key, *value;
    } * meta; /* __metadata__ */
    int n_meta;
} io_tensors;

/* Errors: SX_E_NOINPUT, SX_E_DATA, SX_E_NOMEM, SX_E_IO. */
sx_err io_tensors_read(const char *path, io_tensors *t);
void io_tensors_clear(io_tensors *t);
/* Borrowed; NULL if absent. */
const io_tensor *io_tensors_find(const io_tensors *t, const char *name);
const char *io_tensors_meta(const io_tensors *t, const char *key);

/* Building a set to write: copies the values. */
void io_tensors_add_f32(io_tensors *t, const char *name, int rank, const int64_t *shape,
                        const float *x);
void io_tensors_add_i64(io_tensors *t, const char *name, int rank, const int64_t *shape,
                        const int64_t *x);
void io_tensors_add_meta(io_tensors *t, const char *key, const char *value);
/* Errors: SX_E_CREATE, SX_E_IO, SX_E_DATA (a name or metadata that is not UTF-8). */
sx_err io_tensors_write(const char *path, const io_tensors *t);

#endif
