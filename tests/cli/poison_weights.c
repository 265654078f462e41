/* poison_weights IN OUT: copy a weights file with its first value replaced by NaN. */
#include <math.h>
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
        k.block[0].data[0] = NAN;
        rc = io_ckpt_write(argv[2], k.json, k.block, k.n);
    }
    io_ckpt_clear(&k);
    if (rc != SX_OK) fprintf(stderr, "poison_weights: %s\n", sx_err_text());
    return sx_err_exit(rc);
}
