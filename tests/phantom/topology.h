/* Betti numbers of a mask: pieces (26 neighbours), tunnels, cavities (6 neighbours). Foreground
 * voxels are closed cubes, so that corners - edges + faces - cubes = b0 - b1 + b2 (Kong and
 * Rosenfeld, CVGIP 1989). */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include <stdbool.h>
#include <string.h>
#include "base/sx_mem.h"

typedef struct mask {
    int64_t dim[3]; /* with a margin of one empty voxel on every side */
    unsigned char *in;
} mask;

static inline mask mask_new(int64_t nx, int64_t ny, int64_t nz) {
    mask m = {{nx + 2, ny + 2, nz + 2}, NULL};
    m.in = SX_NEW_ARRAY(unsigned char, m.dim[0] * m.dim[1] * m.dim[2]);
    return m;
}

/* Voxel counted without the margin. */
static inline unsigned char *mask_at(const mask *m, int64_t x, int64_t y, int64_t z) {
    return m->in + ((z + 1) * m->dim[1] + y + 1) * m->dim[0] + x + 1;
}

/* Pieces of the voxels equal to `value`; `reach` 1: face neighbours, 3: corner neighbours, too. */
static inline int mask_pieces(const mask *m, int value, int reach) {
    const int64_t *n = m->dim, count = n[0] * n[1] * n[2];
    unsigned char *seen = SX_NEW_ARRAY(unsigned char, count);
    int64_t *stack = SX_NEW_ARRAY(int64_t, count), depth = 0;
    int pieces = 0;
    for (int64_t seed = 0; seed < count; seed++) {
        if (seen[seed] || m->in[seed] != value) continue;
        pieces++;
        seen[stack[depth++] = seed] = 1;
        while (depth > 0) {
            int64_t at = stack[--depth], x = at % n[0], y = at / n[0] % n[1], z = at / n[0] / n[1];
            for (int k = 0; k < 27; k++) {
                int64_t d[3] = {k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1};
                int64_t p = x + d[0], q = y + d[1], r = z + d[2];
                if (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] > reach) continue;
                if (p < 0 || q < 0 || r < 0 || p >= n[0] || q >= n[1] || r >= n[2]) continue;
                int64_t to = (r * n[1] + q) * n[0] + p;
                if (seen[to] || m->in[to] != value) continue;
                seen[to] = 1;
                stack[depth++] = to;
            }
        }
    }
    sx_free(seen);
    sx_free(stack);
    return pieces;
}

/* Corners - edges + faces - cubes of the union of the cubes. */
static inline int64_t mask_euler(const mask *m) {
    const int64_t nx = m->dim[0], ny = m->dim[1], nz = m->dim[2];
    int64_t chi = 0;
    for (int64_t z = 1; z < nz; z++)
        for (int64_t y = 1; y < ny; y++)
            for (int64_t x = 1; x < nx; x++)
                for (int cell = 0; cell < 8; cell++) {
                    /* the cell between voxel (x, y, z) and the one before it along each set bit */
                    bool any = false;
                    for (int side = 0; side < 8; side++)
                        if (!(side & ~cell))
                            any |= m->in[((z - (side >> 2)) * ny + y - (side >> 1 & 1)) * nx + x -
                                         (side & 1)];
                    int sign = (cell & 1) + (cell >> 1 & 1) + (cell >> 2);
                    chi += any ? (sign % 2 ? 1 : -1) : 0; /* 3: corner, 2: edge, 1: face, 0: cube */
                }
    return chi;
}

static inline void mask_betti(const mask *m, int b[3]) {
    b[0] = mask_pieces(m, 1, 3);
    b[2] = mask_pieces(m, 0, 1) - 1;
    b[1] = (int)(b[0] + b[2] - mask_euler(m));
}

#endif
