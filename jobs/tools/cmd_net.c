/* sagax net info|run|sample|fit: a window into the engine, to check weights that were trained
 * elsewhere and to see what a network costs.
 *
 * Files are safetensors: weights as param/NAME (or NAME), inputs as input/NAME (or NAME), images
 * [batch][1][h][w]; one file may hold both (docs/formats.md). Network and diffusion are what the
 * weights say of themselves (job_weights.h) where the user says nothing; `info` needs no file. A
 * batch is a loop over images. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_mem.h"
#include "io/io_tensors.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "jobs/job/verbs.h"
#include "model/nn_optim.h"
#include "model/nn_spectral.h"

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

/* ---- what run, sample and fit have in common ---- */

typedef struct session {
    io_tensors weights, input, result;
    net_config config;
    const net_about *about;
    const nn_kernels *kernels;
    int threads;
    net *net;
    float *orig, *params; /* blocks */
    int n_images, h, w;
    int64_t pixels;
} session;

static void session_clear(session *s) {
    io_tensors_clear(&s->weights);
    io_tensors_clear(&s->input);
    io_tensors_clear(&s->result);
    net_free(s->net);
    sx_free(s->orig);
    sx_free(s->params);
}

/* "prefix/name", else "name"; NULL if neither is there. */
static const io_tensor *find(const io_tensors *t, const char *prefix, const char *name) {
    char *full = sx_strf("%s/%s", prefix, name);
    const io_tensor *it = io_tensors_find(t, full);
    sx_free(full);
    return it != NULL ? it : io_tensors_find(t, name);
}

static sx_err need_option(const job *j, const char *key) {
    if (*job_text(j, key) != '\0') return SX_OK;
    return sx_fail(SX_E_USAGE, "net %s needs --%s FILE", job_arg(j, 0), key + strlen("net."));
}

/* ---- loading ---- */

/* Images [batch][1][h][w]; the first that is asked for sets the size of all. */
static sx_err find_images(const job *j, session *s, const char *name, const io_tensor **t) {
    const char *path = job_text(j, "net.input");
    *t = find(&s->input, "input", name);
    if (*t == NULL) return sx_fail(SX_E_DATA, "%s: no images %s [batch][1][h][w]", path, name);
    if ((*t)->f32 == NULL || (*t)->rank != 4 || (*t)->shape[1] != 1)
        return sx_fail(SX_E_DATA,
                       "%s: %s is not what a network takes: floats [batch][1][h][w] in -1..1", path,
                       name);
    const int64_t *d = (*t)->shape;
    if (d[0] < 1 || d[0] > 65536 || d[2] > 16384 || d[3] > 16384)
        return sx_fail(SX_E_DATA, "%s: %s is too large or empty", path, name);
    if (s->n_images == 0) {
        s->n_images = (int)d[0];
        s->h = (int)d[2];
        s->w = (int)d[3];
        s->pixels = d[2] * d[3];
    }
    if (d[0] != s->n_images || d[2] != s->h || d[3] != s->w)
        return sx_fail(SX_E_DATA, "%s: %s has another size than the other images", path, name);
    return SX_OK;
}

/* Time steps [batch]; every one 0..999. */
static sx_err find_times(const job *j, const session *s, const int64_t **times) {
    const char *path = job_text(j, "net.input");
    const io_tensor *t = find(&s->input, "input", "t");
    if (t == NULL || t->i64 == NULL || t->count != s->n_images)
        return sx_fail(SX_E_DATA, "%s: no time steps t [%d] (int64)", path, s->n_images);
    for (int i = 0; i < s->n_images; i++)
        if (t->i64[i] < 0 || t->i64[i] >= DF_STEPS)
            return sx_fail(SX_E_DATA, "%s: time step %lld is not in 0..%d", path,
                           (long long)t->i64[i], DF_STEPS - 1);
    *times = t->i64;
    return SX_OK;
}

static sx_err read_files(job *j, session *s) {
    sx_err rc;
    SX_TRY(rc, need_option(j, "net.weights"));
    SX_TRY(rc, need_option(j, "net.input"));
    SX_TRY(rc, need_option(j, "net.output"));
    SX_TRY(rc, io_tensors_read(job_text(j, "net.weights"), &s->weights));
    SX_TRY(rc, io_tensors_read(job_text(j, "net.input"), &s->input));
    SX_TRY(rc, job_weights_inherit_tensors(j, job_text(j, "net.weights"), &s->weights));
    SX_TRY(rc, job_net_config(j, &s->config));
    s->about = net_about_arch(s->config.arch);
    SX_TRY(rc, job_kernels(j, &s->kernels));
    s->threads = job_threads(j);
out:
    return rc;
}

/* With a spectral norm, params is what the network runs with, orig what is stored. */
static sx_err make_net(const job *j, session *s, bool train, bool input_grad) {
    sx_err rc = net_new(&s->net, &s->config, s->h, s->w, s->kernels,
                        (net_opt){.train = train,
                                  .input_grad = input_grad,
                                  .threads = s->threads,
                                  .most_bytes = job_activation_bytes(j)});
    if (rc != SX_OK) return rc;
    const nn_params *p = net_params(s->net);
    s->orig = nn_params_block(p);
    s->params = nn_params_block(p);
    rc = job_weights_take(job_text(j, "net.weights"), &s->weights, p, s->orig);
    nn_spectral_effective(p, s->orig, s->params);
    return rc;
}

/* ---- losses: mean over all pixels of all images ---- */

typedef double loss_function(const float *y, const float *target, float *d_y, int64_t n,
                             int64_t n_all);

static double mean_square(const float *y, const float *target, float *d_y, int64_t n,
                          int64_t n_all) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)y[i] - (double)target[i];
        sum += d * d;
        d_y[i] = (float)(2 * d / (double)n_all);
    }
    return sum / (double)n_all;
}

static double mean_absolute(const float *y, const float *target, float *d_y, int64_t n,
                            int64_t n_all) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)y[i] - (double)target[i];
        sum += fabs(d);
        d_y[i] = (float)((d > 0) - (d < 0)) / (float)n_all;
    }
    return sum / (double)n_all;
}

static loss_function *loss_of(const io_tensors *input) {
    const char *name = io_tensors_meta(input, "loss");
    return name != NULL && strcmp(name, "l1") == 0 ? mean_absolute : mean_square;
}

/* ---- net run ---- */

/* States have none. */
static void add_gradients(session *s, const float *grads) {
    const nn_params *p = net_params(s->net);
    for (int i = 0; i < p->n; i++) {
        const nn_param *it = &p->item[i];
        if (it->state) continue;
        char *name = sx_strf("grad/%s", it->name);
        float *values = SX_NEW_ARRAY(float, it->count);
        nn_params_get(p, i, grads, values);
        io_tensors_add_f32(&s->result, name, it->rank, it->shape, values);
        sx_free(values);
        sx_free(name);
    }
}

/* What the network is given: images [batch][h][w]; x and t NULL without a diffusion time. */
typedef struct images {
    const io_tensor *x, *lr;
    const int64_t *t;
} images;

static sx_err find_inputs(const job *j, session *s, const char *x_name, images *in) {
    sx_err rc;
    SX_TRY(rc, find_images(j, s, s->about->image, &in->lr));
    if (!s->about->has_time) goto out;
    SX_TRY(rc, find_images(j, s, x_name, &in->x));
    SX_TRY(rc, find_times(j, s, &in->t));
out:
    return rc;
}

static const float *forward(session *s, const images *in, int image) {
    const int64_t at = image * s->pixels;
    const float *lr = in->lr->f32 + at;
    if (!s->about->has_time) return net_forward(s->net, s->params, NULL, lr, 0);
    return net_forward(s->net, s->params, in->x->f32 + at, lr, (double)in->t[image]);
}

/* Buffers of one `net run`; images [batch][h][w]. */
typedef struct run_buffers {
    images in;
    const io_tensor *target; /* NULL: no loss */
    int64_t values;          /* of an answer */
    float *y, *d_y, *d_x, *d_lr, *grads;
    double loss;
} run_buffers;

static void run_image(session *s, run_buffers *b, int image, bool backward) {
    const int64_t at = image * s->pixels, n_all = s->n_images * s->pixels;
    const size_t n_bytes = (size_t)s->pixels * sizeof(float);
    const float *y = forward(s, &b->in, image);
    memcpy(b->y + image * b->values, y, (size_t)b->values * sizeof *y);
    if (b->target == NULL) return;
    b->loss += loss_of(&s->input)(y, b->target->f32 + at, b->d_y, s->pixels, n_all);
    if (!backward) return;
    net_backward(s->net, s->params, b->d_y, b->grads);
    memcpy(b->d_lr + at, net_input_grad(s->net, "lr"), n_bytes);
    if (s->about->has_time) memcpy(b->d_x + at, net_input_grad(s->net, "x"), n_bytes);
}

static sx_err run_inputs(const job *j, session *s, run_buffers *b) {
    sx_err rc;
    SX_TRY(rc, find_inputs(j, s, "x", &b->in));
    if (find(&s->input, "input", "target") != NULL || job_bool(j, "net.backward"))
        SX_TRY(rc, find_images(j, s, "target", &b->target));
    if (b->target != NULL && s->config.classes > 0)
        rc = sx_fail(SX_E_USAGE, "net run: a loss against classes is not to be had here");
out:
    return rc;
}

static void add_run(session *s, const run_buffers *b, bool backward) {
    const int64_t *shape = b->in.lr->shape;
    /* [batch][h][w][channels]: the only network with several channels has them last */
    const int channels = net_channels(s->net);
    const int64_t several[] = {s->n_images, s->h, s->w, channels};
    io_tensors_add_f32(&s->result, "output", 4, channels == 1 ? shape : several, b->y);
    if (b->target != NULL)
        io_tensors_add_f32(&s->result, "loss", 1, (int64_t[]){1}, (float[]){(float)b->loss});
    if (!backward) return;
    char *name = sx_strf("grad_input/%s", s->about->image);
    io_tensors_add_f32(&s->result, name, 4, shape, b->d_lr);
    sx_free(name);
    if (s->about->has_time) io_tensors_add_f32(&s->result, "grad_input/x", 4, shape, b->d_x);
    nn_spectral_gradient(net_params(s->net), s->orig, b->grads);
    add_gradients(s, b->grads);
}

static sx_err net_run(const job *j, session *s) {
    sx_err rc;
    run_buffers b = {0};
    bool backward = job_bool(j, "net.backward");
    SX_TRY(rc, run_inputs(j, s, &b));
    SX_TRY(rc, make_net(j, s, backward, backward));
    const int64_t n_all = s->n_images * s->pixels;
    b.values = s->pixels * net_channels(s->net);
    b.y = SX_NEW_ARRAY(float, s->n_images *b.values);
    b.d_y = SX_NEW_ARRAY(float, b.values);
    b.d_x = SX_NEW_ARRAY(float, n_all);
    b.d_lr = SX_NEW_ARRAY(float, n_all);
    b.grads = nn_params_block(net_params(s->net));
    for (int i = 0; i < s->n_images; i++) run_image(s, &b, i, backward);
    add_run(s, &b, backward);
out:
    sx_free(b.y);
    sx_free(b.d_y);
    sx_free(b.d_x);
    sx_free(b.d_lr);
    sx_free(b.grads);
    return rc;
}

/* ---- net sample ---- */

typedef struct state_sink {
    float *states; /* [steps][batch][h][w] */
    int image, n_images;
} state_sink;

static void keep_state(void *user, int step, float *x, int64_t n) {
    state_sink *sink = user;
    memcpy(sink->states + ((int64_t)step * sink->n_images + sink->image) * n, x,
           (size_t)n * sizeof *x);
}

/* As many calls of the network as the sampler will make. */
static int sampler_steps(const job *j) {
    int t[DF_STEPS];
    int64_t asked = job_int(j, "net.steps");
    if (asked == 0) asked = job_int(j, "diffusion.steps");
    return df_timesteps(asked < DF_STEPS ? (int)asked : DF_STEPS, t);
}

static sx_err net_sample(const job *j, session *s) {
    sx_err rc;
    const io_tensor *lr, *noise;
    df_schedule schedule;
    float *x = NULL;
    state_sink sink = {0};
    const int n_steps = sampler_steps(j);
    if (!s->about->has_time)
        return sx_fail(SX_E_USAGE, "net sample: %s has no diffusion time; net run gives its answer",
                       s->about->name);
    SX_TRY(rc, find_images(j, s, "lr", &lr));
    SX_TRY(rc, find_images(j, s, "x_T", &noise));
    SX_TRY(rc, job_schedule(j, &schedule));
    SX_TRY(rc, make_net(j, s, false, false));
    int64_t n_all = s->n_images * s->pixels;
    x = SX_NEW_ARRAY(float, n_all);
    sink = (state_sink){SX_NEW_ARRAY(float, n_steps *n_all), 0, s->n_images};
    memcpy(x, noise->f32, (size_t)n_all * sizeof *x);
    for (; sink.image < s->n_images; sink.image++) {
        int64_t at = sink.image * s->pixels;
        df_sample(&schedule, s->net, s->params, lr->f32 + at, n_steps, x + at, NULL, keep_state,
                  &sink);
    }
    io_tensors_add_f32(&s->result, "output", 4, lr->shape, x);
    io_tensors_add_f32(&s->result, "states", 5, (int64_t[]){n_steps, s->n_images, 1, s->h, s->w},
                       sink.states);
out:
    sx_free(x);
    sx_free(sink.states);
    return rc;
}

/* ---- net fit ---- */

static const double fit_rate = 1e-4, fit_clip = 1.0;
enum { FIT_STEPS = 5 };

/* Blocks of the optimizer, and the batch. */
typedef struct fit_state {
    images in;
    const io_tensor *target;
    float *d_y, *grads, *m, *v;
    float *loss, *norm; /* [steps] */
} fit_state;

static double batch_gradient(session *s, fit_state *f) {
    double loss = 0;
    int64_t n_all = s->n_images * s->pixels;
    memset(f->grads, 0, (size_t)net_params(s->net)->block * sizeof *f->grads);
    for (int i = 0; i < s->n_images; i++) {
        int64_t at = i * s->pixels;
        const float *y = forward(s, &f->in, i);
        loss += loss_of(&s->input)(y, f->target->f32 + at, f->d_y, s->pixels, n_all);
        net_backward(s->net, s->params, f->d_y, f->grads);
    }
    nn_spectral_gradient(net_params(s->net), s->orig, f->grads);
    return loss;
}

static void fit_steps(session *s, fit_state *f, int64_t n_steps) {
    const nn_adam adam = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    int64_t block = net_params(s->net)->block;
    for (int64_t i = 0; i < n_steps; i++) {
        nn_spectral_effective(net_params(s->net), s->orig, s->params);
        f->loss[i] = (float)batch_gradient(s, f);
        double norm = nn_norm2(f->grads, block, net_pool(s->net));
        f->norm[i] = (float)norm;
        const nn_adam_blocks b = {.p = s->orig,
                                  .grad = f->grads,
                                  .grad_scale = norm > fit_clip ? fit_clip / norm : 1.0,
                                  .m = f->m,
                                  .v = f->v,
                                  .n = block};
        nn_adam_step(&adam, fit_rate, i + 1, &b, net_pool(s->net));
    }
}

/* A network with a diffusion time learns the noise, the others the target. */
static sx_err fit_inputs(const job *j, session *s, fit_state *f) {
    sx_err rc;
    if (s->config.classes > 0)
        return sx_fail(SX_E_USAGE, "net fit: a loss against classes is not to be had here");
    SX_TRY(rc, find_inputs(j, s, "x_t", &f->in));
    rc = find_images(j, s, s->about->has_time ? "eps" : "target", &f->target);
out:
    return rc;
}

static sx_err net_fit(const job *j, session *s) {
    sx_err rc;
    fit_state f = {0};
    int64_t n_steps = job_int(j, "net.steps") > 0 ? job_int(j, "net.steps") : FIT_STEPS;
    SX_TRY(rc, fit_inputs(j, s, &f));
    SX_TRY(rc, make_net(j, s, true, false));
    f.d_y = SX_NEW_ARRAY(float, s->pixels);
    f.grads = nn_params_block(net_params(s->net));
    f.m = nn_params_block(net_params(s->net));
    f.v = nn_params_block(net_params(s->net));
    f.loss = SX_NEW_ARRAY(float, n_steps);
    f.norm = SX_NEW_ARRAY(float, n_steps);
    fit_steps(s, &f, n_steps);
    io_tensors_add_f32(&s->result, "loss", 1, &n_steps, f.loss);
    io_tensors_add_f32(&s->result, "grad_norm", 1, &n_steps, f.norm);
out:
    sx_free(f.d_y);
    sx_free(f.grads);
    sx_free(f.m);
    sx_free(f.v);
    sx_free(f.loss);
    sx_free(f.norm);
    return rc;
}

/* ---- net info ---- */

enum { MAX_OPS = 32, TIMED_RUNS = 3 };

typedef struct info {
    net_config config;
    const nn_kernels *kernels;
    int threads;
    int h, w;
    int64_t n_parameters;
    nn_plan forward, train;
    nn_op_time op[MAX_OPS]; /* of one forward and backward */
    int n_ops;
} info;

static sx_err parse_size(const char *text, int *h, int *w) {
    char rest;
    if (sscanf(text, "%dx%d%c", h, w, &rest) == 2) return SX_OK;
    return sx_fail(SX_E_USAGE, "--size %s: should be HxW, for example 160x160", text);
}

/* Forward and backward of a blank image with new weights; the first run warms the caches. */
static void time_ops(net *n, info *f) {
    const nn_params *p = net_params(n);
    float *params = nn_params_block(p), *grads = nn_params_block(p);
    float *image = SX_NEW_ARRAY(float, net_pixels(n) * net_channels(n));
    nn_params_init(p, params, 1);
    for (int i = 0; i <= TIMED_RUNS; i++) {
        net_forward(n, params, image, image, 500);
        net_backward(n, params, image, grads);
        if (i == 0) nn_graph_times(net_graph(n), f->op, MAX_OPS, true);
    }
    f->n_ops = nn_graph_times(net_graph(n), f->op, MAX_OPS, true);
    for (int i = 0; i < f->n_ops; i++) {
        f->op[i].calls /= TIMED_RUNS;
        f->op[i].macs /= TIMED_RUNS;
        f->op[i].forward_s /= TIMED_RUNS;
        f->op[i].backward_s /= TIMED_RUNS;
    }
    sx_free(image);
    sx_free(grads);
    sx_free(params);
}

static sx_err collect_info(job *j, info *f) {
    const char *weights = job_text(j, "net.weights");
    sx_err rc;
    net *n = NULL;
    if (*weights) SX_TRY(rc, job_weights_inherit(j, weights, NULL));
    SX_TRY(rc, job_net_config(j, &f->config));
    SX_TRY(rc, job_kernels(j, &f->kernels));
    f->threads = job_threads(j);
    SX_TRY(rc, parse_size(job_text(j, "net.size"), &f->h, &f->w));
    SX_TRY(rc, net_new(&n, &f->config, f->h, f->w, f->kernels, (net_opt){.threads = f->threads}));
    f->forward = *net_plan(n);
    net_free(n);
    n = NULL;
    SX_TRY(rc, net_new(&n, &f->config, f->h, f->w, f->kernels,
                       (net_opt){.train = true,
                                 .threads = f->threads,
                                 .most_bytes = job_activation_bytes(j)}));
    f->train = *net_plan(n);
    f->n_parameters = net_params(n)->count;
    time_ops(n, f);
out:
    net_free(n);
    return rc;
}

static json_t *plan_json(const nn_plan *p) {
    return json_pack("{s:I,s:I,s:I}", "activation_bytes", (json_int_t)p->activation_bytes,
                     "scratch_bytes", (json_int_t)p->scratch_bytes, "again_macs",
                     (json_int_t)p->again_macs);
}

static json_t *ops_json(const info *f) {
    json_t *ops = json_array();
    for (int i = 0; i < f->n_ops; i++)
        json_array_append_new(ops, json_pack("{s:s,s:I,s:I,s:f,s:f}", "op", f->op[i].op, "calls",
                                             (json_int_t)f->op[i].calls, "macs",
                                             (json_int_t)f->op[i].macs, "forward_ms",
                                             1e3 * f->op[i].forward_s, "backward_ms",
                                             1e3 * f->op[i].backward_s));
    return ops;
}

/* "net" for "arch", then the sizes, as they are in one flat object. */
static void print_info_json(const job *j, const info *f) {
    json_t *o = json_pack("{s:s}", "net", f->config.arch), *sizes = job_net_json(j, true);
    json_object_del(sizes, "arch");
    json_object_update(o, sizes);
    json_decref(sizes);
    json_t *rest =
        json_pack("{s:i,s:i,s:s,s:s,s:i,s:I,s:I,s:i,s:o,s:o,s:o}", "height", f->h, "width", f->w,
                  "kernels", f->kernels->name, "isa", f->kernels->isa, "threads", f->threads,
                  "parameters", (json_int_t)f->n_parameters, "macs", (json_int_t)f->forward.macs,
                  "ops", f->forward.n_ops, "forward_plan", plan_json(&f->forward), "train_plan",
                  plan_json(&f->train), "times", ops_json(f));
    json_object_update(o, rest);
    json_decref(rest);
    job_json_print(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
}

static void print_sizes(const job *j, const net_about *about) {
    printf("%s", about->name);
    for (const net_setting *s = about->sizes; s->key != NULL; s++)
        printf(", %s %s", s->key + strlen("model."), job_as_given(j, s->key));
    printf("\n");
}

static void print_info_text(const job *j, const info *f) {
    const double mib = 1024.0 * 1024.0;
    double forward_s = 0, backward_s = 0;
    print_sizes(j, net_about_arch(f->config.arch));
    printf("parameters  %lld\n", (long long)f->n_parameters);
    printf("MACs        %lld for %d x %d pixels\n", (long long)f->forward.macs, f->h, f->w);
    printf("memory      forward %.1f MiB + %.1f scratch, training %.1f MiB + %.1f scratch\n",
           (double)f->forward.activation_bytes / mib, (double)f->forward.scratch_bytes / mib,
           (double)f->train.activation_bytes / mib, (double)f->train.scratch_bytes / mib);
    if (f->train.again_macs > 0)
        printf("            training makes %.0f %% of the forward pass again (model.activations)\n",
               100 * (double)f->train.again_macs / (double)f->train.macs);
    printf(
        "kernels     %s (%s), %d thread%s\n\nop                calls   forward ms  backward ms\n",
        f->kernels->name, f->kernels->isa, f->threads, f->threads > 1 ? "s" : "");
    for (int i = 0; i < f->n_ops; i++) {
        printf("%-17s %5lld %12.3f %12.3f\n", f->op[i].op, (long long)f->op[i].calls,
               1e3 * f->op[i].forward_s, 1e3 * f->op[i].backward_s);
        forward_s += f->op[i].forward_s;
        backward_s += f->op[i].backward_s;
    }
    printf("%-17s %5d %12.3f %12.3f\n", "all", f->forward.n_ops, 1e3 * forward_s, 1e3 * backward_s);
}

static sx_err net_info(job *j) {
    info f = {0};
    sx_err rc = collect_info(j, &f);
    if (rc == SX_OK) (job_json(j) ? print_info_json : print_info_text)(j, &f);
    return rc;
}

/* ---- the verb ---- */

/* What a task made, on stdout. */
static void print_result(const job *j, const session *s) {
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

static const struct {
    const char *name;
    sx_err (*run)(const job *j, session *s);
} tasks[] = {{"run", net_run}, {"sample", net_sample}, {"fit", net_fit}};

static sx_err run_task(job *j, sx_err (*task)(const job *j, session *s)) {
    sx_err rc;
    session s = {0};
    SX_TRY(rc, read_files(j, &s));
    SX_TRY(rc, task(j, &s));
    if (job_dry_run(j)) goto out;
    SX_TRY(rc, io_tensors_write(job_text(j, "net.output"), &s.result));
    print_result(j, &s);
out:
    session_clear(&s);
    return rc;
}

static sx_err run(job *j) {
    const char *name = job_arg(j, 0);
    if (strcmp(name, "info") == 0) return net_info(j);
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (strcmp(name, tasks[i].name) == 0) return run_task(j, tasks[i].run);
    return sx_fail(SX_E_USAGE, "net %s: should be info, run, sample or fit", name);
}

const job_verb cmd_net = {"net",
                          "info|run|sample|fit",
                          "look into a network: cost, values, gradients",
                          sections,
                          aliases,
                          1,
                          1,
                          false,
                          run};
