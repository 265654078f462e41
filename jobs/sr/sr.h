/* Super-resolution of axial scans: the parts of the verb `sr`, one file each.
 *
 *   sr_config   options, weights, and what of them decides about an output (its hash)
 *   sr_items    which scans
 *   sr_check    whether a scan is one for this network and configuration
 *   sr_names    names of outputs, and what must not stay under them
 *   sr_record   outputs and sidecars, and whether an output is still what it should be
 *   sr_sample   one volume through the network, slices shared over ranks
 *   sr_make     all outputs of one scan
 *   cmd_sr      the verb (cohort.h)
 * Volumes are those of sr_volume.h. Random numbers are keyed by seed, sample and subject only, so
 * that outputs have the same bytes on any number of ranks. */
#ifndef SR_H
#define SR_H

#include "degrade/dg_operator.h"
#include "io/io_bids.h"
#include "jobs/job/job.h"
#include "jobs/sr/sr_volume.h"
#include "jobs/sr/stitch.h"
#include "jobs/items/work.h"
#include "model/df_diffusion.h"
#include "model/net.h"
#include "mpi/mp_share.h"

/* ---- methods ---- */

typedef struct sr_engine sr_engine;
struct sr__slice;

/* How a slice is restored; a row of the table in sr_sample.c. */
typedef struct sr_method {
    const char *name; /* the training kind of the weights (train_kind.h), or "cubic" */
    bool network;     /* needs weights */
    bool sampled;     /* starts from noise: samples differ */
    /* From the padded slice e->lr to e->x, both -1..1. NULL: the slice stays as it is. */
    void (*restore)(sr_engine *e, const struct sr__slice *s, uint64_t noise_key, int sample);
} sr_method;
/* The method of this name; NULL: there is none. */
const sr_method *sr_method_find(const char *name);

/* ---- configuration ---- */

typedef struct sr_config {
    mp_comm *comm;
    const sr_method *method;
    const char *input, *out; /* borrowed from the job */
    io_read_opt read;
    st_config stitch; /* of items that are several chunks */
    io_dtype dtype;
    double hr_mm, quantile;
    double thickness_mm;                   /* of the slices; 0: sidecar, else spacing */
    double trained_min_mm, trained_max_mm; /* spacings the weights know; 0: they do not say */
    int steps, samples;
    uint64_t seed;
    bool project, skip_empty, noise_by_item, prepare;
    net_config net;
    df_schedule schedule;
    const nn_kernels *kernels;
    int threads;     /* of a rank */
    float *params;   /* block of the network */
    mp_share *ready; /* weights prepared for the kernels, once a node; NULL: nothing to prepare */
    int64_t n_ready; /* floats; 0: nothing for the kernels of this node */
    char weights_sha256[65]; /* "none" without weights */
    char *trained_on;        /* subjects (job_weights_subjects); NULL: the weights do not say */
    char *values;            /* JSON of what decides about an output; sorted keys */
    char hash[65];           /* SHA-256 of `values` */
} sr_config;

extern const job_option options_sr[];

/* Read configuration and weights; what the weights file says about its network, diffusion and data
 * becomes the default of those keys. Errors: SX_E_USAGE (no weights given), SX_E_CONFIG (also
 * samples of a method that has none), those of job_weights_read. Not collective. */
sx_err sr_config_read(sr_config *c, job *j);
/* Prepare the weights for the kernels, unless the user does not want it; the ranks of a node do so
 * together and share the result. Collective over c->comm. Errors: SX_E_NOMEM. */
sx_err sr_config_prepare(sr_config *c);
void sr_config_clear(sr_config *c);

/* ---- items ---- */

/* The scans that the job's input names, largest first; with sr.stitch, and in a verb that does not
 * have this key, chunks of a scan are one item. Outputs of the verb are left out, and whatever lies
 * below OUT when OUT lies below the input. Errors: SX_E_NOINPUT (also when none is left),
 * those of io_bids. */
sx_err sr_items_find(const job *j, io_items *items);

/* ---- outputs ---- */

/* What the desc of an output begins with, behind that of its scan. */
#define SR_DESC "superres"

/* What an output shows: sample number 1.., or over all samples: */
enum { SR_MEAN = 0, SR_SD = -1 };

/* The parts of an item's name that its outputs share, "sub-1_acq-ax_": all but res, desc and the
 * suffix; new (sx_free). */
char *sr_source_entities(const io_item *item);

/* Path below the output folder of the output of a single sample (".nii.gz"), BIDS derivative name;
 * new (sx_free). */
char *sr_single_name(const io_item *item);

/* All outputs of an item: the samples, and with more than one mean and spread. Returns how many;
 * `what` holds up to samples + 2 entries. */
int sr_outputs(int samples, int *what);

/* What is recorded beside the voxels. Plain data. */
typedef struct sr_record {
    char source_sha256[65];
    im_mapping mapping;
    double spacing_mm, thickness_mm;
    const char *thickness_from; /* "sidecar", "spacing", "configuration" */
    double residual;            /* RMS of A x - y of what is written, share of the range */
    double residual_cubic;      /* the same for the cubic interpolation */
    st_result stitch;           /* how the chunks became one; owned: st_result_clear */
} sr_record;

/* Hash of an input's hash and of all in configuration, weights and program that decides about its
 * outputs. */
void sr_config_print(const sr_config *c, const char *source_sha256, char print[65]);

/* `why`: "" when every output of the item is there and was made from this input, these weights and
 * this configuration, and has the bytes it was written with; else why it must be made. `print`: the
 * hash of what decides about them. Errors: SX_E_NOINPUT, SX_E_IO (the input cannot be read). */
sx_err sr_inspect(const sr_config *c, const io_item *item, char print[65], char why[WORK_WHY]);

/* Write one output and its sidecar, atomically. Errors: SX_E_CREATE, SX_E_IO. */
sx_err sr_write(const sr_config *c, const io_item *item, int what, const im_volume *v,
                const sr_record *r);
/* Remove what must not stay beside an item's outputs: those of other numbers of samples. */
void sr_sweep(const sr_config *c, const io_item *item);

/* Full path of an output, new; shared by sr_names and sr_record only. */
char *sr__output_path(const sr_config *c, const io_item *item, int what);

/* ---- checks ---- */

/* Fill in thickness_mm and thickness_from: configuration, sidecar of the input, or spacing_mm. */
void sr_thickness(const sr_config *c, const io_item *item, sr_record *r);
/* Say what is odd about a scan but no reason to refuse it: a sidecar that cannot be read, slices
 * that the network was not trained for. */
void sr_check_warn(const sr_config *c, const io_item *item, const sr_record *r);
/* Whether the output's type can hold the scan's intensities. Errors: SX_E_DATA. */
sx_err sr_check_dtype(const sr_config *c, const io_item *item, const im_mapping *m);

/* ---- sampling ---- */

/* Network of the size last asked for, and room for one slice. */
struct sr_engine {
    const sr_config *c;
    net *net;
    int h, w; /* of the padded slice */
    float *lr, *x, *scratch, *measured;
    int64_t measured_room;
};
void sr_engine_clear(sr_engine *e);

/* Key of the noise of an item. */
uint64_t sr_noise_key(const sr_config *c, const io_item *item);

/* Told after each step of the sampler: how many slices of how many this rank has restored. */
typedef void sr_step(void *user, int64_t done, int64_t total);

/* One sample: out [voxels of v->cubic], 0..1, on rank 0 of `share`. Slices are dealt to the ranks
 * of `share`; collective over it. Errors: SX_E_AGAIN (asked to stop), SX_E_NOMEM; the same on all
 * ranks. */
sx_err sr_sample(sr_engine *e, mp_comm *share, const sr_volume *v, const dg_operator *op,
                 uint64_t noise_key, int sample, float *out, sr_step *step, void *user);

/* All outputs of one item; rank 0 of `share` writes. Steps count over all samples. *lost is set
 * when an output could not be written: then the next one cannot either. Collective over `share`.
 * Errors: SX_E_DATA (no scan for this network), SX_E_AGAIN, SX_E_CREATE, SX_E_IO, SX_E_NOMEM, those
 * of io_nifti_read; the same on all ranks. */
sx_err sr_make(sr_engine *e, mp_comm *share, work *w, const io_item *item, bool *lost);

/* RMS of A x - y over a volume in 0..1. */
double sr_residual(const dg_operator *op, const sr_volume *v, const float *x);

#endif
