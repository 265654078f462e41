#!/usr/bin/env bash
# The verb ablate at the smallest sizes: every row in the table, a row that fails leaves the others, a
# study that was killed goes on without training again what was trained, and the grid of `status`.
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
. "$SAGAX_SOURCE_DIR/tests/cli/study_lib.sh"
rm -rf ./*
expect 0 phantom bids -q --subjects 5 --set phantom.height_mm=90 --set phantom.width_mm=24 \
    --set phantom.depth_mm=80 --set phantom.iso_mm=1.2 --set phantom.chunks=2
study_settings
cat >sweep.ini <<'END'
[sweep]
title = A small world
against = cubic
[rows]
cubic = sr.method=cubic
rcan = model.arch=rcan model.base_channels=8 model.groups=1 model.blocks=1 model.reduction=2
wrong = sr.method=cubic sr.samples=2
palette = model.arch=palette model.base_channels=8 model.mult=1,1 model.res_blocks=1
[paper]
cubic = .6464 .435 .600 .684
palette = .9942 .045 .115 .718
END
study_segmenter >>sweep.ini
study=(ablate sweep.ini study --bids bids --truth bids/derivatives/truth --config study.ini)

# Weights that cannot segment are found out before anything is trained.
expect 0 cache build bids c.h5 --config study.ini
expect 0 train c.h5 restorer --config study.ini --set model.arch=rcan --set model.base_channels=8 --set model.groups=1 \
    --set model.blocks=1 --set model.reduction=2
expect 78 "${study[@]}" --segmenter restorer
says err "network rcan is no segmenter"
expect 66 "${study[@]}" --segmenter nowhere
# Nor a row that cannot be trained.
refused() { # refused EDIT TEXT: the sweep file after an edit by sed, and what is said of it
    sed "$1" sweep.ini >edited.ini
    expect 78 ablate edited.ini study --bids bids --truth bids/derivatives/truth --config study.ini
    says err "edited.ini: $2"
}
refused 's/^wrong = .*/wrong = model.arch=hat model.window=16 model.base_channels=7/' \
    "row wrong: train: model.squeeze = 30"
refused 's/^wrong = .*/wrong = train.lr=fast/' "row wrong: train: train.lr = \"fast\""
refused 's/^wrong = .*/wrong = model.arch=palette train.crop=33/' \
    "row wrong: train: 33 x 33 pixels: sides should be multiples of 8"
refused 's/^train.steps = 4/train.stesp = 4/' "[segmenter]: no step of the segmenter has the key train.stesp"
check "and nothing is written" [ ! -e study ]

# What it would do, without doing it.
expect 0 "${study[@]}" --dry-run
check "a line a step" [ "$(wc -l <out)" -eq 14 ]
check "nothing is written" [ ! -e study ]
says out "palette	train	sagax train study/cache.h5 study/rows/palette/run"

# Killed while a row is trained, then gone on with: one row fails, the others are there.
close_gate palette/run/ckpt/step-00000004.h5
"${gated[@]}" "$SAGAX" "${study[@]}" >out 2>err &
pid=$!
at_gate
kill -9 $pid
wait $pid 2>/dev/null
check "it was in the last row" [ -e study/rows/palette/run/ckpt/step-00000002.h5 ]
expect 0 status study
says out "train begun"
trained=$(stat -c %Y.%i study/rows/rcan/run/weights.h5)
expect 1 "${study[@]}"
says err "row wrong"
says err "row palette: segment: "
says err "reasons are in study/rows/palette/seg/sagax-segment.tsv"
check "what was trained is not trained again" [ "$(stat -c %Y.%i study/rows/rcan/run/weights.h5)" = "$trained" ]
check "a row in the table for each" [ "$(grep -cE '^\| (cubic|rcan|wrong|palette) ' study/table.md)" -eq 7 ]
check "the failed row shows what missing predictions score" grep -qE '^\| wrong \| 0\.000' study/table.md
check "and why" grep -q "^wrong: sr: .*draws nothing at random" study/table.md
check "published figures" grep -qE '^\| palette .*0\.994' study/table.md
check "TSV" [ "$(wc -l <study/table.tsv)" -eq 17 ]
check "picture" [ -s study/table.png ]
check "without a complaint" bash -c "! grep -q picture err"
check "LaTeX" grep -q '^palette & ' study/table.tex
expect 0 status study
says out "sr failed"
says out "scores"
expect 0 status study --json
json '.rows[2].row + " " + .rows[2].steps[0].state' "rcan done"

# Two ranks make the same table.
"$MPIEXEC" -n 2 "$SAGAX" ablate sweep.ini second --bids bids --truth bids/derivatives/truth --config study.ini \
    >out 2>err
for f in table.tsv table.tex table.png scores.tsv; do # reasons in table.md name ranks
    check "np 2 gives the same $f" cmp study/$f second/$f
done

# Rows by themselves, as tasks of an array have them.
expect 0 ablate sweep.ini third --bids bids --truth bids/derivatives/truth --config study.ini --stage prepare
expect 0 ablate sweep.ini third --bids bids --truth bids/derivatives/truth --config study.ini --stage rows \
    --set run.part=0/4
check "one row" [ "$(ls third/rows)" = cubic ]
rm third/cache.h5
expect 1 ablate sweep.ini third --bids bids --truth bids/derivatives/truth --config study.ini --stage rows --rows rcan
expect 0 status third
says out "train failed: third/cache.h5"

# What a row made under other settings is not scored when it fails under these.
dice() { awk -F'\t' '$1 == "cubic" && $2 == "axial_dice" {print $4}' study/table.tsv; }
cp study/table.png shown.png
check "figures so far" awk "BEGIN {exit !($(dice) > 0)}"
cp sweep.ini kept.ini
sed -i 's/^cubic = sr.method=cubic$/& sr.samples=2/' sweep.ini
expect 1 "${study[@]}"
says err "cubic draws nothing at random"
check "none when it has failed" [ "$(dice)" = 0.000000 ]
check "the last line tells of the rows" sh -c 'tail -n 1 err | grep -q "3 of 4 rows have failed"'
check "nor an image" sh -c '! cmp -s study/table.png shown.png'
mv kept.ini sweep.ini
expect 1 "${study[@]}"
check "the earlier image when it is itself again" cmp study/table.png shown.png
check "the earlier ones when it is itself again" awk "BEGIN {exit !($(dice) > 0)}"

check "nothing to say of rows that are as they should be" bash -c '! grep -q "^rcan: " study/table.md'
"$SAGAX" "${study[@]}" --stage scores --steps 7 >out 2>err
check "figures of other settings are told" grep -q "^rcan: train was run with another command line" study/table.md
check "not where there is nothing to train" bash -c '! grep -q "^cubic: " study/table.md'
"$SAGAX" "${study[@]}" --stage rows --rows rcan --steps 4000000 >out 2>err &
pid=$!
wait_until 60 grep -q begun study/rows/rcan/steps.tsv
kill -9 $pid
wait $pid 2>/dev/null
check "what came after it is gone" [ "$(tail -n +2 study/rows/rcan/steps.tsv | cut -f 1,2)" = "train	begun" ]
"$SAGAX" "${study[@]}" --stage scores >out 2>err
check "so are steps that were killed" grep -q "^rcan: train has begun and not ended" study/table.md
sed '/^palette = model/a late = model.arch=rcan' sweep.ini >later.ini
"$SAGAX" ablate later.ini study --bids bids --truth bids/derivatives/truth --config study.ini --stage scores >out 2>err
check "so are rows that were not run" grep -q "^late: train has not been run" study/table.md

# What cannot be.
expect 64 ablate sweep.ini x --truth bids
says err "--bids is missing"
expect 66 ablate no-such-table x --bids bids --truth bids
expect 64 "${study[@]}" --rows nobody
says err "has no row nobody"
expect 78 "${study[@]}" --size tiny
says err "no section [tiny], which --size asks for; sizes: "
printf '[rows]\na = train.stesp=3\n' >bad.ini
expect 78 ablate bad.ini x --bids bids --truth bids
says err "no step of a row has the key train.stesp"
finish
