#!/usr/bin/env bash
# A training whose checkpoint meets a fault at each of its writes, syncs, renames and so on, one after
# the other: it is killed there, the disk says no, a write is cut short. The old checkpoint stays or the
# new one is whole; called again, the training ends with the weights of one that met nothing.
#   train.sh FAULTS TINY_CACHE STRIDE      kill: at every call; other faults: at every STRIDE-th
set -u
. "$(dirname "$0")/../cli/lib.sh"
faults=$1
stride=$3
rm -rf ./*
"$2" cache.h5 || exit 1
tiny=(--set model.base_channels=8 --set model.mult=1 --set model.res_blocks=1 --set train.crop=8 --batch 1
    --set train.checkpoint_every=2 --set train.log_every=1 --set train.val_every=0
    --set train.preview_every=0)
run() { "$SAGAX" train cache.h5 "$@" "${tiny[@]}" >out 2>err; }
run whole --steps 4 || _fail "no fault, and it failed"
run begun --steps 2 || _fail "no fault, and it failed"

# exit codes that a fault may end with
# (0: it was the close of a file that had already been synced, or was only read)
declare -A may=([kill]=137 [eio]="0 73 74" [enospc]="0 73 74" [eintr]="0 73 74" [short]=0)

# meet FAULT N FOLDER: a training from step 2 to step 4 whose N-th call below FOLDER of its run folder
# meets the fault; false: there is no N-th one.
meet() {
    local code=0
    rm -rf run mark
    cp -r begun run
    last="$1 at call $2 below run/$3"
    FAULT_UNDER=$PWD/run${3:+/$3} FAULT_EXCEPT=/.sagax/ FAULT_MARK=$PWD/mark FAULT_AT=$2 FAULT_DO=$1 \
        LD_PRELOAD=$faults run run --steps 4 2>/dev/null || code=$?
    [ -e mark ] || return 1
    n_met=$((n_met + 1))
    case " ${may[$1]} " in
    *" $code "*) ;;
    *) _fail "$last: exit $code" ;;
    esac
    check "$last: the old checkpoint is as it was" cmp run/ckpt/step-00000002.h5 begun/ckpt/step-00000002.h5
    [ ! -e run/ckpt/step-00000004.h5 ] ||
        check "$last: the new one is whole" cmp run/ckpt/step-00000004.h5 whole/ckpt/step-00000004.h5
    [ "$code" = 137 ] || check "$last: nothing half-written is left" [ -z "$(find run -name '*.tmp.*')" ]
    if [ "$code" = 0 ]; then
        check "$last: weights" cmp run/weights.h5 whole/weights.h5
        check "$last: checkpoint" cmp run/ckpt/step-00000004.h5 whole/ckpt/step-00000004.h5
        n_unharmed=$((n_unharmed + 1))
    fi
    code=0
    run run --steps 4 || code=$?
    check "$last: then exit $code" [ $code = 0 ]
    check "$last: the same weights" cmp run/weights.h5 whole/weights.h5
    check "$last: the same checkpoint" cmp run/ckpt/step-00000004.h5 whole/ckpt/step-00000004.h5
    check "$last: nothing half-written is left" [ -z "$(find run -name '*.tmp.*')" ]
    check "$last: each step once" [ "$(jq -s -c 'map(.step)' run/metrics.jsonl)" = "[1,2,3,4]" ]
}

# walk FAULT FOLDER FIRST STRIDE: until a training gets through without meeting it.
walk() {
    local n=$3
    n_met=0
    n_unharmed=0
    while meet "$1" "$n" "$2"; do n=$((n + $4)); done
    echo "$1 below ${2:-the run folder}: met at $n_met calls, $n_unharmed of them unharmed"
    check "$1: met" [ $n_met -gt 0 ]
}

walk kill ckpt 1 1
walk kill "" 1 $((8 * stride - 3)) # weights.h5, metrics.jsonl and config.json, too
first=1
for fault in eio enospc eintr short; do
    walk $fault ckpt $first "$stride"
    walk $fault "" $first $((8 * stride - 3))
    first=$((1 + first % stride))
done

# A checkpoint that the disk does not give now is no damaged one.
n_unread=0
for n in 1 2 4 8; do
    code=0
    rm -rf run mark
    cp -r begun run
    last="eio at read $n of a checkpoint"
    FAULT_UNDER=$PWD/run/ckpt FAULT_CALLS=read FAULT_MARK=$PWD/mark FAULT_AT=$n FAULT_DO=eio LD_PRELOAD=$faults \
        run run --steps 4 || code=$?
    [ -e mark ] && n_unread=$((n_unread + 1))
    check "$last: exit $code" [ $code = 74 ]
    check "$last: it stays" cmp run/ckpt/step-00000002.h5 begun/ckpt/step-00000002.h5
    check "$last: alone" [ "$(ls run/ckpt)" = step-00000002.h5 ]
    run run --steps 4
    check "$last: then the same weights" cmp run/weights.h5 whole/weights.h5
done
echo "eio at reads of a checkpoint: met at $n_unread"
check "reads were met" [ $n_unread = 4 ]

# Where nobody can tell whose the folder is, no checkpoint gets its name, and nobody is said to have taken it.
for n in 4 5; do
    code=0
    rm -rf run mark
    cp -r begun run
    last="eio at look $n at the claim of the folder"
    FAULT_UNDER=$PWD/run/.sagax/claims FAULT_CALLS=open FAULT_MARK=$PWD/mark FAULT_AT=$n FAULT_DO=eio \
        LD_PRELOAD=$faults run run --steps 4 || code=$?
    check "$last: met" [ -e mark ]
    check "$last: exit $code" [ $code = 74 ]
    check "$last: says why" grep -q "whose folder this is cannot be read: .*: Input/output error" err
    check "$last: no checkpoint" [ "$(ls run/ckpt)" = step-00000002.h5 ]
    run run --steps 4
    check "$last: then the same weights" cmp run/weights.h5 whole/weights.h5
done

# Gradients that wait in a file: what the disk takes or gives in pieces is whole in the end; what it does not
# take, or give back, ends the training as it was.
mkdir scratch
# spill RUN STEPS: a command line in the array `line`; its gradients wait below scratch.
spill() {
    line=(env "OMPI_MCA_orte_tmpdir_base=$PWD" "TMPDIR=$PWD/scratch" "$SAGAX" train cache.h5 "$1" --steps "$2" "${tiny[@]}"
        --batch 8 --set train.spill=true)
}
spill whole8 4 && "${line[@]}" >out 2>err || _fail "no fault, and it failed"
spill begun8 2 && "${line[@]}" >out 2>err || _fail "no fault, and it failed"
spill run 4
# Of the last of so many ranks. 8 shards of a rank are 7 writes a step, 8 looks for what is lost, and 7 times 78 blocks
# to read; 4, of one of two ranks, are 3 writes and 3 times 78 blocks.
for where in "1 allocate 1" "1 write "{1,6,8,14} "1 read "{1,80,540,1090} "1 late "{1,8,16} \
    "2 allocate 1" "2 write "{3,6} "2 read "{80,460} "2 late "{1,4}; do
    read -r np calls n <<<"$where"
    for fault in eio short eintr; do
        code=0
        rm -rf run mark
        cp -r begun8 run
        last="$fault at $calls $n of what waits in a file, $np ranks"
        bad=(-n 1 -x "LD_PRELOAD=$faults" "${line[@]}")
        [ $np = 1 ] || bad=(-n 1 "${line[@]}" : "${bad[@]}")
        FAULT_UNDER=$PWD/scratch FAULT_CALLS=$calls FAULT_MARK=$PWD/mark FAULT_AT=$n FAULT_DO=$fault \
            timeout 120 "$MPIEXEC" "${bad[@]}" >out 2>err || code=$?
        check "$last: met" [ -e mark ]
        if [ $fault = eio ]; then
            check "$last: exit $code" [ $code = 74 ]
            check "$last: says why" grep -q "scratch/sagax-.*Input/output error\|TMPDIR.*Input/output error" err
            check "$last: no step is left out" bash -c '! grep -q skipped err'
            check "$last: the checkpoint is as it was" diff -r run/ckpt begun8/ckpt
            "${line[@]}" >out 2>err || _fail "$last: not afterwards"
        else
            check "$last: exit $code" [ $code = 0 ]
        fi
        check "$last: the same weights" cmp run/weights.h5 whole8/weights.h5
    done
done
check "nothing is left in TMPDIR" [ -z "$(ls scratch)" ]

# Nor is a cache damaged then, which a training reads while it goes on.
for n in 1 5 10 20; do
    for what in "cache verify cache.h5" "train cache.h5 unread --steps 4 ${tiny[*]}"; do
        code=0
        rm -rf unread mark
        last="eio at read $n of the cache: $what"
        FAULT_UNDER=$PWD/cache.h5 FAULT_CALLS=read FAULT_MARK=$PWD/mark FAULT_AT=$n FAULT_DO=eio LD_PRELOAD=$faults \
            "$SAGAX" $what >out 2>err || code=$?
        check "$last: met" [ -e mark ]
        check "$last: exit $code" [ $code = 74 ]
        check "$last: says why" grep -q "cache.h5: cannot be read: Input/output error" err
    done
done
finish
