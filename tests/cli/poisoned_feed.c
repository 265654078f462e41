/* For a program like sagax in which some training images are no numbers: linked with
 * --wrap=train_feed_next. POISON_STEPS in the environment lists the steps ("3 4 5"); each has one
 * such image, of another rank step by step: its target, or with POISON_CLEAN set its clean image,
 * which in adversarial training only the discriminator sees. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include "jobs/train/train_data.h"

enum { BATCH = 8 };

sx_err __real_train_feed_next(train_feed *f, const train_pair **p, double *waited_s);
sx_err __wrap_train_feed_next(train_feed *f, const train_pair **p, double *waited_s);

static bool listed(int64_t step) {
    const char *text = getenv("POISON_STEPS");
    for (char *end; text && *text; text = end) {
        const bool same = strtoll(text, &end, 10) == step;
        if (end == text) break;
        if (same) return true;
    }
    return false;
}

sx_err __wrap_train_feed_next(train_feed *f, const train_pair **p, double *waited_s) {
    sx_err rc = __real_train_feed_next(f, p, waited_s);
    if (rc != SX_OK) return rc;
    const int64_t step = (*p)->item / BATCH;
    float *plane = getenv("POISON_CLEAN") ? (*p)->x0 : (*p)->target;
    if ((*p)->item % BATCH == step % BATCH && listed(step)) plane[0] = NAN;
    return SX_OK;
}
