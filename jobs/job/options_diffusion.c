/* diffusion.*: what the network predicts, the noise schedule, and the sampler. */
#include "jobs/job/verbs.h"

const job_option options_diffusion[] = {
    {"diffusion.target", JOB_CHOICE, "v", "eps|v|x0", 0, 0, "what the network predicts"},
    {"diffusion.schedule", JOB_CHOICE, "linear", "linear|cosine", 0, 0, "noise schedule"},
    {"diffusion.steps", JOB_INT, "20", NULL, 1, 1000,
     "steps of the DDIM sampler at most: equal strides through 1000"},
    JOB_OPTIONS_END,
};
