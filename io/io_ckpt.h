/* Checkpoints and weights in HDF5: named blocks of floats and one JSON text.
 *
 * Atomic (tmp, fsync, rename), Fletcher-32 on every dataset, format of HDF5 1.10, and a SHA-256
 * over names and contents in the attribute `digest`, checked on load. Written by one rank; read by
 * any. Not collective. */
#ifndef IO_CKPT_H
#define IO_CKPT_H

#include <stdint.h>
#include "base/sx_err.h"
#include "base/sx_file.h"

typedef struct io_block {
    const char *name; /* "param", "adam_m", or a parameter's name ("a/b" makes groups) */
    int rank;
    int64_t shape[4];
    float *data; /* borrowed on write; new on read (sx_free) */
    /* On write, in place of data: block `index` by a function, so that not all have to be in
     * memory; valid until its next call, which gives the same values for the same index. */
    const float *(*make)(void *maker, int index);
    void *maker;
    int index;
} io_block;

/* Errors: SX_E_CREATE, SX_E_IO. */
sx_err io_ckpt_write(const char *path, const char *json, const io_block *blocks, int n);

/* io_ckpt_write with a gate; NULL: none. */
sx_err io_ckpt_write_if(const char *path, const char *json, const io_block *blocks, int n,
                        sx_file_gate *gate, void *user);

typedef struct io_ckpt {
    char *json;
    io_block *block;
    int n;
    char digest[65];
} io_ckpt;
/* Errors: SX_E_NOINPUT, SX_E_DATA (not a checkpoint, damaged: says what), SX_E_CONFIG (of another
 * version), SX_E_IO, SX_E_NOMEM. */
sx_err io_ckpt_read(const char *path, io_ckpt *k);
/* Its JSON alone, new (sx_free), not checked against the digest. Errors: as io_ckpt_read. */
sx_err io_ckpt_read_json(const char *path, char **json);
const io_block *io_ckpt_find(const io_ckpt *k, const char *name);
void io_ckpt_clear(io_ckpt *k);

#endif
