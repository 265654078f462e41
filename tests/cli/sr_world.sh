# Sourced by the tests of the verb sr: a tiny cohort `bids`, a tiny network `run`, and what both use.
ranks() { "$MPIEXEC" -n "$1" "$SAGAX" sr "${@:2}" >out 2>err; }
same() { diff -r -x sagax-sr.tsv -x .sagax "$1" "$2"; }
clean() { [ -z "$(find "$1" -name '*.tmp.*')" ]; }

field=(--set phantom.height_mm=80 --set phantom.width_mm=10 --set phantom.depth_mm=60)
expect 0 phantom bids --subjects 3 --set phantom.chunks=1 "${field[@]}"
expect 0 cache build bids cache.h5 --set data.split_train=1 --set data.split_val=0 \
    --set data.split_test=0
# Wide enough for weights to be prepared; trained for long enough that what began as zero no longer hides them.
expect 0 train cache.h5 run --set train.steps=4 --set train.batch=1 --set train.crop=16 \
    --set train.val_every=0 --set train.preview_every=0 --set model.base_channels=16 \
    --set model.mult=1,1 --set model.res_blocks=1
scan=sub-001/ses-01/anat/sub-001_ses-01_acq-ax_T2w
made=sub-001/ses-01/anat/sub-001_ses-01_acq-ax_res-iso_desc-superres_T2w
check "the cohort has the scan this test is about" [ -f bids/$scan.nii.gz ]
check "there are weights" [ -f run/weights.h5 ]
[ "$n_failed" = 0 ] || finish
use=(--weights run --steps 2)
