# What the tools that submit jobs share. Nothing here is asked of site.env and job.sh before a job is submitted.

die() { # die CODE TEXT...
    local code=$1
    shift
    echo "${0##*/}: $*" >&2
    exit "$code"
}

# sagax_help WORD: what the tool says of itself at its top, when that is asked for.
sagax_help() {
    case $1 in
    -h | --help)
        sed -n '2,/^set -u/s/^# *//p' "$0"
        exit 0
        ;;
    esac
}

# sagax_take_tasks WORDS...: N of --tasks N in `tasks` (else as many as anybody wants), the other words in
# `words`; from "--" on they are in `rest`.
sagax_take_tasks() {
    tasks=1000000 words=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        case $1 in
        --tasks=*) set -- --tasks "${1#*=}" "${@:2}" ;;
        --tasks)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die 64 "--tasks needs a number"
            tasks=$2
            shift 2
            ;;
        *) words+=("$1") && shift ;;
        esac
    done
    rest=("$@")
}

# sagax_tasks_of WANTED N: how many tasks an array for N pieces of work gets, WANTED and what Slurm takes at most.
sagax_tasks_of() {
    local tasks=$1 limit most
    most=$(scontrol show config | sed -n 's/^MaxArraySize *= *//p')
    [ -n "$most" ] || die 69 "Slurm does not answer"
    for limit in "$most" "$2"; do [ "$tasks" -le "$limit" ] || tasks=$limit; done
    echo "$tasks"
}

# sagax_json TEXT: as a string of JSON.
sagax_json() { sed 's/[\\"]/\\&/g' <<<"$1" | tr '\n\t' '  ' | sed 's/ *$//'; }

# sagax_note FOLDER ID VERB TASKS LOG COMMAND: a submitted job, for `sagax status FOLDER`; a line as
# `sagax submit` writes it. LOG is a file of the folder, * in its name the number of a task.
sagax_note() {
    mkdir -p "$1/.sagax" &&
        printf '{"job":"%s","verb":"%s","tasks":%s,"log":"%s","command":"%s","time":%s}\n' "$2" "$3" "$4" \
            "$(sagax_json "$(realpath "$1")/$5")" "$(sagax_json "$6")" "$(date +%s)" >>"$1/.sagax/jobs.jsonl"
}

# sagax_sbatch FOLDER LOG [options of sbatch] TEMPLATE arguments...: submit it; prints its id. LOG is what
# sbatch calls a file name pattern, in FOLDER, which is taken as it is. A job that waits for one that ended
# otherwise is taken back. Where there are several clusters, sbatch prints "id;cluster".
sagax_sbatch() {
    local folder=${1//%/%%} log=$2 said id
    shift 2
    said=$("$SAGAX_SLURM_DIR/sbatch.sh" --parsable --kill-on-invalid-dep=yes --output="$folder/$log" "$@") || return 1
    # a wrapper of the site may say more
    id=$(sed -n 's/^\([0-9]\{1,\}\)\(;.*\)*$/\1/p' <<<"$said" | tail -n 1)
    [ -n "$id" ] || { echo "${0##*/}: the job may wait, but there is no id in what sbatch said: $said" >&2 && return 1; }
    echo "$id"
}
