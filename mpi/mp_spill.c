#include "mpi/mp_spill.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "mpi/mp_plan.h"

enum { BLOCK = 4096 }; /* floats that are read at a time, onto a thread's stack */

struct mp__spill {
    int fd;
    int64_t n;      /* floats of a vector */
    atomic_int why; /* errno of a failure; 0: none */
};

sx_err mp__spill_new(mp__spill **out, int vectors, int64_t n) {
    int fd;
    const sx_err rc = sx_file_scratch(vectors * n * (int64_t)sizeof(float), &fd);
    if (rc != SX_OK) return rc;
    mp__spill *s = SX_NEW(mp__spill);
    s->fd = fd;
    s->n = n;
    *out = s;
    return SX_OK;
}

void mp__spill_free(mp__spill *s) {
    if (!s) return;
    close(s->fd);
    sx_free(s);
}

/* What a call that moves some bytes, or none at the end of a file, has to say of the next one. */
static bool goes_on(mp__spill *s, ssize_t moved) {
    if (moved > 0 || (moved < 0 && errno == EINTR)) return true;
    s->why = moved < 0 ? errno : EIO;
    return false;
}

static off_t place_of(const mp__spill *s, int i, int64_t at) {
    return (off_t)((i * s->n + at) * (int64_t)sizeof(float));
}

void mp__spill_write(mp__spill *s, int i, int64_t at, const float *from, int64_t n) {
    const char *data = (const char *)from;
    const size_t size = (size_t)n * sizeof *from;
    for (size_t done = 0; done < size && s->why == 0;) {
        const ssize_t moved =
            pwrite(s->fd, data + done, size - done, place_of(s, i, at) + (off_t)done);
        if (goes_on(s, moved) && moved > 0) done += (size_t)moved;
    }
}

static bool read_block(mp__spill *s, off_t place, float *to, int64_t n) {
    char *data = (char *)to;
    const size_t size = (size_t)n * sizeof *to;
    for (size_t done = 0; done < size && s->why == 0;) {
        const ssize_t moved = pread(s->fd, data + done, size - done, place + (off_t)done);
        if (goes_on(s, moved) && moved > 0) done += (size_t)moved;
    }
    return s->why == 0;
}

void mp__spill_add(mp__spill *s, int i, int64_t at, float *to, int64_t n) {
    _Alignas(64) float block[BLOCK];
    for (int64_t done = 0; done < n; done += BLOCK) {
        const int64_t some = n - done < BLOCK ? n - done : BLOCK;
        if (!read_block(s, place_of(s, i, at + done), block, some)) return;
        mp__add(to + done, block, some);
    }
}

void mp__spill_check(mp__spill *s, float *to, int64_t n) {
    const int lost = sx_file_lost(s->fd);
    if (lost != 0) s->why = lost;
    for (int64_t i = 0; s->why != 0 && i < n; i++) to[i] = NAN;
}

sx_err mp__spill_sound(const mp__spill *s) {
    if (s->why == 0) return SX_OK;
    return sx_fail(SX_E_IO, "gradients that wait in a file of TMPDIR are lost: %s",
                   strerror(s->why));
}
