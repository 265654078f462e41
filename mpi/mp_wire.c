/* A bucket on its way is a flight of two legs: parts out and in, then results out and in. The
 * second leg is posted when the first is over, because results arrive in the memory from which
 * parts are sent. Flights begin each leg in the order of their buckets on all leaders, so messages
 * of a leg match by order alone and a tag needs to name only the part. */
#include "mpi/mp_wire.h"

#include <string.h>
#include "base/sx_mem.h"
#include "mpi/mp_bf16.h"

enum {
    FLIGHTS = 4,
    BUFFERS = 1 << 22, /* floats of all receive buffers together */
    BUCKET_MIN = 1 << 12,
    LINE = 16,   /* floats; borders of shares, a cache line */
    BLOCK = 4096 /* floats that are added at a time: they stay in cache */
};

typedef struct flight {
    int64_t at;         /* place in the vectors */
    int n;              /* floats */
    bool half;          /* travels as bfloat16 */
    float *in;          /* [others' parts][share] */
    uint16_t *half_in;  /* the same, as it comes */
    uint16_t *half_out; /* [my parts][bucket] */
    uint16_t *half_sum; /* [bucket] */
    MPI_Request *request;
    int n_requests;
} flight;

struct mp__wire {
    mp_comm *c;
    const mp__group *g;
    const mp__plan *nodes;
    mp_wire kind;
    int64_t bucket, share; /* floats at most */
    int first, n_mine;     /* my parts: first .. first + n_mine - 1 */
    float *const *mine;
    float *sum;
    float **row; /* [n_parts] my share of each part of the flight that is added */
    flight flight[FLIGHTS];
    int64_t n_posted, n_turned, n_done; /* flights begun, on the second leg, landed */
};

int64_t mp__wire_bucket(const mp__plan *nodes, int64_t most) {
    int64_t n = (int64_t)BUFFERS * nodes->n_members / ((int64_t)FLIGHTS * nodes->n_parts);
    n = n / LINE * LINE;
    if (n < BUCKET_MIN) n = BUCKET_MIN;
    return n < most ? n : most;
}

/* ---- life ---- */

static bool flight_init(flight *f, const mp__wire *w) {
    const int64_t others = w->nodes->n_parts - w->n_mine, peers = w->g->n_nodes;
    const int64_t first_leg = others + w->n_mine * peers, second_leg = 2 * peers;
    bool ok = (f->in = sx_try_alloc(others * w->share + 1, sizeof(float))) != NULL;
    f->request = SX_NEW_ARRAY(MPI_Request, first_leg > second_leg ? first_leg : second_leg);
    if (w->kind == MP_WIRE_FP32) return ok;
    ok &= (f->half_in = sx_try_alloc(others * w->share + 1, sizeof(uint16_t))) != NULL;
    ok &= (f->half_out = sx_try_alloc(w->n_mine * w->bucket + 1, sizeof(uint16_t))) != NULL;
    ok &= (f->half_sum = sx_try_alloc(w->bucket, sizeof(uint16_t))) != NULL;
    return ok;
}

mp__wire *mp__wire_new(mp_comm *c, const mp__group *g, const mp__plan *nodes, mp_wire kind,
                       int64_t bucket, float *const *mine, float *sum) {
    mp__wire *w = SX_NEW(mp__wire);
    const int64_t lines = (bucket + LINE - 1) / LINE;
    *w = (mp__wire){.c = c,
                    .g = g,
                    .nodes = nodes,
                    .kind = kind,
                    .bucket = bucket,
                    .share = (lines + g->n_nodes - 1) / g->n_nodes * LINE,
                    .first = nodes->first_part[g->index],
                    .n_mine = nodes->first_part[g->index + 1] - nodes->first_part[g->index],
                    .mine = mine,
                    .sum = sum,
                    .row = SX_NEW_ARRAY(float *, nodes->n_parts)};
    bool ok = true;
    for (int i = 0; i < FLIGHTS; i++) ok &= flight_init(&w->flight[i], w);
    if (ok) return w;
    mp__wire_free(w);
    return NULL;
}

void mp__wire_free(mp__wire *w) {
    if (!w) return;
    for (int i = 0; i < FLIGHTS; i++) {
        flight *f = &w->flight[i];
        sx_free(f->in);
        sx_free(f->half_in);
        sx_free(f->half_out);
        sx_free(f->half_sum);
        sx_free(f->request);
    }
    sx_free(w->row);
    sx_free(w);
}

/* ---- messages ---- */

/* Node r's share of a flight: where it starts and how many floats it has (0: none). */
static int share_of(const mp__wire *w, const flight *f, int r, int *from) {
    const int64_t lines = (f->n + LINE - 1) / LINE, nodes = w->g->n_nodes;
    *from = (int)(lines * r / nodes * LINE);
    int64_t to = lines * (r + 1) / nodes * LINE;
    if (to > f->n) to = f->n;
    return to > *from ? (int)(to - *from) : 0;
}

static MPI_Datatype type_of(const flight *f) {
    return f->half ? MPI_UINT16_T : MPI_FLOAT;
}

static void receive(mp__wire *w, flight *f, void *to, int n, int node, int tag) {
    MP__CHECK(w->c,
              MPI_Irecv(to, n, type_of(f), node, tag, w->g->leaders, &f->request[f->n_requests++]));
}

static void send(mp__wire *w, flight *f, const void *from, int n, int node, int tag) {
    MP__CHECK(w->c, MPI_Isend(from, n, type_of(f), node, tag, w->g->leaders,
                              &f->request[f->n_requests++]));
}

static bool is_mine(const mp__wire *w, int part) {
    return part >= w->first && part < w->first + w->n_mine;
}

/* Row of `in` and `half_in` for another node's part. */
static int64_t row_of(const mp__wire *w, int part) {
    return (part < w->first ? part : part - w->n_mine) * w->share;
}

static void receive_parts(mp__wire *w, flight *f) {
    int from, n = share_of(w, f, w->g->index, &from);
    for (int r = 0; r < w->g->n_nodes && n > 0; r++)
        for (int p = w->nodes->first_part[r]; p < w->nodes->first_part[r + 1]; p++) {
            int64_t row = row_of(w, p);
            if (r != w->g->index)
                receive(w, f, f->half ? (void *)(f->half_in + row) : f->in + row, n, r, p);
        }
}

static void send_parts(mp__wire *w, flight *f) {
    for (int p = 0; p < w->n_mine && f->half; p++)
        mp__bf16_narrow(f->half_out + p * w->bucket, w->mine[p] + f->at, f->n);
    for (int i = 1; i < w->g->n_nodes; i++) {
        int r = (w->g->index + i) % w->g->n_nodes; /* not everybody at the same node first */
        int from, n = share_of(w, f, r, &from);
        for (int p = 0; p < w->n_mine && n > 0; p++)
            send(w, f,
                 f->half ? (void *)(f->half_out + p * w->bucket + from) : w->mine[p] + f->at + from,
                 n, r, w->first + p);
    }
}

static void send_and_receive_results(mp__wire *w, flight *f) {
    const int tag = w->nodes->n_parts, me = w->g->index;
    int my_from, my_n = share_of(w, f, me, &my_from), size = f->half ? 2 : 4;
    char *sum = f->half ? (char *)f->half_sum : (char *)(w->sum + f->at);
    for (int i = 1; i < w->g->n_nodes; i++) {
        int r = (me + i) % w->g->n_nodes, from, n = share_of(w, f, r, &from);
        if (n > 0) receive(w, f, sum + (int64_t)from * size, n, r, tag);
        if (my_n > 0) send(w, f, sum + (int64_t)my_from * size, my_n, r, tag);
    }
}

/* ---- sums ---- */

/* Where my share of each part of the flight is, and, rounded, of part p. */
static void find_rows(mp__wire *w, const flight *f, int from) {
    for (int p = 0; p < w->nodes->n_parts; p++)
        w->row[p] = is_mine(w, p) ? w->mine[p - w->first] + f->at + from : f->in + row_of(w, p);
}

static const uint16_t *half_row(const mp__wire *w, const flight *f, int p, int from) {
    return is_mine(w, p) ? f->half_out + (p - w->first) * w->bucket + from
                         : f->half_in + row_of(w, p);
}

/* The tree over my share; the result goes where the second leg takes it from. */
static void add_share(mp__wire *w, flight *f) {
    int from, n = share_of(w, f, w->g->index, &from);
    find_rows(w, f, from);
    float *result = w->row[w->nodes->result[0]], *sum = w->sum + f->at + from;
    for (int64_t at = 0; at < n; at += BLOCK) {
        const int64_t count = n - at < BLOCK ? n - at : BLOCK;
        for (int p = 0; p < w->nodes->n_parts && f->half; p++)
            mp__bf16_widen(w->row[p] + at, half_row(w, f, p, from) + at, count);
        mp__plan_add(w->nodes, w->row, at, count);
        if (f->half)
            mp__bf16_narrow(f->half_sum + from + at, result + at, count);
        else if (result != sum)
            memcpy(sum + at, result + at, (size_t)count * sizeof(float));
    }
}

/* ---- flights ---- */

bool mp__wire_free_slot(const mp__wire *w) {
    return w->n_posted - w->n_done < FLIGHTS;
}

int64_t mp__wire_progress(const mp__wire *w) {
    return w->n_posted + w->n_turned + w->n_done;
}

void mp__wire_post(mp__wire *w, int64_t at, int64_t n, bool exact) {
    SX_ASSERT(mp__wire_free_slot(w) && n <= w->bucket);
    flight *f = &w->flight[w->n_posted++ % FLIGHTS];
    f->at = at;
    f->n = (int)n;
    f->half = w->kind == MP_WIRE_BF16 && !exact;
    f->n_requests = 0;
    receive_parts(w, f);
    send_parts(w, f);
}

static bool leg_is_over(mp__wire *w, flight *f) {
    int over = 0;
    MP__CHECK(w->c, MPI_Testall(f->n_requests, f->request, &over, MPI_STATUSES_IGNORE));
    return over;
}

int mp__wire_advance(mp__wire *w) {
    int landed = 0;
    for (; w->n_turned < w->n_posted; w->n_turned++) {
        flight *f = &w->flight[w->n_turned % FLIGHTS];
        if (!leg_is_over(w, f)) break;
        add_share(w, f);
        f->n_requests = 0;
        send_and_receive_results(w, f);
    }
    for (; w->n_done < w->n_turned; w->n_done++, landed++) {
        flight *f = &w->flight[w->n_done % FLIGHTS];
        if (!leg_is_over(w, f)) break;
        if (f->half) mp__bf16_widen(w->sum + f->at, f->half_sum, f->n);
    }
    return landed;
}
