#!/usr/bin/env bash
# A Slurm job whose time limit comes near stops by itself and can be called again. The end is that of
# SLURM_JOB_END_TIME, else of squeue: here a stand-in, which notes what it was asked.
#   job_end.sh TINY_CACHE
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
"$1" cache.h5 || exit 1
mkdir bin
cat >bin/squeue <<'END'
#!/usr/bin/env bash
echo "$SLURM_TIME_FORMAT $*" >>asked
case ${SQUEUE_DOES:-} in
never) exec sleep 1000.25 ;;
fail) exit 1 ;;
none) echo NONE ;;
*) echo $(($(date +%s) + SQUEUE_DOES)) ;;
esac
END
chmod +x bin/squeue
PATH=$PWD/bin:$PATH
small=(--set model.base_channels=8 --set model.mult=1 --set model.res_blocks=1 --set train.crop=16
    --batch 2 --set train.val_every=0 --set train.preview_every=0 --set train.checkpoint_every=1000000)

# in_job CODE NP RUN "NAME=VALUE ..." STEPS options...: a training of so many ranks in a job so described.
in_job() {
    local want=$1 np=$2 run=$3 got=0
    local -a job
    read -ra job <<<"$4"
    job+=("PATH=$PATH") # mpiexec puts its own folder first
    rm -f asked
    n_checks=$((n_checks + 1))
    last="$4: train on $np ranks into $run"
    timeout -k 5 90 "$MPIEXEC" -n "$np" env "${job[@]}" "$SAGAX" train cache.h5 "$run" \
        "${small[@]}" --steps "$5" "${@:6}" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || _fail "$last: exit code: got $got, want $want"
}
asked() { # asked WANT: what squeue was asked, every time
    check "$last: squeue was asked \"$(cat asked 2>/dev/null)\", want \"$1\"" \
        test "$(cat asked 2>/dev/null)" = "$1"
}
stopped() {
    says err "the job's time ends in"
    says err "run me again"
    check "$last: weights of where it stopped" test -s "$1/weights.h5"
}

# ---- no job, no questions ----
in_job 0 2 free "SQUEUE_DOES=1" 4
asked ""

# ---- the end is near: stopped in time, and resumed ----
in_job 75 2 told "SLURM_JOB_ID=7 SLURM_JOB_END_TIME=$(($(date +%s) + 20))" 100000000
asked ""
stopped told
in_job 75 2 found "SLURM_JOB_ID=7 SQUEUE_DOES=8" 100000000
asked "%s -h -j 7 -o %e"
stopped found
last_step=$(sed -n 's/.*checkpoint of step \([0-9]*\) written.*/\1/p' err)
in_job 75 1 found "SLURM_JOB_ID=7 SQUEUE_DOES=6" 100000000
says err "resumed step $last_step"
stopped found

# ---- one task of an array ----
in_job 0 3 array "SLURM_JOB_ID=9 SLURM_ARRAY_JOB_ID=9 SLURM_ARRAY_TASK_ID=4 SQUEUE_DOES=5000" 4
asked "%s -h -j 9_4 -o %e"

# ---- a job without end, an end that nobody tells ----
for does in none fail never; do
    in_job 0 2 "$does" "SLURM_JOB_ID=7 SQUEUE_DOES=$does" 4
    asked "%s -h -j 7 -o %e"
done
check "no squeue is left" test -z "$(pids_here -f "sleep 1000[.]25")"
mv bin/squeue bin/renamed
in_job 0 1 absent "SLURM_JOB_ID=7" 4
in_job 0 1 nonsense "SLURM_JOB_ID=7 SLURM_JOB_END_TIME=soon" 4

# ---- a job whose time is over stops before its first step; a margin is no more than a quarter ----
in_job 75 1 late "SLURM_JOB_ID=7 SLURM_JOB_END_TIME=1000" 4
in_job 0 1 margin "SLURM_JOB_ID=7 SLURM_JOB_END_TIME=$(($(date +%s) + 400))" 4 --set run.margin_s=86400

# ---- the verb sr, too: what is left waits for the next call ----
expect 0 phantom spine --subjects 1 --set phantom.chunks=1 --set phantom.height_mm=80 --set phantom.width_mm=10 \
    --set phantom.depth_mm=60
in_job 0 1 start "SQUEUE_DOES=1" 1
n_checks=$((n_checks + 1))
last="sr in a job that is over"
SLURM_JOB_ID=7 SLURM_JOB_END_TIME=1000 "$SAGAX" sr spine made --weights start --steps 2 >out 2>err
check "$last: exit 75, got $?" test $? -eq 75
finish
