/* Inside of the verb `net`: what its tasks have in common. Parts:
 *
 *   cmd_net          the verb: options, the table of tasks
 *   cmd_net_session  files, network, images and losses of run, sample and fit
 *   cmd_net_run, cmd_net_sample, cmd_net_fit   a task each
 *   cmd_net_info     what a network costs; needs no file
 *
 * Not collective. */
#ifndef CMD_NET_H
#define CMD_NET_H

#include "io/io_tensors.h"
#include "jobs/job/job.h"
#include "model/net.h"

/* Blocks as in model/nn_params.h; with a spectral norm, params is what the network runs with, orig
 * what is stored. Begins as zeros. */
typedef struct cmd_net_session {
    io_tensors weights, input, result;
    net_config config;
    const net_about *about;
    const nn_kernels *kernels;
    int threads;
    net *net;
    float *orig, *params;
    int n_images, h, w;
    int64_t pixels;
} cmd_net_session;

/* Reads what `net.weights` and `net.input` name; configuration as the weights say of themselves.
 * Errors: SX_E_USAGE (an option is missing), those of files and of weights. */
sx_err cmd_net_read(job *j, cmd_net_session *s);
/* The network for the size of the images; after images were found. */
sx_err cmd_net_make(const job *j, cmd_net_session *s, bool train, bool input_grad);
void cmd_net_clear(cmd_net_session *s);

/* "input/name", else "name" of the input; NULL if neither is there. */
const io_tensor *cmd_net_find(const cmd_net_session *s, const char *name);
/* Images [batch][1][h][w]; the first that is asked for sets the size of all. Errors: SX_E_DATA. */
sx_err cmd_net_images(const job *j, cmd_net_session *s, const char *name, const io_tensor **t);

/* What the network is given: images [batch][h][w]; x and t NULL without a diffusion time. */
typedef struct cmd_net_given {
    const io_tensor *x, *lr;
    const int64_t *t;
} cmd_net_given;

/* `x_name`: the tensor with the images of a diffusion time. Errors: SX_E_DATA. */
sx_err cmd_net_inputs(const job *j, cmd_net_session *s, const char *x_name, cmd_net_given *in);
/* The answer to one image, of the network. */
const float *cmd_net_forward(cmd_net_session *s, const cmd_net_given *in, int image);
/* What one image [h][w] adds to the loss, a mean over the pixels of all, and its gradient; "l1"
 * or the mean square, as the input says in its metadata. */
double cmd_net_loss(const cmd_net_session *s, const float *y, const float *target, float *d_y);

/* The tasks. They put what they made into s->result. */
sx_err cmd_net_run(const job *j, cmd_net_session *s);
sx_err cmd_net_sample(const job *j, cmd_net_session *s);
sx_err cmd_net_fit(const job *j, cmd_net_session *s);
/* Prints. */
sx_err cmd_net_info(job *j);

#endif
