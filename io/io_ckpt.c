/* Checkpoints: /json and /names (texts), /blocks/NAME (float32), and attributes of the root:
 * format, version, digest. /names keeps the order of the blocks, one name a line. The digest is
 * SHA-256 over the JSON text and each block's name, shape and little-endian floats: it is the last
 * word on damage that checksums of single chunks cannot see (a chunk in another's place). */
#include "io/io_ckpt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "io/io_hdf5.h"

#define FORMAT "sagax checkpoint"
#define VERSION "1"
#define TEXT_LIMIT (64 << 20) /* bytes; of JSON and names */
#define CHUNK_LIMIT (1 << 18) /* floats: 1 MiB a checksum */

static int64_t count_of(const io_block *b) {
    int64_t n = 1;
    for (int d = 0; d < b->rank; d++) n *= b->shape[d];
    return n;
}

static const float *values_of(const io_block *b) {
    return b->make != NULL ? b->make(b->maker, b->index) : b->data;
}

static void digest_of(const char *json, const io_block *blocks, int n, char hex[SX_HASH_HEX]) {
    sx_hasher *h = sx_hasher_new();
    sx_hasher_add_text(h, json);
    for (int i = 0; i < n; i++) {
        const io_block *b = &blocks[i];
        char shape[128];
        int used = snprintf(shape, sizeof shape, "%d", b->rank);
        for (int d = 0; d < b->rank; d++)
            used += snprintf(shape + used, sizeof shape - (size_t)used, " %" PRId64, b->shape[d]);
        sx_hasher_add_text(h, b->name);
        sx_hasher_add(h, shape, (size_t)used + 1);
        sx_hasher_add(h, values_of(b), (size_t)count_of(b) * sizeof(float));
    }
    sx_hasher_end(h, hex);
}

/* ---- writing ---- */

/* Whole rows of the first dimension up to CHUNK_LIMIT floats, at least one. */
static void chunk_of(const io_block *b, hsize_t *chunk) {
    int64_t row = count_of(b) / b->shape[0], rows = CHUNK_LIMIT / row;
    for (int d = 0; d < b->rank; d++) chunk[d] = (hsize_t)b->shape[d];
    if (rows < 1) rows = 1;
    if (rows < b->shape[0]) chunk[0] = (hsize_t)rows;
}

/* Make the groups that a name with slashes passes through. */
static bool make_groups(hid_t parent, const char *name) {
    bool good = true;
    char *path = sx_strdup(name);
    for (char *slash = strchr(path, '/'); good && slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (H5Lexists(parent, path, H5P_DEFAULT) <= 0) {
            hid_t group = io__hdf5_group(parent, path);
            good = group >= 0;
            io__hdf5_close(group);
        }
        *slash = '/';
    }
    sx_free(path);
    return good;
}

static bool put_block(hid_t parent, const io_block *b) {
    hsize_t shape[4], chunk[4];
    SX_ASSERT(b->rank >= 1 && b->rank <= 4 && count_of(b) > 0);
    SX_ASSERT(b->name[0] && !strchr(b->name, '\n'));
    for (int d = 0; d < b->rank; d++) shape[d] = (hsize_t)b->shape[d];
    chunk_of(b, chunk);
    if (!make_groups(parent, b->name)) return false;
    hid_t dataset = io__hdf5_dataset(parent, b->name, H5T_IEEE_F32LE, b->rank, shape, chunk);
    bool good =
        dataset >= 0 && io__hdf5_put(dataset, H5T_NATIVE_FLOAT, H5P_DEFAULT, true, values_of(b));
    return io__hdf5_close(dataset) && good;
}

static char *names_text(const io_block *blocks, int n) {
    size_t room = 2;
    for (int i = 0; i < n; i++) room += strlen(blocks[i].name) + 1;
    char *names = sx_alloc((int64_t)room, 1), *at = names;
    for (int i = 0; i < n; i++) at += sprintf(at, "%s\n", blocks[i].name);
    if (n == 0) *at = '\n'; // datasets are never empty
    return names;
}

static bool put_all(hid_t file, const char *json, const io_block *blocks, int n) {
    char digest[SX_HASH_HEX];
    char *names = names_text(blocks, n);
    digest_of(json, blocks, n, digest);
    bool good = io__hdf5_put_attribute(file, "format", FORMAT) &&
                io__hdf5_put_attribute(file, "version", VERSION) &&
                io__hdf5_put_attribute(file, "digest", digest) &&
                io__hdf5_put_text(file, "json", H5P_DEFAULT, true, json, strlen(json)) &&
                io__hdf5_put_text(file, "names", H5P_DEFAULT, true, names, strlen(names));
    hid_t group = good ? io__hdf5_group(file, "blocks") : H5I_INVALID_HID;
    good = group >= 0;
    for (int i = 0; good && i < n; i++) good = put_block(group, &blocks[i]);
    sx_free(names);
    return io__hdf5_close(group) && good;
}

/* More than the file will have: a disk that is too full is noticed before it is filled. */
static int64_t room_needed(const char *json, const io_block *blocks, int n) {
    enum { FILE_OVERHEAD = 65536, BLOCK_OVERHEAD = 4096 };
    int64_t bytes = FILE_OVERHEAD + (int64_t)strlen(json);
    for (int i = 0; i < n; i++)
        bytes += count_of(&blocks[i]) * (int64_t)sizeof(float) + BLOCK_OVERHEAD;
    return bytes;
}

sx_err io_ckpt_write_if(const char *path, const char *json, const io_block *blocks, int n,
                        sx_file_gate *gate, void *user) {
    char *tmp = sx_file_tmp_name(path);
    SX_ASSERT(json && json[0]);
    sx_err rc = sx_file_reserve(tmp, room_needed(json, blocks, n));
    if (rc != SX_OK) {
        sx_free(tmp);
        return rc;
    }
    io__hdf5_lock();
    hid_t file = io__hdf5_create(tmp, NULL);
    if (file < 0)
        rc = sx_fail(SX_E_CREATE, "%s: cannot create: %s", path, io__hdf5_reason());
    else if (!put_all(file, json, blocks, n))
        rc = sx_fail(SX_E_IO, "%s: cannot write: %s", path, io__hdf5_reason());
    if (!io__hdf5_close(file) && rc == SX_OK)
        rc = sx_fail(SX_E_IO, "%s: cannot write: %s", path, io__hdf5_reason());
    if (rc == SX_OK)
        rc = sx_file_commit_if(tmp, path, gate, user);
    else
        sx_file_abort(tmp);
    io__hdf5_unlock();
    sx_free(tmp);
    return rc;
}

sx_err io_ckpt_write(const char *path, const char *json, const io_block *blocks, int n) {
    return io_ckpt_write_if(path, json, blocks, n, NULL, NULL);
}

/* ---- reading ---- */

/* Shape of an open dataset into b; false unless it is float32 and fits into a file of this size. */
static bool get_shape(hid_t dataset, int64_t file_bytes, io_block *b) {
    hsize_t shape[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    bool good = space >= 0 && type >= 0 && H5Tequal(type, H5T_IEEE_F32LE) > 0;
    b->rank = good ? H5Sget_simple_extent_dims(space, shape, NULL) : 0;
    good = b->rank >= 1 && b->rank <= 4;
    int64_t left = file_bytes / 4;
    for (int d = 0; good && d < b->rank; d++) {
        good = shape[d] >= 1 && shape[d] <= (hsize_t)left;
        if (good) left /= (int64_t)shape[d];
        b->shape[d] = (int64_t)shape[d];
    }
    io__hdf5_close(type);
    io__hdf5_close(space);
    return good;
}

static sx_err get_block(const char *path, hid_t parent, const char *name, io_block *b) {
    sx_err rc = SX_OK;
    b->name = sx_strdup(name);
    hid_t dataset = H5Dopen2(parent, name, H5P_DEFAULT);
    if (dataset < 0)
        return sx_fail(SX_E_DATA, "%s: no block %s: %s", path, name, io__hdf5_reason());
    if (!get_shape(dataset, sx_file_size(path), b)) {
        rc = sx_fail(SX_E_DATA, "%s: block %s is not a float array that fits the file", path, name);
        goto out;
    }
    b->data = sx_try_alloc(count_of(b), sizeof *b->data);
    if (!b->data)
        rc = sx_fail(SX_E_NOMEM, "%s: no memory for block %s of %" PRId64 " floats", path, name,
                     count_of(b));
    else if (H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, b->data) < 0)
        rc = sx_fail(SX_E_DATA, "%s: block %s is damaged: %s", path, name, io__hdf5_reason());
out:
    io__hdf5_close(dataset);
    return rc;
}

static sx_err check_format(const char *path, hid_t file, io_ckpt *k) {
    char format[32], version[16];
    if (!io__hdf5_get_attribute(file, "format", format, sizeof format) ||
        strcmp(format, FORMAT) != 0)
        return sx_fail(SX_E_DATA, "%s: HDF5, but not a checkpoint or weights of sagax", path);
    if (!io__hdf5_get_attribute(file, "version", version, sizeof version))
        return sx_fail(SX_E_DATA, "%s: no version: %s", path, io__hdf5_reason());
    if (strcmp(version, VERSION) != 0)
        return sx_fail(SX_E_CONFIG, "%s: checkpoint version %s, this program reads " VERSION, path,
                       version); // not damaged: another program can read it
    if (!io__hdf5_get_attribute(file, "digest", k->digest, sizeof k->digest))
        return sx_fail(SX_E_DATA, "%s: no digest: %s", path, io__hdf5_reason());
    return SX_OK;
}

static sx_err get_blocks(const char *path, hid_t file, char *names, io_ckpt *k) {
    sx_err rc = SX_OK;
    int64_t n = 1; // the last name may lack its line end
    for (const char *c = names; *c; c++) n += *c == '\n';
    k->block = SX_NEW_ARRAY(io_block, n);
    hid_t group = H5Gopen2(file, "blocks", H5P_DEFAULT);
    if (group < 0) return sx_fail(SX_E_DATA, "%s: no blocks: %s", path, io__hdf5_reason());
    char *rest = NULL;
    for (char *name = strtok_r(names, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
        SX_TRY(rc, get_block(path, group, name, &k->block[k->n++]));
out:
    io__hdf5_close(group);
    return rc;
}

static sx_err get_text(const char *path, hid_t file, const char *name, char **text) {
    *text = io__hdf5_get_text(file, name, TEXT_LIMIT);
    return *text ? SX_OK : sx_fail(SX_E_DATA, "%s: damaged texts: %s", path, io__hdf5_reason());
}

static sx_err get_json(const char *path, hid_t file, io_ckpt *k) {
    const sx_err rc = check_format(path, file, k);
    return rc == SX_OK ? get_text(path, file, "json", &k->json) : rc;
}

static sx_err get_all(const char *path, hid_t file, io_ckpt *k) {
    sx_err rc = SX_OK;
    char digest[SX_HASH_HEX], *names = NULL;
    SX_TRY(rc, get_json(path, file, k));
    SX_TRY(rc, get_text(path, file, "names", &names));
    SX_TRY(rc, get_blocks(path, file, names, k));
    digest_of(k->json, k->block, k->n, digest);
    if (strcmp(digest, k->digest) != 0)
        rc = sx_fail(SX_E_DATA, "%s: damaged: contents have digest %.12s, recorded is %.12s", path,
                     digest, k->digest);
out:
    sx_free(names);
    return rc;
}

static sx_err read_by(sx_err (*get)(const char *path, hid_t file, io_ckpt *k), const char *path,
                      io_ckpt *k) {
    sx_err rc = SX_OK;
    hid_t file = H5I_INVALID_HID;
    *k = (io_ckpt){0};
    io__hdf5_lock();
    SX_TRY(rc, io__hdf5_open(path, &file));
    rc = io__hdf5_end_reading(path, get(path, file, k));
out:
    io__hdf5_close(file);
    io__hdf5_unlock();
    if (rc != SX_OK) io_ckpt_clear(k);
    return rc;
}

sx_err io_ckpt_read(const char *path, io_ckpt *k) {
    return read_by(get_all, path, k);
}

sx_err io_ckpt_read_json(const char *path, char **json) {
    io_ckpt k;
    const sx_err rc = read_by(get_json, path, &k);
    *json = k.json; /* all else of it is in the struct */
    return rc;
}

const io_block *io_ckpt_find(const io_ckpt *k, const char *name) {
    for (int i = 0; i < k->n; i++)
        if (strcmp(k->block[i].name, name) == 0) return &k->block[i];
    return NULL;
}

void io_ckpt_clear(io_ckpt *k) {
    for (int i = 0; i < k->n; i++) {
        sx_free((char *)k->block[i].name); // ours on read
        sx_free(k->block[i].data);
    }
    sx_free(k->block);
    sx_free(k->json);
    *k = (io_ckpt){0};
}
