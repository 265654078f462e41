#!/usr/bin/env bash
# The whole path on two nodes by jobs that wait for each other, and how ranks must not be started.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2
cat >study.ini <<'END'
[submit]
nodes = 2
ntasks = 4
time = 10:00
[data]
split_train = 1
split_val = 0
split_test = 0
[model]
base_channels = 8
mult = 1,1
res_blocks = 1
[train]
crop = 16
batch = 4
steps = 6
val_every = 0
preview_every = 0
[diffusion]
steps = 2
END

# Ranks of two nodes make what mpirun makes.
last="phantom by srun"
check "$last" timeout 120 srun --mpi=pmix -N2 -n4 "$SAGAX" phantom bids --subjects 2 "${field[@]}" -q
expect 0 phantom alone --subjects 2 "${field[@]}" -q
check "$last: the same as by one process" diff -r bids alone

# ---- srun that gives no PMIx ----
for how in "" --mpi=none --mpi=pmi2; do
    last="srun $how"
    got=0
    timeout 120 srun -n3 $how "$SAGAX" train absent.h5 run >out 2>err || got=$?
    check "$last: exit code $got, want 69" [ $got = 69 ]
    says err 'srun --mpi=pmix -n 3 sagax'
    got=0
    timeout 120 srun -n3 $how "$SAGAX" doctor >out 2>err || got=$?
    check "$last doctor: exit code $got, want 69" [ $got = 69 ]
done
last="doctor by srun --mpi=pmix"
check "$last" timeout 120 srun --mpi=pmix -N2 -n2 "$SAGAX" doctor >out
says out "PMIX_RANK=1"
says out "mpi_types    "
says out "slurm        slurm-wlm"
says out "of job "
says out "1 n2: version "
check "one machine is no reason to warn" bash -c '! grep -q "seems to be of one alone" out'

# ---- cache, train, sr, eval ----
last="slurm/chain"
"$tools/chain" bids made --truth bids/derivatives/truth --split all --config study.ini >out 2>err
check "$last" [ $? = 0 ]
check "four jobs" [ "$(cut -f 1 out | tr '\n' ' ')" = "cache train sr eval " ]
mapfile -t ids < <(cut -f 2 out)
wait_end 300 "${ids[@]}"
for id in "${ids[@]}"; do ended "$id" COMPLETED 0:0; done
check "a table of scores" grep -q '^| sr |' made/scores.md
check "logs of all steps" [ "$(ls made/*.sagax/log/* made/*/.sagax/log/* | wc -l)" = 4 ]

# What mpirun makes of the same study.
mkdir direct
for step in "cache build bids direct/cache.h5" "train direct/cache.h5 direct/run" \
    "sr bids direct/sr --weights direct/run" \
    "eval images --truth bids/derivatives/truth --sr direct/sr --lr bids direct/scores"; do
    last="mpirun -n 2 sagax $step"
    check "$last" "$MPIEXEC" -n 2 "$SAGAX" $step --config study.ini -q
done >direct.out 2>direct.err
check "the same weights" cmp made/run/weights.h5 direct/run/weights.h5
same_outputs made/sr direct/sr
check "the same scores" cmp made/scores.tsv direct/scores.tsv

# ---- a chain that breaks leaves nothing behind ----
last="slurm/chain with an unknown key"
sed 's/^steps = 6/stesp = 6/' study.ini >bad.ini
"$tools/chain" bids broken --config bad.ini >out 2>err
got=$?
check "$last: exit code $got, want 78" [ $got = 78 ]
says err "bad.ini:16: unknown key train.stesp"
check "no job waits" [ -z "$(squeue -h || echo no answer)" ]
# A step that fails takes those behind it out of the queue.
"$tools/chain" bids broken --config study.ini --time 5:00 --partition main --sbatch --begin=now+600 >out 2>err
mapfile -t ids < <(cut -f 2 out)
scancel "${ids[0]}"
wait_end 120 "${ids[@]}"
ended "${ids[1]}" CANCELLED 0:0
finish
