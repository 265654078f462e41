#!/usr/bin/env bash
# One job a run folder: of two that are started on it at once one trains and the other waits, takes over
# what is left, or says who has it; an owner that was silent for too long writes nothing more. And a rank
# that stands still for a moment is waited for, one that does not come back is named.
#   train_owner.sh TINY_CACHE [ROUNDS]
set -u
. "$(dirname "$0")/lib.sh"
rounds=${2:-5}
rm -rf ./*
"$1" cache.h5 || exit 1
small=(--set model.base_channels=8 --set model.mult=1,2 --set model.res_blocks=1 --set train.crop=32
    --batch 8 --steps 200 --set train.checkpoint_every=10 --set train.log_every=1
    --set train.val_every=0 --set train.preview_every=0 --set run.lease_s=1)

# begin NAME NP RUN options...: a training in the background, its output in NAME.out; pid in `job`.
begin() {
    "$MPIEXEC" -n "$2" "$SAGAX" train cache.h5 "$3" "${small[@]}" "${@:4}" >"$1.out" 2>&1 &
    job=$!
}
# ended PID: its exit code, in `code`.
ended() {
    code=0
    wait "$1" || code=$?
}
same() {
    check "$last" cmp reference/weights.h5 "$1/weights.h5"
    check "$last" cmp reference/ckpt/step-00000200.h5 "$1/ckpt/step-00000200.h5"
    check "$last: each step once" test "$(jq -s -c 'map(.step)' "$1/metrics.jsonl")" = "$(seq -s, 200 | sed 's/.*/[&]/')"
}
# until_step STEP RUN: wait until its metrics are past STEP.
until_step() {
    for _ in $(seq 2400); do
        [ "$(cat "$2/metrics.jsonl" 2>/dev/null | wc -l)" -gt "$1" ] && return
        sleep 0.05
    done
    _fail "$2 does not get past step $1"
}

begin reference 1 reference
ended $job
check "the reference, exit $code" test $code = 0
check "the folder is given back" test -z "$(ls reference/.sagax/crew reference/.sagax/claims | grep -v :)"

# ---- two at once ----
n_refused=0
n_after=0
for round in $(seq "$rounds"); do
    rm -rf twice
    last="round $round of two jobs at once"
    begin a $((1 + round % 2)) twice --set run.lease_s=60 # nobody takes it for dead where the machine is slow
    a=$job
    # Half of them wait until the other is through, half are sent away before.
    begin b $((1 + round / 2 % 2)) twice --set run.lease_s=$((round % 2 == 0 ? 60 : 1))
    ended $job
    code_b=$code
    ended $a
    case "$code,$code_b" in
    0,75 | 75,0)
        n_refused=$((n_refused + 1))
        check "$last: the other one is named" grep -q "twice is in use by job .*pid .*run me again" a.out b.out
        check "$last: one worked" test "$(cat a.out b.out | grep -c '^fresh start')" = 1
        ;;
    0,0)
        n_after=$((n_after + 1))
        check "$last: one began, one went on" test "$(cat a.out b.out | grep -Ec '^(fresh start|resumed step)')" = 2
        check "$last: fresh once" test "$(cat a.out b.out | grep -c '^fresh start')" = 1
        ;;
    *)
        n_checks=$((n_checks + 1))
        _fail "$last: exit codes $code and $code_b: $(cat a.out b.out)"
        ;;
    esac
    same twice
done
echo "$rounds pairs of jobs: $n_refused times the second was sent away, $n_after times it came after the first"
check "every pair had one owner" test $((n_refused + n_after)) = "$rounds"

# ---- an owner that was killed: the next one goes on at once ----
begin a 2 killed
until_step 15 killed
mapfile -t ranks < <(living_ranks "$job")
kill -9 "${ranks[@]}"
ended "$job"
begin b 1 killed --set run.lease_s=1000
ended "$job"
last="after an owner that was killed"
check "$last: exit $code" test $code = 0
check "$last: resumed" grep -q "^resumed step" b.out
same killed

# ---- an owner elsewhere falls silent, loses the folder, and comes back ----
last="an owner that was silent"
if unshare --pid --fork --mount-proc true 2>/dev/null; then
    for _ in 1 2 3 4 5; do # until it is stopped before it is through
        rm -rf lost
        unshare --pid --fork --mount-proc --kill-child "$SAGAX" train cache.h5 lost "${small[@]}" >a.out 2>&1 &
        job=$!
        until_step 15 lost
        silent=$(ps -o pid= --ppid "$job" | tr -d ' ')
        kill -STOP "$silent" 2>/dev/null
        [ "$(wc -l <lost/metrics.jsonl)" -ge 180 ] || break
        kill -KILL "$silent" 2>/dev/null
        wait "$job"
    done
    frozen=$job
    begin b 2 lost
    ended "$job"
    check "$last: exit $code of the next one" test $code = 0
    cp -r lost kept
    kill -CONT "$silent"
    wait "$frozen"
    code=$?
    check "$last: exit $code" test $code = 75
    check "$last: says why" grep -q "another one took the folder over" a.out
    check "$last: left all files alone" diff -r -x .sagax kept lost
    same lost
else
    echo "SKIPPED: owners that cannot see each other's processes: no pid namespaces here"
fi

# ---- a rank that stops ----
# stand NAME options...: a training by three ranks, of which one is stopped in the middle; pids in `job` and `ranks`.
stand() {
    close_gate "$1/ckpt/step-00000020.h5"
    "${gated[@]}" "$MPIEXEC" -n 3 "$SAGAX" train cache.h5 "$1" "${small[@]}" "${@:2}" >a.out 2>&1 &
    job=$!
    at_gate
    mapfile -t ranks < <(living_ranks "$job")
    check "three ranks run" test ${#ranks[@]} = 3
    kill -STOP "${ranks[1]}"
    open_gate
}
stand stopped --set run.stall_s=20
sleep 1.5
kill -CONT "${ranks[1]}"
ended "$job"
last="a rank that stood still for a moment"
check "$last: exit $code" test $code = 0
same stopped

stand still --set run.stall_s=8
ended "$job"
last="a rank that stands still"
check "$last: exit $code" test $code = 75
check "$last: is named, and where it stood: $(grep 'not moved' a.out)" grep -q "rank 1 on .* has not moved for .* s (.*step [0-9].*)" a.out
check "$last: no rank is left" test -z "$(ps -o stat= -p "$(IFS=,; echo "${ranks[*]}")" | grep -v ^Z)"
begin b 2 still
ended "$job"
check "$last: then exit $code" test $code = 0
same still
finish
