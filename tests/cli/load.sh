#!/usr/bin/env bash
# A cohort of the paper's size, tiny volumes, 4 ranks: load.sh [SESSIONS]
# 927 sessions of 3 or 4 chunks are 3,244 items. Checks that every item is made once, that memory stays
# flat and that nothing is left; prints what sharing out costs, and how long `sagax status` takes.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
. "$(dirname "$0")/sr_world.sh"
sessions=${1:-927}
ranks=4

# Names of a cohort, all of them copies of two scans: contents do not matter here.
mkdir cohort
n_items=0
for ((s = 0; s < sessions; s++)); do
    subject=$(printf 'sub-%04d' $((s / 3))) session=ses-$((s % 3))
    mkdir -p cohort/$subject/$session/anat
    for ((c = 0; c < 3 + s % 2; c++)); do
        cp bids/sub-00$((1 + c % 2))/ses-01/anat/sub-00$((1 + c % 2))_ses-01_acq-ax_T2w.nii.gz \
            cohort/$subject/$session/anat/${subject}_${session}_acq-ax_chunk-${c}_T2w.nii.gz
        n_items=$((n_items + 1))
    done
done

# Resident memory of all ranks, kB, with the number of finished items, until the run ends.
watch_memory() {
    local launcher=$1 kb pids
    while kill -0 "$launcher" 2>/dev/null; do
        pids=$(pgrep -P "$launcher" | tr '\n' ' ')
        kb=$(for p in $pids; do awk '/VmRSS/ {print $2}' /proc/$p/status 2>/dev/null; done | sort -n | tail -1)
        echo "$(find sr -name '*superres*.json' 2>/dev/null | wc -l) ${kb:-0}"
        sleep 1
    done >memory
}

"$MPIEXEC" -n $ranks "$SAGAX" sr cohort sr "${use[@]}" >log 2>run.err &
launcher=$!
watch_memory $launcher
wait $launcher
check "the run ended well" test $? = 0
made() { cat sr/.sagax/journal/*.jsonl | grep -c '"state":"made"'; }
check "every item was made once" test "$(made)" = "$n_items"
check "and has its output" test "$(find sr -name '*superres*.nii.gz' | wc -l)" = "$n_items"
check "no lease is left" test -z "$(ls sr/.sagax/claims sr/.sagax/crew | grep -v : | tr -d '\n')"

at() { awk -v n="$1" '$1 >= n && $2 > 0 {print $2; exit}' memory; } # kB at that number of items
early=$(at $((n_items / 10)))
most=$(awk -v n=$((n_items / 10)) '$1 >= n && $2 > m {m = $2} END {print m}' memory)
check "memory at most 5 % above that of a tenth of the way" \
    awk -v a="$early" -v b="$most" 'BEGIN {exit !(a > 0 && b <= 1.05 * a)}'

began=$(date +%s%N)
expect 0 status sr
status_ms=$((($(date +%s%N) - began) / 1000000))
says out "made"
began=$(date +%s%N)
ranks $ranks cohort sr "${use[@]}"
again_ms=$((($(date +%s%N) - began) / 1000000))
says err "0 made, $n_items unchanged"

grep -h "of the ranks' time" run.err
echo "$n_items items of $sessions sessions on $ranks ranks"
echo "memory of the largest rank: $early kB at 10 %, at most $most kB afterwards"
echo "sagax status: $status_ms ms; running again with nothing to do: $again_ms ms"
finish
