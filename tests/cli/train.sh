#!/usr/bin/env bash
# Training as a user sees it: the same weights on any number of ranks, across stops, crashes and
# damaged checkpoints, and clear refusals.
#   train.sh SOURCE_DIR TINY_CACHE POISON_WEIGHTS [KILLS]
set -u
. "$1/tests/cli/lib.sh"
tiny_cache=$2
poison_weights=$3
kills=${4:-10}

rm -rf ./*
"$tiny_cache" cache.h5 || exit 1

# A warm-up and an average that a stop at step 10 finds half-way.
small=(--set model.base_channels=8 --set model.mult=1,2 --set model.res_blocks=1
    --set train.crop=32 --batch 8 --set train.checkpoint_every=10 --set train.warmup=15
    --set train.ema_every=3 --set train.val_every=10 --set train.val_images=5
    --set train.preview_every=0)

# start NP RUN options...: the command line of a training on NP ranks, in the array `line`.
start() {
    line=("$MPIEXEC" -n "$1" "$SAGAX" train cache.h5 "$2" "${small[@]}" "${@:3}")
}

# train CODE NP RUN options...: run it and hold its exit code against CODE.
train() {
    local want=$1 got=0
    start "${@:2}"
    n_checks=$((n_checks + 1))
    last="train on $2 ranks into $3 ${*:4}"
    "${line[@]}" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || _fail "$last: exit code: got $got, want $want"
}

# same A B [STEPS]: last checkpoint and weights of two runs have equal bytes.
same() {
    local name=step-000000${3:-20}.h5
    check "$last" cmp "$1/ckpt/$name" "$2/ckpt/$name"
    check "$last" cmp "$1/weights.h5" "$2/weights.h5"
}

# newest_step RUN: the step of the newest checkpoint.
newest_step() { ls "$1/ckpt" | sed -n 's/^step-0*\([0-9]*\)\.h5$/\1/p' | tail -n 1; }
steps_in_metrics() { jq -s -c 'map(.step)' "$1/metrics.jsonl"; }
deterministic_metrics() {
    jq -c '[.step, .loss, .grad_norm, .lr, .val_loss, .psnr_sr_db, .psnr_lr_db]' "$1/metrics.jsonl"
}

# ---- any number of ranks, more than shards too ----
train 0 1 np1 --steps 20
says err "fresh start because there is no checkpoint"
check "the fresh start is told first" test "$(head -n 1 err | cut -c1-11)" = "fresh start"
for np in 2 3 4 9; do
    train 0 $np np$np --steps 20
    same np1 np$np
done
says err "1 thread a rank"
mkdir scratch
for np in 1 2 3; do # where the sums of shards wait
    OMPI_MCA_orte_tmpdir_base=$PWD TMPDIR=$PWD/scratch train 0 $np spill$np --steps 10 --set train.spill=true
    train 0 $np spill$np --steps 20
    same np1 spill$np
done
check "nothing is left in TMPDIR" [ -z "$(ls scratch)" ]
OMPI_MCA_orte_tmpdir_base=$PWD TMPDIR=/proc train 73 1 nowhere --steps 20 --set train.spill=true
says err "/proc/sagax-"
if [ "$(stat -f -c %T /dev/shm)" = tmpfs ]; then
    OMPI_MCA_orte_tmpdir_base=$PWD TMPDIR=/dev/shm train 0 1 np1 --dry-run --steps 20 --set train.spill=true
    says err "/dev/shm (TMPDIR) is in memory itself"
fi
check "metrics do not depend on ranks" \
    test "$(deterministic_metrics np1)" = "$(deterministic_metrics np3)"
if [ "$(nproc)" -ge 2 ]; then # ranks that are not bound to a core may have threads
    for np in 1 2; do
        OMPI_MCA_hwloc_base_binding_policy=none train 0 $np threads$np --steps 20 --threads 2
        says err "2 threads a rank"
    done
    same threads1 threads2
fi
train 0 2 seed --steps 20 --seed 1
n_checks=$((n_checks + 1))
cmp -s np1/weights.h5 seed/weights.h5 && _fail "$last: another seed gave the same weights"

# ---- stopped after 10 steps, continued on other ranks ----
train 0 2 parts --steps 10
train 0 3 parts --steps 20
check "the resumed step is told first" test "$(head -n 1 err | cut -c1-15)" = "resumed step 10"
same np1 parts
check "metrics have each step once" test "$(steps_in_metrics parts)" = "[10,20]"
check "metrics are those of one go" \
    test "$(deterministic_metrics np1)" = "$(deterministic_metrics parts)"

# ---- a finished training called again changes nothing ----
cp parts/weights.h5 before.h5
train 0 2 parts --steps 20
check "$last" cmp before.h5 parts/weights.h5

# ---- nor one that is asked for fewer steps than it has ----
train 0 2 parts --steps 10
check "$last" cmp before.h5 parts/weights.h5
says err "the checkpoint is of step 20, train.steps = 10: there is nothing to train"
says err "train 20/20 step"

# ---- what a checkpoint must agree with ----
train 78 1 np1 --steps 20 --set train.crop=40
says err "train.crop was 32 and is now 40"
train 78 2 np1 --steps 20 --set model.dropout=0.2
says err "model.dropout"
# The login node sees the same, also while the cache is still to come.
for cache in cache.h5 absent.h5; do
    expect 78 submit train $cache np1 "${small[@]}" --steps 20 --set train.crop=40
    says err "step-00000020.h5: train.crop was 32 and is now 40"
done
train 0 2 np1 --steps 20 --set train.log_every=5 --set train.keep=4
train 0 2 cosine --steps 4 --set train.lr_schedule=cosine
train 78 2 cosine --steps 8 --set train.lr_schedule=cosine
says err "train.steps was 4 and is now 8"

# ---- a crop larger than all slices ----
expect 0 train cache.h5 padded "${small[@]}" --dry-run --set train.crop=128
says err "train.crop = 128: no slice is larger than"
expect 0 train cache.h5 padded "${small[@]}" --dry-run
check "others are not warned of" bash -c '! grep -q "no slice is larger" err'

# ---- a damaged checkpoint falls back to the one before ----
newest=np2/ckpt/step-00000020.h5
size=$(stat -c %s "$newest")
printf '\x55\xaa\x55\xaa' | dd of="$newest" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
n_checks=$((n_checks + 1))
cmp -s "$newest" np1/ckpt/step-00000020.h5 && _fail "the damage changed nothing"
touch np2/ckpt/step-{30,99999999999999999999}.h5 # not ours
train 0 2 np2 --steps 20
says err "resumed step 10"
says err "checkpoint not used"
check "the damaged one is set aside" test -e "$newest.damaged"
same np1 np2
check "metrics have each step once" test "$(steps_in_metrics np2)" = "[10,20]"

# ---- all checkpoints damaged: a fresh start, whose checkpoints are kept ----
train 0 2 ruined --steps 20 --set train.keep=2
for file in ruined/ckpt/step-*.h5; do
    printf '\x55\xaa\x55\xaa' | dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
done
train 0 2 ruined --steps 20 --set train.keep=2 --set train.checkpoint_every=4
says err "fresh start because none of 2 checkpoints can be read"
check "the two newest are there" \
    test "$(cd ruined/ckpt && echo step-*.h5)" = "step-00000016.h5 step-00000020.h5"
check "$last" cmp np1/weights.h5 ruined/weights.h5
train 0 1 ruined --steps 20
says err "resumed step 20"

# ---- a folder that cannot be read is not an empty one ----
mkdir -p blocked && echo "no folder" >blocked/ckpt
train 66 2 blocked --steps 20
says err "blocked/ckpt"

# ---- previews, and what is measured after the last step ----
train 0 2 shown --steps 13 --set train.preview_every=6 --set train.preview_images=5 \
    --set diffusion.steps=2
check "previews when due and at the end" \
    test "$(cd shown/preview && echo *)" = "final.png step-00000006.png step-00000012.png"
check "the last line is that of the last step" test "$(steps_in_metrics shown)" = "[10,13]"
check "with what was measured then" jq -e -s '.[1] | .val_loss > 0 and .psnr_sr_db > 0' \
    shown/metrics.jsonl
train 0 3 shown3 --steps 13 --set train.preview_every=6 --set train.preview_images=5 \
    --set diffusion.steps=2
check "previews do not depend on ranks" diff -r shown/preview shown3/preview
check "nor what they measured" \
    test "$(deterministic_metrics shown)" = "$(deterministic_metrics shown3)"

# ---- by the clock ----
by_clock=(--steps 1000000 --set train.minutes=0.3 --set train.lr_schedule=cosine
    --set train.lr_floor=1e-9 --set train.log_every=1 --set train.warmup=1)
train 0 2 clock "${by_clock[@]}"
check "the cosine has come down with the clock" \
    jq -e -s '.[-1].lr < 0.3e-4 and (map(.lr) | max) > 0.8e-4' clock/metrics.jsonl
check "a training by the clock ends as one" test -e clock/weights.h5
train 0 2 clock "${by_clock[@]}"
says err "resumed step"
check "whose time is up" test "$(grep -c 's a step' err)" = 0

# ---- no room for a checkpoint: the old ones stay, and it goes on when there is ----
train 0 1 full --steps 10
got=0
(ulimit -f $((size / 2048)) && trap '' XFSZ && exec "$SAGAX" train cache.h5 full "${small[@]}" --steps 20) \
    >out 2>err || got=$?
last="train with too little room for a checkpoint"
check "$last: exit 74, got $got" test "$got" = 74
says err "step-00000020.h5"
check "nothing half-written is left" [ -z "$(find full -name '*.tmp.*')" ]
train 0 2 full --steps 20
says err "resumed step 10"
same np1 full

# ---- weights to start from; weights that overflow ----
train 0 2 from --steps 10 --init np1
says err "weights from np1"
check "$last" "$poison_weights" np1/weights.h5 huge.h5
train 65 2 nan --steps 20 --init huge.h5 --set train.max_bad=4
says err "diverged: 4 steps in a row"
train 0 2 nan --steps 2 --init huge.h5 --set train.val_every=1 --set train.preview_every=1
says err "nan dB (LR"

# ---- inputs that are not there, options that make no sense, a dry run ----
train 65 2 short --steps 20 --set train.min_content=1
says err "no slice of the training split is usable"
train 78 2 short --steps 20 --set train.shards=9
says err "train.shards = 9 is more than train.batch = 8"
"$MPIEXEC" -n 2 "$SAGAX" train missing.h5 short "${small[@]}" >out 2>err
check "a missing cache is exit 66" test $? -eq 66
train 0 2 dry --steps 20 --dry-run
says err "parameters"
check "a dry run leaves no files" test ! -e dry
within() { (ulimit -v 2000000 && exec "$SAGAX" "$@") >out 2>err; }
if within --version; then # sanitizers want more
    large=(--set train.crop=1024 --set model.activations=0)
    check "there is no room for the training" bash -c '! (ulimit -v 2000000 && exec "$0" "$@") 2>err' "$SAGAX" \
        train cache.h5 roomless --steps 1 "${large[@]}"
    check "a dry run where the training has no room" within train cache.h5 dry --dry-run "${large[@]}"
    says err "MiB activations"
else
    echo "SKIPPED: a dry run without room for the training: sanitizers need more address space"
fi

# ---- a damaged slice that only one rank meets ends all ranks ----
cp cache.h5 whole.h5
printf '\x55\xaa\x55\xaa' | dd of=cache.h5 bs=1 seek=40000 conv=notrunc 2>/dev/null
train 65 2 damaged --steps 20 --set train.min_content=0
says err "sub-0"
train 65 3 damaged --steps 20
says err "sub-0"
mv whole.h5 cache.h5

# ---- stop requests and crashes in the middle ----
# Enough steps that a signal arrives before the end on a fast machine, too. Interval sums of metrics
# are part of a checkpoint, so all of these runs log at the same steps.
long=(--steps 60 --set train.log_every=1 --set train.checkpoint_every=4
    --set train.lr_schedule=cosine)
train 0 2 reference "${long[@]}"

# launch NP RUN [LINES]: in the background until metrics have more than LINES lines; pids in `ranks`.
launch() {
    start "$1" "$2" "${long[@]}"
    "${line[@]}" >out 2>err &
    launcher=$!
    for _ in $(seq 600); do
        [ "$(cat "$2/metrics.jsonl" 2>/dev/null | wc -l)" -gt "${3:-0}" ] && break
        sleep 0.05
    done
    mapfile -t ranks < <(living_ranks $launcher)
}

close_gate stopped/ckpt/step-00000020.h5
start 3 stopped "${long[@]}"
"${gated[@]}" "${line[@]}" >out 2>err &
launcher=$!
at_gate
mapfile -t ranks < <(living_ranks $launcher)
check "three ranks run" test ${#ranks[@]} -eq 3
kill -USR1 "${ranks[2]}" 2>/dev/null
open_gate
reap $launcher
code=$?
last="USR1 to one rank"
check "a stop request is exit 75 (got $code)" test $code -eq 75
says err "asked to stop: checkpoint of step"
check "the weights are those of that step" grep -q "weights of step $(jq -s '.[-1].step' stopped/metrics.jsonl)" err
train 0 2 stopped "${long[@]}"
same reference stopped 60
check "metrics have each step once" \
    test "$(steps_in_metrics stopped)" = "$(steps_in_metrics reference)"

# One training after the other, each killed again and again until it is through.
n_killed=0
n_runs=0
n_resumed=0
while [ "$n_killed" -lt "$kills" ] && [ "$n_runs" -lt $((4 * kills)) ]; do
    rm -rf killed
    while [ ! -e killed/weights.h5 ] && [ "$n_killed" -lt "$kills" ]; do
        np=$((1 + n_runs % 3))
        had=$(find killed/ckpt -name 'step-*.h5' 2>/dev/null | wc -l)
        # Every other fresh one reaches its first checkpoint, so that the next run has to resume.
        lines=$((n_runs % 2 == 0 ? 4 : 0))
        [ "$had" -eq 0 ] || lines=$(newest_step killed)
        launch $np killed "$lines"
        n_runs=$((n_runs + 1))
        sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
        kill -9 "${ranks[$((RANDOM % np))]:-}" 2>/dev/null # none: it had only weights to write
        reap $launcher
        code=$?
        if [ "$code" -ne 0 ]; then n_killed=$((n_killed + 1)); fi
        last="a training killed for the ${n_killed}th time"
        if [ "$had" -gt 0 ]; then
            says err "resumed step"
            n_resumed=$((n_resumed + 1))
        fi
    done
    train 0 $((1 + n_runs % 3)) killed "${long[@]}"
    same reference killed 60
    check "metrics have each step once" \
        test "$(steps_in_metrics killed)" = "$(steps_in_metrics reference)"
done
echo "$n_killed kills in $n_runs runs, $n_resumed of them resumed; mpiexec hung $n_launchers_hung times"
check "$kills kills met a running training" test "$n_killed" -eq "$kills"
check "a third or more had resumed" test "$n_resumed" -ge $((kills / 3))
finish
