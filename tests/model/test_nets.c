/* The networks beside Palette: at small sizes against the fixtures made by running the published
 * ones (shared/fixtures/README.md): output, loss, and the gradient of every parameter and of the
 * input; at another size against the reference kernels; published counts of parameters. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "io/io_tensors.h"
#include "model/net.h"
#include "model/nn_optim.h"
#include "model/nn_spectral.h"
#include "tests/check_run.h"
#include "tests/model/fixtures.h"

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

/* ---- subjects ---- */

/* An architecture at the size of its fixture, and at another one with images h x w. */
typedef struct subject {
    const char *name;
    net_setting sizes[9], others[9];
    int h, w;
} subject;
static const subject subjects[] = {
    {"rcan",
     {{"model.base_channels", "16"},
      {"model.groups", "2"},
      {"model.blocks", "3"},
      {"model.reduction", "4"}},
     {{"model.base_channels", "22"},
      {"model.groups", "3"},
      {"model.blocks", "1"},
      {"model.reduction", "5"}},
     13,
     27},
    {"rrdb",
     {{"model.base_channels", "16"}, {"model.blocks", "2"}, {"model.growth", "8"}},
     {{"model.base_channels", "20"},
      {"model.blocks", "1"},
      {"model.growth", "12"},
      {"model.unshuffle", "2"}},
     18,
     30},
    {"discriminator", {{"model.base_channels", "8"}}, {{"model.base_channels", "6"}}, 24, 40},
    {"hat",
     {{"model.base_channels", "24"},
      {"model.depths", "2,2"},
      {"model.heads", "2"},
      {"model.window", "8"},
      {"model.squeeze", "6"}},
     {{"model.base_channels", "30"},
      {"model.depths", "1,3"},
      {"model.heads", "3"},
      {"model.window", "4"},
      {"model.mlp_ratio", "1.5"},
      {"model.compress", "4"},
      {"model.squeeze", "10"},
      {"model.overlap", "1"}},
     12,
     20},
};
static const subject seg = {"seg",
                            {{NULL, NULL}},
                            {{"model.base_channels", "12"},
                             {"model.mult", "1,3"},
                             {"model.res_blocks", "2"},
                             {"model.classes", "5"}},
                            14,
                            22};
enum { N_SUBJECTS = sizeof subjects / sizeof *subjects, N_IMAGES = 2 };
/* The reference loops take minutes under a sanitizer. */
#if defined(__SANITIZE_ADDRESS__)
static const char *const kernel_names[] = {"blas", "wino"};
#else
static const char *const kernel_names[] = {"ref", "blas", "wino"};
#endif
enum { N_KERNELS = sizeof kernel_names / sizeof *kernel_names };

static io_tensors fixture[N_SUBJECTS];

static net_config config_of(const char *arch, const net_setting *sizes) {
    net_config c;
    ck_assert_msg(net_config_of(arch, &c) == SX_OK, "%s", sx_err_text());
    for (; sizes->key != NULL; sizes++)
        ck_assert_msg(net_config_set(&c, sizes->key, sizes->text) == SX_OK, "%s", sx_err_text());
    return c;
}

static net *new_net(const net_config *c, int h, int w, const char *kernels, net_opt opt) {
    const nn_kernels *k;
    net *n = NULL;
    ck_assert_int_eq(nn_kernels_get(kernels, &k), SX_OK);
    ck_assert_msg(net_new(&n, c, h, w, k, opt) == SX_OK, "%s", sx_err_text());
    return n;
}

static const io_tensor *need(const io_tensors *t, const char *name) {
    const io_tensor *it = io_tensors_find(t, name);
    ck_assert_msg(it != NULL, "fixture lacks %s", name);
    return it;
}

/* ---- comparison ---- */

/* Stored weights of the fixture, new. */
static float *fixture_params(const io_tensors *t, const nn_params *p) {
    float *block = nn_params_block(p);
    for (int i = 0; i < p->n; i++) {
        const nn_param *it = &p->item[i];
        const io_tensor *value = need(t, path_of("param/%s", it->name).text);
        ck_assert_msg(value->count == it->count && value->rank == it->rank,
                      "%s: got %lld values of rank %d, want %lld of rank %d", it->name,
                      (long long)it->count, it->rank, (long long)value->count, value->rank);
        nn_params_set(p, i, block, value->f32);
    }
    return block;
}

static int count_with_prefix(const io_tensors *t, const char *prefix) {
    int n = 0;
    for (int i = 0; i < t->n; i++) n += strncmp(t->item[i].name, prefix, strlen(prefix)) == 0;
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

static void check_l2(const char *arch, const char *kernels, const char *name, const float *got,
                     const io_tensor *want, double tolerance) {
    double error = 0, norm = nn_norm2(want->f32, want->count, NULL);
    for (int64_t i = 0; i < want->count; i++) {
        const double e = (double)got[i] - (double)want->f32[i];
        error += e * e;
    }
    ck_assert_msg(sqrt(error) <= tolerance * norm,
                  "%s, %s, %s: relative L2 error got %g, tolerance %g, norm %g", arch, kernels,
                  name, sqrt(error) / norm, tolerance, norm);
}

typedef struct run {
    net *n;
    float *stored, *params, *grads, *output, *d_input;
    double loss;
} run;

static run run_new(net *n, float *stored, int n_images) {
    const nn_params *p = net_params(n);
    const int64_t pixels = net_pixels(n);
    run r = {.n = n, .stored = stored};
    r.params = nn_params_block(p);
    r.grads = nn_params_block(p);
    r.output = SX_NEW_ARRAY(float, n_images *pixels *net_channels(n));
    r.d_input = SX_NEW_ARRAY(float, n_images *pixels);
    nn_spectral_effective(p, stored, r.params);
    return r;
}

static void run_clear(run *r) {
    sx_free(r->d_input);
    sx_free(r->output);
    sx_free(r->grads);
    sx_free(r->params);
    sx_free(r->stored);
    net_free(r->n);
}

static void run_images(run *r, const io_tensors *t, const io_tensor *input) {
    const io_tensor *target = need(t, "target");
    const bool l1 = strcmp(io_tensors_meta(t, "loss"), "l1") == 0;
    const int64_t n = net_pixels(r->n), n_all = N_IMAGES * n;
    const nn_params *p = net_params(r->n);
    float *d_y = SX_NEW_ARRAY(float, n);
    for (int i = 0; i < p->n; i++) /* what the first image must write over */
        for (int64_t k = 0; k < p->item[i].count && !p->item[i].state; k++)
            r->grads[p->item[i].offset + k] = NAN;
    for (int64_t at = 0; at < n_all; at += n) {
        const float *y = net_forward(r->n, r->params, NULL, input->f32 + at, 0);
        memcpy(r->output + at, y, (size_t)n * sizeof *y);
        r->loss += loss_and_gradient(l1, y, target->f32 + at, d_y, n, n_all);
        nn_graph_overwrite(net_graph(r->n), at == 0);
        net_backward(r->n, r->params, d_y, r->grads);
        memcpy(r->d_input + at, net_input_grad(r->n, "lr"), (size_t)n * sizeof *y);
    }
    nn_spectral_gradient(net_params(r->n), r->stored, r->grads);
    sx_free(d_y);
}

static void check_gradients(const run *r, const io_tensors *t, const char *arch,
                            const char *kernels) {
    const nn_params *p = net_params(r->n);
    float *values = SX_NEW_ARRAY(float, p->count);
    int n_states = 0;
    for (int i = 0; i < p->n; i++) {
        n_states += p->item[i].state;
        if (p->item[i].state) continue;
        nn_params_get(p, i, r->grads, values);
        const path name = path_of("grad/%s", p->item[i].name);
        check_l2(arch, kernels, name.text, values, need(t, name.text), 1e-4);
    }
    ck_assert_int_eq(p->n, count_with_prefix(t, "param/"));
    ck_assert_int_eq(p->n - n_states, count_with_prefix(t, "grad/"));
    sx_free(values);
}

static void check_output(const run *r, const io_tensors *t, const char *arch, const char *kernels) {
    const io_tensor *want = need(t, "output");
    double largest = 0;
    for (int64_t i = 0; i < want->count; i++)
        largest = fmax(largest, fabs((double)r->output[i] - (double)want->f32[i]));
    ck_assert_msg(largest <= 1e-4, "%s, %s: largest error of the output is %g", arch, kernels,
                  largest);
    check_l2(arch, kernels, "output", r->output, want, 1e-5);
}

static void check_network(const io_tensors *t, const subject *s, const char *kernels) {
    const net_about *about = net_about_arch(s->name);
    const io_tensor *input = need(t, path_of("input/%s", about->image).text);
    const net_config c = config_of(s->name, s->sizes);
    net *n = new_net(&c, (int)input->shape[2], (int)input->shape[3], kernels,
                     (net_opt){.train = true, .input_grad = true});
    run r = run_new(n, fixture_params(t, net_params(n)), N_IMAGES);
    run_images(&r, t, input);
    const double want_loss = (double)need(t, "loss")->f32[0];
    ck_assert_msg(fabs(r.loss / want_loss - 1) <= 1e-5, "%s, %s: loss got %.8g, want %.8g", s->name,
                  kernels, r.loss, want_loss);
    check_output(&r, t, s->name, kernels);
    check_l2(s->name, kernels, "input gradient", r.d_input,
             need(t, path_of("grad_input/%s", about->image).text), 1e-4);
    check_gradients(&r, t, s->name, kernels);
    run_clear(&r);
}

START_TEST(networks_give_the_published_outputs_and_gradients) {
    const int i = _i / N_KERNELS;
    check_network(&fixture[i], &subjects[i], kernel_names[_i % N_KERNELS]);
}
END_TEST

/* ---- without fixtures ---- */

/* Values around zero that leave no layer without effect. */
static float *random_params(const nn_params *p) {
    float *block = nn_params_block(p);
    sx_rng r = sx_rng_make(3, SX_RNG_TEST, 0, 0);
    nn_params_init(p, block, 3);
    for (int i = 0; i < p->n; i++)
        for (int64_t e = 0; e < p->item[i].count; e++)
            block[p->item[i].offset + e] += sx_rng_range(&r, -0.05f, 0.05f);
    return block;
}

static run run_once(const subject *s, const char *kernels, int64_t most_bytes) {
    const net_config c = config_of(s->name, s->others);
    net *n = new_net(&c, s->h, s->w, kernels,
                     (net_opt){.train = true, .input_grad = true, .most_bytes = most_bytes});
    run r = run_new(n, random_params(net_params(n)), 1);
    const int64_t n_in = net_pixels(n), n_out = n_in * net_channels(n);
    float *image = SX_NEW_ARRAY(float, n_in), *d_y = SX_NEW_ARRAY(float, n_out);
    sx_rng random = sx_rng_make(4, SX_RNG_TEST, 0, 0);
    sx_rng_normals(&random, image, n_in);
    sx_rng_normals(&random, d_y, n_out);
    memcpy(r.output, net_forward(n, r.params, NULL, image, 0), (size_t)n_out * sizeof *image);
    net_backward(n, r.params, d_y, r.grads);
    memcpy(r.d_input, net_input_grad(n, "lr"), (size_t)n_in * sizeof *image);
    sx_free(image);
    sx_free(d_y);
    return r;
}

/* Within 1e-4, and what rounding leaves where a gradient is zero (the bias before a norm). */
static void check_near(const char *arch, const char *what, const float *got, const float *want,
                       int64_t n, double scale) {
    double error = 0, norm = nn_norm2(want, n, NULL);
    for (int64_t i = 0; i < n; i++)
        error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
    ck_assert_msg(sqrt(error) <= 1e-4 * norm + 1e-7 * scale, "%s, %s: L2 error %g, norm %g", arch,
                  what, sqrt(error), norm);
}

START_TEST(other_sizes_agree_with_the_reference_kernels) {
    const subject *s = _i < N_SUBJECTS ? &subjects[_i] : &seg;
    run want = run_once(s, "ref", 0), got = run_once(s, "auto", 0);
    const nn_params *p = net_params(want.n);
    const double scale = nn_norm2(want.grads, p->block, NULL);
    ck_assert(scale > 0);
    check_near(s->name, "output", got.output, want.output,
               net_pixels(want.n) * net_channels(want.n), 0);
    check_near(s->name, "input gradient", got.d_input, want.d_input, net_pixels(want.n), 0);
    for (int i = 0; i < p->n; i++) {
        const int64_t at = p->item[i].offset;
        if (!p->item[i].state)
            check_near(s->name, p->item[i].name, got.grads + at, want.grads + at, p->item[i].count,
                       scale);
    }
    run_clear(&want);
    run_clear(&got);
}
END_TEST

/* A network that is planned to forget what it can has the same bytes. */
START_TEST(what_is_made_again_is_what_was_forgotten) {
    const subject *s = _i < N_SUBJECTS ? &subjects[_i] : &seg;
    run want = run_once(s, "auto", 0), got = run_once(s, "auto", 1);
    const int64_t n_in = net_pixels(want.n), n_out = n_in * net_channels(want.n);
    const nn_plan *least = net_plan(got.n), *all = net_plan(want.n);
    const double share = (double)least->activation_bytes / (double)all->activation_bytes;
    const double again = (double)least->again_macs / (double)all->macs;
    const double most = strcmp(s->name, "hat") == 0 ? 0.38 : 0.85; /* the deep one forgets most */
    ck_assert_msg(share <= most, "%s: %.3f of the activations, at most %.2f", s->name, share, most);
    ck_assert_msg(again > 0 && again <= 0.9, "%s: %.2f of the forward pass", s->name, again);
    ck_assert_mem_eq(got.output, want.output, (size_t)n_out * sizeof(float));
    ck_assert_mem_eq(got.d_input, want.d_input, (size_t)n_in * sizeof(float));
    ck_assert_mem_eq(got.grads, want.grads, (size_t)net_params(want.n)->block * sizeof(float));
    run_clear(&want);
    run_clear(&got);
}
END_TEST

START_TEST(published_sizes_have_the_published_count_of_parameters) {
    static const struct {
        const char *arch;
        int64_t count;
    } published[] = {{"rcan", 15294625},
                     {"rrdb", 16704321},
                     {"discriminator", 4375745},
                     {"hat", 10069877}}; /* of the published code at depths 4 x 4 */
    net_config c = config_of(published[_i].arch, seg.sizes);
    net *n = new_net(&c, 16, 16, "auto", (net_opt){0});
    ck_assert_int_eq(net_params(n)->count, published[_i].count);
    net_free(n);
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
    const bool have_fixtures = fixtures_are_there();
    for (int i = 0; have_fixtures && i < N_SUBJECTS; i++)
        if (!read_fixture(i)) return EXIT_FAILURE;
    Suite *suite = suite_create("nets");
    TCase *all = tcase_create("nets");
    if (have_fixtures)
        tcase_add_loop_test(all, networks_give_the_published_outputs_and_gradients, 0,
                            N_SUBJECTS * N_KERNELS);
    tcase_add_loop_test(all, other_sizes_agree_with_the_reference_kernels, 0, N_SUBJECTS + 1);
    tcase_add_loop_test(all, what_is_made_again_is_what_was_forgotten, 0, N_SUBJECTS + 1);
    tcase_add_loop_test(all, published_sizes_have_the_published_count_of_parameters, 0, 4);
    suite_add_tcase(suite, all);
    int rc = check_run_suite(suite);
    for (int i = 0; i < N_SUBJECTS; i++) io_tensors_clear(&fixture[i]);
    return rc == 0 && !have_fixtures ? 77 : rc;
}
