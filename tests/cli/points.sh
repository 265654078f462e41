#!/usr/bin/env bash
# The verb points: outputs and sidecars, equal bytes on any number of ranks, grids of references, masks that lack
# something.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
ranks() { "$MPIEXEC" -n "$1" "$SAGAX" points "${@:2}" >out 2>err; }
same() { diff -r -x sagax-points.tsv -x .sagax "$1" "$2"; }
side() { check "sidecar: $1" jq -e "$1" "$2" >checked; }

expect 0 phantom bids --subjects 3 --set phantom.chunks=2 --set phantom.height_mm=160 --set phantom.width_mm=36 \
    --set phantom.depth_mm=100 --set phantom.iso_mm=1.2
masks=bids/derivatives/truth
mask=sub-001/ses-01/anat/sub-001_ses-01_seg-vert_dseg.nii.gz
made=sub-001/ses-01/anat/sub-001_ses-01_label-discs_dlabel

# ---- outputs ----
expect 0 points $masks serial
check "one image of each mask" [ "$(find serial -name '*_label-discs_dlabel.nii.gz' | wc -l)" = 3 ]
for n in 1 2 3; do
    check "a cohort on $n ranks" ranks $n $masks np$n
    check "$n ranks write what one process writes" same serial np$n
done
expect 0 points $masks serial
says err "0 made, 3 unchanged"
for f in serial/*/*/anat/*.json; do
    side '.Sagax.Points | length >= 4 and all(.Drawn and .World_mm[2] < 90)' "$f"
    side '[.Sagax.Points[].AlongSpine_mm] | . == sort and . == unique' "$f"
    side '[.Sagax.Points[].Value | numbers] | . == sort and . == unique' "$f"
    side '.Sagax.OutOfOrder == [] and all(.Sagax.Missing[]; .Why | test("volume|canal"))' "$f"
done
side '.SpatialReference == "orig" and (.Sources | length) == 2' serial/$made.json
shape() { jq -c '[.shape, .affine]' out; }
expect 0 validate $masks/$mask --json
shape >want
expect 0 validate serial/$made.nii.gz --json
check "points are on the mask's grid" diff want <(shape)
json .datatype uint8
json .max "$(jq '[.Sagax.Points[].Value | numbers] | max' serial/$made.json)"

expect 66 points $masks nobody --subjects 077
says err "of the subjects 077"

# ---- numbers that nothing vouches for ----
cp -r $masks counted
echo '{"Sagax": {"NumbersRelative": true}}' >counted/${mask/.nii.gz/.json}
expect 0 points counted countedout
check "one mask is warned of" [ "$(grep -c "sub-001.*its numbers are relative" err)" = 1 ]
side .Sagax.NumbersRelative countedout/$made.json
side '.Sagax.NumbersRelative | not' countedout/${made//001/002}.json

# ---- on another grid, and as balls ----
expect 0 points $masks/$mask one --reference bids/sub-001/ses-01/anat/sub-001_ses-01_acq-sag_T2w.nii.gz --ball 6
expect 0 validate bids/sub-001/ses-01/anat/sub-001_ses-01_acq-sag_T2w.nii.gz --json
shape >want
expect 0 validate one/sub-001_ses-01_label-discs_dlabel.nii.gz --json
check "points are on the reference's grid" diff want <(shape)
check "there are balls" [ -f one/sub-001_ses-01_label-levels_dseg.nii.gz ]
points() { jq -c '[.Sagax.Points[] | [.Value, .World_mm]]' "$1"; }
check "places do not depend on the grid" diff <(points serial/$made.json) <(points one/sub-001_ses-01_label-discs_dlabel.json)
expect 0 points $masks tree --reference bids --set points.reference_acq=sag
side '.SpatialReference | test("acq-sag")' tree/$made.json
expect 1 points $masks none --reference bids --set points.reference_acq=ax
says err "are both of one session, none of the mask's name; points.reference_acq chooses"

# ---- of several images of a session the one that has the mask's name ----
of=sub-001/ses-01/anat/sub-001_ses-01_acq-ax_res-iso_desc-superres
mkdir -p samples/${of%/*} sampled/${of%/*}
for i in 01 02; do
    for label in vert subreg; do cp ${masks}/${mask/vert/$label} samples/${of}${i}_seg-${label}_dseg.nii.gz; done
done
cp bids/sub-001/ses-01/anat/sub-001_ses-01_acq-sag_T2w.nii.gz sampled/${of}01_T2w.nii.gz
cp $masks/$mask sampled/${of}02_T2w.nii.gz
expect 0 points samples drawn --reference sampled
for i in 01 02; do side ".SpatialReference == \"$of${i}_T2w.nii.gz\"" drawn/$of${i}_label-discs_dlabel.json; done
cp sampled/${of}02_T2w.nii.gz sampled/${of}02_T1w.nii.gz
expect 1 points samples drawn --reference sampled
says err "are both of the mask's name"

# ---- what lacks something fails alone; what is damaged is made again ----
cp -r $masks lacks
rm lacks/${mask/seg-vert/seg-subreg}
cp lacks/sub-002/ses-01/anat/sub-002_ses-01_acq-iso_T2w.nii.gz lacks/${mask//001/002}
expect 1 points lacks lacksout
says err "no mask of sub-regions beside it"
check "each has its reason" [ "$(grep -c failed lacksout/sagax-points.tsv)" = 2 ]
check "the other is made" [ "$(grep -c made lacksout/sagax-points.tsv)" = 1 ]
head -c 300 serial/$made.nii.gz >cut && mv cut serial/$made.nii.gz
expect 0 points $masks serial
check "and says why" grep -q "made.*the output is damaged" serial/sagax-points.tsv
mkdir empty
expect 66 points empty out66
finish
