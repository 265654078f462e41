#!/usr/bin/env bash
# An installation for others:  install.sh CMAKE BUILD. Sources that were checked out with umask 077 become
# files that all can read, and from a tree in which nobody can write the program finds what belongs to it.
set -u
. "$(dirname "$0")/lib.sh"
cmake=$1 build=$2
chmod -R u+w . && rm -rf ./*

umask 022
cp -r --no-preserve=mode "$SAGAX_SOURCE_DIR/slurm" "$SAGAX_SOURCE_DIR/share" .
for tool in "$SAGAX_SOURCE_DIR"/slurm/*; do [ ! -x "$tool" ] || chmod u+x "slurm/${tool##*/}"; done
chmod -R go= slurm share
sed "s#\"$SAGAX_SOURCE_DIR/\(slurm\|share\)#\"$PWD/\1#g" "$build/cmake_install.cmake" >install.cmake
last="cmake --install"
"$cmake" -DCMAKE_INSTALL_PREFIX="$PWD/prefix" -P install.cmake >out 2>err || _fail "$last"
check "all can read" [ -z "$(find prefix ! -perm -0444)" ]
check "and enter" [ -z "$(find prefix -type d ! -perm -0111)" ]
check "tools and nothing else of slurm/ can be run" diff \
    <(cd slurm && find . -type f -perm -0100 | sort) <(cd prefix/share/sagax/slurm && find . -type f -perm -0111 | sort)

chmod -R a-w prefix
unset SAGAX_SLURM_DIR SAGAX_SITE
SAGAX=$PWD/prefix/bin/sagax
expect 0 submit --dry-run train cache.h5 run --steps 2
says err "SAGAX_SLURM_DIR=$PWD/prefix/bin/../share/sagax/slurm"
mkdir bids
expect 0 ablate table1 study --bids bids --truth bids --dry-run
for tool in chain sweep ablate; do
    "prefix/share/sagax/slurm/$tool" --help >out 2>err
    check "$tool --help" [ $? = 0 ]
done
chmod -R u+w prefix
finish
