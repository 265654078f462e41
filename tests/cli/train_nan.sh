#!/usr/bin/env bash
# Images that are no numbers: a step is left out on all ranks; several in a row send the training back
# to its last checkpoint and on with other data; again from there ends it. All of it gives the same
# weights on 1, 2 and 3 ranks, and across a stop.
#   train_nan.sh TINY_CACHE SAGAX_POISONED
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
"$1" cache.h5 || exit 1
poisoned=$2
small=(--set model.base_channels=8 --set model.mult=1 --set model.res_blocks=1 --set train.crop=16
    --batch 8 --set train.checkpoint_every=5 --set train.keep=2 --set train.max_bad=3
    --set train.ema_every=2 --set train.warmup=4 --set train.val_every=0 --set train.preview_every=0)

# train CODE NP RUN "POISONED STEPS" options...
train() {
    local want=$1 got=0
    n_checks=$((n_checks + 1))
    last="train on $2 ranks, poisoned steps: ${4:-none}"
    timeout -k 5 90 "$MPIEXEC" -n "$2" env POISON_STEPS="$4" "$poisoned" train cache.h5 "$3" "${small[@]}" \
        --steps 20 "${@:5}" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || _fail "$last: exit code: got $got, want $want"
}
# same A B: last checkpoint and weights have equal bytes.
same() {
    check "$last" cmp "$1/weights.h5" "$2/weights.h5"
    check "$last" cmp "$1/ckpt/step-00000020.h5" "$2/ckpt/step-00000020.h5"
}
differ() {
    n_checks=$((n_checks + 1))
    cmp -s "$1/weights.h5" "$2/weights.h5" && _fail "$last: the poison changed nothing"
}
tidy() { rm -rf np1 np2 np3 other; }
train 0 1 clean ""

# ---- one at a time, at the first, a middle and the last step ----
for step in 0 11 19 "4 5 9 10 18 19"; do
    for np in 1 2 3; do
        train 0 $np np$np "$step"
        says err "step ${step%% *} skipped"
        [ $np = 1 ] || same np1 np$np
        differ clean np$np
    done
    tidy
done

# ---- three in a row: back to step 10, on with step 14; stopped and gone on in the middle, too ----
for np in 1 2 3; do
    train 0 $np np$np "11 12 13"
    says err "up to step 14: back to the weights of step 10"
    [ $np = 1 ] || same np1 np$np
done
for stop in 11 12 13 14 15; do
    for k in $stop 20; do # a shorter training is one that is stopped there
        train 0 $((1 + stop % 3)) other "11 12 13" --steps $k
    done
    says err "resumed step $stop"
    check "$last: stopped at $stop" cmp np1/weights.h5 other/weights.h5
    rm -rf other
done
# What was done between the checkpoint and the end of the bad steps does not count.
train 0 1 other "10 11 12 13"
says err "up to step 13: back to the weights of step 10"
same np1 other
tidy

# ---- in a row at the end; after another checkpoint: back to that one ----
train 0 2 np2 "17 18 19"
says err "up to step 20: back to the weights of step 15"
train 0 3 np3 "6 7 8 11 12 13"
says err "back to the weights of step 5"
says err "back to the weights of step 10"
train 0 1 np1 "6 7 8 11 12 13"
same np1 np3
tidy

# ---- again before the next checkpoint, or with none to go back to ----
for np in 1 2 3; do
    train 65 $np np$np "6 7 8 9 10 11"
    says err "diverged: 3 steps in a row without a finite loss and gradient, up to step 12; again"
done
train 65 2 other "1 2 3"
says err "no checkpoint yet"
check "a divergence leaves the last checkpoint" test -e np1/ckpt/step-00000005.h5
finish
