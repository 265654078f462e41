#!/usr/bin/env bash
# No paths of one machine, no leftovers: in any tracked text file. (In a tree without git: any file.)
set -eu
cd "$SAGAX_SOURCE_DIR"
list() {
    git ls-files -z --cached --others --exclude-standard 2>/dev/null ||
        find . -type f -not -path './build*' -not -path './.git/*' -print0
}
status=0
forbid() { # forbid REASON PATTERN
    local found
    found=$(list | xargs -0 grep -nIE -e "$2" /dev/null 2>/dev/null |
        grep -v '^tests/lint/words\.sh:' | head -20) || true
    [ -z "$found" ] && return
    printf '%s:\n%s\n' "$1" "$found"
    status=1
}
forbid "path of one machine" '/(work|farm|home|root)/|/tmp/brie[f]|bash_job[s]'
forbid "unfinished" '\b(TOD[O]|FIXM[E]|XX[X])\b'
forbid "merge conflict" '^(<{7}|>{7}) '
forbid "_POSIX_C_SOURCE is set by CMake alone" '^[ \t]*#[ \t]*define[ \t]+_(POSIX_C|GNU|DEFAULT)_SOURC[E]'
exit $status
