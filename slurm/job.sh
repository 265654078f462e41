# What every batch script of sagax does; read by the templates, after site.env.
#
#   sagax_job VERB arguments...    run the program on the ranks of this job and end the script with
#                                  its exit code
#   sagax_run VERB arguments...    the same without the end: returns the exit code; for scripts of
#                                  several runs, after sagax_listen and sagax_prepare
#
# A job that ends with 75 (stopped, run me again) is put back into the queue, but not one that
# somebody cancelled. When a rank died of a signal, the program starts again in the allocation; when a
# node is lost, Slurm requeues the job, or, with sbatch --no-kill, the program starts again on the
# nodes that are left (results do not depend on the number of ranks). All of that is bounded by
# SAGAX_MAX_RESTARTS.
#
# Signals. Slurm warns this script alone (--signal=B:USR1@180), which passes the warning on to all
# ranks. So one that comes while no rank runs is not lost, and kills none that has no handler yet.
# Traps fork nothing: a signal that comes while bash forks inside of a trap can get lost.

sagax_stop=""    # USR1: asked to stop and come back; TERM: to end, by a user or the time limit
sagax_woken=""   # a trap has run, and a wait may have ended because of it
sagax_pid=""     # of srun, while it runs
sagax_restarts=0 # inside of this allocation
sagax_crashes=0  # of those, because a rank died

sagax_warn_ranks() { [ -z "$sagax_pid" ] || kill -USR1 "$sagax_pid" 2>/dev/null; }

sagax_listen() {
    trap 'sagax_stop=USR1 sagax_woken=yes && sagax_warn_ranks' USR1
    trap 'sagax_stop=TERM sagax_woken=yes' TERM # Slurm sends that to the ranks itself
}

sagax_say() { echo "sagax job ${SLURM_JOB_ID:-?}: $*" >&2; }

# ---- the program ----

sagax_prepare() {
    local module installed=${SAGAX_SLURM_DIR:-}/../../../bin/sagax
    for module in ${SAGAX_MODULES:-}; do
        module load "$module" || { sagax_say "module load $module failed" && exit 69; }
    done
    [ -n "${SAGAX:-}" ] || { [ -x "$installed" ] && SAGAX=$installed; } || SAGAX=sagax
    command -v "$SAGAX" >/dev/null ||
        { sagax_say "no program $SAGAX: set SAGAX in site.env or load its module" && exit 69; }
}

# Where rank 0, which runs on this node, leaves its exit code: SAGAX_VERDICT, of the first folder with room.
# Something is in it from the start, so that the code finds room when the disk has got full meanwhile.
sagax_make_verdict() {
    local folder
    for folder in "${TMPDIR:-/tmp}" /tmp /dev/shm; do
        export SAGAX_VERDICT=$folder/sagax-verdict-${SLURM_JOB_ID:-0}-$$
        echo none >"$SAGAX_VERDICT" && return
        rm -f "$SAGAX_VERDICT"
    done 2>/dev/null
    SAGAX_VERDICT=""
}

# sagax_srun OPTIONS... command...: in the background, so that traps run while it does; its exit code.
sagax_srun() {
    local rc=127 code lost=0 said=none from=$SECONDS patience=${SAGAX_STEP_WAIT:-600}
    sagax_make_verdict
    export SAGAX_JOB=${SLURM_JOB_ID:-} # what was asked for in this job (--retry) is asked for once
    # srun 22.05 takes the processors of a task from nobody else; --no-kill is the batch job's alone. Slurm
    # may hold the processors of a step that a lost node took with it, for ever.
    srun --mpi="${SAGAX_MPI:-pmix}" --kill-on-bad-exit=1 --no-kill=off --immediate="$patience" \
        ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} ${SAGAX_SRUN:-} "$@" &
    sagax_pid=$!
    [ "$sagax_stop" != USR1 ] || sagax_warn_ranks
    while :; do
        sagax_woken=""
        wait "$sagax_pid"
        code=$?
        # -1, which is no code, when a signal comes as bash looks for what has ended: it knows when asked again.
        [ $code != -1 ] || [ $((lost += 1)) -gt 9 ] || continue
        [ $code != 127 ] && [ $code != -1 ] || break # its code is known already: the trap ran behind the wait
        rc=$code
        [ -n "$sagax_woken" ] || break
    done
    sagax_pid=""
    if [ -z "$SAGAX_VERDICT" ]; then
        said=$rc # there was no room for another word
    else
        read -r said 2>/dev/null <"$SAGAX_VERDICT" # somebody may have cleared the folder
        rm -f "$SAGAX_VERDICT"
    fi
    if [ "$sagax_stop" = USR1 ] && [ $rc = 138 ]; then
        case $said in
        "" | none | 138) rc=75 ;; # ranks that were warned before they could take a warning have done nothing
        *) rc=$said ;; # they have ended, and bash knows of the warning alone
        esac
    elif [ "$said" = none ]; then
        case $rc in
        0) # also when a node could not start its part of the step
            sagax_say "srun could not start the program"
            rc=69
            ;;
        1)
            if [ $((SECONDS - from)) -ge "$patience" ]; then
                sagax_say "Slurm let srun start nothing on these nodes for $patience s (SAGAX_STEP_WAIT)"
                rc=75
            fi
            ;;
        esac
    elif [ "$said" = 75 ] && [ $rc -gt 128 ]; then
        rc=75 # the ranks that were left, or lost, were killed because one had ended the job
    fi
    return $rc
}

# ---- nodes ----

# Nodes of the allocation on which a process can be started, in its order, one a line.
sagax_answering() {
    local all node answers
    all=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
    answers=$(
        for node in $all; do
            timeout 60 srun --mpi=none --no-kill=off --overlap -N1 -n1 -w "$node" \
                sh -c "echo $node" 2>/dev/null &
        done
        wait
    )
    for node in $all; do grep -qxF -e "$node" <<<"$answers" && echo "$node"; done
}

# sagax_tasks NODE...: how many tasks Slurm has put on these nodes. SLURM_TASKS_PER_NODE reads "4(x2),3".
sagax_tasks() {
    local counts=() part i=0 node n=0
    for part in ${SLURM_TASKS_PER_NODE//,/ }; do
        local times=1
        [[ $part != *x* ]] || times=${part//*x/}
        for _ in $(seq "${times%)}"); do counts+=("${part%%(*}"); done
    done
    for node in $(scontrol show hostnames "$SLURM_JOB_NODELIST"); do
        [[ " $* " != *" $node "* ]] || n=$((n + counts[i]))
        i=$((i + 1))
    done
    echo $n
}

# Codes that the program gives after it has looked at its work: no lost node explains them.
sagax_is_verdict() { case $1 in 0 | 1 | 64 | 65 | 66 | 73 | 78) return 0 ;; *) return 1 ;; esac; }

sagax_may_restart() {
    [ $((${SLURM_RESTART_COUNT:-0} + sagax_restarts)) -lt "${SAGAX_MAX_RESTARTS:-20}" ] && return
    sagax_say "started again ${SAGAX_MAX_RESTARTS:-20} times already (SAGAX_MAX_RESTARTS)"
    return 1
}

sagax_run() {
    local rc alive left why where=()
    alive=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
    [ "$sagax_restarts" -gt 0 ] || [ -z "${SLURM_RESTART_COUNT:-}" ] ||
        sagax_say "start $((SLURM_RESTART_COUNT + 1)) of this job, on $SLURM_JOB_NODELIST"
    while :; do
        [ -z "$sagax_stop" ] || return 75
        sagax_srun "${where[@]}" "$SAGAX" "$@"
        rc=$?
        [ -z "$sagax_stop" ] && ! sagax_is_verdict $rc || return $rc
        left=$(sagax_answering)
        [ -n "$left" ] || return $rc
        if [ "$left" != "$alive" ]; then
            why="nodes of $SLURM_JOB_NODELIST lost"
        elif [ $rc -gt 128 ] && [ $sagax_crashes -lt "${SAGAX_MAX_CRASHES:-5}" ]; then
            why="a rank died" # of a signal; what the program crashed in twice is left out after that
            sagax_crashes=$((sagax_crashes + 1))
        else
            return $rc
        fi
        sagax_may_restart || return $rc
        sagax_restarts=$((sagax_restarts + 1))
        alive=$left left=${left//$'\n'/ }
        where=(-N "$(wc -w <<<"$left")" -n "$(sagax_tasks $left)" -w "${left// /,}")
        sagax_say "exit code $rc, $why: goes on with ${where[3]} ranks on $left"
    done
}

# ---- the end ----

# What Slurm calls this job, of an array this task alone: SLURM_JOB_ID of one task is the id of the array.
sagax_job_id() { echo "${SLURM_ARRAY_TASK_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}"; }

# Whether somebody ended this job for good. The time limit ends it, too, but means: later.
sagax_cancelled() {
    local state
    state=$(squeue -h -t all -j "$(sagax_job_id)" -o '%T %r' 2>/dev/null)
    case $state in
    *TimeLimit*) return 1 ;;
    COMPLETING* | CANCELLED*) return 0 ;;
    esac
    [ "$sagax_stop" = TERM ]
}

sagax_requeue() {
    sagax_say "stopped, no crash, whatever srun and Slurm say here: back into the queue under the same id, and on from there"
    scontrol requeue "$(sagax_job_id)" || return 1
    sleep 120 # Slurm ends this script meanwhile, or the sleep before it
    return 0
}

# sagax_tell CODE: what follows. What srun prints when it ends the other ranks looks like the reason, and
# comes last.
sagax_tell() {
    case $1 in
    0) ;;
    1) sagax_say "some items failed; sagax status names them, --retry failed tries them again" ;;
    75) sagax_say "stopped, and does not come back by itself; submitted again it goes on from there" ;;
    *) sagax_say "exit code $1; why stands above, before what srun says" ;;
    esac
}

# sagax_finish CODE: requeue, or end the script with this code. What waits for this job by afterok is to
# start although some items failed, where SAGAX_ITEMS_MAY_FAIL says so.
sagax_finish() {
    [ "$1" != 1 ] || [ -z "${SAGAX_ITEMS_MAY_FAIL:-}" ] || { sagax_say "some items failed; the chain goes on" && exit 0; }
    { [ "$1" = 75 ] && ! sagax_cancelled && sagax_may_restart && sagax_requeue; } || sagax_tell "$1"
    exit "$1"
}

sagax_job() {
    sagax_listen
    sagax_prepare
    sagax_run "$@"
    sagax_finish $?
}
