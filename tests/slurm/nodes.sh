#!/usr/bin/env bash
# A node dies under a cohort whose job keeps what is left (--no-kill): it goes on with the other one, and
# every image is made once.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2
make_cohort 24
make_weights
[ "$n_failed" = 0 ] || finish
made() { grep -l . sr-out/.sagax/journal/*.jsonl 2>/dev/null | xargs -r cat | grep -c '"made"'; }
at_least() { [ "$(made)" -ge "$1" ]; }

# However fast the others are: images 20 to 24 wait until the node is gone.
close_gate sub-02
with_gate submit --nodes 2 --ntasks 4 --time 10:00 --sbatch --no-kill sr bids sr-out --weights run --steps 6 --set run.lease_s=3
# The batch script is on the first node; the other one loses its power in the middle of the work.
wait_until 90 at_least 4
check "there is still work to do" [ "$(made)" -lt 22 ]
"$cluster" kill-node n2
open_gate
wait_end 180 "$id"
ended "$id" COMPLETED 0:0
check "in one and the same start of the job" [ "$(job_field "$id" Restarts)" = 0 ]
log=sr-out/.sagax/log/sr-$id.out
last="log of the job"
cp "$log" out
check "goes on with the other one" grep -qE "lost: goes on with [123] ranks on n1$" out
made_once sr-out 24
"$MPIEXEC" -n 2 "$SAGAX" sr bids direct --weights run --steps 6 -q >out 2>err
same_outputs sr-out direct
finish
