/* Memory plan and dropout of the static graph. */
#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "model/net_arch.h"
#include "model/nn_ops.h"
#include "tests/check_run.h"

/* ---- plan ---- */

enum { H = 16, W = 24 };

typedef struct outcome {
    float *output, *grads, *input_grad;
    int64_t bytes, block;
} outcome;

static nn_graph *small_unet(bool train, bool share, nn_plan *plan) {
    net_config c = net_config_default();
    const nn_kernels *ref;
    ck_assert_int_eq(nn_kernels_get("ref", &ref), SX_OK);
    c.base_channels = 8;
    c.levels = 3;
    c.mult[2] = 2;
    c.res_blocks = 1;
    nn_graph *g = nn_graph_new();
    net__palette.build(g, &c, H, W);
    nn_graph_want_input_grad(g, "lr");
    ck_assert_int_eq(nn__graph_plan(g, ref, (nn__plan_opt){.train = train, .share = share}, plan),
                     SX_OK);
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
    static const char *const names[] = {"x", "lr", "time"};
    for (int i = 0; i < 3; i++) {
        sx_rng r = sx_rng_make(4, SX_RNG_TEST, 0, (uint64_t)i);
        sx_rng_normals(&r, nn_graph_input(g, names[i]), i < 2 ? H * W : 8);
    }
}

/* A run in poisoned memory: what is read before it is written shows as NaN. */
static outcome run_of(bool train, bool share) {
    nn_plan plan;
    nn_graph *g = small_unet(train, share, &plan);
    const nn_params *p = nn_graph_params(g);
    float *params = random_params(p), *d_y = SX_NEW_ARRAY(float, H *W);
    outcome o = {SX_NEW_ARRAY(float, H *W), nn_params_block(p), SX_NEW_ARRAY(float, H *W),
                 plan.activation_bytes, p->block};
    nn__graph_poison(g);
    fill_inputs(g);
    nn_graph_dropout(g, train, 1, 2, 3);
    memcpy(o.output, nn_graph_forward(g, params), H * W * sizeof(float));
    for (int i = 0; i < H * W; i++) d_y[i] = (float)(i % 7 - 3);
    if (train) {
        nn_graph_backward(g, params, d_y, o.grads);
        memcpy(o.input_grad, nn_graph_input_grad(g, "lr"), H * W * sizeof(float));
    }
    sx_free(d_y);
    sx_free(params);
    nn_graph_free(g);
    return o;
}

static void outcome_clear(outcome *o) {
    sx_free(o->output);
    sx_free(o->grads);
    sx_free(o->input_grad);
}

static void check_equal(const char *what, const float *got, const float *want, int64_t n) {
    int64_t i = 0;
    while (i < n && memcmp(&got[i], &want[i], sizeof *got) == 0 && isfinite(want[i])) i++;
    ck_assert_msg(i == n, "%s, float %lld: got %.9g, want %.9g exactly", what, (long long)i,
                  (double)got[i < n ? i : 0], (double)want[i < n ? i : 0]);
}

START_TEST(shared_memory_gives_the_bytes_of_memory_that_nobody_shares) {
    bool train = _i == 1;
    outcome shared = run_of(train, true), apart = run_of(train, false);
    check_equal("output", shared.output, apart.output, H * W);
    check_equal("input gradient", shared.input_grad, apart.input_grad, H * W);
    check_equal("gradients", shared.grads, apart.grads, shared.block);
    ck_assert_msg(2 * shared.bytes < apart.bytes, "got %lld bytes, %lld without sharing",
                  (long long)shared.bytes, (long long)apart.bytes);
    outcome_clear(&shared);
    outcome_clear(&apart);
}
END_TEST

static bool overlap(const nn__slot *x, const nn__slot *y) {
    bool in_time = x->first <= y->last && y->first <= x->last;
    return in_time && x->offset < y->offset + y->count && y->offset < x->offset + x->count;
}

START_TEST(slots_that_live_together_do_not_overlap) {
    nn_plan plan;
    nn_graph *g = small_unet(_i == 1, true, &plan);
    for (int a = 0; a < g->n_slots; a++) {
        const nn__slot *x = &g->slot[a];
        ck_assert(x->offset >= 0 && x->offset + x->count <= g->block_count);
        for (int b = 0; b < a; b++)
            if (overlap(x, &g->slot[b])) ck_abort_msg("slots %d and %d overlap", a, b);
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

START_TEST(times_name_the_ops_and_count_their_calls) {
    nn_plan plan;
    nn_op_time rows[NN__N_KINDS];
    nn_graph *g = small_unet(false, true, &plan);
    float *params = random_params(nn_graph_params(g));
    fill_inputs(g);
    for (int i = 0; i < 3; i++) nn_graph_forward(g, params);
    int n = nn_graph_times(g, rows, NN__N_KINDS, true);
    int64_t calls = 0, macs = 0;
    for (int i = 0; i < n; i++) {
        calls += rows[i].calls;
        macs += rows[i].macs;
    }
    ck_assert_str_eq(rows[0].op, "conv");
    ck_assert_int_eq(calls, 3 * plan.n_ops);
    ck_assert_int_eq(macs, 3 * plan.macs);
    ck_assert_int_eq(nn_graph_times(g, rows, NN__N_KINDS, false), 0);
    sx_free(params);
    nn_graph_free(g);
}
END_TEST

/* ---- dropout ---- */

enum { SIDE = 64, CHANNELS = 8, COUNT = SIDE * SIDE * CHANNELS };

static nn_graph *dropout_graph(float p, int n_layers) {
    const nn_kernels *ref;
    nn_plan plan;
    ck_assert_int_eq(nn_kernels_get("ref", &ref), SX_OK);
    nn_graph *g = nn_graph_new();
    nn_tensor x = nn_input(g, "a", SIDE, SIDE, CHANNELS);
    nn_graph_want_input_grad(g, "a");
    for (int i = 0; i < n_layers; i++) x = nn_dropout(g, x, p);
    nn_output(g, x);
    ck_assert_int_eq(nn_graph_plan(g, ref, true, &plan), SX_OK);
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
    tcase_add_loop_test(all, shared_memory_gives_the_bytes_of_memory_that_nobody_shares, 0, 2);
    tcase_add_loop_test(all, slots_that_live_together_do_not_overlap, 0, 2);
    tcase_add_test(all, inputs_stay_for_the_next_run);
    tcase_add_test(all, unknown_inputs_are_null);
    tcase_add_test(all, times_name_the_ops_and_count_their_calls);
    tcase_add_loop_test(all, dropout_drops_its_share_and_scales_the_rest, 0, 3);
    tcase_add_test(all, neighbours_in_a_mask_are_independent);
    tcase_add_test(all, masks_depend_on_seed_step_image_and_layer);
    tcase_add_test(all, backward_uses_the_mask_of_forward);
    tcase_add_test(all, dropout_that_is_off_changes_nothing);
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
