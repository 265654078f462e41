#!/usr/bin/env bash
# sagax doctor reports facts as text and JSON and warns where a run would go wrong.
set -u
. "$(dirname "$0")/lib.sh"
unset SLURM_PROCID SLURM_NTASKS PMI_RANK PMIX_RANK OMP_NUM_THREADS

expect 0 doctor
for row in version libraries machine kernels threads launcher hdf5 folder file_system; do
    says out "$row "
done
expect 0 doctor --json
json 'length' 9
json 'all(.value != "")' true
json '.folder.value | contains("GiB free")' true
json '.launcher.warning' ''

OPENBLAS_NUM_THREADS=1 expect 0 doctor --json
json '.threads.warning' ''
OPENBLAS_NUM_THREADS=8 expect 0 doctor --json
json '.threads.warning | contains("OPENBLAS_NUM_THREADS=1")' true

# srun without a process manager would start four worlds of one
SLURM_PROCID=0 SLURM_NTASKS=4 expect 0 doctor --json
json '.launcher.warning | contains("srun --mpi=")' true
json '.launcher.value' 'SLURM_NTASKS=4 SLURM_PROCID=0'
SLURM_PROCID=0 SLURM_NTASKS=4 PMIX_RANK=0 expect 0 doctor --json
json '.launcher.warning' ''

finish
