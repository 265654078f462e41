#!/usr/bin/env bash
# A real time limit: Slurm warns, the training stops, waits in the queue, goes on, and ends as if nothing
# had been. Takes minutes, because Slurm looks at time limits twice a minute.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2
make_cohort 3
expect 0 cache build three cache.h5 "${all_train[@]}"
# More steps than there is time for: how many it makes until it is cancelled, and 40, are what it is asked for then.
run=(train cache.h5 limited "${small[@]}" --set train.log_every=1 --set train.checkpoint_every=100000)

# Warned in time.
submit --nodes 2 --ntasks 2 --time 1 --sbatch --signal=B:USR1@30 "${run[@]}" --steps 100000000
wait_until 300 grep -q "start 2 of this job" "limited/.sagax/log/train-$id.out"
wait_until 120 grep -q "resumed step" "limited/.sagax/log/train-$id.out"
scancel "$id"
wait_end 120 "$id"
check "it was put back once, or again" [ "$(job_field "$id" Restarts)" -ge 1 ]
steps=$(($(jq -s '.[-1].step' limited/metrics.jsonl) + 40))
submit --nodes 2 --ntasks 2 --time 10:00 "${run[@]}" --steps $steps
wait_end 600 "$id"
ended "$id" COMPLETED 0:0
"$MPIEXEC" -n 2 "$SAGAX" train cache.h5 never "${run[@]:3}" --steps $steps >out 2>err
check "the same weights" cmp limited/weights.h5 never/weights.h5

# Not warned: the limit's SIGTERM is what stops it, and it comes back all the same.
submit --nodes 1 --ntasks 1 --time 1 --sbatch --signal=B:USR1@0 train cache.h5 unwarned "${small[@]}" \
    --steps 100000000
wait_until 300 grep -q "start 2 of this job" "unwarned/.sagax/log/train-$id.out"
wait_until 120 grep -q "resumed step" "unwarned/.sagax/log/train-$id.out"
scancel "$id"
wait_end 120 "$id"
check "a cancelled job stays cancelled" [ "$(job_field "$id" JobState)" = CANCELLED ]
finish
