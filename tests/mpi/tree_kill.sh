#!/bin/bash
# A rank that is killed while the others wait for its part of a sum ends the job, soon, and nothing
# of the shared memory stays behind.
set -u
program=$1
fail() { echo "FAIL: $*"; exit 1; }
windows() { ls /dev/shm 2>/dev/null | grep -c '^osc_sm'; }

before=$(windows)
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
[ "$(windows)" -le "$before" ] || fail "windows left behind: $(ls /dev/shm)"
echo "ok"
