/* limited_cache KIB PATH: ranks write a cache of 8 volumes of 40 kB while no file may grow beyond
 * KIB: writes fail although the disk says that it has room. 0: no limit. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/sx_mem.h"
#include "io/io_cache.h"

enum { N_VOLUMES = 8, SLICES = 2, SIDE = 100 };

static io_cache_volume volume(int64_t i) {
    io_cache_volume v = {.rel = sx_strf("sub-%d_T2w.nii", (int)i), .ok = true};
    v.n = SLICES, v.h = SIDE, v.w = SIDE;
    v.pixels = SX_NEW_ARRAY(uint16_t, SLICES * SIDE * SIDE);
    memset(v.pixels, 17, SLICES * SIDE * SIDE * sizeof *v.pixels);
    return v;
}

int main(int argc, char **argv) {
    mp_comm *c;
    io_cache_writer *w;
    if (argc != 3) return 64;
    sx_err rc = mp_start(&argc, &argv, &c);
    if (rc != SX_OK) return sx_err_exit(rc);
    const rlim_t limit = (rlim_t)atoi(argv[1]) << 10;
    signal(SIGXFSZ, SIG_IGN);
    if (limit) setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
    rc = io_cache_create(&w, c, argv[2], "limited");
    for (int64_t first = 0; first < N_VOLUMES && rc == SX_OK; first += mp_size(c)) {
        const int64_t i = first + mp_rank(c);
        io_cache_volume v = i < N_VOLUMES ? volume(i) : (io_cache_volume){0};
        rc = io_cache_append(w, i < N_VOLUMES ? i : -1, &v);
        io_cache_volume_clear(&v);
    }
    if (w) {
        const sx_err end = io_cache_commit(w, rc == SX_OK);
        if (rc == SX_OK) rc = end;
    }
    if (rc != SX_OK && mp_rank(c) == 0) fprintf(stderr, "limited_cache: %s\n", sx_err_text());
    mp_finish(c);
    return sx_err_exit(rc);
}
