/* Networks: a table of architectures, each a function that builds its graph.
 *
 * A `net` is one architecture at one image size with its plan; nets of different sizes with the
 * same configuration share parameter blocks (the table of names is equal). Inputs are
 * single-channel planes [h][w] in -1..1. Not collective.
 *
 *   palette        diffusion UNet: noised image, condition, time -> what the schedule predicts
 *   rcan, rrdb, hat  regression: low resolution -> high resolution, both [h][w]
 *   discriminator  image -> logit of each pixel; its weights have a spectral norm (nn_spectral.h)
 *   seg            image -> logits [h][w][classes] */
#ifndef NET_H
#define NET_H

#include <stdbool.h>
#include <stdint.h>
#include "model/nn_graph.h"

enum { NET_MAX_LIST = 8 };

/* Sizes; an architecture reads those that its row names (net_about.sizes). */
typedef struct net_config {
    char arch[24];
    int base_channels;                /* width at full resolution */
    int mult[NET_MAX_LIST], levels;   /* palette, seg: width of each level, times base_channels */
    int res_blocks;                   /* … (the decoder has one more) */
    double dropout;                   /* … */
    int classes;                      /* seg */
    int groups;                       /* rcan */
    int blocks;                       /* rcan: of a group; rrdb */
    int reduction;                    /* rcan: of channel attention */
    int growth, unshuffle;            /* rrdb */
    int depths[NET_MAX_LIST], layers; /* hat: blocks of each group */
    int heads, window;                /* hat */
    double overlap, mlp_ratio;        /* hat: share of a window; hidden width of the MLP */
    int compress, squeeze;            /* hat: of the convolutions, of channel attention */
} net_config;

/* A key of the configuration and the value that an architecture gives it. */
typedef struct net_setting {
    const char *key, *text;
} net_setting;

/* What a row of the table says of itself. Both lists end with a key NULL. */
typedef struct net_about {
    const char *name;
    const char *kind;  /* "diffusion", "regression", "adversarial" (the discriminator's part),
                          "segmentation": how it is trained unless told otherwise */
    const char *image; /* what its input is called in files of images: "lr" or "x" */
    bool has_time;     /* takes a noised image and a diffusion time beside its input */
    const net_setting *sizes;    /* model.*: all that it reads, as published */
    const net_setting *training; /* train.*: as published, where the defaults differ */
} net_about;

/* The row of this name; NULL if there is none. */
const net_about *net_about_arch(const char *arch);

/* An architecture as published. Errors: SX_E_CONFIG (unknown). */
sx_err net_config_of(const char *arch, net_config *c);
/* Set what `key` ("model.window") names from text: an integer, a number, or integers with commas.
 * Errors: SX_E_CONFIG (unreadable). */
sx_err net_config_set(net_config *c, const char *key, const char *text);

typedef struct net net;

typedef struct net_opt {
    bool train;         /* keep what backward needs */
    bool input_grad;    /* also compute gradients of the inputs */
    int threads;        /* that share each image; 0 stands for 1 */
    int64_t most_bytes; /* of activations in training, 0: no limit; beyond it values are made again
                           in the backward pass: equal bytes, up to one more forward pass */
    bool plan_only;     /* takes no memory for activations: parameters and plan, no runs */
} net_opt;

/* Whether there is such a network, of sizes that fit each other, and whether it takes images of
 * this size. Errors: SX_E_CONFIG. */
sx_err net_check(const net_config *c, int h, int w);
/* Build and plan. Errors: SX_E_CONFIG (sizes, unknown arch), SX_E_NOMEM. */
sx_err net_new(net **n, const net_config *c, int h, int w, const nn_kernels *k, net_opt opt);
void net_free(net *n); /* takes NULL */
const nn_params *net_params(const net *n);
const nn_plan *net_plan(const net *n);
nn_graph *net_graph(net *n);
/* Its threads, for the loops around it; borrowed; NULL if there is one. */
sx_pool *net_pool(const net *n);
/* h * w of its images. */
int64_t net_pixels(const net *n);
/* Channels of its output: 1, or classes. */
int net_channels(const net *n);
/* Sides must be a multiple of this; callers pad. */
int net_granularity(const net_config *c);
/* The side that holds n pixels. */
int net_padded(const net_config *c, int64_t n);

/* Output [h][w][channels] for noised image x, condition lr, time t (0..999); borrowed until the
 * next run. Networks without a diffusion time ignore x and t: lr is their input. With a spectral
 * norm, params is the effective block. */
const float *net_forward(net *n, const float *params, const float *x, const float *lr, double t);
/* Gradient of the last forward; d_out [h][w][channels]; adds to grads (block layout). */
void net_backward(net *n, const float *params, const float *d_out, float *grads);
/* The gradient of the input lr (or of x, for networks with a time) after a backward pass [h][w];
 * borrowed; needs net_opt.input_grad. */
const float *net_input_grad(net *n, const char *input);

#endif
