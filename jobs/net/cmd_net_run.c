/* net run: the answers of a network, its loss and gradients (cmd_net.h). */
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/net/cmd_net.h"
#include "model/nn_spectral.h"

/* States have none. */
static void add_gradients(cmd_net_session *s, const float *grads) {
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

/* Buffers of one `net run`; images [batch][h][w]. */
typedef struct run_buffers {
    cmd_net_given in;
    const io_tensor *target; /* NULL: no loss */
    int64_t values;          /* of an answer */
    float *y, *d_y, *d_x, *d_lr, *grads;
    double loss;
} run_buffers;

static void run_image(cmd_net_session *s, run_buffers *b, int image, bool backward) {
    const int64_t at = image * s->pixels;
    const size_t n_bytes = (size_t)s->pixels * sizeof(float);
    const float *y = cmd_net_forward(s, &b->in, image);
    memcpy(b->y + image * b->values, y, (size_t)b->values * sizeof *y);
    if (b->target == NULL) return;
    b->loss += cmd_net_loss(s, y, b->target->f32 + at, b->d_y);
    if (!backward) return;
    net_backward(s->net, s->params, b->d_y, b->grads);
    memcpy(b->d_lr + at, net_input_grad(s->net, "lr"), n_bytes);
    if (s->about->has_time) memcpy(b->d_x + at, net_input_grad(s->net, "x"), n_bytes);
}

static sx_err run_inputs(const job *j, cmd_net_session *s, run_buffers *b) {
    sx_err rc;
    SX_TRY(rc, cmd_net_inputs(j, s, "x", &b->in));
    if (cmd_net_find(s, "target") != NULL || job_bool(j, "net.backward"))
        SX_TRY(rc, cmd_net_images(j, s, "target", &b->target));
    if (b->target != NULL && s->config.classes > 0)
        rc = sx_fail(SX_E_USAGE, "net run: a loss against classes is not to be had here");
out:
    return rc;
}

static void add_run(cmd_net_session *s, const run_buffers *b, bool backward) {
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

sx_err cmd_net_run(const job *j, cmd_net_session *s) {
    sx_err rc;
    run_buffers b = {0};
    bool backward = job_bool(j, "net.backward");
    SX_TRY(rc, run_inputs(j, s, &b));
    SX_TRY(rc, cmd_net_make(j, s, backward, backward));
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
