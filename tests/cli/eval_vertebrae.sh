#!/usr/bin/env bash
# eval vertebrae: eval_vertebrae.sh EDIT_LABELS. The truth as its own prediction is perfect; each change to it
# gives exactly the counts of that change, on any grid, in any scheme, on any number of ranks.
set -u
edit=$1
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
expect 0 phantom cohort -q --subjects 3 --set phantom.height_mm=130 --set phantom.width_mm=60 \
    --set phantom.depth_mm=90 --set phantom.iso_mm=1.2 --set phantom.chunks=2
truth=cohort/derivatives/truth
anat=sub-001/ses-01/anat
vert=$anat/sub-001_ses-01_seg-vert_dseg.nii.gz
subreg=$anat/sub-001_ses-01_seg-subreg_dseg.nii.gz

# cell FILE COLUMN METHOD [SUBJECT]
cell() { awk -F'\t' -v name="$2" -v method="$3" -v subject="${4:-001}" \
    'NR == 1 {for (i = 1; i <= NF; i++) if ($i == name) c = i}
     NR > 1 && $1 == subject && $3 == method {print $c}' "$1"; }
# row METHOD NAME=VALUE...: cells of the session of subject 001 in out.tsv
row() {
    local method=$1 pair got
    shift
    for pair in "$@"; do
        n_checks=$((n_checks + 1))
        got=$(cell out.tsv "${pair%%=*}" "$method")
        [ "$got" = "${pair#*=}" ] || _fail "$last: $method: ${pair%%=*}: got \"$got\", want \"${pair#*=}\""
    done
}
share() { awk "BEGIN {printf \"%.6f\", $1 / $2}"; }
# method NAME OP...: the truth with another mask of vertebrae of subject 001
method() {
    mkdir -p "$1"
    cp -r $truth/sub-* "$1"
    "$edit" $truth/$vert "$1/$vert" "${@:2}" || _fail "edit_labels $*"
}

# The truth itself.
expect 0 eval vertebrae out --truth $truth --pred same=$truth --lr cohort
n=$(cell out.tsv truths same)
check "vertebrae to work with" [ "$n" -ge 4 ]
perfect=(state=scored truths=$n predictions=$n detected=$n missed=0 duplicates=0 false_positives=0 merges=0 splits=0
    mislabelled=0 level_shift=0 judged=$n dtr=1.000000 b0_error=0.000000 b1_error=0.000000 b2_error=0.000000
    matched=$n pq=1.000000 dice=1.000000 label_dice=1.000000 union_dice=1.000000 assd_mm=0.000000
    hd95_mm=0.000000 axial_images=2 axial_dice=1.000000)
row same "${perfect[@]}"
check "a row for each vertebra" [ "$(cell out_instances.tsv what same | sort | uniq -c | tr -s ' ')" = " $n detected" ]
check "three subjects have an interval" grep -q '| same | 3 | 1.0000 \[1.0000, 1.0000\]' out.md
a=$(cell out_instances.tsv truth same | sed -n 2p)
b=$(cell out_instances.tsv truth same | sed -n 3p)

# One change each.
method drop relabel=$a:0
method merge relabel=$b:$a
method split halve=$a:90
method shift add=1
method made-up blob=91
method empty clear
method turned turn=LPS
mkdir missing broken
cp -r $truth/sub-00[23] missing
cp -r $truth/sub-* broken
head -c 1000 $truth/$vert >broken/$vert
changes=(same=$truth)
for name in drop merge split shift made-up empty turned missing broken; do changes+=("$name=$name"); done
all=(--truth $truth --lr cohort --pred "$(IFS=,; echo "${changes[*]}")")
expect 1 eval vertebrae out "${all[@]}"
says err "1 are of missing and 1 of unusable predictions, 0 failed"
row same "${perfect[@]}"
row turned "${perfect[@]}"
row drop state=scored predictions=$((n - 1)) detected=$((n - 1)) missed=1 duplicates=0 false_positives=0 \
    merges=0 splits=0 judged=$n dtr="$(share $((n - 1)) "$n")" b0_error="$(share 1 "$n")" \
    b1_error="$(share 1 "$n")" matched=$((n - 1)) dice="$(share $((n - 1)) "$n")"
row merge predictions=$((n - 1)) detected=$((n - 2)) missed=2 false_positives=1 merges=1 splits=0 union_dice=1.000000
row split predictions=$((n + 1)) detected=$n missed=0 duplicates=1 false_positives=0 merges=0 splits=1 \
    judged=$((n + 1)) union_dice=1.000000
row shift detected=$n mislabelled=$n level_shift=1 dtr=1.000000 label_dice=0.000000 pq=1.000000
row made-up predictions=$((n + 1)) detected=$n false_positives=1 judged=$n b0_error=0.000000
nothing=(truths=$n predictions=0 detected=0 missed=$n judged=$n dtr=0.000000 b0_error=1.000000 b1_error=1.000000
    matched=0 pq=0.000000 dice=0.000000 label_dice=0.000000 pairs=0 assd_mm=nan)
row empty state=scored "${nothing[@]}"
row missing state=missing "${nothing[@]}" axial_images=2 axial_dice=0.000000
row broken state=unusable "${nothing[@]}" axial_dice=0.000000
check "every session has a row of every method" [ "$(wc -l <out.tsv)" -eq 31 ]
check "missed ones have rows" [ "$(cell out_instances.tsv what missing | sort -u)" = missed ]
check "the merged one lies in the disc between them" \
    [ "$(awk -F'\t' '$1 == "001" && $3 == "merge" && $4 == "false" {print $7}' out_instances.tsv)" = "$a" ]
check "differences to the first method" grep -q '| drop − same | 3 | -0' out.md
check "and their p" grep -q 'p = 1.0000' out.md
check "the page counts" grep -q '| missing | 3 | 1 | 0 | 0 |' out.md
macro() { awk -F'\t' -v m="$1" -v k="$2" '$1 == m && $2 == "dtr" && $3 == k {print $5}' out_summary.tsv; }
others=$(($(cell out.tsv truths same 002) + $(cell out.tsv truths same 003)))
check "macro: mean over sessions" [ "$(macro missing macro)" = 0.666667 ]
check "micro: mean over vertebrae" [ "$(macro missing micro)" = "$(share $others $((n + others)))" ]
expect 1 eval vertebrae out "${all[@]}" --json
json '.sessions | length' 30
json '.sessions[] | select(.subject == "001" and .method == "broken") | .state' unusable
json '.means[] | select(.method == "missing") | .dtr.difference | "\(.subjects) \(.mean * 3 | round) \(.p)"' '3 -1 1'
expect 0 eval vertebrae out "${all[@]}" --dry-run
check "dry run" [ "$(grep -c "missing$" out)" -eq 1 ]

# Equal bytes on any number of ranks, and from the journal.
for np in 1 2 3; do
    n_checks=$((n_checks + 1))
    last="eval vertebrae on $np ranks"
    "$MPIEXEC" -n $np "$SAGAX" eval vertebrae ranks$np "${all[@]}" >out 2>err
    [ -s ranks$np.md ] || _fail "$last: no page"
done
for np in 2 3; do
    for file in .tsv _instances.tsv _summary.tsv .md; do
        check "$np ranks write the same $file" cmp ranks1$file ranks$np$file
    done
done
mkdir first && mv ranks1.tsv ranks1_*.tsv ranks1.md first
expect 1 eval vertebrae ranks1 "${all[@]}"
says err "0 made, 28 unchanged, 2 failed of 30"
for file in .tsv _instances.tsv _summary.tsv .md; do check "the journal's $file" cmp ranks1$file first/ranks1$file; done
cp $truth/$vert drop/$vert
expect 1 eval vertebrae ranks1 "${all[@]}"
says err "1 made, 27 unchanged, 2 failed of 30"
expect 0 eval vertebrae tasks --truth $truth --pred same=$truth,drop=drop --set run.part=0/2
expect 0 eval vertebrae tasks --truth $truth --pred same=$truth,drop=drop --set run.part=1/2
check "tasks write no files" [ ! -e tasks.tsv ]
expect 0 eval vertebrae tasks --truth $truth --pred same=$truth,drop=drop
says err "0 made, 6 unchanged"

# Options.
expect 0 eval vertebrae out --truth $truth --pred made-up=made-up --set vertebrae.box=true
row made-up false_positives=0 detected=$n axial_images=0 axial_dice=nan
check "the page says so" grep -q "cut by boxes" out.md
expect 0 eval vertebrae out --truth $truth --pred same=$truth --set vertebrae.partial=count
check "vertebrae that are cut off count" [ "$(cell out.tsv truths same)" -gt "$n" ]
method far add=8 # from the neck into the chest
expect 0 eval vertebrae out --truth $truth --pred far=far
row far b1_error=0.000000 level_shift=8
expect 0 eval vertebrae out --truth $truth --pred far=far --set vertebrae.neck=prediction
row far b1_error=1.000000
expect 0 eval vertebrae out --truth $truth --pred same=$truth --set vertebrae.surfaces=false
row same assd_mm=nan pairs=0 dice=1.000000

# Annotated slices: one layer of the first chunk. And whole scans.
scan=cohort/$anat/sub-001_ses-01_acq-ax_chunk-1_T2w.nii.gz
mkdir -p axial/$anat
"$edit" $truth/$subreg axial/$anat/sub-001_ses-01_acq-ax_chunk-1_seg-vertslice_dseg.nii.gz like=$scan bone layer=5
expect 1 eval vertebrae out --truth $truth --pred same=$truth,missing=missing --axial axial
row same axial_images=1 axial_dice=1.000000
row missing axial_images=1 axial_dice=0.000000
check "no annotation, no Dice" [ "$(cell out.tsv axial_dice same 002)" = nan ]
mkdir no-scans
expect 0 eval vertebrae out --truth $truth --pred same=$truth --lr no-scans
says err "no-scans: no axial image"
expect 0 eval vertebrae out --truth $truth --pred same=$truth --axial axial --set vertebrae.slices=all
check "one annotated layer is little of a whole scan" \
    awk "BEGIN {exit !($(cell out.tsv axial_dice same) > 0 && $(cell out.tsv axial_dice same) < 0.5)}"

# Names and numbers of other segmenters, and another grid.
mkdir -p spineps/$anat total/$anat cropped/$anat
cp $truth/$vert spineps/$anat/sub-001_ses-01_acq-iso_seg-vert_msk.nii.gz
cp $truth/$subreg spineps/$anat/sub-001_ses-01_acq-iso_seg-spine_msk.nii.gz
back=$(awk -F'\t' '$3 == "vertebra" && $1 != $2 {print "relabel=" $2 ":" 1000 + $1}' "$SAGAX_SOURCE_DIR/share/labels/totalspineseg.tsv")
down=$(awk -F'\t' '$3 == "vertebra" {print "relabel=" 1000 + $1 ":" $1}' "$SAGAX_SOURCE_DIR/share/labels/totalspineseg.tsv")
discs=$(for d in $(seq 101 226); do echo relabel=$d:0; done)
"$edit" $truth/$vert total/$anat/sub-001_ses-01_acq-ax_desc-superres_T2w.nii.gz $discs $back $down
"$edit" $truth/$vert cropped/$vert crop=1
"$edit" $truth/$subreg cropped/$subreg crop=1
pred=spineps=spineps,total=total,cropped=cropped
expect 0 eval vertebrae out --truth $truth --pred $pred --scheme spineps=spineps,total=totalspineseg --subjects 001
row spineps "${perfect[@]:0:21}"
row total detected=$n missed=0 false_positives=0 mislabelled=0 pq=1.000000 label_dice=1.000000 b1_error=0.000000
row cropped detected=$n missed=0 false_positives=0 mislabelled=0
expect 0 eval vertebrae out --truth $truth --pred total=total --subjects 001
check "without its scheme the levels are wrong" [ "$(cell out.tsv mislabelled total)" = "$n" ]
printf 'from\tto\tkind\n1\tx\tvertebra\n' >bad.tsv
expect 65 eval vertebrae out --truth $truth --pred same=$truth --scheme ./bad.tsv
says err "bad.tsv: line 2: 1 to x"
printf 'from\tto\tkind\n9999\t1\tvertebra\n' >other.tsv
expect 1 eval vertebrae out --truth $truth --pred same=$truth --scheme ./other.tsv --subjects 001
says err "labelled voxels is of a vertebra, disc or end-plate"
row same state=unusable
expect 1 eval vertebrae out --truth $truth --pred same=$truth --set vertebrae.truth_scheme=./other.tsv --subjects 001
row same state=failed
expect 66 eval vertebrae out --truth $truth --pred same=$truth --scheme nobody
expect 64 eval vertebrae out --truth $truth --pred same=$truth --scheme sane=spineps
says err "no method is called sane"

# Several masks of a session are a question, not a choice; masks without truth are counted.
cp $truth/$vert spineps/$anat/sub-001_ses-01_acq-sag_seg-vert_msk.nii.gz
expect 1 eval vertebrae out --truth $truth --pred spineps=spineps --subjects 001
says err "are of one session; vertebrae.match"
row spineps state=unusable
mkdir -p chunks/$anat
for i in 1 2; do cp $truth/$vert chunks/$anat/sub-001_ses-01_acq-ax_chunk-${i}_seg-vert_dseg.nii.gz; done
expect 1 eval vertebrae out --truth $truth --pred chunks=chunks --subjects 001
says err "restore them with sr --stitch"
expect 0 eval vertebrae out --truth $truth --pred spineps=spineps --subjects 001 --set vertebrae.match=acq-iso
row spineps state=scored
mkdir few && cp -r $truth/sub-002 few
expect 0 eval vertebrae out --truth few --pred same=$truth
says err "no truth, left out"
check "counted on the page" grep -q "2 predicted masks without truth" out.md
head -c 500 $truth/sub-002/ses-01/anat/*seg-vert* >few/sub-002/ses-01/anat/sub-002_ses-01_seg-vert_dseg.nii.gz
expect 1 eval vertebrae out --truth few --pred same=$truth
says err "1 failed"
check "a truth that cannot be read is a row of nan" [ "$(cell out.tsv dtr same 002)" = nan ]

# Discs alone are an answer, if a poor one.
mkdir -p discs/$anat
# shellcheck disable=SC2046
"$edit" $truth/$vert discs/$anat/sub-001_ses-01_seg-vert_dseg.nii.gz $(for v in $(seq 1 28); do echo relabel=$v:0; done)
expect 0 eval vertebrae out --truth $truth --pred discs=discs --subjects 001
row discs state=scored detected=0

# Subjects that a network was trained on.
echo '{"Sagax": {"TrainedOnSubject": true}}' >spineps/$anat/sub-001_ses-01_acq-iso_seg-vert_msk.json
expect 0 eval vertebrae out --truth $truth --pred spineps=spineps --set vertebrae.match=acq-iso --subjects 001
says err "1 of 1 scored sessions are of subjects that a network was trained on"

expect 64 eval vertebrae out --truth $truth
expect 64 eval vertebrae out --pred same=$truth
expect 64 eval vertebrae out --truth $truth --pred $truth,truth=few
mkdir none
expect 66 eval vertebrae out --truth none --pred same=$truth
finish
