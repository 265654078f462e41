/* Parts of training without steps: identity, shards, slices, order of items, the feed, previews. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_mem.h"
#include "jobs/train/train_data.h"
#include "jobs/train/train_kind.h"
#include "jobs/train/train_val.h"
#include "jobs/job/verbs.h"
#include "tests/check_run.h"
#include "tests/cli/tiny_cache.h"

/* ---- identity ---- */

/* Identity of `train CACHE RUN --set SETTING`. */
static char *identity_with(const char *setting) {
    char *argv[] = {"c", "r", "--set", (char *)setting};
    job *j = NULL;
    ck_assert_int_eq(job_new(&j, &cmd_train, mp_self(), 4, argv), SX_OK);
    char *id = train_identity(j, "hash");
    job_free(j);
    return id;
}

START_TEST(what_does_not_shape_weights_may_differ) {
    static const char *const setting[] = {"train.steps=7",     "train.minutes=1",
                                          "train.keep=9",      "train.log_every=3",
                                          "diffusion.steps=9", "model.kernels=ref"};
    char *plain = identity_with("train.seed=0");
    for (size_t i = 0; i < sizeof setting / sizeof setting[0]; i++) {
        char *other = identity_with(setting[i]);
        ck_assert_str_eq(other, plain);
        sx_free(other);
    }
    sx_free(plain);
}
END_TEST

START_TEST(a_resume_with_another_setting_names_the_key_and_both_values) {
    static const struct {
        const char *setting, *says;
    } row[] = {
        {"model.base_channels=32", "model.base_channels was 32 and is now 64"},
        {"train.batch=16", "train.batch was 16 and is now 32"},
        {"train.shards=4", "train.shards was 4 and is now 0"},
        {"train.wire=bf16", "train.wire was \"bf16\" and is now \"fp32\""},
        {"train.crop=128", "train.crop was 128 and is now 160"},
        {"train.seed=3", "train.seed was 3 and is now 0"},
        {"train.lr=2e-4", "train.lr was 0.0002 and is now 0.0001;"},
        {"degrade.level=3", "degrade.level was 3 and is now 7"},
        {"diffusion.target=eps", "diffusion.target was \"eps\" and is now \"v\""},
    };
    char *ours = identity_with("train.steps=7");
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char *theirs = identity_with(row[i].setting);
        ck_assert_int_eq(train_identity_check(ours, theirs, "file"), SX_E_CONFIG);
        ck_assert_msg(strstr(sx_err_text(), row[i].says), "got \"%s\", want \"%s\"", sx_err_text(),
                      row[i].says);
        sx_free(theirs);
    }
    ck_assert_int_eq(train_identity_check(ours, ours, "file"), SX_OK);
    ck_assert_int_eq(train_identity_check(ours, "[]", "file"), SX_E_DATA);
    sx_free(ours);
}
END_TEST

/* ---- shards ---- */

START_TEST(shards_divide_the_batch_without_gap_or_overlap) {
    for (int batch = 1; batch <= 20; batch++)
        for (int shards = 1; shards <= batch; shards++) {
            train_config c = {.batch = batch, .shards = shards};
            ck_assert_int_eq(train_shard_first(&c, 0), 0);
            ck_assert_int_eq(train_shard_first(&c, shards), batch);
            for (int v = 0; v < shards; v++)
                ck_assert_int_lt(train_shard_first(&c, v), train_shard_first(&c, v + 1));
        }
}
END_TEST

/* ---- slices and feed ---- */

static io_cache *cache;
static train_slices slices;

static void open_cache(void) {
    char path[] = "/tmp/sagax-test-train-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(tiny_cache_write(path), SX_OK);
    ck_assert_int_eq(io_cache_open(&cache, path), SX_OK);
    unlink(path);
    ck_assert_int_eq(train_slices_list(&slices, mp_self(), cache, IO_TRAIN, 0.02, false), SX_OK);
}

static void close_cache(void) {
    train_slices_clear(&slices);
    io_cache_close(cache);
    cache = NULL;
}

static train_config feed_config(void) {
    char *argv[] = {
        "c", "r", "--set", "train.batch=6", "--set", "train.shards=3", "--set", "train.crop=32"};
    job *j = NULL;
    train_config c;
    ck_assert_int_eq(job_new(&j, &cmd_train, mp_self(), 8, argv), SX_OK);
    ck_assert_int_eq(train_config_read(&c, j), SX_OK);
    job_free(j);
    return c;
}

START_TEST(empty_slices_are_left_out_and_counted) {
    open_cache();
    ck_assert_int_eq(slices.n, TINY_TRAIN_SLICES);
    ck_assert_int_eq(slices.n_empty, TINY_TRAIN_EMPTY);
    ck_assert_int_eq(slices.n_small, 0);
    close_cache();
}
END_TEST

/* Items and pixels of shards [first, last) from a step on: a checksum an item. */
static void run_feed(const train_config *c, int first, int last, int64_t step, int n_steps,
                     double *sum_of_item) {
    train_feed *f = NULL;
    double waited_s = 0;
    int64_t n = (int64_t)c->crop * c->crop;
    ck_assert_int_eq(train_feed_new(&f, c, cache, &slices, first, last, step), SX_OK);
    for (int64_t s = step; s < step + n_steps; s++)
        for (int i = train_shard_first(c, first); i < train_shard_first(c, last); i++) {
            const train_pair *p = NULL;
            ck_assert_int_eq(train_feed_next(f, &p, &waited_s), SX_OK);
            ck_assert_int_eq(p->item, s * c->batch + i);
            double sum = p->t;
            for (int64_t k = 0; k < n; k++)
                sum += (double)(k % 97 + 1) * ((double)p->lr[k] + p->x_t[k] + p->target[k]);
            sum_of_item[p->item] = sum;
        }
    train_feed_free(f);
}

START_TEST(items_do_not_depend_on_who_makes_them_or_where_a_run_begins) {
    enum { STEPS = 7, BATCH = 6, N = STEPS * BATCH };
    double whole[N] = {0}, parts[N] = {0};
    open_cache();
    train_config c = feed_config();
    run_feed(&c, 0, 3, 0, STEPS, whole);
    run_feed(&c, 0, 1, 0, STEPS, parts);
    run_feed(&c, 1, 3, 0, 3, parts);
    run_feed(&c, 1, 3, 3, STEPS - 3, parts);
    for (int i = 0; i < N; i++)
        ck_assert_msg(whole[i] == parts[i], "item %d: got %.17g, want %.17g exactly", i, parts[i],
                      whole[i]);
    for (int i = 1; i < N; i++)
        ck_assert_msg(whole[i] != whole[0], "items 0 and %d are the same", i);
    close_cache();
}
END_TEST

START_TEST(a_feed_can_be_dropped_while_it_works_or_without_shards) {
    open_cache();
    train_config c = feed_config();
    train_feed *f = NULL;
    ck_assert_int_eq(train_feed_new(&f, &c, cache, &slices, 0, 3, 0), SX_OK);
    train_feed_free(f);
    ck_assert_int_eq(train_feed_new(&f, &c, cache, &slices, 3, 3, 0), SX_OK);
    train_feed_free(f);
    close_cache();
}
END_TEST

/* ---- validation ---- */

static int restored[8], n_restored; /* images of the validation set, in order */

static void note_image(const train_config *c, net *n, const float *params, const train_pair *p,
                       int image, float *x) {
    (void)n, (void)params;
    restored[n_restored++] = image;
    memcpy(x, p->lr, (size_t)c->crop * (size_t)c->crop * sizeof *x);
}

START_TEST(previews_lie_evenly_among_the_validation_images) {
    static const int want[] = {1, 4, 7}; /* of 9 slices of one scan */
    char *argv[] = {"c",     "r",
                    "--set", "model.arch=rcan",
                    "--set", "model.base_channels=4",
                    "--set", "model.groups=1",
                    "--set", "model.blocks=1",
                    "--set", "model.reduction=2",
                    "--set", "train.crop=16",
                    "--set", "train.preview_images=3"};
    char png[] = "/tmp/sagax-test-preview-XXXXXX";
    const int fd = mkstemp(png);
    train_slices val = {0};
    train_config c;
    train_val *v = NULL;
    net *n = NULL;
    job *j = NULL;
    double sr_db = 0, lr_db = 1;
    ck_assert_int_ge(fd, 0);
    close(fd);
    open_cache();
    ck_assert_int_eq(job_new(&j, &cmd_train, mp_self(), sizeof argv / sizeof *argv, argv), SX_OK);
    ck_assert_int_eq(train_config_read(&c, j), SX_OK);
    ck_assert_int_eq(train_slices_list(&val, mp_self(), cache, IO_VAL, 0, false), SX_OK);
    ck_assert_int_eq(val.n, TINY_VAL_SLICES);
    train_kind kind = *c.kind;
    kind.restore = note_image;
    c.kind = &kind;
    ck_assert_int_eq(net_new(&n, &c.net, c.crop, c.crop, c.kernels, (net_opt){0}), SX_OK);
    ck_assert_int_eq(train_val_new(&v, &c, cache, &val, n), SX_OK);
    ck_assert_int_eq(train_val_preview(v, NULL, png, &sr_db, &lr_db), SX_OK);
    ck_assert_int_eq(n_restored, 3);
    for (int k = 0; k < 3; k++) ck_assert_int_eq(restored[k], want[k]);
    ck_assert_double_eq(sr_db, lr_db); /* it gave back what it got */
    unlink(png);
    train_val_free(v);
    net_free(n);
    train_slices_clear(&val);
    job_free(j);
    close_cache();
}
END_TEST

int main(void) {
    return CHECK_RUN("train", what_does_not_shape_weights_may_differ,
                     a_resume_with_another_setting_names_the_key_and_both_values,
                     shards_divide_the_batch_without_gap_or_overlap,
                     empty_slices_are_left_out_and_counted,
                     items_do_not_depend_on_who_makes_them_or_where_a_run_begins,
                     a_feed_can_be_dropped_while_it_works_or_without_shards,
                     previews_lie_evenly_among_the_validation_images);
}
