/* Files for the harnesses: readers take paths, and look at names. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_walk.h"
#include "tests/fuzz/fuzz.h"

static char folder[256];

static bool remove_entry(void *root, io_entry_kind kind, const char *rel) {
    char *path = sx_path_join(root, rel);
    if (kind == IO_ENTRY_FOLDER) io_walk(path, remove_entry, path);
    remove(path);
    sx_free(path);
    return false;
}

static void remove_folder(void) {
    io_walk(folder, remove_entry, folder);
    rmdir(folder);
}

static void make_folder(void) {
    const char *memory = "/dev/shm", *tmp = getenv("TMPDIR");
    const char *root = access(memory, W_OK) == 0 ? memory : tmp ? tmp : "/tmp";
    snprintf(folder, sizeof folder, "%s/sagax-fuzz-XXXXXX", root);
    SX_ASSERT(mkdtemp(folder));
    atexit(remove_folder);
    sx_log_set_level(SX_LOG_SILENT);
}

char *fuzz_file(const char *name, const void *data, size_t n) {
    if (!folder[0]) make_folder();
    char *path = sx_path_join(folder, name);
    if (strchr(name, '/')) SX_ASSERT(sx_mkdirs_for(path) == SX_OK);
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    SX_ASSERT(file >= 0);
    for (size_t done = 0; done < n;) {
        const ssize_t wrote = write(file, (const char *)data + done, n - done);
        SX_ASSERT(wrote > 0);
        done += (size_t)wrote;
    }
    close(file);
    return path;
}
