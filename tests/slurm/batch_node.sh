#!/usr/bin/env bash
# The node of the batch script dies, and with it all that could restart the program: Slurm starts the job again
# as soon as it knows, and the training goes on.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2 --conf BatchStartTimeout=3
make_cohort 3
expect 0 cache build three cache.h5 "${all_train[@]}"
[ "$n_failed" = 0 ] || finish

submit --nodes 2 --ntasks 4 --time 10:00 train cache.h5 long "${small[@]}" --steps 1000000 \
    --set train.checkpoint_every=20
wait_until 120 sh -c 'ls long/ckpt/step-*.h5' # of many the newest three are there
"$cluster" kill-node n1
gone() { [ "$(job_field "$id" JobState)" != RUNNING ]; }
wait_until 90 gone # once Slurm has noticed (SlurmdTimeout): not left with a node that nobody works on
"$cluster" start-node n1
wait_until 180 grep -q "resumed step" "long/.sagax/log/train-$id.out"
check "started again by Slurm" [ "$(job_field "$id" Restarts)" = 1 ]
scancel "$id"
wait_end 120 "$id"
check "a cancelled job stays cancelled" [ "$(job_field "$id" JobState)" = CANCELLED ]
finish
