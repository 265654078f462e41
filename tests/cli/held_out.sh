#!/usr/bin/env bash
# Subjects that a network was trained on: sr and eval can leave them out, and eval says when they are scored.
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
expect 0 phantom bids -q --subjects 5 --set phantom.height_mm=50 --set phantom.width_mm=10 \
    --set phantom.depth_mm=50 --set phantom.chunks=1
expect 0 cache build bids cache.h5 --set data.split_train=0.6 --set data.split_val=0.2 --set data.split_test=0.2
subjects_of() { "$SAGAX" cache info cache.h5 --json | jq -r ".volumes[] | select(.split == \"$1\") | .subject" | sort -u; }
subjects_of train >train && subjects_of test >test
check "some of each" [ -s train -a -s test ]
tiny=(--steps 1 --batch 1 --set model.base_channels=8 --set model.mult=1,1 --set model.res_blocks=1
    --set train.crop=16 --set train.val_every=0 --set train.preview_every=0)
expect 0 train cache.h5 run "${tiny[@]}"
use=(--weights run --steps 1)
scores=(--truth bids/derivatives/truth --lr bids)

# ---- all: eval says so ----
expect 0 sr bids all "${use[@]}" -q
trained=$(grep -l '"TrainedOnSubject": true' all/sub-*/ses-*/anat/*.json | sed 's/.*sub-\([^_]*\)_.*/\1/' | sort -u)
check "sidecars know who was trained on" [ "$trained" = "$(cat train)" ]
expect 0 eval images everybody "${scores[@]}" --sr all
says err "$(wc -l <train) of 5 scored scans are of subjects that a network was trained on"
says err "by their labels"
check "weights do not tell labels" bash -c "! grep -aq '\"00[1-5]\"' run/weights.h5"

# ---- images in two folders: each subject once all the same ----
expect 0 cache build bids both.h5 --set data.derivatives=true --set data.split_list=cache.h5
expect 0 train both.h5 both "${tiny[@]}"
expect 0 weights export both both.safetensors
grep -ao '\\"[0-9a-f]\{16\}\\"' both.safetensors >names
check "subjects in weights" [ "$(wc -l <names) $(sort -u names | wc -l)" = "$(wc -l <train) $(wc -l <train)" ]

# ---- those of a split ----
expect 0 sr bids held "${use[@]}" --cache cache.h5 --split test -q
check "images of these alone" [ "$(ls held | sed -n 's/^sub-//p')" = "$(cat test)" ]
expect 0 eval images out "${scores[@]}" --sr all --cache cache.h5 --split test
check "scores of these alone" [ "$(tail -n +2 out.tsv | cut -f 1 | sort -u)" = "$(cat test)" ]
check "nothing to warn of" bash -c '! grep -q "trained on\|no truth\|no scan" err'
expect 0 eval images same "${scores[@]}" --sr held --cache cache.h5 --split test
check "the same scores" cmp out.tsv same.tsv

# ---- refused ----
expect 64 sr bids other "${use[@]}" --split test
says err "data.split = test: data.cache (--cache) has to say who that is"
expect 66 sr bids other "${use[@]}" --split test --cache absent.h5
expect 0 cache build bids all.h5 --set data.split_train=1 --set data.split_val=0 --set data.split_test=0
expect 66 sr bids other "${use[@]}" --split test --cache all.h5
says err "bids: no image of a subject in split test of all.h5"
check "nothing was written" [ ! -e other ]
finish
