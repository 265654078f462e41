/* The folder of a submission (submission.h): written beside its final name, hashed, renamed. */
#include "jobs/job/submission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "jobs/job/job_internal.h"

/* In the order in which they are hashed. */
enum { SCRIPT, CONFIG, SETTINGS, ITEMS, N_FILES };
static const char *const names[N_FILES] = {"job.sh", "config.json", JOB_SETTINGS, JOB_ITEMS};

/* ---- the name ---- */

static sx_err add_file(sx_hasher *h, const char *folder, const char *name) {
    char *path = sx_path_join(folder, name);
    sx_err rc = SX_OK;
    if (sx_file_exists(path)) {
        char *head = sx_strf("%s %lld\n", name, (long long)sx_file_size(path));
        sx_hasher_add(h, head, strlen(head));
        rc = sx_hasher_add_file(h, path);
        sx_free(head);
    }
    sx_free(path);
    return rc;
}

static sx_err hash_folder(const char *folder, char name[SUBMISSION_DIGITS + 1]) {
    char hex[SX_HASH_HEX];
    sx_hasher *h = sx_hasher_new();
    sx_err rc = SX_OK;
    for (int i = 0; i < N_FILES && rc == SX_OK; i++) rc = add_file(h, folder, names[i]);
    sx_hasher_end(h, hex);
    snprintf(name, SUBMISSION_DIGITS + 1, "%.*s", SUBMISSION_DIGITS, hex);
    return rc;
}

sx_err submission_check(const char *folder) {
    char name[SUBMISSION_DIGITS + 1];
    if (!sx_file_is_dir(folder)) return sx_fail(SX_E_NOINPUT, "%s: no such submission", folder);
    sx_err rc = hash_folder(folder, name);
    if (rc == SX_OK && strcmp(sx_path_base(folder), name) != 0)
        rc = sx_fail(SX_E_CONFIG, "%s: not what was submitted, its files now make %s; submit again",
                     folder, name);
    return rc;
}

/* ---- writing ---- */

static sx_err write_text(const char *path, const char *text) {
    return sx_file_write(path, text, strlen(text));
}

static sx_err write_files(char *const path[N_FILES], const job *j, const char *script,
                          const io_items *items) {
    char *config = job_config_json(j);
    sx_err rc;
    SX_TRY(rc, write_text(path[SCRIPT], script));
    SX_TRY(rc, write_text(path[CONFIG], config));
    SX_TRY(rc, job__write_settings(j, path[SETTINGS]));
    if (items) SX_TRY(rc, io_bids_list_write(path[ITEMS], items));
    for (int i = 0; i < N_FILES; i++)
        if (i != ITEMS || items) chmod(path[i], 0444);
out:
    sx_free(config);
    return rc;
}

/* Give the folder its name; the same submission may be there already. */
static sx_err settle(const char *parent, const char *draft, char **folder) {
    char name[SUBMISSION_DIGITS + 1];
    sx_err rc = hash_folder(draft, name);
    if (rc != SX_OK) return rc;
    *folder = sx_path_join(parent, name);
    if (rename(draft, *folder) == 0) return SX_OK;
    if (sx_file_is_dir(*folder)) return submission_check(*folder);
    return sx_fail(SX_E_CREATE, "%s: %s", *folder, strerror(errno));
}

static void draft_paths(const char *draft, char *path[N_FILES]) {
    for (int i = 0; i < N_FILES; i++) path[i] = sx_path_join(draft, names[i]);
}

/* Its files are there only when it has not become a submission. */
static void draft_remove(const char *draft, char *path[N_FILES]) {
    for (int i = 0; i < N_FILES; i++) {
        unlink(path[i]);
        sx_free(path[i]);
    }
    rmdir(draft);
}

sx_err submission_name(const job *j, const char *script, const io_items *items,
                       char name[SUBMISSION_DIGITS + 1]) {
    char *draft = sx_path_join(sx_tmp_folder(), "sagax-draft-XXXXXX");
    char *path[N_FILES];
    sx_err rc;
    if (!mkdtemp(draft)) {
        rc = sx_fail(SX_E_CREATE, "%s: %s", draft, strerror(errno));
        sx_free(draft);
        return rc;
    }
    draft_paths(draft, path);
    rc = write_files(path, j, script, items);
    if (rc == SX_OK) rc = hash_folder(draft, name);
    draft_remove(draft, path);
    sx_free(draft);
    return rc;
}

sx_err submission_write(const char *parent, const job *j, const char *script, const io_items *items,
                        char **folder) {
    char *draft = sx_strf("%s/.draft-%ld", parent, (long)getpid());
    char *path[N_FILES];
    draft_paths(draft, path);
    *folder = NULL;
    sx_err rc;
    SX_TRY(rc, sx_mkdirs(draft));
    SX_TRY(rc, write_files(path, j, script, items));
    rc = settle(parent, draft, folder);
out:
    draft_remove(draft, path);
    sx_free(draft);
    if (rc != SX_OK) {
        sx_free(*folder);
        *folder = NULL;
    }
    return rc;
}
