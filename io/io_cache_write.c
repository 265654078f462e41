/* Writing the slice cache. All ranks create every object together (parallel HDF5 wants that) and
 * the owner of a volume writes its pixels, in item order, so the file's bytes do not depend on how
 * many ranks there are. Each round starts with an exchange of the entries: afterwards every rank
 * knows every shape and text. The index is the array of all entries.
 *
 * A full disk: MPI-IO may report success for bytes that found no room. So each round first asks for
 * the room it needs, and a finished file is read back, against its checksums, before it gets its
 * name. A call that does fail ends the program, since other ranks may wait inside HDF5. A cache of
 * one volume is made in memory and written as bytes, so there a full disk is an error like others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_cache_private.h"
#include "io/io_hdf5.h"

#define ROUND_EXTRA (64 << 10) /* bytes of a round beside pixels and texts */

struct io_cache_writer {
    mp_comm *c;
    char *path, *tmp;
    hid_t file, transfer;
    json_t *index;
    int64_t next; /* item expected next */
    bool broken;  /* an earlier call failed: nothing more is written */
    void (*moved)(void *user);
    void *user;
};

/* What a rank tells the others about its volume; followed by n_meta bytes of JSON. */
typedef struct announcement {
    int64_t item; /* -1: none in this round */
    int64_t n, h, w;
    uint64_t n_meta;
    int64_t ok, rank, labelled;
} announcement;

/* `tmp` is taken. */
static io_cache_writer *writer_new(mp_comm *c, const char *path, char *tmp) {
    io_cache_writer *w = SX_NEW(io_cache_writer);
    *w = (io_cache_writer){.c = c,
                           .path = sx_strdup(path),
                           .tmp = tmp,
                           .file = H5I_INVALID_HID,
                           .transfer = H5P_DEFAULT,
                           .index = json_array()};
    return w;
}

static void writer_free(io_cache_writer *w) {
    if (!w) return;
    json_decref(w->index);
    sx_free(w->path);
    sx_free(w->tmp);
    sx_free(w);
}

/* The same temporary name on all ranks: that of rank 0. */
static char *shared_tmp_name(mp_comm *c, const char *path) {
    char *name = sx_file_tmp_name(path);
    int64_t room = (int64_t)strlen(name) + 1;
    mp_bcast(c, &room, sizeof room, 0);
    char *shared = sx_alloc(room, 1);
    if (mp_rank(c) == 0) memcpy(shared, name, (size_t)room);
    mp_bcast(c, shared, (size_t)room, 0);
    sx_free(name);
    return shared;
}

/* A call of HDF5 failed on this rank, perhaps on no other: with MPI-IO all ranks end here. (So does
 * a single one: the library cannot close such a file, and crashes on it in MPI_Finalize.) */
static sx_err hdf5_failed(const io_cache_writer *w, sx_err code, const char *what) {
    sx_err rc = sx_fail(code, "%s: cannot write %s: %s", w->path, what, io__hdf5_reason());
    if (mp_native(w->c)) {
        sx_file_sweep_for(w->path); // what MPI-IO put beside it, too
        mp_abort(w->c, sx_err_exit(rc), sx_err_text());
    }
    return rc;
}

/* Whether the disk has room for what comes next. Collective. */
static sx_err check_room(const io_cache_writer *w, int64_t n_bytes) {
    sx_err rc = SX_OK;
    struct statvfs disk;
    n_bytes += ROUND_EXTRA;
    if (mp_rank(w->c) == 0 && statvfs(w->tmp, &disk) == 0 && disk.f_blocks > 0 &&
        (double)disk.f_bavail * (double)disk.f_frsize < (double)n_bytes)
        rc = sx_fail(SX_E_IO, "%s: the disk is full: %" PRId64 " bytes come next, %.0f are free",
                     w->path, n_bytes, (double)disk.f_bavail * (double)disk.f_frsize);
    return mp_agree(w->c, rc);
}

/* An early and plain answer to whether the place can be written, before MPI-IO tries; and what
 * killed writers left there goes. */
static sx_err probe(const char *path, const char *tmp) {
    sx_err rc = sx_mkdirs_for(path);
    sx_file_sweep_for(path);
    FILE *f = rc == SX_OK ? fopen(tmp, "wb") : NULL;
    if (rc == SX_OK && !f)
        return sx_fail(SX_E_CREATE, "%s: cannot create: %s", path, strerror(errno));
    if (f) fclose(f);
    return rc;
}

static bool put_preamble(io_cache_writer *w, const char *config_hash) {
    hid_t format = io__hdf5_group(w->file, "format"), volumes = H5I_INVALID_HID;
    bool good = format >= 0 && io__hdf5_put_attribute(format, "name", "sagax slice cache") &&
                io__hdf5_put_attribute(format, "version", IO__CACHE_VERSION) &&
                io__hdf5_put_attribute(format, "config", config_hash);
    if (good) volumes = io__hdf5_group(w->file, "volumes");
    good = io__hdf5_close(format) && volumes >= 0;
    return io__hdf5_close(volumes) && good;
}

/* Filters in parallel writes need collective transfers. */
static hid_t transfer_list(const mp_comm *c) {
    if (!mp_native(c)) return H5P_DEFAULT;
    hid_t list = H5Pcreate(H5P_DATASET_XFER);
    if (list >= 0 && H5Pset_dxpl_mpio(list, H5FD_MPIO_COLLECTIVE) >= 0) return list;
    io__hdf5_close(list);
    return H5I_INVALID_HID;
}

static bool writer_close(io_cache_writer *w) {
    if (w->transfer != H5P_DEFAULT) io__hdf5_close(w->transfer);
    bool good = io__hdf5_close(w->file);
    w->transfer = H5P_DEFAULT;
    w->file = H5I_INVALID_HID;
    return good;
}

sx_err io_cache_create(io_cache_writer **out, mp_comm *c, const char *path,
                       const char *config_hash) {
    io_cache_writer *w = writer_new(c, path, shared_tmp_name(c, path));
    sx_err rc = mp_agree(c, mp_rank(c) == 0 ? probe(path, w->tmp) : SX_OK);
    if (rc == SX_OK) {
        io__hdf5_lock();
        w->transfer = transfer_list(c);
        w->file = io__hdf5_create(w->tmp, c);
        if (w->transfer < 0 || w->file < 0)
            rc = hdf5_failed(w, SX_E_CREATE, "the beginning");
        else if (!put_preamble(w, config_hash))
            rc = hdf5_failed(w, SX_E_IO, "the beginning");
        if (rc != SX_OK) writer_close(w);
        io__hdf5_unlock();
    }
    if (rc != SX_OK) {
        if (mp_rank(c) == 0) sx_file_abort(w->tmp);
        writer_free(w);
        w = NULL;
    }
    *out = w;
    return rc;
}

/* ---- one volume, on all ranks ---- */

static bool put_layer(io_cache_writer *w, io__cache_layer l, const announcement *a, bool mine,
                      const io_cache_volume *v) {
    const hsize_t shape[3] = {(hsize_t)a->n, (hsize_t)a->h, (hsize_t)a->w};
    const hsize_t chunk[3] = {1, shape[1], shape[2]};
    hid_t dataset =
        io__hdf5_dataset(w->file, io__cache_name_of(a->item, io__cache_layouts[l].leaf).text,
                         io__cache_file_type(l), 3, shape, chunk);
    bool good = dataset >= 0 && io__hdf5_put(dataset, io__cache_memory_type(l), w->transfer, mine,
                                             mine ? io__cache_values(v, l) : NULL);
    return io__hdf5_close(dataset) && good;
}

static sx_err put_volume(io_cache_writer *w, const announcement *a, const char *meta,
                         const io_cache_volume *v) {
    const bool mine = a->rank == mp_rank(w->c);
    SX_ASSERT(a->item == w->next);
    w->next++;
    json_array_append_new(w->index, json_loadb(meta, a->n_meta, 0, NULL));
    if (!a->ok) return SX_OK;
    const io__cache_name name = io__cache_name_of(a->item, "");
    hid_t group = io__hdf5_group(w->file, name.text);
    bool good = group >= 0 && put_layer(w, IO__PIXELS, a, mine, v) &&
                (!a->labelled || put_layer(w, IO__LABELS, a, mine, v)) &&
                io__hdf5_put_text(group, "meta", w->transfer, mine, meta, a->n_meta);
    return io__hdf5_close(group) && good ? SX_OK : hdf5_failed(w, SX_E_IO, name.text);
}

/* The announcement that begins at *at; *at moves to the next one, *meta to its text. */
static announcement next_announcement(const char *all, size_t *at, const char **meta) {
    announcement a;
    memcpy(&a, all + *at, sizeof a);
    *meta = all + *at + sizeof a;
    *at += sizeof a + a.n_meta;
    return a;
}

static int64_t bytes_of(const announcement *a) {
    size_t size = io__cache_layouts[IO__PIXELS].size;
    if (a->labelled) size += io__cache_layouts[IO__LABELS].size;
    return a->n * a->h * a->w * (int64_t)size + (int64_t)a->n_meta;
}

static int64_t bytes_of_round(const char *all, size_t n_all) {
    const char *meta;
    int64_t n_bytes = 0;
    for (size_t at = 0; at < n_all;) {
        const announcement a = next_announcement(all, &at, &meta);
        if (a.ok) n_bytes += bytes_of(&a);
    }
    return n_bytes;
}

static bool put_layer_crcs(json_t *j, io__cache_layer l, const io_cache_volume *v) {
    const int64_t area = v->h * v->w;
    const size_t slice = (size_t)area * io__cache_layouts[l].size;
    uint32_t *crc = SX_NEW_ARRAY(uint32_t, v->n);
    for (int64_t i = 0; i < v->n; i++)
        crc[i] = io__cache_crc(l, (const char *)io__cache_values(v, l) + (size_t)i * slice, area);
    const bool good = io__cache_put_crcs(j, l, crc, v->n);
    sx_free(crc);
    return good;
}

/* The entry with the checksums of the slices, new; NULL as for io__cache_entry_json. */
static json_t *entry_with_crcs(const io_cache_volume *v) {
    json_t *j = io__cache_entry_json(v);
    bool good = true;
    for (io__cache_layer l = 0; l < IO__N_LAYERS && j; l++)
        if (io__cache_has(v, l)) good = put_layer_crcs(j, l, v) && good;
    if (good) return j;
    json_decref(j);
    return NULL;
}

/* This rank's announcement and JSON as one new block. Errors: SX_E_DATA (a text is not UTF-8). */
static sx_err announce(const mp_comm *c, int64_t item, const io_cache_volume *v, char **block,
                       size_t *n) {
    announcement a = {.item = item, .rank = mp_rank(c)};
    char *meta = NULL;
    if (item >= 0) {
        SX_ASSERT(!v->ok || (v->pixels && v->n > 0 && v->h > 0 && v->w > 0));
        SX_ASSERT(!io__cache_has(v, IO__LABELS) || v->labels);
        json_t *j = entry_with_crcs(v);
        meta = j ? json_dumps(j, JSON_COMPACT) : NULL;
        json_decref(j);
        if (!meta)
            return sx_fail(SX_E_DATA, "%s: a text is not UTF-8 or a number not finite", v->rel);
        a.ok = v->ok, a.n = v->n, a.h = v->h, a.w = v->w, a.n_meta = strlen(meta);
        a.labelled = io__cache_has(v, IO__LABELS);
    }
    *n = sizeof a + a.n_meta;
    *block = sx_alloc((int64_t)*n, 1);
    memcpy(*block, &a, sizeof a);
    if (meta) memcpy(*block + sizeof a, meta, a.n_meta);
    free(meta);
    return SX_OK;
}

sx_err io_cache_append(io_cache_writer *w, int64_t item, const io_cache_volume *v) {
    char *mine = NULL;
    const char *meta;
    void *all = NULL;
    size_t n_mine = 0, n_all = 0;
    sx_err rc = mp_agree(w->c, announce(w->c, item, v, &mine, &n_mine));
    if (rc != SX_OK) goto out;
    mp_allgather(w->c, mine, n_mine, &all, &n_all);
    SX_TRY(rc, check_room(w, bytes_of_round(all, n_all)));
    io__hdf5_lock();
    for (size_t at = 0; at < n_all && rc == SX_OK;) {
        const announcement a = next_announcement(all, &at, &meta);
        if (a.item >= 0) rc = put_volume(w, &a, meta, v);
    }
    io__hdf5_unlock();
out:
    sx_free(mine);
    sx_free(all);
    if (rc != SX_OK) w->broken = true;
    return rc;
}

/* ---- the end ---- */

static sx_err put_index(io_cache_writer *w) {
    json_t *root = json_pack("{s:O}", "volumes", w->index);
    char *text = json_dumps(root, JSON_COMPACT);
    SX_ASSERT(text); // every entry was text before
    sx_err rc = check_room(w, (int64_t)strlen(text));
    if (rc == SX_OK &&
        !io__hdf5_put_text(w->file, "index", w->transfer, mp_rank(w->c) == 0, text, strlen(text)))
        rc = hdf5_failed(w, SX_E_IO, "the index");
    free(text);
    json_decref(root);
    return rc;
}

/* Read back what was written, the volumes by the ranks in turns. Collective. */
static sx_err check_written(const io_cache_writer *w) {
    io_cache *k;
    sx_err rc = io_cache_open(&k, w->tmp);
    for (int64_t i = mp_rank(w->c); rc == SX_OK && i < w->next; i += mp_size(w->c)) {
        rc = io_cache_check(k, i);
        if (w->moved) w->moved(w->user);
    }
    io_cache_close(k);
    if (rc != SX_OK) rc = sx_fail_context(SX_E_IO, "%s: was not written whole", w->path);
    return mp_agree(w->c, rc);
}

void io_cache_watch(io_cache_writer *w, void (*moved)(void *user), void *user) {
    w->moved = moved;
    w->user = user;
}

sx_err io_cache_commit(io_cache_writer *w, bool keep) {
    sx_err rc = SX_OK;
    keep = keep && !w->broken;
    io__hdf5_lock();
    if (keep) rc = put_index(w);
    if (!writer_close(w) && (keep || mp_native(w->c))) rc = hdf5_failed(w, SX_E_IO, "the end");
    io__hdf5_unlock();
    if (rc == SX_OK && keep) rc = check_written(w);
    if (mp_rank(w->c) == 0) {
        if (keep && rc == SX_OK)
            rc = sx_file_commit(w->tmp, w->path);
        else
            sx_file_abort(w->tmp);
    }
    rc = mp_agree(w->c, rc);
    writer_free(w);
    return rc;
}

/* ---- a cache of one ---- */

/* Called with the lock held. */
static sx_err put_in_memory(io_cache_writer *w, const char *config_hash, const announcement *a,
                            const char *meta, const io_cache_volume *v, io__hdf5_memory *m) {
    sx_err rc = SX_OK;
    w->file = io__hdf5_create_in_memory(m, (size_t)bytes_of(a) + ROUND_EXTRA);
    if (w->file < 0 || !put_preamble(w, config_hash))
        rc = hdf5_failed(w, SX_E_NOMEM, "the beginning");
    if (rc == SX_OK) rc = put_volume(w, a, meta, v);
    if (rc == SX_OK) rc = put_index(w);
    if (!io__hdf5_close_in_memory(w->file, m) && rc == SX_OK)
        rc = hdf5_failed(w, SX_E_NOMEM, "the end");
    return rc;
}

sx_err io_cache_write_one(const char *path, const char *config_hash, const io_cache_volume *v) {
    io_cache_writer *w = writer_new(mp_self(), path, sx_strdup(path)); // no temporary of its own
    io__hdf5_memory m = {0};
    char *block = NULL;
    const char *meta;
    size_t n_block = 0, at = 0;
    sx_err rc = announce(w->c, 0, v, &block, &n_block);
    if (rc != SX_OK) goto out;
    const announcement a = next_announcement(block, &at, &meta);
    io__hdf5_lock();
    rc = put_in_memory(w, config_hash, &a, meta, v, &m);
    io__hdf5_unlock();
    if (rc == SX_OK) rc = sx_file_write(path, m.bytes, m.n);
out:
    io__hdf5_memory_clear(&m);
    sx_free(block);
    writer_free(w);
    return rc;
}
