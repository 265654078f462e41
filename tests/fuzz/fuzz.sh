#!/usr/bin/env bash
# libFuzzer on the readers of what users bring: fuzz.sh SECONDS [TARGET...], all targets if none is named.
# Builds the preset `fuzz` (clang) and keeps what it learns in build-fuzz/corpus/TARGET. A table at the end;
# exit 1 if anything crashed (the inputs are in build-fuzz/crash), 77 without a clang that has libFuzzer.
set -u
seconds=${1:?usage: fuzz.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")/../.." || exit 1
echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
    clang -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null || {
    echo "skipped: no clang with libFuzzer"
    exit 77
}
cmake --preset fuzz --log-level=WARNING >/dev/null && cmake --build --preset fuzz --target fuzz_all >/dev/null || {
    echo "the preset fuzz does not build"
    exit 1
}
build=$PWD/build-fuzz
bin=$build/tests/fuzz
if [ $# -eq 0 ]; then
    for f in "$bin"/fuzz_*; do
        [ ! -f "$f" ] || [ ! -x "$f" ] || [ "${f##*/}" = fuzz_seeds ] || set -- "$@" "${f##*/fuzz_}"
    done
fi
export ASAN_OPTIONS=detect_leaks=0 # HDF5 keeps some memory until its end
mkdir -p "$build/crash"
"$bin/fuzz_seeds" "$build/seeds" || exit 1

failed=0
printf '%-8s %10s %8s %6s %s\n' target inputs seconds edges verdict
for target in "$@"; do
    mkdir -p "$build/corpus/$target"
    log=$build/crash/$target.log
    verdict=ok
    start=$SECONDS
    "$bin/fuzz_$target" "$build/corpus/$target" "$build/seeds/$target" -max_total_time="$seconds" -timeout=60 \
        -max_len=50000 -rss_limit_mb=4096 -malloc_limit_mb=2500 -use_value_profile=1 -print_final_stats=1 \
        -artifact_prefix="$build/crash/$target-" >"$log" 2>&1 || verdict="CRASH, see $log"
    [ "$verdict" = ok ] || failed=1
    inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1)
    printf '%-8s %10s %8s %6s %s\n' "$target" "$inputs" $((SECONDS - start)) "${edges#cov: }" "$verdict"
done
exit $failed
