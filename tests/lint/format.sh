#!/usr/bin/env bash
# clang-format would change nothing. Layout differs between its versions; 14 (Debian 12) decides.
set -eu
tool=$(command -v clang-format-14 || command -v clang-format) || {
    echo "skipped: there is no clang-format"
    exit 77
}
"$tool" --version | grep -q 'version 14\.' || {
    echo "skipped: $("$tool" --version), the layout is that of version 14"
    exit 77
}
cd "$SAGAX_SOURCE_DIR"
find base image mpi degrade spine phantom io model jobs tests -name '*.[ch]' -print0 |
    xargs -0 -n 16 "$tool" --dry-run -Werror --ferror-limit=1
