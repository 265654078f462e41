#!/usr/bin/env bash
# The verb stitch: groups, names, sidecars, equal bytes on any number of ranks, what is made again and why, bad
# chunks; and sr of stitched chunks, which is sr of what stitch writes.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
ranks() { "$MPIEXEC" -n "$1" "$SAGAX" "${@:2}" >out 2>err; }
same() { diff -r -x 'sagax-*.tsv' -x .sagax "$1" "$2"; }
side() { check "sidecar: $1" jq -e "$1" "$2" >checked; }

field=(--set phantom.height_mm=100 --set phantom.width_mm=10 --set phantom.depth_mm=60)
expect 0 phantom bids --subjects 2 --set phantom.chunks=3 "${field[@]}"
anat=sub-001/ses-01/anat
stem=$anat/sub-001_ses-01_acq-ax
made=${stem}_desc-stitched_T2w
cp -r bids/sub-001 bids/sub-003 # of this one a single scan stays
for f in bids/sub-003/ses-01/anat/*; do mv "$f" "${f//sub-001/sub-003}"; done
rm bids/sub-003/ses-01/anat/*chunk-[23]*
for e in json nii.gz; do mv bids/sub-003/ses-01/anat/*ax_chunk-1_T2w.$e bids/sub-003/ses-01/anat/sub-003_ses-01_acq-ax_T2w.$e; done

# ---- the same bytes on any number of ranks ----
expect 0 stitch bids serial
check "one volume a session" [ "$(find serial -name '*_desc-stitched_T2w.nii.gz' | wc -l)" = 3 ]
check "no chunk is left in a name" [ -z "$(find serial -name '*chunk*')" ]
for n in 1 2 3; do
    check "a cohort on $n ranks" ranks $n stitch bids np$n
    check "$n ranks write what one process writes" same serial np$n
done
expect 0 stitch bids serial
says err "0 made, 3 unchanged"

# ---- what is recorded ----
side '.SliceThickness == 4 and .SpacingBetweenSlices == 5 and .EchoTime == 0.095' serial/$made.json
side '.Sources | length == 3 and .[0] == "bids:raw:'${stem}'_chunk-1_T2w.nii.gz"' serial/$made.json
side '.Sagax.Overlaps | length == 2 and all(.NCC > 0.9)' serial/$made.json
side '[.Sagax.Chunks[].Gain | log] | add | fabs < 1e-6' serial/$made.json
side '.Sagax.EmptySlices == 0 and .Sagax.Groups == 1' serial/$made.json
side ".Sagax.OutputSHA256 == \"$(sha256sum <serial/$made.nii.gz | cut -d' ' -f1)\"" serial/$made.json
expect 0 validate serial/$made.nii.gz --json
json '.zooms | map(. * 100 | round) | tostring' '[60,60,500]'
one=sub-003/ses-01/anat/sub-003_ses-01_acq-ax
expect 0 validate bids/${one}_T2w.nii.gz --json
jq -c '[.shape, .affine, .min, .max, .mean]' out >want
expect 0 validate serial/${one}_desc-stitched_T2w.nii.gz --json
check "a single scan is copied" diff want <(jq -c '[.shape, .affine, .min, .max, .mean]' out)
side '.Sources | length == 1' serial/${one}_desc-stitched_T2w.json

# ---- made again when chunks, their sidecars or the output change; not for their times ----
touch bids/${stem}_chunk-1_T2w.nii.gz
expect 0 stitch bids serial
says err "0 made, 3 unchanged"
sed -i 's/"SliceThickness": 4.0/"SliceThickness": 4.5/' bids/${stem}_chunk-2_T2w.json
expect 0 stitch bids serial
says err "1 made, 2 unchanged"
side '.SliceThickness == 4.5' serial/$made.json
head -c 2000 serial/$made.nii.gz >cut && mv cut serial/$made.nii.gz
expect 0 stitch bids serial
check "and says why" grep -q "made.*the output is damaged" serial/sagax-stitch.tsv
expect 0 stitch bids serial --dry-run
says out $'keep\t'

# ---- bad chunks ----
cp -r bids bad
echo "no image" >bad/${stem}_chunk-2_T2w.nii.gz
expect 1 stitch bad badout
says err "chunk-2"
check "its reason is in the table" grep -q "failed.*chunk-2" badout/sagax-stitch.tsv
check "the others are made" [ "$(grep -c made badout/sagax-stitch.tsv)" = 2 ]
expect 0 stitch bad skipped --skip-bad
says err "goes on without a chunk"
says err "no chunk covers"
side '.Sources | length == 2' skipped/$made.json
side '.Sagax.Chunks[1].LeftOut | test("chunk-2")' skipped/$made.json
side '.Sagax.EmptySlices > 0 and .Sagax.Groups == 2' skipped/$made.json
printf 'path,subject\n' >list.csv
for verb in stitch points "sr --method cubic"; do
    expect 66 $verb list.csv nobody
    says err "list.csv: is no folder, no NIfTI file (.nii, .nii.gz) and no list (.tsv)"
done
expect 66 stitch bids nobody --acq cor
says err "bids: no image with acq-cor and suffix T2w; 10 of this suffix have another acquisition or none: --acq '' takes all"
printf 'path\nbids/%s_chunk-1_T2w.nii.gz\n' $stem >list.tsv
expect 66 stitch list.tsv nobody --acq cor
says err "list.tsv: no image with acq-cor and suffix T2w; 1 of this suffix have another acquisition or none"
expect 66 stitch absent nobody
says err "absent: No such file or directory"
for verb in stitch points; do # no output lies among the scans
    for out in bids ./bids/; do
        expect 64 $verb bids $out
        says err "$out: is the input, and outputs go into a folder of their own"
    done
    expect 64 $verb serial bids
    says err "bids: is a raw data set"
done
check "nothing is written there" [ -z "$(find bids -name 'sagax-*' -o -name .sagax -o -name '*stitched*')" ]
expect 0 stitch bids bids/derivatives/stitched --dry-run
expect 66 stitch bids nobody --subjects 077
says err "no image with acq-ax and suffix T2w of the subjects 077"
cp -r bids/sub-001 void # a chunk of zeros
void=void/ses-01/anat/sub-001_ses-01_acq-ax_chunk-2_T2w.nii
gunzip $void.gz
size=$(stat -c %s $void)
truncate -s 352 $void && truncate -s "$size" $void
expect 1 stitch void voidout
says err "chunk-2_T2w.nii: every voxel is 0"
expect 0 stitch void voidout --skip-bad
says err "goes on without a chunk: void/"
gunzip -c bids/${stem}_chunk-1_T2w.nii.gz >bids/${stem}_chunk-01_T2w.nii
expect 1 stitch bids twice
says err "are both chunk 1"
rm bids/${stem}_chunk-01_T2w.nii

# ---- chunks of another contrast ----
"$SAGAX" stitch bids/${stem}_chunk-1_T2w.nii.gz alone >out 2>err
check "a single file may be named" [ -f alone/sub-001_ses-01_acq-ax_desc-stitched_T2w.nii.gz ]
cp -r bids odd
cp bids/sub-002/ses-01/anat/sub-002_ses-01_acq-ax_chunk-3_T2w.nii.gz odd/${stem}_chunk-3_T2w.nii.gz
expect 0 stitch odd oddout --subjects 001
check "agreement is recorded" jq -e '.Sagax.Overlaps[1].NCC < 0.9' oddout/$made.json

# ---- sr of stitched chunks ----
expect 0 cache build bids cache.h5 --set data.split_train=1 --set data.split_val=0 --set data.split_test=0
expect 0 train cache.h5 run --set train.steps=2 --set train.batch=1 --set train.crop=16 --set train.val_every=0 \
    --set train.preview_every=0 --set model.base_channels=8 --set model.mult=1,1 --set model.res_blocks=1
use=(--weights run --steps 2)
sr=${stem}_res-iso_desc-stitchedsuperres_T2w
expect 0 sr bids whole "${use[@]}" --stitch
check "one volume a session" [ "$(find whole -name '*.nii.gz' | wc -l)" = 3 ]
check "nothing is written on the way" [ -z "$(find whole -name '*desc-stitched_*')" ]
expect 0 stitch bids serial
expect 0 sr serial after "${use[@]}"
check "it is sr of what stitch writes" cmp whole/$sr.nii.gz after/$sr.nii.gz
side '.Sources | length == 3' whole/$sr.json
side '.Sagax.Stitched.Overlaps | length == 2' whole/$sr.json
side '.Sagax.SliceThickness_mm == 4.5 and .Sagax.SliceThicknessFrom == "sidecar"' whole/$sr.json
for n in 1 2; do
    check "sr --stitch on $n ranks" ranks $n sr bids whole$n "${use[@]}" --stitch
    check "writes the same" same whole whole$n
done
expect 0 sr bids whole "${use[@]}" --stitch
says err "0 made, 3 unchanged"
mkdir zero # numbers from 0
cp -r bids/sub-001 zero/
for n in 1 2 3; do
    for e in json nii.gz; do mv zero/${stem}_chunk-$n"_T2w.$e" zero/${stem}_chunk-$((n - 1))"_T2w.$e"; done
done
expect 0 stitch zero zeroed
check "a chunk may be number 0" cmp zeroed/$made.nii.gz serial/$made.nii.gz
expect 0 sr zero zerosr "${use[@]}" --stitch
check "of sr, too" cmp zerosr/$sr.nii.gz whole/$sr.nii.gz
mkdir -p zero/sub-$(printf '%0160d' 7)
cp bids/${stem}_chunk-1_T2w.nii.gz zero/sub-$(printf '%0160d' 7)/sub-$(printf '%0160d_acq-ax_T2w.nii.gz' 7)
expect 1 stitch zero zeroed
says err "a label in this name is longer than 159 bytes: it is left out"
says err "1 folders or names could not be read"
for e in json nii.gz; do # a scan of its own, whose name holds all parts of the stitched one's
    cp bids/${stem}_chunk-1_T2w.$e bids/${stem}_run-2_T2w.$e
    cp whole/$sr.$e whole/${stem}_run-2_res-iso_desc-superres_T2w.$e
done
expect 0 eval images score --truth bids/derivatives/truth --lr bids --sr whole --subjects 001
check "a prediction of stitched chunks belongs to each" [ "$(grep "	sr	" score.tsv | grep -c chunk)" = 3 ]
check "and to no other scan" [ "$(grep "	sr	" score.tsv | grep -c run-2)" = 1 ]
rm {bids,whole}/$anat/*_run-2_*
expect 0 sr bids chunks "${use[@]}" --subjects 001
check "without it each chunk has its own" [ "$(find chunks -name '*chunk-*.nii.gz' | wc -l)" = 3 ]
finish
