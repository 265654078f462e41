/* Networks: counts, initial values, sizes that are refused; parameters and norms. */
#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/net.h"
#include "model/nn_ops.h"
#include "model/nn_optim.h"
#include "model/nn_spectral.h"
#include "tests/check_run.h"
#include "tests/model/palette.h"

static const nn_kernels *fast(void) {
    const nn_kernels *k;
    ck_assert_int_eq(nn_kernels_get("auto", &k), SX_OK);
    return k;
}

static net *new_net(const net_config *c, int h, int w) {
    net *n = NULL;
    ck_assert_msg(net_new(&n, c, h, w, fast(), (net_opt){0}) == SX_OK, "%s", sx_err_text());
    return n;
}

static net_config small(void) {
    net_config c = palette_config();
    c.base_channels = 8;
    c.res_blocks = 1;
    return c;
}

START_TEST(width_64_has_the_published_count_of_parameters_and_macs) {
    net_config c = palette_config();
    net *n = new_net(&c, 160, 160);
    ck_assert_int_eq(net_params(n)->count, 9835009);
    ck_assert_int_eq(net_plan(n)->macs, 25483509760);
    ck_assert_int_eq(net_granularity(&c), 8);
    net_free(n);
}
END_TEST

START_TEST(a_plan_alone_takes_no_memory) {
    net_config c = small();
    net *n = NULL, *whole = NULL;
    ck_assert_int_eq(net_new(&whole, &c, 16, 24, fast(), (net_opt){.train = true}), SX_OK);
    ck_assert_int_eq(net_new(&n, &c, 16, 24, fast(), (net_opt){.train = true, .plan_only = true}),
                     SX_OK);
    ck_assert_mem_eq(net_plan(n), net_plan(whole), sizeof(nn_plan));
    ck_assert_int_eq(net_params(n)->block, net_params(whole)->block);
    ck_assert_ptr_null(net_graph(n)->block);
    net_free(n);
    net_free(whole);
}
END_TEST

START_TEST(a_new_network_answers_exactly_zero) {
    net_config c = small();
    net *n = new_net(&c, 16, 24);
    float *params = nn_params_block(net_params(n)), x[16 * 24], lr[16 * 24];
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    sx_rng_normals(&r, x, 16 * 24);
    sx_rng_normals(&r, lr, 16 * 24);
    nn_params_init(net_params(n), params, 5);
    const float *y = net_forward(n, params, x, lr, 500);
    for (int i = 0; i < 16 * 24; i++)
        ck_assert_msg(y[i] == 0, "pixel %d: got %g, want 0", i, (double)y[i]);
    sx_free(params);
    net_free(n);
}
END_TEST

START_TEST(initial_values_follow_seed_and_bounds) {
    net_config c = small();
    net *n = new_net(&c, 8, 8);
    const nn_params *p = net_params(n);
    float *a = nn_params_block(p), *b = nn_params_block(p), *other = nn_params_block(p);
    nn_params_init(p, a, 5);
    nn_params_init(p, b, 5);
    nn_params_init(p, other, 6);
    ck_assert_mem_eq(a, b, (size_t)p->block * sizeof *a);
    ck_assert_mem_ne(a, other, (size_t)p->block * sizeof *a);
    int i = nn_params_find(p, "input_blocks.1.0.in_layers.2.weight");
    ck_assert_int_ge(i, 0);
    double bound = 1 / sqrt(8 * 9.0), largest = 0;
    for (int64_t e = 0; e < p->item[i].count; e++)
        largest = fmax(largest, fabs((double)a[p->item[i].offset + e]));
    ck_assert_msg(largest <= bound * (1 + 1e-6) && largest > 0.9 * bound, "got %g, bound %g",
                  largest, bound);
    sx_free(a);
    sx_free(b);
    sx_free(other);
    net_free(n);
}
END_TEST

START_TEST(networks_of_other_sizes_share_parameter_blocks) {
    net_config c = small();
    net *a = new_net(&c, 8, 16), *b = new_net(&c, 32, 8);
    const nn_params *p = net_params(a), *q = net_params(b);
    ck_assert_int_eq(p->n, q->n);
    ck_assert_int_eq(p->block, q->block);
    for (int i = 0; i < p->n; i++) {
        ck_assert_str_eq(p->item[i].name, q->item[i].name);
        ck_assert_int_eq(p->item[i].offset, q->item[i].offset);
        ck_assert_int_eq(p->item[i].offset % 16, 0);
    }
    net_free(a);
    net_free(b);
}
END_TEST

START_TEST(set_then_get_returns_pytorch_order_and_stores_channels_last) {
    net_config c = small();
    net *n = new_net(&c, 8, 8);
    const nn_params *p = net_params(n);
    float *block = nn_params_block(p);
    for (int i = 0; i < p->n; i++) {
        int64_t count = p->item[i].count;
        float *in = SX_NEW_ARRAY(float, count), *out = SX_NEW_ARRAY(float, count);
        for (int64_t e = 0; e < count; e++) in[e] = (float)(e + 1);
        nn_params_set(p, i, block, in);
        nn_params_get(p, i, block, out);
        ck_assert_mem_eq(in, out, (size_t)count * sizeof *in);
        sx_free(in);
        sx_free(out);
    }
    int i = nn_params_find(p, "input_blocks.0.0.weight"); /* [8][2][3][3] as [8][3][3][2] */
    const float *w = block + p->item[i].offset;
    ck_assert_float_eq(w[0], 1);      /* k 0, channel 0, tap 0 */
    ck_assert_float_eq(w[1], 10);     /* k 0, channel 1, tap 0 */
    ck_assert_float_eq(w[2], 2);      /* k 0, channel 0, tap 1 */
    ck_assert_float_eq(w[2 * 9], 19); /* k 1, channel 0, tap 0 */
    ck_assert_int_eq(nn_params_find(p, "nothing"), -1);
    sx_free(block);
    net_free(n);
}
END_TEST

START_TEST(sizes_that_make_no_network_are_refused_with_a_reason) {
    static const struct {
        int base, res_blocks, levels, h, w;
        const char *arch, *says;
    } bad[] = {
        {8, 1, 4, 12, 16, "palette", "multiples of 8"}, {8, 1, 4, 0, 16, "palette", "multiples"},
        {64, 1, 4, 16384, 16384, "palette", "values"},  {7, 1, 4, 16, 16, "palette", "even"},
        {8, 0, 4, 16, 16, "palette", "res_blocks"},     {8, 1, 9, 16, 16, "palette", "levels"},
        {8, 1, 4, 16, 16, "resnet", "no network"}};
    net_config c = small();
    c.base_channels = bad[_i].base;
    c.res_blocks = bad[_i].res_blocks;
    c.levels = bad[_i].levels;
    strcpy(c.arch, bad[_i].arch);
    net *n = NULL;
    ck_assert_int_eq(net_new(&n, &c, bad[_i].h, bad[_i].w, fast(), (net_opt){0}), SX_E_CONFIG);
    ck_assert_ptr_null(n);
    ck_assert_msg(strstr(sx_err_text(), bad[_i].says) != NULL, "\"%s\" lacks \"%s\"", sx_err_text(),
                  bad[_i].says);
}
END_TEST

START_TEST(every_shape_of_network_builds_and_answers) {
    static const struct {
        int base, res_blocks, levels, mult[4], h, w;
    } good[] = {
        {2, 1, 1, {1}, 3, 5},     {4, 2, 2, {3, 1}, 6, 4},      {32, 1, 3, {1, 2, 4}, 8, 12},
        {48, 1, 2, {1, 2}, 4, 4}, /* 24 groups; 29 would not divide it */
        {34, 1, 1, {1}, 4, 4},    {8, 3, 4, {1, 1, 2, 2}, 8, 8}};
    net_config c = small();
    c.base_channels = good[_i].base;
    c.res_blocks = good[_i].res_blocks;
    c.levels = good[_i].levels;
    memcpy(c.mult, good[_i].mult, sizeof good[_i].mult);
    net *n = new_net(&c, good[_i].h, good[_i].w);
    const nn_params *p = net_params(n);
    float *params = nn_params_block(p), x[256] = {0};
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < p->n; i++) sx_rng_normals(&r, params + p->item[i].offset, p->item[i].count);
    sx_rng_normals(&r, x, net_pixels(n));
    const float *y = net_forward(n, params, x, x, 10);
    double norm = nn_norm2(y, net_pixels(n), NULL);
    ck_assert_msg(isfinite(norm) && norm > 0, "norm of the answer is %g", norm);
    sx_free(params);
    net_free(n);
}
END_TEST

START_TEST(a_nan_in_the_input_is_not_lost) {
    net_config c = small();
    net *n = new_net(&c, 8, 8);
    float *params = nn_params_block(net_params(n)), x[64] = {0}, lr[64] = {0};
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    sx_rng_normals(&r, params, net_params(n)->block);
    x[9] = NAN;
    ck_assert(isnan(nn_norm2(net_forward(n, params, x, lr, 1), 64, NULL)));
    sx_free(params);
    net_free(n);
}
END_TEST

/* Mean 1000, deviation 1: E[x^2] - E[x]^2 would lose 6 of 7 digits. */
START_TEST(group_norm_keeps_a_small_variance_on_a_large_mean) {
    enum { PIXELS = 40 * 40 };
    const nn_kernels *k = fast();
    nn_plan plan;
    nn_graph *g = nn_graph_new();
    nn_output(g, nn_norm(g, nn_input(g, "a", 40, 40, 2), "n", -1, false));
    ck_assert_int_eq(nn_graph_plan(g, k, false, &plan), SX_OK);
    float *a = nn_graph_input(g, "a"), *params = nn_params_block(nn_graph_params(g));
    nn_params_init(nn_graph_params(g), params, 1);
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    sx_rng_normals(&r, a, 2 * PIXELS);
    for (int i = 0; i < 2 * PIXELS; i++) a[i] += 1000;
    const float *y = nn_graph_forward(g, params);
    double sum = 0, squares = 0;
    for (int i = 0; i < 2 * PIXELS; i++) {
        sum += (double)y[i] / (2 * PIXELS);
        squares += (double)y[i] * (double)y[i] / (2 * PIXELS);
    }
    ck_assert_msg(fabs(sum) < 1e-4, "mean got %g, want 0 within 1e-4", sum);
    ck_assert_msg(fabs(squares - 1) < 1e-4, "variance got %.8g, want 1 within 1e-4", squares);
    sx_free(params);
    nn_graph_free(g);
}
END_TEST

START_TEST(every_row_refuses_sizes_that_make_no_network) {
    static const struct {
        const char *arch, *key, *text;
        int h, w;
        const char *says;
    } bad[] = {
        {"rcan", "model.reduction", "65", 16, 16, "model.reduction"},
        {"rcan", "model.blocks", "0", 16, 16, "model.blocks"},
        {"rcan", "model.base_channels", "1024", 16384, 16384, "values"},
        {"rrdb", "model.unshuffle", "3", 12, 12, "model.unshuffle"},
        {"rrdb", "model.blocks", "1", 16, 18, "multiples of 4"},
        {"discriminator", "model.base_channels", "0", 16, 16, "base_channels"},
        {"discriminator", "model.base_channels", "8", 20, 16, "multiples of 8"},
        {"hat", "model.heads", "7", 16, 16, "model.heads"},
        {"hat", "model.overlap", "0.2", 16, 16, "model.overlap"},
        {"hat", "model.mlp_ratio", "0", 16, 16, "model.mlp_ratio"},
        {"hat", "model.depths", "1,1", 24, 16, "multiples of 16"},
        {"seg", "model.classes", "1", 16, 16, "model.classes"},
        {"seg", "model.res_blocks", "9", 16, 16, "model.res_blocks"},
    };
    net_config c;
    net *n = NULL;
    ck_assert_int_eq(net_config_of(bad[_i].arch, &c), SX_OK);
    ck_assert_int_eq(net_config_set(&c, bad[_i].key, bad[_i].text), SX_OK);
    ck_assert_int_eq(net_new(&n, &c, bad[_i].h, bad[_i].w, fast(), (net_opt){0}), SX_E_CONFIG);
    ck_assert_msg(strstr(sx_err_text(), bad[_i].says) != NULL, "\"%s\" lacks \"%s\"", sx_err_text(),
                  bad[_i].says);
}
END_TEST

START_TEST(a_share_that_lost_its_last_digits_is_the_same_share) {
    static const struct {
        const char *key, *text;
        int window, base;
        const char *parameter;
        int64_t rows;
    } row[] = {
        {"model.overlap", "0.333333333", 12, 6,
         "layers.0.residual_group.overlap_attn.relative_position_bias_table", 27 * 27},
        {"model.mlp_ratio", "1.33333333", 16, 180,
         "layers.0.residual_group.blocks.0.mlp.fc1.weight", 240},
    };
    net_config c;
    net *n = NULL;
    ck_assert_int_eq(net_config_of("hat", &c), SX_OK);
    c.window = row[_i].window;
    c.base_channels = row[_i].base;
    c.squeeze = 6;
    ck_assert_int_eq(net_config_set(&c, row[_i].key, row[_i].text), SX_OK);
    ck_assert_int_eq(net_new(&n, &c, c.window, c.window, fast(), (net_opt){0}), SX_OK);
    const nn_params *p = net_params(n);
    const int i = nn_params_find(p, row[_i].parameter);
    ck_assert_int_ge(i, 0);
    ck_assert_int_eq(p->item[i].shape[0], row[_i].rows);
    net_free(n);
}
END_TEST

START_TEST(a_size_that_cannot_be_read_is_refused_by_its_name) {
    static const net_setting bad[] = {
        {"model.mult", "1,,2"},  {"model.mult", "1,2,"},     {"model.mult", "0"},
        {"model.mult", "65"},    {"model.mult", ""},         {"model.depths", "1,1,1,1,1,1,1,1,1"},
        {"model.window", "8.5"}, {"model.window", "-1"},     {"model.window", ""},
        {"model.overlap", "x"},  {"model.overlap", "0.5px"}, {"model.colour", "1"}};
    net_config c = palette_config();
    ck_assert_int_eq(net_config_set(&c, bad[_i].key, bad[_i].text), SX_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), bad[_i].key));
}
END_TEST

static double deviation_of(const nn_params *p, const float *block, const char *name) {
    const int i = nn_params_find(p, name);
    ck_assert_msg(i >= 0, "no parameter %s", name);
    const double squares = pow(nn_norm2(block + p->item[i].offset, p->item[i].count, NULL), 2);
    return sqrt(squares / (double)p->item[i].count);
}

START_TEST(initial_values_are_those_of_the_published_code) {
    static const struct {
        const char *arch, *parameter;
        double deviation;
    } want[] = {
        {"rrdb", "body.22.rdb3.conv5.weight", 0.1 * 0.0340207}, /* sqrt(2 / (192 * 9)) */
        {"rrdb", "body.22.rdb3.conv5.bias", 0},
        {"rrdb", "conv_body.weight",
         0.0240563}, /* 1 / sqrt(3 * 64 * 9), of uniform to 1 / sqrt(fan in) */
        {"hat", "layers.0.residual_group.blocks.0.attn.qkv.weight", 0.02},
        {"hat", "layers.0.residual_group.blocks.0.attn.qkv.bias", 0},
        {"hat", "layers.0.residual_group.blocks.0.attn.relative_position_bias_table", 0.02},
        {"hat", "layers.0.residual_group.blocks.0.norm1.weight", 1},
        {"hat", "layers.0.residual_group.blocks.0.norm1.bias", 0},
        {"hat", "layers.0.conv.weight", 0.0143444}, /* likewise */
        {"discriminator", "conv3.weight_u", 0.0441942},
    };
    net_config c;
    ck_assert_int_eq(net_config_of(want[_i].arch, &c), SX_OK);
    net *n = new_net(&c, 16, 16);
    float *block = nn_params_block(net_params(n));
    nn_params_init(net_params(n), block, 7);
    const double got = deviation_of(net_params(n), block, want[_i].parameter);
    ck_assert_msg(fabs(got - want[_i].deviation) <= 0.03 * want[_i].deviation,
                  "%s: got %g, want %g", want[_i].parameter, got, want[_i].deviation);
    sx_free(block);
    net_free(n);
}
END_TEST

/* ---- spectral norm ---- */

static net *small_discriminator(void) {
    net_config c;
    ck_assert_int_eq(net_config_of("discriminator", &c), SX_OK);
    c.base_channels = 4;
    return new_net(&c, 8, 8);
}

/* Largest value of |W x| over random x of length 1 after many iterations of its own. */
static double largest_singular(const float *w, int64_t rows, int64_t n) {
    double *x = SX_NEW_ARRAY(double, n), *y = SX_NEW_ARRAY(double, rows), length = 0;
    for (int64_t i = 0; i < n; i++) x[i] = 1 + (double)(i % 3);
    for (int round = 0; round < 2000; round++) {
        for (int64_t r = 0; r < rows; r++) {
            y[r] = 0;
            for (int64_t i = 0; i < n; i++) y[r] += (double)w[r * n + i] * x[i];
        }
        double squares = 0;
        for (int64_t i = 0; i < n; i++) {
            x[i] = 0;
            for (int64_t r = 0; r < rows; r++) x[i] += (double)w[r * n + i] * y[r];
            squares += x[i] * x[i];
        }
        for (int64_t i = 0; i < n; i++) x[i] /= sqrt(squares);
        length = sqrt(sqrt(squares));
    }
    sx_free(x);
    sx_free(y);
    return length;
}

START_TEST(the_spectral_norm_makes_the_largest_singular_value_one) {
    net *n = small_discriminator();
    const nn_params *p = net_params(n);
    float *block = nn_params_block(p), *effective = nn_params_block(p);
    nn_params_init(p, block, 1);
    for (int i = 0; i < 500; i++) nn_spectral_iterate(p, block);
    nn_spectral_effective(p, block, effective);
    int n_weights = 0;
    for (int i = 0; i < p->n; i++) {
        const nn_param *it = &p->item[i];
        const float *got = effective + it->offset;
        if (strstr(it->name, "weight_orig") == NULL) {
            ck_assert_mem_eq(got, block + it->offset, (size_t)it->count * sizeof *got);
            continue;
        }
        const double s = largest_singular(got, it->shape[0], it->count / it->shape[0]);
        ck_assert_msg(fabs(s - 1) < 1e-3, "%s: largest singular value %g", it->name, s);
        n_weights++;
    }
    ck_assert_int_eq(n_weights, 8);
    sx_free(block);
    sx_free(effective);
    net_free(n);
}
END_TEST

/* <dE, E> for a fixed dE: its slope along one stored weight, by differences. */
START_TEST(the_gradient_through_the_spectral_norm_agrees_with_differences) {
    net *n = small_discriminator();
    const nn_params *p = net_params(n);
    float *block = nn_params_block(p), *effective = nn_params_block(p), *grads = nn_params_block(p);
    nn_params_init(p, block, 1);
    nn_spectral_iterate(p, block);
    const nn_param *it = &p->item[nn_params_find(p, "conv2.weight_orig")];
    float *d = SX_NEW_ARRAY(float, it->count);
    for (int64_t e = 0; e < it->count; e++) d[e] = (float)(e % 7) - 2;
    memcpy(grads + it->offset, d, (size_t)it->count * sizeof *d);
    nn_spectral_gradient(p, block, grads);
    for (int64_t e = 0; e < it->count; e += 41) {
        const float step = 0.01f, at = block[it->offset + e];
        double value[2] = {0, 0};
        for (int side = 0; side < 2; side++) {
            block[it->offset + e] = at + (side == 0 ? -step : step);
            nn_spectral_effective(p, block, effective);
            for (int64_t i = 0; i < it->count; i++)
                value[side] += (double)d[i] * (double)effective[it->offset + i];
        }
        block[it->offset + e] = at;
        const double want = (value[1] - value[0]) / (2 * (double)step);
        const double got = (double)grads[it->offset + e];
        ck_assert_msg(fabs(got - want) < 2e-2 * (1 + fabs(want)), "element %lld: got %g, want %g",
                      (long long)e, got, want);
    }
    sx_free(d);
    sx_free(block);
    sx_free(effective);
    sx_free(grads);
    net_free(n);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("net");
    TCase *all = tcase_create("net");
    tcase_add_test(all, width_64_has_the_published_count_of_parameters_and_macs);
    tcase_add_test(all, a_plan_alone_takes_no_memory);
    tcase_add_test(all, a_new_network_answers_exactly_zero);
    tcase_add_test(all, initial_values_follow_seed_and_bounds);
    tcase_add_test(all, networks_of_other_sizes_share_parameter_blocks);
    tcase_add_test(all, set_then_get_returns_pytorch_order_and_stores_channels_last);
    tcase_add_loop_test(all, sizes_that_make_no_network_are_refused_with_a_reason, 0, 7);
    tcase_add_loop_test(all, every_shape_of_network_builds_and_answers, 0, 6);
    tcase_add_test(all, a_nan_in_the_input_is_not_lost);
    tcase_add_loop_test(all, every_row_refuses_sizes_that_make_no_network, 0, 13);
    tcase_add_loop_test(all, a_share_that_lost_its_last_digits_is_the_same_share, 0, 2);
    tcase_add_loop_test(all, a_size_that_cannot_be_read_is_refused_by_its_name, 0, 12);
    tcase_add_loop_test(all, initial_values_are_those_of_the_published_code, 0, 10);
    tcase_add_test(all, the_spectral_norm_makes_the_largest_singular_value_one);
    tcase_add_test(all, the_gradient_through_the_spectral_norm_agrees_with_differences);
    tcase_add_test(all, group_norm_keeps_a_small_variance_on_a_large_mean);
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
