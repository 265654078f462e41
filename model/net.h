/* Networks: a table of architectures, each a function that builds its graph.
 *
 * A `net` is one architecture at one image size with its plan; nets of different sizes with the
 * same configuration share parameter blocks (the table of names is equal). Images are
 * single-channel planes [h][w] in -1..1. Not collective. */
#ifndef NET_H
#define NET_H

#include <stdbool.h>
#include <stdint.h>
#include "model/nn_graph.h"

typedef struct net_config {
    char arch[24];     /* "palette" */
    int base_channels; /* 64 */
    int mult[8];       /* 1 1 2 2 */
    int levels;        /* 4 */
    int res_blocks;    /* 2 (the decoder has one more) */
    double dropout;    /* 0.1 */
} net_config;

net_config net_config_default(void);

typedef struct net net;

typedef struct net_opt {
    bool train;      /* keep what backward needs */
    bool input_grad; /* also compute gradients of the inputs */
    int threads;     /* that share each image; 0 stands for 1 */
} net_opt;

/* Build and plan. Sizes must be divisible by 2^(levels-1). Errors: SX_E_CONFIG (sizes, unknown
 * arch), SX_E_NOMEM. */
sx_err net_new(net **n, const net_config *c, int h, int w, const nn_kernels *k, net_opt opt);
void net_free(net *n); /* takes NULL */
const nn_params *net_params(const net *n);
const nn_plan *net_plan(const net *n);
nn_graph *net_graph(net *n);
/* Its threads, for the loops around it; borrowed; NULL if there is one. */
sx_pool *net_pool(const net *n);
/* h * w of its images. */
int64_t net_pixels(const net *n);
/* Sides must be a multiple of this. */
int net_granularity(const net_config *c);

/* Output [h][w] for noised image x, condition lr, time t (0..999); borrowed until the next run.
 * Networks without a diffusion time ignore x and t. */
const float *net_forward(net *n, const float *params, const float *x, const float *lr, double t);
/* Gradient of the last forward; adds to grads (block layout). */
void net_backward(net *n, const float *params, const float *d_out, float *grads);

#endif
