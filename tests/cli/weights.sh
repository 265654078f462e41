#!/usr/bin/env bash
# The verb weights: in, out and in again without a changed bit; refusals by name. Needs the fixtures.
set -u
. "$(dirname "$0")/lib.sh"
fixtures=$SAGAX_SHARED/fixtures
[ -e "$fixtures/palette.safetensors" ] || { echo "SKIPPED: no $fixtures"; exit 77; }
rm -rf ./*

expect 0 weights import "$fixtures/palette.safetensors" run --json
json .verdict imported
json .base_channels 32
expect 0 weights verify run --json
json .verdict ok
digest=$(jq -r .digest out)
expect 0 weights export run one.safetensors --json
json .digest "$digest"
expect 0 weights import one.safetensors again
check "import of an export is the same file" cmp run/weights.h5 again/weights.h5
expect 0 weights export again/weights.h5 two.safetensors
check "export of an import is the same file" cmp one.safetensors two.safetensors
expect 0 weights import "$fixtures/palette.safetensors" dry --dry-run
check "a dry run writes nothing" [ ! -e dry ]

# ---- every architecture is known by its names and shapes ----
for arch in rcan rrdb hat discriminator; do
    expect 0 weights import "$fixtures/$arch.safetensors" $arch --json
    json .arch $arch
    expect 0 weights verify $arch --json
    expect 0 weights export $arch $arch.safetensors --json
    expect 0 weights import $arch.safetensors $arch-again
    check "$arch: import of an export is the same file" cmp $arch/weights.h5 $arch-again/weights.h5
done

# ---- refusals ----
expect 78 sr . restored --weights discriminator
says err "weights of network discriminator and kind adversarial do not restore images"
expect 65 weights import "$fixtures/rcan.safetensors" other --set model.arch=palette
says err "the network has no parameter"
expect 65 weights import "$fixtures/palette.safetensors" other --set model.base_channels=64
says err "has shape"
says err "sizes that are set (model.*) win"
expect 65 weights import "$fixtures/ddim.safetensors" other
expect 66 weights import absent.safetensors other
check "nothing was written" [ ! -e other/weights.h5 ]
cp run/weights.h5 bad.h5
size=$(stat -c %s bad.h5)
printf '\xff\xff' | dd of=bad.h5 bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
expect 65 weights verify bad.h5
size=$(stat -c %s one.safetensors)
printf '\x00\x00\xc0\x7f' | dd of=one.safetensors bs=1 seek=$((size - 4)) conv=notrunc 2>/dev/null
expect 65 weights import one.safetensors other
check "nothing was written of it" [ ! -e other/weights.h5 ]
says err "one.safetensors: 1 of 262144 values of parameter time_embed.2.weight are not finite"
expect 64 weights impart a b
says err "impart is unknown; usage: sagax weights import"
finish
