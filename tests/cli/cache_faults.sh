#!/usr/bin/env bash
# The verb cache when the world fails: a full disk, writes that fail, kill -9, a request to stop. Nothing
# hangs, nothing half-written gets the final name, and the next build cleans up.
#   cache_faults.sh TINY_COHORT LIMITED_CACHE
set -u
. "$(dirname "$0")/lib.sh"
tiny_cohort=$1
limited_cache=$2
rm -rf bids bids10 ./*.h5* out err
ranks() { timeout -k 5 60 "$MPIEXEC" -n "$1" "${@:2}" >out 2>err; }
# fails CODE RANKS command...: it ends with CODE, soon.
fails() {
    local want=$1 got=0
    shift
    n_checks=$((n_checks + 1))
    last="$*"
    ranks "$@" || got=$?
    [ "$got" -eq "$want" ] || _fail "$last: exit code: got $got, want $want"
}
check "cohort" "$tiny_cohort" bids
expect 0 cache build bids whole.h5

# ---- writes that fail though the disk has room: at each size of the file, on 1, 2, 3 ranks ----
for n in 1 2 3; do
    fails 0 $n "$limited_cache" 0 free.h5
    expect 0 cache verify free.h5
    for kib in 1 60 200 320; do
        fails 74 $n "$limited_cache" $kib limited.h5
        check "$kib KiB, $n ranks: nothing has the final name" [ ! -e limited.h5 ]
    done
done

# ---- killed, then built again: the leftovers go; stopped: 75, and the older cache is as it was ----
cp whole.h5 cache.h5
touch cache.h5.tmp.1 cache.h5.tmp.1-2-3.lock cache.h52.tmp.7
rm -r bids/sub-09
for s in $(seq 100 400); do
    mkdir -p bids/sub-$s/anat
    cp bids/sub-04/anat/sub-04_acq-sag_T2w.nii.gz bids/sub-$s/anat/sub-${s}_acq-sag_T2w.nii.gz
done
close_gate cache.h5.tmp. # it is put together
"${gated[@]}" "$MPIEXEC" -n 2 "$SAGAX" cache build bids cache.h5 >out 2>err &
launcher=$!
at_gate
victims=($(living_ranks $launcher))
check "two ranks are at work" [ ${#victims[@]} = 2 ]
kill -9 "${victims[0]}"
reap $launcher
check "the older cache is as it was" cmp whole.h5 cache.h5
cp cache.h5 other.h5
close_gate other.h5.sagax/parts/ 100
"${gated[@]}" "$SAGAX" cache build bids other.h5 >out 2>err &
builder=$!
at_gate
kill -TERM $builder
wait $builder
check "a stop ends with 75" [ $? = 75 ]
says err "run again"
check "the older cache is as it was" cmp whole.h5 other.h5
expect 0 cache build bids cache.h5
says err "310 of 310 volumes are there already"
expect 0 cache build bids other.h5
check "both end alike" cmp cache.h5 other.h5
check "nothing is left but the other file's" [ "$(ls | grep 'tmp')" = cache.h52.tmp.7 ]

# ---- a small disk, where one can be mounted: when parts find no room, when the cache finds none ----
mkdir -p small
trap 'umount small 2>/dev/null' EXIT
check "cohort" "$tiny_cohort" bids10
expect 0 cache build bids10 ten.h5
if mount -t tmpfs -o size=128k tmpfs small 2>/dev/null; then
    for n in 1 2 3; do
        rm -rf small/*
        mount -o remount,size=128k small
        fails 74 $n "$SAGAX" cache build bids10 small/c.h5
        says err "No space left on device"
        check "$n ranks: nothing has the final name" [ ! -e small/c.h5 ]
        there=$(ls small/c.h5.sagax/parts/*.h5 | wc -l)
        check "$n ranks: some parts are there" [ "$there" -gt 0 ]
        check "$n ranks: no unfinished part is left" [ -z "$(ls small/c.h5.sagax/parts | grep tmp)" ]
        mount -o remount,size=420k small
        fails 74 $n "$SAGAX" cache build bids10 small/c.h5
        says err "$there of 10 volumes are there already"
        says err "the disk is full"
        check "$n ranks: all parts are there" [ "$(ls small/c.h5.sagax/parts/*.h5 | wc -l)" = 10 ]
        check "$n ranks: nothing has the final name" [ -z "$(ls small | grep -v 'c.h5.sagax')" ]
        mount -o remount,size=2m small
        fails 0 $n "$SAGAX" cache build bids10 small/c.h5
        says err "10 of 10 volumes are there already"
        check "$n ranks: with room it ends as if nothing had been" cmp ten.h5 small/c.h5
    done
    umount small
else
    echo "SKIPPED: a full disk: no tmpfs can be mounted here"
fi
finish
