/* Weights in files: parameters under their PyTorch names and shapes, one block each.
 *
 * Two containers are read: sagax' own HDF5 (io/io_ckpt.h) with a JSON text that says which network
 * this is, and safetensors with the names of the published PyTorch state dicts. Not collective. */
#ifndef JOB_WEIGHTS_H
#define JOB_WEIGHTS_H

#include <jansson.h>
#include <stdbool.h>
#include "base/sx_err.h"
#include "io/io_cache.h"
#include "io/io_ckpt.h"
#include "io/io_tensors.h"
#include "jobs/job/job.h"
#include "model/net.h"

/* Names in safetensors may carry this prefix; then what has none is no weight. */
#define JOB_WEIGHTS_PREFIX "param/"

/* The weights file that a path means: weights.h5 of a run folder, else the path itself; new
 * (sx_free). */
char *job_weights_path(const char *path);

/* Fill `block` [p->block] from a file, or from weights.h5 of a run folder. Every parameter must be
 * there with its shape; what the file holds beside them is ignored.
 * Errors: SX_E_NOINPUT, SX_E_DATA (a parameter is missing, has another shape or values that are not
 * finite: its name). */
sx_err job_weights_read(const char *path, const nn_params *p, float *block);
/* The same from a set that was read from `path`. Errors: SX_E_DATA. */
sx_err job_weights_take(const char *path, const io_tensors *t, const nn_params *p, float *block);

/* The same for the network of a configuration: *block is new (sx_free), also after an error;
 * `sha256`: of the file. */
sx_err job_weights_load(const char *path, const net_config *c, const nn_kernels *k, float **block,
                        char sha256[65]);

/* Write the parameters of `block` as HDF5 with this JSON text, atomically; `gate` as in sx_file.h.
 * Errors: SX_E_CREATE, SX_E_IO, the gate's. */
sx_err job_weights_write(const char *path, const char *json, const nn_params *p, const float *block,
                         sx_file_gate *gate, void *user);

/* The architecture that names and shapes of a set belong to, NULL if none does. */
const char *job_weights_arch(const io_tensors *t);
/* What the shapes say of a size of this architecture ("model.window") as text, new (sx_free); NULL
 * if nothing. */
char *job_weights_size(const io_tensors *t, const char *arch, const char *key);

/* Whether a file is read as safetensors, by its name. */
bool job_weights_is_tensors(const char *file);
/* Parameter `name` in a set, with or without the prefix; borrowed, NULL if there is none. */
const io_tensor *job_weights_find(const io_tensors *t, const char *name);

/* What a training wrote about its weights, also where an export carries it on; new (json_decref),
 * NULL for files from elsewhere. Errors: SX_E_NOINPUT, SX_E_DATA. */
sx_err job_weights_about(const char *path, json_t **about);
/* What a weights file says about itself (architecture, sizes, prediction target, noise schedule,
 * pixel size, intensity mapping) becomes the default of those keys that the verb has: what the user
 * sets wins, but target and schedule of a diffusion network, if the file knows them, can only be
 * set to what it says. safetensors from elsewhere say it in plain metadata or by their shapes, and
 * otherwise count as predicting the noise under the linear schedule, as published weights do.
 * *about, unless about is NULL: as job_weights_about has it, without another look at the file.
 * Errors: SX_E_NOINPUT, SX_E_DATA, SX_E_CONFIG (a value that the key does not take, another target
 * or schedule set). */
sx_err job_weights_inherit(job *j, const char *path, json_t **about);
/* The same from a set that was read from `path`. */
sx_err job_weights_inherit_tensors(job *j, const char *path, const io_tensors *t);
/* The JSON text of weights.h5 for the network of this configuration, trained as `kind`
 * (train_kind.h): {"format", "step", "model": {…}, "diffusion": {…}, "degrade": {…}, "data":
 * {"hr_mm", "quantile"}, "train": {"kind", "subjects"}}; new (sx_free). Subjects are those of the
 * training split of `cache`, by a hash of their labels, since files of weights are passed on; NULL:
 * nobody knows. */
char *job_weights_describe(const job *j, const char *kind, int64_t step, double hr_mm,
                           double quantile, const io_cache *cache);
/* The names of the subjects that weights were trained on, from what they say of themselves (the
 * object of job_weights_about); new (sx_free), NULL when they do not say. */
char *job_weights_subjects(const json_t *about);
/* Whether a subject is one of them. */
bool job_weights_know(const char *subjects, const char *label);

#endif
