/* net fit: some steps of Adam on the images of a file (cmd_net.h). */
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/net/cmd_net.h"
#include "model/nn_optim.h"
#include "model/nn_spectral.h"

static const double fit_rate = 1e-4, fit_clip = 1.0;
enum { FIT_STEPS = 5 };

/* Blocks of the optimizer, and the batch. */
typedef struct fit_state {
    cmd_net_given in;
    const io_tensor *target;
    float *d_y, *grads, *m, *v;
    float *loss, *norm; /* [steps] */
} fit_state;

static double batch_gradient(cmd_net_session *s, fit_state *f) {
    double loss = 0;
    memset(f->grads, 0, (size_t)net_params(s->net)->block * sizeof *f->grads);
    for (int i = 0; i < s->n_images; i++) {
        int64_t at = i * s->pixels;
        const float *y = cmd_net_forward(s, &f->in, i);
        loss += cmd_net_loss(s, y, f->target->f32 + at, f->d_y);
        net_backward(s->net, s->params, f->d_y, f->grads);
    }
    nn_spectral_gradient(net_params(s->net), s->orig, f->grads);
    return loss;
}

static void fit_steps(cmd_net_session *s, fit_state *f, int64_t n_steps) {
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
static sx_err fit_inputs(const job *j, cmd_net_session *s, fit_state *f) {
    sx_err rc;
    if (s->config.classes > 0)
        return sx_fail(SX_E_USAGE, "net fit: a loss against classes is not to be had here");
    SX_TRY(rc, cmd_net_inputs(j, s, "x_t", &f->in));
    rc = cmd_net_images(j, s, s->about->has_time ? "eps" : "target", &f->target);
out:
    return rc;
}

sx_err cmd_net_fit(const job *j, cmd_net_session *s) {
    sx_err rc;
    fit_state f = {0};
    int64_t n_steps = job_int(j, "net.steps") > 0 ? job_int(j, "net.steps") : FIT_STEPS;
    SX_TRY(rc, fit_inputs(j, s, &f));
    SX_TRY(rc, cmd_net_make(j, s, true, false));
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
