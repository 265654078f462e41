#!/usr/bin/env bash
# The built-in segmenter: labels in the cache, training, masks by the network. Equal bytes on any number
# of ranks and across a stop; what changes when labels do; what is refused. How well it segments is
# the business of segment_quality.sh.
set -u
poison_weights=$1
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
expect 0 phantom cohort -q --subjects 4 --set phantom.height_mm=100 --set phantom.width_mm=24 \
    --set phantom.depth_mm=100 --set phantom.iso_mm=1.5 --set phantom.chunks=1
truth=cohort/derivatives/truth
build=(cache build "$truth" c.h5 --acq iso --labels "$truth" --set data.hr_mm=1.5 --set data.split_test=0)
# on NP CODE arguments...: by MPI.
on() {
    local np=$1 want=$2 got=0
    shift 2
    n_checks=$((n_checks + 1))
    last="on $np ranks: sagax $*"
    "$MPIEXEC" -n "$np" "$SAGAX" "$@" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || _fail "$last: exit code: got $got, want $want"
}

# ---- labels in the cache ----
expect 0 "${build[@]}"
expect 0 cache verify c.h5
expect 0 cache info c.h5 --json
json '[.volumes[].labels_sha256 | length] | tostring' '[64,64,64,64]'
mv c.h5 one.h5
on 2 0 "${build[@]}"
check "the same cache on two ranks" cmp one.h5 c.h5
expect 0 "${build[@]}"
says out "up to date"
expect 0 cache build "$truth" bare.h5 --acq iso --set data.hr_mm=1.5 --set data.split_test=0
expect 0 cache info bare.h5 --json
json '[.volumes[] | has("labels_sha256")] | any' false
mask=$truth/sub-002/ses-01/anat/sub-002_ses-01_seg-subreg_dseg.nii.gz
cp "$mask" kept
cp "$truth/sub-003/ses-01/anat/sub-003_ses-01_seg-subreg_dseg.nii.gz" "$mask"
expect 0 "${build[@]}" --explain
check "one volume is made again" [ "$(grep -c "the file has changed" out)" -eq 1 ]
head -c 500 kept >"$mask"
expect 1 "${build[@]}"
says err "gzip stream is cut"
cp kept "$mask"
expect 0 "${build[@]}"
check "and again" cmp one.h5 c.h5
expect 66 cache build "$truth" no.h5 --acq iso --labels "$truth/sub-001/ses-01/none"

# ---- training ----
small=(--kind segmentation --set model.base_channels=8 --set model.mult=1,2 --set model.res_blocks=1
    --set train.crop=32 --batch 4 --set train.val_every=10 --set train.val_images=4 --set train.preview_every=30
    --set train.log_every=10 --lr 3e-3)
expect 0 train c.h5 run1 "${small[@]}" --steps 30
check "it learns" jq -e -s '.[-1].val_loss < .[0].val_loss' run1/metrics.jsonl
check "a preview" [ -s run1/preview/final.png ]
check "of it the weights tell the kind" sh -c 'strings run1/weights.h5 | grep -q "\"kind\": *\"segmentation\""'
on 3 0 train c.h5 run3 "${small[@]}" --steps 30
check "the same weights on three ranks" cmp run1/weights.h5 run3/weights.h5
on 2 0 train c.h5 parts "${small[@]}" --steps 13
expect 0 train c.h5 parts "${small[@]}" --steps 30
says err "resumed step 13"
check "the same weights across a stop" cmp run1/weights.h5 parts/weights.h5
expect 65 train bare.h5 none "${small[@]}" --steps 1
says err "without labels"
expect 78 train c.h5 none "${small[@]}" --steps 1 --set model.arch=palette
expect 78 train c.h5 none --kind regression --steps 1 --set model.arch=seg

# ---- masks ----
check "weights that overflow are made" "$poison_weights" run1/weights.h5 huge.h5
expect 1 segment "$truth" nan --acq iso --weights huge.h5
says err "the network gives values that are not finite"
check "nothing is written of it" [ -z "$(find nan -name '*.nii.gz')" ]
got=0
"$SAGAX" segment "$truth" s1 --acq iso --weights run1 >out 2>err || got=$?
n_checks=$((n_checks + 1))
[ $got -le 1 ] || _fail "segment: exit code $got" # after 30 steps it may find no vertebra
check "a row a volume" [ "$(wc -l <s1/sagax-segment.tsv)" -eq 5 ]
"$MPIEXEC" -n 2 "$SAGAX" segment "$truth" s2 --acq iso --weights run1 >out 2>err
check "the same masks on two ranks" diff -r -x .sagax -x sagax-segment.tsv s1 s2
expect 78 sr cohort none --weights run1
says err "segmentation do not restore images"
expect 64 segment "$truth" none --acq iso --weights run1 --command true
says err "not both"
finish
