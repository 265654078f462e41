/* cache verify and cache info: what a finished cache holds, and whether all of it can be read. */
#include <inttypes.h>
#include <stdio.h>

#include "base/sx_mem.h"
#include "jobs/cache/cache.h"
#include "jobs/job/job_json.h"

enum { FLAGS = JSON_COMPACT | JSON_REAL_PRECISION(9) };

/* ---- verify ---- */

static json_t *damage_json(int64_t volume, const char *rel) {
    return json_pack("{s:I, s:s, s:o}", "volume", (json_int_t)volume, "file", rel, "message",
                     job_json_string(sx_err_text()));
}

static void print_verdict(const job *j, const char *path, int64_t n, json_t *damaged) {
    const size_t n_damaged = json_array_size(damaged);
    if (job_json(j)) {
        job_json_print(json_pack("{s:o, s:s, s:I, s:O}", "file", job_json_string(path), "verdict",
                                 n_damaged ? "damaged" : "ok", "volumes", (json_int_t)n, "damaged",
                                 damaged),
                       FLAGS);
        return;
    }
    for (size_t i = 0; i < n_damaged; i++)
        printf("damaged  %s\n",
               json_string_value(json_object_get(json_array_get(damaged, i), "message")));
    if (!n_damaged) printf("ok       %s: %" PRId64 " volumes\n", path, n);
}

sx_err cache_verify(const job *j, const char *path) {
    io_cache *k;
    json_t *damaged = json_array();
    sx_err rc = io_cache_open(&k, path);
    const int64_t n = rc == SX_OK ? io_cache_n_volumes(k) : 0;
    if (rc == SX_E_DATA) json_array_append_new(damaged, damage_json(-1, ""));
    for (int64_t i = 0; i < n && rc == SX_OK; i++) {
        const sx_err found = io_cache_check(k, i);
        if (found == SX_E_DATA)
            json_array_append_new(damaged, damage_json(i, io_cache_entry(k, i)->rel));
        else
            rc = found;
    }
    if (rc == SX_OK || rc == SX_E_DATA) print_verdict(j, path, n, damaged);
    if (rc == SX_OK && json_array_size(damaged))
        rc = sx_fail(SX_E_DATA, "%s: %zu of %" PRId64 " volumes damaged", path,
                     json_array_size(damaged), n);
    io_cache_close(k);
    json_decref(damaged);
    return rc;
}

/* ---- info ---- */

static void info_json(const char *path, const io_cache *k) {
    json_t *list = json_array();
    for (int64_t i = 0; i < io_cache_n_volumes(k); i++) {
        char *entry = io_cache_entry_text(k, i);
        json_array_append_new(list, json_loads(entry, 0, NULL));
        sx_free(entry);
    }
    job_json_print(json_pack("{s:o, s:s, s:o}", "file", job_json_string(path), "config",
                             io_cache_config_hash(k), "volumes", list),
                   JSON_COMPACT);
}

static void info_text(const char *path, const io_cache *k) {
    int64_t volumes[IO_N_SPLITS] = {0}, slices[IO_N_SPLITS] = {0};
    printf("%-6s %-6s %18s  %s\n", "split", "state", "slices x rows x cols", "file");
    for (int64_t i = 0; i < io_cache_n_volumes(k); i++) {
        const io_cache_volume *v = io_cache_entry(k, i);
        char shape[64];
        snprintf(shape, sizeof shape, "%" PRId64 " x %" PRId64 " x %" PRId64, v->n, v->h, v->w);
        printf("%-6s %-6s %20s  %s%s%s\n", io_split_name(v->split), v->ok ? "ok" : "failed",
               v->ok ? shape : v->reason, v->rel, v->ok ? "" : ": ", v->message);
        volumes[v->split] += v->ok;
        slices[v->split] += v->n;
    }
    printf("%s: configuration %.12s", path, io_cache_config_hash(k));
    for (int s = 0; s < IO_N_SPLITS; s++)
        printf(", %s %" PRId64 " volumes %" PRId64 " slices", io_split_name((io_split)s),
               volumes[s], slices[s]);
    putchar('\n');
}

sx_err cache_info(const job *j, const char *path) {
    io_cache *k;
    sx_err rc = io_cache_open(&k, path);
    if (rc != SX_OK) return rc;
    (job_json(j) ? info_json : info_text)(path, k);
    io_cache_close(k);
    return SX_OK;
}
