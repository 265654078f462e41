/* Segmentation of vertebrae: the parts of the verb `segment`, one file each.
 *
 *   seg_config    options, and what of them decides about an output (its hash)
 *   seg_items     which volumes, and the names of their outputs
 *   seg_command   masks by another program, a command a volume
 *   seg_network   masks by a network of this engine, slice by slice
 *   seg_label     from a sub-region mask to numbered vertebrae
 *   seg_record    outputs and sidecars, and whether an output is still what it should be
 *   cmd_segment   the verb (cohort.h)
 * Masks have the numbers of spine/sp_labels.h. */
#ifndef SEG_H
#define SEG_H

#include "image/im_label.h"
#include "io/io_bids.h"
#include "io/io_nifti.h"
#include "jobs/job/job_scheme.h"
#include "jobs/job/job.h"
#include "jobs/items/work.h"
#include "model/net.h"
#include "spine/sp_instances.h"

/* ---- a trained network ---- */

enum { SEG_SLICES = 3 }; /* of which probabilities are at hand: one and its neighbours */

typedef struct seg_network {
    net_config net;
    const nn_kernels *kernels;
    int threads;
    double hr_mm, quantile; /* of the slices that it knows */
    float *params;          /* block; NULL: there is no network */
    char sha256[65];        /* of the file of its weights */
    char *trained_on;       /* subjects (job_weights_subjects); NULL: the weights do not say */
    /* for slices of the size last asked for */
    net *built;
    int h, w;
    float *slice, *p[SEG_SLICES]; /* [h][w], [h][w][SP_N_CLASSES] */
} seg_network;

/* Weights, and what they say of their network and data, which becomes the default of those keys.
 * *n is zeroed. Errors: SX_E_CONFIG (no segmenter), those of job_weights_read. Not collective. */
sx_err seg_network_read(seg_network *n, job *j, const char *weights);
void seg_network_clear(seg_network *n); /* takes a zeroed struct */

/* ---- configuration ---- */

/* Hashes of the input and of the anchors of an item, and of all that decides about its outputs. */
typedef struct seg_print {
    char source[65], anchor[65], print[65];
} seg_print;

typedef struct seg_config {
    mp_comm *comm;
    const char *input, *out; /* borrowed from the job, as all texts */
    io_read_opt read;
    seg_network network;
    const char *command;                 /* template; "" for the network */
    double limit_s;                      /* of the command */
    const char *vert_name, *subreg_name; /* patterns of its masks' file names; "": it has none */
    int threads;
    int first;         /* number of the first body when nothing tells */
    job_scheme scheme; /* of the labels of the command */
    io_items anchors;  /* vertebra masks of sagittal scans; owned */
    char *values;      /* JSON of what decides about an output; sorted keys */
    char hash[65];     /* SHA-256 of `values` */
    seg_print seen;    /* of the item that seg_inspect looked at last */
} seg_config;

extern const job_option options_segment[];

/* Errors: SX_E_USAGE (no way to segment is given, or two), SX_E_CONFIG (the template). Not
 * collective. */
sx_err seg_config_read(seg_config *c, job *j);
void seg_config_clear(seg_config *c);

/* ---- items ---- */

/* The volumes that the job's input names, largest first; spreads over samples (desc …sd) are left
 * out. Errors: SX_E_NOINPUT (also when none is left), those of io_bids. */
sx_err seg_items_find(const job *j, io_items *items);

typedef enum seg_mask { SEG_VERT, SEG_SUBREG, SEG_N_MASKS } seg_mask;

/* Path below the output folder of a mask: the source's name without its suffix, then
 * "seg-vert_dseg.nii.gz" or "seg-subreg_dseg.nii.gz"; new (sx_free). */
char *seg_output_name(const io_item *item, seg_mask m);

/* ---- masks of one volume ---- */

typedef struct seg_masks {
    im_labels mask[SEG_N_MASKS]; /* one that is not known has no voxels */
    sp_numbering how;            /* of vertebrae; anchor SP_N_ANCHORS: the command numbered them */
    int n_vertebrae;
    const char *grid; /* of the masks: "input", "isotropic" */
} seg_masks;
void seg_masks_clear(seg_masks *m); /* takes a zeroed struct */

/* Masks of an item by the command. Errors: SX_E_DATA (it failed, took too long, or its masks are
 * none; the message ends with the path of its log), SX_E_AGAIN (asked to stop), SX_E_CREATE,
 * SX_E_IO (also `lost`: the disk's fault). */
sx_err seg_command_make(const seg_config *c, const io_item *item, work *w, seg_masks *m,
                        bool *lost);
/* Sub-regions of an item by the network, on isotropic voxels. Errors: SX_E_DATA, SX_E_NOMEM,
 * SX_E_AGAIN (asked to stop). */
sx_err seg_network_make(seg_config *c, const io_item *item, work *w, seg_masks *m);
/* Whether a template has only placeholders that are known. Errors: SX_E_USAGE. */
sx_err seg_command_check(const char *command);

/* Numbered vertebrae of m->mask[SEG_SUBREG], which is tidied: m->mask[SEG_VERT], how, n_vertebrae.
 * Errors: SX_E_DATA (no vertebra; more than there are), SX_E_NOMEM, those of reading the anchor. */
sx_err seg_label(const seg_config *c, const io_item *item, seg_masks *m);
/* The vertebra masks of sagittal scans in a tree; none for "". Errors: SX_E_NOINPUT (also when
 * there is none), SX_E_IO. */
sx_err seg_anchors_find(seg_config *c, const char *tree);
/* Hash of the masks of an item's session among them, "" without. Errors: those of reading. */
sx_err seg_anchor_hash(const seg_config *c, const io_item *item, char hex[65]);

/* ---- outputs ---- */

/* Whether outputs have this mask. */
bool seg_config_has(const seg_config *c, seg_mask m);
/* Hash of an input's hash, the anchor's and of all in configuration and program that decides about
 * its outputs. */
void seg_config_print(const seg_config *c, const char *source_sha256, const char *anchor_sha256,
                      char print[65]);
/* `why`: "" when the masks of the item are there, made from this input by this configuration, and
 * have the bytes they were written with; else why they must be made. `c->seen` is filled, of which
 * `print` is one. Errors: SX_E_NOINPUT, SX_E_IO. */
sx_err seg_inspect(seg_config *c, const io_item *item, char print[65], char why[WORK_WHY]);
/* Write masks and sidecars, atomically; `p` is from before the input was read. Errors: SX_E_CREATE,
 * SX_E_IO. */
sx_err seg_write(const seg_config *c, const io_item *item, const seg_masks *m, const seg_print *p);
/* The tables of labels at the root of OUT. Errors: SX_E_CREATE, SX_E_IO. */
sx_err seg_write_tables(const char *out);

#endif
