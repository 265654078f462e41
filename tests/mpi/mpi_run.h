/* What test programs that run as ranks have around their suite. */
#ifndef MPI_RUN_H
#define MPI_RUN_H

#include <stdio.h>
#include <stdlib.h>

#include "mpi/mp_comm.h"

/* Starts MPI; on an error prints it and ends the process. */
static inline mp_comm *mpi_run_start(int *argc, char ***argv) {
    mp_comm *world = NULL;
    sx_err rc = mp_start(argc, argv, &world);
    if (rc == SX_OK) return world;
    fprintf(stderr, "%s\n", sx_err_text());
    exit(sx_err_exit(rc));
}

/* The value to return from main; a rank whose suite failed ends them all. */
static inline int mpi_run_finish(mp_comm *world, int suite_status) {
    if (suite_status != EXIT_SUCCESS) mp_abort(world, 1, "a test failed");
    mp_finish(world);
    return 0;
}

#endif
