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

expect 64 degrade "$image" g --slice 100000
expect 64 degrade "$image" g --level 8
expect 78 degrade "$image" g --set degrade.steps=psf,smear
expect 66 degrade absent.nii.gz g
check "a refused run writes nothing" [ ! -e g ]
finish
