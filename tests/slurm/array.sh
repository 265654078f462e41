#!/usr/bin/env bash
# 200 images by an array of tasks, fewer than Slurm would need for one each; a task that was stopped comes
# back, one that was cancelled is made up for by the next submission.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2 --conf MaxArraySize=50 --cpus 2
make_cohort 200
make_weights
[ "$n_failed" = 0 ] || finish
use=(--weights run --steps 2)
tasks=8

# The last task is cancelled before it begins; the second one is stopped in the middle, and comes back.
close_gate sub-102 # one of its 25, not the first
with_gate submit --array $tasks --ntasks 1 --time 20:00 --sbatch --hold sr bids sr-out "${use[@]}"
scancel "${id}_$((tasks - 1))"
scontrol release "$id"
at_gate
check "it has made some" grep -q "made in" "sr-out/.sagax/log/sr-${id}_1.out"
scancel --batch -s USR1 "${id}_1"
wait_until 120 grep -q "start 2 of this job" "sr-out/.sagax/log/sr-${id}_1.out"
open_gate
wait_end 400 "$id"
check "a task that was stopped came back" grep -q "start 2 of this job" "sr-out/.sagax/log/sr-${id}_1.out"
check "the others need no other start" [ "$(grep -l 'start 2 of this job' sr-out/.sagax/log/* | wc -l)" = 1 ]
made_once sr-out $((200 - 200 / tasks))

# What is left, by two submissions at once.
submit --array $tasks --ntasks 1 --time 20:00 --sbatch --hold sr bids sr-out "${use[@]}"
first=$id
submit --array $tasks --ntasks 1 --time 20:00 --sbatch --hold sr bids sr-out "${use[@]}"
scontrol release "$first" && scontrol release "$id"
wait_end 400 "$first" "$id"
made_once sr-out 200
check "the same folder of a submission" [ "$(ls sr-out/.sagax/submit | wc -l)" = 1 ]
check "200 images" [ "$(find sr-out -name '*_T2w.nii.gz' | wc -l)" = 200 ]
check "nothing half-made" [ -z "$(find sr-out -name '*.tmp.*')" ]
expect 0 sr bids sr-out "${use[@]}"
says err "0 made, 200 unchanged"
finish
