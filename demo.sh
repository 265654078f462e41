#!/usr/bin/env bash
# The main job, end to end, on data it makes itself: phantom cohort -> slice cache -> Palette trained on
# two ranks -> super-resolved axial scans of held-out subjects -> scores and a picture.
#   ./demo.sh [FOLDER]        default folder: demo-out; run again, it goes on where it was
# 12 to 14 minutes on two cores. SAGAX_DEMO_MINUTES changes the length of the training, SAGAX_DEMO_STEPS makes it a
# number of steps, and the result one that does not depend on the machine's speed.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-demo-out}
minutes=${SAGAX_DEMO_MINUTES:-9}
length=(--set train.minutes="$minutes")
how_long="$minutes minutes"
if [ -n "${SAGAX_DEMO_STEPS:-}" ]; then
    length=(--set train.steps="$SAGAX_DEMO_STEPS")
    how_long="$SAGAX_DEMO_STEPS steps"
fi

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

say "1/6 packages and build"
tools/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release
sagax=$PWD/build/jobs/sagax
ini=$PWD/examples/demo.ini
ranks=(mpirun -n 2)
# Open MPI as root (containers) and with fewer cores than ranks; threads are the ranks' business.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 OPENBLAS_NUM_THREADS=1
if [ -t 2 ]; then export SAGAX_PROGRESS=bar; fi # mpirun hides the terminal

mkdir -p "$out"
cd "$out"

say "2/6 phantom cohort: 12 subjects, sagittal and axial scans, isotropic truth"
"${ranks[@]}" "$sagax" phantom bids --config "$ini"

say "3/6 slice cache (subject-wise split)"
"${ranks[@]}" "$sagax" cache build bids cache.h5 --config "$ini"

say "4/6 train Palette on 2 ranks for $how_long"
"${ranks[@]}" "$sagax" train cache.h5 run --config "$ini" "${length[@]}"

say "5/6 super-resolve the axial scans of the held-out subjects"
held_out=$("$sagax" cache info cache.h5 --json -q | jq -r '[.volumes[] | select(.split == "test") | .subject] | unique | join(",")')
"${ranks[@]}" "$sagax" sr bids sr --weights run --set data.subjects="$held_out" --config "$ini"

say "6/6 scores against the isotropic truth"
"${ranks[@]}" "$sagax" eval images --truth bids/derivatives/truth --sr sr --lr bids \
    --set data.subjects="$held_out" --set eval.picture=picture.png scores
cat scores.md

say "done: $out/scores.md (table), $out/picture.png (scan | cubic | SR | mean of 2 SR | truth), $out/run/preview (training)"
