/* Ranks: a thin, checked layer over MPI. The only folder that includes mpi.h.
 *
 * A failed MPI call aborts the job with rank, host and call (tier 3 of base/sx_err.h). A rank never
 * leaves a collective alone: do local work, then mp_agree, then all leave together.
 * Life cycle: mp_start once; mp_finish once. Verbs that need no ranks use mp_self() and never start
 * MPI. MPI is started with MPI_THREAD_FUNNELED: only the main thread calls these functions. */
#ifndef MP_COMM_H
#define MP_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/sx_err.h"

typedef struct mp_comm mp_comm;

/* A communicator of one that never touches MPI; borrowed, always valid. Every function below works
 * on it. */
mp_comm *mp_self(void);

/* Tasks as whose one this process was started (SLURM_STEP_NUM_TASKS, PMI_SIZE) although MPI will
 * see no other: srun without PMIx. 0: all is well. Needs no MPI. */
int mp_tasks_lost(void);
/* Number of the Slurm job around this process as Slurm's commands take it, "17" or "17_3" for a
 * task of an array; new (sx_free), NULL outside Slurm. Needs no MPI. */
char *mp_job_number(void);
/* Start MPI and give the world. A single process outside any launcher is a world of one.
 * Errors: SX_E_MPI (MPI is a singleton although mp_tasks_lost, and the message carries the srun
 * line that works; it does not start, or has no threads). Collective over all processes. */
sx_err mp_start(int *argc, char ***argv, mp_comm **world);
void mp_finish(mp_comm *world);

int mp_rank(const mp_comm *c);
int mp_size(const mp_comm *c);
/* For io/ only: pointer to the MPI_Comm, NULL for mp_self(). */
const void *mp_native(const mp_comm *c);
/* Print the message and stop every rank with this exit code. */
void mp_abort(const mp_comm *c, int exit_code, const char *message) __attribute__((noreturn));

void mp_barrier(mp_comm *c);
void mp_bcast(mp_comm *c, void *data, size_t n_bytes, int root);
void mp_sum_i64(mp_comm *c, int64_t *x, int n);
void mp_max_i64(mp_comm *c, int64_t *x, int n);
void mp_sum_f64(mp_comm *c, double *x, int n); /* order of addition: by rank, fixed */
void mp_max_f64(mp_comm *c, double *x, int n);
/* Concatenate every rank's bytes, by rank, on all ranks. *all is new (sx_free), *n_all its size. */
void mp_allgather(mp_comm *c, const void *mine, size_t n_mine, void **all, size_t *n_all);

/* Agreement: every rank passes its own result; all get SX_OK, or the error and the message of the
 * lowest failing rank ("rank 2 on host: …"). Collective over c. */
sx_err mp_agree(mp_comm *c, sx_err mine);

#endif
