#!/usr/bin/env bash
# sagax status on work folders written by hand: states, who is at work and who is silent, what it advises.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*

work=sr/.sagax
mkdir -p $work/journal $work/crew
jq -n '{verb: "sr", config: "c", command: "sagax sr bids sr", run: 2, items: 6}' >$work/run.json
printf '%s\n' item made older bad crashed begun waiting >$work/items.tsv
line() { # line RUN CONFIG ITEM STATE [more]: of a journal
    jq -nc --argjson run "$1" --arg config "$2" --arg item "$3" --arg state "$4" \
        '{run: $run, config: $config, item: $item, state: $state, print: "p", owner: "7-n9-1-a", time: 1000, seconds: 5}'" ${5:-}"
}
{
    line 1 c made failed '+ {code: "data", reason: "cut"}'
    line 2 c made made
    line 1 other older made
    line 2 c bad failed '+ {code: "nomem", reason: "bad.nii.gz: 9 GiB are too much"}'
    line 2 c crashed begun
    line 2 c crashed crashed
    line 2 c begun begun
    printf '{"run":2,"config":"c","item":"waiting","st'
} >$work/journal/7-n9-1-a.jsonl
member() { # member: of another machine
    printf '%s\n' beat=5 idle_s=70 silence_s=60 job=7 restart=0 rank=0 size=2 host=n9 pid=1 start=1 boot=b pid_space=p \
        blames=-1 waits=0 "doing=begun slice 3/9" >$work/crew/7-n9-1-a
}

# ---- at work ----
member
expect 0 status sr
says out "sr: sr, run 2, 6 items"
for state in "made              1" "running           1" "waiting           2" "failed            1   nomem 1" "crashed           1"; do
    says out "  $state"
done
says out "rank 0 of 2 on n9, job 7, begun slice 3/9 (since 1 min)"
says out "bad	nomem	bad.nii.gz: 9 GiB are too much"
says out "sagax sr bids sr --retry failed"
check "nobody is silent" bash -c '! grep -q heartbeat out'
check "whoever works needs no command to go on" bash -c '! grep -q "to go on" out'
expect 0 status sr --json
json '.states | [.made, .running, .waiting, .stopped, .failed, .crashed] | join(" ")' "1 1 2 0 1 1"
json '.crew[0].silent' false

# ---- its node died: nobody has taken the entry away ----
touch -d '2 hours ago' $work/crew/7-n9-1-a
expect 0 status sr
says out "no heartbeat for 2 h 00 min"
says out "to go on:"
check "no time is promised" bash -c '! grep -q "to go: about" out'
expect 0 status sr --json
json '.crew[0].silent' true
json '.eta_s' null

# ---- a command of slurm/, whose last words are sbatch's ----
cp $work/run.json run.json
jq '.command = "slurm/ablate x.ini study -- --time 5:00"' run.json >$work/run.json
expect 0 status sr
says out "  slurm/ablate x.ini study --retry failed -- --time 5:00"
mv run.json $work/run.json

# ---- nobody is there ----
rm $work/crew/*
expect 0 status sr
says out "stopped           1"
says out "to go on:"

# ---- a training that writes while it is looked at ----
mkdir run
printf '{"step":30,"loss":0.25}\n{"step":40,"loss":0.125}\n{"step":50,"lo' >run/metrics.jsonl
expect 0 status run
says out "run: train, step 40, loss 0.12500, nobody at work"
expect 0 status run --json
json .last.step 40

# ---- a training of which a rank was lost ----
mkdir -p run/.sagax/crew
mate() { # mate RANK RESTART FILE
    printf '%s\n' beat=5 idle_s=7 silence_s=60 job=7 restart="$2" rank="$1" size=2 host=n9 pid=1 start=1 boot=b \
        pid_space=p blames=-1 waits=0 doing=step >"run/.sagax/crew/$3"
}
mate 0 0 7-n9-1-a && mate 1 0 7-n9-2-a
expect 0 status run
says out "run: train, step 40, loss 0.12500, running"
touch -d '17 minutes ago' run/.sagax/crew/7-n9-2-a
expect 0 status run
says out "run: train, step 40, loss 0.12500, stands still: 1 rank without a heartbeat for 17 min"
mate 1 1 7-n9-3-b && mate 0 1 7-n9-4-b && touch -d '17 minutes ago' run/.sagax/crew/7-n9-1-a
expect 0 status run
says out "run: train, step 40, loss 0.12500, running"
rm -r run/.sagax

# ---- jobs that were submitted: squeue and a log tell ----
mkdir -p bin new/.sagax/log
printf '#!/bin/sh\necho "$*" >>asked\ncat queue\n' >bin/squeue
chmod +x bin/squeue
note() { # note FOLDER JOB TASKS LOG: as submit does
    jq -nc --arg job "$2" --argjson tasks "$3" --arg log "$PWD/$1/log/$4" \
        '{job: $job, verb: "sr", tasks: $tasks, log: $log, command: "sagax submit sr bids new", time: 1000}' >>"$1/jobs.jsonl"
}
old_path=$PATH
PATH=$PWD/bin:$PATH
note new/.sagax 8 0 sr-8.out
echo '8|PENDING|2||Dependency|' >queue
expect 0 status new
says out "new: sr, submitted, no work has begun"
says out "  8: waiting (Dependency), put back into the queue 2 times so far"
check "it will go on by itself" bash -c '! grep -q "to go on" out'
check "asked once" [ "$(wc -l <asked)" = 1 ]
expect 0 status new --json
json '.jobs[0] | [.job, .state, .reason, .restarts] | join(" ")' "8 waiting Dependency 2"

echo '8|PENDING|0||None|' >queue
expect 0 status new
check "not looked at yet: no reason" grep -qx "  8: waiting" out

printf '9|PENDING|0||Resources|\n9|RUNNING|1|n1|None|\n9|COMPLETED|0|n1|None|\n8|RUNNING|0|n[3-4]|None|\n' >queue
note new/.sagax 9 3 'sr-9_*.out'
expect 0 status new
says out "  8: running on n[3-4]"
says out "  9: 1 of 3 tasks running, 1 of 3 tasks waiting (Resources), put back into the queue 1 time so far"

printf '9|PENDING|0||Resources|\n9|PENDING|1||None|\n9|PENDING|1||None|\n' >queue
expect 0 status new
says out "  9: 3 of 3 tasks waiting (Resources), put back into the queue 1 time so far"

note new/.sagax 10 0 sr-10.out
{
    printf 'sagax job 10: start 2\nsagax sr: no-bids: No such file or directory\n'
    printf 'srun: error: n1: task 0: Exited with exit code 66\nslurmstepd: error: *** STEP 10.0 CANCELLED ***\n'
    printf 'sagax job 10: exit code 66; why stands above, before what srun says\n'
} >new/.sagax/log/sr-10.out
echo '10|FAILED|0|n1|NonZeroExitCode|' >queue
expect 0 status new
says out "  10: ended before any item began (FAILED, NonZeroExitCode); the last line of its log:"
says out "    sagax sr: no-bids: No such file or directory"
says out "/new/.sagax/log/sr-10.out"
says out "job 10 ended with exit code 66 and would do so again; its log says why; to be mended: the path of an input"
check "the command that failed is not offered" bash -c '! grep -qE "to go on|sagax submit sr bids new" out'
sed -i 's/exit code 66; why/exit code 74; why/' new/.sagax/log/sr-10.out
expect 0 status new
says out "to go on:"
says out "sagax submit sr bids new"
check "what has left the queue before is history" bash -c '! grep -qE "^  [89]:" out'

# Slurm has forgotten the job, has another one's number in mind, is not there, hangs.
echo >queue
expect 0 status new
says out "  10: ended before any item began; the last line of its log:"
echo "100|RUNNING|0|n1|None|" >queue
expect 0 status new
says out "  10: ended before any item began;"
mkdir -p $work/log && note $work 10 0 sr-10.out && echo "sagax sr: ok" >$work/log/sr-10.out
expect 0 status sr
says out "  10: ended well"
says out "to go on:"
echo "10|PENDING|0||Priority|" >queue
expect 0 status sr
says out "  10: waiting (Priority)"
check "a job in the queue will go on" bash -c '! grep -q "to go on" out'
printf '#!/bin/sh\nsleep 3\ncat queue\n' >bin/squeue
expect 0 status sr
says out "  10: waiting (Priority)" # a busy Slurm is waited for
printf '#!/bin/sh\nsleep 100\n' >bin/squeue
note new/.sagax 11 0 sr-11.out
n_checks=$((n_checks + 1))
last="status while squeue hangs"
timeout 60 "$SAGAX" status new >out 2>err || _fail "$last"
says out "  11: no log yet, and squeue cannot be asked"
says out "sagax submit sr bids new"
PATH=$old_path
rm bin/squeue

# ---- a folder of several ----
mkdir chain && cp -r new chain/sr && cp -r run chain/run && mkdir chain/cache.h5.sagax
cp new/.sagax/jobs.jsonl chain/cache.h5.sagax
touch chain/cache.h5
expect 0 status chain
says out "chain/cache.h5: sr, submitted"
says out "chain/run: train, step 40"
says out "chain/sr: sr, submitted"
check "each once" [ "$(grep -c '^chain/' out)" = 3 ]
mkdir outer && mv chain outer/study
expect 0 status outer
check "also one level down" [ "$(grep -c '^outer/study/' out)" = 3 ]

mkdir begun && touch begun/metrics.jsonl && mkdir begun/.sagax && note begun/.sagax 12 0 train-12.out
expect 0 status begun
says out "begun: train, nothing logged yet, nobody at work"

# ---- not a run ----
expect 66 status nowhere
says err "nowhere: no run of sagax has worked here"
echo nonsense >$work/run.json
expect 65 status sr
says err "sr/.sagax/run.json: not JSON"
finish
