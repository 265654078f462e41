#!/usr/bin/env bash
# sagax net: what it says of a network, and that files in the layout of the parity fixtures go through.
set -u
. "$(dirname "$0")/lib.sh"
rm -f ./*.safetensors

# ---- info needs no file ----
expect 0 net info --net palette --size 160x160 --json
json .parameters 9835009
json .macs 25483509760
json '.train_plan.activation_bytes > .forward_plan.activation_bytes' true
json '[.times[].macs] | add' 25483509760
json '[.times[].op] | contains(["fused conv", "linear", "attention"])' true
expect 0 net info --set model.base_channels=8 --size 16x24 --kernels ref
says out "kernels     ref"
expect 78 net info --size 20x16
says err "multiples of 8"
expect 64 net info --size small
expect 64 net paint
expect 64 net run
says err "--weights"
expect 66 net run --weights none.safetensors --input none.safetensors --output o.safetensors

# ---- files ----
fixtures=${SAGAX_SHARED:-}/fixtures
if [ ! -d "$fixtures" ]; then
    echo "skipped: no folder $fixtures with the fixtures (SAGAX_SHARED)"
    [ "$n_failed" -eq 0 ] && exit 77
    finish
fi
weights=$fixtures/palette.safetensors
# near WANT TOLERANCE: .loss of the last output
near() { json "(.loss / $1 - 1 | fabs) < $2" true; }

for kernels in blas wino; do
    expect 0 net run --net palette --weights "$weights" --input "$weights" \
        --output run-$kernels.safetensors --backward --kernels $kernels --json
    near 1.5159141 1e-5
    json .tensors 326
done
expect 0 net run --weights "$weights" --input "$weights" --output forward.safetensors --json
json .tensors 2
expect 0 net sample --weights "$weights" --input "$fixtures/ddim.safetensors" \
    --output sample.safetensors --steps 5 --json
json .tensors 2
expect 0 net fit --weights "$weights" --input "$fixtures/adam.safetensors" \
    --output fit.safetensors --steps 2
says out "loss 1.457"
says out "loss 1.209"

# ---- files that do not hold what is asked for ----
expect 65 net run --weights "$fixtures/ddim.safetensors" --input "$weights" --output bad.safetensors
says err "no weights"
expect 65 net run --weights "$weights" --input "$fixtures/ddim.safetensors" --output bad.safetensors
says err "no images x"
check "no output of a failed run" [ ! -e bad.safetensors ]
expect 73 net run --weights "$weights" --input "$weights" --output nowhere/at/all.safetensors

finish
