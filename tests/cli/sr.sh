#!/usr/bin/env bash
# The verb sr: equal bytes on 1, 2, 3 ranks, what is made again and why, bad items, kills, stops.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
. "$(dirname "$0")/sr_world.sh"

# ---- the same bytes on any number of ranks: volumes shared out, slices of one shared ----
expect 0 sr bids serial "${use[@]}"
check "an output is there" [ -f serial/$made.nii.gz ]
for n in 1 2 3; do
    check "a cohort on $n ranks" ranks $n bids np$n "${use[@]}"
    check "$n ranks write what one process writes" same serial np$n
done
one=bids/$scan.nii.gz
for n in 1 2 3; do
    check "one scan on $n ranks" ranks $n $one one$n "${use[@]}" --samples 2 --consistency project
    check "$n ranks on one scan write what one writes" same one1 one$n
done
several=$(ls one1 | grep -c 'desc-superres\(01\|02\|mean\|sd\)_T2w.nii.gz')
check "samples, mean and deviation are there" [ "$several" = 4 ]

# ---- the sidecar ----
side() { check "sidecar: $1" jq -e "$1" "$2" >checked; }
side '.Sagax.ResidualRMS > 1e-3' serial/$made.json
side '.Sagax.ResidualRMS < 1e-4' one1/sub-001_ses-01_acq-ax_res-iso_desc-superres01_T2w.json
side '.Sagax.ResidualRMSCubic < 0.2' serial/$made.json
side '.Sagax.SliceThicknessFrom == "sidecar"' serial/$made.json
side '.Sagax.Warning | test("not for diagnosis")' serial/$made.json
side ".Sagax.SourceSHA256 == \"$(sha256sum <$one | cut -d' ' -f1)\"" serial/$made.json
side ".Sagax.OutputSHA256 == \"$(sha256sum <serial/$made.nii.gz | cut -d' ' -f1)\"" serial/$made.json
side ".Sagax.WeightsSHA256 == \"$(sha256sum <run/weights.h5 | cut -d' ' -f1)\"" serial/$made.json
side '.Sagax.Configuration.network.base_channels == 8' serial/$made.json
side '.DatasetType == "derivative"' serial/dataset_description.json
expect 0 validate serial/$made.nii.gz --json
json '.zooms | map(. * 10000 | round) | unique | tostring' '[8571]'
json .axcodes PIR

# ---- noise: shared by the sessions of a subject, not by subjects; the seed counts ----
cp -r serial seeded
expect 0 sr bids seeded "${use[@]}" --seed 1
check "another seed gives another image" bash -c "! cmp -s serial/$made.nii.gz seeded/$made.nii.gz"

# ---- what is made again, and why ----
plan() { expect 0 sr bids serial "$@" --dry-run && says out "$why"; }
why=$'keep\tfinished, nothing changed' plan "${use[@]}"
why=$'make\tthe configuration changed' plan --weights run --steps 3
why=$'make\tforced' plan "${use[@]}" --force
why=$'make\tthe configuration changed' plan "${use[@]}" --consistency project
expect 0 sr bids serial "${use[@]}"
check "nothing is made twice" [ "$(cut -f2 serial/sagax-sr.tsv | grep -c unchanged)" = 3 ]
printf x >>serial/$made.nii.gz
why=$'make\tthe output is damaged' plan "${use[@]}"
expect 0 sr bids serial "${use[@]}"
check "only the damaged one is made again" [ "$(cut -f2 serial/sagax-sr.tsv | grep -c made)" = 1 ]
check "it is what it was" same serial np1
rm serial/$made.json
why=$'make\tno sidecar' plan "${use[@]}"
expect 0 sr bids serial "${use[@]}"
cp -r run run2
expect 0 train cache.h5 run2 --set train.steps=2 --set train.batch=1 --set train.crop=16 \
    --set train.val_every=0 --set train.preview_every=0 --set model.base_channels=8 \
    --set model.mult=1,1 --set model.res_blocks=1
why=$'make\tthe weights changed' plan --weights run2 --steps 2
cp bids/${scan//001/002}.nii.gz $one
why=$'make\tthe input changed' plan "${use[@]}"

# ---- bad items among good ones ----
rm -rf bad && cp -r bids bad
head -c 2000 bids/${scan//001/002}.nii.gz >bad/${scan//001/002}.nii.gz
echo "no image" >bad/${scan//001/003}.nii.gz
for n in 1 2; do
    rm -rf badout
    "$MPIEXEC" -n $n "$SAGAX" sr bad badout "${use[@]}" >out 2>err
    check "bad items: exit 1 on $n ranks" [ $? = 1 ]
    check "one is made" [ "$(cut -f2 badout/sagax-sr.tsv | grep -c '^made$')" = 1 ]
    check "two have failed" [ "$(cut -f2 badout/sagax-sr.tsv | grep -c '^failed$')" = 2 ]
    check "each with its reason" [ "$(awk -F'\t' '$2 == "failed" && length($3) > 20' \
        badout/sagax-sr.tsv | wc -l)" = 2 ]
done

# ---- killed, then run again ----
"$SAGAX" sr bids killed "${use[@]}" --force >out 2>err &
pid=$!
for _ in $(seq 600); do
    [ -n "$(find killed -name '*.json' -path '*anat*' 2>/dev/null)" ] && break
    sleep 0.05
done
kill -9 $pid
wait $pid 2>/dev/null
mkdir -p killed/sub-003/ses-01/anat
left=killed/${made//001/003}.nii.gz.tmp.1 # as a kill in the middle of writing leaves it
head -c 100 $one >$left
rm -f killed/${made//001/003}.nii.gz
expect 0 sr bids killed "${use[@]}"
expect 0 sr bids whole "${use[@]}"
check "a killed run is completed to the same bytes" same whole killed
check "no half-written file is left" clean killed

# ---- asked to stop ----
"$SAGAX" sr bids stopped --weights run --steps 500 >out 2>err &
pid=$!
for _ in $(seq 600); do
    [ -f stopped/dataset_description.json ] && break
    sleep 0.05
done
kill -TERM $pid
wait $pid
check "a stop request ends with exit 75" [ $? = 75 ]
check "and leaves no half-written file" clean stopped

# ---- refusals ----
expect 64 sr bids nowhere
expect 66 sr bids nowhere "${use[@]}" --acq nothing
expect 66 sr bids nowhere --weights absent
expect 65 sr bids nowhere "${use[@]}" --set model.base_channels=16
check "a refused run writes nothing" [ ! -e nowhere ]
finish
