#!/usr/bin/env bash
# The paper's claim on phantoms, by two rows of its first table: of scans that Palette restored a
# segmentation network finds at least as many vertebrae as of cubic interpolation, and more of them in
# one piece and with the right holes. About ten minutes on two cores; figures: docs/ablation.md.
#   ablate_quality.sh [STEPS]
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
steps=${1:-3000}
config=$SAGAX_SOURCE_DIR/examples/ablation.ini
grep -vE '^(rrdb|hat|rcan) =' "$SAGAX_SOURCE_DIR/share/ablate/table1.ini" >two.ini
study=(ablate two.ini study --size small --bids bids --truth bids/derivatives/truth
    --config "$config" --set degrade.steps=psf,gap,down_up,slice_noise --steps "$steps")
# two CODE arguments...: on two ranks.
two() {
    local want=$1 got=0
    shift
    n_checks=$((n_checks + 1))
    last="on 2 ranks: sagax $*"
    "$MPIEXEC" -n 2 "$SAGAX" "$@" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || _fail "$last: exit code: got $got, want $want"
}
two 0 phantom bids --config "$config"
two 0 "${study[@]}"
# value ROW METRIC: its mean.
value() { awk -F'\t' -v row="$1" -v metric="$2" '$1 == row && $2 == metric {print $4}' study/table.tsv; }
for row in cubic palette; do
    echo "$row: detection $(value $row dtr), b0 $(value $row b0_error), b1 $(value $row b1_error)," \
        "axial Dice $(value $row axial_dice)"
done
holds() { check "$1" awk "BEGIN {exit !($2)}"; }
holds "detection" "$(value palette dtr) >= $(value cubic dtr)"
holds "pieces" "$(value palette b0_error) < $(value cubic b0_error)"
holds "holes" "$(value palette b1_error) < $(value cubic b1_error)"
finish
