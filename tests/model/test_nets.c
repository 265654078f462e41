/* RCAN, RRDB, the U-Net discriminator of Real-ESRGAN and HAT, built at small sizes from the public
 * ops, against the fixtures made by running the published networks (shared/fixtures/README.md):
 * output, loss, and the gradient of every parameter and of the input. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_tensors.h"
#include "model/nn_graph.h"
#include "model/nn_optim.h"
#include "tests/check_run.h"
#include "tests/model/fixtures.h"

/* ---- names ---- */

typedef struct path {
    char text[96];
} path;

__attribute__((format(printf, 1, 2))) static path path_of(const char *format, ...) {
    path p;
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(p.text, sizeof p.text, format, args);
    va_end(args);
    ck_assert(length > 0 && (size_t)length < sizeof p.text);
    return p;
}

/* Layer `name` below `prefix`. */
static path below(path prefix, const char *name) {
    return path_of("%s.%s", prefix.text, name);
}

static nn_tensor conv3(nn_graph *g, nn_tensor x, const char *name, int k) {
    return nn_conv(g, x, name, k, (nn_conv_opt){.kernel = 3});
}

/* Squeeze and excitation below prefix, layers `squeeze` and `excite`. */
static nn_tensor channel_attention(nn_graph *g, nn_tensor x, path prefix, const char *squeeze,
                                   const char *excite, int c, int squeezed) {
    const nn_conv_opt one = {.kernel = 1};
    nn_tensor s = nn_global_avgpool(g, x);
    s = nn_relu(g, nn_conv(g, s, below(prefix, squeeze).text, squeezed, one));
    return nn_channel_gate(g, x, nn_conv(g, s, below(prefix, excite).text, c, one));
}

/* ---- RCAN (Zhang et al. 2018) ---- */

enum { RCAN_GROUPS = 2, RCAN_BLOCKS = 3, RCAN_C = 16, RCAN_SQUEEZED = 4 };

static nn_tensor rcan_block(nn_graph *g, nn_tensor x, path p) {
    nn_tensor y = nn_relu(g, conv3(g, x, below(p, "body.0").text, RCAN_C));
    y = conv3(g, y, below(p, "body.2").text, RCAN_C);
    y = channel_attention(g, y, below(p, "body.3"), "conv_du.0", "conv_du.2", RCAN_C,
                          RCAN_SQUEEZED);
    return nn_add(g, y, x);
}

static nn_tensor rcan_group(nn_graph *g, nn_tensor x, int group) {
    nn_tensor y = x;
    for (int b = 0; b < RCAN_BLOCKS; b++)
        y = rcan_block(g, y, path_of("body.%d.body.%d", group, b));
    y = conv3(g, y, path_of("body.%d.body.%d", group, RCAN_BLOCKS).text, RCAN_C);
    return nn_add(g, y, x);
}

static nn_tensor rcan(nn_graph *g, nn_tensor x) {
    nn_tensor head = conv3(g, x, "head.0", RCAN_C), y = head;
    for (int i = 0; i < RCAN_GROUPS; i++) y = rcan_group(g, y, i);
    y = nn_add(g, conv3(g, y, path_of("body.%d", RCAN_GROUPS).text, RCAN_C), head);
    return conv3(g, y, "tail.1", 1);
}

/* ---- RRDB (Wang et al. 2018, Real-ESRGAN's form for scale 1) ---- */

enum { RRDB_BLOCKS = 2, RRDB_C = 16, RRDB_GROWTH = 8, RRDB_UNSHUFFLE = 4 };
static const float leak = 0.2f, residual = 0.2f;

static nn_tensor dense_block(nn_graph *g, nn_tensor x, path p) {
    nn_tensor all = x;
    for (int i = 1; i < 5; i++) {
        nn_tensor y = conv3(g, all, path_of("%s.conv%d", p.text, i).text, RRDB_GROWTH);
        all = nn_concat(g, all, nn_leaky_relu(g, y, leak));
    }
    return nn_add_scaled(g, x, conv3(g, all, below(p, "conv5").text, RRDB_C), residual);
}

static nn_tensor rrdb_block(nn_graph *g, nn_tensor x, int block) {
    nn_tensor y = x;
    for (int i = 1; i < 4; i++) y = dense_block(g, y, path_of("body.%d.rdb%d", block, i));
    return nn_add_scaled(g, x, y, residual);
}

static nn_tensor rrdb(nn_graph *g, nn_tensor x) {
    nn_tensor first = conv3(g, nn_pixel_unshuffle(g, x, RRDB_UNSHUFFLE), "conv_first", RRDB_C);
    nn_tensor y = first;
    for (int i = 0; i < RRDB_BLOCKS; i++) y = rrdb_block(g, y, i);
    y = nn_add(g, conv3(g, y, "conv_body", RRDB_C), first);
    y = nn_leaky_relu(g, conv3(g, nn_upsample2(g, y), "conv_up1", RRDB_C), leak);
    y = nn_leaky_relu(g, conv3(g, nn_upsample2(g, y), "conv_up2", RRDB_C), leak);
    y = nn_leaky_relu(g, conv3(g, y, "conv_hr", RRDB_C), leak);
    return conv3(g, y, "conv_last", 1);
}

/* ---- U-Net discriminator (Wang et al. 2021, Real-ESRGAN) ---- */

enum { DISCRIMINATOR_C = 8 };

static nn_tensor down(nn_graph *g, nn_tensor x, const char *name, int k) {
    const nn_strided_opt opt = {.kernel = 4, .stride = 2, .pad = 1, .no_bias = true};
    return nn_leaky_relu(g, nn_conv_strided(g, x, name, k, opt), leak);
}

static nn_tensor flat(nn_graph *g, nn_tensor x, const char *name, int k) {
    return nn_leaky_relu(g, nn_conv(g, x, name, k, (nn_conv_opt){.kernel = 3, .no_bias = true}),
                         leak);
}

static nn_tensor discriminator(nn_graph *g, nn_tensor x) {
    const int c = DISCRIMINATOR_C;
    nn_tensor x0 = nn_leaky_relu(g, conv3(g, x, "conv0", c), leak);
    nn_tensor x1 = down(g, x0, "conv1", 2 * c), x2 = down(g, x1, "conv2", 4 * c);
    nn_tensor y = down(g, x2, "conv3", 8 * c);
    y = nn_add(g, flat(g, nn_bilinear2(g, y), "conv4", 4 * c), x2);
    y = nn_add(g, flat(g, nn_bilinear2(g, y), "conv5", 2 * c), x1);
    y = nn_add(g, flat(g, nn_bilinear2(g, y), "conv6", c), x0);
    return conv3(g, flat(g, flat(g, y, "conv7", c), "conv8", c), "conv9", 1);
}

/* ---- HAT (Chen et al. 2023) ---- */

enum {
    HAT_C = 24,
    HAT_GROUPS = 2,
    HAT_BLOCKS = 2,
    HAT_HEADS = 2,
    HAT_WINDOW = 8,
    HAT_KEYS = 12,
    HAT_COMPRESSED = 8,
    HAT_SQUEEZED = 4,
    HAT_LAST = 64
};
static const float hat_conv_scale = 0.01f, default_leak = 0.01f;

static nn_tensor tokens_linear(nn_graph *g, nn_tensor x, path name, int k) {
    return nn_conv(g, x, name.text, k, (nn_conv_opt){.kernel = 1, .linear = true});
}

static nn_tensor mlp(nn_graph *g, nn_tensor x, path p) {
    nn_tensor y = nn_layer_norm(g, x, below(p, "norm2").text);
    y = nn_gelu(g, tokens_linear(g, y, below(p, "mlp.fc1"), 2 * HAT_C));
    return nn_add(g, tokens_linear(g, y, below(p, "mlp.fc2"), HAT_C), x);
}

static nn_tensor hybrid_block(nn_graph *g, nn_tensor x, path p, int shift) {
    nn_tensor n = nn_layer_norm(g, x, below(p, "norm1").text);
    nn_tensor y = nn_gelu(g, conv3(g, n, below(p, "conv_block.cab.0").text, HAT_COMPRESSED));
    y = conv3(g, y, below(p, "conv_block.cab.2").text, HAT_C);
    y = channel_attention(g, y, below(p, "conv_block.cab.3"), "attention.1", "attention.3", HAT_C,
                          HAT_SQUEEZED);
    nn_tensor a = tokens_linear(g, n, below(p, "attn.qkv"), 3 * HAT_C);
    a = nn_window_attention(g, a, below(p, "attn").text,
                            (nn_window_opt){HAT_HEADS, HAT_WINDOW, shift, HAT_WINDOW});
    a = nn_add(g, tokens_linear(g, a, below(p, "attn.proj"), HAT_C), x);
    return mlp(g, nn_add_scaled(g, a, y, hat_conv_scale), p);
}

static nn_tensor overlap_block(nn_graph *g, nn_tensor x, path p) {
    nn_tensor y = nn_layer_norm(g, x, below(p, "norm1").text);
    y = tokens_linear(g, y, below(p, "qkv"), 3 * HAT_C);
    y = nn_window_attention(g, y, p.text, (nn_window_opt){HAT_HEADS, HAT_WINDOW, 0, HAT_KEYS});
    return mlp(g, nn_add(g, tokens_linear(g, y, below(p, "proj"), HAT_C), x), p);
}

static nn_tensor hat_group(nn_graph *g, nn_tensor x, int group) {
    path p = path_of("layers.%d.residual_group", group);
    nn_tensor y = x;
    for (int b = 0; b < HAT_BLOCKS; b++)
        y = hybrid_block(g, y, path_of("%s.blocks.%d", p.text, b), b % 2 * HAT_WINDOW / 2);
    y = overlap_block(g, y, below(p, "overlap_attn"));
    return nn_add(g, conv3(g, y, path_of("layers.%d.conv", group).text, HAT_C), x);
}

static nn_tensor hat(nn_graph *g, nn_tensor x) {
    nn_tensor first = conv3(g, x, "conv_first", HAT_C);
    nn_tensor y = nn_layer_norm(g, first, "patch_embed.norm");
    for (int i = 0; i < HAT_GROUPS; i++) y = hat_group(g, y, i);
    y = nn_add(g, conv3(g, nn_layer_norm(g, y, "norm"), "conv_after_body", HAT_C), first);
    y = nn_leaky_relu(g, conv3(g, y, "conv_before_upsample.0", HAT_LAST), default_leak);
    return conv3(g, y, "conv_last", 1);
}

/* ---- subjects ---- */

typedef struct subject {
    const char *name, *input;
    nn_tensor (*build)(nn_graph *g, nn_tensor x);
} subject;
static const subject subjects[] = {
    {"rcan", "lr", rcan},
    {"rrdb", "lr", rrdb},
    {"discriminator", "x", discriminator},
    {"hat", "lr", hat},
};
enum { N_SUBJECTS = sizeof subjects / sizeof *subjects, N_IMAGES = 2 };
/* The reference loops take minutes under a sanitizer. */
#if defined(__SANITIZE_ADDRESS__)
static const char *const kernel_names[] = {"blas", "wino"};
#else
static const char *const kernel_names[] = {"ref", "blas", "wino"};
#endif
enum { N_KERNELS = sizeof kernel_names / sizeof *kernel_names };

static io_tensors fixture[N_SUBJECTS];

static const io_tensor *need(const io_tensors *t, const char *name) {
    const io_tensor *it = io_tensors_find(t, name);
    ck_assert_msg(it != NULL, "fixture lacks %s", name);
    return it;
}

/* ---- spectral norm as the fixture has it: W = W_orig / sigma, sigma = u . (W_orig v) ---- */

typedef struct spectral {
    const io_tensor *orig, *u, *v; /* orig NULL: none */
    double sigma;
} spectral;

/* Of parameter "conv1.weight" and so on. */
static spectral spectral_of(const io_tensors *t, const char *param) {
    spectral s = {.orig = io_tensors_find(t, path_of("param/%s_orig", param).text)};
    if (s.orig == NULL) return s;
    s.u = need(t, path_of("param/%s_u", param).text);
    s.v = need(t, path_of("param/%s_v", param).text);
    for (int64_t i = 0; i < s.u->count; i++)
        for (int64_t j = 0; j < s.v->count; j++)
            s.sigma +=
                (double)s.u->f32[i] * (double)s.orig->f32[i * s.v->count + j] * (double)s.v->f32[j];
    return s;
}

/* Gradient of W to gradient of W_orig: (dW - <dW, W> u v^T) / sigma. */
static void spectral_gradient(const spectral *s, float *d) {
    double along = 0;
    for (int64_t e = 0; e < s->orig->count; e++)
        along += (double)d[e] * (double)s->orig->f32[e] / s->sigma;
    for (int64_t e = 0; e < s->orig->count; e++) {
        const int64_t i = e / s->v->count, j = e % s->v->count;
        const double uv = (double)s->u->f32[i] * (double)s->v->f32[j];
        d[e] = (float)(((double)d[e] - along * uv) / s->sigma);
    }
}

/* ---- comparison ---- */

static float *fixture_params(const io_tensors *t, const nn_params *p) {
    float *block = nn_params_block(p);
    for (int i = 0; i < p->n; i++) {
        const nn_param *it = &p->item[i];
        const spectral s = spectral_of(t, it->name);
        const io_tensor *value =
            s.orig != NULL ? s.orig : need(t, path_of("param/%s", it->name).text);
        ck_assert_msg(value->count == it->count && value->rank == it->rank,
                      "%s: got %lld values of rank %d, want %lld of rank %d", it->name,
                      (long long)it->count, it->rank, (long long)value->count, value->rank);
        float *effective = SX_NEW_ARRAY(float, it->count);
        for (int64_t e = 0; e < it->count; e++)
            effective[e] =
                s.orig != NULL ? (float)((double)value->f32[e] / s.sigma) : value->f32[e];
        nn_params_set(p, i, block, effective);
        sx_free(effective);
    }
    return block;
}

static int count_gradients(const io_tensors *t) {
    int n = 0;
    for (int i = 0; i < t->n; i++) n += strncmp(t->item[i].name, "grad/", 5) == 0;
    return n;
}

/* Loss of one of the images and its gradient; means over all n_all values. */
static double loss_and_gradient(bool l1, const float *y, const float *target, float *d_y, int64_t n,
                                int64_t n_all) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)y[i] - (double)target[i];
        sum += (l1 ? fabs(d) : d * d) / (double)n_all;
        d_y[i] = (float)((l1 ? (d > 0) - (d < 0) : 2 * d) / (double)n_all);
    }
    return sum;
}

static void check_l2(const char *net, const char *kernels, const char *name, const float *got,
                     const io_tensor *want, double tolerance) {
    double error = 0, norm = nn_norm2(want->f32, want->count, NULL);
    for (int64_t i = 0; i < want->count; i++) {
        const double e = (double)got[i] - (double)want->f32[i];
        error += e * e;
    }
    ck_assert_msg(sqrt(error) <= tolerance * norm,
                  "%s, %s, %s: relative L2 error got %g, tolerance %g, norm %g", net, kernels, name,
                  sqrt(error) / norm, tolerance, norm);
}

typedef struct run {
    nn_graph *g;
    float *params, *grads, *output, *d_input;
    int64_t pixels; /* of one image */
    double loss;
} run;

static void run_images(run *r, const io_tensors *t, const subject *s) {
    const io_tensor *target = need(t, "target");
    const io_tensor *input = need(t, path_of("input/%s", s->input).text);
    const bool l1 = strcmp(io_tensors_meta(t, "loss"), "l1") == 0;
    const int64_t n = r->pixels, n_all = N_IMAGES * n;
    float *d_y = SX_NEW_ARRAY(float, n);
    for (int image = 0; image < N_IMAGES; image++) {
        const int64_t at = image * n;
        memcpy(nn_graph_input(r->g, s->input), input->f32 + at, (size_t)n * sizeof(float));
        const float *y = nn_graph_forward(r->g, r->params);
        memcpy(r->output + at, y, (size_t)n * sizeof *y);
        r->loss += loss_and_gradient(l1, y, target->f32 + at, d_y, n, n_all);
        nn_graph_backward(r->g, r->params, d_y, r->grads);
        memcpy(r->d_input + at, nn_graph_input_grad(r->g, s->input), (size_t)n * sizeof *y);
    }
    sx_free(d_y);
}

static void check_gradients(const run *r, const io_tensors *t, const char *net,
                            const char *kernels) {
    const nn_params *p = nn_graph_params(r->g);
    float *values = SX_NEW_ARRAY(float, p->count);
    ck_assert_int_eq(p->n, count_gradients(t));
    for (int i = 0; i < p->n; i++) {
        const char *name = p->item[i].name;
        const spectral s = spectral_of(t, name);
        nn_params_get(p, i, r->grads, values);
        if (s.orig != NULL) spectral_gradient(&s, values);
        const path full = path_of(s.orig != NULL ? "grad/%s_orig" : "grad/%s", name);
        check_l2(net, kernels, full.text, values, need(t, full.text), 1e-4);
    }
    sx_free(values);
}

static void check_network(const io_tensors *t, const subject *s, const char *kernels) {
    const io_tensor *input = need(t, path_of("input/%s", s->input).text);
    const nn_kernels *k;
    nn_plan plan;
    ck_assert_int_eq(nn_kernels_get(kernels, &k), SX_OK);
    run r = {.g = nn_graph_new(), .pixels = input->shape[2] * input->shape[3]};
    nn_output(
        r.g, s->build(r.g, nn_input(r.g, s->input, (int)input->shape[2], (int)input->shape[3], 1)));
    nn_graph_want_input_grad(r.g, s->input);
    ck_assert_int_eq(nn_graph_plan(r.g, k, true, &plan), SX_OK);
    const nn_params *p = nn_graph_params(r.g);
    r.params = fixture_params(t, p);
    r.grads = nn_params_block(p);
    r.output = SX_NEW_ARRAY(float, N_IMAGES *r.pixels);
    r.d_input = SX_NEW_ARRAY(float, N_IMAGES *r.pixels);
    run_images(&r, t, s);
    const double want_loss = (double)need(t, "loss")->f32[0];
    check_l2(s->name, kernels, "output", r.output, need(t, "output"), 1e-5);
    ck_assert_msg(fabs(r.loss / want_loss - 1) <= 1e-5, "%s, %s: loss got %.8g, want %.8g", s->name,
                  kernels, r.loss, want_loss);
    check_l2(s->name, kernels, "input gradient", r.d_input,
             need(t, path_of("grad_input/%s", s->input).text), 1e-4);
    check_gradients(&r, t, s->name, kernels);
    sx_free(r.d_input);
    sx_free(r.output);
    sx_free(r.grads);
    sx_free(r.params);
    nn_graph_free(r.g);
}

START_TEST(networks_built_from_the_ops_give_the_published_outputs_and_gradients) {
    const int i = _i / N_KERNELS;
    check_network(&fixture[i], &subjects[i], kernel_names[_i % N_KERNELS]);
}
END_TEST

/* ---- fixtures ---- */

static bool read_fixture(int i) {
    char *file = sx_strf("%s/fixtures/%s.safetensors", getenv("SAGAX_SHARED"), subjects[i].name);
    sx_err rc = io_tensors_read(file, &fixture[i]);
    if (rc != SX_OK) printf("%s\n", sx_err_text());
    sx_free(file);
    return rc == SX_OK;
}

int main(void) {
    if (!fixtures_are_there()) return 77;
    for (int i = 0; i < N_SUBJECTS; i++)
        if (!read_fixture(i)) return EXIT_FAILURE;
    Suite *suite = suite_create("nets");
    TCase *all = tcase_create("nets");
    tcase_add_loop_test(all, networks_built_from_the_ops_give_the_published_outputs_and_gradients,
                        0, N_SUBJECTS * N_KERNELS);
    suite_add_tcase(suite, all);
    int rc = check_run_suite(suite);
    for (int i = 0; i < N_SUBJECTS; i++) io_tensors_clear(&fixture[i]);
    return rc;
}
