/* The graph: building, running forward and backward, timing. Memory is planned in nn_graph_plan.c,
 * the ops themselves are in nn_ops_*.c. */
#include <stdio.h>
#include <string.h>

#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "model/nn_moments.h"
#include "model/nn_ops.h"

const nn__kind *const nn__kinds[NN__N_KINDS] = {
    &nn__fused_kind,          &nn__conv_kind,
    &nn__linear_kind,         &nn__norm_kind,
    &nn__silu_kind,           &nn__add_kind,
    &nn__dropout_kind,        &nn__concat_kind,
    &nn__avgpool2_kind,       &nn__upsample2_kind,
    &nn__attention_kind,      &nn__conv_strided_kind,
    &nn__relu_kind,           &nn__gelu_kind,
    &nn__add_scaled_kind,     &nn__layer_norm_kind,
    &nn__global_avgpool_kind, &nn__channel_gate_kind,
    &nn__pixel_shuffle_kind,  &nn__pixel_unshuffle_kind,
    &nn__bilinear2_kind,      &nn__window_attention_kind,
};

nn_graph *nn_graph_new(void) {
    nn_graph *g = SX_NEW(nn_graph);
    g->output = -1;
    return g;
}

void nn_graph_free(nn_graph *g) {
    if (g == NULL) return;
    sx_free(g->tensor);
    sx_free(g->op);
    sx_free(g->slot);
    sx_free(g->params.item);
    sx_free(g->block);
    sx_free(g->scratch);
    sx_free(g);
}

/* ---- building ---- */

static nn_tensor tensor_append(nn_graph *g, nn__tensor t) {
    SX_ASSERT(t.h > 0 && t.w > 0 && t.c > 0);
    t.count = (int64_t)t.h * t.w * t.c;
    g->tensor = sx_grow(g->tensor, g->n_tensors, sizeof *g->tensor);
    g->tensor[g->n_tensors] = t;
    return g->n_tensors++;
}

nn_tensor nn_input(nn_graph *g, const char *name, int h, int w, int c) {
    nn__tensor t = {.h = h, .w = w, .c = c, .producer = -1};
    SX_ASSERT(strlen(name) < sizeof t.name);
    strcpy(t.name, name);
    return tensor_append(g, t);
}

nn__op nn__op_make(const nn__kind *kind, nn_tensor a, nn_tensor b) {
    return (nn__op){.kind = kind,
                    .in = {a, b},
                    .n_in = b < 0 ? 1 : 2,
                    .weight = -1,
                    .bias = -1,
                    .ready_at = -1};
}

nn_tensor nn__op_append(nn_graph *g, nn__op op) {
    SX_ASSERT(g->block == NULL); /* a planned graph is closed */
    for (int i = 0; i < op.n_in; i++) {
        SX_ASSERT(op.in[i] >= 0 && op.in[i] < g->n_tensors);
        g->tensor[op.in[i]].n_uses++;
    }
    nn__tensor t = {.producer = g->n_ops};
    op.kind->shape(g, &op, &t);
    op.out = tensor_append(g, t);
    g->op = sx_grow(g->op, g->n_ops, sizeof *g->op);
    g->op[g->n_ops++] = op;
    return op.out;
}

void nn__shape_of_input(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    out->h = x->h;
    out->w = x->w;
    out->c = x->c;
}

void nn__shape_of_both(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *a = nn__in(g, op, 0), *b = nn__in(g, op, 1);
    SX_ASSERT(a->h == b->h && a->w == b->w && a->c == b->c);
    nn__shape_of_input(g, op, out);
}

void nn__shape_of_twice(const nn_graph *g, const nn__op *op, nn__tensor *out) {
    const nn__tensor *x = nn__in(g, op, 0);
    out->h = 2 * x->h;
    out->w = 2 * x->w;
    out->c = x->c;
}

int nn__param_append(nn_graph *g, const char *name, const char *suffix, int rank,
                     const int64_t *shape, int64_t fan_in, nn_init init) {
    nn_params *p = &g->params;
    p->item = sx_grow(p->item, p->n, sizeof *p->item);
    nn_param *it = &p->item[p->n];
    *it = (nn_param){.rank = rank, .count = 1, .offset = p->block, .fan_in = fan_in, .init = init};
    int length = snprintf(it->name, sizeof it->name, "%s.%s", name, suffix);
    SX_ASSERT(length > 0 && (size_t)length < sizeof it->name);
    for (int i = 0; i < rank; i++) {
        it->shape[i] = shape[i];
        it->count *= shape[i];
    }
    p->block += nn_whole_lines(it->count);
    p->count += it->count;
    return p->n++;
}

static void state_append(nn_graph *g, const char *name, const char *suffix, int64_t count) {
    const int i = nn__param_append(g, name, suffix, 1, &count, count, NN_INIT_DIRECTION);
    g->params.item[i].state = true;
    g->params.count -= count;
}

int nn__weight_append(nn_graph *g, const char *name, const int64_t shape[4], nn_init init,
                      bool spectral) {
    const int64_t window = shape[1] * shape[2] * shape[3];
    const int weight =
        nn__param_append(g, name, spectral ? "weight_orig" : "weight", 4, shape, window, init);
    if (!spectral) return weight;
    state_append(g, name, "weight_u", shape[0]);
    state_append(g, name, "weight_v", window);
    return weight;
}

void nn_output(nn_graph *g, nn_tensor y) {
    SX_ASSERT(g->output < 0 && y >= 0 && y < g->n_tensors);
    g->output = y;
}

const nn_params *nn_graph_params(const nn_graph *g) {
    return &g->params;
}

void nn_graph_share(nn_graph *g, sx_pool *pool) {
    SX_ASSERT(g->block == NULL);
    g->pool = pool;
}

/* ---- inputs ---- */

static nn__tensor *find_input(const nn_graph *g, const char *name) {
    for (int i = 0; i < g->n_tensors; i++)
        if (g->tensor[i].producer < 0 && strcmp(g->tensor[i].name, name) == 0) return &g->tensor[i];
    return NULL;
}

float *nn_graph_input(nn_graph *g, const char *name) {
    const nn__tensor *t = find_input(g, name);
    return t != NULL ? t->value : NULL;
}

void nn_graph_want_input_grad(nn_graph *g, const char *name) {
    nn__tensor *t = find_input(g, name);
    SX_ASSERT(t != NULL && g->block == NULL);
    t->wants_grad = true;
}

const float *nn_graph_input_grad(nn_graph *g, const char *name) {
    const nn__tensor *t = find_input(g, name);
    return t != NULL ? t->grad : NULL;
}

/* ---- running ---- */

void nn_graph_dropout(nn_graph *g, bool on, uint64_t seed, uint64_t step, uint64_t image) {
    g->dropout_on = on;
    g->dropout_seed = seed;
    g->dropout_step = step;
    g->dropout_image = image;
}

/* Moments of a tensor that some norm reads and whose op does not fill them. */
static void take_moments(nn_graph *g, const nn__tensor *t) {
    if (t->moments.mean == NULL) return;
    const nn_room r = nn__room(g, 0);
    nn__moments_of_image(t->moments, t->value, nn__pixels_of(t), t->c, &r);
}

const float *nn_graph_forward(nn_graph *g, const float *params) {
    SX_ASSERT(g->block != NULL);
    g->values = params;
    double before_s = sx_now_s();
    for (int i = 0; i < g->n_tensors; i++)
        if (g->tensor[i].producer < 0) take_moments(g, &g->tensor[i]);
    for (int i = 0; i < g->n_ops; i++) {
        nn__op *op = &g->op[i];
        op->kind->forward(g, op);
        if (!op->kind->makes_moments) take_moments(g, nn__out(g, op));
        double now_s = sx_now_s();
        op->forward_s += now_s - before_s;
        op->calls++;
        before_s = now_s;
    }
    return g->tensor[g->output].value;
}

void nn_graph_overwrite(nn_graph *g, bool on) {
    g->overwrite = on;
}

static void clear_range(void *x, int64_t first, int64_t last) {
    memset((float *)x + first, 0, (size_t)(last - first) * sizeof(float));
}

enum { MANY_FLOATS = 1 << 14 }; /* worth sharing out */

/* Right before the op adds to them, when they stay in the caches. */
static void clear_gradients(nn_graph *g, const nn__op *op) {
    const bool normed = op->kind == &nn__fused_kind;
    const int params[] = {op->weight, op->bias, normed ? op->fused.norm_weight : -1,
                          normed ? op->fused.norm_bias : -1};
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        if (params[i] < 0) continue;
        const int64_t count = g->params.item[params[i]].count;
        if (count < MANY_FLOATS)
            clear_range(nn__grad(g, params[i]), 0, count);
        else
            sx_pool_ranges(g->pool, count, clear_range, nn__grad(g, params[i]));
    }
}

/* What op i needs for its backward and was forgotten. */
static void run_again(nn_graph *g, int i) {
    g->again = true;
    for (int k = g->op[i].again_from; k <= i; k++) {
        nn__op *op = &g->op[k];
        if (op->again_for != i) continue;
        const double before_s = sx_now_s();
        op->kind->forward(g, op);
        op->forward_s += sx_now_s() - before_s;
    }
    g->again = false;
}

void nn_graph_backward(nn_graph *g, const float *params, const float *d_output, float *grads) {
    SX_ASSERT(g->block != NULL && g->train);
    g->values = params;
    g->grads = grads;
    const nn__tensor *y = &g->tensor[g->output];
    if (!y->needs_grad) return;
    memcpy(y->grad, d_output, (size_t)y->count * sizeof(float));
    for (int i = g->n_ops - 1; i >= 0; i--) {
        nn__op *op = &g->op[i];
        if (!nn__out(g, op)->needs_grad) continue;
        run_again(g, i);
        const double before_s = sx_now_s();
        if (g->overwrite) clear_gradients(g, op);
        op->kind->backward(g, op);
        op->backward_s += sx_now_s() - before_s;
        if (g->watch != NULL) g->watch(g->watcher, op->final_from);
    }
}

void nn_graph_watch(nn_graph *g, nn_watch *watch, void *watcher) {
    g->watch = watch;
    g->watcher = watcher;
}

/* ---- prepared weights ---- */

int64_t nn_graph_ready_count(const nn_graph *g) {
    return g->ready_count;
}

void nn_graph_prepare(const nn_graph *g, const float *params, int part, int parts, float *ready) {
    for (int i = part; i < g->n_ops; i += parts) {
        const nn__op *op = &g->op[i];
        if (op->ready_at < 0) continue;
        const nn_conv_shape s = nn__conv_shape(g, op);
        g->kernels->conv_prepare(&s, params + g->params.item[op->weight].offset,
                                 ready + op->ready_at);
    }
}

void nn_graph_use_ready(nn_graph *g, const float *ready) {
    g->ready = ready;
}

/* ---- timing ---- */

static void add_op_time(nn_op_time *row, const nn_graph *g, const nn__op *op) {
    row->calls += op->calls;
    row->forward_s += op->forward_s;
    row->backward_s += op->backward_s;
    if (op->kind->macs != NULL) row->macs += op->calls * op->kind->macs(g, op);
}

int nn_graph_times(nn_graph *g, nn_op_time *rows, int max_rows, bool reset) {
    int n = 0;
    for (int k = 0; k < NN__N_KINDS && n < max_rows; k++) {
        nn_op_time row = {.op = nn__kinds[k]->name};
        for (int i = 0; i < g->n_ops; i++)
            if (g->op[i].kind == nn__kinds[k]) add_op_time(&row, g, &g->op[i]);
        if (row.calls > 0) rows[n++] = row;
    }
    for (int i = 0; reset && i < g->n_ops; i++) {
        g->op[i].forward_s = g->op[i].backward_s = 0;
        g->op[i].calls = 0;
    }
    return n;
}
