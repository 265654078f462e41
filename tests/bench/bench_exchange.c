/* Time of one gradient sum over ranks: ours against what MPI offers.
 *
 *   mpirun -np N bench_exchange [floats] [rounds] [ranks a node]      default 9835009 25 0
 * prints for each way the median and the least over interleaved rounds (wall time of the slowest
 * rank, from a barrier): MPI_Allreduce in place, the same in buckets of 4 MB as MPI_Iallreduce, the
 * fixed tree with every rank as a node (messages only, fp32 and bf16), and the fixed tree as it is;
 * the trees also during a computation of 150 ops of about 1 ms that make the vector final from its
 * end: then the time is what is left when the last op is over, of the rank that comes last.
 * Each rank has one leaf. With `ranks a node`, the last way takes so many ranks for a node. Every
 * way fills its vectors anew, outside the time. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_mem.h"
#include "mpi/mp_tree_hook.h"

enum { MAX_ROUNDS = 201, BUCKET = 1 << 20, OPS = 150 };

typedef struct bench {
    mp_comm *world;
    MPI_Comm comm;
    int64_t n;
    float *x;
    mp_tree *tree;
    bool overlap;
} bench;

static double allreduce(bench *b) {
    const double start_s = MPI_Wtime();
    MPI_Allreduce(MPI_IN_PLACE, b->x, (int)b->n, MPI_FLOAT, MPI_SUM, b->comm);
    return MPI_Wtime() - start_s;
}

static double allreduce_buckets(bench *b) {
    MPI_Request request[4096];
    int n_requests = 0;
    const double start_s = MPI_Wtime();
    for (int64_t at = 0; at < b->n; at += BUCKET) {
        const int64_t count = b->n - at < BUCKET ? b->n - at : BUCKET;
        MPI_Iallreduce(MPI_IN_PLACE, b->x + at, (int)count, MPI_FLOAT, MPI_SUM, b->comm,
                       &request[n_requests++]);
    }
    MPI_Waitall(n_requests, request, MPI_STATUSES_IGNORE);
    return MPI_Wtime() - start_s;
}

/* Some arithmetic in registers. */
static void compute(double seconds) {
    const double start_s = MPI_Wtime();
    volatile float x = 1;
    while (MPI_Wtime() - start_s < seconds)
        for (int i = 0; i < 1000; i++) x = x * 0.999f + 0.001f;
}

static double tree(bench *b) {
    for (int op = OPS - 1; op >= 0 && b->overlap; op--) {
        compute(1e-3);
        if (op > 0) mp_tree_ready(b->tree, b->n * op / OPS);
    }
    const double start_s = MPI_Wtime();
    mp_tree_push(b->tree);
    const float *sum = mp_tree_sum(b->tree);
    const double taken_s = MPI_Wtime() - start_s;
    const float want = (float)mp_size(b->world);
    if (sum[0] != want || sum[b->n - 1] != want) mp_abort(b->world, 1, "wrong sum");
    return taken_s;
}

typedef struct way {
    const char *name;
    double (*sum)(bench *b);
    bool alone; /* every rank a node */
    mp_wire wire;
    bool overlap;
} way;
static const way ways[] = {
    {"MPI_Allreduce, in place", allreduce, false, MP_WIRE_FP32, false},
    {"MPI_Iallreduce, 4 MB buckets", allreduce_buckets, false, MP_WIRE_FP32, false},
    {"tree, a rank a node, fp32", tree, true, MP_WIRE_FP32, false},
    {"tree, a rank a node, bf16", tree, true, MP_WIRE_BF16, false},
    {"tree", tree, false, MP_WIRE_FP32, false},
    {"left of it: tree, a rank a node", tree, true, MP_WIRE_FP32, true},
    {"left of it: tree", tree, false, MP_WIRE_FP32, true},
};
enum { N_WAYS = sizeof ways / sizeof *ways };

/* One round of one way: vectors of ones, all start together, the slowest counts; with a computation
 * the one that waits least, as the others wait for that to end. */
static double run(bench *b, const way *w, mp_tree *t) {
    b->tree = t;
    b->overlap = w->overlap;
    float *x = w->sum == tree ? mp_tree_leaf(t) : b->x;
    for (int64_t i = 0; i < b->n; i++) x[i] = 1;
    mp_barrier(b->world);
    const double sign = w->overlap ? -1 : 1;
    double taken_s = sign * w->sum(b);
    mp_max_f64(b->world, &taken_s, 1);
    return sign * taken_s;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int64_t number(int argc, char **argv, int i, int64_t otherwise, int64_t least,
                      int64_t most) {
    const int64_t n = argc > i ? atoll(argv[i]) : otherwise;
    return n < least ? least : n > most ? most : n;
}

int main(int argc, char **argv) {
    static double taken_s[N_WAYS][MAX_ROUNDS];
    bench b = {0};
    if (mp_start(&argc, &argv, &b.world) != SX_OK) return EXIT_FAILURE;
    b.n = number(argc, argv, 1, 9835009, 1, 1 << 30);
    const int rounds = (int)number(argc, argv, 2, 25, 1, MAX_ROUNDS);
    const int node = (int)number(argc, argv, 3, 0, 0, 1 << 20), rank = mp_rank(b.world);
    b.comm = mp_native(b.world) ? *(const MPI_Comm *)mp_native(b.world) : MPI_COMM_SELF;
    b.x = SX_NEW_ARRAY(float, b.n);
    mp_tree *trees[N_WAYS] = {0};
    for (int i = 0; i < N_WAYS; i++) {
        const mp_tree_opt opt = {.n_leaves = mp_size(b.world), .n = b.n, .wire = ways[i].wire};
        const mp_tree_hook hook = {node > 0 ? rank / node : 0, ways[i].alone, 0};
        if (ways[i].sum == tree && mp__tree_new(&trees[i], b.world, &opt, &hook) != SX_OK)
            mp_abort(b.world, 1, sx_err_text());
    }
    for (int i = 0; i < N_WAYS; i++) run(&b, &ways[i], trees[i]); /* first touch */
    for (int k = 0; k < rounds; k++)
        for (int i = 0; i < N_WAYS; i++) taken_s[i][k] = run(&b, &ways[i], trees[i]);

    if (rank == 0)
        printf("%.1f MB on %d ranks, ms\n%-34s %8s %8s\n", (double)b.n * 4e-6, mp_size(b.world), "",
               "median", "least");
    for (int i = 0; i < N_WAYS; i++) {
        qsort(taken_s[i], (size_t)rounds, sizeof(double), ascending);
        if (rank == 0)
            printf("%-34s %8.2f %8.2f\n", ways[i].name, taken_s[i][rounds / 2] * 1e3,
                   taken_s[i][0] * 1e3);
        mp_tree_free(trees[i]);
    }
    sx_free(b.x);
    mp_finish(b.world);
    return 0;
}
