/* Fixed-order sums.
 *
 * A node of the tree is a range of leaves. While a rank pushes its leaves it holds the maximal
 * subtrees that are complete and lie inside its own range ("parts"); two neighbours are added as
 * soon as they are the two sides of one node. What is left, over all ranks in leaf order, is the
 * same on every rank and known beforehand: the parts and the additions that remain.
 *
 * Between ranks the vector is cut into one segment a rank. A rank receives everybody's parts of its
 * segment, bucket by bucket, adds them in the order of the tree, and an allgather spreads the
 * segments: each rank moves about two vectors, however many ranks there are (the pattern of
 * Rabenseifner's allreduce). An element is always added by the same tree, so bits do not depend on
 * segments or buckets. */
#include "mpi/mp_tree.h"

#include <limits.h>
#include <string.h>
#include "base/sx_mem.h"
#include "mpi/mp_internal.h"

typedef struct span {
    int a, b; /* leaves a..b-1 */
} span;

typedef struct addition {
    int left, right; /* parts; left becomes left + right */
} addition;

enum {
    ALIGN = 16,           /* floats; segment borders, a cache line */
    BUCKET_MAX = 1 << 18, /* floats of one message: 1 MiB */
    BUCKET_MIN = 1 << 12,
    BUCKETS_TOTAL = 1 << 22 /* floats of all receive buffers together: 16 MiB */
};

struct mp_tree {
    mp_comm *c;
    int n_leaves;
    int64_t n;
    int next; /* leaf that is built next */

    float **slot; /* [n_slots] vectors of n floats */
    span *held;   /* [n_slots] what the first n_held slots hold */
    int n_slots, n_held;

    int *first_part; /* [size + 1] parts of rank r: first_part[r] .. first_part[r + 1] - 1 */
    addition *add;   /* [n_parts - 1] what remains between parts, children first */
    int n_parts, n_adds;

    int *segment;    /* [size] floats a rank is in charge of */
    int *segment_at; /* [size] where they start */
    int64_t bucket;  /* floats */
    float *in;       /* [n_parts][bucket] */
    MPI_Request *request;
};

/* Where the node [a, b) splits: the largest power of two below its size. */
static int split(span s) {
    int half = 1;
    while (half * 2 < s.b - s.a) half *= 2;
    return s.a + half;
}

/* Whether x and y are the two sides of a node of the tree over [0, n). */
static bool siblings(int n, span x, span y) {
    if (x.b != y.a) return false;
    span node = {0, n};
    while (node.b - node.a > 1) {
        int mid = split(node);
        if (node.a == x.a && mid == x.b && node.b == y.b) return true;
        if (y.b <= mid)
            node.b = mid;
        else if (x.a >= mid)
            node.a = mid;
        else
            return false;
    }
    return false;
}

int mp_tree_first(const mp_tree *t, int rank) {
    return (int)((int64_t)t->n_leaves * rank / t->c->size);
}

/* Push a leaf on a stack of spans and merge what can be merged. Returns the new height; *peak
 * follows the greatest height. */
static int stack_push(int n_leaves, span *stack, int height, int leaf, int *peak) {
    stack[height++] = (span){leaf, leaf + 1};
    if (height > *peak) *peak = height;
    while (height > 1 && siblings(n_leaves, stack[height - 2], stack[height - 1])) {
        stack[height - 2].b = stack[height - 1].b;
        height--;
    }
    return height;
}

/* Parts of every rank in leaf order, and the most vectors this rank holds at a time. */
static span *plan_parts(mp_tree *t) {
    span *part = SX_NEW_ARRAY(span, t->n_leaves);
    int n = 0;
    for (int r = 0; r < t->c->size; r++) {
        int height = 0, peak = 0;
        t->first_part[r] = n;
        for (int i = mp_tree_first(t, r); i < mp_tree_first(t, r + 1); i++)
            height = stack_push(t->n_leaves, part + n, height, i, &peak);
        if (r == t->c->rank) t->n_slots = peak;
        n += height;
    }
    t->first_part[t->c->size] = n;
    t->n_parts = n;
    return part;
}

/* Additions that make `node` out of parts, children first; returns the part that holds it. */
static int plan_additions(mp_tree *t, const span *part, span node) {
    for (int i = 0; i < t->n_parts; i++)
        if (part[i].a == node.a && part[i].b == node.b) return i;
    int mid = split(node);
    int left = plan_additions(t, part, (span){node.a, mid});
    int right = plan_additions(t, part, (span){mid, node.b});
    t->add[t->n_adds++] = (addition){left, right};
    return left;
}

static void plan_segments(mp_tree *t) {
    int64_t lines = (t->n + ALIGN - 1) / ALIGN;
    for (int r = 0; r < t->c->size; r++) {
        int64_t from = lines * r / t->c->size * ALIGN, to = lines * (r + 1) / t->c->size * ALIGN;
        if (to > t->n) to = t->n;
        t->segment_at[r] = (int)from;
        t->segment[r] = (int)(to > from ? to - from : 0);
    }
    int64_t bucket = BUCKETS_TOTAL / t->n_parts;
    if (bucket > BUCKET_MAX) bucket = BUCKET_MAX;
    t->bucket = bucket < BUCKET_MIN ? BUCKET_MIN : bucket;
}

sx_err mp_tree_new(mp_tree **out, mp_comm *c, int n_leaves, int64_t n) {
    SX_ASSERT(n_leaves >= 1 && n >= 1 && n <= INT_MAX - ALIGN);
    mp_tree *t = SX_NEW(mp_tree);
    t->c = c;
    t->n_leaves = n_leaves;
    t->n = n;
    t->next = mp_tree_first(t, c->rank);
    t->first_part = SX_NEW_ARRAY(int, c->size + 1);
    t->segment = SX_NEW_ARRAY(int, c->size);
    t->segment_at = SX_NEW_ARRAY(int, c->size);
    span *part = plan_parts(t);
    t->add = SX_NEW_ARRAY(addition, t->n_parts);
    plan_additions(t, part, (span){0, n_leaves});
    sx_free(part);
    plan_segments(t);

    sx_err rc = SX_OK;
    t->held = SX_NEW_ARRAY(span, t->n_slots + 1);
    t->slot = SX_NEW_ARRAY(float *, t->n_slots + 1);
    for (int i = 0; i < t->n_slots && rc == SX_OK; i++)
        if (!(t->slot[i] = sx_try_alloc(n, sizeof(float))))
            rc = sx_fail(SX_E_NOMEM, "no memory for %d gradient vectors of %lld floats", t->n_slots,
                         (long long)n);
    if (rc == SX_OK && !mp__alone(c)) {
        int mine = t->first_part[c->rank + 1] - t->first_part[c->rank];
        t->request = SX_NEW_ARRAY(MPI_Request, t->n_parts + (int64_t)mine * c->size);
        t->in = sx_try_alloc(t->n_parts * t->bucket, sizeof(float));
        if (!t->in) rc = sx_fail(SX_E_NOMEM, "no memory for the buckets of a gradient sum");
    }
    rc = mp_agree(c, rc);
    if (rc != SX_OK) {
        mp_tree_free(t);
        return rc;
    }
    *out = t;
    return SX_OK;
}

void mp_tree_free(mp_tree *t) {
    if (!t) return;
    for (int i = 0; t->slot && i < t->n_slots; i++) sx_free(t->slot[i]);
    sx_free(t->slot);
    sx_free(t->held);
    sx_free(t->first_part);
    sx_free(t->add);
    sx_free(t->segment);
    sx_free(t->segment_at);
    sx_free(t->in);
    sx_free(t->request);
    sx_free(t);
}

static void add_to(float *restrict left, const float *restrict right, int64_t n) {
    for (int64_t i = 0; i < n; i++) left[i] += right[i];
}

float *mp_tree_leaf(mp_tree *t) {
    SX_ASSERT(t->next < mp_tree_first(t, t->c->rank + 1));
    float *x = t->slot[t->n_held];
    memset(x, 0, (size_t)t->n * sizeof(float));
    return x;
}

void mp_tree_push(mp_tree *t) {
    int top = t->n_held, peak = 0;
    t->n_held = stack_push(t->n_leaves, t->held, t->n_held, t->next++, &peak);
    for (; top >= t->n_held; top--) add_to(t->slot[top - 1], t->slot[top], t->n);
}

/* Bucket k of rank r's segment: where it starts and how many floats it has (0: none). */
static int bucket_of(const mp_tree *t, int r, int64_t k, int64_t *at) {
    int64_t from = k * t->bucket, left = t->segment[r] - from;
    *at = t->segment_at[r] + from;
    return (int)(left < 0 ? 0 : left < t->bucket ? left : t->bucket);
}

/* Everybody's parts of bucket k of my segment come in; my parts of theirs go out. */
static void exchange(mp_tree *t, int64_t k) {
    mp_comm *c = t->c;
    int n_requests = 0;
    int64_t at;
    int count = bucket_of(t, c->rank, k, &at);
    int first = t->first_part[c->rank], mine = t->first_part[c->rank + 1] - first;
    for (int r = 0; r < c->size && count > 0; r++)
        for (int p = t->first_part[r]; p < t->first_part[r + 1]; p++) {
            float *to = t->in + p * t->bucket;
            if (r == c->rank)
                memcpy(to, t->slot[p - first] + at, (size_t)count * sizeof(float));
            else
                MP__CHECK(
                    c, MPI_Irecv(to, count, MPI_FLOAT, r, p, c->comm, &t->request[n_requests++]));
        }
    for (int i = 1; i < c->size; i++) {
        int r = (c->rank + i) % c->size; /* not everybody at the same rank first */
        int n = bucket_of(t, r, k, &at);
        for (int p = 0; p < mine && n > 0; p++)
            MP__CHECK(c, MPI_Isend(t->slot[p] + at, n, MPI_FLOAT, r, first + p, c->comm,
                                   &t->request[n_requests++]));
    }
    MP__CHECK(c, MPI_Waitall(n_requests, t->request, MPI_STATUSES_IGNORE));
}

void mp_tree_sum(mp_tree *t, float *sum) {
    mp_comm *c = t->c;
    SX_ASSERT(t->next == mp_tree_first(t, c->rank + 1));
    if (mp__alone(c)) {
        memcpy(sum, t->slot[0], (size_t)t->n * sizeof(float));
    } else {
        int64_t longest = 0, at;
        for (int r = 0; r < c->size; r++)
            if (t->segment[r] > longest) longest = t->segment[r];
        for (int64_t k = 0; k * t->bucket < longest; k++) {
            exchange(t, k);
            int count = bucket_of(t, c->rank, k, &at);
            for (int i = 0; i < t->n_adds; i++)
                add_to(t->in + t->add[i].left * t->bucket, t->in + t->add[i].right * t->bucket,
                       count);
            if (count > 0) memcpy(sum + at, t->in, (size_t)count * sizeof(float));
        }
        MP__CHECK(c, MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, sum, t->segment,
                                    t->segment_at, MPI_FLOAT, c->comm));
    }
    t->next = mp_tree_first(t, c->rank);
    t->n_held = 0;
}
