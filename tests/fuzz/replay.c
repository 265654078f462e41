/* replay_TARGET [-m N] FILE|FOLDER...: give files to a harness without libFuzzer, one after
 * another: the seeds, and what once crashed. With -m each file is followed by N damaged copies, the
 * same in every run. An input that takes longer than a minute ends the program; the last line on
 * stderr names it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "io/io_walk.h"
#include "tests/fuzz/fuzz.h"

static const unsigned limit_s = 60;
static int n_files, n_copies;

enum { ROOM = 4 * 16 }; /* what four changes can add */

/* One to four changes: a bit, a byte, a run of equal bytes, a cut, a part doubled. `data` has ROOM
 * beyond its n bytes; returns their new number. */
static size_t damage(char *data, size_t n, sx_rng *r) {
    for (int64_t left = sx_rng_int(r, 1, 4); left > 0 && n > 0; left--) {
        const size_t at = (size_t)sx_rng_int(r, 0, (int64_t)n - 1), rest = n - at;
        const size_t some = (size_t)sx_rng_int(r, 1, rest < 16 ? (int64_t)rest : 16);
        const int byte = (int)sx_rng_int(r, 0, 255);
        switch (sx_rng_int(r, 0, 9)) {
        case 0:
            n = at;
            break;
        case 1:
            memset(data + at, sx_rng_int(r, 0, 1) ? 0xff : 0, some);
            break;
        case 2:
            memmove(data + at + some, data + at, rest);
            n += some;
            break;
        case 3:
        case 4:
            data[at] = (char)byte;
            break;
        default:
            data[at] = (char)(data[at] ^ 1 << byte % 8);
        }
    }
    return n;
}

static void give(const char *path, int copy, const char *data, size_t n) {
    fprintf(stderr, "%s %d\n", path, copy);
    alarm(limit_s);
    LLVMFuzzerTestOneInput((const uint8_t *)data, n);
    alarm(0);
}

static void replay(const char *path) {
    char *data;
    size_t n;
    if (sx_file_read(path, (size_t)1 << 30, &data, &n) != SX_OK) {
        fprintf(stderr, "replay: %s\n", sx_err_text());
        exit(66);
    }
    give(path, 0, data, n);
    char *copy = sx_alloc((int64_t)n + ROOM, 1);
    for (int i = 1; i <= n_copies; i++) {
        sx_rng r = sx_rng_make(1, SX_RNG_TEST, (uint64_t)n_files, (uint64_t)i);
        memcpy(copy, data, n);
        give(path, i, copy, damage(copy, n, &r));
    }
    sx_free(copy);
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
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "-m") == 0) {
        n_copies = atoi(argv[2]);
        first = 3;
    }
    for (int i = first; i < argc; i++) {
        if (sx_file_is_dir(argv[i]))
            io_walk(argv[i], visit, argv[i]);
        else
            replay(argv[i]);
    }
    printf("%d files, %d damaged copies of each\n", n_files, n_copies);
    return n_files > 0 ? 0 : 66;
}
