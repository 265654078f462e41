#!/usr/bin/env bash
# Hold the include graph of a tree against the layer table of CONTRIBUTING.md: layers.sh ROOT
# Prints one line a violation; exit 1 if there are any.
set -eu
cd "${1:?usage: layers.sh ROOT}"

files=$(mktemp)
trap 'rm -f "$files"' EXIT
find base image mpi degrade spine phantom io model jobs -name '*.[ch]' 2>/dev/null | sort >"$files"
[ -s "$files" ] || {
    echo "no C files under $PWD"
    exit 1
}

xargs awk '
BEGIN {
    # folder: folders it may include beside itself
    allow("base", "")
    allow("image", "base")
    allow("mpi", "base")
    allow("degrade", "base image")
    allow("spine", "base image")
    allow("phantom", "base image degrade spine")
    allow("io", "base image mpi")
    allow("model", "base mpi")
    allow("jobs", "base image mpi degrade spine phantom io model")
    # the same inside jobs/; main.c, in none of them, may include all
    allow("job", "")
    allow("items", "job")
    allow("sr", "job items")
    allow("cache", "job items")
    allow("eval", "job items sr")
    allow("segment", "job items sr")
    allow("train", "job items cache")
    allow("bench", "job train")
    allow("doctor", "job")
    allow("net", "job")
    allow("tools", "job sr cache")
    allow("ablate", "job items sr cache eval segment train")
    allow("submit", "job items sr cache eval segment train ablate")
    allow("status", "job items ablate submit")
    # foreign header: folders that own it
    own("mpi.h", "mpi"); own("hdf5.h", "io"); own("hdf5_hl.h", "io")
    own("nifti1.h", "io"); own("nifti1_io.h", "io"); own("znzlib.h", "io")
    own("zlib.h", "io"); own("png.h", "io")
    own("cblas.h", "model"); own("openblas_config.h", "model"); own("dnnl.h", "model")
    own("immintrin.h", "model"); own("cpuid.h", "model")
    own("jansson.h", "io jobs"); own("ini.h", "jobs")
    # prefix of names shared inside a folder only: its folder
    split("sx=base im=image mp=mpi dg=degrade sp=spine ph=phantom io=io nn=model net=model df=model " \
          "cmd=jobs job=jobs/job work=jobs/items sr=jobs/sr", pairs, " ")
    for (i in pairs) { split(pairs[i], p, "="); home[p[1]] = p[2] }
}
function allow(folder, list,   parts, i, n) {
    edge[folder, folder] = 1
    n = split(list, parts, " ")
    for (i = 1; i <= n; i++) edge[folder, parts[i]] = 1
}
function own(header, list) { owner[header] = " " list " " }
function bad(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; n_bad++ }
# The folder inside jobs/ that a path lies in; "" for main.c, "?" where there should be nothing.
function part_of(path,   parts) {
    return path == "jobs/main.c" ? "" : split(path, parts, "/") == 3 ? parts[2] : "?"
}
FNR == 1 { folder = FILENAME; sub(/\/.*/, "", folder); part = folder == "jobs" ? part_of(FILENAME) : "" }
/^[ \t]*#[ \t]*include[ \t]*"/ {
    header = $0; sub(/^[^"]*"/, "", header); sub(/".*/, "", header)
    target = header; sub(/\/.*/, "", target)
    if (target == header) {
        if (header != "sagax_version.h") bad("include \"" header "\" does not name its folder")
    } else if (!((folder, target) in edge)) bad(folder "/ may not include " header)
    else if (target == "jobs" && part != "" && !((part, part_of(header)) in edge))
        bad("jobs/" part "/ may not include " header)
    next
}
/^[ \t]*#[ \t]*include[ \t]*</ {
    header = $0; sub(/^[^<]*</, "", header); sub(/>.*/, "", header)
    if (header ~ /^openssl\// && folder != "base") bad("<" header "> belongs to base/")
    if (header in owner && index(owner[header], " " folder " ") == 0)
        bad("<" header "> belongs to" owner[header])
    next
}
{
    line = $0
    while (match(line, /(^|[^A-Za-z0-9_])[a-z]+__[a-z]/)) {
        word = substr(line, RSTART, RLENGTH); line = substr(line, RSTART + RLENGTH)
        gsub(/[^a-z_]/, "", word); prefix = word; sub(/__.*/, "", prefix)
        if (prefix in home && home[prefix] != folder && home[prefix] != folder "/" part)
            bad("names with " prefix "__ are shared inside " home[prefix] "/ only")
    }
}
END { exit n_bad > 0 }
' <"$files"
