#!/usr/bin/env bash
# slurm/ablate: slices, an array of rows, scores; one task is killed in the middle and comes back, a row
# that fails leaves the others, and what was trained is not trained again.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
. "$SAGAX_SOURCE_DIR/tests/cli/study_lib.sh"
rm -rf ./*
cluster_start 2
expect 0 phantom bids -q --subjects 5 --set phantom.height_mm=80 --set phantom.width_mm=16 \
    --set phantom.depth_mm=80 --set phantom.iso_mm=1.2 --set phantom.chunks=1
study_settings
cat >sweep.ini <<'END'
[rows]
cubic = sr.method=cubic
rcan = model.arch=rcan model.base_channels=8 model.groups=1 model.blocks=1 model.reduction=2
wrong = sr.method=cubic sr.samples=2
palette = model.base_channels=8 model.mult=1,1 model.res_blocks=1 train.steps=1500
END
study_segmenter >>sweep.ini
study=(sweep.ini study --bids bids --truth bids/derivatives/truth --config study.ini)
ablate() { # ablate CODE arguments...
    local want=$1 got=0
    shift
    last="ablate $*"
    timeout 120 "$tools/ablate" "$@" >out 2>err || got=$?
    check "$last: exit code $got, want $want" [ $got = "$want" ]
}
id_of() { sed -n "s/^$1	//p" ids; }

# None begins before it was looked at, and palette is trained until it is asked to stop.
scontrol update nodename=n1,n2 state=drain reason=test
close_gate palette/run/ckpt/step-00000200.h5
with_gate ablate 0 --tasks 3 "${study[@]}" -- --ntasks 1 --time 5:00
cp out ids
check "three jobs" [ "$(cut -f 1 ids | tr '\n' ' ')" = "prepare rows scores " ]
looked_at() { [ "$(squeue -h -o %r -j "$(id_of rows),$(id_of scores)")" = $'Dependency\nDependency' ]; }
wait_until 120 looked_at # a job has no reason to wait before Slurm has thought of it
expect 0 status study
says out "  $(id_of rows): 3 of 3 tasks waiting (Dependency)"
says out "  $(id_of scores): waiting (Dependency)"
check "they need no command to go on" bash -c '! grep -q "to go on" out'
scontrol update nodename=n1,n2 state=resume
at_gate
# The task that trains is asked to stop, as by its time limit, and its job puts itself back.
scancel --batch --signal=USR1 "$(id_of rows)_0" 2>/dev/null
scancel --batch --signal=USR1 "$(id_of rows)_1" 2>/dev/null
scancel --batch --signal=USR1 "$(id_of rows)_2" 2>/dev/null
wait_until 120 grep -q "start 2 of this job" study/log/rows-*.out
open_gate
wait_end 400 "$(id_of prepare)" "$(id_of rows)" "$(id_of scores)"
check "slices and network" [ -s study/cache.h5 -a -s study/segmenter/weights.h5 ]
check "the stopped task came back" grep -qh "checkpoint of step" study/log/rows-*.out
check "all rows are in the table" [ "$(grep -cE '^\| (cubic|rcan|wrong|palette) \|' study/table.md)" -ge 4 ]
check "and why one has nothing" grep -q "^wrong: sr: " study/table.md
expect 0 status study
says out "sr failed"
says out "  $(id_of scores): ended well"
says out "to go on:
  $tools/ablate --tasks 3 sweep.ini study --bids"
check "the others are done" [ "$(grep -c 'segment done' out)" = 3 ]

# Again: nothing is trained a second time.
stamp() { stat -c %Y.%i study/rows/*/run/weights.h5 | sort; }
before=$(stamp)
ablate 0 "${study[@]}" -- --ntasks 1 --time 5:00
cp out ids
wait_end 200 "$(id_of prepare)" "$(id_of rows)" "$(id_of scores)"
check "weights are what they were" [ "$(stamp)" = "$before" ]

# ---- refused before anything is submitted ----
ablate 64
ablate 64 sweep.ini
ablate 66 no-such.ini study --bids bids --truth bids
ablate 64 sweep.ini study --bids bids --truth bids --rows nobody
says err "has no row nobody"
finish
