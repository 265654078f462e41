/* Shared inside mpi/ only: the communicator and the check around every MPI call. */
#ifndef MP_INTERNAL_H
#define MP_INTERNAL_H

#include <mpi.h>
#include "mpi/mp_comm.h"

struct mp_comm {
    MPI_Comm comm; /* MPI_COMM_NULL for mp_self() */
    int rank, size;
    char host[256];
};

/* True when there is nobody to talk to: no MPI call is made then. */
static inline bool mp__alone(const mp_comm *c) {
    return c->size == 1;
}

/* Name rank, host and call, then stop every rank. */
void mp__call_failed(const mp_comm *c, const char *call, int code) __attribute__((noreturn));

#define MP__CHECK(c, call)                                                                         \
    do {                                                                                           \
        int mp__code = (call);                                                                     \
        if (mp__code != MPI_SUCCESS) mp__call_failed((c), #call, mp__code);                        \
    } while (0)

#endif
