#!/usr/bin/env bash
# What a change in a cohort makes run again, edit by edit: exactly what depends on it, each with its reason.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
. "$(dirname "$0")/sr_world.sh"

cp -r run other
expect 0 train cache.h5 other --set train.steps=5 --set train.batch=1 --set train.crop=16 --set train.val_every=0 \
    --set train.preview_every=0 --set model.base_channels=16 --set model.mult=1,1 --set model.res_blocks=1
check "two networks" bash -c "! cmp -s run/weights.h5 other/weights.h5"

# planned FOLDER WEIGHTS WANT [options...]: the scans that would be made ("001/01 002/01"), each with REASON.
reason=
planned() {
    local folder=$1 weights=$2 want=$3 got
    shift 3
    "$SAGAX" sr bids "$folder" --weights "$weights" --steps 2 --dry-run --json "$@" >out 2>err
    last="what $folder needs"
    got=$(jq -r '.[] | select(.plan == "make") | .item' out | sed 's/sub-\([^/]*\).ses-\([^/]*\).*/\1\/\2/' | sort | xargs)
    check "$last: \"$got\", want \"$want\"" test "$got" = "$want"
    [ -z "$reason" ] || check "because: $reason" test \
        "$(jq -r '.[] | select(.plan == "make") | .reason' out | sort -u)" = "$reason"
    reason=
}
# make FOLDER WEIGHTS N: run, and N items are made.
make() {
    "$MPIEXEC" -n 2 "$SAGAX" sr bids "$1" --weights "$2" --steps 2 >out 2>err
    last="a run of $1"
    says err "$3 made, "
}
all="001/01 002/01 003/01"

# A first run of two networks; then nothing.
reason="not made yet" planned a run "$all"
make a run 3
make b other 3
planned a run ""
planned b other ""
# Times, owners and names of folders do not matter.
touch -d 2001-01-01 bids/*/*/*/*
planned a run ""
chmod a+x bids/*/*/*/*.nii.gz
planned a run ""
mv bids moved && ln -s moved bids
planned a run ""
# A follow-up session: its own item alone, in both.
mkdir -p bids/sub-002/ses-02/anat
cp bids/sub-003/ses-01/anat/sub-003_ses-01_acq-ax_T2w.nii.gz bids/sub-002/ses-02/anat/sub-002_ses-02_acq-ax_T2w.nii.gz
reason="not made yet" planned a run "002/02"
make a run 1
planned a run ""
reason="not made yet" planned b other "002/02"
make b other 1
# One scan replaced: this one alone.
cp bids/sub-001/ses-01/anat/sub-001_ses-01_acq-ax_T2w.nii.gz bids/sub-002/ses-02/anat/sub-002_ses-02_acq-ax_T2w.nii.gz
reason="the input changed" planned a run "002/02"
make a run 1
make b other 1
# Its sidecar says another thickness: this one alone; another key of it matters to nobody.
jq '.SliceThickness = 4.5' bids/sub-003/ses-01/anat/sub-003_ses-01_acq-ax_T2w.json >side && cp side bids/sub-003/ses-01/anat/sub-003_ses-01_acq-ax_T2w.json
reason="the slice thickness changed" planned a run "003/01"
make a run 1
jq '.Operator = "N. N."' side >bids/sub-003/ses-01/anat/sub-003_ses-01_acq-ax_T2w.json
planned a run ""
make b other 1
# Options that decide about voxels, and those that do not.
all="001/01 002/01 002/02 003/01"
reason="the configuration changed" planned a run "$all" --seed 7
planned a run "" --threads 1
planned a run "" --set run.lease_s=9
planned a run "" --subjects 001
# Other weights: all that depend on them, and nothing that does not.
cp other/weights.h5 run/weights.h5
reason="the weights changed" planned a run "$all"
planned b other ""
# A session that leaves: nothing runs, and its output stays for the user to remove.
rm -r bids/sub-002/ses-02
planned b other ""
check "the output of a scan that left stays" test -n "$(find b/sub-002/ses-02 -name '*superres*')"
# An output that was removed, one that was cut: these alone.
rm b/sub-001/ses-01/anat/*superres*.nii.gz
reason="not made yet" planned b other "001/01"
make b other 1
truncate -s -1 b/sub-003/ses-01/anat/*superres*.nii.gz
reason="the output is damaged" planned b other "003/01"
make b other 1
planned b other ""

# ---- the cache: volumes likewise ----
sag() { "$SAGAX" cache build bids cache.h5 --set data.split_train=1 --set data.split_val=0 --set data.split_test=0 "$@" >out 2>err; }
made_volumes() { sag --dry-run && grep -c '^make' out; }
sag
check "a finished cache needs nothing" test "$(made_volumes)" = 0
mkdir -p bids/sub-002/ses-02/anat
cp bids/sub-003/ses-01/anat/sub-003_ses-01_acq-sag_T2w.nii.gz bids/sub-002/ses-02/anat/sub-002_ses-02_acq-sag_T2w.nii.gz
check "a new session needs its own volume alone" test "$(made_volumes)" = 1
sag
touch bids/*/*/*/*
check "touched files need nothing" test "$(made_volumes)" = 0
finish
