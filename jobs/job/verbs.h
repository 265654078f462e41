/* The verbs, one file each (cmd_NAME.c), and the option tables that several share. */
#ifndef VERBS_H
#define VERBS_H

#include "jobs/job/job.h"

extern const job_verb cmd_ablate;   /* a comparison: the tables of the paper                */
extern const job_verb cmd_bench;    /* speed and memory of the engine                   */
extern const job_verb cmd_cache;    /* cache build BIDS CACHE | cache verify CACHE       */
extern const job_verb cmd_degrade;  /* pairs and montages of the acquisition model       */
extern const job_verb cmd_doctor;   /* what this machine offers to a run                */
extern const job_verb cmd_eval;     /* eval images or vertebrae                          */
extern const job_verb cmd_net;      /* net info|run|sample|fit                           */
extern const job_verb cmd_phantom;  /* synthetic cohort as a BIDS tree                   */
extern const job_verb cmd_points;   /* levels of discs as points on the cord             */
extern const job_verb cmd_segment;  /* masks of vertebrae                                */
extern const job_verb cmd_sr;       /* super-resolution of a cohort                      */
extern const job_verb cmd_status;   /* what became of a run, and who works on it        */
extern const job_verb cmd_stitch;   /* axial chunks as one volume                        */
extern const job_verb cmd_submit;   /* another verb as a job of Slurm                    */
extern const job_verb cmd_train;    /* training                                          */
extern const job_verb cmd_validate; /* what the NIfTI reader makes of files              */
extern const job_verb cmd_weights;  /* weights import|export|verify                      */

/* All of them, NULL-terminated (job_verbs.c). */
extern const job_verb *const job_verbs[];
/* One of them, NULL when there is none of this name. */
const job_verb *job_verb_find(const char *name);
/* The nearest name for "did you mean"; NULL when none is near. */
const char *job_verb_near(const char *name);

extern const job_option options_data[];          /* data.*      which images, splits          */
extern const job_option options_data_any[];      /* … without splits, any scans           */
extern const job_option options_data_axial[];    /* … without splits, axial scans         */
extern const job_option options_data_masks[];    /* … of whatever name                    */
extern const job_option options_data_scans[];    /* … as they are, at their own pixels     */
extern const job_option options_data_subjects[]; /* … whose images and how, not which     */
extern const job_option options_data_split[];    /* … of which split: job_keep_split        */
extern const job_option options_degrade[];       /* degrade.*   level, steps, resolutions     */
extern const job_option options_model[];         /* model.*     architecture, kernels         */
extern const job_option options_diffusion[];     /* diffusion.* target, schedule, steps       */

#endif
