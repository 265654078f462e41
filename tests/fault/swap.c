/* A file that is replaced while a program works on it, to be preloaded (LD_PRELOAD): when the
 * program has opened a file whose path ends with SWAP_PATH for the SWAP_AT-th time (number, from 1
 * on), SWAP_BY gets its name. The program goes on with the old file, which it holds open. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/opened.h"

static void opened(const char *path) {
    static atomic_int n_opened;
    const char *end = getenv("SWAP_PATH"), *at = getenv("SWAP_AT"), *by = getenv("SWAP_BY");
    if (!end || !at || !by || strlen(path) < strlen(end)) return;
    if (strcmp(path + strlen(path) - strlen(end), end) != 0) return;
    if (atomic_fetch_add(&n_opened, 1) + 1 == atoi(at)) rename(by, path);
}
