/* From configuration to the plain structures that model/ and degrade/ work with. Each function
 * reads one section, which the verb must list among its sections (verbs.h). Not collective. */
#ifndef JOB_MODEL_H
#define JOB_MODEL_H

#include "degrade/dg_degrade.h"
#include "jobs/job.h"
#include "model/df_diffusion.h"
#include "model/net.h"
#include "model/nn_kernels.h"

/* Section model (options_model). *c is filled. Errors: SX_E_CONFIG (model.mult unreadable). */
sx_err job_net_config(const job *j, net_config *c);
/* "1,1,2,2" into c->mult and c->levels. Errors: SX_E_CONFIG. Needs no job. */
sx_err job_mult_parse(const char *text, net_config *c);
/* model.kernels. *k is borrowed, valid for ever. Errors: SX_E_CONFIG (not on this machine). */
sx_err job_kernels(const job *j, const nn_kernels **k);
/* Threads of a rank: model.threads, or what the job was given; at most the processors this process
 * may use. A warning of rank 0 where that is less than asked for. */
int job_threads(const job *j);
/* The same for `asked` threads (0: what the job was given); what to do about too few processors, or
 * "", is filled. */
enum { JOB_ADVICE = 256 };
int job_threads_usable(int asked, char advice[JOB_ADVICE]);
/* What the engine runs on, for the log: "kernels wino (avx2), 4 threads a rank". Returns text. */
enum { JOB_ENGINE_TEXT = 128 };
const char *job_engine_text(const nn_kernels *k, int threads, char text[JOB_ENGINE_TEXT]);
/* Section diffusion (options_diffusion). *s is filled. Errors: SX_E_CONFIG. */
sx_err job_schedule(const job *j, df_schedule *s);
/* Section degrade (options_degrade), pixels of `hr_mm` from data.hr_mm when the verb reads section
 * data, else 0.8571. *c is filled. Errors: SX_E_CONFIG (unknown step, thinnest above thickest). */
sx_err job_degrade_config(const job *j, dg_config *c);

#endif
