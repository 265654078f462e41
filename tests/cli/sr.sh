#!/usr/bin/env bash
# The verb sr: equal bytes on 1, 2, 3 ranks, what is made again and why, bad items, kills, stops.
set -u
poison_weights=$1
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
if [ "$(nproc)" -ge 2 ]; then # two threads give other last bits: no reason to make anything again
    expect 0 sr bids threads "${use[@]}" --threads 2
    says err "2 threads a rank"
    expect 0 sr bids serial "${use[@]}" --threads 2
    says err "0 made, 3 unchanged"
    check "of what is there already no line an image" [ "$(grep -c ': unchanged' err)" = 0 ]
    expect 0 sr bids serial "${use[@]}" --threads 2 --explain
    check "but with --explain" [ "$(grep -c ': unchanged' err)" = 3 ]
fi
expect 0 sr bids plain "${use[@]}" --set sr.prepare=false
check "prepared weights change no byte" same serial plain
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
expect 0 sr $one whole16 "${use[@]}" --consistency project --set sr.dtype=int16
whole=whole16/sub-001_ses-01_acq-ax_res-iso_desc-superres_T2w
side '.Sagax | .ResidualRMS * .Mapping.scale | . > 0.05 and . < 0.5' $whole.json # of whole intensities
side '.Sagax.SliceThicknessFrom == "sidecar"' serial/$made.json
side '.Sagax.Warning | test("not for diagnosis")' serial/$made.json
side ".Sagax.SourceSHA256 == \"$(sha256sum <$one | cut -d' ' -f1)\"" serial/$made.json
side ".Sagax.OutputSHA256 == \"$(sha256sum <serial/$made.nii.gz | cut -d' ' -f1)\"" serial/$made.json
side ".Sagax.WeightsSHA256 == \"$(sha256sum <run/weights.h5 | cut -d' ' -f1)\"" serial/$made.json
side '.Sagax.Configuration.network.base_channels == 16' serial/$made.json
side '.DatasetType == "derivative"' serial/dataset_description.json
expect 0 validate serial/$made.nii.gz --json
json '.zooms | map(. * 10000 | round) | unique | tostring' '[8571]'
json .axcodes PIR

# ---- noise: shared by the sessions of a subject, not by subjects; the seed counts ----
cp -r serial seeded
expect 0 sr bids seeded "${use[@]}" --seed 1
check "another seed gives another image" bash -c "! cmp -s serial/$made.nii.gz seeded/$made.nii.gz"

# ---- what a killed or another run left does not stay ----
cp -r one1 fewer
expect 0 sr $one fewer "${use[@]}"
check "one image and its sidecar stay of four" [ "$(ls fewer | grep -c superres)" = 2 ]

# ---- the table: rows of other items stay, reasons do not know ranks ----
table() { awk -F'\t' -v status="$2" '$2 == status' "$1"/sagax-sr.tsv | wc -l; }
cp -r serial part
expect 0 sr bids part "${use[@]}"
expect 0 sr bids part "${use[@]}" --subjects 002 --retry all
check "one row is new" [ "$(table part made)" = 1 ]
check "all rows are there" [ "$(wc -l <part/sagax-sr.tsv)" = 4 ]
echo "no image" >broken.nii.gz
ranks 2 broken.nii.gz brokenout "${use[@]}"
check "a broken scan on 2 ranks: exit 1" [ $? = 1 ]
check "its reason names no rank" bash -c "grep -q failed brokenout/sagax-sr.tsv && ! grep -q rank brokenout/sagax-sr.tsv"
check "its name is said once" bash -c "! grep -q 'broken.nii.gz: broken.nii.gz' err"
expect 0 sr bids part "${use[@]}" --json
json '[.[].status] | unique | tostring' '["unchanged"]'
expect 0 sr bids part "${use[@]}" --json --dry-run
json '[.[].plan] | unique | tostring' '["keep"]'

# ---- the slices that a rank restores are its own ----
SAGAX_PROGRESS=lines ranks 3 $one progress "${use[@]}"
check "progress ends at its total" awk -F'[ /]' '/ slice in / {n++; if ($2 != $3) exit 1} END {exit !n}' err

# ---- input: lists, OUT in the tree, two scans of one name ----
mkdir lists
printf 'path\n../%s\n' "$one" >lists/list.tsv
expect 0 sr lists/list.tsv listed "${use[@]}"
check "a listed scan lands where its entities say" cmp listed/$made.nii.gz np1/$made.nii.gz
check "nothing is written among the scans" [ -z "$(find bids -name '*superres*')" ]
expect 0 sr nowhere listed "${use[@]}" --set data.list=lists/list.tsv --dry-run
says out $'keep\tfinished'
cp -r bids inside
mkdir -p inside/out/sub-009/anat inside/sub-009/anat
cp $one inside/out/sub-009/anat/sub-009_acq-ax_T2w.nii.gz
cp $one inside/sub-009/anat/sub-009_acq-ax_desc-superres_T2w.nii.gz
for n in 1 2; do
    expect 0 sr inside inside/out "${use[@]}"
    check "outputs are no scans" [ "$(wc -l <inside/out/sagax-sr.tsv)" = 4 ]
done
cp -r bids twice
gunzip -c $one >twice/$scan.nii
expect 1 sr twice twiceout "${use[@]}"
check "two scans of one output both fail" [ "$(grep -c "failed.*$scan.nii.* and .*$scan.nii.* would both become" \
    twiceout/sagax-sr.tsv)" = 2 ]
check "the others are made" [ "$(table twiceout made)" = 2 ]
expect 1 sr twice twiceout "${use[@]}" --dry-run
says err "2 of 4 items would fail"
touch kept && expect 73 sr bids kept "${use[@]}"
says err "kept: is not a folder"

# ---- scans that this network cannot restore ----
expect 1 sr bids/${scan/acq-ax/acq-sag}.nii.gz sagittal "${use[@]}"
says err "no axial scan of slices thicker than"
expect 1 sr bids/derivatives/truth/${scan/acq-ax/acq-iso}.nii.gz isotropic "${use[@]}"
says err "no axial scan of slices thicker than"
tiny=(--set train.steps=1 --set train.batch=1 --set train.crop=16 --set train.val_every=0 --set train.preview_every=0
    --set model.base_channels=8 --set model.mult=1,1 --set model.res_blocks=1)
expect 0 train cache.h5 thick "${tiny[@]}" --set degrade.lr_min_mm=8 --set degrade.lr_max_mm=9 \
    --set diffusion.target=eps
expect 0 sr $one thickout --weights thick --steps 2
says err "the weights were trained for 8 to 9 mm"
expect 0 sr $one plain "${use[@]}"
check "and is quiet otherwise" bash -c "! grep -q 'trained for' err"
expect 65 sr $one checkpoint --weights run/ckpt/step-00000004.h5
says err "is a checkpoint of a training"
check "weights that overflow are made" "$poison_weights" run/weights.h5 huge.h5
for n in 1 2; do
    ranks $n $one nan --weights huge.h5 --steps 2
    check "they restore nothing, on $n ranks: exit 1" [ $? = 1 ]
    says err "the network gives values that are not finite"
    check "nothing is written of it" [ -z "$(find nan -name '*superres*')" ]
done
cp $one oddside.nii.gz
echo '{"SliceThickness": ' >oddside.json
expect 0 sr oddside.nii.gz odd "${use[@]}"
says err "oddside.json: not readable as JSON"
gunzip -c $one >unit.nii
printf '\x17\xb7\xd1\x38' | dd of=unit.nii bs=1 seek=112 conv=notrunc 2>dd # scl_slope = 1e-4
expect 1 sr unit.nii unit "${use[@]}" --set sr.dtype=int16
says err "sr.dtype = int16 needs at least 256 whole steps"
check "nothing is written of it" [ -z "$(find unit -name '*superres*')" ]

# ---- weights that came by safetensors know what they predict ----
for pair in run:v thick:eps; do
    expect 0 weights export ${pair%:*} ${pair%:*}.safetensors
    expect 0 sr $one exported-${pair%:*} --weights ${pair%:*}.safetensors --steps 2
    side ".Sagax.Configuration.target == \"${pair#*:}\"" \
        exported-${pair%:*}/sub-001_ses-01_acq-ax_res-iso_desc-superres_T2w.json
done

for weights in run run.safetensors; do
    expect 78 sr $one told --weights $weights --steps 2 --set diffusion.target=eps
    says err "was trained with diffusion.target = v, but diffusion.target = eps is set"
    expect 0 sr $one told --weights $weights --steps 2 --set diffusion.target=v --dry-run
done
printf '[diffusion]\nschedule = cosine\n' >left.ini
expect 78 sr $one told "${use[@]}" --config left.ini
says err "was trained with diffusion.schedule = linear, but diffusion.schedule = cosine is set"
check "and nothing is written" [ ! -e told ]

# ---- noise: shared by the sessions of a subject ----
mkdir -p visits/sub-001/ses-0{1,2}/anat
for ses in 01 02; do cp $one visits/${scan//ses-01/ses-$ses}.nii.gz; done
expect 0 sr visits visited "${use[@]}"
check "equal scans of two sessions give equal images" cmp visited/$made.nii.gz visited/${made//ses-01/ses-02}.nii.gz

# ---- what is made again, and why ----
plan() { expect 0 sr bids serial "$@" --dry-run && says out "$why"; }
why=$'keep\tfinished, nothing changed' plan "${use[@]}"
why=$'make\tthe configuration changed' plan --weights run --steps 3
why=$'make\tasked for again' plan "${use[@]}" --retry all
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
touch bids/*/*/*/*
why=$'keep\tfinished, nothing changed' plan "${use[@]}"
check "a touched scan is not made again" [ "$(cut -f2 out | grep -c make)" = 0 ]
jq '.SliceThickness = 3' bids/$scan.json >thin.json
cp bids/$scan.json side.json
cp thin.json bids/$scan.json
why=$'make\tthe slice thickness changed' plan "${use[@]}"
expect 0 sr bids serial "${use[@]}"
side '.Sagax.SliceThickness_mm == 3' serial/$made.json
cp side.json bids/$scan.json
expect 0 sr bids serial "${use[@]}"
cp -r run run2
expect 0 train cache.h5 run2 --set train.steps=5 --set train.batch=1 --set train.crop=16 \
    --set train.val_every=0 --set train.preview_every=0 --set model.base_channels=16 \
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

mkdir -p ten
for i in $(seq -w 10); do
    mkdir -p ten/sub-$i/anat
    [ $((10#$i % 2)) = 0 ] && cp $one ten/sub-$i/anat/sub-${i}_acq-ax_T2w.nii.gz ||
        echo "no image $i" >ten/sub-$i/anat/sub-${i}_acq-ax_T2w.nii.gz
done
ranks 2 ten tenout "${use[@]}" --log ten.log
check "five bad of ten: exit 1" [ $? = 1 ]
check "five outputs" [ "$(find tenout -name '*superres_T2w.nii.gz' | wc -l)" = 5 ]
for i in $(seq -w 10); do # whichever rank had it
    check "the log has scan $i" grep -q "sub-${i}_acq-ax_T2w" ten.log
done
check "the log warns of five" [ "$(grep -c '"warning".*failed: .*acq-ax' ten.log)" = 5 ]
mkdir -p latin/sub-1/anat
cp broken.nii.gz $'latin/sub-1/anat/sub-1_acq-ax_rec-\xff_T2w.nii.gz'
expect 1 sr latin latinout "${use[@]}" --log latin.log
check "the log names a file whose name is no UTF-8" grep -q 'sub-1_acq-ax_rec-?_T2w' latin.log
check "and stays UTF-8" iconv -f UTF-8 -t UTF-8 -o utf8 latin.log

# ---- outputs that cannot be written end the run ----
for n in 1 2; do
    rm -rf blocked && mkdir blocked
    touch blocked/sub-{02,04,06,08,10}
    ranks $n ten blocked "${use[@]}"
    check "a blocked output on $n ranks: exit 73" [ $? = 73 ]
    check "and the rest is left waiting" [ "$(table blocked waiting)" -gt 0 ]
done
# ---- killed, then run again ----
close_gate sub-003
"${gated[@]}" "$SAGAX" sr bids killed "${use[@]}" --retry all >out 2>err &
pid=$!
at_gate
check "an image is made" [ -n "$(find killed -name '*.json' -path '*anat*')" ]
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
close_gate _T2w.nii.gz
"${gated[@]}" "$SAGAX" sr bids stopped --weights run --steps 500 >out 2>err &
pid=$!
at_gate
kill -TERM $pid
wait $pid
check "a stop request ends with exit 75" [ $? = 75 ]
check "and leaves no half-written file" clean stopped

# ---- refusals ----
expect 64 sr bids nowhere
expect 66 sr bids nowhere "${use[@]}" --acq nothing
expect 66 sr bids nowhere --weights absent
expect 65 sr bids nowhere "${use[@]}" --set model.base_channels=8
expect 78 segment bids nowhere --weights run
says err "run: weights of network palette, which makes images, not masks"
check "a refused run writes nothing" [ ! -e nowhere ]
finish
