#!/usr/bin/env bash
# slurm/job.sh against stand-ins for Slurm's commands: exit codes under signals, ranks on what is left, when to
# come back.
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
. "$SAGAX_SOURCE_DIR/slurm/job.sh"
export TMPDIR=$PWD SLURM_JOB_ID=7 SLURM_JOB_NODELIST=n1,n2,n3

# ---- stand-ins ----
srun() { # a step of one command, deaf to the warning as ranks with a handler are
    trap '' USR1
    while [[ $1 == -* ]]; do case $1 in -N | -n | -w) shift 2 ;; *) shift ;; esac; done
    exec "$@"
}
scontrol() {
    case $1 in
    show) tr ',' '\n' <<<"$3" ;;
    requeue) requeued=$2 ;;
    esac
}
# One task of array 7 has the array's id, as Slurm gives it to the last one: asked about 7 it tells of all.
squeue() {
    local asked
    while [ $# -gt 0 ]; do case $1 in -j) asked=$2 && shift 2 ;; *) shift ;; esac; done
    [ -z "$SLURM_ARRAY_TASK_ID" ] || [ "$asked" != 7 ] || printf 'CANCELLED None\nPENDING None\n'
    [ "$asked" != "7${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}" ] || echo "$queue_says"
}

# ---- a signal at any moment does not change the code ----
sagax_listen
# In every other run the signal waits until the stand-in has made itself deaf; in the others that may
# come too early, on a crowded machine.
own=0 early=0 deaf=0
for i in $(seq 40); do
    sagax_stop=""
    rm -f is_deaf
    (
        if [ $((i % 2)) = 1 ]; then until [ -e is_deaf ]; do sleep 0.01; done; fi
        sleep "0.0$((RANDOM % 60 + 10))" && kill -USR1 $$
    ) 2>/dev/null &
    signal=$!
    sagax_srun bash -c "trap '' USR1; : >is_deaf; sleep 0.04; echo 7 1<>\"\$SAGAX_VERDICT\"; exit 7"
    code=$?
    case $code in 7) own=$((own + 1)) ;; 75) early=$((early + 1)) ;; esac
    if [ $code = 7 ] && [ $((i % 2)) = 1 ]; then deaf=$((deaf + 1)); fi
    wait $signal 2>/dev/null
done
check "the program's own code in 40 of 40 runs: $own, $early warned too early" [ $((own + early)) = 40 ]
check "always, once it is deaf: $deaf of 20" [ $deaf = 20 ]
sagax_stop=""
sagax_srun bash -c 'exit 138'
check "138 without a warning stays what it is" [ $? = 138 ]
sagax_srun bash -c 'trap - USR1; kill -USR1 '$$'; sleep 0.2; exit 138'
check "warned ranks that had no handler yet have done nothing: come again" [ $? = 75 ]

# ---- srun that started nothing ----
sagax_stop=""
sagax_srun true 2>err
check "0 without the program's word is 69" [ $? = 69 ]
sagax_srun bash -c 'echo 0 >"$SAGAX_VERDICT"'
check "0 with it is 0" [ $? = 0 ]
sagax_srun bash -c 'echo 75 >"$SAGAX_VERDICT"; exit 137'
check "75, and the ranks that were left killed, is 75" [ $? = 75 ]
sagax_srun bash -c 'echo 0 >"$SAGAX_VERDICT"; exit 137'
check "killed after another word stays killed" [ $? = 137 ]
sagax_srun bash -c 'exit 1'
check "1 at once stays what it is" [ $? = 1 ]
SAGAX_STEP_WAIT=1 sagax_srun bash -c 'sleep 2; exit 1' 2>err
check "1 after as long as srun may wait: come again" [ $? = 75 ]
says err "let srun start nothing on these nodes for 1 s"
check "nothing is left behind" [ -z "$(ls sagax-verdict* 2>/dev/null)" ]
TMPDIR=/dev/full sagax_srun bash -c 'echo 0 1<>"$SAGAX_VERDICT"'
check "the word is taken where there is room" [ $? = 0 ]
TMPDIR=/dev/full sagax_srun true 2>err
check "also that there is none" [ $? = 69 ]
(
    echo() { [ "$1" != none ]; } # no room anywhere
    sagax_srun bash -c 'exit 0'
)
check "without room for a word 0 is 0" [ $? = 0 ]
sagax_srun bash -c 'test "$(stat -c %s "$SAGAX_VERDICT")" -ge 4 && echo 0 1<>"$SAGAX_VERDICT"'
check "room for a code is taken before the disk can be full" [ $? = 0 ]

# ---- ranks on the nodes that are left ----
while read -r tasks nodes want; do
    SLURM_TASKS_PER_NODE=$tasks
    got=$(sagax_tasks ${nodes//,/ })
    check "$tasks, of these on $nodes: $got, want $want" [ "$got" = "$want" ]
done <<'END'
4(x3) n1,n3 8
4(x2),3 n1,n3 7
4,3(x2) n1 4
4,3(x2) n2,n3 6
1,10,2 n2 10
END
sagax_answering() { printf 'n1\nn3\n'; }
SLURM_TASKS_PER_NODE="2(x3)" SAGAX=tries sagax_restarts=0
tries() {
    echo x >>tries
    echo "$SAGAX_JOB" >>jobs
    [ "$(wc -l <tries)" -ge 3 ] || exit 137
    echo 0 >"$SAGAX_VERDICT"
}
srun() { while [[ $1 == -* ]]; do case $1 in -N | -n | -w) echo "$1 $2" >>where && shift 2 ;; *) shift ;; esac; done && "$@"; }
last="a node lost, then a rank"
sagax_run 2>err
check "$last: ends well" [ $? = 0 ]
check "started on the others" [ "$(sort -u where | tr '\n' ' ')" = "-N 2 -n 4 -w n1,n3 " ]
check "the program knows in each start whose it is" [ "$(uniq -c jobs | tr -s ' ')" = " 3 7" ]
says err "exit code 137, nodes of n1,n2,n3 lost: goes on with 4 ranks on n1 n3"
says err "exit code 137, a rank died: goes on with 4 ranks on n1 n3"
rm tries
SAGAX_MAX_RESTARTS=1 sagax_restarts=0
sagax_run 2>err
check "but not for ever" [ $? = 137 ]
says err "started again 1 times already"
sagax_answering() { printf 'n1\nn2\nn3\n'; }
tries() { echo x >>tries && exit "$dies_with"; }
while read -r dies_with times; do
    rm -f tries
    SAGAX_MAX_RESTARTS=2 sagax_restarts=0 sagax_crashes=0
    sagax_run 2>err
    got=$?
    check "all nodes well, code $dies_with: $got" [ $got = "$dies_with" ]
    check "code $dies_with: started $(wc -l <tries) times, want $times" [ "$(wc -l <tries)" = "$times" ]
done <<'END'
137 3
139 3
75 1
74 1
70 1
END

rm tries
dies_with=137 SAGAX_MAX_RESTARTS=20 sagax_restarts=0 sagax_crashes=0
sagax_run 2>err
check "a rank that always dies is started six times" [ "$(wc -l <tries)" = 6 ]

# ---- who comes back ----
sleep() { :; }
while IFS='|' read -r code stop says restarts array want; do
    requeued=no queue_says=$says sagax_stop=$stop SLURM_RESTART_COUNT=$restarts sagax_restarts=0
    SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$array
    got=$(
        exit() { echo "$requeued $1"; }
        sagax_finish "$code" 2>err
    )
    case $want in # what it tells in the end
    *" 0") tells="" ;;
    *" 1") tells="status names them" ;;
    7*) tells="back into the queue under the same id" ;;
    *" 75") tells="submitted again it goes on" ;;
    *) tells="exit code 137; why" ;;
    esac
    check "it tells what follows" grep -qF -e "$tells" <(tail -n 1 err; echo)
    check "code $code, signal '$stop', '$says', $restarts restarts, task '$array': $got, want $want" [ "$got" = "$want" ]
done <<'END'
0||RUNNING None|0||no 0
1||RUNNING None|0||no 1
75||RUNNING None|0||7 75
75|USR1|RUNNING None|0||7 75
75|USR1|RUNNING None|0|3|7_3 75
75|USR1|RUNNING None|20||no 75
75|TERM|RUNNING None|0||no 75
75||COMPLETING None|0||no 75
75|USR1|CANCELLED None|0||no 75
75|TERM|COMPLETING TimeLimit|0||7 75
75|TERM|COMPLETING TimeLimit|0|3|7_3 75
75|USR1|CANCELLED None|0|3|no 75
137|TERM|COMPLETING TimeLimit|0||no 137
END
finish
