/* model.*: architecture and the kernels it runs on. */
#include "jobs/job/verbs.h"
#include "base/sx_pool.h"

const job_option options_model[] = {
    {"model.arch", JOB_CHOICE, "palette", "palette|rcan|rrdb|hat|discriminator|seg", 0, 0,
     "network architecture; the other keys become what it was published with"},
    {"model.base_channels", JOB_INT, "64", NULL, 1, 1024, "channels at full resolution"},
    {"model.mult", JOB_TEXT, "1,1,2,2", NULL, 0, 0,
     "palette, seg: channels of each level, as multiples of base_channels"},
    {"model.res_blocks", JOB_INT, "2", NULL, 1, 8,
     "palette, seg: residual blocks a level in the encoder"},
    {"model.dropout", JOB_REAL, "0.1", NULL, 0, 0.9,
     "palette, seg: dropout probability in training"},
    {"model.classes", JOB_INT, "7", NULL, 2, 256, "seg: classes, background included"},
    {"model.groups", JOB_INT, "10", NULL, 1, 64, "rcan: residual groups"},
    {"model.blocks", JOB_INT, "20", NULL, 1, 64,
     "rcan: attention blocks of a group; rrdb: residual blocks of three dense ones"},
    {"model.reduction", JOB_INT, "16", NULL, 1, 1024, "rcan: channel attention's narrowing"},
    {"model.growth", JOB_INT, "32", NULL, 1, 1024, "rrdb: channels that a convolution adds"},
    {"model.unshuffle", JOB_INT, "4", NULL, 1, 8, "rrdb: pixels of a trunk's pixel: 1, 2, 4 or 8"},
    {"model.depths", JOB_TEXT, "4,4,4,4", NULL, 0, 0, "hat: attention blocks of each group"},
    {"model.heads", JOB_INT, "6", NULL, 1, 1024, "hat: attention heads"},
    {"model.window", JOB_INT, "16", NULL, 2, 64, "hat: side of a window, pixels"},
    {"model.overlap", JOB_REAL, "0.5", NULL, 0, 1,
     "hat: how much wider the keys of the overlapping attention are, as a share of the window"},
    {"model.mlp_ratio", JOB_REAL, "2", NULL, 0, 16, "hat: width of the MLP over base_channels"},
    {"model.compress", JOB_INT, "3", NULL, 1, 1024, "hat: narrowing between the convolutions"},
    {"model.squeeze", JOB_INT, "30", NULL, 1, 1024, "hat: channel attention's narrowing"},
    {"model.kernels", JOB_CHOICE, "auto",
     "auto|ref|blas|wino|wino-avx512|wino-avx2|wino-sse2|wino-neon", 0, 0,
     "bodies of convolution and matrix product"},
    {"model.threads", JOB_INT, "0", NULL, 0, SX_MAX_THREADS,
     "threads of a rank; 0: SLURM_CPUS_PER_TASK, else 1; at most the processors it is bound to "
     "(mpirun --map-by slot:PE=N)"},
    {"model.activations", JOB_REAL, "1024", NULL, 0, 1e9,
     "training: MiB a rank for activations and their gradients, of each network; where that is not "
     "enough, activations are made again in the backward pass: the same weights, up to a third "
     "more time; 0: no limit"},
    JOB_OPTIONS_END,
};
