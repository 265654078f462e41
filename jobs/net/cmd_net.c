/* sagax net info|run|sample|fit: a window into the engine, to check weights that were trained
 * elsewhere and to see what a network costs.
 *
 * Files are safetensors: weights as param/NAME (or NAME), inputs as input/NAME (or NAME), images
 * [batch][1][h][w]; one file may hold both (docs/formats.md). Network and diffusion are what the
 * weights say of themselves (job_weights.h) where the user says nothing; `info` needs no file. A
 * batch is a loop over images. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/job/verbs.h"
#include "jobs/net/cmd_net.h"

/* ---- options ---- */

static const job_option options_net[] = {
    {"net.weights", JOB_TEXT, "", NULL, 0, 0,
     "safetensors file with the weights; info also takes a run folder, and tells of its network"},
    {"net.input", JOB_TEXT, "", NULL, 0, 0,
     "safetensors file with the images; docs/formats.md names the tensors"},
    {"net.output", JOB_TEXT, "", NULL, 0, 0, "safetensors file to write"},
    {"net.size", JOB_TEXT, "160x160", NULL, 0, 0, "info: image size, HxW pixels"},
    {"net.steps", JOB_INT, "0", NULL, 0, 100000,
     "sample: steps of the sampler (0: diffusion.steps); fit: steps of Adam (0: 5)"},
    {"net.backward", JOB_BOOL, "false", NULL, 0, 0, "run: also write gradients of the loss"},
    JOB_OPTIONS_END};

static const job_option *const sections[] = {options_net, options_model, options_diffusion, NULL};

static const job_alias aliases[] = {{"--net", "model.arch"},        {"--kernels", "model.kernels"},
                                    {"--threads", "model.threads"}, {"--weights", "net.weights"},
                                    {"--input", "net.input"},       {"--output", "net.output"},
                                    {"--size", "net.size"},         {"--steps", "net.steps"},
                                    {"--backward", "net.backward"}, JOB_ALIASES_END};

/* ---- the tasks ---- */

/* What a task made, on stdout. */
static void print_result(const job *j, const cmd_net_session *s) {
    const char *path = job_text(j, "net.output");
    const io_tensor *loss = io_tensors_find(&s->result, "loss");
    double first = loss != NULL ? (double)loss->f32[0] : NAN;
    if (job_json(j)) {
        json_t *o = json_pack("{s:o,s:i,s:s}", "output", job_json_string(path), "tensors",
                              s->result.n, "kernels", s->kernels->name);
        if (loss != NULL) json_object_set_new(o, "loss", job_json_number(first));
        job_json_print(o, JSON_COMPACT);
        return;
    }
    printf("%s: %d tensors, kernels %s (%s)\n", path, s->result.n, s->kernels->name,
           s->kernels->isa);
    for (int64_t i = 0; loss != NULL && i < loss->count; i++)
        printf("loss %.8g\n", (double)loss->f32[i]);
}

static sx_err run_task(job *j, sx_err (*task)(const job *j, cmd_net_session *s)) {
    sx_err rc;
    cmd_net_session s = {0};
    SX_TRY(rc, cmd_net_read(j, &s));
    SX_TRY(rc, task(j, &s));
    if (job_dry_run(j)) goto out;
    SX_TRY(rc, io_tensors_write(job_text(j, "net.output"), &s.result));
    print_result(j, &s);
out:
    cmd_net_clear(&s);
    return rc;
}

static sx_err run_run(job *j) {
    return run_task(j, cmd_net_run);
}

static sx_err run_sample(job *j) {
    return run_task(j, cmd_net_sample);
}

static sx_err run_fit(job *j) {
    return run_task(j, cmd_net_fit);
}

static sx_err run(job *j) {
    static const job_action tasks[] = {{"info", 1, cmd_net_info},
                                       {"run", 1, run_run},
                                       {"sample", 1, run_sample},
                                       {"fit", 1, run_fit}};
    return job_act(j, tasks, sizeof tasks / sizeof *tasks);
}

const job_verb cmd_net = {
    .name = "net",
    .arguments = "info|run|sample|fit",
    .summary = "look into a network: cost, values, gradients",
    .sections = sections,
    .aliases = aliases,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
