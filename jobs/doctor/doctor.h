/* Inside of `sagax doctor`: one probe a row. A probe fills in a text, and a warning that says what
 * to do when something will go wrong. Probes only read and need no MPI. */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdbool.h>
#include <stdio.h>
#include "jobs/job/job_model.h"

typedef struct doctor_finding {
    char text[512];
    char warning[JOB_ADVICE]; /* "" when all is well */
} doctor_finding;

#define DOCTOR_SAY(f, ...) snprintf((f)->text, sizeof(f)->text, __VA_ARGS__)
#define DOCTOR_WARN(f, ...) snprintf((f)->warning, sizeof(f)->warning, __VA_ARGS__)

/* A variable of the environment, "" when it is not set. */
const char *doctor_env(const char *name);

/* ---- doctor_slurm.c ---- */
void doctor_slurm(doctor_finding *f);     /* version, and whether it answers */
void doctor_mpi_types(doctor_finding *f); /* how srun can start ranks */
void doctor_time_left(doctor_finding *f); /* of this job */
/* Whether all nodes of this job have one address: a cluster on one machine. */
bool doctor_one_machine(void);

/* ---- doctor_folder.c ---- */
void doctor_shm(doctor_finding *f);         /* memory that ranks of a node can share */
void doctor_hdf5(doctor_finding *f);        /* locking of files */
void doctor_folder(doctor_finding *f);      /* room in the working folder */
void doctor_file_system(doctor_finding *f); /* its type, and who else sees it */

#endif
