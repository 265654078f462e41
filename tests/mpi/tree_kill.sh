#!/bin/bash
# A rank that is killed while the others wait for its part of a sum ends the job, soon, and nothing
# of the shared memory stays behind.
set -u
program=$1
fail() { echo "FAIL: $*"; exit 1; }
# A folder of their own: tests beside this one have windows, too.
OMPI_MCA_osc_sm_backing_directory=$(mktemp -d "/dev/shm/tree_kill.XXXXXX") || fail "no folder in /dev/shm"
export OMPI_MCA_osc_sm_backing_directory
trap 'rm -rf "$OMPI_MCA_osc_sm_backing_directory"' EXIT
for victim in 0 1; do
    for node in 1 3; do # every rank a node; all ranks one node
        timeout 60 "$MPIEXEC" -n 3 "$program" die $victim $node >out 2>&1
        code=$?
        [ $code != 124 ] || fail "rank $victim of nodes of $node was killed, the others still wait"
        [ $code != 0 ] || fail "rank $victim of nodes of $node was killed, mpiexec says all is well"
        ! grep -q 'summed' out || fail "a sum without rank $victim: $(cat out)"
        grep -q 'rank [0-2] waits' out || fail "nobody came to wait: $(cat out)"
    done
done
left=$(ls "$OMPI_MCA_osc_sm_backing_directory")
[ -z "$left" ] || fail "windows left behind: $left"
echo "ok"
