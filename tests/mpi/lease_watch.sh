#!/bin/bash
# A job in which nobody moves ends with 75 and one line that says whom it waited for; one that is slow,
# or was stopped for a while, ends as if nothing had been. Ranks lose patience after 6 s here, as
# short as a crowded machine allows; the jobs run side by side.
set -u
program=$1
doing='item sub-01, slice 3 of 100'
host=$(hostname | tr -c 'A-Za-z0-9.\n-' _)
declare -A job
fail() {
    echo "FAIL: $1: $2"
    cat "$1/out"
    kill -9 $(cat ./*/ready.*) 2>/dev/null
    exit 1
}
rm -rf -- *

# start NAME WHO SECONDS HOW: a job of three ranks, in the background; its folder is NAME.
start() {
    mkdir "$1"
    : >"$1/verdict"
    SAGAX_VERDICT=$1/verdict timeout 120 "$MPIEXEC" -n 3 "$program" "$@" >"$1/out" 2>&1 &
    job[$1]=$!
}

# ready NAME: it has come so far that others can know from the crew what its WHO does.
ready() {
    for _ in $(seq 600); do
        [ -e "$1/ready.0" ] && [ -e "$1/ready.1" ] && [ -e "$1/ready.2" ] &&
            grep -q "^doing=$doing" "$1"/crew/* && return
        sleep 0.05
    done
    fail "$1" "it did not start"
}

# send NAME SIGNAL RANK ...
send() {
    local name=$1 signal=$2 rank
    shift 2
    for rank; do kill "-$signal" "$(cat "$name/ready.$rank")"; done
}

# ends NAME CODE
ends() {
    local code=0
    wait "${job[$1]}" || code=$?
    [ $code = "$2" ] || fail "$1" "exit code: got $code, want $2"
    [ "$2" = 0 ] || return
    ! grep -q 'ending the job' "$1/out" || fail "$1" "nobody should have lost patience"
}

# blames NAME RANK: one line, of this rank.
blames() {
    local want="rank $2 on $host has not moved for [0-9]* s ($doing); ending the job"
    [ "$(grep -c 'ending the job' "$1/out")" = 1 ] || fail "$1" "want one line about it"
    grep -q "$want" "$1/out" || fail "$1" "want: $want"
}

start stopped 1 100 moves
start lowest 0 100 moves
start hangs 2 100 hangs
start slow 1 15 moves
start leaves 1 10 leaves
start short 1 5 moves
start suspended 1 3 moves
start away 1 15 moves
for name in "${!job[@]}"; do ready "$name"; done
send stopped STOP 1
send lowest STOP 0 # whose part it would be to speak
send suspended STOP 0 1 2
mv away/crew away/crew.away
send short STOP 1
sleep 1
send short CONT 1

# A process without others, meanwhile. It needs no beat to know that it hangs.
mkdir single
timeout 120 "$program" single 0 100 hangs >single/out 2>&1 &
job[single]=$!
for _ in $(seq 600); do [ -e single/ready.0 ] && break || sleep 0.05; done
mv single/crew single/crew.away

ends stopped 75
blames stopped 1
[ "$(cat stopped/verdict)" = 75 ] || fail stopped "the batch script was not told"
[ ! -e stopped/stalled.1 ] || fail stopped "a stopped rank cannot have spoken"
ends lowest 75
blames lowest 0
ends hangs 75
blames hangs 2
[ "$(cat hangs/stalled.2)" = "$doing" ] || fail hangs "rank 2 was not asked what it did"
[ "$(ls hangs | grep -c stalled)" = 1 ] || fail hangs "others were asked what they did"
ends single 75
blames single 0
[ "$(cat single/stalled.0)" = "$doing" ] || fail single "it was not asked what it did"
ends slow 0
[ ! -s slow/verdict ] || fail slow "the batch script was told of an end"
[ -z "$(ls slow/crew slow/claims | grep -v -e : -e '^$')" ] || fail slow "something was left behind"
ends leaves 0
ends short 0
# Longer than anybody's patience, as when Slurm suspends a job.
send suspended CONT 2 1 0
ends suspended 0
# Nobody's beats arrive any more: no reason to end a job that moves.
ends away 0
[ "$(grep -c 'No such file' away/out)" = 3 ] || fail away "each rank should say once that it cannot write"
echo "ok"
