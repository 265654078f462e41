/* tiny_cache PATH: write the cache of tiny_cache.h. */
#include <stdio.h>
#include "tests/cli/tiny_cache.h"

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: tiny_cache PATH\n");
        return 64;
    }
    sx_err rc = tiny_cache_write(argv[1]);
    if (rc != SX_OK) fprintf(stderr, "tiny_cache: %s\n", sx_err_text());
    return sx_err_exit(rc);
}
