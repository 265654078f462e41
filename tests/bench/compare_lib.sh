# Sourced by the comparisons with PyTorch: compare*.sh [SAGAX] [ROUNDS] …, PYTHON, FIXTURES and JSON from the
# environment. `rows` is the file of measurements, a JSON object a line. Exit 77: there is no PyTorch.
here=$(cd "$(dirname "$0")" && pwd)
sagax=${1:-$here/../../build/jobs/sagax}
rounds=${2:-5}
fixtures=${FIXTURES:-$here/../../../shared/fixtures}
python=${PYTHON:-/usr/bin/python3}
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
export OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

"$python" -c 'import torch' 2>/dev/null || {
    echo "skipped: $python has no torch (Debian: python3-torch)"
    exit 77
}
command -v jq >/dev/null || {
    echo "skipped: there is no jq"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rows=${JSON:-$work/rows}
: >"$rows"
