#!/usr/bin/env bash
# sagax against PyTorch on this machine: compare.sh [SAGAX] [ROUNDS] [TRAINING BATCHES]
#
#   tests/bench/compare.sh build/jobs/sagax 5 "1 8"
#
# Short runs of both alternate; a ratio is that of neighbours in time, and the median over rounds is
# told: CPU time for one thread, wall time for two. Each way of running PyTorch (peers_palette.py) has a
# process of its own, so that its peak memory is its own. From the environment:
#
#   PYTHON    the Python that has torch (Debian: python3-torch)      FIXTURES  folder of the parity fixtures
#   THREADS   numbers of threads ("1 2")                             JSON      file for all measurements
#   FORWARD   our row that forward is held against: forward, or prepared (weights prepared beforehand)
# Exit 77: there is no PyTorch.
set -eu
. "$(dirname "$0")/compare_lib.sh"
batches=${3:-1 8}
threads=${THREADS:-1 2}

# ours TASK BATCH: one line a number of threads.
ours() {
    "$sagax" bench -q --json --what "$1" --batch "$2" --threads "${threads// /,}" --rounds 3 |
        jq -c --argjson round "$round" \
            '.rows[] | {round: $round, who: "sagax", task, batch, threads, ms}' >>"$rows"
}

# theirs TASK BATCH MODE [--jit]
theirs() {
    local n
    for n in $threads; do
        "$python" "$here/peers_palette.py" --task "$1" --batch "$2" --mode "$3" --threads "$n" ${4:-} \
            2>/dev/null | jq -c --argjson round "$round" '. + {round: $round, who: .peer,
                mode: (.mode + if .jit then " jit" else "" end),
                ms: (if .threads == 1 then .cpu_ms else .wall_ms end)}' >>"$rows"
    done
}

# alternate TASK BATCH: ours, then one way of theirs, and so on.
alternate() {
    local mode
    while read -r mode; do
        ours "$1" "$2"
        theirs "$1" "$2" $mode
    done
}

if [ -e "$fixtures/palette.safetensors" ]; then
    "$python" "$here/peers_palette.py" --check "$fixtures"
else
    echo "note: without $fixtures the peer is not held against the parity fixtures"
fi
"$sagax" bench -q --json --what memory --set bench.memory_batch="${batches// /,}" |
    jq -c '.memory[] | {who: "memory", task, batch, rss: .peak_rss_bytes}' >>"$rows"
for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    printf '%s\n' fp32 'fp32 --jit' fp32_cl 'fp32_cl --jit' bf16_cl 'bf16_cl --jit' | alternate forward 1
    for batch in $batches; do
        printf '%s\n' fp32 bf16 bf16_cl 'bf16_cl --jit' | alternate train "$batch"
    done
done

jq -rs --arg forward "${FORWARD:-forward}" '
def median: sort | if length == 0 then null else (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2 end;
def digits($n): if . == null then "-" else . * pow(10; $n) | round | . / pow(10; $n) | tostring end;
def mib: if . == null then "-" else . / 1048576 | round | tostring end;
def pad($n): tostring | . + " " * ([$n - length, 0] | max);
def line: [(.[:1][] | pad(8)), (.[1:3][] | pad(8)), (.[3] | pad(13)), (.[4:][] | pad(11))] | join("");
. as $all
| ([.[] | select(.who == "memory" and (.task == "sampling" or .task == "training"))
    | {key: "\(if .task == "sampling" then "forward" else "train" end) \(.batch)", value: .rss}] | from_entries) as $rss
| def our($r): [$all[] | select(.who == "sagax" and .round == $r.round
      and .task == (if $r.task == "forward" then $forward else $r.task end) and .batch == $r.batch and .threads == $r.threads) | .ms] | median;
  def table: group_by([.task, .batch, .threads, .mode])
    | map(.[0] + {ms: (map(.ms) | median), our_ms: (map(our(.)) | map(select(. != null)) | median),
                  ratio: (map(our(.) as $o | select($o != null) | .ms / $o) | median)});
[.[] | select(.who | startswith("PyTorch"))] | table as $t
| (["task", "batch", "threads", "PyTorch", "ms", "sagax ms", "ratio", "RSS MiB", "sagax MiB"] | line),
  ($t[] | [.task, .batch, .threads, .mode, (.ms | digits(1)), (.our_ms | digits(1)), (.ratio | digits(2)),
           (.peak_rss_bytes | mib), ($rss["\(.task) \(.batch)"] | mib)] | line),
  "",
  "How many times faster than the fastest layout of PyTorch, run as written (eager) and traced (jit):",
  (["task", "batch", "threads", "against", "ratio", "layout"] | line),
  ($t | map(. + {kind: "\(.mode[:4]) \(if .jit then "jit" else "eager" end)"})
      | group_by([.task, .batch, .threads, .kind])[] | min_by(.ms)
      | [.task, .batch, .threads, .kind, (.ratio | digits(2)),
         (if .mode | test("_cl") then "channels last" else "plain" end)] | line)
' "$rows"
