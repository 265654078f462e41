/* Every op and small whole networks: gradients against central differences over shrinking steps,
 * with the reference kernels in fp32.
 *
 * The loss is a fixed random sum of the output. Along the gradient plus a random direction the
 * difference quotient must come within `tolerance` of the analytic slope at one of the steps: large
 * steps suffer from curvature, small ones from rounding. A wrong term anywhere in a gradient shows
 * as an error of the order of one. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/net_arch.h"
#include "model/nn_ops.h"
#include "tests/check_run.h"
#include "tests/model/palette.h"

static const double steps[] = {0.3, 0.1, 0.03, 0.01, 0.003};
enum { N_STEPS = 5, OUT_CHANNELS = 5 };
static const double tolerance = 1e-3;

/* ---- graphs to differentiate ---- */

static nn_tensor input_a(nn_graph *g, int h, int w, int c) {
    return nn_input(g, "a", h, w, c);
}

static nn_tensor conv3(nn_graph *g) {
    return nn_conv(g, input_a(g, 5, 4, 3), "l", OUT_CHANNELS, (nn_conv_opt){.kernel = 3});
}
static nn_tensor conv1(nn_graph *g) {
    return nn_conv(g, input_a(g, 3, 4, 6), "l", OUT_CHANNELS, (nn_conv_opt){.kernel = 1});
}
static nn_tensor conv1d(nn_graph *g) {
    return nn_conv(g, input_a(g, 3, 4, 6), "l", OUT_CHANNELS,
                   (nn_conv_opt){.kernel = 1, .conv1d = true});
}
static nn_tensor linear(nn_graph *g) {
    return nn_linear(g, input_a(g, 1, 1, 37), "l", OUT_CHANNELS);
}
static nn_tensor norm_own_channel(nn_graph *g) {
    return nn_norm(g, input_a(g, 9, 8, 6), "l", -1, false);
}
static nn_tensor norm_groups_of_two(nn_graph *g) {
    return nn_norm(g, input_a(g, 3, 5, 64), "l", -1, true);
}
static nn_tensor norm_groups_of_18(nn_graph *g) {
    return nn_norm(g, input_a(g, 3, 5, 36), "l", -1, true);
}
static nn_tensor norm_film(nn_graph *g) {
    nn_tensor a = input_a(g, 3, 5, 64);
    return nn_norm(g, a, "l", nn_input(g, "b", 1, 1, 128), true);
}
static nn_tensor silu(nn_graph *g) {
    return nn_silu(g, input_a(g, 3, 5, 3));
}
static nn_tensor add(nn_graph *g) {
    nn_tensor a = input_a(g, 3, 4, 2);
    return nn_silu(g, nn_add(g, a, nn_input(g, "b", 3, 4, 2)));
}
static nn_tensor add_to_itself(nn_graph *g) {
    nn_tensor x = nn_silu(g, input_a(g, 3, 4, 2));
    return nn_silu(g, nn_add(g, x, x));
}
static nn_tensor concat(nn_graph *g) {
    nn_tensor a = input_a(g, 3, 4, 3);
    return nn_silu(g, nn_concat(g, a, nn_input(g, "b", 3, 4, 5)));
}
static nn_tensor avgpool2(nn_graph *g) {
    return nn_silu(g, nn_avgpool2(g, input_a(g, 6, 4, 3)));
}
static nn_tensor upsample2(nn_graph *g) {
    return nn_silu(g, nn_upsample2(g, input_a(g, 3, 4, 3)));
}
static nn_tensor dropout(nn_graph *g) {
    return nn_silu(g, nn_dropout(g, nn_silu(g, input_a(g, 6, 4, 3)), 0.4f));
}
static nn_tensor attention(nn_graph *g) {
    return nn_attention(g, input_a(g, 3, 4, 3 * 7));
}

static nn_tensor conv_linear(nn_graph *g) {
    return nn_conv(g, input_a(g, 3, 4, 6), "l", OUT_CHANNELS,
                   (nn_conv_opt){.kernel = 1, .linear = true});
}
static nn_tensor conv_no_bias(nn_graph *g) {
    return nn_conv(g, input_a(g, 5, 4, 3), "l", OUT_CHANNELS,
                   (nn_conv_opt){.kernel = 3, .no_bias = true});
}
static nn_tensor strided_4x4(nn_graph *g) {
    return nn_conv_strided(g, input_a(g, 6, 8, 3), "l", OUT_CHANNELS,
                           (nn_strided_opt){.kernel = 4, .stride = 2, .pad = 1, .no_bias = true});
}
static nn_tensor strided_5x5(nn_graph *g) {
    return nn_conv_strided(g, input_a(g, 7, 5, 2), "l", 19, /* more than a block of bias sums */
                           (nn_strided_opt){.kernel = 5, .stride = 3, .pad = 3});
}
static nn_tensor relu(nn_graph *g) {
    return nn_relu(g, input_a(g, 3, 5, 3));
}
static nn_tensor leaky_relu_in_place(nn_graph *g) {
    return nn_silu(g, nn_leaky_relu(g, conv3(g), 0.2f));
}
static nn_tensor relu_of_many(nn_graph *g) {
    return nn_leaky_relu(g, nn_upsample2(g, nn_upsample2(g, input_a(g, 5, 4, 3))), 0.2f);
}
static nn_tensor gelu(nn_graph *g) {
    return nn_gelu(g, input_a(g, 3, 5, 3));
}
static nn_tensor add_scaled(nn_graph *g) {
    nn_tensor a = nn_silu(g, input_a(g, 3, 4, 2));
    return nn_silu(g, nn_add_scaled(g, a, nn_input(g, "b", 3, 4, 2), 0.2f));
}
static nn_tensor add_scaled_in_place(nn_graph *g) {
    nn_tensor a = nn_silu(g, input_a(g, 3, 4, 2)), b = nn_silu(g, a);
    return nn_silu(g, nn_add_scaled(g, a, b, 0.2f));
}
static nn_tensor add_scaled_with_other_readers(nn_graph *g) {
    nn_tensor a = nn_silu(g, input_a(g, 3, 4, 2)), b = nn_silu(g, a);
    nn_tensor sum = nn_add_scaled(g, a, b, 0.2f);
    return nn_silu(g, nn_concat(g, sum, nn_concat(g, a, b)));
}
static nn_tensor add_scaled_to_itself(nn_graph *g) {
    nn_tensor x = nn_silu(g, input_a(g, 3, 4, 2));
    return nn_silu(g, nn_add_scaled(g, x, x, 0.2f));
}
static nn_tensor layer_norm(nn_graph *g) {
    return nn_silu(g, nn_layer_norm(g, nn_silu(g, input_a(g, 3, 4, 37)), "l"));
}
static nn_tensor layer_norm_of_few(nn_graph *g) {
    return nn_layer_norm(g, input_a(g, 3, 4, 5), "l");
}
static nn_tensor global_avgpool(nn_graph *g) {
    return nn_silu(g, nn_global_avgpool(g, input_a(g, 3, 4, 67)));
}
static nn_tensor channel_gate(nn_graph *g) {
    nn_tensor a = input_a(g, 3, 4, 67);
    return nn_silu(g, nn_channel_gate(g, nn_silu(g, a), nn_input(g, "b", 1, 1, 67)));
}
static nn_tensor channel_gate_twice(nn_graph *g) {
    nn_tensor a = input_a(g, 3, 4, 5), b = nn_input(g, "b", 1, 1, 5);
    return nn_silu(g, nn_channel_gate(g, nn_silu(g, nn_channel_gate(g, a, b)), b));
}
static nn_tensor channel_gate_of_a_pixel(nn_graph *g) {
    nn_tensor x = nn_silu(g, input_a(g, 1, 1, 7)), gate = nn_silu(g, x);
    return nn_silu(g, nn_channel_gate(g, x, gate));
}
static nn_tensor channel_attention(nn_graph *g) {
    nn_tensor x = nn_silu(g, input_a(g, 3, 4, 6));
    nn_tensor squeezed = nn_conv(g, nn_global_avgpool(g, x), "l", 6, (nn_conv_opt){.kernel = 1});
    return nn_channel_gate(g, x, squeezed);
}
static nn_tensor pixel_shuffle(nn_graph *g) {
    return nn_silu(g, nn_pixel_shuffle(g, input_a(g, 3, 4, 5 * 4), 2));
}
static nn_tensor pixel_shuffle_by_3(nn_graph *g) {
    return nn_silu(g, nn_pixel_shuffle(g, input_a(g, 3, 2, 2 * 9), 3));
}
static nn_tensor pixel_unshuffle(nn_graph *g) {
    return nn_silu(g, nn_pixel_unshuffle(g, input_a(g, 8, 12, 1), 4));
}
/* Both ways back add to what the sum has written. */
static nn_tensor pixel_shuffles_with_other_readers(nn_graph *g) {
    nn_tensor x = nn_silu(g, input_a(g, 4, 6, 4));
    x = nn_add(g, nn_pixel_unshuffle(g, nn_pixel_shuffle(g, x, 2), 2), x);
    x = nn_silu(g, x);
    return nn_silu(g, nn_add(g, nn_pixel_shuffle(g, nn_pixel_unshuffle(g, x, 2), 2), x));
}
static nn_tensor bilinear2(nn_graph *g) {
    return nn_silu(g, nn_bilinear2(g, input_a(g, 3, 4, 3)));
}
static nn_tensor bilinear2_of_a_row(nn_graph *g) {
    return nn_silu(g, nn_bilinear2(g, input_a(g, 1, 2, 3)));
}
static nn_tensor window_attention(nn_graph *g) {
    return nn_window_attention(g, input_a(g, 4, 8, 3 * 6), "l",
                               (nn_window_opt){.heads = 2, .window = 4, .keys = 4});
}
static nn_tensor window_attention_shifted(nn_graph *g) {
    return nn_window_attention(g, input_a(g, 6, 9, 3 * 6), "l",
                               (nn_window_opt){.heads = 3, .window = 3, .keys = 3, .shift = 1});
}
static nn_tensor window_attention_of_8(nn_graph *g) {
    nn_tensor x = nn_silu(g, input_a(g, 8, 8, 3 * 4));
    return nn_window_attention(g, x, "l",
                               (nn_window_opt){.heads = 2, .window = 8, .keys = 8, .shift = 4});
}
static nn_tensor window_attention_overlapping(nn_graph *g) {
    return nn_window_attention(g, input_a(g, 8, 4, 3 * 6), "l",
                               (nn_window_opt){.heads = 2, .window = 4, .keys = 6});
}
/* As many_readers, of the ops of the other networks. The kink of ReLU is small here, for
 * differences suffer from it. */
static nn_tensor many_other_readers(nn_graph *g) {
    nn_tensor x = nn_silu(g, input_a(g, 4, 4, 12));
    nn_tensor bare = nn_conv(g, x, "l", 12, (nn_conv_opt){.kernel = 3, .no_bias = true});
    nn_tensor few = nn_conv(g, bare, "few", 4, (nn_conv_opt){.kernel = 1, .no_bias = true});
    nn_tensor half =
        nn_conv_strided(g, x, "s", 12, (nn_strided_opt){.kernel = 4, .stride = 2, .pad = 1});
    nn_tensor gate = nn_global_avgpool(g, x);
    nn_tensor gated = nn_channel_gate(g, x, gate), other = nn_channel_gate(g, bare, gate);
    nn_tensor large = nn_add_scaled(g, nn_upsample2(g, x), nn_bilinear2(g, x), 0.3f);
    large = nn_add(g, large, nn_upsample2(g, nn_bilinear2(g, half)));
    nn_tensor tokens = nn_add_scaled(g, nn_layer_norm(g, x, "n"), nn_gelu(g, x), 0.7f);
    nn_tensor mixed = nn_add_scaled(g, nn_add(g, gated, other), nn_leaky_relu(g, x, 0.9f), 0.5f);
    nn_tensor inside = nn_window_attention(g, x, "w", (nn_window_opt){2, 2, 1, 2, false});
    nn_tensor across = nn_window_attention(g, x, "o", (nn_window_opt){1, 2, 0, 4, true});
    nn_tensor heads = nn_concat(g, inside, across);
    nn_tensor shuffled = nn_concat(g, nn_pixel_shuffle(g, x, 2), nn_pixel_shuffle(g, tokens, 2));
    nn_tensor small = nn_add(g, nn_pixel_unshuffle(g, shuffled, 2),
                             nn_concat(g, mixed, nn_concat(g, heads, few)));
    return nn_concat(g, nn_upsample2(g, nn_gelu(g, nn_layer_norm(g, small, "last"))), large);
}
/* One tensor with four readers: each op that accumulates does so here. */
static nn_tensor many_readers(nn_graph *g) {
    nn_tensor x = nn_silu(g, input_a(g, 4, 4, 6));
    nn_tensor conv = nn_conv(g, x, "l", 6, (nn_conv_opt){.kernel = 3});
    nn_tensor norm = nn_norm(g, x, "n", -1, true);
    nn_tensor pooled = nn_upsample2(g, nn_avgpool2(g, x));
    nn_tensor dropped = nn_dropout(g, x, 0.3f);
    nn_tensor sum = nn_add(g, nn_add(g, conv, norm), nn_add(g, pooled, dropped));
    nn_tensor all = nn_concat(g, nn_concat(g, sum, x), nn_attention(g, x));
    return nn_norm(g, all, "last", -1, true);
}

static const struct {
    const char *name;
    nn_tensor (*build)(nn_graph *g);
} ops[] = {
    {"conv 3x3", conv3},
    {"conv 1x1", conv1},
    {"conv1d", conv1d},
    {"linear", linear},
    {"norm, a channel a group", norm_own_channel},
    {"norm, two channels a group, SiLU", norm_groups_of_two},
    {"norm, channels that 32 does not divide", norm_groups_of_18},
    {"norm, FiLM, SiLU", norm_film},
    {"silu", silu},
    {"add", add},
    {"add to itself", add_to_itself},
    {"concat", concat},
    {"avgpool2", avgpool2},
    {"upsample2", upsample2},
    {"dropout", dropout},
    {"attention", attention},
    {"many readers", many_readers},
    {"conv, linear weights", conv_linear},
    {"conv without bias", conv_no_bias},
    {"strided conv 4x4", strided_4x4},
    {"strided conv 5x5, bias, windows outside", strided_5x5},
    {"relu", relu},
    {"leaky relu in place", leaky_relu_in_place},
    {"leaky relu of more than a block", relu_of_many},
    {"gelu", gelu},
    {"add_scaled", add_scaled},
    {"add_scaled in place", add_scaled_in_place},
    {"add_scaled with other readers", add_scaled_with_other_readers},
    {"add_scaled to itself", add_scaled_to_itself},
    {"layer norm", layer_norm},
    {"layer norm of few channels", layer_norm_of_few},
    {"global avgpool", global_avgpool},
    {"channel gate", channel_gate},
    {"channel gate twice", channel_gate_twice},
    {"channel gate of a pixel", channel_gate_of_a_pixel},
    {"channel attention", channel_attention},
    {"pixel shuffle", pixel_shuffle},
    {"pixel shuffle by 3", pixel_shuffle_by_3},
    {"pixel unshuffle", pixel_unshuffle},
    {"pixel shuffles with other readers", pixel_shuffles_with_other_readers},
    {"bilinear2", bilinear2},
    {"bilinear2 of a row", bilinear2_of_a_row},
    {"window attention", window_attention},
    {"window attention, shifted", window_attention_shifted},
    {"window attention, windows of 8", window_attention_of_8},
    {"window attention, overlapping", window_attention_overlapping},
    {"many other readers", many_other_readers},
};
enum { N_OPS = sizeof ops / sizeof *ops };

/* ---- differences ---- */

typedef struct subject {
    nn_graph *g;
    float *params, *grads, *mix; /* mix [output]: the loss is its product with the output */
    int64_t n_out;
} subject;

/* Plan, then random inputs, parameters and mix. */
static subject subject_of(nn_graph *g) {
    const nn_kernels *ref;
    nn_plan plan;
    ck_assert_int_eq(nn_kernels_get("ref", &ref), SX_OK);
    for (int i = 0; i < g->n_tensors; i++)
        if (g->tensor[i].producer < 0) nn_graph_want_input_grad(g, g->tensor[i].name);
    ck_assert_int_eq(nn_graph_plan(g, ref, true, &plan), SX_OK);
    nn__graph_poison(g);
    const nn_params *p = nn_graph_params(g);
    subject s = {.g = g, .n_out = g->tensor[g->output].count};
    s.params = nn_params_block(p);
    s.grads = nn_params_block(p);
    s.mix = SX_NEW_ARRAY(float, s.n_out);
    sx_rng r = sx_rng_make(7, SX_RNG_TEST, 0, 0);
    sx_rng_normals(&r, s.mix, s.n_out);
    for (int i = 0; i < p->n; i++)
        sx_rng_normals(&r, s.params + p->item[i].offset, p->item[i].count);
    for (int64_t i = 0; i < p->block; i++) s.params[i] *= 0.3f;
    for (int i = 0; i < g->n_tensors; i++)
        if (g->tensor[i].producer < 0) sx_rng_normals(&r, g->tensor[i].value, g->tensor[i].count);
    nn_graph_dropout(g, true, 1, 2, 3);
    return s;
}

static void subject_clear(subject *s) {
    sx_free(s->params);
    sx_free(s->grads);
    sx_free(s->mix);
    nn_graph_free(s->g);
}

static double loss_of(const subject *s) {
    const float *y = nn_graph_forward(s->g, s->params);
    double sum = 0;
    for (int64_t i = 0; i < s->n_out; i++) sum += (double)y[i] * (double)s->mix[i];
    return sum;
}

static double product(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Slope of the loss along d by a central difference; x is left as it was. */
static double slope(const subject *s, float *x, const float *d, int64_t n, double step) {
    float *kept = SX_NEW_ARRAY(float, n);
    double side[2];
    memcpy(kept, x, (size_t)n * sizeof *x);
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < n; i++) x[i] = kept[i] + (float)(k ? -step : step) * d[i];
        side[k] = loss_of(s);
    }
    memcpy(x, kept, (size_t)n * sizeof *x);
    sx_free(kept);
    return (side[0] - side[1]) / (2 * step);
}

/* Hold the gradient of variable x [n] against differences. Errors count against the norm of that
 * gradient, or of `least` where it vanishes in exact arithmetic (the bias of a channel that group
 * norm centres on its own). */
static void check_variable(const subject *s, const char *what, const char *name, float *x,
                           const float *gradient, int64_t n, double least, int n_directions) {
    float *d = SX_NEW_ARRAY(float, n);
    double norm = sqrt(product(gradient, gradient, n)), scale = norm > least ? norm : least;
    ck_assert_msg(isfinite(norm) && scale > 0, "%s, %s: gradient of norm %g", what, name, norm);
    for (int k = 0; k < n_directions; k++) {
        sx_rng r = sx_rng_make(8, SX_RNG_TEST, 0, (uint64_t)k);
        sx_rng_normals(&r, d, n);
        double length = sqrt(product(d, d, n));
        for (int64_t i = 0; i < n; i++)
            d[i] = (float)((double)d[i] / length + (double)gradient[i] / scale);
        double want = product(gradient, d, n), best = INFINITY, got = NAN;
        for (int i = 0; i < N_STEPS; i++) {
            double by_difference = slope(s, x, d, n, steps[i]);
            double error = fabs(by_difference - want) / scale;
            if (error < best) {
                best = error;
                got = by_difference;
            }
        }
        ck_assert_msg(best <= tolerance,
                      "%s, %s: analytic slope %g, by differences %g: error %g of %g, tolerance %g",
                      what, name, want, got, best, scale, tolerance);
    }
    sx_free(d);
}

/* Gradients of all inputs, one after the other; their memory is the plan's, so they are copied. */
static float *copy_input_gradients(const nn_graph *g, double *squares) {
    int64_t n = 0;
    for (int i = 0; i < g->n_tensors; i++)
        if (g->tensor[i].producer < 0) n += g->tensor[i].count;
    float *copy = SX_NEW_ARRAY(float, n), *to = copy;
    for (int i = 0; i < g->n_tensors; i++) {
        const nn__tensor *t = &g->tensor[i];
        if (t->producer >= 0) continue;
        memcpy(to, t->grad, (size_t)t->count * sizeof *to);
        to += t->count;
    }
    *squares = product(copy, copy, n);
    return copy;
}

static void check_subject(subject *s, const char *what, int n_directions) {
    const nn_params *p = nn_graph_params(s->g);
    loss_of(s);
    nn_graph_backward(s->g, s->params, s->mix, s->grads);
    double squares;
    float *copy = copy_input_gradients(s->g, &squares), *gradient = copy;
    double least = 1e-3 * sqrt(squares + product(s->grads, s->grads, p->block));
    for (int i = 0; i < s->g->n_tensors; i++) {
        const nn__tensor *t = &s->g->tensor[i];
        if (t->producer >= 0) continue;
        check_variable(s, what, t->name, t->value, gradient, t->count, least, n_directions);
        gradient += t->count;
    }
    for (int i = 0; i < p->n; i++) {
        const nn_param *it = &p->item[i];
        check_variable(s, what, it->name, s->params + it->offset, s->grads + it->offset, it->count,
                       least, n_directions);
    }
    sx_free(copy);
}

START_TEST(gradient_of_each_op_is_the_slope_of_its_output) {
    nn_graph *g = nn_graph_new();
    nn_output(g, ops[_i].build(g));
    subject s = subject_of(g);
    check_subject(&s, ops[_i].name, 3);
    subject_clear(&s);
}
END_TEST

START_TEST(gradient_of_a_small_unet_is_the_slope_of_its_output) {
    net_config c = palette_config();
    c.base_channels = 8;
    c.levels = 2;
    c.mult[1] = 2;
    c.res_blocks = 1;
    nn_graph *g = nn_graph_new();
    net__palette.build(g, &c, 8, 6);
    subject s = subject_of(g);
    check_subject(&s, "palette", 1);
    subject_clear(&s);
}
END_TEST

START_TEST(backward_adds_to_the_gradients_it_is_given) {
    nn_graph *g = nn_graph_new();
    nn_output(g, many_readers(g));
    subject s = subject_of(g);
    const nn_params *p = nn_graph_params(g);
    float *once = nn_params_block(p);
    loss_of(&s);
    nn_graph_backward(g, s.params, s.mix, once);
    for (int k = 0; k < 2; k++) {
        loss_of(&s);
        nn_graph_backward(g, s.params, s.mix, s.grads);
    }
    for (int64_t i = 0; i < p->block; i++)
        ck_assert_msg(fabs((double)s.grads[i] - 2 * (double)once[i]) <=
                          1e-5 * (1 + fabs((double)once[i])),
                      "parameter float %lld: got %g after two runs, %g after one", (long long)i,
                      (double)s.grads[i], (double)once[i]);
    sx_free(once);
    subject_clear(&s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("grad");
    TCase *all = tcase_create("grad");
    tcase_add_loop_test(all, gradient_of_each_op_is_the_slope_of_its_output, 0, N_OPS);
    tcase_add_test(all, gradient_of_a_small_unet_is_the_slope_of_its_output);
    tcase_add_test(all, backward_adds_to_the_gradients_it_is_given);
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
