#!/usr/bin/env bash
# Kernels do not change what is learnt: over 500 steps the loss with Winograd stays as close to the loss
# with OpenBLAS from the same seed as two seeds stay to each other, and closer.
#   loss_curve.sh SOURCE_DIR
set -u
. "$1/tests/cli/lib.sh"

rm -rf ./*
expect 0 phantom bids --set phantom.subjects=4 -q
expect 0 cache build bids cache.h5 -q

curve() { # curve NAME KERNELS SEED
    expect 0 train cache.h5 "$1" -q --kernels "$2" --set train.seed="$3" --set model.base_channels=32 \
        --set train.crop=64 --set train.batch=4 --set train.steps=500 --set train.log_every=25 \
        --set train.lr=3e-4 --set train.val_every=0 --set train.preview_every=0 --set train.checkpoint_every=500
    jq -s '[.[] | select(.loss != null) | .loss]' "$1/metrics.jsonl" >"$1.json"
}
curve wino wino 0
curve blas blas 0
curve other wino 1

# Mean over the intervals of the distance of two curves, in logarithms.
between() {
    jq -n --slurpfile a "$1.json" --slurpfile b "$2.json" \
        '[$a[0], $b[0]] | transpose | map((.[0] / .[1] | log) | if . < 0 then -. else . end) | add / length'
}
kernels=$(between wino blas)
seeds=$(between wino other)
n=$(jq length wino.json)
echo "loss of 500 steps in $n intervals: wino and blas $kernels apart, two seeds $seeds (mean of |log ratio|)"
n_checks=$((n_checks + 3))
[ "$n" -eq 20 ] || _fail "20 intervals wanted, $n there"
[ "$(jq -n "$kernels <= $seeds")" = true ] || _fail "kernels differ more than seeds"
[ "$(jq -s '.[0][-1] < 0.5 * .[0][0]' wino.json)" = true ] || _fail "nothing was learnt: $(cat wino.json)"
finish
