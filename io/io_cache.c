/* Reading the slice cache: the index is read when the cache is opened, pixels when they are asked
 * for. Datasets are opened without chunk caches: a slice is a chunk, and is read whole. Those
 * that were opened last stay open, not all: an open one takes 20 KB, and the library looks through
 * the open ones when it opens another. */
#include "io/io_cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "io/io_cache_private.h"
#include "io/io_hdf5.h"

enum { OPEN_DATASETS = 256 };

struct io_cache {
    char *path, config[65];
    hid_t file, uncached; /* the file; access list for datasets */
    io_cache_volume *entry;
    uint32_t **crc[IO__N_LAYERS]; /* [n] of each slice of a volume; NULL where the file has none */
    hid_t *dataset[IO__N_LAYERS]; /* [n], negative unless open */
    hid_t *opened[OPEN_DATASETS]; /* those of them that are, a ring; NULL before it is full */
    int64_t n_opened;             /* so far */
    int64_t n, bytes;
    uint16_t *slice; /* scratch, the largest slice */
};

/* ---- opening ---- */

static sx_err check_format(io_cache *k) {
    char name[32] = "", version[16] = "unknown";
    hid_t format = H5Gopen2(k->file, "format", H5P_DEFAULT);
    bool ours = format >= 0 && io__hdf5_get_attribute(format, "name", name, sizeof name) &&
                strcmp(name, "sagax slice cache") == 0;
    bool known = ours && io__hdf5_get_attribute(format, "version", version, sizeof version) &&
                 strcmp(version, IO__CACHE_VERSION) == 0;
    bool whole = known && io__hdf5_get_attribute(format, "config", k->config, sizeof k->config);
    io__hdf5_close(format);
    if (!ours) return sx_fail(SX_E_DATA, "%s: HDF5, but not a slice cache of sagax", k->path);
    if (!known)
        return sx_fail(SX_E_DATA, "%s: cache version %s, this program reads " IO__CACHE_VERSION,
                       k->path, version);
    return whole ? SX_OK : sx_fail(SX_E_DATA, "%s: damaged: no configuration hash", k->path);
}

static sx_err parse_entries(io_cache *k, json_t *list) {
    int64_t largest = 1;
    k->entry = SX_NEW_ARRAY(io_cache_volume, (int64_t)json_array_size(list) + 1);
    for (io__cache_layer l = 0; l < IO__N_LAYERS; l++) {
        k->crc[l] = SX_NEW_ARRAY(uint32_t *, (int64_t)json_array_size(list) + 1);
        k->dataset[l] = SX_NEW_ARRAY(hid_t, (int64_t)json_array_size(list) + 1);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *why;
        io_cache_volume *v = &k->entry[i];
        for (io__cache_layer l = 0; l < IO__N_LAYERS; l++) k->dataset[l][i] = H5I_INVALID_HID;
        k->n++;
        if (!io__cache_entry_parse(json_array_get(list, i), v, &why))
            return sx_fail(SX_E_DATA, "%s: damaged index, volume %zu: %s", k->path, i, why);
        if (v->ok && v->n * v->h > k->bytes / 2 / v->w)
            return sx_fail(SX_E_DATA, "%s: volume %zu (%s) is larger than the file", k->path, i,
                           v->rel);
        for (io__cache_layer l = 0; l < IO__N_LAYERS; l++)
            if (io__cache_has(v, l) &&
                !io__cache_get_crcs(json_array_get(list, i), l, v->n, &k->crc[l][i]))
                return sx_fail(SX_E_DATA, "%s: damaged index, volume %zu: bad checksums", k->path,
                               i);
        if (v->ok && v->h * v->w > largest) largest = v->h * v->w;
    }
    k->slice = sx_try_alloc(largest, sizeof *k->slice);
    return k->slice ? SX_OK : sx_fail(SX_E_NOMEM, "%s: no memory for a slice", k->path);
}

static sx_err read_index(io_cache *k) {
    char *text = io__hdf5_get_text(k->file, "index", IO__CACHE_INDEX_LIMIT);
    if (!text) return sx_fail(SX_E_DATA, "%s: damaged index: %s", k->path, io__hdf5_reason());
    json_error_t why;
    json_t *root = json_loads(text, 0, &why), *list = json_object_get(root, "volumes");
    sx_err rc = json_is_array(list) ? parse_entries(k, list)
                                    : sx_fail(SX_E_DATA, "%s: damaged index: %s", k->path,
                                              root ? "no list of volumes" : why.text);
    json_decref(root);
    sx_free(text);
    return rc;
}

sx_err io_cache_open(io_cache **out, const char *path) {
    sx_err rc = SX_OK;
    io_cache *k = SX_NEW(io_cache);
    *k = (io_cache){.path = sx_strdup(path), .file = H5I_INVALID_HID, .bytes = sx_file_size(path)};
    io__hdf5_lock();
    k->uncached = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(k->uncached, 0, 0, 1);
    SX_TRY(rc, io__hdf5_open(path, &k->file));
    rc = check_format(k);
    if (rc == SX_OK) rc = read_index(k);
    rc = io__hdf5_end_reading(path, rc);
out:
    io__hdf5_unlock();
    if (rc != SX_OK) {
        io_cache_close(k);
        k = NULL;
    }
    *out = k;
    return rc;
}

void io_cache_close(io_cache *k) {
    if (!k) return;
    io__hdf5_lock();
    for (io__cache_layer l = 0; l < IO__N_LAYERS; l++)
        for (int64_t i = 0; i < k->n; i++) io__hdf5_close(k->dataset[l][i]);
    io__hdf5_close(k->uncached);
    io__hdf5_close(k->file);
    io__hdf5_unlock();
    for (int64_t i = 0; i < k->n; i++) io_cache_volume_clear(&k->entry[i]);
    for (io__cache_layer l = 0; l < IO__N_LAYERS; l++) {
        for (int64_t i = 0; i < k->n; i++) sx_free(k->crc[l][i]);
        sx_free(k->crc[l]);
        sx_free(k->dataset[l]);
    }
    sx_free(k->entry);
    sx_free(k->slice);
    sx_free(k->path);
    sx_free(k);
}

const char *io_cache_config_hash(const io_cache *k) {
    return k->config;
}

void io_cache_content_hash(const io_cache *k, char hex[SX_HASH_HEX]) {
    sx_hasher *h = sx_hasher_new();
    const char *config = io_cache_config_hash(k);
    sx_hasher_add_text(h, config);
    for (int64_t i = 0; i < io_cache_n_volumes(k); i++) {
        const io_cache_volume *e = io_cache_entry(k, i);
        int64_t shape[5] = {e->n, e->h, e->w, e->split, e->ok};
        sx_hasher_add_text(h, e->rel);
        sx_hasher_add_text(h, e->sha256);
        sx_hasher_add(h, shape, sizeof shape);
        /* nothing without labels: trainings know such caches by their earlier hash */
        if (io__cache_has(e, IO__LABELS))
            sx_hasher_add(h, e->labels_sha256, strlen(e->labels_sha256) + 1);
    }
    sx_hasher_end(h, hex);
}

int64_t io_cache_n_volumes(const io_cache *k) {
    return k->n;
}

const io_cache_volume *io_cache_entry(const io_cache *k, int64_t volume) {
    SX_ASSERT(volume >= 0 && volume < k->n);
    return &k->entry[volume];
}

char *io_cache_entry_text(const io_cache *k, int64_t volume) {
    json_t *j = io__cache_entry_json(io_cache_entry(k, volume));
    char *dumped = json_dumps(j, JSON_COMPACT), *text = sx_strdup(dumped);
    SX_ASSERT(text); // it came from JSON
    free(dumped);
    json_decref(j);
    return text;
}

/* ---- pixels ---- */

static sx_err damaged(const io_cache *k, int64_t volume, const char *what, const char *why) {
    return sx_fail(SX_E_DATA, "%s: volume %" PRId64 " (%s): %s: %s", k->path, volume,
                   k->entry[volume].rel, what, why);
}

/* In the place of the one that was opened OPEN_DATASETS before. */
static void keep_open(io_cache *k, hid_t *place, hid_t dataset) {
    hid_t **oldest = &k->opened[k->n_opened++ % OPEN_DATASETS];
    if (*oldest) {
        io__hdf5_close(**oldest);
        **oldest = H5I_INVALID_HID;
    }
    *place = dataset;
    *oldest = place;
}

/* Shape and type in the file are those of the index. */
static bool is_as_indexed(hid_t dataset, io__cache_layer l, const io_cache_volume *v) {
    hsize_t shape[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    bool good = space >= 0 && type >= 0 && H5Tequal(type, io__cache_file_type(l)) > 0 &&
                H5Sget_simple_extent_dims(space, shape, NULL) == 3 && shape[0] == (hsize_t)v->n &&
                shape[1] == (hsize_t)v->h && shape[2] == (hsize_t)v->w;
    io__hdf5_close(type);
    io__hdf5_close(space);
    return good;
}

static sx_err open_volume(io_cache *k, io__cache_layer l, int64_t volume) {
    const io_cache_volume *v = io_cache_entry(k, volume);
    if (k->dataset[l][volume] >= 0) return SX_OK;
    if (!v->ok)
        return sx_fail(SX_E_DATA, "%s: volume %" PRId64 " (%s) has no pixels: %s", k->path, volume,
                       v->rel, v->message);
    if (!io__cache_has(v, l))
        return sx_fail(SX_E_DATA, "%s: volume %" PRId64 " (%s) has no labels", k->path, volume,
                       v->rel);
    hid_t dataset =
        H5Dopen2(k->file, io__cache_name_of(volume, io__cache_layouts[l].leaf).text, k->uncached);
    if (dataset < 0) return damaged(k, volume, "damaged", io__hdf5_reason());
    if (!is_as_indexed(dataset, l, v)) {
        io__hdf5_close(dataset);
        return sx_fail(SX_E_DATA, "%s: volume %" PRId64 " (%s): shape differs from the index",
                       k->path, volume, v->rel);
    }
    keep_open(k, &k->dataset[l][volume], dataset);
    return SX_OK;
}

/* Slices of an open volume, checked; NULL, or why not: borrowed until the next call. */
static const char *read_slices(const io_cache *k, io__cache_layer l, int64_t volume, int64_t first,
                               int64_t n, void *values) {
    const io_cache_volume *v = &k->entry[volume];
    const int64_t area = v->h * v->w;
    const size_t slice = (size_t)area * io__cache_layouts[l].size;
    const uint32_t *crc = k->crc[l][volume];
    const hid_t dataset = k->dataset[l][volume];
    const hsize_t start[3] = {(hsize_t)first, 0, 0};
    const hsize_t count[3] = {(hsize_t)n, (hsize_t)v->h, (hsize_t)v->w};
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(3, count, NULL);
    bool good = space >= 0 && memory >= 0 &&
                H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Dread(dataset, io__cache_memory_type(l), memory, space, H5P_DEFAULT, values) >= 0;
    io__hdf5_close(memory);
    io__hdf5_close(space);
    if (!good) return io__hdf5_reason();
    for (int64_t i = 0; crc && i < n; i++)
        if (io__cache_crc(l, (const char *)values + (size_t)i * slice, area) != crc[first + i])
            return "not what was written (CRC-32)";
    return NULL;
}

/* One slice of a layer as it is stored. Called with the lock held. */
static sx_err read_slice(io_cache *k, io__cache_layer l, int64_t volume, int64_t slice,
                         void *values) {
    const io_cache_volume *v = io_cache_entry(k, volume);
    const char *why = NULL;
    SX_ASSERT(slice >= 0 && (slice < v->n || !v->ok));
    io__hdf5_begin_reading();
    sx_err rc = open_volume(k, l, volume);
    if (rc == SX_OK && (why = read_slices(k, l, volume, slice, 1, values)))
        rc = damaged(k, volume, "damaged slice", why);
    return io__hdf5_end_reading(k->path, rc);
}

sx_err io_cache_slice(io_cache *k, int64_t volume, int64_t slice, float *out) {
    const io_cache_volume *v = io_cache_entry(k, volume);
    io__hdf5_lock();
    sx_err rc = read_slice(k, IO__PIXELS, volume, slice, k->slice);
    for (int64_t i = 0; rc == SX_OK && i < v->h * v->w; i++) out[i] = (float)k->slice[i] / 65535.0f;
    io__hdf5_unlock();
    return rc;
}

sx_err io_cache_slice_labels(io_cache *k, int64_t volume, int64_t slice, uint8_t *out) {
    io__hdf5_lock();
    sx_err rc = read_slice(k, IO__LABELS, volume, slice, out);
    io__hdf5_unlock();
    return rc;
}

/* All of a layer, new. */
static sx_err read_layer(io_cache *k, io__cache_layer l, int64_t volume, void **values) {
    const io_cache_volume *v = io_cache_entry(k, volume);
    const char *why = NULL;
    *values = NULL;
    io__hdf5_lock();
    io__hdf5_begin_reading();
    sx_err rc = open_volume(k, l, volume);
    if (rc == SX_OK) {
        *values = sx_try_alloc(v->n * v->h * v->w, io__cache_layouts[l].size);
        if (!*values)
            rc = sx_fail(SX_E_NOMEM, "%s: no memory for volume %" PRId64, k->path, volume);
        else if ((why = read_slices(k, l, volume, 0, v->n, *values)))
            rc = damaged(k, volume, "damaged pixels", why);
    }
    rc = io__hdf5_end_reading(k->path, rc);
    io__hdf5_unlock();
    if (rc != SX_OK) {
        sx_free(*values);
        *values = NULL;
    }
    return rc;
}

sx_err io_cache_pixels(io_cache *k, int64_t volume, uint16_t **pixels) {
    void *values;
    const sx_err rc = read_layer(k, IO__PIXELS, volume, &values);
    *pixels = values;
    return rc;
}

sx_err io_cache_labels(io_cache *k, int64_t volume, uint8_t **labels) {
    void *values;
    const sx_err rc = read_layer(k, IO__LABELS, volume, &values);
    *labels = values;
    return rc;
}

/* The volume's own copy of its entry says the same as the index. */
static sx_err check_meta(io_cache *k, int64_t volume) {
    io__hdf5_lock();
    io__hdf5_begin_reading();
    char *text =
        io__hdf5_get_text(k->file, io__cache_name_of(volume, "meta").text, IO__CACHE_INDEX_LIMIT);
    sx_err rc = text ? SX_OK : damaged(k, volume, "damaged meta", io__hdf5_reason());
    rc = io__hdf5_end_reading(k->path, rc);
    io__hdf5_unlock();
    if (rc != SX_OK) return rc;
    json_t *own = json_loads(text, 0, NULL), *indexed = io__cache_entry_json(&k->entry[volume]);
    for (io__cache_layer l = 0; l < IO__N_LAYERS; l++)
        if (k->crc[l][volume])
            io__cache_put_crcs(indexed, l, k->crc[l][volume], k->entry[volume].n);
    if (!json_equal(own, indexed))
        rc = sx_fail(SX_E_DATA, "%s: volume %" PRId64 " (%s): meta differs from the index", k->path,
                     volume, k->entry[volume].rel);
    json_decref(own);
    json_decref(indexed);
    sx_free(text);
    return rc;
}

/* Slice by slice, since each has checksums of its own: damage is named as closely as it is known.
 */
static sx_err check_layer(io_cache *k, io__cache_layer l, int64_t volume) {
    const io_cache_volume *v = io_cache_entry(k, volume);
    char list[100] = "", reason[200] = "";
    io__hdf5_lock();
    io__hdf5_begin_reading();
    sx_err rc = open_volume(k, l, volume);
    for (int64_t i = 0; rc == SX_OK && i < v->n; i++) {
        const size_t used = strlen(list);
        const char *why = read_slices(k, l, volume, i, 1, k->slice);
        if (!why) continue;
        if (!used) snprintf(reason, sizeof reason, "%s", why);
        if (used < sizeof list - 24)
            snprintf(list + used, sizeof list - used, "%s%" PRId64, used ? ", " : "", i);
        else if (list[used - 1] != '.')
            strcat(list, ", ...");
    }
    if (list[0])
        rc = sx_fail(SX_E_DATA, "%s: volume %" PRId64 " (%s): damaged slices %s: %s", k->path,
                     volume, v->rel, list, reason);
    rc = io__hdf5_end_reading(k->path, rc);
    io__hdf5_unlock();
    return rc;
}

sx_err io_cache_check(io_cache *k, int64_t volume) {
    const io_cache_volume *v = io_cache_entry(k, volume);
    sx_err rc = SX_OK;
    for (io__cache_layer l = 0; l < IO__N_LAYERS && rc == SX_OK; l++)
        if (io__cache_has(v, l)) rc = check_layer(k, l, volume);
    return rc == SX_OK && v->ok ? check_meta(k, volume) : rc;
}
