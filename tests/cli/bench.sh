#!/usr/bin/env bash
# sagax bench: all parts measure something that makes sense, ranks are compared, no file is left. How fast
# anything is, is not asserted.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
mkdir scratch
export TMPDIR=$PWD/scratch
tiny=(--size 32x32 --rounds 2 --set model.base_channels=16 --set model.mult=1,2 --set model.res_blocks=1)

# ---- alone: every part ----
expect 0 bench "${tiny[@]}" --batch 1,3 --json
json '.height, .width, .rounds' $'32\n32\n2'
json '[.rows[] | "\(.task) \(.batch) \(.threads)"] | join(", ")' \
    'forward 1 1, prepared 1 1, forward 1 2, prepared 1 2, train 1 1, train 1 2, train 3 1, train 3 2'
json '[.rows[] | .ms > 0 and .wall_ms > 0 and .least_ms > 0 and .least_ms <= .ms and .images_per_s > 0 and .gflops > 0 and .peak_percent > 0] | all' true
json '[.rows[] | (.ops | map(.percent) | add) > 10 and (.ops | map(.percent) | add) <= 100.5] | all' true
json '[.rows[] | select(.task == "train") | .ops | map(.backward_ms) | add > 0] | all' true
json '[.rows[] | select(.task != "train") | .ops | map(.backward_ms) | add == 0] | all' true
json '.rows[4].gflops / .rows[4].images_per_s / (.rows[0].gflops / .rows[0].images_per_s) | . > 2.99 and . < 3.01' true
json '[.peak[] | .gflops > 0] | all and length >= 2' true
json '[.peak[] | select(.isa == "sse2" or .isa == "neon" or .isa == "portable")] | length' 2
json '[.bandwidth[].level] | join(" ")' 'L2 L3 DRAM'
json '[.bandwidth[] | .gb_per_s > 0 and .bytes > 0] | all' true
json '[.memory[] | "\(.task) \(.batch)"] | join(", ")' 'program 0, sampling 1, training 1, training 256, spilling 256'
json '[.memory[1:][] | .peak_rss_bytes > .activation_bytes + .parameter_bytes] | all' true
json '.memory[0].peak_rss_bytes < .memory[2].peak_rss_bytes' true
json '.memory[3].peak_rss_bytes - .memory[4].peak_rss_bytes > .memory[4].parameter_bytes / 2' true
json '.ranks | length' 0

# ---- parts by name, as text ----
expect 0 bench "${tiny[@]}" --what forward,peak
says out "direct fp32 peak"
says out "forward"
check "parts that were not asked for are not measured" [ "$(grep -c 'train\|DRAM\|RSS' out)" = 0 ]
expect 0 bench --size 16x24 --rounds 101 --set model.base_channels=8 --what forward --threads 1 # the most
expect 0 bench --size 16x24 --rounds 1 --set model.base_channels=8 --what forward --kernels ref
says out "kernels ref"
expect 0 bench --dry-run
silent out

# ---- ranks against one rank ----
n_checks=$((n_checks + 1))
last="mpiexec -n 2 sagax bench"
"$MPIEXEC" -n 2 "$SAGAX" bench "${tiny[@]}" --batch 2,8 --json >out 2>err || _fail "$last: exit code $?"
json '[.ranks[] | "\(.ranks) \(.batch)"] | join(", ")' '2 2, 2 8'
json '[.ranks[] | .images_per_s_one > 0 and .images_per_s_all > 0 and .speed_up > 0 and .least_speed_up > 0] | all' true
json '[.ranks[] | .exchange_share > 0 and .exchange_share < 1] | all' true
json '[.ranks[] | .rank_wait_share, .data_wait_share | . >= 0 and . < 1] | all' true

# ---- a stop ends it between two measurements ----
# listens PID: it has a handler of SIGTERM.
listens() { [ "$(readlink /proc/$1/exe)" = "$(readlink -f "$SAGAX")" ] && grep -q '^SigCgt:.*[4-7cdef]...$' /proc/$1/status; }
for part in forward,train memory; do
    last="bench --what $part, stopped"
    "$SAGAX" bench --size 160x160 --rounds 100 --what $part --set bench.memory_batch=256 >out 2>err &
    pid=$!
    wait_until 120 listens $pid
    sleep 4
    kill -TERM $pid
    wait $pid
    code=$?
    check "$last: exit code $code" [ $code = 75 ]
    says err "sagax bench: asked to stop before all was measured"
    silent out
done

# ---- nothing is left ----
# Open MPI's daemon of a process without mpiexec ends, and clears its folder, a moment after it.
for ((i = 0; i < 300; i++)); do
    [ -n "$(ls scratch)" ] || break
    sleep 0.1
done
check "no file is left in TMPDIR" [ -z "$(ls scratch)" ]

# ---- wrong command lines ----
expect 64 bench --size 160
says err "should be HxW"
expect 64 bench --size 160x80
says err "square"
expect 64 bench --what speed
says err 'no part "speed"'
expect 64 bench --threads 0
says err "bench.threads"
expect 64 bench --batch 1,
says err "bench.batch"
expect 78 bench --size 12x12 --what forward
says err "multiples of 8"
OMPI_MCA_orte_tmpdir_base=$PWD/scratch TMPDIR=/proc expect 73 bench "${tiny[@]}" --what train

finish
