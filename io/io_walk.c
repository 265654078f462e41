/* Folder trees (io_walk.h). A folder on the way down is known by device and inode: the chain of
 * these is what a loop of links meets again. */
#include "io/io_walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"

/* A folder being walked, and those above it. */
typedef struct ancestor {
    const struct ancestor *up;
    dev_t device;
    ino_t inode;
} ancestor;

typedef struct walk {
    const char *root;
    io_visit *visit;
    void *user;
} walk;

static bool is_loop(const ancestor *a, const struct stat *st) {
    for (; a; a = a->up)
        if (a->device == st->st_dev && a->inode == st->st_ino) return true;
    return false;
}

static int is_visible(const struct dirent *e) {
    return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static sx_err walk_folder(const walk *w, const ancestor *up, const char *below);

static void visit_entry(const walk *w, const ancestor *up, const char *rel) {
    struct stat st;
    char *path = sx_path_join(w->root, rel);
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        w->visit(w->user, IO_ENTRY_FILE, rel);
    else if (!is_loop(up, &st) && w->visit(w->user, IO_ENTRY_FOLDER, rel) &&
             walk_folder(w, up, rel) != SX_OK)
        w->visit(w->user, IO_ENTRY_UNREADABLE, rel);
    sx_free(path);
}

static sx_err walk_folder(const walk *w, const ancestor *up, const char *below) {
    sx_err rc = SX_OK;
    struct stat st = {0};
    struct dirent **entry = NULL;
    char *folder = below[0] ? sx_path_join(w->root, below) : sx_strdup(w->root);
    const bool open =
        stat(folder, &st) == 0 && (!S_ISDIR(st.st_mode) || access(folder, R_OK | X_OK) == 0);
    const int n = open ? scandir(folder, &entry, is_visible, by_bytes) : -1;
    if (n < 0)
        rc = sx_fail(errno == ENOENT || errno == ENOTDIR ? SX_E_NOINPUT : SX_E_IO, "%s: %s", folder,
                     strerror(errno));
    const ancestor here = {up, st.st_dev, st.st_ino};
    for (int i = 0; i < n; i++) {
        char *rel = below[0] ? sx_path_join(below, entry[i]->d_name) : sx_strdup(entry[i]->d_name);
        visit_entry(w, &here, rel);
        sx_free(rel);
        free(entry[i]);
    }
    free(entry);
    sx_free(folder);
    return rc;
}

sx_err io_walk(const char *root, io_visit *visit, void *user) {
    const walk w = {root, visit, user};
    return walk_folder(&w, NULL, "");
}
