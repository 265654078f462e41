#!/bin/bash
# A task count in the environment without ranks behind it is refused with the srun line that works.
set -u
program=$1
fail() { echo "FAIL: $*"; exit 1; }

out=$(SLURM_STEP_NUM_TASKS=4 "$program" 2>&1)
code=$?
[ $code = 69 ] || fail "four promised tasks, one process: got exit $code, want 69: $out"
case $out in
*"srun --mpi=pmix -n 4"*) ;;
*) fail "the message lacks the srun line: $out" ;;
esac

SLURM_NTASKS=4 SLURM_PROCID=0 "$program" >/dev/null 2>&1 ||
    fail "a batch script's own process must run"
SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=1 "$program" >/dev/null 2>&1 ||
    fail "a step of one task inside an allocation of four must run"
SLURM_STEP_NUM_TASKS=4 "$MPIEXEC" -n 1 "$program" >/dev/null 2>&1 ||
    fail "one rank that mpiexec started must run"
echo "ok"
