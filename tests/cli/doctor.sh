#!/usr/bin/env bash
# sagax doctor reports facts as text and JSON and warns where a run would go wrong.
set -u
. "$(dirname "$0")/lib.sh"
unset SLURM_PROCID SLURM_NTASKS SLURM_STEP_NUM_TASKS PMI_RANK PMI_SIZE PMIX_RANK OMPI_COMM_WORLD_SIZE SLURM_CPUS_PER_TASK

expect 0 doctor
for row in version libraries machine kernels threads launcher slurm mpi_types time_left shm hdf5 folder \
    file_system; do
    says out "$row "
done
expect 0 doctor --json
json 'length' 13
json 'all(.value != "")' true
json '.folder.value | contains("GiB free")' true
json '.launcher.warning' ''
json '.kernels.value | test("^auto = (wino \\([a-z0-9]+\\)|blas \\(OpenBLAS [A-Za-z0-9]+\\)); blas = OpenBLAS [A-Za-z0-9]+, on one thread")' true

# ---- a folder with a long path ----
here=$PWD
deep=$(printf 'deep%.0s' {1..40})
mkdir -p "$deep/$deep" && cd "$deep/$deep"
expect 0 doctor --json
json '.folder.value | contains("GiB free")' true
json '.file_system.value | startswith("unknown")' false
cd "$here"
expect 0 doctor --json

# ---- threads: what a rank is given, and is bound to ----
cpus=$(nproc)
json '.threads.value | startswith("1 a rank; model.threads may ask for up to '$cpus', ")' true
json '.threads.warning' ''
OPENBLAS_NUM_THREADS=8 expect 0 doctor --json
json '.threads.warning' ''
SLURM_CPUS_PER_TASK=$cpus expect 0 doctor --json
json '.threads.value | startswith("'$cpus' a rank; ")' true
json '.threads.warning' ''
SLURM_CPUS_PER_TASK=$((cpus + 1)) expect 0 doctor --json
json '.threads.value | startswith("'$cpus' a rank; ")' true
json '.threads.warning | contains("slot:PE='$((cpus + 1))'") and contains("--cpus-per-task='$((cpus + 1))'")' true
first=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//') # a processor that we may use
n_checks=$((n_checks + 1))
last="SLURM_CPUS_PER_TASK=2 sagax doctor, bound to one processor"
SLURM_CPUS_PER_TASK=2 taskset -c "$first" "$SAGAX" doctor --json >out 2>err || _fail "$last: exit code $?"
json '.threads.value' '1 a rank; model.threads may ask for up to 1, the processor it may use'
json '.threads.warning | contains("may use 1 processor; give")' true

# What doctor warns of is what a verb with ranks refuses: environment, tasks that would be lost (0: none).
# A batch script's own shell has SLURM_NTASKS, but is no task of a step.
while read -r lost variables; do
    variables=($variables)
    n_checks=$((n_checks + 1))
    env "${variables[@]}" "$SAGAX" doctor --json >out 2>err
    warned=$(jq -r .launcher.warning out)
    last="${variables[*]} sagax"
    if [ "$lost" = 0 ]; then
        [ -z "$warned" ] || _fail "$last doctor: want no warning"
        want=66
    else
        [[ $warned == *"each of $lost tasks"*"srun --mpi=pmix" ]] || _fail "$last doctor: want a warning"
        want=69
    fi
    env "${variables[@]}" "$SAGAX" cache build absent absent.h5 >out 2>err
    check "$last cache: exit code, want $want" [ $? = $want ]
done <<'END'
0 SLURM_PROCID=0 SLURM_NTASKS=4
0 SLURM_NTASKS=4
0 SLURM_NTASKS=4 PMI_RANK=0
0 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=1
4 SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4
4 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4 PMI_RANK=0
4 PMI_SIZE=4 PMI_RANK=0
END
SLURM_PROCID=0 SLURM_NTASKS=4 expect 0 doctor --json
json '.launcher.value' 'SLURM_NTASKS=4 SLURM_PROCID=0'
SLURM_STEP_NUM_TASKS=4 PMIX_RANK=0 expect 0 doctor --json
json '.launcher.warning' ''


# Tasks that MPI would not join are more than a warning.
SLURM_STEP_NUM_TASKS=4 expect 69 doctor
says err "srun --mpi=pmix -n 4"

# ---- Slurm: not there, or not answering ----
rm -rf bin && mkdir bin
PATH=$PWD/bin expect 0 doctor
says out "slurm        not installed"
says out "mpi_types    unknown"
says out "time_left    no limit: not in a job of Slurm"
for name in timeout sh; do ln -s "$(command -v $name)" bin/; done
stub() { # stub NAME BODY
    printf '#!/bin/sh\n%s\n' "$2" >"bin/$1"
    chmod +x "bin/$1"
}
stub sinfo 'case $1 in --version) echo "slurm-wlm 22.05.8" ;; *) echo "sinfo: error: no controller" >&2; exit 1 ;; esac'
stub srun 'printf "MPI plugin types are...\n\tnone\n\tpmi2\n"'
stub squeue 'echo 1:02:03'
PATH=$PWD/bin SLURM_JOB_ID=12 SLURM_JOB_NUM_NODES=2 expect 0 doctor --json
json '.slurm.value' 'slurm-wlm 22.05.8 does not answer'
json '.slurm.warning' 'sinfo: error: no controller'
json '.mpi_types.value' 'none  pmi2'
json '.mpi_types.warning | startswith("no pmix")' true
json '.time_left.value' '1:02:03 of job 12'
stub squeue 'echo "$*"'
PATH=$PWD/bin SLURM_JOB_ID=13 SLURM_ARRAY_JOB_ID=12 SLURM_ARRAY_TASK_ID=3 expect 0 doctor --json
json '.time_left.value' '-h -j 12_3 -o %L of job 12_3'
stub sinfo 'case $1 in --version) echo "slurm-wlm 22.05.8" ;; *)
    for i in 1 2 3; do echo "sinfo: error: a long sentence that explains one of the ways that were tried in vain, number $i"; done
    echo "sinfo: fatal: Could not establish a configuration source" && exit 1 ;; esac'
PATH=$PWD/bin expect 0 doctor --json
json '.slurm.warning' 'sinfo: fatal: Could not establish a configuration source'

# ---- nodes of one machine see one folder; of others it is not said ----
is_local() { case $(stat -f -c %T .) in ext* | xfs | btrfs | zfs | tmpfs | overlayfs | f2fs) return 0 ;; *) return 1 ;; esac; }
if is_local; then
    for addresses in "127.0.0.1 127.0.0.1 false" "10.0.0.1 10.0.0.2 true" "10.0.0.1 10.0.0.10 true"; do
        set -- $addresses
        stub scontrol 'echo "NodeName=n1 NodeAddr='"$1"' NodeHostName=n1"; echo "NodeName=n2 NodeAddr='"$2"' NodeHostName=n2"'
        PATH=$PWD/bin SLURM_JOB_ID=12 SLURM_JOB_NUM_NODES=2 SLURM_JOB_NODELIST='n[1-2]' expect 0 doctor --json
        json '.file_system.warning | startswith("2 nodes in this job")' "$3"
    done
    rm bin/scontrol
    PATH=$PWD/bin SLURM_JOB_ID=12 SLURM_JOB_NUM_NODES=2 SLURM_JOB_NODELIST='n[1-2]' expect 0 doctor --json
    json '.file_system.warning | startswith("2 nodes in this job")' true
fi

# ---- several tasks: every line says whose it is ----
PATH=$PWD/bin SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1 PMIX_RANK=1 expect 0 doctor
check "all lines" [ "$(grep -c "^1 $(uname -n): " out)" = "$(wc -l <out)" ]

finish
