#!/usr/bin/env bash
# kill -9 of a random rank of `sagax sr` at a random instant, many times: whatever has a final name is whole,
# and running it again ends with the bytes of an undisturbed run.   sr_kills.sh [KILLS]
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
. "$(dirname "$0")/sr_world.sh"
kills=${1:-20}
RANDOM=7

start=$(date +%s%N)
check "an undisturbed run" ranks 2 bids whole "${use[@]}"
took_ms=$((($(date +%s%N) - start) / 1000000))

# Every image and sidecar of $1 is that of the whole run.
whole_files() {
    local f
    while read -r f; do cmp -s "$1/$f" "whole/$f" || { echo "$f differs" && return 1; }; done \
        < <(cd "$1" && find . -path '*anat*' -type f ! -path './.sagax/*' ! -name '*.tmp.*')
}

n_killed=0
for round in $(seq $((5 * kills))); do # some rounds find every rank gone already
    [ "$n_killed" -lt "$kills" ] || break
    [ $((round % 4)) = 1 ] && rm -rf killed # else the run goes on where the last kill left it
    "$MPIEXEC" -n 2 "$SAGAX" sr bids killed "${use[@]}" >out 2>err &
    launcher=$!
    sleep "$(printf '%d.%03d' 0 $((RANDOM % (took_ms < 999 ? took_ms : 999))))"
    victims=($(living_ranks $launcher))
    if [ ${#victims[@]} -gt 0 ]; then
        kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null && n_killed=$((n_killed + 1))
    fi
    reap $launcher
    [ -d killed ] && check "kill $round: every finished file is whole" whole_files killed
done
echo "$n_killed kills in $((round - 1)) runs; mpiexec hung without ranks $n_launchers_hung times"
check "all $kills kills met a running rank" [ "$n_killed" = "$kills" ]
check "the last run after the kills" ranks 2 bids killed "${use[@]}"
check "ends with the bytes of an undisturbed run" same whole killed
check "no half-written file is left" clean killed
finish
