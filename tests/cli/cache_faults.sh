#!/usr/bin/env bash
# The verb cache when the world fails: a full disk, writes that fail, kill -9, a request to stop. Nothing
# hangs, nothing half-written gets the final name, and the next build cleans up.
#   cache_faults.sh TINY_COHORT LIMITED_CACHE
set -u
. "$(dirname "$0")/lib.sh"
tiny_cohort=$1
limited_cache=$2
rm -rf bids ./*.h5* out err
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

# ---- a small disk, where one can be mounted ----
mkdir -p small
trap 'umount small 2>/dev/null' EXIT
if mount -t tmpfs -o size=96k tmpfs small 2>/dev/null; then
    for n in 1 2 3; do
        fails 74 $n "$SAGAX" cache build bids small/c.h5
        says err "the disk is full"
        check "$n ranks: the small disk is empty again" [ -z "$(ls small)" ]
    done
    umount small
else
    echo "SKIPPED: a full disk: no tmpfs can be mounted here"
fi
finish
