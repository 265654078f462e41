/* Ranks, collectives and agreement over MPI.
 *
 * Every communicator has MPI_ERRORS_RETURN, so that a failed call is reported with rank, host and
 * call before the job is aborted. Sums of doubles gather all terms and add them by rank: an MPI
 * reduction may choose another order for another message size or another network. */
#include "mpi/mp_comm.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_mem.h"
#include "mpi/mp_internal.h"
#include "mpi/mp_stop.h"

static mp_comm self_comm = {.comm = MPI_COMM_NULL, .rank = 0, .size = 1, .host = ""};

mp_comm *mp_self(void) {
    if (!self_comm.host[0]) {
        if (gethostname(self_comm.host, sizeof self_comm.host - 1) != 0)
            strcpy(self_comm.host, "localhost");
    }
    return &self_comm;
}

/* ---- start and end ---- */

static int env_int(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

/* Whether a launcher that Open MPI understands started this process; mpirun sets both. */
static bool launched(void) {
    return getenv("PMIX_RANK") || getenv("OMPI_COMM_WORLD_SIZE");
}

/* SLURM_NTASKS is no promise: a batch script's own shell has it too, and what runs there without
 * srun is a world of one. */
int mp_tasks_lost(void) {
    int step = env_int("SLURM_STEP_NUM_TASKS"), pmi = env_int("PMI_SIZE");
    int tasks = step > pmi ? step : pmi;
    return tasks > 1 && !launched() ? tasks : 0;
}

static sx_err singleton_error(int promised) {
    return sx_fail(SX_E_MPI,
                   "MPI sees one process, but the environment promises %d tasks: start ranks with "
                   "`srun --mpi=pmix -n %d sagax ...` (or `mpirun -n %d sagax ...`)",
                   promised, promised, promised);
}

sx_err mp_start(int *argc, char ***argv, mp_comm **world) {
    int lost = mp_tasks_lost();
#ifdef OPEN_MPI
    /* Checked before MPI_Init, which would die under `srun` without PMIx (Open MPI 4) or silently
     * make every task a rank 0 (Open MPI 5). */
    if (lost) return singleton_error(lost);
#endif
    /* A rank killed while it opens a file in parallel would leave a semaphore in /dev/shm on which
     * later opens of that name hang for ever: do without that component of Open MPI's I/O. */
    setenv("OMPI_MCA_sharedfp", "^sm", 0);
    /* It fills gaps between what it writes with what it reads there; behind the end of the file it
     * reads nothing, and what its memory held goes into the file. */
    setenv("OMPI_MCA_fbtl_posix_write_datasieving", "0", 0);
    mp_stop_install();
    int provided = 0;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return sx_fail(SX_E_MPI, "MPI_Init_thread failed");
    if (provided < MPI_THREAD_FUNNELED)
        return sx_fail(SX_E_MPI, "MPI gives thread level %d, at least %d (funneled) is needed",
                       provided, MPI_THREAD_FUNNELED);
    mp_stop_install();

    mp_comm *c = SX_NEW(mp_comm);
    *c = *mp_self();
    MP__CHECK(c, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    MP__CHECK(c, MPI_Comm_dup(MPI_COMM_WORLD, &c->comm));
    MP__CHECK(c, MPI_Comm_set_errhandler(c->comm, MPI_ERRORS_RETURN));
    MP__CHECK(c, MPI_Comm_rank(c->comm, &c->rank));
    MP__CHECK(c, MPI_Comm_size(c->comm, &c->size));
    if (c->size == 1 && lost) {
        mp_finish(c);
        return singleton_error(lost);
    }
    *world = c;
    return SX_OK;
}

void mp_finish(mp_comm *world) {
    if (!world || world == &self_comm) return;
    MP__CHECK(world, MPI_Comm_free(&world->comm));
    MP__CHECK(world, MPI_Finalize());
    sx_free(world);
}

int mp_rank(const mp_comm *c) {
    return c->rank;
}
int mp_size(const mp_comm *c) {
    return c->size;
}
const void *mp_native(const mp_comm *c) {
    return c->comm == MPI_COMM_NULL ? NULL : &c->comm;
}

void mp_abort(const mp_comm *c, int exit_code, const char *message) {
    fprintf(stderr, "sagax: rank %d on %s: %s\n", c->rank, c->host, message);
    fflush(stderr);
    if (c->comm != MPI_COMM_NULL) MPI_Abort(c->comm, exit_code);
    _Exit(exit_code);
}

void mp__call_failed(const mp_comm *c, const char *call, int code) {
    char why[MPI_MAX_ERROR_STRING] = "", text[MPI_MAX_ERROR_STRING + 512];
    int n = 0;
    MPI_Error_string(code, why, &n);
    snprintf(text, sizeof text, "%.400s: %s", call, why);
    mp_abort(c, sx_err_exit(SX_E_MPI), text);
}

/* ---- collectives ---- */

void mp_barrier(mp_comm *c) {
    if (!mp__alone(c)) MP__CHECK(c, MPI_Barrier(c->comm));
}

void mp_bcast(mp_comm *c, void *data, size_t n_bytes, int root) {
    if (mp__alone(c)) return;
    const size_t piece = (size_t)1 << 30; /* counts of MPI are int */
    for (size_t at = 0; at < n_bytes; at += piece) {
        size_t left = n_bytes - at;
        int count = (int)(left < piece ? left : piece);
        MP__CHECK(c, MPI_Bcast((char *)data + at, count, MPI_BYTE, root, c->comm));
    }
}

static void reduce(mp_comm *c, void *x, int n, MPI_Datatype type, MPI_Op op) {
    if (!mp__alone(c)) MP__CHECK(c, MPI_Allreduce(MPI_IN_PLACE, x, n, type, op, c->comm));
}

void mp_sum_i64(mp_comm *c, int64_t *x, int n) {
    reduce(c, x, n, MPI_INT64_T, MPI_SUM);
}
void mp_max_i64(mp_comm *c, int64_t *x, int n) {
    reduce(c, x, n, MPI_INT64_T, MPI_MAX);
}
void mp_max_f64(mp_comm *c, double *x, int n) {
    reduce(c, x, n, MPI_DOUBLE, MPI_MAX);
}

void mp_sum_f64(mp_comm *c, double *x, int n) {
    if (mp__alone(c)) return;
    double *all = SX_NEW_ARRAY(double, (int64_t)n * c->size);
    MP__CHECK(c, MPI_Allgather(x, n, MPI_DOUBLE, all, n, MPI_DOUBLE, c->comm));
    for (int i = 0; i < n; i++) {
        x[i] = all[i];
        for (int64_t r = 1; r < c->size; r++) x[i] += all[r * n + i];
    }
    sx_free(all);
}

void mp_allgather(mp_comm *c, const void *mine, size_t n_mine, void **all, size_t *n_all) {
    int64_t *bytes = SX_NEW_ARRAY(int64_t, c->size);
    int *count = SX_NEW_ARRAY(int, c->size), *start = SX_NEW_ARRAY(int, c->size);
    int64_t mine_bytes = (int64_t)n_mine, total = 0;
    bytes[0] = mine_bytes;
    if (!mp__alone(c))
        MP__CHECK(c, MPI_Allgather(&mine_bytes, 1, MPI_INT64_T, bytes, 1, MPI_INT64_T, c->comm));
    for (int r = 0; r < c->size; r++) {
        start[r] = (int)total;
        total += bytes[r];
        SX_ASSERT(total <= INT_MAX); /* metadata, not pixels: far below 2 GiB */
        count[r] = (int)bytes[r];
    }
    char *block = SX_NEW_ARRAY(char, total ? total : 1);
    if (!mp__alone(c))
        MP__CHECK(c, MPI_Allgatherv(mine, count[c->rank], MPI_BYTE, block, count, start, MPI_BYTE,
                                    c->comm));
    else if (n_mine)
        memcpy(block, mine, n_mine);
    sx_free(bytes);
    sx_free(count);
    sx_free(start);
    *all = block;
    *n_all = (size_t)total;
}

/* ---- agreement ---- */

sx_err mp_agree(mp_comm *c, sx_err mine) {
    if (mp__alone(c)) return mine;
    int64_t first = mine == SX_OK ? c->size : c->rank;
    MP__CHECK(c, MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT64_T, MPI_MIN, c->comm));
    if (first == c->size) return SX_OK;

    struct {
        int64_t code;
        char host[256], text[1024];
    } said = {0};
    if (first == c->rank) {
        said.code = (int64_t)mine;
        snprintf(said.host, sizeof said.host, "%s", c->host);
        snprintf(said.text, sizeof said.text, "%s", sx_err_text());
    }
    mp_bcast(c, &said, sizeof said, (int)first);
    return sx_fail((sx_err)said.code, "rank %d on %s: %s", (int)first, said.host, said.text);
}
