/* Inside of the engine (model/ and its tests only): the records of ops, tensors and memory slots.
 *
 * An op kind is one record: shape rule, cost, what it keeps, forward, backward. The table nn__kinds
 * lists them all. An op of a graph is an instance: inputs, output, parameters, attributes.
 *
 * Time runs over the program: forward of op i at i, the output's gradient is set at n, backward of
 * op i at 2n - i, end at 2n + 1. A slot is a stretch of memory with the first and last time it is
 * used; nn_graph_plan.c gives it an offset. Several tensors share a slot where an op works in
 * place. What recomputation forgets (nn_graph_again.c) has a slot that is used twice: on the way
 * forward, and from the backward before which it is made again. */
#ifndef NN_OPS_H
#define NN_OPS_H

#include "model/nn_graph.h"

typedef struct nn__kind nn__kind;

typedef struct nn__tensor {
    int h, w, c;
    int64_t count;
    bool dropped;    /* made by an op that was fused away: has no memory */
    int producer;    /* op, or -1 for an input */
    int n_uses;      /* as input of an op; twice in one op counts twice */
    bool wants_grad; /* an input whose gradient was asked for */
    bool needs_grad;
    char name[32];             /* inputs only */
    int value_slot, grad_slot; /* -1: none */
    int moments_slot;          /* -1: no norm reads them */
    float *value, *grad;       /* set by the plan */
    nn_moments moments;        /* set by the plan, or NULL each */
} nn__tensor;

/* Inputs of a fused convolution; those it lacks are -1. */
enum { NN__FIRST_SOURCE, NN__SECOND_SOURCE, NN__FILM, NN__RESIDUAL, NN__MAX_IN };

/* What a fused convolution does beside convolving: parameters of its norm, key of its dropout. */
typedef struct nn__fusion {
    int norm_weight, norm_bias; /* parameters, or -1: no norm */
    bool silu;
    nn_resample resample;
    float p; /* dropout */
    int dropout_key;
} nn__fusion;

typedef struct nn__op {
    const nn__kind *kind;
    int in[NN__MAX_IN], n_in, out; /* -1 in in[]: no such input */
    int weight, bias;              /* parameters, or -1 */
    unsigned moments;              /* bit i: forward reads the moments of in[i] */
    int64_t ready_at;              /* conv: where its prepared weights start; -1: it has none */
    int k;                         /* output channels of conv and linear */
    int ks;                        /* conv: kernel size */
    bool silu;                     /* norm */
    float p;                       /* dropout; slope of ReLU; scale of add_scaled */
    int key;                       /* dropout: which of the graph's masks */
    int stride, pad;               /* strided conv */
    int factor;                    /* pixel shuffle and unshuffle */
    nn_window_opt windows;         /* window attention */
    nn__fusion fused;              /* fused convolution */
    /* set by the plan */
    int64_t final_from; /* after its backward the gradients of parameters from here on are final */
    bool first[NN__MAX_IN]; /* backward: the gradient of in[i] starts here (write) or goes on (add)
                             */
    int again_for;          /* runs again right before the backward of this op; -1: it does not */
    int again_from;         /* the first of the ops that run again for this one; n_ops: none does */
    int saved_slot, work_slot;
    float *saved; /* kept from forward to backward */
    float *work;  /* during backward */
    double forward_s, backward_s;
    int64_t calls;
} nn__op;

/* An op of a graph, for functions that threads run. */
typedef struct nn__call {
    const nn_graph *g;
    const nn__op *op;
} nn__call;

struct nn__kind {
    const char *name;
    unsigned reads;     /* bit i: backward reads the value of in[i] */
    unsigned in_place;  /* bit i: the output may be written over in[i], its gradient changed into
                           that of in[i] */
    bool makes_moments; /* forward fills those of its output, if it has any */
    void (*shape)(const nn_graph *g, const nn__op *op, nn__tensor *out);
    int64_t (*macs)(const nn_graph *g, const nn__op *op);    /* NULL: 0 */
    int64_t (*saved)(const nn_graph *g, const nn__op *op);   /* floats; NULL: 0 */
    int64_t (*scratch)(const nn_graph *g, const nn__op *op); /* floats in a call; NULL: 0 */
    int64_t (*work)(const nn_graph *g, const nn__op *op);    /* floats in backward; NULL: 0 */
    void (*forward)(const nn_graph *g, const nn__op *op);
    void (*backward)(const nn_graph *g, const nn__op *op);
};

/* Program times, the ends included; none: first > last. */
typedef struct nn__life {
    int first, last;
} nn__life;

typedef struct nn__slot {
    int64_t count;         /* floats, multiple of 16 */
    nn__life there, again; /* again: with values that are made again, or none */
    int64_t offset;        /* floats from the start of the block */
} nn__slot;

struct nn_graph {
    nn__tensor *tensor;
    nn__op *op;
    nn__slot *slot;
    int n_tensors, n_ops, n_slots;
    nn_params params;
    int output; /* tensor, or -1 */

    const nn_kernels *kernels;
    sx_pool *pool; /* borrowed, or NULL */
    bool train;
    float *block, *scratch;
    int64_t scratch_each; /* floats of a thread's part of the scratch */
    int64_t ready_count;
    nn_watch *watch; /* of backward, or NULL */
    void *watcher;
    int64_t block_count;

    /* the run in progress */
    const float *values; /* parameter block */
    const float *ready;  /* prepared weights [ready_count], borrowed, or NULL */
    float *grads;
    bool overwrite; /* grads */
    bool again;     /* an op runs again: what it reads has no moments, statistics are kept */
    bool dropout_on;
    uint64_t dropout_seed, dropout_step, dropout_image;
};

enum { NN__N_KINDS = 22 };
extern const nn__kind *const nn__kinds[NN__N_KINDS];
extern const nn__kind nn__conv_kind, nn__linear_kind, nn__norm_kind, nn__silu_kind, nn__add_kind,
    nn__dropout_kind, nn__fused_kind, nn__concat_kind, nn__avgpool2_kind, nn__upsample2_kind,
    nn__attention_kind, nn__conv_strided_kind, nn__relu_kind, nn__gelu_kind, nn__add_scaled_kind,
    nn__layer_norm_kind, nn__global_avgpool_kind, nn__channel_gate_kind, nn__pixel_shuffle_kind,
    nn__pixel_unshuffle_kind, nn__bilinear2_kind, nn__window_attention_kind;

/* Append an op (inputs and attributes filled, parameters registered); returns its output tensor. */
nn_tensor nn__op_append(nn_graph *g, nn__op op);
/* Op with these inputs (b < 0: one input) and no parameters. */
nn__op nn__op_make(const nn__kind *kind, nn_tensor a, nn_tensor b);
/* Register parameter "name.suffix"; returns its index. */
int nn__param_append(nn_graph *g, const char *name, const char *suffix, int rank,
                     const int64_t *shape, int64_t fan_in, nn_init init);
/* The weight of a convolution, rank 4, with the states of its spectral norm if it has one; returns
 * its index. */
int nn__weight_append(nn_graph *g, const char *name, const int64_t shape[4], nn_init init,
                      bool spectral);
/* Shape rule of an op that works element by element. */
void nn__shape_of_input(const nn_graph *g, const nn__op *op, nn__tensor *out);
/* The same with two inputs, of one shape; and of an op that doubles both sides of its input. */
void nn__shape_of_both(const nn_graph *g, const nn__op *op, nn__tensor *out);
void nn__shape_of_twice(const nn_graph *g, const nn__op *op, nn__tensor *out);

/* Replace chains of ops around convolutions by fused ones, where the kernels can. */
void nn__graph_fuse(nn_graph *g);

/* Floats that the forward pass makes. */
int64_t nn__graph_floats_made(const nn_graph *g);
/* Marks what is forgotten and made again by segments of at most `most` floats; 0: nothing. */
void nn__graph_forget(nn_graph *g, int64_t most);
/* Whether what an op saves for backward is made again with its output: not the statistics of a
 * norm, which come from moments. */
static inline bool nn__saves_again(const nn_graph *g, const nn__op *op) {
    return op->kind->saved != NULL && op->moments == 0 && op->kind->saved(g, op) > 0;
}

/* The plan with or without sharing of memory and fusion; tests compare the ways. Errors:
 * SX_E_NOMEM. */
typedef struct nn__plan_opt {
    bool train, share, fuse;
    /* Of activations in training; 0: no limit. Where more would be needed, values are forgotten and
     * made again in the backward pass (nn_graph_again.c): equal bytes, for the time of up to one
     * more forward pass. Where no way that is tried is enough, the one that needs least. */
    int64_t most_bytes;
    bool only; /* no memory is taken: the plan can be read, the graph cannot run */
} nn__plan_opt;
sx_err nn__graph_plan(nn_graph *g, const nn_kernels *kernels, nn__plan_opt opt, nn_plan *plan);
/* Fill the whole activation block with NaN. */
void nn__graph_poison(nn_graph *g);

static inline const nn__tensor *nn__in(const nn_graph *g, const nn__op *op, int i) {
    return &g->tensor[op->in[i]];
}
static inline const nn__tensor *nn__out(const nn_graph *g, const nn__op *op) {
    return &g->tensor[op->out];
}
static inline bool nn__has(const nn__op *op, int i) {
    return i < op->n_in && op->in[i] >= 0;
}
static inline int64_t nn__pixels_of(const nn__tensor *t) {
    return (int64_t)t->h * t->w;
}
static inline int nn__threads(const nn_graph *g) {
    return sx_pool_threads(g->pool);
}
/* Shape and cost of a convolution, fused or not. */
nn_conv_shape nn__conv_shape(const nn_graph *g, const nn__op *op);
int64_t nn__conv_macs(const nn_graph *g, const nn__op *op);
/* Prepared weights of a convolution, or NULL. */
static inline const float *nn__ready(const nn_graph *g, const nn__op *op) {
    return g->ready != NULL && op->ready_at >= 0 ? g->ready + op->ready_at : NULL;
}
/* Mask number `key` of this run; without dropout it keeps all. */
nn_mask nn__mask(const nn_graph *g, float p, int key);
/* to = or += from. */
void nn__pass_on(float *to, const float *from, int64_t n, bool first);
/* Between a fine image [2h][2w] and a coarse one [h][w]: c channels, in images that are to_c and
 * from_c wide, are gathered (coarse = factor * sum of 2x2) or spread (fine = factor * coarse), or
 * added so. */
typedef struct nn__change2 {
    float *to;
    const float *from;
    int h, w, c; /* of the coarse image */
    int to_c, from_c;
    bool gathers, add;
    float factor;
} nn__change2;
void nn__change2_run(const nn__change2 *q, sx_pool *pool);
/* Scratch from float `from` on, of each thread's part. */
static inline nn_room nn__room(const nn_graph *g, int64_t from) {
    return (nn_room){g->scratch + from, g->scratch_each, g->pool};
}
/* Floats of scratch when each thread needs so many. */
static inline int64_t nn__for_each_thread(const nn_graph *g, int64_t floats) {
    return nn__threads(g) * nn_whole_lines(floats);
}
/* Values and gradient of parameter i in the blocks of this run. */
static inline const float *nn__value(const nn_graph *g, int i) {
    return g->values + g->params.item[i].offset;
}
static inline float *nn__grad(const nn_graph *g, int i) {
    return g->grads + g->params.item[i].offset;
}

#endif
