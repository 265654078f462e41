# For shell tests of the program: source it. $SAGAX is the program, the working folder is empty and
# ours. Each check that fails says what was run, what was wanted and what came; the test goes on and
# `finish` ends it with 1.
n_failed=0
n_checks=0
if [ -e CMakeLists.txt ] || [ -e .git ]; then # tests empty the working folder
    echo "run this in a folder of its own, not in $PWD"
    exit 64
fi

_fail() {
    n_failed=$((n_failed + 1))
    printf 'FAILED: %s\n' "$1"
    sed 's/^/    stdout: /' out 2>/dev/null | head -n 20
    sed 's/^/    stderr: /' err 2>/dev/null | head -n 20
}

# expect CODE arguments...: `sagax arguments` exits with CODE; output is left in files out and err.
expect() {
    local want=$1 got=0
    shift
    n_checks=$((n_checks + 1))
    last="sagax $*"
    "$SAGAX" "$@" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || _fail "$last: exit code: got $got, want $want"
}

# says out|err TEXT: the last command's output holds this text.
says() {
    n_checks=$((n_checks + 1))
    grep -qF -e "$2" "$1" || _fail "$last: want \"$2\" in std$1"
}

# silent out|err: the last command printed nothing there.
silent() {
    n_checks=$((n_checks + 1))
    [ ! -s "$1" ] || _fail "$last: std$1 should be empty"
}

# json FILTER WANT: jq FILTER of the last command's stdout gives WANT.
json() {
    local got
    n_checks=$((n_checks + 1))
    got=$(jq -r "$1" out 2>&1) || true
    [ "$got" = "$2" ] || _fail "$last: $1: got \"$got\", want \"$2\""
}

# check TITLE command...: any command that must succeed.
check() {
    local title=$1
    shift
    n_checks=$((n_checks + 1))
    "$@" || _fail "$title: $*"
}

# living_ranks LAUNCHER: its children that still run (not Z), one pid a line.
living_ranks() { ps -o pid=,stat= --ppid "$1" | awk '$2 !~ /^Z/ {print $1}'; }

# reap LAUNCHER: wait for a background mpiexec of which a rank was killed; its exit code. The ranks must end
# within a minute. mpiexec itself need not: when a rank dies inside MPI_Init, Open MPI 4.1 can deadlock in
# PMIx_server_finalize (about 1 in 150 such kills); with no rank left it is killed here and counted.
n_launchers_hung=0
reap() {
    local quiet=0
    for _ in $(seq 600); do
        kill -0 "$1" 2>/dev/null || break
        if [ -n "$(living_ranks "$1")" ]; then quiet=0; else quiet=$((quiet + 1)); fi
        [ "$quiet" -lt 100 ] || break
        sleep 0.1
    done
    n_checks=$((n_checks + 1))
    if [ -n "$(living_ranks "$1")" ]; then
        _fail "a minute after the kill these ranks of $1 still run: $(living_ranks "$1" | tr '\n' ' ')"
        living_ranks "$1" | xargs -r kill -9
    fi
    if kill -0 "$1" 2>/dev/null; then
        n_launchers_hung=$((n_launchers_hung + 1))
        kill -9 "$1"
    fi
    wait "$1" 2>/dev/null
}

# pids_here arguments...: what pgrep finds, of this test's folder alone: others on this machine may run the same.
pids_here() { pgrep "$@" | while read -r p; do [ "$(readlink "/proc/$p/cwd")" = "$PWD" ] && echo "$p"; done; }

# wait_until SECONDS command...: until it succeeds.
wait_until() {
    local seconds=$1
    shift
    for _ in $(seq $((seconds * 10))); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    n_checks=$((n_checks + 1))
    _fail "did not come in $seconds s: $*"
    return 1
}

# close_gate PART [N]: `"${gated[@]}" program...` stops where it opens files whose path holds PART for the first (Nth)
# time, until open_gate, or SIGTERM or SIGUSR1 that it handles; `at_gate` waits for it there (tests/fault/gate.c).
close_gate() {
    rm -f gate.met && : >gate
    # Sanitizers need not be the first library here.
    gated=(env "LD_PRELOAD=$SAGAX_GATE" "GATE=$PWD/gate" "GATE_PATH=$1" "GATE_AT=${2:-1}"
        "ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0")
}
with_gate() { local -x "${gated[@]:1}" && "$@"; } # the same for a function
at_gate() { wait_until 300 test -e gate.met; }
open_gate() { rm gate; }

finish() {
    [ "$n_checks" -gt 0 ] || n_failed=1
    echo "$n_checks checks, $n_failed failed"
    [ "$n_failed" -eq 0 ] || exit 1
    exit 0
}
