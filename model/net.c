/* Networks: the table of architectures, and a graph with its inputs filled. */
#include "model/net.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/sx_mem.h"
#include "model/net_arch.h"

enum { MAX_SIDE = 16384 };

static const net__arch *const archs[] = {&net__palette};

struct net {
    nn_graph *graph;
    sx_pool *pool;
    nn_plan plan;
    int h, w;
    float *x, *lr, *time; /* inputs; x and time NULL for networks without a diffusion time */
    int time_channels;
};

net_config net_config_default(void) {
    return (net_config){.arch = "palette",
                        .base_channels = 64,
                        .mult = {1, 1, 2, 2},
                        .levels = 4,
                        .res_blocks = 2,
                        .dropout = 0.1};
}

static const net__arch *arch_of(const char *name) {
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        if (strcmp(archs[i]->name, name) == 0) return archs[i];
    return NULL;
}

int net_granularity(const net_config *c) {
    const net__arch *arch = arch_of(c->arch);
    return arch != NULL ? arch->granularity(c) : 1;
}

static sx_err check(const net_config *c, int h, int w) {
    const net__arch *arch = arch_of(c->arch);
    if (arch == NULL)
        return sx_fail(SX_E_CONFIG, "model.arch: there is no network \"%s\"", c->arch);
    sx_err rc = arch->check(c);
    if (rc != SX_OK) return rc;
    int step = arch->granularity(c);
    if (h < 1 || w < 1 || h > MAX_SIDE || w > MAX_SIDE || h % step != 0 || w % step != 0)
        return sx_fail(SX_E_CONFIG, "%d x %d pixels: sides should be multiples of %d, at most %d",
                       h, w, step, MAX_SIDE);
    for (int level = 0; level < c->levels; level++) {
        int64_t values = (int64_t)(h >> level) * (w >> level) * c->base_channels * c->mult[level];
        if (values > INT32_MAX) /* what kernels and dropout masks count with */
            return sx_fail(SX_E_CONFIG,
                           "%d x %d pixels: %lld values in a layer of %d channels, at most %d can "
                           "be held",
                           h, w, (long long)values, c->base_channels * c->mult[level], INT32_MAX);
    }
    return SX_OK;
}

sx_err net_new(net **out, const net_config *c, int h, int w, const nn_kernels *k, net_opt opt) {
    sx_err rc;
    net *n = NULL;
    SX_TRY(rc, check(c, h, w));
    n = SX_NEW(net);
    *n = (net){.graph = nn_graph_new(), .h = h, .w = w, .time_channels = c->base_channels};
    arch_of(c->arch)->build(n->graph, c, h, w);
    SX_TRY(rc, sx_pool_new(&n->pool, opt.threads > 0 ? opt.threads : 1));
    nn_graph_share(n->graph, n->pool);
    if (opt.input_grad) {
        nn_graph_want_input_grad(n->graph, "x");
        nn_graph_want_input_grad(n->graph, "lr");
    }
    SX_TRY(rc, nn_graph_plan(n->graph, k, opt.train, &n->plan));
    n->x = nn_graph_input(n->graph, "x");
    n->lr = nn_graph_input(n->graph, "lr");
    n->time = nn_graph_input(n->graph, "time");
    *out = n;
    n = NULL;
out:
    net_free(n);
    return rc;
}

void net_free(net *n) {
    if (n == NULL) return;
    nn_graph_free(n->graph);
    sx_pool_free(n->pool);
    sx_free(n);
}

const nn_params *net_params(const net *n) {
    return nn_graph_params(n->graph);
}

const nn_plan *net_plan(const net *n) {
    return &n->plan;
}

nn_graph *net_graph(net *n) {
    return n->graph;
}

sx_pool *net_pool(const net *n) {
    return n->pool;
}

int64_t net_pixels(const net *n) {
    return (int64_t)n->h * n->w;
}

/* cos(t f_k), then sin(t f_k), f_k = 10000^(-k / half) (Vaswani et al. 2017; order of ADM). */
static void fill_time(float *time, int channels, double t) {
    int half = channels / 2;
    for (int k = 0; k < half; k++) {
        double angle = t * exp(-log(10000.0) * k / half);
        time[k] = (float)cos(angle);
        time[half + k] = (float)sin(angle);
    }
}

const float *net_forward(net *n, const float *params, const float *x, const float *lr, double t) {
    size_t n_bytes = (size_t)n->h * (size_t)n->w * sizeof(float);
    if (n->x != NULL) memcpy(n->x, x, n_bytes);
    memcpy(n->lr, lr, n_bytes);
    if (n->time != NULL) fill_time(n->time, n->time_channels, t);
    return nn_graph_forward(n->graph, params);
}

void net_backward(net *n, const float *params, const float *d_out, float *grads) {
    nn_graph_backward(n->graph, params, d_out, grads);
}
