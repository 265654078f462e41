/* From configuration to the plain structures that model/ and degrade/ work with. Each function
 * reads one section, which the verb must list among its sections (verbs.h). Not collective. */
#ifndef JOB_MODEL_H
#define JOB_MODEL_H

#include <jansson.h>
#include "degrade/dg_degrade.h"
#include "jobs/job/job.h"
#include "model/df_diffusion.h"
#include "model/net.h"
#include "model/nn_kernels.h"

/* Section model (options_model). *c is filled. Errors: SX_E_CONFIG (a list unreadable). */
sx_err job_net_config(const job *j, net_config *c);
/* What model.arch says of its sizes and training as published becomes the default of those keys
 * that the verb has; what the user sets wins. When a job is built, and when weights name another
 * architecture. Nothing for verbs without section model. Errors: SX_E_CONFIG. */
sx_err job_net_preset(job *j);
/* Whether the network of this configuration depends on `key` ("model.window"). */
bool job_net_reads(const job *j, const char *key);
/* The keys of section model that the network depends on, new: {"arch": "rcan", "groups": 10, …},
 * lists as text ("1,1,2,2"), or as arrays if asked. */
json_t *job_net_json(const job *j, bool arrays);
/* A small network of this configuration, new: names and shapes of parameters do not depend on the
 * size of images, nor do prepared weights from 4 pixels at the lowest level on. Errors: those of
 * net_new. */
sx_err job_net_small(net **n, const net_config *c, const nn_kernels *k);
/* The size of an image, "HxW" pixels, that a key has. Errors: SX_E_USAGE. */
sx_err job_image_size(const job *j, const char *key, int *h, int *w);
/* model.kernels. *k is borrowed, valid for ever. Errors: SX_E_CONFIG (not on this machine). */
sx_err job_kernels(const job *j, const nn_kernels **k);
/* Threads of a rank: model.threads, or what the job was given; at most the processors this process
 * may use. A warning of rank 0 where that is less than asked for. */
int job_threads(const job *j);
/* The same for `asked` threads (0: what the job was given); what to do about too few processors, or
 * "", is filled. */
enum { JOB_ADVICE = 256 };
int job_threads_usable(int asked, char advice[JOB_ADVICE]);
/* model.activations in bytes: net_opt.most_bytes. */
int64_t job_activation_bytes(const job *j);
/* What the engine runs on, for the log: "kernels wino (avx2), 4 threads a rank". Returns text. */
enum { JOB_ENGINE_TEXT = 128 };
const char *job_engine_text(const nn_kernels *k, int threads, char text[JOB_ENGINE_TEXT]);
/* Section diffusion (options_diffusion). *s is filled. Errors: SX_E_CONFIG. */
sx_err job_schedule(const job *j, df_schedule *s);
/* Section degrade (options_degrade), pixels of `hr_mm` from data.hr_mm when the verb reads section
 * data, else 0.8571. *c is filled. Errors: SX_E_CONFIG (unknown step, thinnest above thickest). */
sx_err job_degrade_config(const job *j, dg_config *c);

#endif
