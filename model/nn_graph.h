/* Static-graph engine for one image: shapes, memory plan, forward, backward.
 *
 * A network builds its graph once, op by op; shapes are inferred as ops are added. nn_graph_plan
 * then gives every activation an offset in one block (liveness: forward only, or forward +
 * backward) and the block is allocated; nothing is allocated in a step. All tensors are one image,
 * channels last: [h][w][c] float; vectors are [1][1][c]. A batch is a loop over images whose
 * gradients accumulate, which is exact because no op looks across images, and keeps memory constant
 * in the batch.
 *
 * Each op is one record: shape rule, forward, backward, cost (model/nn_ops.h); convolutions and
 * matrix products go through a kernel table (model/nn_kernels.h); planning fuses what stands around
 * a convolution into it where the kernels can (nn_graph_fuse.c). Life cycle: new -> input/param/ops
 * -> output -> plan -> {forward [-> backward]}* -> free. Not collective. A graph is used by one
 * thread, which may share the work with a team; equal runs give equal bytes for a fixed size of the
 * team. */
#ifndef NN_GRAPH_H
#define NN_GRAPH_H

#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"
#include "model/nn_kernels.h"
#include "model/nn_params.h"

typedef struct nn_graph nn_graph;
typedef int nn_tensor; /* index of a tensor in its graph */

nn_graph *nn_graph_new(void);
void nn_graph_free(nn_graph *g); /* takes NULL */

/* ---- building; a shape mismatch is our own bug (SX_ASSERT) ---- */
nn_tensor nn_input(nn_graph *g, const char *name, int h, int w, int c);
/* conv, stride 1, zero padding "same", kernel 1 or 3, with bias: parameters name.weight, name.bias.
 * rank 4 weights [k][c][ks][ks], or rank 3 [k][c][1] if `conv1d` (attention of ADM), or rank 2
 * [k][c] if `linear` (a linear layer of every pixel). */
typedef struct nn_conv_opt {
    int kernel;    /* 1 or 3 */
    nn_init init;  /* of the weights; the bias is zero unless they are NN_INIT_FAN_IN */
    bool conv1d;   /* PyTorch Conv1d names and shape */
    bool linear;   /* PyTorch Linear names and shape */
    bool no_bias;  /* name.weight alone */
    bool spectral; /* spectral norm: the weight is name.weight_orig, with the states name.weight_u
                      [k] and name.weight_v [c ks ks]; runs take the effective block
                      (nn_spectral.h) */
} nn_conv_opt;
nn_tensor nn_conv(nn_graph *g, nn_tensor x, const char *name, int k, nn_conv_opt opt);
nn_tensor nn_linear(nn_graph *g, nn_tensor x, const char *name, int k);
/* group norm, groups = largest divisor of c up to 32, eps 1e-5; then y * (1 + scale) + shift if
 * film >= 0 (film is [1][1][2c]: scale, shift); then SiLU if asked. */
nn_tensor nn_norm(nn_graph *g, nn_tensor x, const char *name, nn_tensor film, bool silu);
nn_tensor nn_silu(nn_graph *g, nn_tensor x);
nn_tensor nn_add(nn_graph *g, nn_tensor a, nn_tensor b);
nn_tensor nn_concat(nn_graph *g, nn_tensor a, nn_tensor b); /* channels */
nn_tensor nn_avgpool2(nn_graph *g, nn_tensor x);
nn_tensor nn_upsample2(nn_graph *g, nn_tensor x);        /* nearest */
nn_tensor nn_dropout(nn_graph *g, nn_tensor x, float p); /* counter-based mask */
/* One head over h*w tokens: qkv [h][w][3d] -> [h][w][d], scale 1/sqrt(d). */
nn_tensor nn_attention(nn_graph *g, nn_tensor qkv);

/* ---- ops of the other networks: RCAN, RRDB and its discriminator, HAT ---- */
/* Any kernel, stride and zero padding (model/nn_ops_strided.c): [h][w][c] -> [(h + 2 pad - kernel)
 * / stride + 1][..][k]. */
typedef struct nn_strided_opt {
    int kernel, stride, pad;
    bool no_bias, spectral; /* as in nn_conv_opt */
} nn_strided_opt;
nn_tensor nn_conv_strided(nn_graph *g, nn_tensor x, const char *name, int k, nn_strided_opt opt);
nn_tensor nn_relu(nn_graph *g, nn_tensor x);
nn_tensor nn_leaky_relu(nn_graph *g, nn_tensor x, float slope);
nn_tensor nn_gelu(nn_graph *g, nn_tensor x);                                 /* exact: x * Phi(x) */
nn_tensor nn_add_scaled(nn_graph *g, nn_tensor a, nn_tensor b, float scale); /* a + scale * b */
/* Layer norm over the channels of each pixel, eps 1e-5: parameters name.weight, name.bias [c]. */
nn_tensor nn_layer_norm(nn_graph *g, nn_tensor x, const char *name);
nn_tensor nn_global_avgpool(nn_graph *g, nn_tensor x); /* [h][w][c] -> [1][1][c] */
/* x * sigmoid(gate), gate [1][1][c]: channel attention. */
nn_tensor nn_channel_gate(nn_graph *g, nn_tensor x, nn_tensor gate);
/* PyTorch's order: [h][w][c r^2] <-> [h r][w r][c], coarse channel = (c * r + i) * r + j. */
nn_tensor nn_pixel_shuffle(nn_graph *g, nn_tensor x, int r);
nn_tensor nn_pixel_unshuffle(nn_graph *g, nn_tensor x, int r);
nn_tensor nn_bilinear2(nn_graph *g, nn_tensor x); /* to twice the size, corners not aligned */
/* Multi-head attention inside square windows of h x w tokens: qkv [h][w][3c] -> [h][w][c], scale
 * 1/sqrt(c / heads), with a bias for each relative position and head: parameter
 * name.relative_position_bias_table [(window + keys - 1)^2][heads] (model/nn_ops_window.c).
 *   keys = window: self-attention of Swin; the windows may be shifted cyclically by `shift`, with
 *     -100 between tokens that are no neighbours.
 *   overlapping, as ever where keys > window: cross-attention of HAT, queries of a window against
 *     the keys x keys tokens around it, zeros outside of the image; no shift; another order of the
 *     table. */
typedef struct nn_window_opt {
    int heads;  /* divides c */
    int window; /* divides h and w */
    int shift;  /* 0 .. window - 1 */
    int keys;   /* window, or window + an even number */
    bool overlapping;
} nn_window_opt;
nn_tensor nn_window_attention(nn_graph *g, nn_tensor qkv, const char *name, nn_window_opt opt);
void nn_output(nn_graph *g, nn_tensor y);

/* ---- planning ---- */
/* Threads that share each image; borrowed, must outlive the graph. Before planning. */
void nn_graph_share(nn_graph *g, sx_pool *pool);
typedef struct nn_plan {
    int64_t activation_bytes, scratch_bytes;
    int64_t macs, again_macs; /* of a forward pass; of what a backward pass makes again */
    int n_ops, n_tensors;
} nn_plan;
/* `train`: keep what backward needs. Errors: SX_E_NOMEM. */
sx_err nn_graph_plan(nn_graph *g, const nn_kernels *kernels, bool train, nn_plan *plan);
const nn_params *nn_graph_params(const nn_graph *g);

/* ---- running ---- */
/* Key of the dropout masks of the next forward; dropout off when `on` is false. */
void nn_graph_dropout(nn_graph *g, bool on, uint64_t seed, uint64_t step, uint64_t image);
/* Input [h][w][c] of that name to fill before forward; borrowed. NULL if there is none. */
float *nn_graph_input(nn_graph *g, const char *name);
/* Run with this parameter block; returns the output [h][w][c], borrowed until the next run. */
const float *nn_graph_forward(nn_graph *g, const float *params);
/* Whether backward passes write the gradients of parameters (true) or add to them (false, at
 * first). What lies between parameters, and states, are left as they are in both. */
void nn_graph_overwrite(nn_graph *g, bool on);
/* d_output [h][w][c] of the last forward; gradients go into `grads` (block layout); input
 * gradients can then be read with nn_graph_input_grad (borrowed, NULL unless asked for in
 * nn_graph_want_input_grad before planning). */
void nn_graph_backward(nn_graph *g, const float *params, const float *d_output, float *grads);
void nn_graph_want_input_grad(nn_graph *g, const char *name);
const float *nn_graph_input_grad(nn_graph *g, const char *name);

/* Called after each op of a backward pass: gradients of parameters from float `first_final` of the
 * block on are final. NULL: nobody. */
typedef void nn_watch(void *watcher, int64_t first_final);
void nn_graph_watch(nn_graph *g, nn_watch *watch, void *watcher);

/* Weights as the kernels want them, made once for many forward runs with the same parameters. They
 * do not depend on the size of the image as long as its smallest level is 4 pixels or more. */
int64_t nn_graph_ready_count(const nn_graph *g); /* floats; 0: nothing to prepare */
/* Share `part` of `parts`, 0-based, into ready [count], 64-byte aligned; shares may be made at
 * once. */
void nn_graph_prepare(const nn_graph *g, const float *params, int part, int parts, float *ready);
/* Use them in forward runs from now on; borrowed; NULL: no longer. */
void nn_graph_use_ready(nn_graph *g, const float *ready);

/* Seconds spent in each kind of op since the last call with reset, for `net info` and benchmarks;
 * what runs again in a backward pass is in forward_s. */
typedef struct nn_op_time {
    const char *op;
    int64_t calls, macs;
    double forward_s, backward_s;
} nn_op_time;
int nn_graph_times(nn_graph *g, nn_op_time *rows, int max_rows, bool reset);

#endif
