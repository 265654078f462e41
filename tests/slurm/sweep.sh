#!/usr/bin/env bash
# slurm/sweep: all runs of a list, the bad ones apart; called again, only what is not done.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2 --conf MaxArraySize=3
make_cohort 3
expect 0 cache build three cache.h5 "${all_train[@]}"
[ "$n_failed" = 0 ] || finish
sweep() { # sweep CODE arguments...
    local want=$1 got=0
    shift
    last="sweep $*"
    timeout 120 "$tools/sweep" "$@" >out 2>err || got=$?
    check "$last: exit code $got, want $want" [ $got = "$want" ]
}
code_of() { cut -f 1 "list.tsv.sweep/$1.status" 2>/dev/null; }
job_of() { cut -f 2 "list.tsv.sweep/$1.status" 2>/dev/null; }

options="${small[*]}"
{
    echo "# five trainings"
    for n in 2 3 4; do printf 'steps%s\ttrain cache.h5 run%s --steps %s %s\n' $n $n $n "$options"; done
    printf '\nabsent\ttrain no-such.h5 runx --steps 2 %s\n' "$options"
    printf 'blank\ttrain cache.h5 "run with blanks" --steps 2 %s\n' "$options"
} >list.tsv

scontrol update nodename=n1,n2 state=drain reason=test # nothing begins before it was looked at
sweep 0 list.tsv --ntasks 1 --tasks 100 --time 5:00
id=$(cat out)
expect 0 status list.tsv.sweep
says out "list.tsv.sweep: sweep, "
check "the job is known" grep -qE "^  $id: 3 of 3 tasks waiting" out
scontrol update nodename=n1,n2 state=resume
wait_end 120 "$id"
expect 0 status list.tsv.sweep
says out "  done              4"
says out "  failed            1"
says out "  absent	66	list.tsv.sweep/absent.log"
says out "  $id: ended (FAILED, NonZeroExitCode)"
says out "slurm/sweep list.tsv --ntasks 1 --tasks 100 --time 5:00"
check "status from another folder" env -C / "$SAGAX" status "$PWD/list.tsv.sweep" >out 2>err
says out "$PWD/list.tsv.sweep/${id}_"
expect 0 status list.tsv.sweep --json
json '.runs | map("\(.run) \(.code)") | join(", ")' "absent 66, blank 0, steps2 0, steps3 0, steps4 0"
check "as many tasks as Slurm takes" [ "$(ls list.tsv.sweep/"${id}"_*.out | wc -l)" = 3 ]
for name in steps2 steps3 steps4 blank; do check "$name is done" [ "$(code_of $name)" = 0 ]; done
check "the bad one tells why" [ "$(code_of absent)" = 66 ]
check "and has a log" grep -q "no-such.h5: No such file" list.tsv.sweep/absent.log
check "weights in a folder with blanks" [ -s "run with blanks/weights.h5" ]
check "one task failed, two did not" [ "$(scontrol show job "$id" | grep -c 'ExitCode=1:0')" = 1 ]

# Again: the failed one, and the one whose arguments are others.
cp cache.h5 no-such.h5
before=$(job_of steps3)
sed -i 's/run2 --steps 2/run2 --steps 5/' list.tsv
sweep 0 list.tsv --ntasks 1 --time 5:00
wait_end 120 "$(cat out)"
check "the failed one is done now" [ "$(code_of absent)" = 0 ]
check "the changed one is, too" grep -q "weights of step 5" list.tsv.sweep/steps2.log
check "the others were left alone" [ "$(job_of steps3)" = "$before" ]

# ---- refused before anything is submitted ----
while IFS='|' read -r code line want; do
    printf '%b\n' "$line" >bad.tsv
    sweep "$code" bad.tsv
    says err "$want"
done <<'END'
64|a\ttrain cache.h5 x --stesp 3|did you mean --steps?
65|a train cache.h5 x|not NAME<TAB>VERB ARGUMENTS
65|a/b\ttrain cache.h5 x|not NAME<TAB>VERB ARGUMENTS
65|a\ttrain cache.h5 x\na\ttrain cache.h5 y|two runs are named a
65|# nothing|no line is a run
64|a\ttrain cache.h5 "x|a
END
sweep 66 no-list.tsv

# ---- tampered with ----
sweep 0 list.tsv --hold --ntasks 1
id=$(cat out)
frozen=$(ls -t list.tsv.sweep/*.tsv | head -n 1)
chmod u+w "$frozen" && echo "x	doctor" >>"$frozen"
scontrol release "$id"
wait_end 120 "$id"
check "refused" [ "$(scontrol show job "$id" | grep -c 'ExitCode=78:0')" = 3 ]
finish
