#!/usr/bin/env bash
# An input that is replaced when an item is being made of it: what comes out is of the old one, says so, and
# is made again by the next run.   swap.sh SWAP
set -u
. "$(dirname "$0")/../cli/lib.sh"
swap=$1
rm -rf ./*
expect 0 phantom bids --subjects 2 --seed 1 --set phantom.height_mm=90 --set phantom.width_mm=24 \
    --set phantom.depth_mm=90 --set phantom.iso_mm=1.5 --set phantom.chunks=2
anat=sub-001/ses-01/anat
truth=bids/derivatives/truth

# sagax_swapping AT PATH BY arguments...: BY is in place of PATH when that has been opened AT times.
sagax_swapping() { SWAP_AT=$1 SWAP_PATH=$2 SWAP_BY=$3 LD_PRELOAD=$swap "$SAGAX" "${@:4}"; }

# Outputs alone, without what tells of the run.
same_outputs() { diff -r -x .sagax -x logs -x 'sagax-*.tsv' "$1" "$2"; }

# swapped VERB INPUT PATH BY options...: PATH is hashed first, then read; it becomes BY in between.
swapped() {
    local verb=$1 input=$2 path=$3 by=$4 now=$1-in
    shift 4
    last="$verb while $path is replaced"
    cp -r "$input" "$now"
    "$SAGAX" "$verb" "$now" "$verb-old" "$@" >out 2>err || _fail "$last: before"
    cp "$by" by.nii.gz
    sagax_swapping 2 "$now/$path" by.nii.gz "$verb" "$now" "$verb-out" "$@" >out 2>err || _fail "$last"
    check "$last: it was" test ! -e by.nii.gz
    check "$last: what was read is the old one" same_outputs "$verb-old" "$verb-out"
    expect 0 "$verb" "$now" "$verb-out" "$@"
    says err "1 made, 1 unchanged"
    expect 0 "$verb" "$now" "$verb-new" "$@"
    check "$last: then it is of the new one" same_outputs "$verb-new" "$verb-out"
    check "$last: which differs" bash -c "! diff -rq -x .sagax '$verb-old' '$verb-new' >/dev/null"
}

swapped stitch bids $anat/sub-001_ses-01_acq-ax_chunk-2_T2w.nii.gz \
    bids/sub-002/ses-01/anat/sub-002_ses-01_acq-ax_chunk-2_T2w.nii.gz
swapped points $truth $anat/sub-001_ses-01_seg-vert_dseg.nii.gz \
    $truth/sub-002/ses-01/anat/sub-002_ses-01_seg-vert_dseg.nii.gz

# A command that gives its input back as the mask.
mkdir -p masks/$anat masks/${anat/001/002}
for s in 001 002; do
    cp $truth/sub-$s/ses-01/anat/sub-${s}_ses-01_seg-vert_dseg.nii.gz masks/sub-$s/ses-01/anat/sub-${s}_ses-01_T2w.nii.gz
done
swapped segment masks $anat/sub-001_ses-01_T2w.nii.gz masks/sub-002/ses-01/anat/sub-002_ses-01_T2w.nii.gz \
    --command 'cp {input} {output}/x_seg-vert_msk.nii.gz' --set segment.subreg_name=
finish
