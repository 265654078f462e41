/* Weights in files: parameters under their PyTorch names and shapes, one block each.
 *
 * Two containers are read: sagax' own HDF5 (io/io_ckpt.h) with a JSON text that says which network
 * this is, and safetensors with the names of the published PyTorch state dicts. Not collective. */
#ifndef JOB_WEIGHTS_H
#define JOB_WEIGHTS_H

#include "base/sx_err.h"
#include "io/io_tensors.h"
#include "model/nn_params.h"

/* Names in safetensors may carry this prefix; then what has none is no weight. */
#define JOB_WEIGHTS_PREFIX "param/"

/* The weights file that a path means: weights.h5 of a run folder, else the path itself; new
 * (sx_free). */
char *job_weights_path(const char *path);

/* Fill `block` [p->block] from a file, or from weights.h5 of a run folder. Every parameter must be
 * there with its shape; what the file holds beside them is ignored.
 * Errors: SX_E_NOINPUT, SX_E_DATA (a parameter is missing or has another shape: its name). */
sx_err job_weights_read(const char *path, const nn_params *p, float *block);
/* The same from a set that was read from `path`. Errors: SX_E_DATA. */
sx_err job_weights_take(const char *path, const io_tensors *t, const nn_params *p, float *block);

/* Write the parameters of `block` as HDF5 with this JSON text, atomically.
 * Errors: SX_E_CREATE, SX_E_IO. */
sx_err job_weights_write(const char *path, const char *json, const nn_params *p,
                         const float *block);

/* The JSON text of an HDF5 weights file or of weights.h5 in a run folder; new (sx_free); NULL text
 * for safetensors. Errors: SX_E_NOINPUT, SX_E_DATA. */
sx_err job_weights_json(const char *path, char **json);

#endif
