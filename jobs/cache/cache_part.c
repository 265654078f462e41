/* Parts of a build: one small cache a volume. Whoever makes one holds the lease of its item, so a
 * part has one writer at a time; what an interrupted one left is removed with the parts. */
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "jobs/cache/cache.h"

void cache_part_key(const io_item *item, const char *sha256, const char *config_hash,
                    char key[65]) {
    const char *const texts[] = {item->rel, sha256, config_hash};
    sx_hash_texts(texts, sizeof texts / sizeof texts[0], key);
}

char *cache_part_path(const char *folder, const cache_step *s) {
    return sx_strf("%s/%s.h5", folder, s->key);
}

bool cache_part_exists(const char *folder, const cache_step *s) {
    char *path = cache_part_path(folder, s);
    const bool exists = sx_file_exists(path);
    sx_free(path);
    return exists;
}

/* The part of a step, open, or NULL. */
static io_cache *open_part(const char *folder, const cache_step *s, const char *config_hash) {
    io_cache *k = NULL;
    char *path = cache_part_path(folder, s);
    sx_folder_refresh(folder);
    const bool ours = sx_file_exists(path) && io_cache_open(&k, path) == SX_OK &&
                      strcmp(io_cache_config_hash(k), config_hash) == 0 &&
                      io_cache_n_volumes(k) == 1 &&
                      strcmp(io_cache_entry(k, 0)->sha256, s->sha256) == 0 &&
                      strcmp(io_cache_entry(k, 0)->labels_sha256, s->labels_sha256) == 0;
    sx_free(path);
    if (ours) return k;
    io_cache_close(k);
    return NULL;
}

bool cache_part_is_good(const char *folder, const cache_step *s, const char *config_hash) {
    io_cache *k = open_part(folder, s, config_hash);
    const bool good = k && io_cache_entry(k, 0)->ok && io_cache_check(k, 0) == SX_OK;
    io_cache_close(k);
    return good;
}

bool cache_part_take(const char *folder, const cache_step *s, const char *config_hash,
                     io_cache_volume *v) {
    io_cache *k = open_part(folder, s, config_hash);
    const bool taken = k && cache_volume_take(v, k, 0);
    io_cache_close(k);
    return taken;
}

sx_err cache_part_write(const char *folder, const cache_step *s, const char *config_hash,
                        const io_cache_volume *v) {
    char *path = cache_part_path(folder, s);
    sx_err rc = sx_mkdirs(folder);
    if (rc == SX_OK) rc = io_cache_write_one(path, config_hash, v);
    sx_free(path);
    return rc;
}

/* ---- the end of all parts ---- */

static bool is_unfinished(const char *file) {
    return strstr(file, ".h5.tmp.") != NULL;
}

static bool is_part(const char *file) {
    return is_unfinished(file) || sx_has_suffix(file, ".h5");
}

/* The item whose part a file name begins with, or NULL. */
static const io_item *item_of(const char *file, const cache_step *steps, const io_items *items) {
    for (int64_t i = 0; i < items->n; i++)
        if (strncmp(file, steps[i].key, strlen(steps[i].key)) == 0) return &items->item[i];
    return NULL;
}

/* An unfinished part is somebody's while the lease of its item cannot be had. */
static bool is_abandoned(const io_item *item, mp_leases *leases) {
    char *name = work_name(item->rel);
    const bool mine = mp_lease_claim(leases, name, NULL) == MP_CLAIM_MINE;
    mp_lease_release(leases, name);
    sx_free(name);
    return mine;
}

int64_t cache_parts_count(const char *folder, int64_t *n_unfinished) {
    int64_t n = 0;
    DIR *d = opendir(folder);
    *n_unfinished = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (is_unfinished(e->d_name))
            ++*n_unfinished;
        else
            n += is_part(e->d_name);
    }
    if (d) closedir(d);
    return n;
}

void cache_parts_remove(const char *folder, const cache_step *steps, const io_items *items,
                        mp_leases *leases, bool alone) {
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!is_part(e->d_name)) continue;
        const io_item *item = item_of(e->d_name, steps, items);
        if (!item && !alone) continue;
        if (item && is_unfinished(e->d_name) && !is_abandoned(item, leases)) continue;
        char *path = sx_path_join(folder, e->d_name);
        unlink(path);
        sx_free(path);
    }
    if (d) closedir(d);
}
