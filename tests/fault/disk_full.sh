#!/usr/bin/env bash
# A disk that is full at many byte counts, for each writer: it ends with 74, under every final name
# is the old file or the whole new one, nothing half-written stays, and once there is room the same
# command makes what it would have made.
#   disk_full.sh FAULTS TINY_CACHE TINY_COHORT COUNTS
set -u
. "$(dirname "$0")/../cli/lib.sh"
faults=$1
counts=$4
rm -rf ./*
"$2" slices.h5 || exit 1
"$3" cohort || exit 1
tiny=(--set model.base_channels=8 --set model.mult=1 --set model.res_blocks=1 --set train.crop=8 --batch 1
    --set train.checkpoint_every=2 --set train.val_images=2 --set train.preview_images=1
    --set diffusion.steps=2)
field=(--set phantom.height_mm=80 --set phantom.width_mm=10 --set phantom.depth_mm=60 --set phantom.chunks=1)
expect 0 phantom bids --subjects 2 --seed 1 "${field[@]}"
expect 0 train slices.h5 two --steps 2 "${tiny[@]}"
expect 0 train slices.h5 four --steps 4 "${tiny[@]}"
expect 0 weights export two two.safetensors
expect 0 weights export four four.safetensors
cp -r cohort fewer
rm -r fewer/sub-03

# ---- the writers: `old_X FOLDER` makes what is there before, `new_X FOLDER` is what meets the full disk ----
old_train() { cp -r two "$1/run"; }
new_train() { "$SAGAX" train slices.h5 "$1/run" --steps 4 "${tiny[@]}"; }
old_import() { "$SAGAX" weights import two.safetensors "$1/run"; }
new_import() { "$SAGAX" weights import four.safetensors "$1/run"; }
old_export() { "$SAGAX" weights export two "$1/w.safetensors"; }
new_export() { "$SAGAX" weights export four "$1/w.safetensors"; }
old_cache() { "$SAGAX" cache build fewer "$1/cache.h5"; }
new_cache() { "$SAGAX" cache build cohort "$1/cache.h5"; }
old_sr() { "$SAGAX" sr bids "$1/sr" --weights two --steps 2; }
new_sr() { "$SAGAX" sr bids "$1/sr" --weights four --steps 2; }
old_eval() { "$SAGAX" eval images "$1/e" --lr bids --truth bids/derivatives/truth --sr two; }
new_eval() {
    "$SAGAX" eval images "$1/e" --lr bids --truth bids/derivatives/truth --picture "$1/e.png"
}
old_degrade() { "$SAGAX" degrade slices.h5 "$1/pairs" --count 1 --seed 1 --size 32; }
new_degrade() { "$SAGAX" degrade slices.h5 "$1/pairs" --count 2 --size 32; }
old_phantom() { :; } # what is there it keeps
new_phantom() { "$SAGAX" phantom "$1/p" --subjects 1 --picture "$1/p.png" "${field[@]}"; }

# ---- the test ----
of_the_work='/\.sagax/|\.sagax/'
grown='/metrics\.jsonl$|/sagax-sr\.tsv$' # a line an event; seconds in it
files() { (cd "$1" && find . -type f | grep -Ev "$of_the_work" | LC_ALL=C sort); }
bytes() { find "$1" -type f -printf '%s\n' | awk '{n += $1} END {print n + 0}'; }

# whole FOLDER: is what `now` holds file by file that of `old` or of `new`?
whole_or_old() {
    local f
    while read -r f; do
        [[ $f =~ $grown ]] && continue
        cmp -s "now/$f" "new/$f" || cmp -s "now/$f" "old/$f" || _fail "$last: $f is neither the old nor the new one"
    done < <(files now)
    while read -r f; do
        [[ $f =~ $grown ]] || [ -e "now/$f" ] || [ ! -e "new/$f" ] || _fail "$last: $f is gone"
    done < <(files old)
}

# fill WRITER ROOM: it gets so many bytes more than there are.
fill() {
    local code=0
    rm -rf now mark
    cp -r old now
    last="$1 with $2 bytes of room"
    FAULT_UNDER=$PWD/now FAULT_MARK=$PWD/mark FAULT_ROOM=$(($(bytes now) + $2)) LD_PRELOAD=$faults \
        "new_$1" now >out 2>err || code=$?
    if [ -e mark ]; then
        n_full=$((n_full + 1))
        check "$last: exit $code" test "$code" = 74
        check "$last: one sentence says why" grep -Eq "(No space|no room|disk is full|cannot write)" err
    else
        check "$last: exit $code" test "$code" = 0
    fi
    check "$last: nothing half-written: $(find now -name '*.tmp*')" test -z "$(find now -name '*.tmp*')"
    whole_or_old
    code=0
    "new_$1" now >out 2>err || code=$?
    check "$last: then exit $code" test "$code" = 0
    check "$last: the files" test "$(files now)" = "$(files new)"
    while read -r f; do
        [[ $f =~ $grown ]] || check "$last: then" cmp "now/$f" "new/$f"
    done < <(files new)
}

for writer in train import export cache sr eval degrade phantom; do
    rm -rf old new
    mkdir old new
    old_$writer old >out 2>err || true
    cp -r old/. new
    new_$writer new >out 2>err || _fail "$writer: without a fault"
    n_full=0
    # At most what is new and, while a file is replaced, the largest one twice.
    largest=$(find new -type f -printf '%s\n' | sort -n | tail -n 1)
    room=$(($(bytes new) - $(bytes old) + largest))
    for i in $(seq "$counts"); do fill $writer $((room * (2 * i - 1) / (2 * counts))); done
    echo "$writer: the disk was full at $n_full of $counts byte counts up to $room"
    check "$writer: full" test $n_full -ge $(((counts + 2) / 3))
done
finish
