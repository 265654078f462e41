#!/usr/bin/env bash
# One cache, disturbed: kill -9 of a random rank at a random instant, a request to stop, two builds at once, many
# times. The cache that comes out has the bytes of an undisturbed build, and nothing is left beside it.
#   cache_kills.sh TINY_COHORT [TIMES]
set -u
. "$(dirname "$0")/lib.sh"
tiny_cohort=$1
times=${2:-10}
rm -rf ./*
RANDOM=11

check "cohort" "$tiny_cohort" bids
for s in $(seq 100 150); do
    mkdir -p bids/sub-$s/anat
    cp bids/sub-04/anat/sub-04_acq-sag_T2w.nii.gz bids/sub-$s/anat/sub-${s}_acq-sag_T2w.nii.gz
done
n=$(find bids -name '*.nii*' | wc -l)
start=$(date +%s%N)
# What memory holds, here something else than in later builds, is not in the file.
check "an undisturbed build" "$MPIEXEC" -n 3 env MALLOC_PERTURB_=165 "$SAGAX" cache build bids whole.h5 >out 2>err
took_ms=$((($(date +%s%N) - start) / 1000000))

# Items that run number $1 made, by its journals.
made() { cat c.h5.sagax/journal/* | jq -s "[.[] | select(.run == $1 and .state == \"made\")] | length"; }
last_run() { cat c.h5.sagax/journal/* 2>/dev/null | jq -s '[.[].run] | max // 0'; }
parts() { ls c.h5.sagax/parts/*.h5 2>/dev/null | wc -l; }
is_whole() {
    n_checks=$((n_checks + 1))
    cmp whole.h5 c.h5 || _fail "$1: another cache came out"
    [ -z "$(ls -A c.h5.sagax/parts)" ] || _fail "$1: parts are left: $(ls -A c.h5.sagax/parts | head -3)"
    [ -z "$(ls | grep tmp)" ] || _fail "$1: unfinished files are left: $(ls | grep tmp)"
}

# Wait for an instant of build $1: any, some number of parts, or that the cache is put together.
await() {
    local any=$((RANDOM % 3)) number=$((RANDOM % n))
    [ $any = 0 ] && sleep "$(awk -v r=$RANDOM -v t=$took_ms 'BEGIN {printf "%.3f", r / 32768 * t / 1000}')"
    while kill -0 "$1" 2>/dev/null; do
        case $any in
        0) break ;;
        1) [ "$(parts)" -gt $number ] && break ;;
        2) compgen -G 'c.h5.tmp.*' >/dev/null && break ;;
        esac
    done
}

# ---- kills: what was made is not made again ----
n_killed=0
n_resumed=0
for round in $(seq $((5 * times))); do # some rounds find every rank gone already
    [ "$n_killed" -lt "$times" ] || break
    there=$(parts)
    before=$(last_run)
    "$MPIEXEC" -n 3 "$SAGAX" cache build bids c.h5 >out 2>err &
    launcher=$!
    await $launcher
    victims=($(living_ranks $launcher))
    if [ ${#victims[@]} -gt 0 ]; then
        kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null && n_killed=$((n_killed + 1))
    fi
    reap $launcher
    last="round $round"
    if [ "$(last_run)" -gt "$before" ]; then
        check "round $round: nothing that was there was made again" [ "$(made $((before + 1)))" -le $((n - there)) ]
        n_resumed=$((n_resumed + (there > 0)))
    fi
    if [ -e c.h5 ]; then
        expect 0 cache build bids c.h5
        is_whole "round $round"
        rm -r c.h5*
    else
        check "round $round: no part was lost" [ "$(parts)" -ge "$there" ]
    fi
done
echo "$n_killed kills in $((round - 1)) runs, $n_resumed runs went on with parts;" \
    "mpiexec hung without ranks $n_launchers_hung times"
check "all $times kills met a running rank" [ "$n_killed" = "$times" ]
check "some runs went on where another was killed" [ "$n_resumed" -gt 0 ]
check "the last run after the kills" "$MPIEXEC" -n 3 "$SAGAX" cache build bids c.h5 >out 2>err
is_whole "after the kills"
rm -r c.h5*

# ---- a request to stop: 75, and the next run makes the rest ----
for opened in 5 20 40; do
    close_gate c.h5.sagax/parts/ $opened
    "${gated[@]}" "$SAGAX" cache build bids c.h5 >out 2>err &
    builder=$!
    at_gate
    kill -USR1 $builder
    wait $builder
    check "a stop ends with 75" [ $? = 75 ]
    says err "run again"
    there=$(parts)
    check "it had made parts" [ "$there" -gt 0 ]
    expect 0 cache build bids c.h5
    says err "$there of $n volumes are there already"
    check "the next run makes the rest alone" [ "$(made 2)" = $((n - there)) ]
    check "and no volume was made twice" [ $(($(made 1) + $(made 2))) = "$n" ]
    is_whole "after a stop"
    rm -r c.h5*
done

# ---- two builds of one cache at once ----
for round in $(seq "$times"); do
    "$MPIEXEC" -n 2 "$SAGAX" cache build bids c.h5 >out.1 2>err.1 &
    first=$!
    "$MPIEXEC" -n 2 "$SAGAX" cache build bids c.h5 >out.2 2>err.2 &
    second=$!
    codes=
    for launcher in $first $second; do
        wait $launcher
        codes="$codes $?"
    done
    check "two at once, round $round:$codes are 0 or 75" [ -z "$(tr ' ' '\n' <<<"$codes" | grep -vxE '(0|75)?')" ]
    is_whole "two at once, round $round"
    [ "$codes" != " 0 0" ] || check "two at once, round $round: one wrote it" [ "$(cat out.1 out.2 | grep -c written)" = 1 ]
    rm -r c.h5*
done
finish
