#!/usr/bin/env bash
# Set-up, both builds and the tests: ./test.sh [--long]
#   release  the whole everyday suite (all but the label `long`)
#   dev      under AddressSanitizer and UBSan: unit, kernel and gradient tests, and the verbs that
#            read what users bring
# --long adds the tests with the label `long`, in release.
set -eu
cd "$(dirname "$0")"

long=no
for option in "$@"; do
    case $option in
    --long) long=yes ;;
    *)
        echo "usage: ./test.sh [--long]" >&2
        exit 64
        ;;
    esac
done

jobs=$(nproc)
tools/setup.sh

build() { # build PRESET
    cmake --preset "$1" --log-level=WARNING
    cmake --build --preset "$1" -j "$jobs"
}

failed=0
check() { # check TITLE FOLDER ctest-arguments...
    local title=$1 folder=$2
    shift 2
    echo "== $title"
    ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "$jobs" "$@" || failed=1
}

build release
build dev
check "sanitizers" build-dev -L '^(unit|kernel|grad)$' -LE '^long$'
check "verbs under sanitizers" build-dev -R '^cli_(options|validate|cache|weights|degrade|eval|doctor)$'
check "everyday suite" build -LE '^long$'
if [ "$long" = yes ]; then
    check "long suite" build -L '^long$'
fi
if [ "$failed" -ne 0 ]; then
    echo "test.sh: some tests failed" >&2
    exit 1
fi
echo "test.sh: all tests passed"
