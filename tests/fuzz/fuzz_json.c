/* JSON from outside: a sidecar beside an image, what weights say about themselves, an entry of a
 * slice cache. */
#include <math.h>
#include <string.h>

#include "base/sx_mem.h"
#include "io/io_bids.h"
#include "io/io_cache_private.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "jobs/job/verbs.h"
#include "tests/fuzz/fuzz.h"

static void read_sidecar(const uint8_t *data, size_t n) {
    char *image = fuzz_file("sub-1_T2w.nii", "", 0),
         *sidecar = fuzz_file("sub-1_T2w.json", data, n);
    io_items x;
    SX_ASSERT(io_bids_file(image, &x) == SX_OK);
    const double mm = io_bids_slice_thickness(&x.item[0], 1.0);
    SX_ASSERT(isfinite(mm) && mm > 0);
    io_items_clear(&x);
    sx_free(image);
    sx_free(sidecar);
}

static void read_about_weights(const char *text) {
    char help[] = "--help", *argv[] = {help};
    io_tensors t = {0};
    net_config shape;
    df_schedule schedule;
    job *j;
    io_tensors_add_meta(&t, "sagax", text);
    SX_ASSERT(job_new(&j, &cmd_sr, mp_self(), 1, argv) == SX_OK);
    if (job_weights_inherit_tensors(j, "a.safetensors", &t) == SX_OK) {
        job_net_config(j, &shape);
        job_schedule(j, &schedule);
    }
    job_free(j);
    io_tensors_clear(&t);
}

/* An entry that is understood says the same when it is written. */
static void read_cache_entry(const char *text) {
    io_cache_volume v, again;
    const char *why;
    json_t *entry = json_loads(text, 0, NULL);
    if (io__cache_entry_parse(entry, &v, &why)) {
        json_t *back = io__cache_entry_json(&v);
        SX_ASSERT(back && io__cache_entry_parse(back, &again, &why));
        SX_ASSERT(again.n == v.n && again.h == v.h && again.w == v.w && again.ok == v.ok);
        io_cache_volume_clear(&again);
        json_decref(back);
    }
    io_cache_volume_clear(&v);
    json_decref(entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    char *text = sx_alloc((int64_t)n + 1, 1);
    memcpy(text, data, n);
    read_sidecar(data, n);
    read_about_weights(text);
    read_cache_entry(text);
    sx_free(text);
    return 0;
}
