#!/usr/bin/env bash
# The tree keeps to its layers, and layers.sh notices when a tree does not.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bash "$here/layers.sh" "$SAGAX_SOURCE_DIR" || {
    echo "the include graph breaks the layer table of CONTRIBUTING.md"
    exit 1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
planted() { # planted FOLDER LINE: a tree with this one line must be refused
    rm -rf planted
    mkdir -p "planted/$1"
    printf '%s\n' "$2" >"planted/$1/a.c"
    if bash "$here/layers.sh" planted >found; then
        echo "layers.sh let pass, in $1/: $2"
        exit 1
    fi
    grep -q "^$1/a.c:1: " found
}
planted base '#include "image/im_stat.h"'
planted image '#include "mpi/mp_comm.h"'
planted degrade '#include "io/io_png.h"'
planted model '#include "io/io_ckpt.h"'
planted io '#include "model/net.h"'
planted phantom '#  include "jobs/job/job.h"'
planted jobs '#include <mpi.h>'
planted jobs '#include "jobs/job/job.h"'
planted jobs/eval/more '#include "jobs/job/job.h"'
planted jobs/job '#include "jobs/items/work.h"'
planted jobs/eval '#include "jobs/train/train.h"'
planted jobs/train '#include "jobs/submit/submit.h"'
planted jobs '#include <hdf5.h>'
planted model '#include <openssl/evp.h>'
planted base '#include <jansson.h>'
planted io '#include <cblas.h>'
planted io '#include "io_png.h"'
planted jobs 'int x = nn__plan(3);'
planted jobs/submit 'int x = job__find(j, k);'
