/* Fixed-order sums: leaves, and the exchange between the ranks of a node.
 *
 * While a rank pushes its leaves it holds a stack of the largest subtrees that are complete and lie
 * inside its range; in the end these are its parts (mp_plan.h). Of what remains to be added every
 * bucket goes through the stages of `enum stage`, each rank counts the buckets that it has brought
 * past a stage, and goes on with a bucket when all ranks of the node have come far enough. Counters
 * only grow, also from sum to sum, and each has one writer, so nothing is ever reset and nobody
 * waits for a barrier.
 *
 * The sum is written over the first vector of every rank. That is safe: a rank gives a bucket of
 * its vectors away (OWN) only after it has finished with the last sum, and has it back when all
 * ranks of the node are past the last stage. Addition and copies go block by block: all but the
 * first read of a block come from cache. */
#include "mpi/mp_tree.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "mpi/mp_group.h"
#include "mpi/mp_plan.h"
#include "mpi/mp_spill.h"
#include "mpi/mp_tree_hook.h"
#include "mpi/mp_wire.h"

enum {
    LINE = 16,        /* floats; borders of segments and buckets, a cache line */
    BUCKET = 1 << 20, /* floats: 4 MiB */
    BLOCK = 4096,     /* floats that are added at a time */
    SPINS = 200,      /* looks before a waiting rank lets others have the core */
    LOOKS_A_CALL = 64 /* of these, looks before it lets MPI notice what happens elsewhere */
};

/* How far a bucket has come. */
enum stage {
    OWN,    /* this rank's parts are final                        */
    ADDED,  /* this rank's segment is added over the node         */
    SUMMED, /* it is summed over all nodes; counted by the leader */
    SPREAD, /* this rank's segment of the sum is with all ranks   */
    N_STAGES
};

typedef struct counter {
    _Alignas(64) atomic_llong buckets; /* a cache line each: others read it while it is written */
} counter;
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "counters are shared between processes");

struct mp_tree {
    mp_comm *c;
    int n_leaves;
    int64_t n;
    sx_pool *pool;
    int first, last, next; /* leaves of this rank; the one that is built next */

    /* The stack. What lies at height i is in slot i; with a spill the top is never above the last
     * slot, and what lies between is in the spill. */
    mp__span *held; /* [most + 1] */
    int n_held, n_parts;
    float **slot; /* [n_slots] vectors; after the last push the first n_parts are the parts */
    int n_slots;
    float **private;  /* [n_slots] those of them that nobody else sees */
    mp__spill *spill; /* or NULL */

    mp__group group;
    mp__shared shared;       /* a rank's: counters [N_STAGES], then the vectors of its parts */
    mp__plan on_node, nodes; /* members: ranks of my node; nodes */
    float **part;            /* [on_node.n_parts] where they are */
    float **node_part;       /* [on_node.n_results] those that hold the node's parts in the end */
    float **sum;             /* [group.size] first vector of every rank */
    mp__wire *wire;          /* of a leader among several nodes; else NULL */

    int64_t bucket, exact; /* floats; elements from `exact` on are a bucket of their own */
    int64_t n_buckets;
    int64_t before;         /* buckets of all sums before this one */
    int64_t done[N_STAGES]; /* buckets of this sum that this rank has brought past a stage */
    int64_t n_posted;       /* … that the leader has put on the wire */

    double moved_s;    /* of this sum */
    mp_tree_cost cost; /* of the last one */
};

/* ---- buckets: number 0 is at the end of the vector ---- */

static int64_t bucket_of(const mp_tree *t, int64_t b, int64_t *at) {
    if (t->exact < t->n && b == 0) {
        *at = t->exact;
        return t->n - t->exact;
    }
    *at = (t->n_buckets - 1 - b) * t->bucket;
    return t->exact - *at < t->bucket ? t->exact - *at : t->bucket;
}

static void plan_buckets(mp_tree *t, const mp_tree_opt *opt, int64_t most) {
    t->bucket = mp__wire_bucket(&t->nodes, most);
    t->exact = opt->n_exact > 0 ? (t->n - opt->n_exact) / LINE * LINE : t->n;
    t->n_buckets = (t->exact + t->bucket - 1) / t->bucket + (t->exact < t->n);
    SX_ASSERT(t->n - t->exact <= t->bucket);
}

/* This rank's segment of n floats: where it starts and how many floats it has. */
static int64_t segment_of(const mp_tree *t, int64_t n, int64_t *from) {
    const int64_t lines = (n + LINE - 1) / LINE, rank = t->group.rank, size = t->group.size;
    int64_t to = lines * (rank + 1) / size * LINE;
    *from = lines * rank / size * LINE;
    if (to > n) to = n;
    return to > *from ? to - *from : 0;
}

/* ---- life ---- */

/* First leaf of a place (mp_group.h); of place `size`, n_leaves. */
static int leaf_of(const mp_tree *t, int place) {
    return (int)((int64_t)t->n_leaves * place / t->c->size);
}

static void plan_between_ranks(mp_tree *t) {
    const mp__group *g = &t->group;
    const int start = g->first_place[g->index];
    int *border = SX_NEW_ARRAY(int, (g->size > g->n_nodes ? g->size : g->n_nodes) + 1);
    for (int r = 0; r <= g->size; r++) border[r] = leaf_of(t, start + r);
    mp__plan_init(&t->on_node, t->n_leaves, border, g->size);
    for (int i = 0; i <= g->n_nodes; i++) border[i] = leaf_of(t, g->first_place[i]);
    mp__plan_init(&t->nodes, t->n_leaves, border, g->n_nodes);
    sx_free(border);
    t->first = leaf_of(t, start + g->rank);
    t->last = leaf_of(t, start + g->rank + 1);
    t->n_parts = t->on_node.first_part[g->rank + 1] - t->on_node.first_part[g->rank];
}

/* Most vectors held at a time: the stack plus the leaf that is built. */
static int most_held(const mp_tree *t) {
    int height = 0, most = 1; /* the sum needs one */
    mp__span *stack = SX_NEW_ARRAY(mp__span, t->last - t->first + 1);
    for (int i = t->first; i < t->last; i++) {
        if (height + 1 > most) most = height + 1;
        height = mp__plan_push(t->n_leaves, stack, height, i);
    }
    sx_free(stack);
    return most;
}

static int64_t vector_bytes(const mp_tree *t) {
    return (t->n + LINE - 1) / LINE * LINE * (int64_t)sizeof(float);
}

static float *shared_vector(const mp_tree *t, int rank, int i) {
    return (float *)(t->shared.base[rank] + N_STAGES * sizeof(counter) + i * vector_bytes(t));
}

static void plan_clear(mp_tree *t) {
    mp__plan_clear(&t->on_node);
    mp__plan_clear(&t->nodes);
    mp__group_clear(&t->group, t->c);
}

/* Who shares memory, what is to be added, and the shared memory. Where a node cannot have that,
 * again with every rank as a node. */
static bool share_memory(mp_tree *t, const mp_tree_hook *hook) {
    const int colour[] = {hook ? hook->node : 0, t->c->rank};
    for (int i = hook && hook->no_window; i < 2; i++) {
        mp__group_init(&t->group, t->c, colour[i]);
        plan_between_ranks(t);
        const int64_t vectors = t->n_parts > 0 ? t->n_parts : 1;
        if (mp__shared_init(&t->shared, &t->group, t->c,
                            N_STAGES * (int64_t)sizeof(counter) + vectors * vector_bytes(t)))
            return true;
        plan_clear(t);
        if (i == 0 && t->c->rank == 0)
            sx_warn("no shared memory for gradients on a node (is /dev/shm too small?): they "
                    "travel as messages");
    }
    return false;
}

static void find_vectors(mp_tree *t) {
    const mp__plan *p = &t->on_node;
    t->part = SX_NEW_ARRAY(float *, p->n_parts + 1);
    t->node_part = SX_NEW_ARRAY(float *, p->n_results + 1);
    t->sum = SX_NEW_ARRAY(float *, t->group.size);
    for (int r = 0; r < t->group.size; r++) {
        t->sum[r] = shared_vector(t, r, 0);
        for (int i = p->first_part[r]; i < p->first_part[r + 1]; i++)
            t->part[i] = shared_vector(t, r, i - p->first_part[r]);
    }
    for (int i = 0; i < p->n_results; i++) t->node_part[i] = t->part[p->result[i]];
}

static sx_err no_memory(const mp_tree *t) {
    return sx_fail(SX_E_NOMEM, "no memory to sum gradients of %lld floats", (long long)t->n);
}

/* Room for the stack: slots, the n_shared shared ones first, and a spill for what has none. */
static sx_err take_slots(mp_tree *t, int n_shared, bool spill) {
    const int most = most_held(t), least = n_shared > 0 ? n_shared : 1;
    t->n_slots = spill && least < most ? least : most;
    t->slot = SX_NEW_ARRAY(float *, t->n_slots);
    t->private = SX_NEW_ARRAY(float *, t->n_slots);
    t->held = SX_NEW_ARRAY(mp__span, most + 1);
    for (int i = 0; i < t->n_slots; i++) {
        if (i >= n_shared && !(t->private[i] = sx_try_alloc(vector_bytes(t), 1)))
            return no_memory(t);
        t->slot[i] = i < n_shared ? shared_vector(t, t->group.rank, i) : t->private[i];
    }
    return t->n_slots < most ? mp__spill_new(&t->spill, most - t->n_slots, t->n) : SX_OK;
}

static sx_err start_exchange(mp_tree *t, const mp_tree_opt *opt, const mp_tree_hook *hook) {
    if (!share_memory(t, hook)) return no_memory(t);
    find_vectors(t);
    plan_buckets(t, opt, hook && hook->bucket > 0 ? hook->bucket : BUCKET);
    sx_err rc = take_slots(t, t->n_parts > 0 ? t->n_parts : 1, opt->spill);
    if (rc == SX_OK && t->group.rank == 0 && t->group.n_nodes > 1) {
        t->wire =
            mp__wire_new(t->c, &t->group, &t->nodes, opt->wire, t->bucket, t->node_part, t->sum[0]);
        if (!t->wire) rc = no_memory(t);
    }
    return rc;
}

sx_err mp__tree_new(mp_tree **out, mp_comm *c, const mp_tree_opt *opt, const mp_tree_hook *hook) {
    SX_ASSERT(opt->n_leaves >= 1 && opt->n >= 1 && opt->n_exact >= 0 && opt->n_exact <= opt->n);
    mp_tree *t = SX_NEW(mp_tree);
    *t = (mp_tree){.c = c,
                   .n_leaves = opt->n_leaves,
                   .n = opt->n,
                   .pool = opt->pool,
                   .last = opt->n_leaves,
                   .n_parts = 1,
                   .shared = {.window = MPI_WIN_NULL}};
    sx_err rc = mp__alone(c) ? take_slots(t, 0, opt->spill) : start_exchange(t, opt, hook);
    t->next = t->first;
    rc = mp_agree(c, rc);
    if (rc != SX_OK) {
        mp_tree_free(t);
        return rc;
    }
    *out = t;
    return SX_OK;
}

sx_err mp_tree_new(mp_tree **t, mp_comm *c, const mp_tree_opt *opt) {
    return mp__tree_new(t, c, opt, NULL);
}

void mp_tree_free(mp_tree *t) {
    if (!t) return;
    mp__wire_free(t->wire);
    for (int i = 0; t->private && i < t->n_slots; i++) sx_free(t->private[i]);
    sx_free(t->private);
    sx_free(t->slot);
    mp__spill_free(t->spill);
    sx_free(t->held);
    sx_free(t->part);
    sx_free(t->node_part);
    sx_free(t->sum);
    mp__shared_clear(&t->shared, t->c);
    plan_clear(t);
    sx_free(t);
}

/* ---- leaves ---- */

void mp_tree_leaves(const mp_tree *t, int *first, int *last) {
    *first = t->first;
    *last = t->last;
}

/* Where the top of the stack is when it lies at height h. */
static float *slot_at(const mp_tree *t, int h) {
    return t->slot[h < t->n_slots ? h : t->n_slots - 1];
}

float *mp_tree_leaf(mp_tree *t) {
    SX_ASSERT(t->next < t->last);
    return slot_at(t, t->n_held);
}

/* Add what lies at height h to what lies below it: the new top. A sum of two floats does not
 * depend on their order. */
static void add_down(mp_tree *t, int h, int64_t at, int64_t n) {
    if (h < t->n_slots)
        mp__add(t->slot[h - 1] + at, t->slot[h] + at, n);
    else
        mp__spill_add(t->spill, h - t->n_slots, at, slot_at(t, h) + at, n);
}

/* From height top down to bottom, elements at .. at + n - 1. */
static void merge(mp_tree *t, int top, int bottom, int64_t at, int64_t n) {
    for (int64_t from = at; from < at + n; from += BLOCK) {
        const int64_t count = at + n - from < BLOCK ? at + n - from : BLOCK;
        for (int h = top; h > bottom; h--) add_down(t, h, from, count);
    }
    if (t->spill) mp__spill_check(t->spill, slot_at(t, bottom) + at, n);
}

/* ---- the exchange on a node ---- */

static counter *counters(const mp_tree *t, int rank) {
    return (counter *)t->shared.base[rank];
}

/* This rank has brought one more bucket past a stage. */
static void count(mp_tree *t, enum stage s) {
    t->done[s]++;
    mp__shared_fence(&t->shared, t->c);
    atomic_store_explicit(&counters(t, t->group.rank)[s].buckets, t->before + t->done[s],
                          memory_order_release);
}

/* Buckets of this sum that a rank has brought past a stage; needs a fence before their data is
 * read. */
static int64_t looked(const mp_tree *t, int rank, enum stage s) {
    return atomic_load_explicit(&counters(t, rank)[s].buckets, memory_order_acquire) - t->before;
}

/* … that all ranks of the node have. */
static int64_t reached(const mp_tree *t, enum stage s) {
    int64_t least = t->n_buckets;
    for (int r = 0; r < t->group.size; r++) {
        const int64_t n = looked(t, r, s);
        if (n < least) least = n;
    }
    mp__shared_fence(&t->shared, t->c);
    return least;
}

/* … that the leader has summed. */
static int64_t summed(const mp_tree *t) {
    const int64_t n = looked(t, 0, SUMMED);
    mp__shared_fence(&t->shared, t->c);
    return n;
}

/* The buckets from `first_final` on are final in this rank's parts. `top`: slot of the last leaf,
 * which still has to be merged. */
static void give(mp_tree *t, int64_t first_final, int top) {
    int64_t at;
    while (t->done[OWN] < t->n_buckets) {
        const int64_t n = bucket_of(t, t->done[OWN], &at);
        if (at < first_final) break;
        merge(t, top, t->n_parts - 1, at, n);
        count(t, OWN);
    }
}

static void copy_to_ranks(mp_tree *t, const float *from, int64_t at, int64_t n) {
    for (int r = 0; r < t->group.size; r++)
        if (t->sum[r] != from) memcpy(t->sum[r] + at, from + at, (size_t)n * sizeof(float));
}

/* Add my segment of the next bucket over the node; on the only node that is the sum. */
static void add_segment(mp_tree *t) {
    int64_t at, from, n = segment_of(t, bucket_of(t, t->done[ADDED], &at), &from);
    at += from;
    for (const int64_t end = at + n; at < end; at += BLOCK) {
        const int64_t some = end - at < BLOCK ? end - at : BLOCK;
        mp__plan_add(&t->on_node, t->part, at, some);
        if (t->group.n_nodes == 1) copy_to_ranks(t, t->node_part[0], at, some);
    }
}

static void spread_segment(mp_tree *t) {
    int64_t at, from, n = segment_of(t, bucket_of(t, t->done[SPREAD], &at), &from);
    copy_to_ranks(t, t->sum[0], at + from, n);
}

/* Leader: what the node has added goes out, what is summed is told. */
static void drive_wire(mp_tree *t) {
    for (int64_t added = reached(t, ADDED); t->n_posted < added && mp__wire_free_slot(t->wire);
         t->n_posted++) {
        int64_t at, n = bucket_of(t, t->n_posted, &at);
        mp__wire_post(t->wire, at, n, at >= t->exact);
    }
    for (int landed = mp__wire_advance(t->wire); landed > 0; landed--) count(t, SUMMED);
}

/* Do what can be done without waiting. True when the sum is complete. */
static bool advance(mp_tree *t) {
    for (int64_t own = reached(t, OWN); t->done[ADDED] < own; count(t, ADDED)) add_segment(t);
    if (t->group.n_nodes == 1) return reached(t, ADDED) == t->n_buckets;
    if (t->wire) drive_wire(t);
    for (int64_t whole = summed(t); t->done[SPREAD] < whole; count(t, SPREAD)) spread_segment(t);
    return reached(t, SPREAD) == t->n_buckets;
}

/* Grows with everything that this rank has done for this sum. */
static int64_t progress(const mp_tree *t) {
    int64_t n = t->wire ? mp__wire_progress(t->wire) : 0;
    for (int s = 0; s < N_STAGES; s++) n += t->done[s];
    return n;
}

/* advance, on the clock when there was something to do. */
static bool advance_timed(mp_tree *t) {
    const int64_t before = progress(t);
    const double start_s = sx_now_s();
    const bool whole = advance(t);
    if (progress(t) != before) t->moved_s += sx_now_s() - start_s;
    return whole;
}

/* Waiting ranks of a crowded machine stand in the way of those they wait for. MPI is called now and
 * then so that it can end this rank when another one is gone. */
static void pause_after(mp_tree *t, int64_t looks) {
    int waiting;
    if (looks < SPINS) return;
    sched_yield();
    if (looks % LOOKS_A_CALL == 0)
        MP__CHECK(t->c, MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, t->group.node, &waiting,
                                   MPI_STATUS_IGNORE));
}

/* ---- steps ---- */

void mp_tree_ready(mp_tree *t, int64_t first_final) {
    SX_ASSERT(t->next == t->last - 1);
    if (mp__alone(t->c)) return;
    give(t, first_final, t->n_held);
    advance_timed(t);
}

/* A leaf is complete: the stack from height top down to bottom becomes one vector, which makes room
 * for the next leaf. */
typedef struct settling {
    mp_tree *t;
    int top, bottom;
    bool makes_room;
} settling;

static void settle_range(void *arg, int64_t first, int64_t last) {
    const settling *s = arg;
    mp_tree *t = s->t;
    merge(t, s->top, s->bottom, first, last - first);
    if (s->makes_room)
        mp__spill_write(t->spill, s->bottom + 1 - t->n_slots, first, slot_at(t, s->bottom) + first,
                        last - first);
}

void mp_tree_push(mp_tree *t) {
    const int top = t->n_held;
    const bool last = t->next == t->last - 1;
    t->n_held = mp__plan_push(t->n_leaves, t->held, t->n_held, t->next++);
    if (last && !mp__alone(t->c)) {
        give(t, 0, top);
        return;
    }
    const settling s = {t, top, t->n_held - 1, !last && t->n_held >= t->n_slots};
    sx_pool_ranges(t->pool, t->n, settle_range, (void *)&s);
}

sx_err mp_tree_sound(const mp_tree *t) {
    return t->spill ? mp__spill_sound(t->spill) : SX_OK;
}

const float *mp_tree_sum(mp_tree *t) {
    SX_ASSERT(t->next == t->last);
    if (!mp__alone(t->c)) {
        if (t->first == t->last) give(t, 0, t->n_parts - 1); /* no leaf, no push */
        const double start_s = sx_now_s(), moved_s = t->moved_s;
        for (int64_t looks = 0; !advance_timed(t); looks++) pause_after(t, looks);
        t->cost = (mp_tree_cost){.moved_s = t->moved_s,
                                 .waited_s = sx_now_s() - start_s - (t->moved_s - moved_s)};
        t->moved_s = 0;
        t->before += t->n_buckets;
        memset(t->done, 0, sizeof t->done);
        t->n_posted = 0;
    }
    t->next = t->first;
    t->n_held = 0;
    return t->slot[0];
}

mp_tree_cost mp_tree_last_cost(const mp_tree *t) {
    return t->cost;
}
