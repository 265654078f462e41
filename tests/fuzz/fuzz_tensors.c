/* safetensors: what is accepted comes back when it is written, and as weights it becomes a valid
 * configuration or a refusal. */
#include <string.h>

#include "base/sx_mem.h"
#include "io/io_tensors.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "jobs/job/verbs.h"
#include "tests/fuzz/fuzz.h"

static void check_same(const io_tensor *x, const io_tensor *y) {
    SX_ASSERT(y && x->rank == y->rank && x->count == y->count && !x->f32 == !y->f32);
    SX_ASSERT(memcmp(x->shape, y->shape, sizeof x->shape) == 0);
    if (x->f32)
        SX_ASSERT(memcmp(x->f32, y->f32, (size_t)x->count * sizeof *x->f32) == 0);
    else
        SX_ASSERT(memcmp(x->i64, y->i64, (size_t)x->count * sizeof *x->i64) == 0);
}

static void check_round_trip(const io_tensors *t) {
    io_tensors back;
    char *path = fuzz_file("again.safetensors", "", 0);
    SX_ASSERT(io_tensors_write(path, t) == SX_OK && io_tensors_read(path, &back) == SX_OK);
    SX_ASSERT(back.n == t->n && back.n_meta == t->n_meta);
    for (int i = 0; i < t->n; i++) check_same(&t->item[i], io_tensors_find(&back, t->item[i].name));
    io_tensors_clear(&back);
    sx_free(path);
}

static void check_inherit(const char *path, const io_tensors *t) {
    char help[] = "--help", *argv[] = {help};
    job *j;
    net_config c;
    SX_ASSERT(job_new(&j, &cmd_sr, mp_self(), 1, argv) == SX_OK);
    if (job_weights_inherit_tensors(j, path, t) == SX_OK) job_net_config(j, &c);
    job_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    io_tensors t;
    char *path = fuzz_file("a.safetensors", data, n);
    if (io_tensors_read(path, &t) == SX_OK) {
        check_round_trip(&t);
        check_inherit(path, &t);
        io_tensors_clear(&t);
    }
    sx_free(path);
    return 0;
}
