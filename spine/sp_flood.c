/* Flooding from owned voxels, breadth first (sp_instances_private.h). */
#include "base/sx_mem.h"
#include "spine/sp_instances_private.h"

typedef struct flood {
    const sp__search *w;
    int32_t *owner;
    sp__part part;
    int64_t *queue, n; /* [voxels] reached so far */
} flood;

/* Reach from voxel i what has no owner yet. */
static void spread(flood *f, int64_t i) {
    const int64_t *dim = f->w->out->owner.dim, step[3] = {1, dim[0], dim[0] * dim[1]};
    const int64_t at[3] = {i % dim[0], i / dim[0] % dim[1], i / step[2]};
    for (int a = 0; a < 3; a++)
        for (int side = -1; side <= 1; side += 2) {
            const int64_t to = i + side * step[a];
            if (at[a] + side < 0 || at[a] + side >= dim[a] || f->owner[to] != 0) continue;
            if (f->part != SP__ANY && f->w->part[to] != f->part) continue;
            f->owner[to] = f->owner[i];
            f->queue[f->n++] = to;
        }
}

sx_err sp__flood(const sp__search *w, int32_t *owner, sp__part part) {
    flood f = {w, owner, part, sx_try_alloc(w->n, sizeof *f.queue), 0};
    if (!f.queue) return sx_fail(SX_E_NOMEM, "no memory to flood %lld voxels", (long long)w->n);
    for (int64_t i = 0; i < w->n; i++)
        if (owner[i] != 0) f.queue[f.n++] = i;
    for (int64_t k = 0; k < f.n; k++) spread(&f, f.queue[k]);
    sx_free(f.queue);
    return SX_OK;
}
