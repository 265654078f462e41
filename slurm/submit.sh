# What the tools that submit jobs share; read by them after site.env and job.sh.

die() { # die CODE TEXT...
    local code=$1
    shift
    echo "${0##*/}: $*" >&2
    exit "$code"
}

# sagax_tasks_of WANTED N: how many tasks an array for N pieces of work gets, WANTED and what Slurm takes at most.
sagax_tasks_of() {
    local tasks=$1 limit most
    most=$(scontrol show config | sed -n 's/^MaxArraySize *= *//p')
    [ -n "$most" ] || die 69 "Slurm does not answer"
    for limit in "$most" "$2"; do [ "$tasks" -le "$limit" ] || tasks=$limit; done
    echo "$tasks"
}

# sagax_sbatch FOLDER LOG [options of sbatch] TEMPLATE arguments...: submit it; prints its id. LOG is what
# sbatch calls a file name pattern, in FOLDER, which is taken as it is. A job that waits for one that ended
# otherwise is taken back. Where there are several clusters, sbatch prints "id;cluster".
sagax_sbatch() {
    local folder=${1//%/%%} log=$2 id
    shift 2
    id=$("$SAGAX_SLURM_DIR/sbatch.sh" --parsable --kill-on-invalid-dep=yes --output="$folder/$log" "$@") || return 1
    echo "${id%%;*}"
}
