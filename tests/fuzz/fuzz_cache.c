/* The slice cache: a volume that passes its check can be read, whole and slice by slice. */
#include <string.h>

#include "base/sx_mem.h"
#include "io/io_cache.h"
#include "tests/fuzz/fuzz.h"

static void read_volume(io_cache *k, int64_t i) {
    const io_cache_volume *v = io_cache_entry(k, i);
    uint16_t *pixels = NULL;
    sx_free(io_cache_entry_text(k, i));
    const bool good = io_cache_check(k, i) == SX_OK && v->ok;
    const sx_err rc = io_cache_pixels(k, i, &pixels);
    SX_ASSERT(!pixels == (rc != SX_OK) && (!good || rc == SX_OK));
    float *slice = good ? SX_NEW_ARRAY(float, v->h * v->w) : NULL;
    for (int64_t s = 0; good && s < v->n; s++) {
        SX_ASSERT(io_cache_slice(k, i, s, slice) == SX_OK);
        for (int64_t p = 0; p < v->h * v->w; p++) SX_ASSERT(slice[p] >= 0 && slice[p] <= 1);
    }
    sx_free(slice);
    sx_free(pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    io_cache *k;
    char *path = fuzz_file("a.h5", data, n);
    if (io_cache_open(&k, path) == SX_OK)
        for (int64_t i = 0; i < io_cache_n_volumes(k); i++) read_volume(k, i);
    io_cache_close(k);
    sx_free(path);
    return 0;
}
