/* Memory plan, fusion, teams, finality and dropout of the static graph. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/net_arch.h"
#include "model/nn_ops.h"
#include "model/nn_optim.h"
#include "tests/check_run.h"
#include "tests/model/palette.h"

/* ---- ways to run a graph ---- */

enum { H = 16, W = 24 };

typedef struct way {
    const char *kernels;
    nn__plan_opt plan;
    int threads;
    bool dropout;
} way;

/* What a run made of the inputs; gradients are NULL without training. */
typedef struct outcome {
    float *output, *grads, *input_grad;
    int64_t n_output, n_grads, n_input_grad;
    nn_params params; /* borrows nothing: its items are copied */
    nn_plan plan;
    int n_fused;
} outcome;

static const nn_kernels *kernels_named(const char *name) {
    const nn_kernels *k;
    ck_assert_int_eq(nn_kernels_get(name, &k), SX_OK);
    return k;
}

static nn_graph *unet(int base_channels) {
    net_config c = palette_config();
    c.base_channels = base_channels;
    c.levels = 3;
    c.mult[2] = 2;
    c.res_blocks = 1;
    nn_graph *g = nn_graph_new();
    net__palette.build(g, &c, H, W);
    nn_graph_want_input_grad(g, "lr");
    return g;
}

static void plan_graph(nn_graph *g, const char *kernels, nn__plan_opt opt, nn_plan *plan) {
    ck_assert_int_eq(nn__graph_plan(g, kernels_named(kernels), opt, plan), SX_OK);
}

/* The plain loops at width 8: everything but fusion. */
static nn_graph *small_unet(bool train, bool share, nn_plan *plan) {
    nn_graph *g = unet(8);
    plan_graph(g, "ref", (nn__plan_opt){.train = train, .share = share}, plan);
    return g;
}

static float *random_params(const nn_params *p) {
    float *block = nn_params_block(p);
    for (int i = 0; i < p->n; i++) {
        sx_rng r = sx_rng_make(3, SX_RNG_TEST, 0, (uint64_t)i);
        sx_rng_normals(&r, block + p->item[i].offset, p->item[i].count);
    }
    for (int64_t i = 0; i < p->block; i++) block[i] *= 0.2f;
    return block;
}

static void fill_inputs(nn_graph *g) {
    for (int i = 0, n = 0; i < g->n_tensors; i++) {
        if (g->tensor[i].producer >= 0) continue;
        sx_rng r = sx_rng_make(4, SX_RNG_TEST, 0, (uint64_t)n++);
        sx_rng_normals(&r, g->tensor[i].value, g->tensor[i].count);
    }
}

static float *copy_of(const float *x, int64_t n) {
    float *copy = SX_NEW_ARRAY(float, n);
    memcpy(copy, x, (size_t)n * sizeof *x);
    return copy;
}

/* Gradients of all inputs that asked for them, one after the other. */
static void take_input_grads(const nn_graph *g, outcome *o) {
    for (int pass = 0; pass < 2; pass++) {
        int64_t at = 0;
        for (int i = 0; i < g->n_tensors; i++) {
            const nn__tensor *t = &g->tensor[i];
            if (t->producer >= 0 || t->grad == NULL) continue;
            if (pass == 1) memcpy(o->input_grad + at, t->grad, (size_t)t->count * sizeof(float));
            at += t->count;
        }
        if (pass == 0) o->input_grad = SX_NEW_ARRAY(float, at);
        o->n_input_grad = at;
    }
}

static void run_backward(nn_graph *g, const float *params, outcome *o) {
    float *d_y = SX_NEW_ARRAY(float, o->n_output);
    for (int64_t i = 0; i < o->n_output; i++) d_y[i] = (float)(i % 7 - 3) + 0.25f;
    nn_graph_backward(g, params, d_y, o->grads);
    take_input_grads(g, o);
    sx_free(d_y);
}

/* A run in poisoned memory: what is read before it is written shows as NaN. Takes the graph. */
static outcome outcome_of(nn_graph *g, way how) {
    outcome o = {0};
    sx_pool *pool;
    ck_assert_int_eq(sx_pool_new(&pool, how.threads > 1 ? how.threads : 1), SX_OK);
    nn_graph_share(g, pool);
    plan_graph(g, how.kernels, how.plan, &o.plan);
    for (int i = 0; i < g->n_ops; i++) o.n_fused += g->op[i].kind == &nn__fused_kind;
    const nn_params *p = nn_graph_params(g);
    float *params = random_params(p);
    o.n_output = g->tensor[g->output].count;
    o.n_grads = p->block;
    o.params = *p;
    o.params.item = SX_NEW_ARRAY(nn_param, p->n);
    memcpy(o.params.item, p->item, (size_t)p->n * sizeof *p->item);
    nn__graph_poison(g);
    fill_inputs(g);
    nn_graph_dropout(g, how.dropout, 1, 2, 3);
    o.output = copy_of(nn_graph_forward(g, params), o.n_output);
    if (how.plan.train) {
        o.grads = nn_params_block(p);
        for (int i = 0; i < p->n; i++)
            for (int64_t k = 0; k < p->item[i].count; k++) o.grads[p->item[i].offset + k] = NAN;
        nn_graph_overwrite(g, true);
        run_backward(g, params, &o);
        ck_assert(nn_norm2(o.grads, p->block, NULL) > 0);
    }
    sx_free(params);
    nn_graph_free(g);
    sx_pool_free(pool);
    return o;
}

static void outcome_clear(outcome *o) {
    sx_free(o->output);
    sx_free(o->grads);
    sx_free(o->input_grad);
    sx_free(o->params.item);
}

static void check_equal(const char *what, const float *got, const float *want, int64_t n) {
    int64_t i = 0;
    while (i < n && memcmp(&got[i], &want[i], sizeof *got) == 0 && isfinite(want[i])) i++;
    ck_assert_msg(i == n, "%s, float %lld: got %.9g, want %.9g exactly", what, (long long)i,
                  (double)got[i < n ? i : 0], (double)want[i < n ? i : 0]);
}

static void check_same_bytes(const char *title, const outcome *got, const outcome *want) {
    char what[100];
    snprintf(what, sizeof what, "output of %s", title);
    check_equal(what, got->output, want->output, want->n_output);
    snprintf(what, sizeof what, "input gradient of %s", title);
    check_equal(what, got->input_grad, want->input_grad, want->n_input_grad);
    snprintf(what, sizeof what, "gradients of %s", title);
    check_equal(what, got->grads, want->grads, want->grads != NULL ? want->n_grads : 0);
}

/* ---- plan ---- */

#define PLAN(...) ((nn__plan_opt){__VA_ARGS__})
static const way shared_ways[] = {
    {"ref", {.share = true}, 1, false},
    {"ref", {.train = true, .share = true}, 1, true},
    {"wino", {.share = true, .fuse = true}, 1, false},
    {"wino", {.train = true, .share = true, .fuse = true}, 1, true},
    {"wino", {.train = true, .share = true, .fuse = true}, 2, true},
    {"wino", {.train = true, .share = true, .fuse = true}, 3, true},
    {"ref", {.train = true, .share = true, .most_bytes = 1}, 1, true},
    {"wino", {.train = true, .share = true, .fuse = true, .most_bytes = 1}, 2, true},
};
enum { N_SHARED = sizeof shared_ways / sizeof *shared_ways };

START_TEST(shared_memory_gives_the_bytes_of_memory_that_nobody_shares) {
    way how = shared_ways[_i];
    const int base = how.plan.fuse ? 16 : 8;
    outcome shared = outcome_of(unet(base), how);
    how.plan.share = false;
    how.plan.most_bytes = 0;
    outcome apart = outcome_of(unet(base), how);
    check_same_bytes("the UNet", &shared, &apart);
    ck_assert_msg(2 * shared.plan.activation_bytes < apart.plan.activation_bytes,
                  "got %lld bytes, %lld without sharing", (long long)shared.plan.activation_bytes,
                  (long long)apart.plan.activation_bytes);
    outcome_clear(&shared);
    outcome_clear(&apart);
}
END_TEST

START_TEST(equal_runs_of_a_team_give_equal_bytes) {
    const way how = shared_ways[_i];
    outcome once = outcome_of(unet(16), how), twice = outcome_of(unet(16), how);
    check_same_bytes("a second run", &twice, &once);
    outcome_clear(&once);
    outcome_clear(&twice);
}
END_TEST

static bool lives_at(const nn__slot *s, int time) {
    return (s->there.first <= time && time <= s->there.last) ||
           (s->again.first <= time && time <= s->again.last);
}

static bool overlap(const nn_graph *g, const nn__slot *x, const nn__slot *y) {
    if (x->offset >= y->offset + y->count || y->offset >= x->offset + x->count) return false;
    for (int time = 0; time <= 2 * g->n_ops + 1; time++)
        if (lives_at(x, time) && lives_at(y, time)) return true;
    return false;
}

START_TEST(slots_that_live_together_do_not_overlap) {
    nn_plan plan;
    nn_graph *g = unet(16);
    plan_graph(g, shared_ways[_i].kernels, shared_ways[_i].plan, &plan);
    for (int a = 0; a < g->n_slots; a++) {
        const nn__slot *x = &g->slot[a];
        ck_assert(x->offset >= 0 && x->offset + x->count <= g->block_count);
        for (int b = 0; b < a; b++)
            if (overlap(g, x, &g->slot[b])) ck_abort_msg("slots %d and %d overlap", a, b);
    }
    nn_graph_free(g);
}
END_TEST

START_TEST(inputs_stay_for_the_next_run) {
    nn_plan plan;
    nn_graph *g = small_unet(false, true, &plan);
    float *params = random_params(nn_graph_params(g)), first[H * W];
    nn__graph_poison(g);
    fill_inputs(g);
    memcpy(first, nn_graph_forward(g, params), sizeof first);
    check_equal("second run", nn_graph_forward(g, params), first, H * W);
    sx_free(params);
    nn_graph_free(g);
}
END_TEST

START_TEST(unknown_inputs_are_null) {
    nn_plan plan;
    nn_graph *g = small_unet(true, true, &plan);
    ck_assert_ptr_null(nn_graph_input(g, "nothing"));
    ck_assert_ptr_null(nn_graph_input_grad(g, "nothing"));
    ck_assert_ptr_null(nn_graph_input_grad(g, "x")); /* not asked for */
    ck_assert_ptr_nonnull(nn_graph_input_grad(g, "lr"));
    nn_graph_free(g);
}
END_TEST

typedef struct times {
    int64_t calls, macs;
    const char *first;
} times;

static times times_of_three_runs(nn_graph *g) {
    nn_op_time rows[NN__N_KINDS];
    float *params = random_params(nn_graph_params(g));
    fill_inputs(g);
    for (int i = 0; i < 3; i++) nn_graph_forward(g, params);
    const int n = nn_graph_times(g, rows, NN__N_KINDS, true);
    times t = {.first = rows[0].op};
    for (int i = 0; i < n; i++) {
        t.calls += rows[i].calls;
        t.macs += rows[i].macs;
    }
    ck_assert_int_eq(nn_graph_times(g, rows, NN__N_KINDS, false), 0);
    sx_free(params);
    return t;
}

START_TEST(times_name_the_ops_and_count_their_calls) {
    nn_plan plan;
    nn_graph *g = small_unet(false, true, &plan);
    const times t = times_of_three_runs(g);
    ck_assert_str_eq(t.first, "conv");
    ck_assert_int_eq(t.calls, 3 * plan.n_ops);
    ck_assert_int_eq(t.macs, 3 * plan.macs);
    nn_graph_free(g);
}
END_TEST

START_TEST(fusion_leaves_fewer_ops_with_the_same_macs) {
    nn_plan fused, plain;
    nn_graph *g = unet(16), *h = unet(16);
    plan_graph(g, "wino", PLAN(.share = true, .fuse = true), &fused);
    plan_graph(h, "wino", PLAN(.share = true), &plain);
    ck_assert_int_eq(fused.macs, plain.macs);
    ck_assert_int_lt(fused.n_ops, plain.n_ops);
    const times a = times_of_three_runs(g), b = times_of_three_runs(h);
    ck_assert_str_eq(a.first, "fused conv");
    ck_assert_int_eq(a.macs, 3 * plain.macs);
    ck_assert_int_eq(b.macs, 3 * plain.macs);
    ck_assert_int_eq(a.calls, 3 * fused.n_ops);
    nn_graph_free(g);
    nn_graph_free(h);
}
END_TEST

/* ---- fusion ---- */

static double norm_of(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Euclidean distance <= limit * norm + noise; NaN anywhere fails. */
static void check_near(const char *title, const char *what, const float *got, const float *want,
                       int64_t n, double noise) {
    double error = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        error += d * d;
    }
    const double norm = norm_of(want, n);
    ck_assert_msg(sqrt(error) <= 1e-5 * norm + noise, "%s, %s: error %.2e of %.2e > 1e-5", title,
                  what, sqrt(error), norm);
}

/* Noise: what remains of a gradient whose terms cancel, such as that of a bias before a norm. */
static void check_outcome(const char *title, const outcome *got, const outcome *want) {
    check_near(title, "output", got->output, want->output, want->n_output, 0);
    if (want->grads == NULL) return;
    check_near(title, "input gradient", got->input_grad, want->input_grad, want->n_input_grad, 0);
    check_near(title, "all gradients", got->grads, want->grads, want->n_grads, 0);
    const double all = norm_of(want->grads, want->n_grads);
    for (int i = 0; i < want->params.n; i++) {
        const nn_param *p = &want->params.item[i];
        check_near(title, p->name, got->grads + p->offset, want->grads + p->offset, p->count,
                   1e-6 * all);
    }
}

static const struct {
    bool train, dropout;
    int base, threads;
} unet_cases[] = {{false, false, 16, 1}, {true, false, 16, 1}, {true, true, 16, 1},
                  {true, true, 32, 1},   {true, true, 24, 1},  {true, true, 16, 2},
                  {true, true, 16, 3},   {false, false, 32, 3}};

START_TEST(fused_and_plain_networks_agree) {
    const way fused = {"wino", PLAN(.train = unet_cases[_i].train, .share = true, .fuse = true),
                       unet_cases[_i].threads, unet_cases[_i].dropout};
    way plain = fused;
    plain.plan.fuse = false;
    plain.threads = 1;
    outcome got = outcome_of(unet(unet_cases[_i].base), fused);
    outcome want = outcome_of(unet(unet_cases[_i].base), plain);
    ck_assert_int_gt(got.n_fused, 0);
    ck_assert_int_eq(want.n_fused, 0);
    check_outcome("UNet", &got, &want);
    outcome_clear(&got);
    outcome_clear(&want);
}
END_TEST

/* Small graphs on two images and a vector, of which all or some ops are fused. */
typedef struct parts {
    nn_graph *g;
    nn_tensor a, b, small, film; /* [8][12][16] twice, [4][6][16], [1][1][32] */
} parts;

static nn_tensor conv3(nn_graph *g, nn_tensor x, const char *name) {
    return nn_conv(g, x, name, 16, (nn_conv_opt){.kernel = 3});
}

static nn_tensor conv1(nn_graph *g, nn_tensor x, const char *name) {
    return nn_conv(g, x, name, 16, (nn_conv_opt){.kernel = 1});
}

static nn_tensor norm(nn_graph *g, nn_tensor x, const char *name) {
    return nn_norm(g, x, name, -1, true);
}

static nn_tensor norm_read_twice(parts p) {
    nn_tensor n = norm(p.g, p.a, "n");
    return nn_add(p.g, conv3(p.g, n, "c1"), conv3(p.g, n, "c2"));
}

static nn_tensor norm_read_by_a_sum_too(parts p) {
    nn_tensor n = norm(p.g, p.a, "n");
    return nn_add(p.g, conv3(p.g, n, "c"), n);
}

static nn_tensor concat_read_by_silu_too(parts p) {
    nn_tensor both = nn_concat(p.g, p.a, p.b);
    nn_tensor y = conv3(p.g, norm(p.g, both, "n"), "c1");
    return nn_add(p.g, y, conv3(p.g, nn_silu(p.g, both), "c2"));
}

static nn_tensor concat_read_by_two_convolutions(parts p) {
    nn_tensor both = nn_concat(p.g, p.a, p.b);
    return nn_add(p.g, conv3(p.g, norm(p.g, both, "n"), "c1"), conv1(p.g, both, "c2"));
}

static nn_tensor concat_of_one_tensor_with_itself(parts p) {
    return conv3(p.g, norm(p.g, nn_concat(p.g, p.a, p.a), "n"), "c");
}

static nn_tensor concat_of_one_tensor_with_itself_without_norm(parts p) {
    return nn_add(p.g, conv3(p.g, nn_concat(p.g, p.a, p.a), "c"), p.b);
}

static nn_tensor residual_is_the_source(parts p) {
    return nn_add(p.g, conv3(p.g, norm(p.g, p.a, "n"), "c"), p.a);
}

static nn_tensor residual_is_the_source_without_norm(parts p) {
    return nn_add(p.g, p.a, conv3(p.g, p.a, "c"));
}

static nn_tensor residual_is_the_second_source(parts p) {
    nn_tensor y = conv3(p.g, norm(p.g, nn_concat(p.g, p.a, p.b), "n"), "c");
    return nn_add(p.g, y, p.b);
}

static nn_tensor residual_is_the_source_and_read_elsewhere(parts p) {
    nn_tensor y = nn_add(p.g, conv3(p.g, norm(p.g, p.a, "n1"), "c1"), p.a);
    nn_tensor z = nn_add(p.g, conv3(p.g, norm(p.g, p.a, "n2"), "c2"), p.a);
    return nn_add(p.g, nn_silu(p.g, y), z);
}

static nn_tensor sum_with_itself(parts p) {
    nn_tensor y = conv3(p.g, norm(p.g, p.a, "n"), "c");
    return nn_add(p.g, y, y);
}

static nn_tensor convolution_read_twice(parts p) {
    nn_tensor y = conv3(p.g, norm(p.g, p.a, "n"), "c");
    return nn_add(p.g, y, nn_silu(p.g, y));
}

static nn_tensor sum_long_after_the_convolution(parts p) {
    nn_tensor y = conv3(p.g, norm(p.g, p.a, "n1"), "c1");
    nn_tensor z = nn_dropout(p.g, nn_silu(p.g, conv3(p.g, p.b, "c2")), 0.2f);
    return norm(p.g, nn_add(p.g, z, y), "n2");
}

static nn_tensor dropout_without_norm(parts p) {
    return conv3(p.g, nn_dropout(p.g, nn_silu(p.g, p.a), 0.3f), "c");
}

static nn_tensor dropout_after_a_norm_without_silu(parts p) {
    return conv3(p.g, nn_dropout(p.g, nn_norm(p.g, p.a, "n", -1, false), 0.3f), "c");
}

static nn_tensor dropout_of_a_concat(parts p) {
    nn_tensor n = nn_norm(p.g, nn_concat(p.g, p.a, p.b), "n", -1, true);
    return nn_add(p.g, conv3(p.g, nn_dropout(p.g, n, 0.3f), "c"), p.a);
}

static nn_tensor pooling_without_norm(parts p) {
    return conv3(p.g, nn_avgpool2(p.g, p.a), "c");
}

static nn_tensor pooling_behind_a_norm_of_two(parts p) {
    nn_tensor n = norm(p.g, nn_concat(p.g, p.a, p.b), "n");
    return nn_add(p.g, conv3(p.g, nn_avgpool2(p.g, n), "c"), nn_avgpool2(p.g, p.a));
}

static nn_tensor upsampling_behind_a_norm(parts p) {
    nn_tensor y = conv3(p.g, nn_upsample2(p.g, norm(p.g, p.small, "n")), "c");
    return nn_add(p.g, y, nn_upsample2(p.g, p.small));
}

static nn_tensor one_film_for_two_norms(parts p) {
    nn_tensor y = conv3(p.g, nn_norm(p.g, p.a, "n1", p.film, true), "c1");
    return nn_add(p.g, conv3(p.g, nn_norm(p.g, y, "n2", p.film, false), "c2"), y);
}

static nn_tensor pointwise_of_all_kinds(parts p) {
    nn_tensor y = conv1(p.g, nn_concat(p.g, p.a, p.b), "c1");
    y = nn_add(p.g, conv1(p.g, norm(p.g, y, "n1"), "c2"), p.b);
    y = conv1(p.g, nn_dropout(p.g, norm(p.g, nn_concat(p.g, y, p.a), "n2"), 0.3f), "c3");
    return nn_add(p.g, conv1(p.g, y, "c4"), y);
}

static nn_tensor attention_between_convolutions(parts p) {
    nn_tensor n = nn_norm(p.g, p.small, "n", -1, false);
    nn_tensor qkv = nn_conv(p.g, n, "qkv", 48, (nn_conv_opt){.kernel = 1, .conv1d = true});
    return nn_add(p.g, conv1(p.g, nn_attention(p.g, qkv), "c"), p.small);
}

static nn_tensor thin_at_both_ends(parts p) {
    nn_tensor y = nn_conv(p.g, norm(p.g, p.a, "n1"), "c1", 3, (nn_conv_opt){.kernel = 3});
    return conv3(p.g, norm(p.g, y, "n2"), "c2");
}

/* The input "still" asks for no gradient. */
static nn_tensor concat_with_an_input_without_gradient(parts p) {
    nn_tensor still = nn_input(p.g, "still", 8, 12, 16);
    nn_tensor y = conv3(p.g, nn_concat(p.g, still, p.a), "c1");
    return conv3(p.g, norm(p.g, nn_concat(p.g, y, still), "n"), "c2");
}

#define GRAPH(build, n_ops, n_fused)                                                               \
    { #build, build, n_ops, n_fused }
static const struct {
    const char *name;
    nn_tensor (*build)(parts p);
    int n_ops, n_fused; /* of the fused plan */
} graphs[] = {
    GRAPH(norm_read_twice, 3, 2),
    GRAPH(norm_read_by_a_sum_too, 2, 1),
    GRAPH(concat_read_by_silu_too, 4, 2),
    GRAPH(concat_read_by_two_convolutions, 2, 2),
    GRAPH(concat_of_one_tensor_with_itself, 2, 1),
    GRAPH(concat_of_one_tensor_with_itself_without_norm, 2, 1),
    GRAPH(residual_is_the_source, 1, 1),
    GRAPH(residual_is_the_source_without_norm, 1, 1),
    GRAPH(residual_is_the_second_source, 1, 1),
    GRAPH(residual_is_the_source_and_read_elsewhere, 4, 2),
    GRAPH(sum_with_itself, 2, 1),
    GRAPH(convolution_read_twice, 3, 1),
    GRAPH(sum_long_after_the_convolution, 5, 2),
    GRAPH(dropout_without_norm, 3, 1),
    GRAPH(dropout_after_a_norm_without_silu, 3, 1),
    GRAPH(dropout_of_a_concat, 1, 1),
    GRAPH(pooling_without_norm, 2, 1),
    GRAPH(pooling_behind_a_norm_of_two, 2, 1),
    GRAPH(upsampling_behind_a_norm, 2, 1),
    GRAPH(one_film_for_two_norms, 2, 2),
    GRAPH(pointwise_of_all_kinds, 4, 4),
    GRAPH(attention_between_convolutions, 3, 2),
    GRAPH(thin_at_both_ends, 3, 1),
    GRAPH(concat_with_an_input_without_gradient, 2, 2),
};
enum { N_GRAPHS = sizeof graphs / sizeof *graphs };

/* Inputs that a graph does not read are left out: its ops ask for those that they read. */
static nn_graph *build_graph(int i) {
    static const char *const names[] = {"a", "b", "small", "film"};
    parts p = {.g = nn_graph_new()};
    p.a = nn_input(p.g, names[0], 8, 12, 16);
    p.b = nn_input(p.g, names[1], 8, 12, 16);
    p.small = nn_input(p.g, names[2], 4, 6, 16);
    p.film = nn_input(p.g, names[3], 1, 1, 32);
    nn_output(p.g, graphs[i].build(p));
    for (int k = 0; k < 4; k++) {
        if (p.g->tensor[k].n_uses == 0)
            p.g->tensor[k].n_uses = 1; /* nobody's input is no mistake here */
        else
            nn_graph_want_input_grad(p.g, names[k]);
    }
    return p.g;
}

static void hold_graph(int i, way how, const outcome *want) {
    how.plan.fuse = true;
    outcome got = outcome_of(build_graph(i), how);
    ck_assert_msg(got.n_fused == graphs[i].n_fused && got.plan.n_ops == graphs[i].n_ops,
                  "%s: %d of %d ops are fused, want %d of %d", graphs[i].name, got.n_fused,
                  got.plan.n_ops, graphs[i].n_fused, graphs[i].n_ops);
    ck_assert_int_eq(got.plan.macs, want->plan.macs);
    check_outcome(graphs[i].name, &got, want);
    how.plan.share = !how.plan.share;
    outcome other = outcome_of(build_graph(i), how);
    check_same_bytes(graphs[i].name, &got, &other);
    outcome_clear(&got);
    outcome_clear(&other);
}

/* ---- what is made again ---- */

/* Nothing where it is large enough. */
START_TEST(what_is_made_again_depends_on_the_limit) {
    way how = {"wino", {.train = true, .share = true, .fuse = true}, 1, false};
    outcome all = outcome_of(unet(16), how);
    how.plan.most_bytes = 1;
    outcome least = outcome_of(unet(16), how);
    how.plan.most_bytes = all.plan.activation_bytes;
    outcome enough = outcome_of(unet(16), how);
    how.plan.most_bytes--;
    outcome less = outcome_of(unet(16), how);
    ck_assert_int_eq(all.plan.again_macs, 0);
    ck_assert_int_eq(enough.plan.again_macs, 0);
    ck_assert_int_eq(enough.plan.activation_bytes, all.plan.activation_bytes);
    ck_assert_int_gt(less.plan.again_macs, 0);
    ck_assert_int_lt(less.plan.activation_bytes, all.plan.activation_bytes);
    ck_assert_int_le(least.plan.activation_bytes, less.plan.activation_bytes);
    ck_assert_int_lt(least.plan.again_macs, all.plan.macs); /* each op once at most */
    check_same_bytes("less", &less, &all);
    check_same_bytes("the least", &least, &all);
    outcome_clear(&all);
    outcome_clear(&least);
    outcome_clear(&enough);
    outcome_clear(&less);
}
END_TEST

static nn_tensor convolved(nn_graph *g, nn_tensor x, int n, int k) {
    for (int i = 0; i < n; i++) {
        char name[40];
        snprintf(name, sizeof name, "conv%d.%d", g->n_ops, i);
        x = nn_gelu(g, nn_conv(g, x, name, k, (nn_conv_opt){.kernel = 3}));
    }
    return x;
}

/* A norm in place that reads its input in backward, and whose output nobody needs again. */
static nn_graph *norm_before_pooling(void) {
    nn_graph *g = nn_graph_new();
    nn_tensor x = convolved(g, nn_input(g, "a", H, W, 4), 4, 8);
    x = nn_layer_norm(g, nn_conv(g, x, "last", 8, (nn_conv_opt){.kernel = 3}), "norm");
    x = nn_bilinear2(g, nn_bilinear2(g, nn_avgpool2(g, nn_avgpool2(g, x))));
    nn_output(g, convolved(g, x, 5, 8));
    nn_graph_want_input_grad(g, "a");
    return g;
}

/* An op that saves, on an input without gradient. */
static nn_graph *attention_at_the_start(void) {
    const nn_conv_opt three = {.kernel = 3};
    nn_graph *g = nn_graph_new();
    nn_tensor a = nn_input(g, "a", H, W, 4), b = nn_input(g, "b", H, W, 12);
    nn_tensor x = nn_conv(g, a, "a", 4, three);
    nn_tensor y = nn_conv(g, nn_attention(g, b), "b", 4, three);
    nn_output(g, convolved(g, nn_add(g, nn_gelu(g, y), nn_gelu(g, x)), 16, 16));
    nn_graph_want_input_grad(g, "a");
    return g;
}

static nn_graph *wide_unet(void) {
    return unet(16);
}

static nn_graph *(*const limited[])(void) = {norm_before_pooling, attention_at_the_start,
                                             wide_unet};
enum { N_LIMITED = sizeof limited / sizeof *limited };

START_TEST(every_limit_gives_the_same_bytes) {
    way how = {"ref", PLAN(.train = true, .share = true), 1, false};
    outcome all = outcome_of(limited[_i](), how);
    int64_t bytes = all.plan.activation_bytes;
    int n_plans = 0;
    for (int64_t limit = bytes - 1; limit > bytes / 10; limit = limit * 9 / 10) {
        how.plan.most_bytes = limit;
        outcome o = outcome_of(limited[_i](), how);
        check_same_bytes("a limit", &o, &all);
        ck_assert_int_gt(o.plan.again_macs, 0);
        n_plans += o.plan.activation_bytes < bytes;
        bytes = o.plan.activation_bytes < bytes ? o.plan.activation_bytes : bytes;
        outcome_clear(&o);
    }
    ck_assert_int_ge(n_plans, 2); /* more than one way was taken */
    outcome_clear(&all);
}
END_TEST

/* ---- graphs of their own ---- */

START_TEST(fused_and_plain_graphs_agree) {
    for (int bits = 0; bits < 4; bits++) {
        way how = {"wino", PLAN(.train = bits & 1, .share = true), 1, bits >> 1};
        outcome want = outcome_of(build_graph(_i), how);
        for (how.threads = 1; how.threads <= 3; how.threads++) hold_graph(_i, how, &want);
        outcome_clear(&want);
    }
}
END_TEST

/* ---- what a watcher may take ---- */

/* Takes gradients when they are called final. */
typedef struct finality {
    const float *grads;
    float *taken; /* from float `from` on */
    int64_t from;
    int n_takes;
} finality;

static void take_final(void *arg, int64_t first_final) {
    finality *f = arg;
    ck_assert_int_le(first_final, f->from);
    f->n_takes += first_final < f->from;
    memcpy(f->taken + first_final, f->grads + first_final,
           (size_t)(f->from - first_final) * sizeof *f->taken);
    f->from = first_final;
}

/* An op of each kind with parameters that the UNet does not have. */
static nn_graph *other_layers(void) {
    nn_graph *g = nn_graph_new();
    nn_tensor x = nn_input(g, "x", H, W, 16);
    x = nn_conv(g, x, "bare", 16, (nn_conv_opt){.kernel = 3, .no_bias = true});
    x = nn_layer_norm(g, x, "layer");
    x = nn_conv(g, x, "linear", 48, (nn_conv_opt){.kernel = 1, .linear = true});
    x = nn_window_attention(g, x, "windows", (nn_window_opt){.heads = 2, .window = 8, .keys = 8});
    x = nn_conv_strided(g, x, "strided", 16, (nn_strided_opt){.kernel = 3, .stride = 2, .pad = 1});
    nn_output(g, nn_conv(g, nn_silu(g, x), "last", 8, (nn_conv_opt){.kernel = 3}));
    return g;
}

static void check_finality(nn_graph *g, const char *kernels, bool fuse) {
    outcome o = {0};
    plan_graph(g, kernels, PLAN(.train = true, .share = true, .fuse = fuse), &o.plan);
    const nn_params *p = nn_graph_params(g);
    float *params = random_params(p);
    finality f = {.from = p->block, .taken = nn_params_block(p)};
    o.n_output = g->tensor[g->output].count;
    o.grads = nn_params_block(p);
    f.grads = o.grads;
    fill_inputs(g);
    nn_graph_watch(g, take_final, &f);
    nn_graph_forward(g, params);
    run_backward(g, params, &o);
    ck_assert_int_eq(f.from, 0);
    ck_assert_int_ge(f.n_takes, 5); /* on the way, not at the end */
    check_equal("gradients that were called final", f.taken, o.grads, p->block);
    outcome_clear(&o);
    sx_free(f.taken);
    sx_free(params);
    nn_graph_free(g);
}

START_TEST(gradients_that_are_called_final_do_not_change) {
    check_finality(unet(8), "ref", false);
    check_finality(unet(16), "wino", false);
    check_finality(unet(16), "wino", true);
    check_finality(other_layers(), "ref", false);
    check_finality(other_layers(), "wino", true);
}
END_TEST

/* ---- dropout ---- */

enum { SIDE = 64, CHANNELS = 8, COUNT = SIDE * SIDE * CHANNELS };

static nn_graph *dropout_graph(float p, int n_layers) {
    nn_plan plan;
    nn_graph *g = nn_graph_new();
    nn_tensor x = nn_input(g, "a", SIDE, SIDE, CHANNELS);
    nn_graph_want_input_grad(g, "a");
    for (int i = 0; i < n_layers; i++) x = nn_dropout(g, x, p);
    nn_output(g, x);
    ck_assert_int_eq(nn_graph_plan(g, kernels_named("ref"), true, &plan), SX_OK);
    float *a = nn_graph_input(g, "a");
    for (int i = 0; i < COUNT; i++) a[i] = 1;
    return g;
}

static const float *mask_of(nn_graph *g, uint64_t seed, uint64_t step, uint64_t image) {
    nn_graph_dropout(g, true, seed, step, image);
    return nn_graph_forward(g, NULL);
}

START_TEST(dropout_drops_its_share_and_scales_the_rest) {
    static const float ps[] = {0.1f, 0.5f, 0.9f};
    double p = (double)ps[_i];
    nn_graph *g = dropout_graph(ps[_i], 1);
    const float *y = mask_of(g, 1, 2, 3);
    int dropped = 0, scaled = 0;
    for (int i = 0; i < COUNT; i++) {
        dropped += y[i] == 0;
        scaled += fabs((double)y[i] - 1 / (1 - p)) < 1e-6 / (1 - p);
    }
    ck_assert_int_eq(dropped + scaled, COUNT);
    double want = p * COUNT, sigma = sqrt(p * (1 - p) * COUNT);
    ck_assert_msg(fabs(dropped - want) < 4 * sigma, "dropped %d of %d, want %g +- %g", dropped,
                  COUNT, want, 4 * sigma);
    nn_graph_free(g);
}
END_TEST

START_TEST(neighbours_in_a_mask_are_independent) {
    nn_graph *g = dropout_graph(0.5f, 1);
    const float *y = mask_of(g, 1, 2, 3);
    static const int lags[] = {1, 2, 4, CHANNELS, SIDE * CHANNELS};
    for (int k = 0; k < 5; k++) {
        int equal = 0, n = COUNT - lags[k];
        for (int i = 0; i < n; i++) equal += (y[i] == 0) == (y[i + lags[k]] == 0);
        ck_assert_msg(fabs(equal - 0.5 * n) < 2 * sqrt(n), "lag %d: %d of %d equal", lags[k], equal,
                      n);
    }
    nn_graph_free(g);
}
END_TEST

/* Share of elements that two masks treat alike: 1 for equal keys, 1/2 for others at p = 1/2. */
START_TEST(masks_depend_on_seed_step_image_and_layer) {
    nn_graph *g = dropout_graph(0.5f, 1), *two = dropout_graph(0.5f, 2);
    static float first[COUNT];
    static const uint64_t keys[][3] = {{2, 2, 3}, {1, 3, 3}, {1, 2, 4}};
    memcpy(first, mask_of(g, 1, 2, 3), sizeof first);
    check_equal("equal key", mask_of(g, 1, 2, 3), first, COUNT);
    for (int k = 0; k < 3; k++) {
        const float *y = mask_of(g, keys[k][0], keys[k][1], keys[k][2]);
        int equal = 0;
        for (int i = 0; i < COUNT; i++) equal += (y[i] == 0) == (first[i] == 0);
        ck_assert_msg(fabs(equal - 0.5 * COUNT) < 2 * sqrt(COUNT), "key %d: %d of %d equal", k,
                      equal, COUNT);
    }
    const float *y = mask_of(two, 1, 2, 3);
    int kept = 0;
    for (int i = 0; i < COUNT; i++) kept += y[i] != 0;
    ck_assert_msg(fabs(kept - 0.25 * COUNT) < 2 * sqrt(COUNT), "two layers keep %d of %d", kept,
                  COUNT);
    nn_graph_free(g);
    nn_graph_free(two);
}
END_TEST

START_TEST(backward_uses_the_mask_of_forward) {
    nn_graph *g = dropout_graph(0.3f, 2);
    static float y[COUNT], d_y[COUNT];
    memcpy(y, mask_of(g, 5, 6, 7), sizeof y);
    for (int i = 0; i < COUNT; i++) d_y[i] = 1;
    nn_graph_backward(g, NULL, d_y, NULL);
    check_equal("gradient of a sum", nn_graph_input_grad(g, "a"), y, COUNT);
    nn_graph_free(g);
}
END_TEST

START_TEST(dropout_that_is_off_changes_nothing) {
    nn_graph *g = dropout_graph(0.3f, 1);
    nn_graph_dropout(g, false, 1, 1, 1);
    check_equal("off", nn_graph_forward(g, NULL), nn_graph_input(g, "a"), COUNT);
    nn_graph_free(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("graph");
    TCase *all = tcase_create("graph");
    tcase_add_loop_test(all, shared_memory_gives_the_bytes_of_memory_that_nobody_shares, 0,
                        N_SHARED);
    tcase_add_test(all, what_is_made_again_depends_on_the_limit);
    tcase_add_loop_test(all, every_limit_gives_the_same_bytes, 0, N_LIMITED);
    tcase_add_loop_test(all, equal_runs_of_a_team_give_equal_bytes, 0, N_SHARED);
    tcase_add_loop_test(all, slots_that_live_together_do_not_overlap, 0, N_SHARED);
    tcase_add_test(all, inputs_stay_for_the_next_run);
    tcase_add_test(all, unknown_inputs_are_null);
    tcase_add_test(all, times_name_the_ops_and_count_their_calls);
    tcase_add_test(all, fusion_leaves_fewer_ops_with_the_same_macs);
    tcase_add_loop_test(all, fused_and_plain_networks_agree, 0,
                        (int)(sizeof unet_cases / sizeof *unet_cases));
    tcase_add_loop_test(all, fused_and_plain_graphs_agree, 0, N_GRAPHS);
    tcase_add_test(all, gradients_that_are_called_final_do_not_change);
    tcase_add_loop_test(all, dropout_drops_its_share_and_scales_the_rest, 0, 3);
    tcase_add_test(all, neighbours_in_a_mask_are_independent);
    tcase_add_test(all, masks_depend_on_seed_step_image_and_layer);
    tcase_add_test(all, backward_uses_the_mask_of_forward);
    tcase_add_test(all, dropout_that_is_off_changes_nothing);
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
