/* sr.*: options, weights, and the values that decide about an output (sr.h). */
#include <stdio.h>
#include <string.h>
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "degrade/dg_degrade.h"
#include "jobs/job/job_data.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "jobs/sr/sr.h"

const job_option options_sr[] = {
    {"sr.method", JOB_CHOICE, "network", "network|cubic", 0, 0,
     "cubic: the interpolation that networks are shown, as an output of its own; no weights"},
    {"sr.weights", JOB_TEXT, "", NULL, 0, 0, "run folder, weights.h5 or safetensors file"},
    {"sr.stitch", JOB_BOOL, "false", NULL, 0, 0,
     "stitch the chunks of a scan first and restore the whole; false: each chunk by itself"},
    {"sr.seed", JOB_INT, "0", NULL, 0, 9e15, "seed of the sampler's noise"},
    {"sr.samples", JOB_INT, "1", NULL, 1, 99,
     "samples of each scan; with more than one also their mean and standard deviation"},
    {"sr.consistency", JOB_CHOICE, "none", "none|project", 0, 0,
     "project: the result must give back the measured slices"},
    {"sr.thickness_mm", JOB_REAL, "0", NULL, 0, 50,
     "slice thickness, mm; 0: SliceThickness of the sidecar, else the spacing"},
    {"sr.dtype", JOB_CHOICE, "float32", "float32|int16", 0, 0,
     "type of the voxels; int16 rounds to whole intensities"},
    {"sr.noise", JOB_CHOICE, "subject", "subject|item", 0, 0,
     "who shares one noise image: all scans of a subject, or the slices of one scan only"},
    {"sr.skip_empty", JOB_BOOL, "true", NULL, 0, 0,
     "take sagittal slices without signal from the cubic interpolation"},
    {"sr.prepare", JOB_BOOL, "true", NULL, 0, 0,
     "prepare the weights once a node, for about 100 MB more there: saves time on small images"},
    JOB_OPTIONS_END,
};

static void take_mm(const json_t *o, const char *key, double *mm) {
    double value = json_number_value(json_object_get(o, key));
    if (value > 0.0) *mm = value;
}

/* The spacings that the training imagined: a level's, or what was set beside it. */
static void take_trained(sr_config *c, const json_t *degrade) {
    const json_t *level = json_object_get(degrade, "level");
    dg_config d;
    if (!json_is_integer(level) || dg_config_level(&d, (int)json_integer_value(level)) != SX_OK)
        return;
    take_mm(degrade, "lr_min_mm", &d.lr_min_mm);
    take_mm(degrade, "lr_max_mm", &d.lr_max_mm);
    c->trained_min_mm = d.lr_min_mm;
    c->trained_max_mm = d.lr_max_mm;
}

/* How the network was trained is how it restores. Weights that do not say are taken for what their
 * architecture usually is. */
static sx_err take_method(sr_config *c, const json_t *train, const char *path) {
    const net_about *about = net_about_arch(c->net.arch);
    const char *kind = json_string_value(json_object_get(train, "kind"));
    if (!kind) kind = about->kind;
    c->method = sr_method_find(kind);
    if (c->method && c->method->network && strcmp(about->image, "lr") == 0) return SX_OK;
    return sx_fail(SX_E_CONFIG, "%s: weights of network %s and kind %s do not restore images", path,
                   about->name, kind);
}

/* What the weights say of their training. */
static sx_err take_about(sr_config *c, const json_t *about, const char *path) {
    take_trained(c, json_object_get(about, "degrade"));
    c->trained_on = job_weights_subjects(about);
    return take_method(c, json_object_get(about, "train"), path);
}

/* Nodes of different processors may have different kernels, some with nothing to prepare: all take
 * part if one has. */
sx_err sr_config_prepare(sr_config *c) {
    net *n = NULL;
    sx_err rc = SX_OK;
    if (!c->method->network) return rc;
    SX_TRY(rc, mp_agree(c->comm, job_net_small(&n, &c->net, c->kernels)));
    c->n_ready = c->prepare ? nn_graph_ready_count(net_graph(n)) : 0;
    int64_t most = c->n_ready;
    mp_max_i64(c->comm, &most, 1);
    if (most == 0) goto out;
    SX_TRY(rc, mp_share_new(&c->ready, c->comm, c->n_ready * (int64_t)sizeof(float)));
    int parts, part = mp_share_part(c->ready, &parts);
    nn_graph_prepare(net_graph(n), c->params, part, parts, mp_share_data(c->ready));
    mp_share_filled(c->ready);
out:
    net_free(n);
    return rc;
}

/* Dropout is a matter of training. */
static void add_network(json_t *o, const sr_config *c, const job *j) {
    json_t *network = job_net_json(j, true);
    json_object_del(network, "dropout");
    json_object_set_new(o, "network", network);
    json_object_set_new(o, "kernels", json_string(c->kernels->name));
}

static void add_sampler(json_t *o, const sr_config *c, const job *j) {
    json_object_set_new(o, "target", json_string(job_text(j, "diffusion.target")));
    json_object_set_new(o, "schedule", json_string(job_text(j, "diffusion.schedule")));
    json_object_set_new(o, "steps", json_integer(c->steps));
    json_object_set_new(o, "seed", json_integer((json_int_t)c->seed));
    json_object_set_new(o, "samples", json_integer(c->samples));
    json_object_set_new(o, "noise", json_string(job_text(j, "sr.noise")));
}

/* All that decides about an output beside its input and the weights, and nothing that does not.
 * Instruction set and number of threads change its last bits only: no reason to make it again. */
static void record_values(sr_config *c, const job *j) {
    json_t *o = json_object();
    if (c->method->network) add_network(o, c, j);
    if (c->method->sampled)
        add_sampler(o, c, j);
    else
        json_object_set_new(o, "method", json_string(c->method->name));
    if (c->method->network) json_object_set_new(o, "skip_empty", json_boolean(c->skip_empty));
    json_object_set_new(o, "consistency", json_string(job_text(j, "sr.consistency")));
    json_object_set_new(o, "dtype", json_string(job_text(j, "sr.dtype")));
    json_object_set_new(o, "thickness_mm", json_real(c->thickness_mm));
    json_object_set_new(o, "hr_mm", json_real(c->hr_mm));
    json_object_set_new(o, "quantile", json_real(c->quantile));
    json_object_set_new(o, "xform", json_string(job_text(j, "data.xform")));
    if (job_bool(j, "sr.stitch"))
        json_object_set_new(o, "stitch", json_pack("{s:b}", "skip_bad", c->stitch.skip_bad));
    c->values = job_json_text(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(12));
    sx_hash_bytes(c->values, strlen(c->values), c->hash);
}

/* ---- all of it ---- */

static sx_err read_network(sr_config *c, job *j) {
    const char *weights = job_text(j, "sr.weights");
    json_t *about = NULL;
    sx_err rc;
    if (!*weights) return sx_fail(SX_E_USAGE, "sr: --weights RUN|FILE is needed");
    SX_TRY(rc, job_weights_inherit(j, weights, &about));
    SX_TRY(rc, job_net_config(j, &c->net));
    SX_TRY(rc, job_kernels(j, &c->kernels));
    SX_TRY(rc, job_schedule(j, &c->schedule));
    SX_TRY(rc, take_about(c, about, weights));
    rc = job_weights_load(weights, &c->net, c->kernels, &c->params, c->weights_sha256);
out:
    json_decref(about);
    return rc;
}

/* Without a network there is nothing to read. */
static sx_err read_method(sr_config *c, job *j) {
    if (strcmp(job_text(j, "sr.method"), "network") == 0) return read_network(c, j);
    c->method = sr_method_find(job_text(j, "sr.method"));
    snprintf(c->weights_sha256, sizeof c->weights_sha256, "none");
    return SX_OK;
}

sx_err sr_config_read(sr_config *c, job *j) {
    sx_err rc;
    SX_TRY(rc, read_method(c, j));
    c->threads = job_threads(j);
    c->comm = job_comm(j);
    c->input = job_arg(j, 0);
    c->out = job_arg(j, 1);
    c->read = job_read_opt(j);
    c->stitch = st_config_read(j);
    c->dtype = strcmp(job_text(j, "sr.dtype"), "int16") == 0 ? IO_INT16 : IO_FLOAT32;
    c->hr_mm = job_real(j, "data.hr_mm");
    c->quantile = job_real(j, "data.quantile");
    c->thickness_mm = job_real(j, "sr.thickness_mm");
    c->steps = (int)job_int(j, "diffusion.steps");
    c->samples = (int)job_int(j, "sr.samples");
    c->seed = (uint64_t)job_int(j, "sr.seed");
    c->project = strcmp(job_text(j, "sr.consistency"), "project") == 0;
    c->skip_empty = job_bool(j, "sr.skip_empty");
    c->noise_by_item = strcmp(job_text(j, "sr.noise"), "item") == 0;
    c->prepare = job_bool(j, "sr.prepare");
    if (c->samples > 1 && !c->method->sampled)
        return sx_fail(SX_E_CONFIG,
                       "sr.samples = %d: %s draws nothing at random; there is one image of a scan",
                       c->samples, c->method->name);
    record_values(c, j);
out:
    return rc;
}

void sr_config_clear(sr_config *c) {
    mp_share_free(c->ready);
    sx_free(c->params);
    sx_free(c->values);
    sx_free(c->trained_on);
}
