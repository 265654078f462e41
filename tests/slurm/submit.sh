#!/usr/bin/env bash
# sagax submit: what it refuses, what it freezes, what a job makes of it.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2 --conf MaxArraySize=4
make_cohort 6
make_weights
[ "$n_failed" = 0 ] || finish
use=(--weights run --steps 2)
printf '[train]\nstesp = 3\n' >bad.ini

# ---- found on the login node: nothing reaches the queue ----
while read -r code text; do
    words=${text%%|*} want=${text#*|}
    expect "$code" submit $words
    says err "$want"
done <<'END'
64 --nodse 2 sr bids sr-out|did you mean --nodes?
64 --nodes 2|too few arguments
64 rs bids sr-out|unknown verb rs
64 sr bids sr-out|--weights RUN|FILE is needed
64 sr bids sr-out --weights run --stesp 2|did you mean --steps?
64 sr bids sr-out --weights run --dry-run|go before the verb
64 sr bids --weights run|too few arguments
64 cache verify cache.h5|no template for sagax cache verify
64 doctor|no template for sagax doctor
64 sr --weights run -- -bids out|-bids: a name that begins with -
69 train cache.h5 other|16 ranks of 1 processor on 2 nodes never fit into partition main, where so many nodes take 8: say --nodes
69 --nodes 1 train cache.h5 other|8 ranks of 1 processor on 1 node never fit into partition main, where so many nodes take 4
69 --nodes 2 --ntasks 3 --cpus-per-task 4 train cache.h5 other|3 ranks of 4 processors on 2 nodes never fit
69 --nodes 3 --ntasks 3 --partition main train cache.h5 other|partition main has 2 nodes, not 3
69 --nodes 1 --ntasks 1 --sbatch --no-such train cache.h5 other|sagax submit: sbatch: unrecognized option '--no-such'
64 --array 3 train cache.h5 other|--array is for verbs with many images
64 --array 3 sr bids/sub-001/anat/sub-001_acq-ax_T2w.nii.gz out --weights run|--array is for verbs with many images
66 sr bids sr-out --weights no-run|no-run: No such file
66 sr no-bids out --weights run|no-bids
78 train cache.h5 other --set train.batch=4 --set train.shards=8|train.shards = 8 is more than
78 train cache.h5 other --config bad.ini|bad.ini:2: unknown key train.stesp
END
check "nothing was written" [ ! -e sr-out ]
check "nor there" [ ! -e other ]
check "nothing was submitted" [ -z "$(squeue -h -t all)" ]

# What may change is no reason to refuse.
scontrol update nodename=n2 state=drain reason=test
expect 0 submit --nodes 2 --ntasks 2 train cache.h5 drained --steps 1
says err "the job waits until this changes: Requested node configuration is not available"
scancel "$(cat out)"
scontrol update nodename=n2 state=resume

# A dry run prints the script and leaves no trace.
expect 69 submit --dry-run --nodes 1 --ntasks 5 sr bids sr-out "${use[@]}"
expect 0 submit --dry-run --array 3 --ntasks 1 sr bids sr-out "${use[@]}"
says err "sbatch.sh --parsable --output=$PWD/sr-out/.sagax/log/sr-%A_%a.out --array=0-2 --ntasks=1 "
says out "set -- bids sr-out --submission"
says out "SAGAX_PARTS=3"
says out "sagax_requeue()"
check "the script is one for bash" bash -n out
check "sbatch's lines come first" [ "$(sed -n 2p out | cut -c1-8)" = "#SBATCH " ]
check "nothing was written" [ ! -e sr-out/.sagax ]

# ---- Slurm refuses, is busy, is not there ----
expect 69 submit --partition nowhere sr bids refused "${use[@]}"
says err "sagax submit: sbatch: invalid partition specified: nowhere"
check "nothing is left of a refused one" [ ! -e refused ]
mkdir bin
cat >bin/sbatch <<'END'
#!/bin/sh
[ "$1" != --test-only ] || exit 0
echo "$@" >>asked
[ "$(wc -l <asked)" -ge 2 ] || { echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1; }
echo "sbatch: warning: something else" >&2
echo "4711;elsewhere"
END
chmod +x bin/sbatch
PATH=$PWD/bin:$PATH expect 0 submit --time 1:00 --dependency afterok:12 sr bids busy "${use[@]}"
check "the job's id alone is on stdout" [ "$(cat out)" = 4711 ]
says err "Socket timed out"
check "asked twice" [ "$(wc -l <asked)" = 2 ]
check "with what was asked for" grep -qF -e "--time=1:00 --dependency=afterok:12 --kill-on-invalid-dep=yes" asked
SAGAX_PARTITION=fast SAGAX_SBATCH="--constraint=ib --nice" PATH=$PWD/bin:$PATH \
    expect 0 submit --partition slow --sbatch "--exclusive" sr bids busy "${use[@]}"
check "site.env first, the command line last" \
    grep -qE -e "^--partition=fast --constraint=ib --nice .*--partition=slow.* --exclusive " asked
printf '#!/bin/sh\necho "slurm_load_ctl_conf error: Unable to contact slurm controller" >&2\nexit 1\n' >bin/scontrol
chmod +x bin/scontrol
PATH=$PWD/bin:$PATH expect 69 submit --array 2 sr bids refused "${use[@]}"
says err "scontrol show config: slurm_load_ctl_conf error: Unable to contact"

# ---- what is frozen ----
cat >study.ini <<'END'
[diffusion]
steps = 2
END
submit --ntasks 2 --nodes 1 --time 5:00 sr bids sr-out --weights run --config study.ini
first=$id
frozen=$(echo "$PWD"/sr-out/.sagax/submit/*)
says err "works from $frozen"
says err "log: $PWD/sr-out/.sagax/log/sr-$first.out"
check "its files are read-only" [ -z "$(find "$frozen" -type f -perm /222)" ]
check "its name is a hash" grep -qE '^[0-9a-f]{12}$' <<<"${frozen##*/}"
check "as many images as in the tree" [ "$(wc -l <"$frozen/items.tsv")" = 7 ]
check "nothing half-written" [ "$(ls -A sr-out/.sagax/submit)" = "${frozen##*/}" ]
# Changed behind its back: it has its own configuration and list.
printf '[diffusion]\nsteps = 7\n' >study.ini
mkdir -p bids/sub-099/anat && cp bids/sub-001/anat/*.nii.gz bids/sub-099/anat/sub-099_acq-ax_T2w.nii.gz
wait_end 120 "$first"
ended "$first" COMPLETED 0:0
made_once sr-out 6
check "as it was asked for then" [ "$(jq .Sagax.Configuration.steps "$(find sr-out -name '*.json' -path '*anat*' | head -n 1)")" = 2 ]
rm -r bids/sub-099
"$MPIEXEC" -n 2 "$SAGAX" sr bids direct "${use[@]}" -q >out.txt 2>err
same_outputs sr-out direct
printf '[diffusion]\nsteps = 2\n' >study.ini
submit --ntasks 2 --nodes 1 --time 5:00 sr bids sr-out --weights run --config study.ini
wait_end 120 "$id"
check "the same submission is the same folder" [ "$(echo "$PWD"/sr-out/.sagax/submit/*)" = "$frozen" ]
ended "$id" COMPLETED 0:0
check "and finds all done" grep -q "0 made, 6 unchanged" "sr-out/.sagax/log/sr-$id.out"

# ---- tampered with ----
submit --ntasks 2 --nodes 1 --sbatch --hold sr bids sr-out "${use[@]}" --set sr.seed=5
tampered=$id
folder=$(sed -n 's/^works from //p' err)
chmod u+w "$folder/items.tsv"
sed -i '2d' "$folder/items.tsv"
expect 0 status sr-out
says out "  $tampered: waiting (JobHeldUser)"
scontrol release "$tampered"
wait_end 120 "$tampered"
expect 0 status sr-out
says out "  $tampered: ended before any item began (FAILED, NonZeroExitCode); the last line of its log:"
says out "not what was submitted"
ended "$tampered" FAILED 78:0
check "one clear sentence" grep -q "${folder##*/}: not what was submitted" "sr-out/.sagax/log/sr-$tampered.out"
expect 66 sr bids sr-out --submission absent
expect 64 sr bids sr-out --submission

# ---- arrays: not more tasks than Slurm takes, nor than images ----
submit --array 100 --ntasks 1 --time 5:00 --json sr bids parts "${use[@]}"
json .tasks 4
json .items 6
says err "MaxArraySize"
id=$(jq -r .job out)
wait_end 90 "$id"
made_once parts 6
same_outputs parts direct
check "a log a task" [ "$(ls parts/.sagax/log | wc -l)" = 4 ]
expect 0 submit --array 100 --ntasks 1 --dry-run sr bids parts --subjects 001,002 "${use[@]}"
says out "SAGAX_PARTS=2"
finish
