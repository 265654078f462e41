/* safetensors, read with suspicion and written so that equal sets give equal bytes.
 *
 * A file is n (8 bytes, little endian), n bytes of JSON {name: {dtype, shape, data_offsets}}, data.
 * Nothing from the header is believed before it is checked: every product is bounded by the size of
 * the file, and the offsets must tile the data without gap or overlap, so that reading is one pass
 * from front to back. Source: the format's description at huggingface/safetensors, README.md. */
#include "io/io_tensors.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"

#define HEADER_LIMIT (100 * 1000 * 1000) /* that of the format's own implementation */
#define MAX_RANK 8
#define META_KEY "__metadata__"

/* ---- element types: little-endian bytes to a double (exact for all but 64-bit integers) or int64
 * ---- */

typedef struct value {
    float f;
    int64_t i;
} value;

static uint64_t little_endian(const unsigned char *p, int n_bytes) {
    uint64_t u = 0;
    for (int b = n_bytes - 1; b >= 0; b--) u = u << 8 | p[b];
    return u;
}

static float float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static value get_f32(const unsigned char *p) {
    return (value){.f = float_of_bits((uint32_t)little_endian(p, 4))};
}

static value get_bf16(const unsigned char *p) {
    return (value){.f = float_of_bits((uint32_t)little_endian(p, 2) << 16)};
}

static value get_f64(const unsigned char *p) {
    uint64_t bits = little_endian(p, 8);
    double d;
    memcpy(&d, &bits, sizeof d);
    return (value){.f = (float)d};
}

/* Half: moving exponent and mantissa into a float's place leaves a factor 2^112 (biases 127 and
 * 15), which one multiplication puts right, subnormal halves included. */
static value get_f16(const unsigned char *p) {
    uint32_t h = (uint32_t)little_endian(p, 2);
    uint32_t sign = (h & 0x8000u) << 16, rest = h & 0x7fffu;
    if (rest >= 0x7c00u)
        return (value){.f = float_of_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13)};
    float magnitude = float_of_bits(rest << 13) * 0x1p112f;
    return (value){.f = sign ? -magnitude : magnitude};
}

static value get_i64(const unsigned char *p) {
    return (value){.i = (int64_t)little_endian(p, 8)};
}
static value get_i32(const unsigned char *p) {
    return (value){.i = (int32_t)(uint32_t)little_endian(p, 4)};
}
static value get_i16(const unsigned char *p) {
    return (value){.i = (int16_t)(uint16_t)little_endian(p, 2)};
}
static value get_i8(const unsigned char *p) {
    return (value){.i = (int8_t)*p};
}
static value get_u32(const unsigned char *p) {
    return (value){.i = (int64_t)little_endian(p, 4)};
}
static value get_u16(const unsigned char *p) {
    return (value){.i = (int64_t)little_endian(p, 2)};
}
static value get_u8(const unsigned char *p) {
    return (value){.i = *p};
}

typedef struct dtype {
    const char *name;
    int size; /* bytes */
    bool real;
    value (*get)(const unsigned char *p);
} dtype;

static const dtype dtypes[] = {
    {"F32", 4, true, get_f32},   {"I64", 8, false, get_i64}, {"F16", 2, true, get_f16},
    {"BF16", 2, true, get_bf16}, {"F64", 8, true, get_f64},  {"I32", 4, false, get_i32},
    {"I16", 2, false, get_i16},  {"I8", 1, false, get_i8},   {"U32", 4, false, get_u32},
    {"U16", 2, false, get_u16},  {"U8", 1, false, get_u8},   {"BOOL", 1, false, get_u8},
};

static const dtype *dtype_find(const char *name) {
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    return NULL;
}

/* ---- sets ---- */

void io_tensors_clear(io_tensors *t) {
    for (int i = 0; i < t->n; i++) {
        sx_free(t->item[i].f32);
        sx_free(t->item[i].i64);
    }
    for (int i = 0; i < t->n_meta; i++) {
        sx_free(t->meta[i].key);
        sx_free(t->meta[i].value);
    }
    sx_free(t->item);
    sx_free(t->meta);
    *t = (io_tensors){0};
}

const io_tensor *io_tensors_find(const io_tensors *t, const char *name) {
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->item[i].name, name) == 0) return &t->item[i];
    return NULL;
}

const char *io_tensors_meta(const io_tensors *t, const char *key) {
    for (int i = 0; i < t->n_meta; i++)
        if (strcmp(t->meta[i].key, key) == 0) return t->meta[i].value;
    return NULL;
}

static io_tensor *add_item(io_tensors *t, const char *name, int rank, const int64_t *shape) {
    SX_ASSERT(strlen(name) < sizeof t->item->name);
    SX_ASSERT(rank >= 0 && rank <= MAX_RANK);
    t->item = sx_grow(t->item, t->n, sizeof *t->item);
    io_tensor *x = &t->item[t->n++];
    *x = (io_tensor){.rank = rank, .count = 1};
    snprintf(x->name, sizeof x->name, "%s", name);
    for (int d = 0; d < rank; d++) {
        x->shape[d] = shape[d];
        x->count *= shape[d];
    }
    return x;
}

void io_tensors_add_f32(io_tensors *t, const char *name, int rank, const int64_t *shape,
                        const float *x) {
    io_tensor *item = add_item(t, name, rank, shape);
    item->f32 = SX_NEW_ARRAY(float, item->count ? item->count : 1);
    if (item->count) memcpy(item->f32, x, (size_t)item->count * sizeof *x);
}

void io_tensors_add_i64(io_tensors *t, const char *name, int rank, const int64_t *shape,
                        const int64_t *x) {
    io_tensor *item = add_item(t, name, rank, shape);
    item->i64 = SX_NEW_ARRAY(int64_t, item->count ? item->count : 1);
    if (item->count) memcpy(item->i64, x, (size_t)item->count * sizeof *x);
}

void io_tensors_add_meta(io_tensors *t, const char *key, const char *text) {
    t->meta = sx_grow(t->meta, t->n_meta, sizeof *t->meta);
    t->meta[t->n_meta].key = sx_strdup(key);
    t->meta[t->n_meta].value = sx_strdup(text);
    t->n_meta++;
}

/* ---- reading ---- */

/* One tensor as the header announces it. */
typedef struct entry {
    const char *name; /* borrowed from the JSON */
    const dtype *type;
    int rank;
    int64_t shape[MAX_RANK], count;
    int64_t begin, end; /* bytes in the data */
} entry;

static bool read_count(const json_t *j, int64_t limit, int64_t *n) {
    if (!json_is_integer(j) || json_integer_value(j) < 0 || json_integer_value(j) > limit)
        return false;
    *n = json_integer_value(j);
    return true;
}

static bool read_shape(const json_t *shape, int64_t limit, entry *e) {
    if (!json_is_array(shape) || json_array_size(shape) > MAX_RANK) return false;
    e->rank = (int)json_array_size(shape);
    e->count = 1;
    for (int d = 0; d < e->rank; d++) {
        if (!read_count(json_array_get(shape, (size_t)d), limit, &e->shape[d])) return false;
        if (e->shape[d] && e->count > limit / e->shape[d]) return false;
        e->count *= e->shape[d];
    }
    return true;
}

static sx_err read_entry(const char *path, const char *name, const json_t *j, int64_t n_data,
                         entry *e) {
    *e = (entry){.name = name};
    if (!name[0] || strlen(name) >= sizeof((io_tensor *)0)->name)
        return sx_fail(SX_E_DATA, "%s: a tensor's name has %zu characters, 1 to %zu are possible",
                       path, strlen(name), sizeof((io_tensor *)0)->name - 1);
    if (!json_is_object(j) || json_object_size(j) != 3)
        return sx_fail(SX_E_DATA, "%s: tensor %s is not {dtype, shape, data_offsets}", path, name);
    const char *type = json_string_value(json_object_get(j, "dtype"));
    e->type = type ? dtype_find(type) : NULL;
    if (!e->type)
        return sx_fail(SX_E_DATA, "%s: tensor %s has unknown dtype %s", path, name,
                       type ? type : "(none)");
    if (!read_shape(json_object_get(j, "shape"), n_data, e))
        return sx_fail(SX_E_DATA, "%s: tensor %s has a bad shape", path, name);
    const json_t *offsets = json_object_get(j, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !read_count(json_array_get(offsets, 0), n_data, &e->begin) ||
        !read_count(json_array_get(offsets, 1), n_data, &e->end) || e->begin > e->end)
        return sx_fail(SX_E_DATA, "%s: tensor %s has offsets outside the data of %" PRId64 " bytes",
                       path, name, n_data);
    if (e->end - e->begin != e->count * e->type->size)
        return sx_fail(SX_E_DATA,
                       "%s: tensor %s has %" PRId64 " bytes, its shape and dtype need %" PRId64,
                       path, name, e->end - e->begin, e->count * e->type->size);
    return SX_OK;
}

static int by_offset(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static sx_err check_tiling(const char *path, const entry *e, int n, int64_t n_data) {
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        if (e[i].begin != at)
            return sx_fail(SX_E_DATA, "%s: tensor %s begins at byte %" PRId64 ", expected %" PRId64,
                           path, e[i].name, e[i].begin, at);
        at = e[i].end;
    }
    if (at != n_data)
        return sx_fail(SX_E_DATA,
                       "%s: tensors end at byte %" PRId64 " of %" PRId64 " bytes of data", path, at,
                       n_data);
    return SX_OK;
}

static sx_err read_meta(const char *path, json_t *meta, io_tensors *t) {
    const char *key;
    json_t *text;
    if (!json_is_object(meta)) return sx_fail(SX_E_DATA, "%s: " META_KEY " is not an object", path);
    json_object_foreach(meta, key, text) {
        if (!json_is_string(text))
            return sx_fail(SX_E_DATA, "%s: " META_KEY " %s is not a text", path, key);
        io_tensors_add_meta(t, key, json_string_value(text));
    }
    return SX_OK;
}

/* Entries of the header in the order of their data, new (sx_free). */
static sx_err read_entries(const char *path, json_t *header, int64_t n_data, io_tensors *t,
                           entry **entries, int *n) {
    sx_err rc = SX_OK;
    const char *name;
    json_t *j;
    *n = 0;
    *entries = SX_NEW_ARRAY(entry, (int64_t)json_object_size(header) + 1);
    json_object_foreach(header, name, j) {
        if (strcmp(name, META_KEY) == 0)
            rc = read_meta(path, j, t);
        else
            rc = read_entry(path, name, j, n_data, &(*entries)[(*n)++]);
        if (rc != SX_OK) return rc;
    }
    qsort(*entries, (size_t)*n, sizeof **entries, by_offset);
    return check_tiling(path, *entries, *n, n_data);
}

static sx_err read_values(const char *path, FILE *f, const dtype *type, io_tensor *x) {
    unsigned char buffer[1 << 14];
    const int64_t room = (int64_t)sizeof buffer / type->size;
    for (int64_t done = 0; done < x->count;) {
        int64_t n = x->count - done < room ? x->count - done : room;
        if (fread(buffer, (size_t)type->size, (size_t)n, f) != (size_t)n)
            return sx_fail(SX_E_IO, "%s: short read in tensor %s", path, x->name);
        for (int64_t i = 0; i < n; i++) {
            value v = type->get(buffer + i * type->size);
            if (type->real)
                x->f32[done + i] = v.f;
            else
                x->i64[done + i] = v.i;
        }
        done += n;
    }
    return SX_OK;
}

static sx_err read_tensor(const char *path, FILE *f, const entry *e, io_tensors *t) {
    io_tensor *x = add_item(t, e->name, e->rank, e->shape);
    const int64_t n = x->count ? x->count : 1;
    if (e->type->real)
        x->f32 = sx_try_alloc(n, sizeof *x->f32);
    else
        x->i64 = sx_try_alloc(n, sizeof *x->i64);
    if (!x->f32 && !x->i64)
        return sx_fail(SX_E_NOMEM, "%s: no memory for tensor %s of %" PRId64 " values", path,
                       e->name, e->count);
    return read_values(path, f, e->type, x);
}

static sx_err read_header(const char *path, FILE *f, int64_t size, json_t **header,
                          int64_t *n_data) {
    sx_err rc = SX_OK;
    unsigned char length[8];
    char *text = NULL;
    json_error_t why;
    if (size < 8 || fread(length, 1, 8, f) != 8)
        return sx_fail(SX_E_DATA, "%s: %" PRId64 " bytes are no safetensors file", path, size);
    uint64_t n = little_endian(length, 8);
    if (n < 2 || n > HEADER_LIMIT || n > (uint64_t)(size - 8))
        return sx_fail(SX_E_DATA, "%s: header of %" PRIu64 " bytes in a file of %" PRId64, path, n,
                       size);
    text = sx_try_alloc((int64_t)n, 1);
    if (!text) return sx_fail(SX_E_NOMEM, "%s: no memory for the header", path);
    if (fread(text, 1, (size_t)n, f) != (size_t)n) {
        rc = sx_fail(SX_E_IO, "%s: short read in the header", path);
        goto out;
    }
    *header = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, &why);
    if (text[0] != '{' || !json_is_object(*header))
        rc = sx_fail(SX_E_DATA, "%s: the header is not a JSON object: %s", path,
                     *header ? "wrong type" : why.text);
    *n_data = size - 8 - (int64_t)n;
out:
    sx_free(text);
    return rc;
}

sx_err io_tensors_read(const char *path, io_tensors *t) {
    sx_err rc = SX_OK;
    json_t *header = NULL;
    entry *entries = NULL;
    int n = 0;
    int64_t n_data = 0;
    *t = (io_tensors){0};
    FILE *f = sx_file_is_dir(path) ? NULL : fopen(path, "rb");
    if (!f)
        return sx_fail(SX_E_NOINPUT, "%s: %s", path,
                       sx_file_is_dir(path) ? "is a folder" : strerror(errno));
    SX_TRY(rc, read_header(path, f, sx_file_size(path), &header, &n_data));
    SX_TRY(rc, read_entries(path, header, n_data, t, &entries, &n));
    for (int i = 0; i < n; i++) SX_TRY(rc, read_tensor(path, f, &entries[i], t));
out:
    sx_free(entries);
    json_decref(header);
    fclose(f);
    if (rc != SX_OK) io_tensors_clear(t);
    return rc;
}

/* ---- writing ---- */

/* 64-bit tensors first, so that all data is aligned in the file; then by name. */
static int by_type_and_name(const void *a, const void *b) {
    const io_tensor *x = *(io_tensor *const *)a, *y = *(io_tensor *const *)b;
    if (!x->i64 != !y->i64) return x->i64 ? -1 : 1;
    return strcmp(x->name, y->name);
}

static size_t n_bytes_of(const io_tensor *x) {
    return (size_t)x->count * (x->i64 ? sizeof *x->i64 : sizeof *x->f32);
}

static json_t *entry_json(const io_tensor *x, size_t begin) {
    json_t *shape = json_array();
    for (int d = 0; d < x->rank; d++) json_array_append_new(shape, json_integer(x->shape[d]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", x->i64 ? "I64" : "F32", "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)(begin + n_bytes_of(x)));
}

/* The metadata by key; NULL if a text is not UTF-8. */
static json_t *meta_json(const io_tensors *t) {
    json_t *sorted = NULL, *meta = json_object();
    bool good = true;
    for (int i = 0; i < t->n_meta; i++)
        good =
            json_object_set_new(meta, t->meta[i].key, json_string(t->meta[i].value)) == 0 && good;
    char *text = good ? json_dumps(meta, JSON_SORT_KEYS) : NULL;
    if (text) sorted = json_loads(text, 0, NULL);
    free(text);
    json_decref(meta);
    return sorted;
}

/* Header text, padded with spaces to a multiple of 8 bytes; new (sx_free). */
static char *header_text(const io_tensors *t, io_tensor *const *order) {
    json_t *header = json_object();
    size_t at = 0;
    bool good = true;
    if (t->n_meta) good = json_object_set_new(header, META_KEY, meta_json(t)) == 0;
    for (int i = 0; i < t->n; i++) {
        SX_ASSERT(!json_object_get(header, order[i]->name)); // names are given once
        good = good && json_object_set_new(header, order[i]->name, entry_json(order[i], at)) == 0;
        at += n_bytes_of(order[i]);
    }
    char *text = good ? json_dumps(header, JSON_COMPACT) : NULL;
    char *padded = NULL;
    if (text) {
        int width = ((int)strlen(text) + 7) / 8 * 8;
        padded = sx_strf("%-*s", width, text);
    }
    free(text);
    json_decref(header);
    return padded;
}

static bool put_little_endian(FILE *f, uint64_t u, int n_bytes) {
    unsigned char bytes[8];
    for (int b = 0; b < n_bytes; b++) bytes[b] = (unsigned char)(u >> (8 * b));
    return fwrite(bytes, 1, (size_t)n_bytes, f) == (size_t)n_bytes;
}

static bool put_values(FILE *f, const io_tensor *x) {
    bool good = true;
    for (int64_t i = 0; good && i < x->count; i++) {
        if (x->i64) {
            good = put_little_endian(f, (uint64_t)x->i64[i], 8);
        } else {
            uint32_t bits;
            memcpy(&bits, &x->f32[i], sizeof bits);
            good = put_little_endian(f, bits, 4);
        }
    }
    return good;
}

static sx_err put_file(const char *path, const char *tmp, const char *header, const io_tensors *t,
                       io_tensor *const *order) {
    FILE *f = fopen(tmp, "wb");
    if (!f) return sx_fail(SX_E_CREATE, "%s: cannot create: %s", path, strerror(errno));
    size_t n = strlen(header);
    bool good = put_little_endian(f, n, 8) && fwrite(header, 1, n, f) == n;
    for (int i = 0; good && i < t->n; i++) good = put_values(f, order[i]);
    if (fclose(f) == 0 && good) return SX_OK;
    return sx_fail(SX_E_IO, "%s: cannot write: %s", path, strerror(errno));
}

sx_err io_tensors_write(const char *path, const io_tensors *t) {
    sx_err rc = SX_OK;
    char *header = NULL, *tmp = sx_file_tmp_name(path);
    io_tensor **order = SX_NEW_ARRAY(io_tensor *, t->n + 1);
    for (int i = 0; i < t->n; i++) order[i] = &t->item[i];
    qsort(order, (size_t)t->n, sizeof *order, by_type_and_name);
    header = header_text(t, order);
    if (!header) {
        rc = sx_fail(SX_E_DATA, "%s: a tensor's name or metadata is not UTF-8", path);
        goto out;
    }
    rc = put_file(path, tmp, header, t, order);
    if (rc == SX_OK)
        rc = sx_file_commit(tmp, path);
    else
        sx_file_abort(tmp);
out:
    sx_free(header);
    sx_free(order);
    sx_free(tmp);
    return rc;
}
