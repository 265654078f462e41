/* A step over ranks: what one image that is no number does to all of them, and a discriminator that
 * is none to both networks. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "jobs/train/train_rival.h"
#include "jobs/train/train_step.h"
#include "jobs/job/verbs.h"
#include "tests/check_run.h"
#include "tests/mpi/mpi_run.h"
#include "tests/cli/tiny_cache.h"

enum { BATCH = 8, STEPS = 7, CROP = 32 };

static mp_comm *world;

/* A training of a tiny network on a tiny cache, as far as a step needs it. */
typedef struct tiny {
    train_config c;
    io_cache *cache;
    train_slices slices;
    net *n, *rival;
    train_state state;
    train_stepper *stepper;
    train_feed *feed;
} tiny;

static void read_config(train_config *c, mp_comm *comm, const char *arch) {
    char *argv[] = {"c",     "r",
                    "--set", "model.base_channels=8",
                    "--set", "model.mult=1,2",
                    "--set", "model.res_blocks=1",
                    "--set", "model.dropout=0",
                    "--set", "model.blocks=1",
                    "--set", "model.growth=4",
                    "--set", (char *)arch,
                    "--set", "train.rival_channels=4",
                    "--set", "train.crop=32",
                    "--set", "train.batch=8",
                    "--set", "train.max_bad=3"};
    job *j = NULL;
    ck_assert_msg(job_new(&j, &cmd_train, comm, sizeof argv / sizeof *argv, argv) == SX_OK, "%s",
                  sx_err_text());
    ck_assert_msg(train_config_read(c, j) == SX_OK, "%s", sx_err_text());
    c->cache_path = c->run_path = c->init_path = NULL; /* they go with the job */
    c->degrade.hr_mm = 0.8571;
    job_free(j);
}

static void open_cache(tiny *y) {
    char *path = sx_strf("train-step-%d-of-%d.h5", mp_rank(world), mp_size(world));
    ck_assert_msg(tiny_cache_write(path) == SX_OK, "%s", sx_err_text());
    ck_assert_msg(io_cache_open(&y->cache, path) == SX_OK, "%s", sx_err_text());
    remove(path);
    sx_free(path);
    ck_assert_int_eq(train_slices_list(&y->slices, mp_self(), y->cache, IO_TRAIN, 0.02, false),
                     SX_OK);
}

/* The noise level that image `item` of a training draws. */
static int level_of(const train_config *c, int64_t item) {
    sx_rng r = sx_rng_make(c->seed, SX_RNG_TIME, 0, (uint64_t)item);
    return (int)sx_rng_int(&r, 0, DF_STEPS - 1);
}

static bool shares_its_level(const train_config *c, int64_t item) {
    for (int64_t i = 0; i < STEPS * BATCH; i++)
        if (i != item && level_of(c, i) == level_of(c, item)) return true;
    return false;
}

/* One image of step `step` becomes NaN, of the others none. */
static void poison(train_config *c, int64_t step) {
    int64_t item = step * BATCH + step % BATCH; /* another rank's, step by step */
    while (shares_its_level(c, item)) item++;
    ck_assert_int_eq(item / BATCH, step);
    c->schedule.alpha_bar[level_of(c, item)] = NAN;
}

static void tiny_begin(tiny *y) {
    int first, last;
    open_cache(y);
    ck_assert_int_eq(net_new(&y->n, &y->c.net, CROP, CROP, y->c.kernels, (net_opt){.train = true}),
                     SX_OK);
    ck_assert_int_eq(train_rival_net(&y->c, &y->rival), SX_OK);
    const nn_params *rival = y->rival ? net_params(y->rival) : NULL;
    ck_assert_int_eq(train_state_init(&y->state, net_params(y->n), rival), SX_OK);
    nn_params_init(y->state.params, y->state.param, 0);
    if (rival) train_rival_init(&y->c, rival, y->state.rival_param);
    ck_assert_int_eq(train_stepper_new(&y->stepper, &y->c, y->n, y->rival), SX_OK);
    train_stepper_shards(y->stepper, &first, &last);
    ck_assert_int_eq(train_feed_new(&y->feed, &y->c, y->cache, &y->slices, first, last, 0), SX_OK);
}

static void tiny_end(tiny *y) {
    train_feed_free(y->feed);
    train_stepper_free(y->stepper);
    train_state_clear(&y->state);
    net_free(y->n);
    net_free(y->rival);
    train_slices_clear(&y->slices);
    io_cache_close(y->cache);
}

/* What a skipped step must leave alone, one after the other; new (sx_free). */
static float *blocks_of(const train_state *s) {
    const float *const block[] = {s->param, s->m, s->v, s->ema};
    const int64_t n = s->params->block;
    float *all = SX_NEW_ARRAY(float, 4 * n);
    for (int i = 0; i < 4; i++) memcpy(all + i * n, block[i], (size_t)n * sizeof(float));
    return all;
}

static size_t blocks_bytes(const train_state *s) {
    return 4 * (size_t)s->params->block * sizeof(float);
}

/* All steps on the ranks of `comm`, of which bad[i] are poisoned; the blocks after the last one. */
static float *run_steps(mp_comm *comm, const bool bad[STEPS], size_t *n_bytes) {
    tiny y = {0};
    read_config(&y.c, comm, "model.arch=palette");
    for (int i = 0; i < STEPS; i++)
        if (bad[i]) poison(&y.c, i);
    tiny_begin(&y);
    int64_t in_row = 0, n_skipped = 0;
    for (int i = 0; i < STEPS; i++) {
        train_step_info info;
        float *before = blocks_of(&y.state);
        ck_assert_msg(train_step(y.stepper, y.feed, &y.state, 1e-3, &info) == SX_OK, "%s",
                      sx_err_text());
        float *after = blocks_of(&y.state);
        in_row = bad[i] ? in_row + 1 : 0;
        n_skipped += bad[i];
        ck_assert_msg(info.skipped == bad[i], "step %d: skipped got %d, want %d", i, info.skipped,
                      bad[i]);
        ck_assert_msg((memcmp(before, after, blocks_bytes(&y.state)) == 0) == bad[i],
                      "step %d: weights, moments or average %s", i,
                      bad[i] ? "changed" : "did not change");
        ck_assert_int_eq(y.state.bad_in_row, in_row);
        sx_free(before);
        sx_free(after);
    }
    ck_assert_int_eq(y.state.updates, STEPS - n_skipped);
    ck_assert_int_eq(y.state.interval.skipped, n_skipped);
    float *all = blocks_of(&y.state);
    *n_bytes = blocks_bytes(&y.state);
    tiny_end(&y);
    return all;
}

/* In turn: at the first, a middle and the last step; several in a row. */
static const bool bad_steps[][STEPS] = {{true, false, false, false, false, false, false},
                                        {false, false, false, true, false, false, false},
                                        {false, false, false, false, false, false, true},
                                        {true, false, false, true, true, false, true}};

START_TEST(one_image_that_is_no_number_skips_the_step_on_all_ranks_alike) {
    size_t n_bytes;
    float *together = run_steps(world, bad_steps[_i], &n_bytes);
    float *alone = run_steps(mp_self(), bad_steps[_i], &n_bytes);
    ck_assert_msg(memcmp(together, alone, n_bytes) == 0,
                  "rank %d of %d: other weights, moments or average than on one rank",
                  mp_rank(world), mp_size(world));
    sx_free(together);
    sx_free(alone);
}
END_TEST

START_TEST(too_many_skipped_steps_in_a_row_without_a_checkpoint_are_a_divergence) {
    tiny y = {0};
    read_config(&y.c, world, "model.arch=palette");
    for (int i = 1; i <= 3; i++) poison(&y.c, i);
    tiny_begin(&y);
    train_step_info info;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(train_step(y.stepper, y.feed, &y.state, 1e-3, &info), SX_OK);
    ck_assert_int_eq(y.state.bad_in_row, y.c.max_bad);
    ck_assert_int_eq(train_state_go_back(&y.state, &y.c, "{}"), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), "3 steps in a row") != NULL, "\"%s\"", sx_err_text());
    tiny_end(&y);
}
END_TEST

/* Everything of the discriminator, one block after the other; new (sx_free). */
static float *rival_blocks_of(const train_state *s) {
    const float *const block[] = {s->rival_param, s->rival_m, s->rival_v};
    const int64_t n = s->rival->block;
    float *all = SX_NEW_ARRAY(float, 3 * n);
    for (int i = 0; i < 3; i++) memcpy(all + i * n, block[i], (size_t)n * sizeof(float));
    return all;
}

START_TEST(a_discriminator_that_is_no_number_stops_both_networks_until_it_is) {
    tiny y = {0};
    read_config(&y.c, world, "model.arch=rrdb");
    tiny_begin(&y);
    for (int i = 0; i < 3; i++) {
        const bool bad = i == 1;
        const float was = y.state.rival_param[0];
        train_step_info info;
        if (bad) y.state.rival_param[0] = NAN;
        float *before = blocks_of(&y.state), *rival_before = rival_blocks_of(&y.state);
        ck_assert_msg(train_step(y.stepper, y.feed, &y.state, 1e-3, &info) == SX_OK, "%s",
                      sx_err_text());
        float *after = blocks_of(&y.state), *rival_after = rival_blocks_of(&y.state);
        const size_t n_bytes = 3 * (size_t)y.state.rival->block * sizeof(float);
        ck_assert_msg(info.skipped == bad, "step %d: skipped got %d, want %d", i, info.skipped,
                      bad);
        ck_assert_msg((memcmp(before, after, blocks_bytes(&y.state)) == 0) == bad,
                      "step %d: generator", i);
        ck_assert_msg((memcmp(rival_before, rival_after, n_bytes) == 0) == bad,
                      "step %d: discriminator", i);
        if (bad) y.state.rival_param[0] = was;
        sx_free(before);
        sx_free(after);
        sx_free(rival_before);
        sx_free(rival_after);
    }
    tiny_end(&y);
}
END_TEST

int main(int argc, char **argv) {
    world = mpi_run_start(&argc, &argv);
    TCase *t = tcase_create("train_step");
    tcase_add_loop_test(t, one_image_that_is_no_number_skips_the_step_on_all_ranks_alike, 0,
                        sizeof bad_steps / sizeof *bad_steps);
    tcase_add_test(t, too_many_skipped_steps_in_a_row_without_a_checkpoint_are_a_divergence);
    tcase_add_test(t, a_discriminator_that_is_no_number_stops_both_networks_until_it_is);
    Suite *s = suite_create("train_step");
    suite_add_tcase(s, t);
    return mpi_run_finish(world, check_run_suite(s));
}
