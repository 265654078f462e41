/* model.*: architecture and the kernels it runs on. */
#include "jobs/verbs.h"
#include "base/sx_pool.h"

const job_option options_model[] = {
    {"model.arch", JOB_CHOICE, "palette", "palette", 0, 0, "network architecture"},
    {"model.base_channels", JOB_INT, "64", NULL, 1, 1024, "channels at full resolution"},
    {"model.mult", JOB_TEXT, "1,1,2,2", NULL, 0, 0,
     "channels of each level, as multiples of base_channels"},
    {"model.res_blocks", JOB_INT, "2", NULL, 1, 8, "residual blocks a level in the encoder"},
    {"model.dropout", JOB_REAL, "0.1", NULL, 0, 0.9, "dropout probability in training"},
    {"model.kernels", JOB_CHOICE, "auto",
     "auto|ref|blas|wino|wino-avx512|wino-avx2|wino-sse2|wino-neon", 0, 0,
     "bodies of convolution and matrix product"},
    {"model.threads", JOB_INT, "0", NULL, 0, SX_MAX_THREADS,
     "threads of a rank; 0: SLURM_CPUS_PER_TASK, else 1; at most the processors it is bound to "
     "(mpirun --map-by slot:PE=N)"},
    JOB_OPTIONS_END,
};
