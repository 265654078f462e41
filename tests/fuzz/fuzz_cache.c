/* The slice cache: a volume that passes its check can be read, whole and slice by slice. */
#include <string.h>

#include "base/sx_mem.h"
#include "io/io_cache.h"
#include "tests/fuzz/fuzz.h"

static void read_labels(io_cache *k, int64_t i, bool good) {
    const io_cache_volume *v = io_cache_entry(k, i);
    uint8_t *labels = NULL;
    const sx_err rc = io_cache_labels(k, i, &labels);
    const bool has = v->labels_sha256[0] != '\0';
    SX_ASSERT(!labels == (rc != SX_OK) && (has || rc != SX_OK) && (!good || !has || rc == SX_OK));
    uint8_t *slice = good && has ? SX_NEW_ARRAY(uint8_t, v->h * v->w) : NULL;
    for (int64_t s = 0; slice && s < v->n; s++) {
        SX_ASSERT(io_cache_slice_labels(k, i, s, slice) == SX_OK);
        SX_ASSERT(memcmp(slice, labels + s * v->h * v->w, (size_t)(v->h * v->w)) == 0);
    }
    sx_free(slice);
    sx_free(labels);
}

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
    read_labels(k, i, good);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    io_cache *k;
    char *path = fuzz_file("a.h5", data, n);
    char hash[65];
    if (io_cache_open(&k, path) == SX_OK) {
        io_cache_content_hash(k, hash);
        for (int64_t i = 0; i < io_cache_n_volumes(k); i++) read_volume(k, i);
    }
    io_cache_close(k);
    sx_free(path);
    return 0;
}
