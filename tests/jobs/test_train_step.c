/* A step over ranks: what one image that is no number does to all of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "jobs/train_step.h"
#include "jobs/verbs.h"
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
    net *n;
    train_state state;
    train_stepper *stepper;
    train_feed *feed;
} tiny;

static void read_config(train_config *c) {
    char *argv[] = {"c",     "r",
                    "--set", "model.base_channels=8",
                    "--set", "model.mult=1,2",
                    "--set", "model.res_blocks=1",
                    "--set", "model.dropout=0",
                    "--set", "train.crop=32",
                    "--set", "train.batch=8",
                    "--set", "train.max_bad=3"};
    job *j = NULL;
    ck_assert_msg(job_new(&j, &cmd_train, world, sizeof argv / sizeof *argv, argv) == SX_OK, "%s",
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
    ck_assert_int_eq(train_slices_list(&y->slices, mp_self(), y->cache, IO_TRAIN, 0.02), SX_OK);
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
    ck_assert_int_eq(train_state_init(&y->state, net_params(y->n)), SX_OK);
    nn_params_init(y->state.params, y->state.param, 0);
    ck_assert_int_eq(train_stepper_new(&y->stepper, &y->c, y->n), SX_OK);
    train_stepper_shards(y->stepper, &first, &last);
    ck_assert_int_eq(train_feed_new(&y->feed, &y->c, y->cache, &y->slices, first, last, 0), SX_OK);
}

static void tiny_end(tiny *y) {
    train_feed_free(y->feed);
    train_stepper_free(y->stepper);
    train_state_clear(&y->state);
    net_free(y->n);
    train_slices_clear(&y->slices);
    io_cache_close(y->cache);
}

/* Every rank has the weights of rank 0. */
static void check_agreement(const train_state *s) {
    size_t n_bytes = (size_t)s->params->block * sizeof(float);
    float *first = nn_params_block(s->params);
    memcpy(first, s->param, n_bytes);
    mp_bcast(world, first, n_bytes, 0);
    ck_assert_msg(memcmp(first, s->param, n_bytes) == 0, "rank %d has other weights than rank 0",
                  mp_rank(world));
    sx_free(first);
}

START_TEST(one_image_that_is_no_number_skips_the_step_on_all_ranks) {
    static const bool bad[STEPS] = {true, false, false, true, true, false, true};
    tiny y = {0};
    read_config(&y.c);
    for (int i = 0; i < STEPS; i++)
        if (bad[i]) poison(&y.c, i);
    tiny_begin(&y);
    size_t n_bytes = (size_t)y.state.params->block * sizeof(float);
    float *before = nn_params_block(y.state.params);
    int64_t in_row = 0;
    for (int i = 0; i < STEPS; i++) {
        train_step_info info;
        memcpy(before, y.state.param, n_bytes);
        ck_assert_msg(train_step(y.stepper, y.feed, &y.state, 1e-3, &info) == SX_OK, "%s",
                      sx_err_text());
        in_row = bad[i] ? in_row + 1 : 0;
        ck_assert_msg(info.skipped == bad[i], "step %d: skipped got %d, want %d", i, info.skipped,
                      bad[i]);
        ck_assert_msg((memcmp(before, y.state.param, n_bytes) == 0) == bad[i],
                      "step %d: weights %s", i, bad[i] ? "changed" : "did not change");
        ck_assert_int_eq(y.state.bad_in_row, in_row);
        check_agreement(&y.state);
    }
    ck_assert_int_eq(y.state.updates, 3);
    ck_assert_int_eq(y.state.interval.skipped, 4);
    sx_free(before);
    tiny_end(&y);
}
END_TEST

START_TEST(too_many_skipped_steps_in_a_row_end_the_training_on_all_ranks) {
    tiny y = {0};
    read_config(&y.c);
    for (int i = 1; i <= 3; i++) poison(&y.c, i);
    tiny_begin(&y);
    train_step_info info;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(train_step(y.stepper, y.feed, &y.state, 1e-3, &info), SX_OK);
    ck_assert_int_eq(train_step(y.stepper, y.feed, &y.state, 1e-3, &info), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), "3 steps in a row") != NULL, "\"%s\"", sx_err_text());
    check_agreement(&y.state);
    tiny_end(&y);
}
END_TEST

int main(int argc, char **argv) {
    world = mpi_run_start(&argc, &argv);
    return mpi_run_finish(
        world, CHECK_RUN("train_step", one_image_that_is_no_number_skips_the_step_on_all_ranks,
                         too_many_skipped_steps_in_a_row_end_the_training_on_all_ranks));
}
