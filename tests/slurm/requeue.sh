#!/usr/bin/env bash
# Stopping and going on: requeued trainings end with the weights of one that was never stopped; a cancelled
# job stays cancelled; nothing is started for ever.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2
make_cohort 3
expect 0 cache build three cache.h5 "${all_train[@]}"
long=(--steps 60000 --set train.checkpoint_every=20000 --set train.log_every=10)
[ "$n_failed" = 0 ] || finish

steps_of() { cat "$1/metrics.jsonl" 2>/dev/null | jq -s '.[-1].step // 0'; }
beyond() { [ "$(steps_of "$1")" -gt "$2" ]; }
restarts() { job_field "$1" Restarts; }
restarted() { [ "$(restarts "$1")" -ge "$2" ] && [ "$(job_field "$1" JobState)" = RUNNING ]; }
log() { cat "$1"/.sagax/log/*; }

# ---- stopped twice, gone on; the end is by number of steps ----
submit --nodes 2 --ntasks 2 --time 20:00 train cache.h5 stopped "${small[@]}" "${long[@]}"
stopped=$id
for n in 1 2; do
    at=$(steps_of stopped)
    wait_until 120 beyond stopped "$at"
    scancel --batch -s USR1 "$stopped"
    wait_until 120 restarted "$stopped" "$n"
    wait_until 120 grep -q "start $((n + 1)) of this job" "stopped/.sagax/log/train-$stopped.out"
done
wait_until 120 beyond stopped "$(steps_of stopped)"

# ---- cancelled: stays so, and what is there can go on ----
scancel "$stopped"
wait_end 120 "$stopped"
check "a cancelled job stays cancelled" [ "$(job_field "$stopped" JobState)" = CANCELLED ]
check "it had been requeued twice" [ "$(restarts "$stopped")" = 2 ]
log stopped >out
last="log of the stopped training"
check "told three times where it starts" [ "$(grep -cE '^(fresh start|resumed step)' out)" = 3 ]
check "the cancel ended it as a stop does" [ "$(grep -c 'asked to stop: checkpoint' out)" = 3 ]
at=$(jq -s '.[-1].step' stopped/metrics.jsonl)
total=$((at + 40))

# The rest by another job on another number of ranks, against one by mpirun that was never stopped.
submit --nodes 1 --ntasks 1 --time 20:00 train cache.h5 stopped "${small[@]}" "${long[@]}" --steps $total
wait_end 120 "$id"
ended "$id" COMPLETED 0:0
"$MPIEXEC" -n 2 "$SAGAX" train cache.h5 never "${small[@]}" "${long[@]}" --steps $total >out 2>err
check "a training of $total steps" [ $? = 0 ]
check "the same weights" cmp stopped/weights.h5 never/weights.h5

# ---- not for ever ----
SAGAX_MAX_RESTARTS=1 submit --nodes 1 --ntasks 1 --time 20:00 train cache.h5 bounded "${small[@]}" "${long[@]}"
bounded=$id
wait_until 120 beyond bounded 0
scancel --batch -s USR1 "$bounded"
wait_until 120 restarted "$bounded" 1
wait_until 120 beyond bounded "$(steps_of bounded)"
scancel --batch -s USR1 "$bounded"
wait_end 120 "$bounded"
ended "$bounded" FAILED 75:0
check "and says so" grep -q "started again 1 times already" "bounded/.sagax/log/train-$bounded.out"

# ---- two jobs on one folder at once: one owner at a time, and nothing is mixed ----
twice=(train cache.h5 twice "${small[@]}" --steps 400 --set train.checkpoint_every=50)
submit --ntasks 1 --nodes 1 --time 20:00 "${twice[@]}"
first=$id
submit --ntasks 2 --nodes 1 --time 20:00 "${twice[@]}"
wait_end 120 "$first" "$id"
ended "$first" COMPLETED 0:0
ended "$id" COMPLETED 0:0
expect 0 train cache.h5 once "${twice[@]:3}"
check "the same weights" cmp twice/weights.h5 once/weights.h5

# ---- exit codes come through, once ----
submit --ntasks 2 --nodes 1 --dependency singleton train absent.h5 other "${small[@]}"
wait_end 120 "$id"
ended "$id" FAILED 66:0
check "not tried again" [ "$(restarts "$id")" = 0 ]
# srun may say 0 although it started nothing.
mkdir bin && printf '#!/bin/sh\nexit 0\n' >bin/srun && chmod +x bin/srun
PATH=$PWD/bin:$PATH submit --ntasks 2 --nodes 1 train cache.h5 other "${small[@]}"
wait_end 120 "$id"
ended "$id" FAILED 69:0
# ---- --retry all, stopped: goes on where it was, each image is made again once ----
again=(sr bids again --weights run --steps 100)
expect 0 train cache.h5 run --steps 2 "${small[@]}"
expect 0 "${again[@]}"
asked() { cat again/.sagax/journal/*.jsonl | jq -r 'select(.request and .state == "made") | .item'; }
close_gate again/sub-001/anat/sub-001_acq-ax_res-iso_desc-superres_T2w.nii.gz.tmp. # the second of three
with_gate submit --ntasks 1 --nodes 1 --time 10:00 "${again[@]}" --retry all
at_gate
check "some are made again" [ "$(asked | wc -l)" -ge 1 ]
scancel --batch -s USR1 "$id"
wait_until 120 restarted "$id" 1
open_gate
wait_end 120 "$id"
ended "$id" COMPLETED 0:0
check "it came back" [ "$(restarts "$id")" = 1 ]
check "each image once" [ "$(asked | sort | uniq -c | awk '{print $1}' | tr '\n' ' ')" = "1 1 1 " ]

# One of three images is no image: the others are made, the code says that some failed.
echo nonsense >bids/sub-002/anat/sub-002_acq-ax_T2w.nii.gz
submit --ntasks 2 --nodes 1 sr bids some --weights run --steps 2
wait_end 120 "$id"
ended "$id" FAILED 1:0
made_once some 2
finish
