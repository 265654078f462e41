/* From configuration to net_config, nn_kernels, df_schedule and dg_config. */
#include "jobs/job/job_model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_err.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "base/sx_pool.h"
#include "jobs/job/job_json.h"

/* The row of model.arch, which is one of them (options_model). */
static const net_about *about_of(const job *j) {
    const net_about *about = net_about_arch(job_text(j, "model.arch"));
    SX_ASSERT(about != NULL);
    return about;
}

/* What is there already stays: its origin does not change without need. */
static sx_err preset_all(job *j, const net_setting *s) {
    sx_err rc = SX_OK;
    for (; s->key != NULL && rc == SX_OK; s++)
        if (job_has(j, s->key) && strcmp(job_as_given(j, s->key), s->text) != 0)
            rc = job_preset(j, s->key, s->text);
    return rc;
}

/* A training of classes is of the one network that tells any, unless another is asked for. */
static sx_err preset_arch(job *j) {
    const bool classes =
        job_has(j, "train.kind") && strcmp(job_text(j, "train.kind"), "segmentation") == 0;
    return classes && !job_given(j, "model.arch") ? job_preset(j, "model.arch", "seg") : SX_OK;
}

sx_err job_net_preset(job *j) {
    if (!job_has(j, "model.arch")) return SX_OK;
    sx_err rc = preset_arch(j);
    if (rc == SX_OK) rc = preset_all(j, about_of(j)->sizes);
    return rc == SX_OK ? preset_all(j, about_of(j)->training) : rc;
}

sx_err job_net_config(const job *j, net_config *c) {
    const net_about *about = about_of(j);
    sx_err rc = net_config_of(about->name, c);
    for (const net_setting *s = about->sizes; s->key != NULL && rc == SX_OK; s++)
        rc = net_config_set(c, s->key, job_as_given(j, s->key));
    return rc;
}

bool job_net_reads(const job *j, const char *key) {
    if (strcmp(key, "model.arch") == 0) return true;
    for (const net_setting *s = about_of(j)->sizes; s->key != NULL; s++)
        if (strcmp(s->key, key) == 0) return true;
    return false;
}

sx_err job_net_small(net **n, const net_config *c, const nn_kernels *k) {
    const int side = 4 * net_granularity(c);
    return net_new(n, c, side, side, k, (net_opt){0});
}

/* "4,4" as [4, 4]. */
static json_t *list_json(const char *text) {
    json_t *list = json_array();
    for (const char *p = text; p != NULL; p = strchr(p, ',')) {
        p += *p == ',';
        json_array_append_new(list, json_integer(strtol(p, NULL, 10)));
    }
    return list;
}

json_t *job_net_json(const job *j, bool arrays) {
    json_t *o = json_pack("{s:s}", "arch", about_of(j)->name);
    json_t *section = job_section_json(j, "model"), *value;
    const char *name;
    json_object_foreach(section, name, value) {
        char *key = sx_strf("model.%s", name);
        const bool is_list = arrays && json_is_string(value);
        if (strcmp(key, "model.arch") != 0 && job_net_reads(j, key))
            json_object_set_new(o, name,
                                is_list ? list_json(json_string_value(value)) : json_incref(value));
        sx_free(key);
    }
    json_decref(section);
    return o;
}

sx_err job_image_size(const job *j, const char *key, int *h, int *w) {
    const char *text = job_text(j, key);
    char rest;
    if (sscanf(text, "%5dx%5d%c", h, w, &rest) == 2 && *h > 0 && *w > 0) return SX_OK;
    return sx_fail(SX_E_USAGE, "%s = \"%s\": should be HxW, for example 160x160", key, text);
}

sx_err job_kernels(const job *j, const nn_kernels **k) {
    return nn_kernels_get(job_text(j, "model.kernels"), k);
}

static int threads_given(void) {
    const char *given = getenv("SLURM_CPUS_PER_TASK");
    long n = given ? strtol(given, NULL, 10) : 1;
    return n < 1 ? 1 : n > SX_MAX_THREADS ? SX_MAX_THREADS : (int)n;
}

/* Open MPI binds each of up to two ranks to one core unless told otherwise. */
int job_threads_usable(int asked, char advice[JOB_ADVICE]) {
    const int usable = sx_processors();
    if (asked == 0) asked = threads_given();
    *advice = '\0';
    if (asked <= usable) return asked;
    snprintf(advice, JOB_ADVICE,
             "%d threads asked for, but the rank may use %d processor%s; give it more with mpirun "
             "--map-by slot:PE=%d (or --bind-to none), srun --cpus-per-task=%d",
             asked, usable, usable > 1 ? "s" : "", asked, asked);
    return usable;
}

int job_threads(const job *j) {
    char advice[JOB_ADVICE];
    int threads = job_threads_usable((int)job_int(j, "model.threads"), advice);
    if (*advice && mp_rank(job_comm(j)) == 0) sx_warn("%s", advice);
    return threads;
}

int64_t job_activation_bytes(const job *j) {
    return (int64_t)ceil(job_real(j, "model.activations") * 0x1p20);
}

const char *job_engine_text(const nn_kernels *k, int threads, char text[JOB_ENGINE_TEXT]) {
    snprintf(text, JOB_ENGINE_TEXT, "kernels %s (%s), %d thread%s a rank", k->name, k->isa, threads,
             threads > 1 ? "s" : "");
    return text;
}

sx_err job_schedule(const job *j, df_schedule *s) {
    df_target target;
    df_schedule_kind kind;
    sx_err rc;
    SX_TRY(rc, df_target_parse(job_text(j, "diffusion.target"), &target));
    SX_TRY(rc, df_schedule_parse(job_text(j, "diffusion.schedule"), &kind));
    df_schedule_init(s, kind, target);
out:
    return rc;
}

static bool step_by_name(const char *name, dg_step *step) {
    for (int s = 0; s < DG_N_STEPS; s++) {
        if (strcmp(name, dg_step_name((dg_step)s)) != 0) continue;
        *step = (dg_step)s;
        return true;
    }
    return false;
}

/* "psf,down_up,jitter" into a set of bits. */
static sx_err parse_steps(const char *text, uint32_t *steps) {
    char *copy = sx_strdup(text), *rest = NULL;
    sx_err rc = SX_OK;
    *steps = 0;
    for (char *name = strtok_r(copy, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
        dg_step s;
        if (!step_by_name(name, &s)) {
            rc = sx_fail(SX_E_CONFIG, "degrade.steps: there is no step \"%s\"", name);
            break;
        }
        *steps |= 1u << s;
    }
    sx_free(copy);
    return rc;
}

static void override_mm(const job *j, const char *key, double *value_mm) {
    double mm = job_real(j, key);
    if (mm > 0) *value_mm = mm;
}

sx_err job_degrade_config(const job *j, dg_config *c) {
    sx_err rc;
    SX_TRY(rc, dg_config_level(c, (int)job_int(j, "degrade.level")));
    if (job_has(j, "data.hr_mm")) c->hr_mm = job_real(j, "data.hr_mm");
    override_mm(j, "degrade.lr_min_mm", &c->lr_min_mm);
    override_mm(j, "degrade.lr_max_mm", &c->lr_max_mm);
    override_mm(j, "degrade.lr_step_mm", &c->lr_step_mm);
    c->probability = job_real(j, "degrade.probability");
    c->interlace_probability = job_real(j, "degrade.interlace_probability");
    if (*job_text(j, "degrade.steps"))
        SX_TRY(rc, parse_steps(job_text(j, "degrade.steps"), &c->steps));
    if (c->lr_min_mm > c->lr_max_mm)
        rc = sx_fail(SX_E_CONFIG, "degrade.lr_min_mm = %g is above degrade.lr_max_mm = %g",
                     c->lr_min_mm, c->lr_max_mm);
out:
    return rc;
}
