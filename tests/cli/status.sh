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

# ---- not a run ----
expect 66 status nowhere
says err "nowhere: no run of sagax has worked here"
echo nonsense >$work/run.json
expect 65 status sr
says err "sr/.sagax/run.json: not JSON"
finish
