/* Files, network, images and losses (cmd_net.h). */
#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "jobs/net/cmd_net.h"
#include "model/nn_spectral.h"

void cmd_net_clear(cmd_net_session *s) {
    io_tensors_clear(&s->weights);
    io_tensors_clear(&s->input);
    io_tensors_clear(&s->result);
    net_free(s->net);
    sx_free(s->orig);
    sx_free(s->params);
}

const io_tensor *cmd_net_find(const cmd_net_session *s, const char *name) {
    char *full = sx_strf("input/%s", name);
    const io_tensor *it = io_tensors_find(&s->input, full);
    sx_free(full);
    return it != NULL ? it : io_tensors_find(&s->input, name);
}

/* ---- loading ---- */

static sx_err need_option(const job *j, const char *key) {
    if (*job_text(j, key) != '\0') return SX_OK;
    return sx_fail(SX_E_USAGE, "net %s needs --%s FILE", job_arg(j, 0), key + strlen("net."));
}

sx_err cmd_net_read(job *j, cmd_net_session *s) {
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

sx_err cmd_net_make(const job *j, cmd_net_session *s, bool train, bool input_grad) {
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

/* ---- images ---- */

sx_err cmd_net_images(const job *j, cmd_net_session *s, const char *name, const io_tensor **t) {
    const char *path = job_text(j, "net.input");
    *t = cmd_net_find(s, name);
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
static sx_err find_times(const job *j, const cmd_net_session *s, const int64_t **times) {
    const char *path = job_text(j, "net.input");
    const io_tensor *t = cmd_net_find(s, "t");
    if (t == NULL || t->i64 == NULL || t->count != s->n_images)
        return sx_fail(SX_E_DATA, "%s: no time steps t [%d] (int64)", path, s->n_images);
    for (int i = 0; i < s->n_images; i++)
        if (t->i64[i] < 0 || t->i64[i] >= DF_STEPS)
            return sx_fail(SX_E_DATA, "%s: time step %lld is not in 0..%d", path,
                           (long long)t->i64[i], DF_STEPS - 1);
    *times = t->i64;
    return SX_OK;
}

sx_err cmd_net_inputs(const job *j, cmd_net_session *s, const char *x_name, cmd_net_given *in) {
    sx_err rc;
    SX_TRY(rc, cmd_net_images(j, s, s->about->image, &in->lr));
    if (!s->about->has_time) goto out;
    SX_TRY(rc, cmd_net_images(j, s, x_name, &in->x));
    SX_TRY(rc, find_times(j, s, &in->t));
out:
    return rc;
}

const float *cmd_net_forward(cmd_net_session *s, const cmd_net_given *in, int image) {
    const int64_t at = image * s->pixels;
    const float *lr = in->lr->f32 + at;
    if (!s->about->has_time) return net_forward(s->net, s->params, NULL, lr, 0);
    return net_forward(s->net, s->params, in->x->f32 + at, lr, (double)in->t[image]);
}

/* ---- losses of n pixels: means over n_all ---- */

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

double cmd_net_loss(const cmd_net_session *s, const float *y, const float *target, float *d_y) {
    const char *name = io_tensors_meta(&s->input, "loss");
    loss_function *loss = name != NULL && strcmp(name, "l1") == 0 ? mean_absolute : mean_square;
    return loss(y, target, d_y, s->pixels, s->n_images * s->pixels);
}
