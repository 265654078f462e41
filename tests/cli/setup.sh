#!/usr/bin/env bash
# tools/setup.sh against stand-ins for the package manager: nothing to do, may install, may not.
set -u
. "$(dirname "$0")/lib.sh"
setup=$SAGAX_SOURCE_DIR/tools/setup.sh

rm -rf bin && mkdir bin
stub() { # stub NAME BODY
    printf '#!/bin/sh\n%s\n' "$2" >"bin/$1"
    chmod +x "bin/$1"
}
run_setup() { # run_setup CODE
    local got=0
    last=tools/setup.sh
    rm -f asked
    PATH="$PWD/bin:$PATH" ASKED=$PWD/asked bash "$setup" >out 2>err || got=$?
    check "exit code $got, want $1" [ "$got" -eq "$1" ]
}
stub apt-get 'echo "$@" >>"$ASKED"'
stub sudo 'exit 1'
stub id 'echo 1000'

stub dpkg-query 'echo "install ok installed"'
run_setup 0
silent out
silent err
check "nothing was installed" [ ! -e asked ]

stub dpkg-query 'case "$*" in *libnifti-dev*) exit 1 ;; *jq*) echo "deinstall ok config-files" ;; *) echo "install ok installed" ;; esac'
run_setup 69
says err "apt-get install --no-install-recommends libnifti-dev jq"
check "nothing was installed" [ ! -e asked ]

stub id 'echo 0'
run_setup 0
check "the missing packages were installed" grep -q '^install .* libnifti-dev jq$' asked

stub apt-get 'exit 100'
run_setup 100

finish
