#!/usr/bin/env bash
# The verb eval: rows, missing predictions, samples, pictures, and equal bytes on any number of ranks.
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
expect 0 phantom cohort -q --subjects 2 --set phantom.height_mm=60 --set phantom.width_mm=30 \
    --set phantom.depth_mm=60 --set phantom.iso_mm=1.5 --set phantom.chunks=2
inputs=(--truth cohort/derivatives/truth --lr cohort)
column() { awk -F'\t' -v name="$1" -v method="$2" 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == name) c = i}
    NR > 1 && $4 == method {print $c}' "$3"; }

# The baseline alone.
expect 0 eval images base "${inputs[@]}"
check "header" [ "$(head -n 1 base.tsv | tr '\t' ' ')" = \
    "subject session item method psnr nrmse ssim gms hf psnr_fit nrmse_fit ssim_fit n_voxels sample" ]
check "four rows" [ "$(column method cubic base.tsv | wc -l)" -eq 4 ]
check "plausible scores" sh -c "awk -F'\t' 'NR > 1 && !(\$5 > 10 && \$5 < 60 && \$7 > 0 && \$7 < 1 && \$9 < 1) {exit 1}' base.tsv"

# A subject is one, wherever its scans lie.
cp -r cohort apart
mkdir -p apart/extra/sub-002/ses-01/anat
mv apart/sub-002/ses-01/anat/*chunk-2* apart/extra/sub-002/ses-01/anat
expect 0 eval images apart --truth cohort/derivatives/truth --lr apart
check "four rows of a tree in two" [ "$(column method cubic apart.tsv | wc -l)" -eq 4 ]
check "two subjects, their means as before" cmp base.md apart.md

# Predictions: the truth for one scan, two samples and their mean for the next, the scan itself for the others.
for lr in cohort/sub-*/ses-*/anat/*_acq-ax_*T2w.nii.gz; do
    to=sr/${lr#cohort/}
    mkdir -p "$(dirname "$to")"
    cp "$lr" "${to%_T2w.nii.gz}_res-iso_desc-superres_T2w.nii.gz"
done
anat=sub-001/ses-01/anat
cp cohort/derivatives/truth/$anat/sub-001_ses-01_acq-iso_T2w.nii.gz \
    sr/$anat/sub-001_ses-01_acq-ax_chunk-1_res-iso_desc-superres_T2w.nii.gz
second=sr/$anat/sub-001_ses-01_acq-ax_chunk-2_res-iso_desc-superres
cp ${second}_T2w.nii.gz ${second}00_T2w.nii.gz
cp ${second}_T2w.nii.gz ${second}mean_T2w.nii.gz
cp ${second}_T2w.nii.gz ${second}sd_T2w.nii.gz
mv ${second}_T2w.nii.gz ${second}02_T2w.nii.gz
mv ${second}00_T2w.nii.gz ${second}01_T2w.nii.gz
expect 0 eval images out "${inputs[@]}" --sr sr --picture out.png
check "five sr rows" [ "$(column method sr out.tsv | wc -l)" -eq 5 ]
check "samples have their numbers" [ "$(column sample sr out.tsv | tr '\n' ' ')" = "n/a 1 2 n/a n/a " ]
check "the baseline and the mean have none" [ "$(column sample cubic out.tsv; column sample sr-mean out.tsv)" = \
    "$(printf 'n/a\n%.0s' 1 2 3 4 5)" ]
check "one row of the mean" [ "$(column method sr-mean out.tsv | wc -l)" -eq 1 ]
check "the truth scores nearly perfect" sh -c "$(declare -f column); [ \$(column ssim sr out.tsv | head -n 1 | cut -c 1-4) = 1.00 ]"
check "the baseline does not depend on predictions" [ "$(column psnr cubic out.tsv)" = "$(column psnr cubic base.tsv)" ]
check "a page with differences" grep -q "sr − cubic" out.md
check "a picture" sh -c 'head -c 4 out.png | grep -q PNG'
check "two subjects are no interval" grep -q '| sr | 2 | [0-9.]* (n too small)' out.md
expect 0 eval images out "${inputs[@]}" --sr sr --json
json '.rows | length' 10
json '[.rows[].sample | numbers] | tostring' '[1,2]'
json '[.means[].method] | tostring' '["cubic","sr","sr-mean","sr − cubic","sr-mean − cubic"]'
json '.means[0].psnr | "\(.n) \(.mean > 10) \(.low)"' '2 true null'
expect 0 eval images out "${inputs[@]}" --sr sr --dry-run
check "dry run names truth and predictions" [ "$(grep -c superres out)" -eq 6 ]

# A missing and an unreadable prediction are rows of NaN and an exit code.
rm sr/sub-002/ses-01/anat/*chunk-1*
head -c 2000 cohort/sub-002/ses-01/anat/sub-002_ses-01_acq-ax_chunk-2_T2w.nii.gz \
    >sr/sub-002/ses-01/anat/sub-002_ses-01_acq-ax_chunk-2_res-iso_desc-superres_T2w.nii.gz
expect 1 eval images out "${inputs[@]}" --sr sr
says err "2 of 10 rows failed"
check "two rows of NaN" [ "$(column psnr sr out.tsv | grep -c nan)" -eq 2 ]

# Equal bytes on one, two and three ranks.
for np in 1 2 3; do
    n_checks=$((n_checks + 1))
    "$MPIEXEC" -n $np "$SAGAX" eval images ranks$np "${inputs[@]}" --sr sr --picture ranks$np.png >out 2>err
    last="eval on $np ranks"
    [ -s ranks$np.tsv ] || _fail "$last: no table"
done
for np in 2 3; do
    for suffix in tsv md png; do
        check "$np ranks write the same $suffix" cmp ranks1.$suffix ranks$np.$suffix
    done
done
check "and the same as without mpiexec" cmp ranks1.tsv out.tsv

# Names that differ in other entities are other scans; what has no partner is counted.
scan=$anat/sub-001_ses-01_acq-ax_chunk-1_T2w.nii.gz
mkdir -p pair/$anat pairsr/$anat/
for rec in a b c; do
    cp cohort/$scan pair/$anat/sub-001_ses-01_acq-ax_rec-${rec}_T2w.nii.gz
    cp cohort/$scan pairsr/$anat/sub-001_ses-01_acq-ax_rec-${rec}_res-iso_desc-superres_T2w.nii.gz
done
rm pair/$anat/*rec-c* # its prediction has no scan now
mkdir -p pair/sub-007/anat && cp cohort/$scan pair/sub-007/anat/sub-007_acq-ax_T2w.nii.gz
expect 0 eval images pair "${inputs[@]}" --lr pair --sr pairsr
check "each scan has its own prediction" [ "$(column method sr pair.tsv | wc -l)" -eq 2 ]
says err "sub-007_acq-ax_T2w.nii.gz: no truth"
says err "rec-c_res-iso_desc-superres_T2w.nii.gz: a prediction without a scan"
check "both are counted" grep -q "1 scans without truth, 1 predictions without a scan" pair.md
rm pairsr/$anat/*rec-b*
expect 1 eval images pair "${inputs[@]}" --lr pair --sr pairsr
says err "rec-b_T2w: no prediction"
mkdir empty
expect 66 eval images pair "${inputs[@]}" --lr pair --sr empty
says err "empty: no prediction of any of the 2 scans"
mkdir -p stitch/$anat
cp cohort/$scan stitch/$anat/sub-001_ses-01_desc-superres_T2w.nii.gz
expect 0 eval images pair "${inputs[@]}" --lr pair --sr stitch
check "a stitched prediction belongs to all" [ "$(column method sr pair.tsv | wc -l)" -eq 2 ]
expect 0 eval images pair "${inputs[@]}" --sr sr --subjects 001
check "one subject only" [ "$(column method cubic pair.tsv | wc -l)" -eq 2 ]

# Predictions of two runs are no samples of one.
two=pairsr/$anat/sub-001_ses-01_acq-ax_rec-b_res-iso_desc-superres
for sample in 01 02; do
    cp cohort/$scan ${two}${sample}_T2w.nii.gz
    echo '{"Sagax": {"WeightsSHA256": "'$sample'", "ConfigurationSHA256": "0"}}' >${two}${sample}_T2w.json
done
expect 1 eval images pair "${inputs[@]}" --lr pair --sr pairsr
says err "come from different weights or configurations"
check "both samples fail" [ "$(column psnr sr pair.tsv | grep -c nan)" -eq 2 ]

# Rows of earlier runs are taken over, to the last bit, while their files are what they were.
scored() { cat "$1".sagax/journal/* | jq -s "[.[] | select(.run == $2 and .state == \"made\")] | length"; }
last_run() { cat "$1".sagax/journal/* 2>/dev/null | jq -s '[.[].run] | max // 0'; }
all=("${inputs[@]}" --sr good)
cp -r sr good
cp cohort/$anat/sub-001_ses-01_acq-ax_chunk-1_T2w.nii.gz \
    good/sub-002/ses-01/anat/sub-002_ses-01_acq-ax_chunk-1_res-iso_desc-superres_T2w.nii.gz
cp cohort/$anat/sub-001_ses-01_acq-ax_chunk-1_T2w.nii.gz \
    good/sub-002/ses-01/anat/sub-002_ses-01_acq-ax_chunk-2_res-iso_desc-superres_T2w.nii.gz
expect 0 eval images whole "${all[@]}"
expect 0 eval images again "${all[@]}"
check "four items were scored" [ "$(scored again 1)" = 4 ]
rm again.tsv again.md
expect 0 eval images again "${all[@]}"
says err "0 made, 4 unchanged"
check "rows come back exactly" cmp whole.tsv again.tsv
check "and so do their means" cmp whole.md again.md
touch -d '2 days ago' good/$anat/*
cp cohort/derivatives/truth/$anat/sub-001_ses-01_acq-iso_T2w.nii.gz \
    good/sub-002/ses-01/anat/sub-002_ses-01_acq-ax_chunk-1_res-iso_desc-superres_T2w.nii.gz
expect 0 eval images again "${all[@]}"
says err "1 made, 3 unchanged"
check "another prediction, another row" bash -c "! cmp -s whole.tsv again.tsv"
expect 0 eval images fresh "${all[@]}"
check "the same as from nothing" cmp fresh.tsv again.tsv
expect 0 eval images again "${all[@]}" --set data.quantile=0.99
says err "4 made, 0 unchanged"
expect 0 eval images again "${all[@]}" --set data.quantile=0.99 --retry all
says err "4 made, 0 unchanged"
sed -i 's/0x1\./0y1./g' again.sagax/journal/*
expect 0 eval images again "${all[@]}" --set data.quantile=0.99
says err "4 made, 0 unchanged" # no number: scored again
rm good/sub-002/ses-01/anat/*chunk-1*
expect 1 eval images again "${all[@]}" --set data.quantile=0.99
expect 1 eval images again "${all[@]}" --set data.quantile=0.99
says err "0 made, 3 unchanged, 1 failed of 4"
says err "1 of 10 rows failed"

# An item in which the program died twice has rows of NaN.
expect 0 eval images died "${inputs[@]}"
line=$(grep -h payload died.sagax/journal/* | grep sub-002 | head -n 1)
rm died.sagax/journal/*
for run in 1 2; do jq -c "del(.payload) | .run = $run | .state = \"crashed\"" <<<"$line"; done >died.sagax/journal/dead.jsonl
expect 1 eval images died "${inputs[@]}"
says err "the program died in it 2 times"
says err "1 of 4 rows failed"
check "one row of NaN" [ "$(column psnr cubic died.tsv | grep -c nan)" -eq 1 ]

# Tasks of an array score, a run without run.part writes.
expect 0 eval images tasks "${inputs[@]}" --sr good --set run.part=0/2 --subjects 001
expect 0 eval images tasks "${inputs[@]}" --sr good --set run.part=1/2 --subjects 001
check "tasks write no files" [ ! -e tasks.tsv ]
expect 0 eval images tasks "${inputs[@]}" --sr good --subjects 001
says err "0 made, 2 unchanged"
expect 0 eval images alone "${inputs[@]}" --sr good --subjects 001
check "and the run after them the same as one alone" cmp alone.tsv tasks.tsv

# Killed ten times, at any number of items: what was scored is not scored again, the files are those of an
# undisturbed run.
expect 0 phantom more -q --subjects 12 --set phantom.height_mm=60 --set phantom.width_mm=30 \
    --set phantom.depth_mm=60 --set phantom.iso_mm=1.5 --set phantom.chunks=2
more=(--truth more/derivatives/truth --lr more)
expect 0 eval images undisturbed "${more[@]}"
n=$(scored undisturbed 1)
RANDOM=5
n_killed=0
n_resumed=0
for round in $(seq 50); do
    [ "$n_killed" -lt 10 ] || break
    [ -e killed.tsv ] && rm -r killed.*
    before=$(last_run killed)
    there=$(cat killed.sagax/journal/* 2>/dev/null | jq -s '[.[] | select(.payload) | .item] | unique | length')
    wanted=$((RANDOM % n))
    "$MPIEXEC" -n 2 "$SAGAX" eval images killed "${more[@]}" >out 2>err &
    launcher=$!
    while kill -0 $launcher 2>/dev/null; do
        [ "$(cat killed.sagax/journal/*.jsonl 2>/dev/null | grep -c payload)" -gt "$wanted" ] && break
    done
    victims=($(living_ranks $launcher))
    if [ ${#victims[@]} -gt 0 ]; then
        kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null && n_killed=$((n_killed + 1))
    fi
    reap $launcher
    if [ "$(last_run killed)" -gt "$before" ]; then
        check "kill $round: what was scored is not scored again" \
            [ "$(scored killed $((before + 1)))" -le $((n - ${there:-0})) ]
        n_resumed=$((n_resumed + (${there:-0} > 0)))
    fi
done
echo "$n_killed kills, $n_resumed runs went on with rows; mpiexec hung without ranks $n_launchers_hung times"
check "all kills met a running rank" [ "$n_killed" = 10 ]
check "some runs went on where another was killed" [ "$n_resumed" -gt 0 ]
expect 0 eval images killed "${more[@]}"
for suffix in tsv md; do check "the same $suffix" cmp undisturbed.$suffix killed.$suffix; done

# A stop request, and an output that cannot be made, end it early.
touch blocked
expect 73 eval images blocked/out "${inputs[@]}"
says err "blocked"
check "before anything is scored" bash -c "! grep -q item err"
close_gate stopped.sagax/claims
"${gated[@]}" "$SAGAX" eval images stopped "${inputs[@]}" >out 2>err &
pid=$!
at_gate
kill -TERM $pid
last="eval with a stop request"
wait $pid
check "a stop request ends with exit 75" [ $? = 75 ]
check "without files" [ ! -e stopped.tsv ]
rm -rf stopped.sagax
close_gate more/sub-006
"${gated[@]}" "$SAGAX" eval images stopped "${more[@]}" >out 2>err &
pid=$!
at_gate
check "items are scored" [ "$(scored stopped 1)" -gt 0 ]
kill -USR1 $pid
wait $pid
check "so does one in the middle" [ $? = 75 ]
check "without files either" [ ! -e stopped.tsv ]
expect 0 eval images stopped "${more[@]}"
check "each item is scored once" [ $(($(scored stopped 1) + $(scored stopped 2))) = "$n" ]
check "and the table is that of an undisturbed run" cmp undisturbed.tsv stopped.tsv

expect 64 eval images out "${inputs[@]}" --set data.acq=ax
expect 64 eval images out --lr cohort
expect 64 eval nothing out
expect 66 eval images out --lr cohort --truth sr
finish
