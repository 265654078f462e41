#!/usr/bin/env bash
# Every reader of what users bring, on the seeds of fuzzing, on damaged copies of them, and on what once
# crashed: replay.sh FUZZ_SEEDS COPIES REPLAY_TARGET...
set -u
seeds=$1
copies=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
rm -rf seeds && "$seeds" seeds || exit 1
failed=0
for replay in "$@"; do
    target=${replay##*/replay_}
    folders=(seeds/"$target")
    [ ! -d "$here/found/$target" ] || folders+=("$here/found/$target")
    if ! "$replay" -m "$copies" "${folders[@]}" >out 2>err; then
        printf 'FAILED: %s\n' "$target"
        tail -n 40 err
        failed=1
    fi
    printf '%-8s %s\n' "$target" "$(cat out)"
done
exit $failed
