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
expect 0 net info --net hat --size 16x16 --json
json .parameters 10069877
json '.depths | tostring' '[4,4,4,4]'
expect 0 net info --net rcan --size 8x8 --set model.groups=1 --json
json '[.groups, .blocks, .base_channels, .mult] | tostring' '[1,20,64,null]'
expect 0 train cache.h5 run --print-config --set model.arch=rrdb --set train.batch=8
json '[.train.lr, .train.batch, .train.beta2, .model.blocks] | map(.value, .origin) | tostring' \
    '[1e-05,"preset",8,"command line",0.99,"preset",23,"preset"]'
expect 0 net info --net rcan --size 16x16 --set model.groups=2 --set model.activations=2.5 --json
json '.train_plan | .activation_bytes <= 2.5 * 1048576 and .again_macs > 0' true
expect 78 net info --size 20x16
says err "multiples of 8"
expect 64 net info --size small
says err "should be HxW"
expect 64 net info --size 0x8
expect 64 net info --size 4294967304x8 # 8x8, were digits too many to hold passed over
expect 64 net paint
says err "paint is unknown; usage: sagax net info|run|sample|fit"
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

# ---- the other networks ----
for net in rcan rrdb hat discriminator; do
    expect 0 net run --weights "$fixtures/$net.safetensors" --input "$fixtures/$net.safetensors" \
        --output $net.safetensors --backward --json
    expect 0 net fit --weights "$fixtures/$net.safetensors" --input "$fixtures/$net.safetensors" \
        --output fit.safetensors --steps 2 --json
done
expect 0 net run --weights "$fixtures/rcan.safetensors" --input "$fixtures/rcan.safetensors" \
    --output rcan.safetensors --json
near 0.81806535 1e-5
expect 64 net sample --weights "$fixtures/rcan.safetensors" --input "$fixtures/rcan.safetensors" \
    --output rcan.safetensors
says err "no diffusion time"

expect 0 net info --weights "$fixtures/rcan.safetensors" --size 8x8 --json
json '[.net, .groups, .base_channels] | tostring' '["rcan",2,16]'
expect 66 net info --weights nowhere

# ---- files that do not hold what is asked for ----
expect 65 net run --weights "$fixtures/ddim.safetensors" --input "$weights" --output bad.safetensors
says err "no weights"
expect 65 net run --weights "$weights" --input "$fixtures/ddim.safetensors" --output bad.safetensors
says err "no images x"
check "no output of a failed run" [ ! -e bad.safetensors ]
expect 73 net run --weights "$weights" --input "$weights" --output nowhere/at/all.safetensors

finish
