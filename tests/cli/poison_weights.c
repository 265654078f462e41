/* poison_weights IN OUT: copy a weights file with one block so large that a network overflows. */
#include <stdio.h>
#include "io/io_ckpt.h"

int main(int argc, char **argv) {
    io_ckpt k = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: poison_weights IN OUT\n");
        return 64;
    }
    sx_err rc = io_ckpt_read(argv[1], &k);
    if (rc == SX_OK) {
        int64_t n = 1;
        for (int d = 0; d < k.block[0].rank; d++) n *= k.block[0].shape[d];
        for (int64_t i = 0; i < n; i++) k.block[0].data[i] = 3e38f;
        rc = io_ckpt_write(argv[2], k.json, k.block, k.n);
    }
    io_ckpt_clear(&k);
    if (rc != SX_OK) fprintf(stderr, "poison_weights: %s\n", sx_err_text());
    return sx_err_exit(rc);
}
