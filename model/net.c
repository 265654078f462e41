/* Networks: the table of architectures, and a graph with its inputs filled. */
#include "model/net.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "model/net_arch.h"
#include "model/nn_ops.h"

enum { MAX_SIDE = 16384 };

static const net__arch *const archs[] = {&net__palette, &net__rcan,          &net__rrdb,
                                         &net__hat,     &net__discriminator, &net__seg};
enum { N_ARCHS = sizeof archs / sizeof *archs };

struct net {
    nn_graph *graph;
    sx_pool *pool;
    nn_plan plan;
    int h, w;
    float *x, *lr, *time; /* inputs; x and time NULL for networks without a diffusion time */
    int time_channels;
};

/* ---- the table ---- */

static const net__arch *arch_of(const char *name) {
    for (int i = 0; i < N_ARCHS; i++)
        if (strcmp(archs[i]->about.name, name) == 0) return archs[i];
    return NULL;
}

const net_about *net_about_arch(const char *name) {
    const net__arch *arch = arch_of(name);
    return arch != NULL ? &arch->about : NULL;
}

sx_err net_config_of(const char *name, net_config *c) {
    const net__arch *arch = arch_of(name);
    sx_err rc = SX_OK;
    if (arch == NULL) return sx_fail(SX_E_CONFIG, "model.arch: there is no network \"%s\"", name);
    *c = (net_config){.base_channels = 0};
    snprintf(c->arch, sizeof c->arch, "%s", name);
    for (const net_setting *s = arch->about.sizes; s->key != NULL && rc == SX_OK; s++)
        rc = net_config_set(c, s->key, s->text);
    return rc;
}

int net_granularity(const net_config *c) {
    const net__arch *arch = arch_of(c->arch);
    return arch != NULL ? arch->granularity(c) : 1;
}

int net_padded(const net_config *c, int64_t n) {
    const int step = net_granularity(c);
    return (int)((n + step - 1) / step * step);
}

/* ---- layers and checks that several have ---- */

net__name net__name_of(const char *format, ...) {
    net__name name;
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(name.text, sizeof name.text, format, args);
    va_end(args);
    SX_ASSERT(length > 0 && (size_t)length < sizeof name.text);
    return name;
}

sx_err net__check_int(const char *key, int value, int min, int max) {
    if (value >= min && value <= max) return SX_OK;
    return sx_fail(SX_E_CONFIG, "%s = %d: should be %d to %d", key, value, min, max);
}

nn_tensor net__conv3(nn_graph *g, nn_tensor x, const char *name, int k) {
    return nn_conv(g, x, name, k, (nn_conv_opt){.kernel = 3});
}

nn_tensor net__channel_attention(nn_graph *g, nn_tensor x, const char *squeeze, const char *excite,
                                 int c, int squeezed) {
    const nn_conv_opt one = {.kernel = 1};
    nn_tensor s = nn_global_avgpool(g, x);
    s = nn_relu(g, nn_conv(g, s, squeeze, squeezed, one));
    return nn_channel_gate(g, x, nn_conv(g, s, excite, c, one));
}

/* ---- building ---- */

sx_err net_check(const net_config *c, int h, int w) {
    const net__arch *arch = arch_of(c->arch);
    if (arch == NULL)
        return sx_fail(SX_E_CONFIG, "model.arch: there is no network \"%s\"", c->arch);
    sx_err rc = arch->check(c);
    if (rc != SX_OK) return rc;
    int step = arch->granularity(c);
    if (h < 1 || w < 1 || h > MAX_SIDE || w > MAX_SIDE || h % step != 0 || w % step != 0)
        return sx_fail(SX_E_CONFIG, "%d x %d pixels: sides should be multiples of %d, at most %d",
                       h, w, step, MAX_SIDE);
    return SX_OK;
}

/* Kernels and dropout masks count the values of a layer with 31 bits. */
static sx_err check_layers(const nn_graph *g, int h, int w) {
    for (int i = 0; i < g->n_tensors; i++)
        if (g->tensor[i].count > INT32_MAX)
            return sx_fail(SX_E_CONFIG,
                           "%d x %d pixels: %lld values in a layer of %d channels, at most %d can "
                           "be held",
                           h, w, (long long)g->tensor[i].count, g->tensor[i].c, INT32_MAX);
    return SX_OK;
}

sx_err net_new(net **out, const net_config *c, int h, int w, const nn_kernels *k, net_opt opt) {
    sx_err rc;
    net *n = NULL;
    SX_TRY(rc, net_check(c, h, w));
    n = SX_NEW(net);
    *n = (net){.graph = nn_graph_new(), .h = h, .w = w, .time_channels = c->base_channels};
    const net__arch *arch = arch_of(c->arch);
    arch->build(n->graph, c, h, w);
    SX_TRY(rc, check_layers(n->graph, h, w));
    SX_TRY(rc, sx_pool_new(&n->pool, opt.threads > 0 ? opt.threads : 1));
    nn_graph_share(n->graph, n->pool);
    if (opt.input_grad) nn_graph_want_input_grad(n->graph, "lr");
    if (opt.input_grad && arch->about.has_time) nn_graph_want_input_grad(n->graph, "x");
    const nn__plan_opt how = {.train = opt.train,
                              .share = true,
                              .fuse = true,
                              .most_bytes = opt.most_bytes,
                              .only = opt.plan_only};
    SX_TRY(rc, nn__graph_plan(n->graph, k, how, &n->plan));
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

int net_channels(const net *n) {
    return n->graph->tensor[n->graph->output].c;
}

/* ---- running ---- */

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

const float *net_input_grad(net *n, const char *input) {
    return nn_graph_input_grad(n->graph, input);
}
