#!/usr/bin/env bash
# The kernels compile for NEON without a warning, and agree with ref under emulation. Neither Check
# nor OpenBLAS of that machine is needed: tests/model/cross stands for both.
# Debian: gcc-aarch64-linux-gnu, qemu-user.
set -eu
cc=aarch64-linux-gnu-gcc
for tool in $cc qemu-aarch64; do
    command -v $tool >/dev/null || {
        echo "skipped: there is no $tool (Debian: gcc-aarch64-linux-gnu, qemu-user)"
        exit 77
    }
done
root=$SAGAX_SOURCE_DIR
flags=(-std=c11 -O2 -D_POSIX_C_SOURCE=200809L -D_GNU_SOURCE -I"$root/tests/model/cross" -I"$root"
    -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Werror
    -fno-math-errno -ffp-contract=fast -DNN_WINO_ISA=neon)
sources=("$root"/base/sx_{err,log,mem,pool,rng}.c "$root"/tests/model/cross/cblas.c
    "$root"/model/nn_{kernels,kernels_ref,kernels_blas,kernels_blas_feed,kernels_wino}.c
    "$root"/model/nn_{kernels_wino_isa,moments}.c)
objects=()
for source in "${sources[@]}"; do
    object=$(basename "$source" .c).o
    $cc "${flags[@]}" -c "$source" -o "$object"
    objects+=("$object")
done
for test in kernels feeds; do
    $cc "${flags[@]}" "$root/tests/model/test_$test.c" "${objects[@]}" -static -pthread -lm -o "test_$test"
    echo "== test_$test"
    qemu-aarch64 "./test_$test"
done
