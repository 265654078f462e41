#!/usr/bin/env bash
# An evaluation that cannot look at a claim, at each time that it opens one: it is not there (the item is another's, and
# made again), or cannot be read (nobody can tell whose it is). What is written is what an undisturbed run writes, or the
# run ends with 74 and writes nothing, and the next run writes that.
#   eval.sh FAULTS
set -u
. "$(dirname "$0")/../cli/lib.sh"
faults=$1
rm -rf ./*
expect 0 phantom cohort -q --subjects 1 --set phantom.height_mm=130 --set phantom.width_mm=60 \
    --set phantom.depth_mm=90 --set phantom.iso_mm=2.5 --set phantom.chunks=2
truth=cohort/derivatives/truth
anat=sub-001/ses-01/anat
mkdir -p none sr/$anat # of both evaluations the first item fails
cp cohort/$anat/*_acq-ax_chunk-2_T2w.nii.gz sr/$anat/sub-001_ses-01_acq-ax_chunk-2_res-iso_desc-superres_T2w.nii.gz

run_vertebrae() {
    "$SAGAX" eval vertebrae "$@" --truth $truth --pred none=none,same=$truth --set vertebrae.surfaces=false
}
run_images() { "$SAGAX" eval images "$@" --truth $truth --lr cohort --sr sr; }
declare -A files=([vertebrae]=".tsv _instances.tsv _summary.tsv .md" [images]=".tsv .md") rows=([vertebrae]=3 [images]=5)

same() {
    local suffix
    for suffix in ${files[$1]}; do check "$last: $suffix" cmp "whole_$1$suffix" "$2$suffix"; done
}

# walk VERB FAULT: until a run gets through without meeting it.
walk() {
    local n code n_ended=0
    for ((n = 1; ; n++)); do
        rm -rf now* mark
        code=0
        last="eval $1, $2 at claim $n"
        FAULT_UNDER=$PWD/now.sagax/claims FAULT_CALLS=open FAULT_MARK=$PWD/mark FAULT_AT=$n FAULT_DO=$2 \
            LD_PRELOAD=$faults "run_$1" now >out 2>err || code=$?
        [ -e mark ] || break
        if [ $code = 74 ]; then
            n_ended=$((n_ended + 1))
            check "$last: says why" grep -q "now.sagax/claims/.*: Input/output error" err
            check "$last: no files" [ ! -e now.tsv ]
            code=0
            "run_$1" now >out 2>err || code=$?
            last="$last: run again"
        fi
        check "$last: exit $code" [ $code = 1 ]
        same "$1" now
    done
    echo "eval $1: $2 at $((n - 1)) looks, $n_ended times the end"
    check "claims were looked at" [ $n -gt 10 ]
}

for verb in vertebrae images; do
    last="eval $verb"
    run_$verb whole_$verb >out 2>err
    check "some items fail: exit 1" [ $? = 1 ]
    check "and have rows" [ "$(wc -l <whole_$verb.tsv)" -eq "${rows[$verb]}" ]
    walk $verb enoent
    walk $verb eio
done
finish
