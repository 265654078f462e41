/* Super-resolution of axial scans: the parts of the verb `sr`, one file each.
 *
 *   sr_config   options, weights, and what of them decides about an output (its hash)
 *   sr_record   names of outputs, sidecars, and whether an output is still what it should be
 *   sr_sample   one volume through the network, slices shared over ranks
 *   cmd_sr      the cohort: which items, by whom, the table of outcomes
 * Volumes are those of sr_volume.h. Random numbers are keyed by seed, sample and subject only, so
 * that outputs have the same bytes on any number of ranks. */
#ifndef SR_H
#define SR_H

#include "degrade/dg_operator.h"
#include "io/io_bids.h"
#include "jobs/job.h"
#include "jobs/sr_volume.h"
#include "model/df_diffusion.h"
#include "model/net.h"

/* ---- configuration ---- */

typedef struct sr_config {
    mp_comm *comm;
    const char *input, *out; /* borrowed from the job */
    io_read_opt read;
    io_dtype dtype;
    double hr_mm, quantile;
    double thickness_mm; /* of the slices; 0: sidecar, else spacing */
    int steps, samples;
    uint64_t seed;
    bool project, skip_empty, noise_by_item, force;
    net_config net;
    df_schedule schedule;
    const nn_kernels *kernels;
    float *params; /* block of the network */
    char weights_sha256[65];
    char *values;  /* JSON of all that decides about an output's bytes; sorted keys */
    char hash[65]; /* SHA-256 of `values` */
} sr_config;

extern const job_option options_sr[];

/* Read configuration and weights; what the weights file says about its network, diffusion and data
 * becomes the default of those keys. Errors: SX_E_USAGE (no weights given), SX_E_CONFIG, those of
 * job_weights_read. Not collective. */
sx_err sr_config_read(sr_config *c, job *j);
void sr_config_clear(sr_config *c);

/* ---- outputs ---- */

/* What an output shows: sample number 1.., or over all samples: */
enum { SR_MEAN = 0, SR_SD = -1 };

/* Path below the output folder of one output (".nii.gz"), BIDS derivative name; new (sx_free). */
char *sr_output_name(const io_item *item, int what, int samples);

/* All outputs of an item: the samples, and with more than one mean and spread. Returns how many;
 * `what` holds up to samples + 2 entries. */
int sr_outputs(int samples, int *what);

/* What is recorded beside the voxels. Plain data. */
typedef struct sr_record {
    char source_sha256[65];
    im_mapping mapping;
    double spacing_mm, thickness_mm;
    const char *thickness_from; /* "sidecar", "spacing", "configuration" */
    double residual;            /* RMS of A x - y, as a share of the intensity range */
    double residual_cubic;      /* the same for the cubic interpolation */
} sr_record;

/* "" when every output of the item is there and was made from this input, these weights and this
 * configuration, and has the bytes it was written with; else why it must be made. `why` has room
 * for 128. Errors: SX_E_NOINPUT, SX_E_IO (the input cannot be read). */
sx_err sr_reason(const sr_config *c, const io_item *item, char *why);

/* Write one output and its sidecar, atomically. Errors: SX_E_CREATE, SX_E_IO. */
sx_err sr_write(const sr_config *c, const io_item *item, int what, const im_volume *v,
                const sr_record *r);
/* Remove what a killed run left of this item's outputs half-written. */
void sr_sweep(const sr_config *c, const io_item *item);

/* ---- sampling ---- */

/* Network of the size last asked for, and room for one slice. */
typedef struct sr_engine {
    const sr_config *c;
    net *net;
    int h, w; /* of the padded slice */
    float *lr, *x, *scratch, *measured;
    int64_t room, measured_room;
} sr_engine;
void sr_engine_clear(sr_engine *e);

/* Key of the noise of an item. */
uint64_t sr_noise_key(const sr_config *c, const io_item *item);

/* One sample: out [voxels of v->cubic], 0..1, on rank 0 of `share`. Slices are dealt to the ranks
 * of `share`; collective over it. `step` is told how many slices are done on this rank. Errors:
 * SX_E_AGAIN (asked to stop), SX_E_NOMEM; the same on all ranks. */
typedef void sr_step(void *user, int64_t slices_done);
sx_err sr_sample(sr_engine *e, mp_comm *share, const sr_volume *v, const dg_operator *op,
                 uint64_t noise_key, int sample, float *out, sr_step *step, void *user);

/* RMS of A x - y over a volume in 0..1. */
double sr_residual(const dg_operator *op, const sr_volume *v, const float *x);

#endif
