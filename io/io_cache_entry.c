/* Entries of the slice cache between struct and JSON. One table holds the short texts, one format
 * string for jansson each the numbers: writer and reader cannot drift apart. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/sx_mem.h"
#include "io/io_cache_private.h"

static const char *const split_names[IO_N_SPLITS] = {"train", "val", "test"};

const char *io_split_name(io_split s) {
    SX_ASSERT(s >= IO_TRAIN && s < IO_N_SPLITS);
    return split_names[s];
}

io_split io_split_parse(const char *name) {
    int s = 0;
    while (s < IO_N_SPLITS && strcmp(name, split_names[s]) != 0) s++;
    return (io_split)s;
}

void io_cache_volume_clear(io_cache_volume *v) {
    sx_free(v->rel);
    sx_free(v->path);
    sx_free(v->pixels);
    sx_free(v->labels);
    *v = (io_cache_volume){0};
}

io__cache_name io__cache_name_of(int64_t volume, const char *leaf) {
    io__cache_name name;
    snprintf(name.text, sizeof name.text, "/volumes/%06" PRId64 "%s%s", volume, *leaf ? "/" : "",
             leaf);
    return name;
}

/* Texts with a fixed room in the struct. */
static const struct {
    const char *key;
    size_t offset, room;
} texts[] = {
#define TEXT(key, member)                                                                          \
    { key, offsetof(io_cache_volume, member), sizeof((io_cache_volume *)0)->member }
    TEXT("sha256", sha256),   TEXT("subject", subject), TEXT("session", session), TEXT("acq", acq),
    TEXT("axcodes", axcodes), TEXT("reason", reason),   TEXT("message", message),
#undef TEXT
};

static bool put_texts(json_t *j, const io_cache_volume *v) {
    bool good = true;
    for (size_t i = 0; good && i < sizeof texts / sizeof texts[0]; i++) {
        json_t *text = json_string((const char *)v + texts[i].offset);
        good = text && json_object_set_new(j, texts[i].key, text) == 0;
    }
    return good;
}

static bool get_texts(json_t *j, io_cache_volume *v) {
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *text = json_string_value(json_object_get(j, texts[i].key));
        if (!text || strlen(text) >= texts[i].room) return false;
        memcpy((char *)v + texts[i].offset, text, strlen(text) + 1);
    }
    return true;
}

/* Arrays of numbers; 16 at most. */
static bool put_reals(json_t *j, const char *key, const double *x, int n) {
    json_t *array = json_array();
    bool good = true;
    for (int i = 0; good && i < n; i++)
        good = isfinite(x[i]) && json_array_append_new(array, json_real(x[i])) == 0;
    return json_object_set_new(j, key, array) == 0 && good;
}

static bool get_reals(json_t *j, const char *key, double *x, int n) {
    json_t *array = json_object_get(j, key);
    if (json_array_size(array) != (size_t)n) return false;
    for (int i = 0; i < n; i++) {
        if (!json_is_number(json_array_get(array, (size_t)i))) return false;
        x[i] = json_number_value(json_array_get(array, (size_t)i));
    }
    return true;
}

/* ---- layers ---- */

const io__cache_layout io__cache_layouts[IO__N_LAYERS] = {
    [IO__PIXELS] = {"pixels", "crc", sizeof(uint16_t)},
    [IO__LABELS] = {"labels", "label_crc", sizeof(uint8_t)},
};

hid_t io__cache_file_type(io__cache_layer l) {
    return l == IO__PIXELS ? H5T_STD_U16LE : H5T_STD_U8LE;
}

hid_t io__cache_memory_type(io__cache_layer l) {
    return l == IO__PIXELS ? H5T_NATIVE_UINT16 : H5T_NATIVE_UINT8;
}

bool io__cache_has(const io_cache_volume *v, io__cache_layer l) {
    return v->ok && (l == IO__PIXELS || v->labels_sha256[0]);
}

const void *io__cache_values(const io_cache_volume *v, io__cache_layer l) {
    return l == IO__PIXELS ? (const void *)v->pixels : (const void *)v->labels;
}

/* ---- checksums of slices ---- */

static uint32_t crc_of_pixels(const uint16_t *pixels, int64_t n) {
    enum { CHUNK = 2048 };
    unsigned char byte[2 * CHUNK];
    uLong crc = crc32(0, NULL, 0);
    for (int64_t done = 0; done < n; done += CHUNK) {
        const int64_t m = n - done < CHUNK ? n - done : CHUNK;
        for (int64_t i = 0; i < m; i++) {
            byte[2 * i] = (unsigned char)(pixels[done + i] & 0xff);
            byte[2 * i + 1] = (unsigned char)(pixels[done + i] >> 8);
        }
        crc = crc32(crc, byte, (uInt)(2 * m));
    }
    return (uint32_t)crc;
}

uint32_t io__cache_crc(io__cache_layer l, const void *values, int64_t n) {
    if (l == IO__PIXELS) return crc_of_pixels(values, n);
    return (uint32_t)crc32(crc32(0, NULL, 0), values, (uInt)n);
}

bool io__cache_put_crcs(json_t *entry, io__cache_layer l, const uint32_t *crc, int64_t n) {
    json_t *array = json_array();
    bool good = true;
    for (int64_t i = 0; good && i < n; i++)
        good = json_array_append_new(array, json_integer(crc[i])) == 0;
    return json_object_set_new(entry, io__cache_layouts[l].crcs, array) == 0 && good;
}

bool io__cache_get_crcs(json_t *entry, io__cache_layer l, int64_t n, uint32_t **crc) {
    json_t *array = json_object_get(entry, io__cache_layouts[l].crcs);
    *crc = NULL;
    if (!array) return l == IO__PIXELS;
    if (!json_is_array(array) || json_array_size(array) != (size_t)n) return false;
    *crc = SX_NEW_ARRAY(uint32_t, n);
    for (int64_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(array, (size_t)i);
        const json_int_t x = json_integer_value(one);
        if (!json_is_integer(one) || x < 0 || x > UINT32_MAX) return false;
        (*crc)[i] = (uint32_t)x;
    }
    return true;
}

/* ---- entries ---- */

/* Nothing in caches without labels, so that these stay what they were. */
static bool put_labels(json_t *j, const io_cache_volume *v) {
    return !v->labels_sha256[0] ||
           json_object_set_new(j, "labels_sha256", json_string(v->labels_sha256)) == 0;
}

static bool get_labels(json_t *j, io_cache_volume *v) {
    const json_t *text = json_object_get(j, "labels_sha256");
    const char *sha256 = json_string_value(text);
    if (!text) return true;
    if (!sha256 || strlen(sha256) != sizeof v->labels_sha256 - 1) return false;
    memcpy(v->labels_sha256, sha256, sizeof v->labels_sha256);
    return true;
}

json_t *io__cache_entry_json(const io_cache_volume *v) {
    const double mapping[3] = {v->mapping.offset, v->mapping.scale, v->mapping.quantile};
    json_t *j = json_pack("{s:s, s:s, s:s, s:[I, I, I], s:[I, I, I]}", "file", v->rel, "split",
                          io_split_name(v->split), "state", v->ok ? "ok" : "failed", "shape",
                          (json_int_t)v->n, (json_int_t)v->h, (json_int_t)v->w, "crop",
                          (json_int_t)v->crop[0], (json_int_t)v->crop[1], (json_int_t)v->crop[2]);
    if (j && put_texts(j, v) && put_labels(j, v) && put_reals(j, "affine", &v->affine[0][0], 16) &&
        put_reals(j, "zooms", v->zooms, 3) && put_reals(j, "mapping", mapping, 3))
        return j;
    json_decref(j);
    return NULL;
}

static bool get_shape(json_t *j, io_cache_volume *v) {
    json_int_t n, h, w, crop[3];
    if (json_unpack(j, "{s:[I, I, I], s:[I, I, I]}", "shape", &n, &h, &w, "crop", &crop[0],
                    &crop[1], &crop[2]) != 0)
        return false;
    v->n = n, v->h = h, v->w = w;
    for (int d = 0; d < 3; d++) v->crop[d] = crop[d];
    const int64_t side = (int64_t)1 << 20; // bounds the product of three
    if (n < 0 || h < 0 || w < 0 || n > side || h > side || w > side) return false;
    return v->ok ? n > 0 && h > 0 && w > 0 : true;
}

bool io__cache_entry_parse(json_t *j, io_cache_volume *v, const char **why) {
    const char *file, *split, *state;
    double mapping[3];
    *v = (io_cache_volume){0};
    *why = "missing texts";
    if (json_unpack(j, "{s:s, s:s, s:s}", "file", &file, "split", &split, "state", &state) != 0 ||
        !get_texts(j, v) || !get_labels(j, v))
        return false;
    *why = "unknown split";
    v->split = io_split_parse(split);
    if (v->split == IO_N_SPLITS) return false;
    v->ok = strcmp(state, "ok") == 0;
    *why = "bad shape";
    if (!get_shape(j, v)) return false;
    *why = "bad geometry or mapping";
    if (!get_reals(j, "affine", &v->affine[0][0], 16) || !get_reals(j, "zooms", v->zooms, 3) ||
        !get_reals(j, "mapping", mapping, 3))
        return false;
    v->mapping = (im_mapping){mapping[0], mapping[1], mapping[2]};
    v->rel = sx_strdup(file);
    return true;
}
