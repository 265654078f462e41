# Sourced by the tests that need a real Slurm: a cluster of their own on this machine, a tiny cohort and
# network, and what they all ask of the queue. Skipped, loudly, where Slurm is not installed.
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
PATH=$PATH:/usr/sbin:/sbin
tools=$SAGAX_SOURCE_DIR/slurm
cluster=$tools/local-cluster.sh

# cluster_start NODES [options of local-cluster.sh]: ends with the test. Sockets need a short path.
cluster_start() {
    if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
        echo "SKIPPED: there is no Slurm here (apt-get install slurm-wlm munge)"
        exit 77
    fi
    SAGAX_CLUSTER_DIR=$(mktemp -d "${TMPDIR:-/tmp}/sagax-test-XXXXXX")
    export SAGAX_CLUSTER_DIR
    trap 'timeout 60 "$cluster" stop; rm -rf "$SAGAX_CLUSTER_DIR"' EXIT
    timeout 120 "$cluster" start "$@" >out 2>err || {
        _fail "local-cluster.sh start $*"
        finish
    }
    eval "$("$cluster" env)"
    # What tests set for mpirun is for one machine; ranks of two nodes need TCP.
    unset OMPI_MCA_btl
}

# ---- a tiny world ----
small=(--set model.base_channels=8 --set model.mult=1,1 --set model.res_blocks=1 --set train.crop=16
    --set train.batch=4 --set train.val_every=0 --set train.preview_every=0)
field=(--set phantom.height_mm=50 --set phantom.width_mm=10 --set phantom.depth_mm=50
    --set phantom.chunks=1)
all_train=(--set data.split_train=1 --set data.split_val=0 --set data.split_test=0)

# make_cohort N: bids/ of N subjects with one axial scan each, copies of three phantoms.
make_cohort() {
    local i from to
    expect 0 phantom three --subjects 3 "${field[@]}"
    mkdir bids && cp three/dataset_description.json bids/
    for i in $(seq "$1"); do
        from=three/sub-00$((1 + i % 3))/ses-01/anat to=$(printf 'bids/sub-%03d/anat' "$i")
        mkdir -p "$to"
        cp $from/*_acq-ax_T2w.nii.gz "$to/$(printf 'sub-%03d_acq-ax_T2w.nii.gz' "$i")"
    done
}

# make_weights: cache.h5 and the training `run`, without Slurm.
make_weights() {
    expect 0 cache build three cache.h5 "${all_train[@]}"
    expect 0 train cache.h5 run --steps 4 "${small[@]}" --batch 1
}

# ---- the queue ----

# have_left IDS: whether these jobs, with commas, are not in the queue. No answer of squeue is none.
have_left() {
    local left
    left=$(squeue -h -j "$1") && [ -z "$left" ]
}

# wait_end SECONDS JOB...: until all have left the queue.
wait_end() {
    local seconds=$1 ids
    shift
    ids=$(IFS=, && echo "$*")
    wait_until "$seconds" have_left "$ids" && return
    squeue -h -j "$ids"
    scontrol show job "${1%%_*}"
    return 1
}

job_field() { scontrol show job -o "$1" 2>/dev/null | grep -oE " $2=[^ ]*" | head -n 1 | cut -d= -f2; }
exit_code() { job_field "$1" ExitCode; }

# ended JOB STATE CODE: how a job ended, as Slurm tells.
ended() {
    local state code
    state=$(job_field "$1" JobState) code=$(exit_code "$1")
    check "job $1 ended as $2 $3: $state $code" test "$state $code" = "$2 $3"
}

# submit arguments...: sagax submit; the id of the job in $id, its messages in err.
submit() {
    expect 0 submit "$@"
    id=$(cat out)
}

# made_once OUT N: the journal says of N items that they were made, each once.
made_once() {
    local made
    made=$(cat "$1"/.sagax/journal/*.jsonl | jq -r 'select(.state == "made") | .item' | sort)
    check "$2 items were made in $1: $(wc -l <<<"$made")" test "$(wc -l <<<"$made")" = "$2"
    check "each once" test -z "$(uniq -d <<<"$made")"
}

# same_outputs A B: the same files with the same bytes, but for times and records of the run.
same_outputs() { check "$1 and $2 hold the same" diff -r -x sagax-sr.tsv -x .sagax "$1" "$2"; }
