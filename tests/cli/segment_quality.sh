#!/usr/bin/env bash
# How well the built-in segmenter does: trained on 8 phantoms, tried on 10 others. On their isotropic truth
# it finds 99 % of the vertebrae with a mean Dice of 0.90; on what cubic interpolation makes of their
# axial scans it does clearly worse. About 10 minutes on one core.
#   segment_quality.sh [STEPS]
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
steps=${1:-1500}
expect 0 phantom learn -q --subjects 8 --seed 11 --set phantom.height_mm=300 --set phantom.chunks=1
expect 0 phantom held -q --subjects 10 --seed 5
learn=learn/derivatives/truth
held=held/derivatives/truth
expect 0 cache build $learn c.h5 --acq iso --labels $learn --set data.split_test=0
expect 0 train c.h5 run --kind segmentation --steps "$steps" --batch 4 --lr 2e-3 --set train.crop=128 \
    --set model.base_channels=16 --set model.res_blocks=1 --set model.dropout=0 \
    --set train.lr_schedule=cosine --set train.ema=0.99 --set train.val_every=500
expect 0 segment $held iso --acq iso --weights run
expect 0 sr held cubic --method cubic --stitch
expect 0 segment cubic thick --weights run
expect 0 eval vertebrae scores --truth $held --pred iso=iso,cubic=thick
# The training cohort has subjects 001 to 008, by whose labels weights know them.
trained() { jq .Sagax.TrainedOnSubject iso/sub-"$1"/ses-01/anat/sub-"$1"_ses-01_acq-iso_seg-vert_dseg.json; }
check "a subject of its training" [ "$(for i in 1 2 3 4 5 6 7 8; do trained 00$i; done | grep -c true)" -ge 5 ]
check "others are not" [ "$(trained 009) $(trained 010)" = "false false" ]
# value METHOD METRIC: its macro mean.
value() {
    awk -F'\t' -v method="$1" -v metric="$2" '$1 == method && $2 == metric && $3 == "macro" {print $5}' \
        scores_summary.tsv
}
holds() { check "$1: $2" awk "BEGIN {exit !($2)}"; }
for method in iso cubic; do
    echo "$method: detection $(value $method dtr), Dice $(value $method dice), b0 $(value $method b0_error)," \
        "b1 $(value $method b1_error)"
done
holds "detection on the truth" "$(value iso dtr) >= 0.99"
holds "Dice on the truth" "$(value iso dice) >= 0.90"
holds "cubic is worse" "$(value cubic dice) < $(value iso dice) - 0.15"
holds "cubic breaks vertebrae" "$(value cubic b1_error) > $(value iso b1_error) + 0.15"
finish
