/* Checkpoints and weights in HDF5: what is accepted is a set of blocks that can be written, and
 * names itself. */
#include <string.h>

#include "base/sx_mem.h"
#include "io/io_ckpt.h"
#include "jobs/job/job_weights.h"
#include "jobs/job/verbs.h"
#include "tests/fuzz/fuzz.h"

static void check_blocks(const io_ckpt *k) {
    for (int i = 0; i < k->n; i++) {
        const io_block *b = &k->block[i];
        int64_t n = 1;
        SX_ASSERT(b->name[0] && b->rank >= 1 && b->rank <= 4 && io_ckpt_find(k, b->name));
        for (int d = 0; d < b->rank; d++) n *= b->shape[d];
        float sum = 0;
        for (int64_t v = 0; v < n; v++) sum += b->data[v];
        (void)sum; /* every value was there to read */
    }
}

static void check_inherit(const char *path) {
    char help[] = "--help", *argv[] = {help};
    job *j;
    SX_ASSERT(job_new(&j, &cmd_sr, mp_self(), 1, argv) == SX_OK);
    job_weights_inherit(j, path, NULL);
    job_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    io_ckpt k;
    char *path = fuzz_file("a.h5", data, n);
    if (io_ckpt_read(path, &k) == SX_OK) {
        check_blocks(&k);
        check_inherit(path);
        io_ckpt_clear(&k);
    }
    sx_free(path);
    return 0;
}
