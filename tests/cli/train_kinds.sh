#!/usr/bin/env bash
# Training kinds beside diffusion: regression and adversarial. The same weights on any number of ranks,
# across stops, kills and steps that are no numbers; what they learn; what is refused; the images that
# `sr` makes of them, and of no network.
#   train_kinds.sh TINY_CACHE SAGAX_POISONED [KILLS]
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
"$1" cache.h5 || exit 1
poisoned=$2
kills=${3:-3}
small=(--set train.crop=16 --batch 8 --set train.checkpoint_every=5 --set train.ema_every=3
    --set train.log_every=5 --set train.val_every=5 --set train.val_images=5
    --set train.preview_every=0)
regression=(--set model.arch=rcan --set model.groups=1 --set model.blocks=2 --set model.base_channels=8
    --set model.reduction=4 --lr 1e-3)
adversarial=(--set model.arch=rrdb --set model.blocks=1 --set model.base_channels=8 --set model.growth=4
    --set model.unshuffle=2 --set train.rival_channels=4 --lr 1e-3)

# train CODE NP RUN KIND options...: run it and hold its exit code against CODE.
program=$SAGAX
train() {
    local want=$1 got=0
    local -n sizes=$4
    n_checks=$((n_checks + 1))
    last="train on $2 ranks into $3: $4 ${*:5}"
    timeout -k 5 120 "$MPIEXEC" -n "$2" "$program" train cache.h5 "$3" "${small[@]}" "${sizes[@]}" \
        "${@:5}" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || _fail "$last: exit code: got $got, want $want"
}
# same A B STEP: checkpoint and weights have equal bytes.
same() {
    check "$last" cmp "$1/weights.h5" "$2/weights.h5"
    check "$last" cmp "$1/ckpt/step-000000$3.h5" "$2/ckpt/step-000000$3.h5"
}
deterministic_metrics() {
    jq -c '[.step, .loss, .rival_loss, .grad_norm, .val_loss, .skipped]' "$1/metrics.jsonl"
}

for kind in regression adversarial; do
    # ---- any number of ranks; stopped and gone on with on others ----
    for np in 1 2 3; do
        train 0 $np $kind$np $kind --steps 10
        [ $np = 1 ] || same ${kind}1 $kind$np 10
    done
    check "metrics do not depend on ranks" \
        test "$(deterministic_metrics ${kind}1)" = "$(deterministic_metrics ${kind}3)"
    train 0 2 parts$kind $kind --steps 7
    train 0 3 parts$kind $kind --steps 10
    says err "resumed step 7"
    same ${kind}1 parts$kind 10

    # ---- what is made again in the backward pass, from the start or in between, changes nothing ----
    train 0 2 again$kind $kind --steps 7 --set model.activations=0.001
    says err "of the forward pass again to keep to"
    train 0 2 again$kind $kind --steps 10
    check "the limit is not part of what a training is" bash -c '! grep -q "of the forward pass again" err'
    same ${kind}1 again$kind 10

    # ---- it learns: the loss on images that it does not train on ----
    train 0 1 long$kind $kind --steps 60
    check "$kind: the validation loss falls" \
        jq -e -s '.[-1].val_loss < 0.7 * .[0].val_loss' long$kind/metrics.jsonl

    # ---- one image that is no number, of one rank: the step is left out on all ----
    program=$poisoned
    for np in 1 2 3; do
        POISON_STEPS="0 6 9" train 0 $np nan$np $kind --steps 10
        says err "step 6 skipped"
        [ $np = 1 ] || same nan1 nan$np 10
    done
    program=$SAGAX
    check "three steps are left out" jq -e -s '[.[].skipped] | add == 3' nan1/metrics.jsonl
    rm -rf nan*

    # ---- a damaged checkpoint: the one before; another kind's: refused ----
    cp -r ${kind}1 damaged
    newest=damaged/ckpt/step-00000010.h5
    size=$(stat -c %s $newest)
    printf '\x55\xaa\x55\xaa' | dd of=$newest bs=1 seek=$((size * 9 / 10)) conv=notrunc 2>/dev/null
    train 0 2 damaged $kind --steps 10
    says err "checkpoint not used"
    same ${kind}1 damaged 10
    rm -rf damaged
done
check "the two kinds are two" bash -c '! cmp -s regression1/weights.h5 adversarial1/weights.h5'
train 78 1 adversarial1 adversarial --steps 10 --set train.kind=regression
says err 'train.kind was "adversarial" and is now "regression"'
check "and the checkpoint stays" test -e adversarial1/ckpt/step-00000010.h5
train 78 1 adversarial1 adversarial --steps 10 --set train.gan_weight=0.2
says err "train.gan_weight was 0.1"

# ---- an image that only the discriminator finds to be no number ----
program=$poisoned
for np in 1 3; do
    POISON_CLEAN=1 POISON_STEPS=4 train 0 $np nan$np adversarial --steps 5
    says err "step 4 skipped"
done
same nan1 nan3 05
program=$SAGAX

# ---- killed again and again ----
n_killed=0
train 0 2 reference adversarial --steps 40
for _ in $(seq $((4 * kills))); do
    [ "$n_killed" -lt "$kills" ] || break
    close_gate killed/ckpt/step- $((2 + RANDOM % 8)) # as it writes or reads one of its checkpoints
    "${gated[@]}" "$MPIEXEC" -n 2 "$SAGAX" train cache.h5 killed "${small[@]}" "${adversarial[@]}" --steps 40 \
        >out 2>err &
    launcher=$!
    while [ ! -e gate.met ] && kill -0 $launcher 2>/dev/null; do sleep 0.02; done
    mapfile -t ranks < <(living_ranks $launcher)
    kill -9 "${ranks[$((RANDOM % 2))]:-}" 2>/dev/null
    reap $launcher || n_killed=$((n_killed + 1))
    [ ! -e killed/weights.h5 ] || rm -rf killed
done
check "$n_killed kills met a running training" test "$n_killed" -ge "$kills"
train 0 3 killed adversarial --steps 40
same reference killed 40

# ---- what does not fit together ----
train 78 1 none regression --set train.kind=diffusion
says err "train.kind = diffusion: network rcan takes no noised image and diffusion time"
train 78 1 none regression --set model.arch=discriminator
says err "network discriminator is not made for that"
check "a refused training writes nothing" test ! -e none

# ---- how an architecture was published is its default; what is set wins ----
expect 0 train cache.h5 none --set model.arch=rrdb --print-config
json '.train.lr.value, .train.beta2.value' $'1e-05\n0.99'
expect 0 train cache.h5 none --set model.arch=rrdb --lr 2e-4 --print-config
json .train.lr.value 0.0002
expect 0 train cache.h5 none --set model.arch=rrdb --set run.preset=paper --print-config
json '.train.steps.value, .train.lr.value' $'97656\n1e-05'
expect 0 train cache.h5 none --set run.preset=paper --kind regression --print-config
json '.train.steps.value, .train.kind.value' $'195312\nregression'

# ---- super-resolution: one forward, cubic without weights ----
expect 0 phantom bids --subjects 1 --set phantom.chunks=1 --set phantom.height_mm=60 \
    --set phantom.width_mm=10 --set phantom.depth_mm=60
name=sub-001/ses-01/anat/sub-001_ses-01_acq-ax_res-iso_desc-superres_T2w
for kind in regression adversarial cubic; do
    use=(--weights ${kind}1)
    [ $kind != cubic ] || use=(--method cubic)
    for np in 1 2; do
        check "sr by $kind on $np ranks" "$MPIEXEC" -n $np "$SAGAX" sr bids sr$np "${use[@]}" --retry all >out 2>err
    done
    check "sr by $kind: equal bytes" diff -r -x sagax-sr.tsv -x .sagax sr1 sr2
    check "the sidecar says how" jq -e ".Sagax.Method == \"$kind\"" sr1/$name.json >checked
    cp sr1/$name.nii.gz $kind.nii.gz
    expect 0 sr bids sr1 "${use[@]}"
    says err "0 made, 1 unchanged"
    expect 78 sr bids sr1 "${use[@]}" --samples 2
    says err "sr.samples = 2: $kind draws nothing at random"
    check "$kind on the measured slices" "$SAGAX" sr bids projected "${use[@]}" --consistency project
    check "gives them back" jq -e '.Sagax.ResidualRMS < 1e-4' projected/$name.json >checked
done
check "the networks differ" bash -c '! cmp -s regression.nii.gz adversarial.nii.gz'
check "cubic is none of them" bash -c '! cmp -s regression.nii.gz cubic.nii.gz'
check "its residual is that of the interpolation" jq -e '.Sagax | .ResidualRMS == .ResidualRMSCubic' sr1/$name.json >checked
check "no network made it" jq -e '.Sagax | .WeightsSHA256 == "none" and .Network == "none"' sr1/$name.json >checked
expect 64 sr bids nowhere
says err "--weights RUN|FILE is needed"
# ---- a size that is a share of another one: said in few digits, or by names and shapes alone ----
for overlap in 0 0.33333333333333333; do
    hat=(--set model.arch=hat --set model.base_channels=6 --set model.depths=1 --set model.heads=1
        --set model.window=6 --set model.squeeze=3 --set model.overlap=$overlap)
    train 0 1 hat-$overlap hat --steps 1 --set train.crop=12
    expect 0 weights export hat-$overlap said.safetensors
    LC_ALL=C sed 's/"sagax":/"other":/' said.safetensors >mute.safetensors
    check "overlap $overlap: the file says nothing of itself" bash -c '! cmp -s said.safetensors mute.safetensors'
    expect 0 weights import mute.safetensors mute-$overlap
done
finish
