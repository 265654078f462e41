/* The palette network, its gradients, the sampler and Adam against the fixtures made by running the
 * reference network (shared/fixtures/README.md). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_tensors.h"
#include "model/df_diffusion.h"
#include "model/nn_optim.h"
#include "tests/check_run.h"
#include "tests/model/fixtures.h"
#include "tests/model/palette.h"

static const char *const kernel_names[] = {"ref", "blas", "wino"};
enum { FAST_KERNELS = 1, N_KERNELS = 3, N_IMAGES = 2 }; /* ref takes minutes for long runs */
/* The reference loops take minutes under a sanitizer; their own test covers them there. */
#if defined(__SANITIZE_ADDRESS__)
enum { FIRST_KERNELS = 1 };
#else
enum { FIRST_KERNELS = 0 };
#endif

static io_tensors palette, ddim, adam;

static bool read_fixture(const char *name, io_tensors *t) {
    char *path = sx_strf("%s/fixtures/%s.safetensors", getenv("SAGAX_SHARED"), name);
    sx_err rc = io_tensors_read(path, t);
    if (rc != SX_OK) printf("%s\n", sx_err_text());
    sx_free(path);
    return rc == SX_OK;
}

static const io_tensor *need(const io_tensors *t, const char *name) {
    const io_tensor *it = io_tensors_find(t, name);
    ck_assert_msg(it != NULL, "fixture lacks %s", name);
    return it;
}

/* Network of width 32 for the images of `like`, with the fixture's weights in *params. */
static net *fixture_net(const io_tensor *like, const char *kernels, bool train, float **params) {
    net_config c = palette_config();
    c.base_channels = 32;
    const nn_kernels *k;
    ck_assert_msg(nn_kernels_get(kernels, &k) == SX_OK, "%s", sx_err_text());
    net *n = NULL;
    ck_assert_msg(net_new(&n, &c, (int)like->shape[2], (int)like->shape[3], k,
                          (net_opt){.train = train, .input_grad = train}) == SX_OK,
                  "%s", sx_err_text());
    const nn_params *p = net_params(n);
    *params = nn_params_block(p);
    for (int i = 0; i < p->n; i++) {
        char name[128];
        snprintf(name, sizeof name, "param/%s", p->item[i].name);
        const io_tensor *value = need(&palette, name);
        ck_assert_msg(value->count == p->item[i].count && value->rank == p->item[i].rank,
                      "%s: got %lld values of rank %d, want %lld of rank %d", name,
                      (long long)p->item[i].count, p->item[i].rank, (long long)value->count,
                      value->rank);
        nn_params_set(p, i, *params, value->f32);
    }
    return n;
}

static double max_error(const float *got, const float *want, int64_t n) {
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double e = fabs((double)got[i] - (double)want[i]);
        if (!(e <= worst)) worst = e;
    }
    return worst;
}

static double l2_error(const float *got, const float *want, int64_t n) {
    double error = 0;
    for (int64_t i = 0; i < n; i++) {
        double e = (double)got[i] - (double)want[i];
        error += e * e;
    }
    return sqrt(error);
}

static double mse_and_gradient(const float *y, const float *target, float *d_y, int64_t n,
                               int64_t n_all) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)y[i] - (double)target[i];
        sum += d * d / (double)n_all;
        d_y[i] = (float)(2 * d / (double)n_all);
    }
    return sum;
}

START_TEST(output_of_the_published_weights_is_the_published_output) {
    const io_tensor *x = need(&palette, "input/x"), *lr = need(&palette, "input/lr");
    const io_tensor *t = need(&palette, "input/t"), *want = need(&palette, "output");
    float *params;
    net *n = fixture_net(x, kernel_names[_i], false, &params);
    for (int image = 0; image < N_IMAGES; image++) {
        int64_t pixels = net_pixels(n), at = image * pixels;
        const float *y = net_forward(n, params, x->f32 + at, lr->f32 + at, (double)t->i64[image]);
        double got = max_error(y, want->f32 + at, pixels);
        ck_assert_msg(got <= 1e-4, "%s, image %d: largest error got %g, tolerance 1e-4",
                      kernel_names[_i], image, got);
    }
    sx_free(params);
    net_free(n);
}
END_TEST

/* Some gradients are zero but for rounding: the bias of a channel that group norm centres on its
 * own. They are below this share of the norm of all gradients (4e-8 at most in the fixture; the
 * smallest true gradient is at 3e-5) and should be so here. */
static const double zero_share = 1e-6;

static double norm_of_all_gradients(void) {
    double sum = 0;
    for (int i = 0; i < palette.n; i++) {
        const io_tensor *it = &palette.item[i];
        if (strncmp(it->name, "grad/", 5) != 0) continue;
        double norm = nn_norm2(it->f32, it->count, NULL);
        sum += norm * norm;
    }
    return sqrt(sum);
}

static void check_gradient(const char *kernels, const char *name, const float *got) {
    const io_tensor *want = need(&palette, name);
    double zero = zero_share * norm_of_all_gradients(),
           norm = nn_norm2(want->f32, want->count, NULL);
    double error = l2_error(got, want->f32, want->count);
    double tolerance = norm < zero ? zero : 1e-4 * norm;
    ck_assert_msg(error <= tolerance, "%s, %s: L2 error got %g of %g, tolerance %g", kernels, name,
                  error, norm, tolerance);
}

START_TEST(gradients_of_the_published_weights_are_the_published_gradients) {
    const io_tensor *x = need(&palette, "input/x"), *lr = need(&palette, "input/lr");
    const io_tensor *t = need(&palette, "input/t"), *target = need(&palette, "target");
    float *params;
    net *n = fixture_net(x, kernel_names[_i], true, &params);
    const nn_params *p = net_params(n);
    int64_t pixels = net_pixels(n), n_all = N_IMAGES * pixels;
    float *grads = nn_params_block(p), *values = SX_NEW_ARRAY(float, p->count);
    float *d_y = SX_NEW_ARRAY(float, pixels), *d_x = SX_NEW_ARRAY(float, n_all),
          *d_lr = SX_NEW_ARRAY(float, n_all);
    double loss = 0, want_loss = (double)need(&palette, "loss")->f32[0];
    for (int image = 0; image < N_IMAGES; image++) {
        int64_t at = image * pixels;
        const float *y = net_forward(n, params, x->f32 + at, lr->f32 + at, (double)t->i64[image]);
        loss += mse_and_gradient(y, target->f32 + at, d_y, pixels, n_all);
        net_backward(n, params, d_y, grads);
        memcpy(d_x + at, nn_graph_input_grad(net_graph(n), "x"), (size_t)pixels * sizeof *d_x);
        memcpy(d_lr + at, nn_graph_input_grad(net_graph(n), "lr"), (size_t)pixels * sizeof *d_lr);
    }
    ck_assert_msg(fabs(loss / want_loss - 1) <= 1e-5, "loss: got %.8g, want %.8g, tolerance 1e-5",
                  loss, want_loss);
    check_gradient(kernel_names[_i], "grad_input/x", d_x);
    check_gradient(kernel_names[_i], "grad_input/lr", d_lr);
    for (int i = 0; i < p->n; i++) {
        char name[128];
        snprintf(name, sizeof name, "grad/%s", p->item[i].name);
        nn_params_get(p, i, grads, values);
        check_gradient(kernel_names[_i], name, values);
    }
    sx_free(d_lr);
    sx_free(d_x);
    sx_free(d_y);
    sx_free(values);
    sx_free(grads);
    sx_free(params);
    net_free(n);
}
END_TEST

enum { CHECKED_STATES = 3 };

typedef struct trace {
    int image;
    double worst[CHECKED_STATES];
} trace;

static void compare_state(void *user, int i, float *x, int64_t n) {
    trace *tr = user;
    if (i >= CHECKED_STATES) return;
    const io_tensor *states = need(&ddim, "states");
    tr->worst[i] = max_error(x, states->f32 + (i * N_IMAGES + tr->image) * n, n);
}

START_TEST(first_states_of_the_sampler_are_the_published_states) {
    const io_tensor *lr = need(&ddim, "lr"), *noise = need(&ddim, "x_T");
    float *params;
    net *n = fixture_net(lr, kernel_names[_i], false, &params);
    int64_t pixels = net_pixels(n);
    df_schedule s;
    df_schedule_init(&s, DF_LINEAR, DF_EPS);
    float *x = SX_NEW_ARRAY(float, pixels);
    for (int image = 0; image < N_IMAGES; image++) {
        trace tr = {.image = image};
        memcpy(x, noise->f32 + image * pixels, (size_t)pixels * sizeof *x);
        df_sample(&s, n, params, lr->f32 + image * pixels, 20, x, NULL, compare_state, &tr);
        for (int i = 0; i < CHECKED_STATES; i++)
            ck_assert_msg(tr.worst[i] <= 1e-3,
                          "%s, image %d, state %d: largest error got %g, tolerance 1e-3",
                          kernel_names[_i], image, i, tr.worst[i]);
    }
    sx_free(x);
    sx_free(params);
    net_free(n);
}
END_TEST

/* A parameter after the last step; each step moves it by about 1e-4. */
static void check_after(const nn_params *p, const float *params, const char *name) {
    char full[96];
    snprintf(full, sizeof full, "param_after/%s", name);
    const io_tensor *want = need(&adam, full);
    float *got = SX_NEW_ARRAY(float, want->count);
    nn_params_get(p, nn_params_find(p, name), params, got);
    double worst = max_error(got, want->f32, want->count);
    ck_assert_msg(worst <= 2e-6, "%s: largest error got %g, tolerance 2e-6", full, worst);
    sx_free(got);
}

START_TEST(five_adam_steps_follow_the_published_losses_and_norms) {
    const io_tensor *x = need(&adam, "x_t"), *lr = need(&adam, "lr"), *t = need(&adam, "t");
    const io_tensor *eps = need(&adam, "eps"), *loss = need(&adam, "loss");
    const io_tensor *norm = need(&adam, "grad_norm");
    float *params;
    net *n = fixture_net(x, kernel_names[_i], true, &params);
    const nn_params *p = net_params(n);
    int64_t pixels = net_pixels(n), n_all = N_IMAGES * pixels;
    float *grads = nn_params_block(p), *m = nn_params_block(p), *v = nn_params_block(p);
    float *d_y = SX_NEW_ARRAY(float, pixels);
    const nn_adam a = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    for (int step = 0; step < 5; step++) {
        double got_loss = 0;
        for (int image = 0; image < N_IMAGES; image++) {
            int64_t at = image * pixels;
            const float *y =
                net_forward(n, params, x->f32 + at, lr->f32 + at, (double)t->i64[image]);
            got_loss += mse_and_gradient(y, eps->f32 + at, d_y, pixels, n_all);
            nn_graph_overwrite(net_graph(n), image == 0);
            net_backward(n, params, d_y, grads);
        }
        double got_norm = nn_norm2(grads, p->block, NULL);
        double want_loss = (double)loss->f32[step], want_norm = (double)norm->f32[step];
        ck_assert_msg(fabs(got_loss / want_loss - 1) <= 1e-4,
                      "step %d: loss got %.8g, want %.8g, relative tolerance 1e-4", step, got_loss,
                      want_loss);
        ck_assert_msg(fabs(got_norm / want_norm - 1) <= 1e-3,
                      "step %d: gradient norm got %.8g, want %.8g, relative tolerance 1e-3", step,
                      got_norm, want_norm);
        double clip = got_norm > 1 ? 1 / got_norm : 1;
        const nn_adam_blocks b = {
            .p = params, .grad = grads, .grad_scale = clip, .m = m, .v = v, .n = p->block};
        nn_adam_step(&a, 1e-4, step + 1, &b, NULL);
    }
    check_after(p, params, "input_blocks.0.0.weight");
    check_after(p, params, "out.2.weight");
    sx_free(d_y);
    sx_free(v);
    sx_free(m);
    sx_free(grads);
    sx_free(params);
    net_free(n);
}
END_TEST

int main(void) {
    if (!fixtures_are_there()) return 77;
    if (!read_fixture("palette", &palette) || !read_fixture("ddim", &ddim) ||
        !read_fixture("adam", &adam))
        return EXIT_FAILURE;
    Suite *suite = suite_create("parity");
    TCase *all = tcase_create("parity");
    tcase_add_loop_test(all, output_of_the_published_weights_is_the_published_output, FIRST_KERNELS,
                        N_KERNELS);
    tcase_add_loop_test(all, gradients_of_the_published_weights_are_the_published_gradients,
                        FIRST_KERNELS, N_KERNELS);
    tcase_add_loop_test(all, first_states_of_the_sampler_are_the_published_states, FAST_KERNELS,
                        N_KERNELS);
    tcase_add_loop_test(all, five_adam_steps_follow_the_published_losses_and_norms, FAST_KERNELS,
                        N_KERNELS);
    suite_add_tcase(suite, all);
    int rc = check_run_suite(suite);
    io_tensors_clear(&palette);
    io_tensors_clear(&ddim);
    io_tensors_clear(&adam);
    return rc;
}
