#!/usr/bin/env bash
# A rank dies under a cohort, by somebody's hand or by an image that the program cannot stand: the job
# goes on in its allocation. An image that is merely bad ends neither the job nor what waits for it.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2
make_cohort 16
make_weights
[ "$n_failed" = 0 ] || finish
at_least() { [ "$(cat sr-out/.sagax/journal/*.jsonl | grep -c '"made"')" -ge "$1" ]; }

# ---- kill -9 of a rank ----
close_gate sub-01 # these images wait for the kill
with_gate submit --nodes 2 --ntasks 4 --time 10:00 sr bids sr-out --weights run --steps 6 --set run.lease_s=3
wait_until 90 at_least 3
victim=$(pids_here -x sagax | shuf -n 1)
check "a rank is at work" test -n "$victim"
kill -9 "$victim"
open_gate
wait_end 180 "$id"
ended "$id" COMPLETED 0:0
cp "sr-out/.sagax/log/sr-$id.out" out
last="log of the job"
says out "a rank died: goes on with 4 ranks on n1 n2"
made_once sr-out 16

# ---- a bad image ----
head -c 2000 bids/sub-004/anat/sub-004_acq-ax_T2w.nii.gz >cut && cp cut bids/sub-004/anat/sub-004_acq-ax_T2w.nii.gz
submit --nodes 1 --ntasks 2 --time 10:00 sr bids bad-out --weights run --steps 1
alone=$id
export SAGAX_ITEMS_MAY_FAIL=yes
submit --nodes 1 --ntasks 2 --time 10:00 sr bids chain-out --weights run --steps 1
wait_end 120 "$alone" "$id"
ended "$alone" FAILED 1:0
ended "$id" COMPLETED 0:0
expect 0 status chain-out
says out "failed            1   data 1"
says out "sagax submit --nodes 1 --ntasks 2 --time 10:00 sr bids chain-out --weights run --steps 1 --retry failed"
finish
