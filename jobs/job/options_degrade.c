/* degrade.*: the acquisition model. A level is a row of table 2 of Graf et al., MIDL 2024; what is
 * set here beside the level wins over it. */
#include "jobs/job/verbs.h"

const job_option options_degrade[] = {
    {"degrade.level", JOB_INT, "7", NULL, 0, 7, "row of the paper's ablation: 0 nothing … 7 all"},
    {"degrade.steps", JOB_TEXT, "", NULL, 0, 0,
     "steps that are on, comma-separated (psf,down_up,…); empty: the level's"},
    {"degrade.lr_min_mm", JOB_REAL, "0", NULL, 0, 30,
     "thinnest imagined slice, mm (paper: 4); 0: the level's"},
    {"degrade.lr_max_mm", JOB_REAL, "0", NULL, 0, 30,
     "thickest imagined slice, mm (paper: 9); 0: the level's"},
    {"degrade.lr_step_mm", JOB_REAL, "0", NULL, 0, 30,
     "step between thicknesses, mm (paper: 0.25); 0: the level's"},
    {"degrade.probability", JOB_REAL, "0.3", NULL, 0, 1,
     "chance of each of rescale, rotate, blur, noise, bias"},
    {"degrade.interlace_probability", JOB_REAL, "0.15", NULL, 0, 1,
     "chance of interlaced movement"},
    JOB_OPTIONS_END,
};
