#!/usr/bin/env bash
# Training of rcan, rrdb and hat against PyTorch: compare_nets.sh [SAGAX] [ROUNDS] [NETWORKS]
#
#   tests/bench/compare_nets.sh build/jobs/sagax 5 "rcan rrdb hat"
#
# Published widths, one image of 160 x 160, fewer layers of the same kind (a step of the whole networks
# takes minutes and proves no more). One core; short runs of both alternate, a ratio is that of
# neighbours in time, and the median over rounds is told, of CPU time. From the environment:
#
#   PYTHON    the Python that has torch (Debian: python3-torch)      FIXTURES  folder of the parity fixtures
#   CORE      the processor that all runs are bound to (0)           JSON      file for all measurements
#   MODES     ways to run PyTorch (peers_nets.py)                    KERNELS   our table of kernels (auto)
# Exit 77: there is no PyTorch.
set -eu
. "$(dirname "$0")/compare_lib.sh"
nets=${3:-rcan rrdb hat}
modes=${MODES:-fp32 fp32_cl}
on_core=(taskset -c "${CORE:-0}")

# The depth that is measured, as both sides take it.
declare -A depth=([rcan]="groups=2 blocks=5" [rrdb]="blocks=6" [hat]="depths=2")

# ours NET: CPU milliseconds of a training step.
ours() {
    local set=()
    for it in ${depth[$1]}; do set+=(--set "model.$it"); done
    "${on_core[@]}" "$sagax" bench -q --json --what train --batch 1 --threads 1 --rounds 3 \
        --kernels "${KERNELS:-auto}" --set model.arch="$1" "${set[@]}" |
        jq -c --arg net "$1" --argjson round "$round" '.rows[] | {round: $round, net: $net, who: "sagax", ms}' >>"$rows"
}

# theirs NET MODE
theirs() {
    local set=()
    for it in ${depth[$1]}; do set+=(--set "$it"); done
    "${on_core[@]}" "$python" "$here/peers_nets.py" --net "$1" --mode "$2" "${set[@]}" 2>/dev/null |
        jq -c --argjson round "$round" '. + {round: $round, who: .peer, ms: .cpu_ms}' >>"$rows"
}

if [ -e "$fixtures/rcan.safetensors" ]; then
    "$python" "$here/peers_nets.py" --check "$fixtures"
else
    echo "note: without $fixtures the peers are not held against the parity fixtures"
fi
for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    for net in $nets; do
        for mode in $modes; do
            ours "$net"
            theirs "$net" "$mode"
        done
    done
done

# Every row of theirs follows one of ours.
jq -rs '
def median: sort | if length == 0 then null else (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2 end;
def digits($n): . * pow(10; $n) | round | . / pow(10; $n) | tostring;
def pad($n): tostring | . + " " * ([$n - length, 0] | max);
def line: [.[] | pad(10)] | join("");
. as $all | [range(1; length) | select($all[.].who != "sagax") | $all[.] + {our_ms: $all[. - 1].ms}]
| group_by([.net, .mode])
| map(.[0] + {ms: (map(.ms) | median), our_ms: (map(.our_ms) | median), ratio: (map(.ms / .our_ms) | median)}) as $t
| (["network", "PyTorch", "ms", "sagax ms", "ratio"] | line),
  ($t[] | [.net, .mode, (.ms | digits(1)), (.our_ms | digits(1)), (.ratio | digits(2))] | line),
  "",
  "How many times faster than the fastest way of PyTorch in fp32:",
  ($t | map(select(.mode | startswith("fp32"))) | group_by(.net)[] | min_by(.ms) | [.net, (.ratio | digits(2)), .mode] | line)
' "$rows"
