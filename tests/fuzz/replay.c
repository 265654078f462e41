/* replay_TARGET FILE|FOLDER...: give files to a harness without libFuzzer, one after another: the
 * seeds, and what once crashed. A file that takes longer than a minute ends the program. */
#include <stdio.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_walk.h"
#include "tests/fuzz/fuzz.h"

static const unsigned limit_s = 60;
static int n_files;

static void replay(const char *path) {
    char *data;
    size_t n;
    if (sx_file_read(path, (size_t)1 << 30, &data, &n) != SX_OK) {
        fprintf(stderr, "replay: %s\n", sx_err_text());
        return;
    }
    fprintf(stderr, "%s\n", path); /* the last line names what crashed */
    alarm(limit_s);
    LLVMFuzzerTestOneInput((const uint8_t *)data, n);
    alarm(0);
    sx_free(data);
    n_files++;
}

static bool visit(void *root, io_entry_kind kind, const char *rel) {
    char *path = sx_path_join(root, rel);
    if (kind == IO_ENTRY_FILE) replay(path);
    sx_free(path);
    return kind == IO_ENTRY_FOLDER;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (sx_file_is_dir(argv[i]))
            io_walk(argv[i], visit, argv[i]);
        else
            replay(argv[i]);
    }
    printf("%d files replayed\n", n_files);
    return n_files > 0 ? 0 : 66;
}
