/* What a training is: its configuration, resolved from the job, in plain structures.
 *
 * Parts of the verb `train`, one file each: train_kind (what is trained how: diffusion,
 * regression, …), train_pair (an image and what belongs to it), train_data (which slice when, pairs
 * made ahead), train_step (one data-parallel step), train_state (checkpoint, resume, weights),
 * train_rival, train_gan (adversarial training), train_val (validation and previews), train_report
 * (metrics), train_owner (one job a run folder). Everything random is keyed, never by rank, thread
 * or clock: pairs by (seed, purpose, 0, item), item = step * batch + image; the order of the slices
 * by (seed, epoch); dropout by (seed, step, image, op). */
#ifndef TRAIN_H
#define TRAIN_H

#include "degrade/dg_degrade.h"
#include "jobs/job/job.h"
#include "model/df_diffusion.h"
#include "model/net.h"
#include "model/nn_optim.h"
#include "mpi/mp_lease.h"
#include "mpi/mp_tree.h"

/* `epoch` word of random streams: 0 names training items, this one the fixed validation set. */
#define TRAIN_KEY_VALIDATION ((uint64_t)1 << 32)

/* A row of the table of kinds (train_kind.h). */
typedef struct train_kind train_kind;

typedef struct train_config {
    mp_comm *comm;
    const train_kind *kind;
    const char *cache_path, *run_path; /* borrowed from the job */
    const char *init_path;             /* weights to start from; "" none */
    uint64_t seed;
    int batch;  /* images a step, over all ranks */
    int shards; /* leaves of the gradient tree, <= batch */
    mp_wire wire;
    bool spill;  /* mp_tree_opt */
    int workers; /* threads of this rank that make pairs */
    int crop;    /* side of the training images, pixels */
    double min_content;
    int64_t steps;
    double minutes; /* <= 0: no limit */
    nn_lr lr;
    nn_adam adam;
    double clip; /* largest gradient norm; <= 0: no limit */
    double ema;
    bool ema_warmup;
    int64_t ema_every, max_bad;
    int64_t log_every, val_every, preview_every, checkpoint_every; /* steps; 0: never */
    int val_images, preview_images, keep;
    net_config net;
    df_schedule schedule;
    dg_config degrade;
    const nn_kernels *kernels;
    int threads;              /* of a rank */
    int64_t activation_bytes; /* most of a rank; 0: no limit */
    int sampler_steps;
    int rival_channels; /* width of the discriminator */
    double gan_weight;  /* of its judgement in the loss */
    bool dry_run;
    double lease_s, stall_s; /* as mp_lease_opt has them */
    mp_leases *leases;       /* of the run folder (train_owner.h); NULL: nobody to tell */
} train_config;

extern const job_option options_train[];

/* Shards of a batch unless told otherwise. */
int train_default_shards(int batch);
/* Also looks at the sizes of the networks. Errors: SX_E_CONFIG. Not collective. */
sx_err train_config_read(train_config *c, const job *j);

/* Everything that shapes the weights, as flat JSON {"model.base_channels": 64, …, "cache": hash}:
 * what a checkpoint must agree with. `cache_hash` may be NULL: not known yet. New (sx_free). */
char *train_identity(const job *j, const char *cache_hash);
/* Errors: SX_E_CONFIG, naming the first key that differs. `where` names the checkpoint. */
sx_err train_identity_check(const char *ours, const char *theirs, const char *where);

#endif
