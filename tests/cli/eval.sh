#!/usr/bin/env bash
# The verb eval: rows, missing predictions, samples, pictures, and equal bytes on any number of ranks.
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf cohort sr out.* ranks*
expect 0 phantom cohort -q --subjects 2 --set phantom.height_mm=60 --set phantom.width_mm=30 \
    --set phantom.depth_mm=60 --set phantom.iso_mm=1.5 --set phantom.chunks=2
inputs=(--truth cohort/derivatives/truth --lr cohort)
column() { awk -F'\t' -v name="$1" -v method="$2" 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == name) c = i}
    NR > 1 && $4 == method {print $c}' "$3"; }

# The baseline alone.
expect 0 eval images base "${inputs[@]}"
check "header" [ "$(head -n 1 base.tsv | tr '\t' ' ')" = \
    "subject session item method psnr nrmse ssim gms hf psnr_fit nrmse_fit ssim_fit n_voxels" ]
check "four rows" [ "$(column method cubic base.tsv | wc -l)" -eq 4 ]
check "plausible scores" sh -c "awk -F'\t' 'NR > 1 && !(\$5 > 10 && \$5 < 60 && \$7 > 0 && \$7 < 1 && \$9 < 1) {exit 1}' base.tsv"

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
mv ${second}_T2w.nii.gz ${second}01_T2w.nii.gz
expect 0 eval images out "${inputs[@]}" --sr sr --picture out.png
check "five sr rows" [ "$(column method sr out.tsv | wc -l)" -eq 5 ]
check "one row of the mean" [ "$(column method sr-mean out.tsv | wc -l)" -eq 1 ]
check "the truth scores nearly perfect" sh -c "$(declare -f column); [ \$(column ssim sr out.tsv | head -n 1 | cut -c 1-4) = 1.00 ]"
check "the baseline does not depend on predictions" [ "$(column psnr cubic out.tsv)" = "$(column psnr cubic base.tsv)" ]
check "a page with differences" grep -q "sr − cubic" out.md
check "a picture" sh -c 'head -c 4 out.png | grep -q PNG'
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

expect 64 eval images out --lr cohort
expect 64 eval nothing out
expect 66 eval images out --lr cohort --truth sr
finish
