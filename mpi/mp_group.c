/* Nodes by MPI_Comm_split_type, their memory by MPI_Win_allocate_shared.
 *
 * Open MPI backs a window with a file in /dev/shm. When that is too small (64 MB in a container
 * that was told nothing else) its first rank returns an error while the others wait for it for
 * ever, so the room is looked at beforehand. */
#include "mpi/mp_group.h"

#include <string.h>
#include <sys/statvfs.h>
#include "base/sx_mem.h"

enum { ALIGN = 64 };

void mp__group_init(mp__group *g, mp_comm *c, int colour) {
    MPI_Comm coloured;
    *g = (mp__group){.leaders = MPI_COMM_NULL};
    MP__CHECK(c, MPI_Comm_split(c->comm, colour, c->rank, &coloured));
    MP__CHECK(
        c, MPI_Comm_split_type(coloured, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &g->node));
    MP__CHECK(c, MPI_Comm_free(&coloured));
    MP__CHECK(c, MPI_Comm_set_errhandler(g->node, MPI_ERRORS_RETURN));
    MP__CHECK(c, MPI_Comm_rank(g->node, &g->rank));
    MP__CHECK(c, MPI_Comm_size(g->node, &g->size));

    int known[2] = {0}; /* by the leader: number of its node, nodes */
    MP__CHECK(c, MPI_Comm_split(c->comm, g->rank == 0 ? 0 : MPI_UNDEFINED, c->rank, &g->leaders));
    if (g->rank == 0) {
        MP__CHECK(c, MPI_Comm_set_errhandler(g->leaders, MPI_ERRORS_RETURN));
        MP__CHECK(c, MPI_Comm_rank(g->leaders, &known[0]));
        MP__CHECK(c, MPI_Comm_size(g->leaders, &known[1]));
    }
    MP__CHECK(c, MPI_Bcast(known, 2, MPI_INT, 0, g->node));
    g->index = known[0];
    g->n_nodes = known[1];

    g->first_place = SX_NEW_ARRAY(int, g->n_nodes + 1);
    int *size = SX_NEW_ARRAY(int, g->n_nodes);
    if (g->rank == 0)
        MP__CHECK(c, MPI_Allgather(&g->size, 1, MPI_INT, size, 1, MPI_INT, g->leaders));
    MP__CHECK(c, MPI_Bcast(size, g->n_nodes, MPI_INT, 0, g->node));
    for (int i = 0; i < g->n_nodes; i++) g->first_place[i + 1] = g->first_place[i] + size[i];
    sx_free(size);
}

void mp__group_clear(mp__group *g, mp_comm *c) {
    if (!g->first_place) return;
    if (g->leaders != MPI_COMM_NULL) MP__CHECK(c, MPI_Comm_free(&g->leaders));
    MP__CHECK(c, MPI_Comm_free(&g->node));
    sx_free(g->first_place);
    g->first_place = NULL;
}

/* ---- memory ---- */

/* Whether all blocks of the node fit into what backs a window. Collective over the node. */
static bool has_room(const mp__group *g, mp_comm *c, int64_t n_bytes) {
    int64_t all = 0;
    struct statvfs fs;
    MP__CHECK(c, MPI_Allreduce(&n_bytes, &all, 1, MPI_INT64_T, MPI_SUM, g->node));
    if (statvfs("/dev/shm", &fs) != 0) return true; /* backed by something else: MPI will say */
    const int64_t a_little = 1 << 20;
    return (int64_t)fs.f_bavail * (int64_t)fs.f_frsize >= all + a_little;
}

static bool allocate_window(mp__shared *s, const mp__group *g, mp_comm *c, int64_t n_bytes) {
    MPI_Info info;
    void *mine = NULL;
    MP__CHECK(c, MPI_Info_create(&info));
    MP__CHECK(c, MPI_Info_set(info, "alloc_shared_noncontig", "true")); /* own pages a rank */
    int rc = MPI_Win_allocate_shared((MPI_Aint)n_bytes, 1, info, g->node, &mine, &s->window);
    MP__CHECK(c, MPI_Info_free(&info));
    if (rc != MPI_SUCCESS) {
        s->window = MPI_WIN_NULL;
        return false;
    }
    MP__CHECK(c, MPI_Win_set_errhandler(s->window, MPI_ERRORS_RETURN));
    MP__CHECK(c, MPI_Win_lock_all(MPI_MODE_NOCHECK, s->window));
    return true;
}

static char *aligned(char *p) {
    return p + (ALIGN - (uintptr_t)p % ALIGN) % ALIGN;
}

/* Mappings start at pages, so that all processes agree on what is aligned. */
static void open_window(mp__shared *s, const mp__group *g, mp_comm *c, int64_t n_bytes) {
    for (int r = 0; r < g->size; r++) {
        MPI_Aint bytes;
        int unit;
        MP__CHECK(c, MPI_Win_shared_query(s->window, r, &bytes, &unit, &s->base[r]));
        s->base[r] = aligned(s->base[r]);
    }
    memset(s->base[g->rank], 0, (size_t)n_bytes); /* first touched by the rank that fills it */
    mp__shared_fence(s, c);
    MP__CHECK(c, MPI_Barrier(g->node));
    mp__shared_fence(s, c);
}

bool mp__shared_init(mp__shared *s, const mp__group *g, mp_comm *c, int64_t n_bytes) {
    *s = (mp__shared){.window = MPI_WIN_NULL, .base = SX_NEW_ARRAY(char *, g->size)};
    bool got;
    if (g->size == 1) {
        got = (s->own = sx_try_alloc(n_bytes, 1)) != NULL;
        s->base[0] = s->own;
    } else {
        int room = has_room(g, c, n_bytes + ALIGN);
        MP__CHECK(c, MPI_Bcast(&room, 1, MPI_INT, 0, g->node));
        got = room && allocate_window(s, g, c, n_bytes + ALIGN);
    }
    int64_t lacking = !got;
    mp_max_i64(c, &lacking, 1);
    if (lacking)
        mp__shared_clear(s, c);
    else if (g->size > 1)
        open_window(s, g, c, n_bytes);
    return !lacking;
}

void mp__shared_clear(mp__shared *s, const mp_comm *c) {
    if (!s->base) return;
    if (s->window != MPI_WIN_NULL) {
        MP__CHECK(c, MPI_Win_unlock_all(s->window));
        MP__CHECK(c, MPI_Win_free(&s->window));
    }
    sx_free(s->base);
    sx_free(s->own);
    *s = (mp__shared){.window = MPI_WIN_NULL};
}
