/* sagax weights import|export|verify: between weights.h5 and safetensors.
 *
 * Names and shapes are those of the published PyTorch state dicts in both containers; names in
 * safetensors may carry the prefix "param/" (then what has none is no weight). Which network this
 * is stands in the JSON text of weights.h5; export puts that text into the metadata ("sagax"),
 * import takes it from there. Files from elsewhere have their sizes in plain metadata or in the
 * configuration. The table of parameters is the network's own: missing, surplus and mis-shaped
 * tensors are refused. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_ckpt.h"
#include "io/io_tensors.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "jobs/job/verbs.h"

static const job_option *const sections[] = {options_model, options_diffusion, options_data, NULL};

/* ---- which network ---- */

/* A network of this configuration, only for its table of parameters. */
static sx_err table_of(const net_config *c, net **n) {
    const nn_kernels *kernels;
    sx_err rc = nn_kernels_get("auto", &kernels);
    return rc == SX_OK ? job_net_small(n, c, kernels) : rc;
}

/* ---- checks ---- */

static bool has_prefix(const io_tensor *t) {
    return strncmp(t->name, JOB_WEIGHTS_PREFIX, strlen(JOB_WEIGHTS_PREFIX)) == 0;
}

/* Every weight in the file is a parameter. Where some names have the prefix, those without are
 * other things (inputs, gradients). */
static sx_err check_names(const char *path, const nn_params *p, const io_tensors *t) {
    bool prefixed = false;
    for (int i = 0; i < t->n; i++) prefixed = prefixed || has_prefix(&t->item[i]);
    for (int i = 0; i < t->n; i++) {
        const io_tensor *x = &t->item[i];
        if (prefixed && !has_prefix(x)) continue;
        const char *name = prefixed ? x->name + strlen(JOB_WEIGHTS_PREFIX) : x->name;
        if (nn_params_find(p, name) < 0)
            return sx_fail(SX_E_DATA, "%s: the network has no parameter %s", path, name);
        if (!x->f32) return sx_fail(SX_E_DATA, "%s: parameter %s is no float array", path, name);
    }
    return SX_OK;
}

/* ---- the three actions ---- */

static void say(const job *j, const char *path, const char *verdict, const net_config *c,
                int64_t count, const char *digest) {
    if (!job_json(j)) {
        printf("%s: %s, %s of width %d, %" PRId64 " parameters%s%.12s\n", path, verdict, c->arch,
               c->base_channels, count, digest[0] ? ", digest " : "", digest);
        return;
    }
    json_t *o = json_pack("{s:o, s:s, s:s, s:i, s:I, s:s}", "file", job_json_string(path),
                          "verdict", verdict, "arch", c->arch, "base_channels", c->base_channels,
                          "parameters", (json_int_t)count, "digest", digest);
    job_json_print(o, JSON_COMPACT);
}

static sx_err import(job *j) {
    const char *from = job_arg(j, 1), *run_folder = job_arg(j, 2);
    sx_err rc;
    io_tensors t = {0};
    net *n = NULL;
    net_config c;
    float *block = NULL;
    char *text = NULL, *to = sx_path_join(run_folder, "weights.h5");
    SX_TRY(rc, io_tensors_read(from, &t));
    const char *ours = io_tensors_meta(&t, "sagax");
    SX_TRY(rc, job_weights_inherit_tensors(j, from, &t));
    SX_TRY(rc, job_net_config(j, &c));
    SX_TRY(rc, table_of(&c, &n));
    SX_TRY(rc, check_names(from, net_params(n), &t));
    block = nn_params_block(net_params(n));
    SX_TRY(rc, job_weights_take(from, &t, net_params(n), block));
    text = ours
               ? sx_strdup(ours)
               : job_weights_describe(j, net_about_arch(c.arch)->kind, 0, job_real(j, "data.hr_mm"),
                                      job_real(j, "data.quantile"), NULL);
    if (!job_dry_run(j)) {
        SX_TRY(rc, sx_mkdirs(run_folder));
        SX_TRY(rc, job_weights_write(to, text, net_params(n), block, NULL, NULL));
    }
    say(j, to, "imported", &c, net_params(n)->count, "");
out:
    io_tensors_clear(&t);
    net_free(n);
    sx_free(block);
    sx_free(text);
    sx_free(to);
    return rc;
}

/* Read weights.h5 and hold it against the network it names, which has *count parameters. */
static sx_err read_checked(job *j, const char *path, io_ckpt *k, net_config *c, int64_t *count) {
    sx_err rc;
    net *n = NULL;
    float *block = NULL;
    SX_TRY(rc, io_ckpt_read(path, k));
    SX_TRY(rc, job_weights_inherit(j, path, NULL));
    SX_TRY(rc, job_net_config(j, c));
    SX_TRY(rc, table_of(c, &n));
    *count = net_params(n)->count;
    block = nn_params_block(net_params(n));
    rc = job_weights_read(path, net_params(n), block);
out:
    net_free(n);
    sx_free(block);
    return rc;
}

/* The whole text for ourselves, and for others the sizes and what the network predicts. */
static void add_meta(io_tensors *t, const io_ckpt *k, const job *j, const net_config *c) {
    const net_about *about = net_about_arch(c->arch);
    io_tensors_add_meta(t, "net", c->arch);
    for (const net_setting *s = about->sizes; s->key; s++)
        io_tensors_add_meta(t, s->key + strlen("model."), job_as_given(j, s->key));
    if (about->has_time) {
        io_tensors_add_meta(t, "target", job_text(j, "diffusion.target"));
        io_tensors_add_meta(t, "schedule", job_text(j, "diffusion.schedule"));
    }
    io_tensors_add_meta(t, "sagax", k->json);
}

static sx_err export(job *j) {
    const char *to = job_arg(j, 2);
    char *from = job_weights_path(job_arg(j, 1));
    io_ckpt k = {0};
    io_tensors t = {0};
    net_config c;
    int64_t count;
    sx_err rc;
    SX_TRY(rc, read_checked(j, from, &k, &c, &count));
    for (int i = 0; i < k.n; i++)
        io_tensors_add_f32(&t, k.block[i].name, k.block[i].rank, k.block[i].shape, k.block[i].data);
    add_meta(&t, &k, j, &c);
    if (!job_dry_run(j)) SX_TRY(rc, io_tensors_write(to, &t));
    say(j, to, "exported", &c, count, k.digest);
out:
    io_ckpt_clear(&k);
    io_tensors_clear(&t);
    sx_free(from);
    return rc;
}

static sx_err verify(job *j) {
    char *path = job_weights_path(job_arg(j, 1));
    io_ckpt k = {0};
    net_config c;
    int64_t count;
    sx_err rc = read_checked(j, path, &k, &c, &count);
    if (rc == SX_OK) say(j, path, "ok", &c, count, k.digest);
    io_ckpt_clear(&k);
    sx_free(path);
    return rc;
}

static sx_err run(job *j) {
    static const job_action actions[] = {
        {"import", 3, import}, {"export", 3, export}, {"verify", 2, verify}};
    return job_act(j, actions, sizeof actions / sizeof *actions);
}

const job_verb cmd_weights = {
    .name = "weights",
    .arguments = "import FILE.safetensors RUN | export RUN FILE.safetensors | verify RUN",
    .summary = "weights to and from PyTorch's names",
    .sections = sections,
    .min_args = 2,
    .max_args = 3,
    .run = run};
