#!/usr/bin/env bash
# The verb degrade: pairs from a cache and from an image, the same each time.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
jqs() { jq -es "$@" >checked; }
field=(--set phantom.height_mm=90 --set phantom.width_mm=12 --set phantom.depth_mm=60)
expect 0 phantom bids --subjects 1 "${field[@]}"
expect 0 cache build bids cache.h5
image=$(find bids -name '*acq-sag*.nii.gz' -not -path '*derivatives*' | sort | head -1)

expect 0 degrade cache.h5 a --count 3 --json
check "one line of JSON a pair" [ "$(wc -l <out)" = 3 ]
check "the draw is complete" jqs 'all(.lr_mm >= 4 and .lr_mm <= 9 and (.bias | length) == 10
    and (.steps | index("down_up")))' out
check "three pairs and three pictures" [ "$(ls a | wc -l)" = 6 ]
expect 0 degrade cache.h5 b --count 3
check "the same again" diff -r a b
expect 0 degrade cache.h5 c --count 3 --seed 1
check "another seed, other pairs" bash -c '! diff -rq a c >/dev/null'

expect 0 degrade "$image" d --count 2 --size 64 --level 1 --json
check "level 1 has three steps" jqs 'all(.steps == ["down_up", "slice_noise", "jitter"])' out
check "level 1 is 5 mm" jqs 'all(.lr_mm == 5)' out
expect 0 degrade "$image" e --count 1 --every-step --json
check "every step fires" jqs 'all(.steps | length == 11)' out
expect 0 degrade "$image" f --count 2 --slice 1 --set degrade.montage=false --json
check "one slice, two draws" jqs 'all(.slice == 1) and .[0].lr_mm != .[1].lr_mm' out
check "no pictures" [ "$(ls f | wc -l)" = 2 ]


# ---- any number of ranks; more pairs than slices; where a pair comes from ----
expect 0 degrade cache.h5 one --count 20 --size 48 --json
cp out one.jsonl
check "twenty different pairs" [ "$(sha256sum one/*.safetensors | cut -c1-64 | sort -u | wc -l)" = 20 ]
check "each draw has its own key" jqs '[.[].item] == [range(20)]' one.jsonl
check "a pair names its source" jqs --slurpfile first <(head -n 1 one.jsonl) 'all((.source | endswith(".nii.gz"))
    and (.source_sha256 | length == 64) and (.config_sha256 | length == 64)
    and .config_sha256 == $first[0].config_sha256 and (.crop | length == 2) and .hr_mm == 0.8571)' one.jsonl
for np in 2 3; do
    check "$np ranks" "$MPIEXEC" -n $np "$SAGAX" degrade cache.h5 np$np --count 20 --size 48 --json >np$np.jsonl 2>err
    check "$np ranks write the bytes of one" diff -r one np$np
    check "$np ranks print the lines of one" cmp one.jsonl np$np.jsonl
done

# ---- the cache's pixels decide ----
expect 0 cache build bids coarse.h5 --set data.hr_mm=1.2
expect 0 degrade coarse.h5 i --count 1 --json
check "pixels of the cache" jqs '.[0].hr_mm == 1.2' out

# ---- a damaged slice fails alone ----
expect 0 degrade cache.h5 x --dry-run
slices=$(sed 's/.*from \([0-9]*\) slices/\1/' out)
cp cache.h5 damaged.h5
printf 'DAMAGE' | dd of=damaged.h5 bs=1 seek=$(($(stat -c %s damaged.h5) / 2)) conv=notrunc 2>/dev/null
expect 1 degrade damaged.h5 k --count "$slices" --set degrade.montage=false
check "the others are there" [ "$(ls k | wc -l)" = $((slices - 1)) ]

expect 64 degrade "$image" g --slice 100000
expect 64 degrade "$image" g --level 8
expect 78 degrade "$image" g --set degrade.steps=psf,smear
expect 66 degrade absent.nii.gz g
check "a refused run writes nothing" [ ! -e g ]

# ---- pairs are images of 0..1, not what a network takes ----
expect 0 train cache.h5 run --steps 1 --batch 1 --set model.base_channels=8 --set model.mult=1 \
    --set model.res_blocks=1 --set train.crop=16 --set train.val_every=0 --set train.preview_every=0
expect 0 weights export run weights.safetensors
expect 65 net run --weights weights.safetensors --input a/pair-0000.safetensors --output made.safetensors
says err "lr is not what a network takes: floats [batch][1][h][w] in -1..1"

finish
