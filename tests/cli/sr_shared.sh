#!/usr/bin/env bash
# Several runs of `sagax sr` at one output, and ranks that stand still: sr_shared.sh [TIMES]
# Each item is made once, by whoever has its lease; whoever is dead or silent loses it.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
. "$(dirname "$0")/sr_world.sh"
times=${1:-5}
lease=(--set run.lease_s=2)

expect 0 phantom cohort --subjects 8 --set phantom.chunks=1 "${field[@]}"
check "an undisturbed run" ranks 2 cohort whole "${use[@]}"
n_items=$(find whole -name '*superres*.nii.gz' | wc -l)
check "has eight volumes" test "$n_items" = 8
made() { cat "$1"/.sagax/journal/*.jsonl | grep -c '"state":"made"'; }

# ---- one output, two runs at once: as after a requeue whose former self still lives ----
for round in $(seq "$times"); do
    rm -rf both
    "$MPIEXEC" -n 2 "$SAGAX" sr cohort both "${use[@]}" "${lease[@]}" >out.a 2>err.a &
    a=$!
    "$MPIEXEC" -n 1 "$SAGAX" sr cohort both "${use[@]}" "${lease[@]}" >out.b 2>err &
    b=$!
    wait $a
    check "round $round: the first ends well" test $? = 0
    wait $b
    check "round $round: so does the second" test $? = 0
    check "round $round: every item was made once" test "$(made both)" = "$n_items"
    check "round $round: with the bytes of one run" same whole both
    check "round $round: nothing half-written is left" clean both
done
echo "$times times two runs at one output: each of $((times * n_items)) items made once"

# ---- a run that is killed, and others that go on in its place while a third works ----
close_gate cohort/sub-003
"${gated[@]}" "$MPIEXEC" -n 2 "$SAGAX" sr cohort heirs --weights run --steps 12 "${lease[@]}" >out.a 2>err.a &
a=$!
at_gate
check "the first run has begun an item" test -n "$(ls heirs/.sagax/claims)"
living_ranks $a | xargs -r kill -9
reap $a
check "leases of the dead are there" test -n "$(ls heirs/.sagax/claims)"
check "a second run ends well" ranks 2 cohort heirs --weights run --steps 12 "${lease[@]}"
check "and has made what the first had not" test "$(made heirs)" = "$n_items"

# ---- a rank that stands still for a moment, and one that does for ever ----
stand_still() { # stand_still FOLDER SECONDS options...: a run of which a rank is stopped once it is at work
    local folder=$1 pause=$2 victim i
    shift 2
    close_gate cohort/sub-003
    "${gated[@]}" "$MPIEXEC" -n 2 "$SAGAX" sr cohort "$folder" "$@" >out 2>err &
    launcher=$!
    at_gate
    victim=$(living_ranks $launcher | tail -1)
    kill -STOP "$victim"
    open_gate
    for ((i = 0; i < pause * 10; i++)); do kill -0 $launcher 2>/dev/null && sleep 0.1 || break; done
    kill -CONT "$victim" 2>/dev/null
    wait $launcher
}
stand_still short 1 "${use[@]}" --set run.stall_s=30
check "a short stop does no harm" test $? = 0
check "and changes nothing" same whole short

# The others go on with what they can; then they wait for it, but not for ever.
stand_still ever 200 --weights run --steps 12 --set run.stall_s=10 --set run.lease_s=2
check "a rank that stands still for ever ends the run with 75" test $? = 75
last="a run with a rank that stands still"
says err "has not moved for"
check "which names rank and host" grep -qE "rank [01] on $(hostname)" err
check "running again finishes it" ranks 2 cohort ever --weights run --steps 12
check "with the bytes of an undisturbed run" same heirs ever

# ---- a run that was silent for too long finds its item with another ----
close_gate cohort/sub-003
"${gated[@]}" "$MPIEXEC" -n 1 "$SAGAX" sr cohort lost --weights run --steps 12 "${lease[@]}" >out.a 2>err.a &
a=$!
at_gate
frozen=$(living_ranks $a)
kill -STOP $frozen
open_gate
check "another run takes over what it held" ranks 1 cohort lost --weights run --steps 12 "${lease[@]}"
check "all of it" test "$(made lost)" = "$n_items"
kill -CONT $frozen
wait $a
check "the first one finds everything done" test $? = 0
check "and has made nothing twice" test "$(made lost)" = "$n_items"
check "the result is that of one run" same heirs lost

# ---- fewer scans than ranks: it is not the first rank that an item kills ----
heavy=(crashed --weights run --steps 120 "${lease[@]}")
begun() { cat crashed/.sagax/journal/*.jsonl 2>/dev/null | grep -c '"state":"begun"'; }
helps() { [ "$(begun)" -ge "$1" ] && grep -q '^doing=.* slice ' $(grep -lx rank=3 crashed/.sagax/crew/*); }
for n in 1 2; do
    "$MPIEXEC" -n 4 "$SAGAX" sr bids "${heavy[@]}" >out.a 2>err.a &
    a=$!
    wait_until 120 helps $n
    for helper in $(living_ranks $a); do grep -qx "pid=$helper" $(grep -lx rank=3 crashed/.sagax/crew/*) && break; done
    kill -SEGV "$helper"
    reap $a
    check "run $n ends of it" test $? = 139
done
ranks 4 bids "${heavy[@]}"
check "the third run leaves that item out" test $? = 1
check "and says why" grep -q "failed	the program died in it 2 times" crashed/sagax-sr.tsv

# ---- a scan in which ranks are always killed, as by the memory limit: it comes last, and all others are made ----
# The second and the third time one that was under way beside it may be killed with it, or stand behind it.
for n in 1 2 3 4; do
    close_gate killed/sub-003/ses-01/anat/sub-003_ses-01_acq-ax_res-iso_desc-superres_T2w.nii.gz.tmp. # all but written
    "${gated[@]}" "$MPIEXEC" -n 2 "$SAGAX" sr cohort killed --weights run --steps 12 "${lease[@]}" >out.a 2>err &
    a=$!
    at_gate
    living_ranks $a | xargs -r kill -9
    reap $a
done
last="the fourth run"
check "it comes last, one at a time" grep -q "come last, [12] of them one at a time" err
check "all others are made" test "$(made killed)" = $((n_items - 1))
check "it is not left out" ranks 2 cohort killed --weights run --steps 12
check "with the bytes of an undisturbed run" same heirs killed
finish
