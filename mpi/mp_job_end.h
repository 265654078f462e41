/* Shared inside mpi/ only: the Slurm job around this process, and when it will end. */
#ifndef MP_JOB_END_H
#define MP_JOB_END_H

/* Seconds from now until the time limit of the Slurm job around this process; INFINITY outside
 * Slurm, without a limit, and where nobody can tell. Read from SLURM_JOB_END_TIME, else asked of
 * squeue, which gets ten seconds to answer. */
double mp__job_left_s(void);

#endif
