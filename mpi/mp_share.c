/* A window in which the first rank of the node has all the memory (mpi/mp_group.h). */
#include "mpi/mp_share.h"

#include "base/sx_mem.h"
#include "mpi/mp_group.h"

struct mp_share {
    mp_comm *c;
    mp__group group;   /* zeroed without a window */
    mp__shared window; /* base NULL: own memory */
    void *own;
};

sx_err mp_share_new(mp_share **out, mp_comm *c, int64_t n_bytes) {
    mp_share *s = SX_NEW(mp_share);
    s->c = c;
    s->window.window = MPI_WIN_NULL;
    bool shared = false;
    if (!mp__alone(c)) {
        mp__group_init(&s->group, c, 0);
        shared = mp__shared_init(&s->window, &s->group, c, s->group.rank == 0 ? n_bytes : 0);
    }
    if (!shared) s->own = sx_try_alloc(n_bytes, 1);
    sx_err rc = SX_OK;
    if (!shared && !s->own)
        rc = sx_fail(SX_E_NOMEM, "no memory for %lld bytes", (long long)n_bytes);
    rc = mp_agree(c, rc);
    if (rc == SX_OK)
        *out = s;
    else
        mp_share_free(s);
    return rc;
}

void mp_share_free(mp_share *s) {
    if (!s) return;
    if (s->window.base) mp__shared_clear(&s->window, s->c);
    mp__group_clear(&s->group, s->c);
    sx_free(s->own);
    sx_free(s);
}

void *mp_share_data(const mp_share *s) {
    return s->own ? s->own : s->window.base[0];
}

int mp_share_part(const mp_share *s, int *parts) {
    *parts = s->own ? 1 : s->group.size;
    return s->own ? 0 : s->group.rank;
}

void mp_share_filled(mp_share *s) {
    if (s->own) return;
    mp__shared_fence(&s->window, s->c);
    MP__CHECK(s->c, MPI_Barrier(s->group.node));
    mp__shared_fence(&s->window, s->c);
}
