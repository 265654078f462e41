#!/usr/bin/env bash
# sagax submit without Slurm: what it hands to sbatch, whatever characters there are in names and options.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf ./*
mkdir bin
cat >bin/sbatch <<'END'
#!/bin/bash
[[ " $* " != *" --test-only "* ]] || exit 0
printf '%s\n' "$@" >words
printf '%s' "$SAGAX_COMMAND" >command
echo 4711
END
chmod +x bin/sbatch
PATH=$PWD/bin:$PATH

# ---- options of sbatch: words as they stand ----
expect 0 submit --sbatch '--constraint=old|new --comment=$HOME;x  --exclude=n[1-3]&' train cache.h5 run --steps 2
check "the id" [ "$(cat out)" = 4711 ]
for word in '--constraint=old|new' '--comment=$HOME;x' '--exclude=n[1-3]&'; do
    check "$word" grep -qxF -e "$word" words
done

expect 0 submit train cache.h5 a%jb --steps 2
check "a % of the folder is one in the name of the log" grep -qxF -e "--output=$PWD/a%%jb/.sagax/log/train-%j.out" words
says err "log: $PWD/a%jb/.sagax/log/train-4711.out"
expect 64 submit train cache.h5 'a\b' --steps 2
says err "takes no \\"
expect 64 submit train cache.h5 -- -run
says err "-run: a name that begins with -; write ./-run"

# ---- an option of the job behind the verb ----
for option in "--nodes 1" --nodes=1; do
    expect 64 submit train cache.h5 run $option
    says err "submit: options of the job go before the verb: sagax submit --nodes ... train"
done

# ---- what is not there is told of, unless a job that Slurm knows may make it ----
cat >bin/squeue <<'END'
#!/bin/sh
case ${*##* } in # the jobs that it is asked for; of several it leaves out those that it does not know
12) echo 12 ;;
9999) echo "slurm_load_jobs error: Invalid job id specified" >&2 && exit 1 ;;
esac
END
chmod +x bin/squeue
while IFS='|' read -r dependency known; do
    expect 0 submit --dependency "$dependency" train absent.h5 run --steps 2
    check "$dependency: $known" [ "$(grep -c "Slurm knows no such job\|absent.h5: is not there" err)" = "$known" ]
done <<'END'
afterok:12|0
afterok:9999|2
afterok:9999,afterany:12_3+10|2
singleton|0
END
rm bin/squeue

# ---- a reason to wait is no news when sbatch refuses ----
mv bin/sbatch bin/sbatch.good
cat >bin/sbatch <<'END'
#!/bin/bash
why="Requested node configuration is not available"
[[ " $* " != *" --test-only "* ]] || { echo "allocation failure: $why" >&2 && exit 1; }
[ ! -e accepts ] || { echo 4712 && exit 0; }
echo "sbatch: error: Batch job submission failed: $why" >&2
exit 1
END
chmod +x bin/sbatch
printf '#!/bin/sh\nexit 1\n' >bin/sinfo
chmod +x bin/sinfo
expect 69 submit --mem 900G train cache.h5 run --steps 2
check "it is said once" [ "$(grep -c 'node configuration is not available' err)" = 1 ]
touch accepts
expect 0 submit --mem 9G train cache.h5 run --steps 2
says err "the job waits until this changes"
rm bin/sinfo accepts
mv bin/sbatch.good bin/sbatch

# ---- lines around its answer, as of a shell that does not know the locale and a wrapper of the site ----
mv bin/sbatch bin/sbatch.good
cat >bin/sbatch <<'END'
#!/bin/bash
printf 'sbatch.sh: warning: cannot change locale\na notice\n' >&2
[[ " $* " != *" --test-only "* ]] || { echo "sbatch: Job 12 to start" >&2 && exit 0; }
[ -e accepts ] || { echo "sbatch: error: no credit" >&2 && exit 1; }
printf '%s\n' 4713 "" "12 core hours are left"
END
chmod +x bin/sbatch
expect 69 submit train cache.h5 run --steps 2
says err "sbatch: sbatch.sh: warning: cannot change locale; a notice; no credit"
touch accepts
expect 0 submit train cache.h5 run --steps 2
check "the id alone" [ "$(cat out)" = 4713 ]
rm accepts
mv bin/sbatch.good bin/sbatch

# ---- settings of a site that are not there ----
SAGAX_SITE=$PWD/absent.env expect 78 submit train cache.h5 run --steps 2
says err "SAGAX_SITE = $PWD/absent.env"

# ---- how many ranks: those of the template a node, unless said ----
while IFS='|' read -r options want; do
    expect 0 submit $options train cache.h5 run --steps 2
    check "$options: $want" [ "$(grep -E -e '^--(nodes|ntasks)=' words | tr '\n' ' ')" = "$want" ]
done <<'END'
||
--nodes 3|--nodes=3 --ntasks=24 |
--nodes 1 --ntasks 2|--nodes=1 --ntasks=2 |
--ntasks 2|--ntasks=2 |
END

# ---- each subject of eval has its template ----
for subject in images vertebrae; do
    expect 0 submit eval $subject scores-$subject --truth truth
    check "the script for $subject" grep -qxF "sagax_job eval $subject \"\$@\"" scores-$subject.sagax/submit/*/job.sh
done
expect 64 submit eval nothing scores
for verb in stitch points; do
    expect 0 submit $verb bids of-$verb
    check "the script for $verb" grep -qxF "sagax_job $verb \"\$@\"" of-$verb/.sagax/submit/*/job.sh
    expect 0 status of-$verb
    says out "of-$verb: $verb, submitted, no work has begun"
done

# ---- masks: a command line with its braces and quotes comes through, a wrong one does not ----
mkdir -p volumes/sub-1/anat
echo >volumes/sub-1/anat/sub-1_T2w.nii.gz
expect 0 submit segment volumes masks --command "tool '{input}' -o {folder}"
check "the script for segment" grep -qxF 'sagax_job segment "$@"' masks/.sagax/submit/*/job.sh
check "the command" grep -qF "tool '{input}' -o {folder}" masks/.sagax/submit/*/settings.tsv
expect 0 status masks
says out "masks: segment, submitted, no work has begun"
expect 64 submit segment volumes masks --command "tool {inptu}"

# ---- a dry run needs no Slurm ----
mkdir absent
cat >absent/sbatch <<'END'
#!/bin/sh
echo "sbatch: error: fetch_config: DNS SRV lookup failed" >&2
echo "sbatch: fatal: Could not establish a configuration source" >&2
exit 1
END
printf '#!/bin/sh\nexit 1\n' >absent/scontrol
chmod +x absent/*
for why in "Could not establish a configuration source" "sbatch: not found"; do
    PATH=$PWD/absent:$PATH expect 0 submit --dry-run --array 3 segment volumes of-none --command "tool {input} {output}"
    says err "warning: Slurm does not answer here"
    says err "$why"
    says out "SAGAX_PARTS=1"
    PATH=$PWD/absent:$PATH expect 69 submit segment volumes of-none --command "tool {input} {output}"
    check "nothing was written" [ ! -e of-none/.sagax/jobs.jsonl ]
    printf '#!/bin/sh\necho "sbatch.sh: exec: sbatch: not found" >&2\nexit 127\n' >absent/sbatch
done

# ---- a 0 that means something to Slurm ----
expect 0 submit --dry-run --mem 0 --time 0 --nodes 0 train cache.h5 zero --steps 2
says err "--time=0 --mem=0"
check "no nodes" [ "$(grep -c -e --nodes= err)" = 0 ]
TMPDIR=$PWD/gone expect 0 submit --dry-run train cache.h5 dry --steps 2

# ---- a dry run shows what would be run, and that is what is run ----
expect 0 submit --dry-run --nodes 1 --time 5:00 train cache.h5 dry --steps 2
check "nothing was written" [ ! -e dry ]
sed -n 's/.* and run: //p' err >shown
expect 0 submit --nodes 1 --time 5:00 train cache.h5 dry --steps 2
mv words words.before
mv command command.before
bash -c "$(cat shown)" >/dev/null
check "the command line that was shown" cmp words.before words
check "with the command that status tells" cmp command.before command

# ---- names with blanks, quotes, line ends ----
odd=$'a run\'s "name"\ntouch intruder\n$(touch intruder)'
expect 0 submit train cache.h5 "$odd" --steps 2
says err "cache.h5: is not there; the job will need it"
folder=$(echo "$odd"/.sagax/submit/*)
check "frozen below it" [ -f "$folder/job.sh" ]
check "the script is one for bash" bash -n "$folder/job.sh"
cat >bin/sagax-words <<'END'
#!/bin/bash
printf '%s\0' "$@" >got
END
chmod +x bin/sagax-words
{ # its arguments alone
    sed -n '/^# Written by/,/--submission/p' "$folder/job.sh"
    echo 'sagax-words "$@"'
} >arguments.sh
bash arguments.sh "$folder"
check "its arguments are those that were given" cmp got <(printf '%s\0' cache.h5 "$odd" --submission "$folder")
bash -c "sagax() { printf '%s\0' \"\$@\" >got; }; $(cat command)"
check "so are those of the command that is kept" cmp got <(printf '%s\0' submit train cache.h5 "$odd" --steps 2)
check "nothing in a name was run" [ ! -e intruder ]

# ---- slurm/chain: each step behind the one before, subjects where they belong ----
cat >bin/sagax-asked <<'END'
#!/bin/bash
echo "$*" >>asked
wc -l <asked
END
chmod +x bin/sagax-asked
last="slurm/chain"
mkdir truth
chain() { # chain arguments...: what it asks for, in `asked`
    rm -f asked
    SAGAX=sagax-asked "$SAGAX_SOURCE_DIR/slurm/chain" bids made "$@" >out 2>err
}
check "$last: exit code" chain --truth truth --subjects 004,005 --nodes 2
check "$last: ids" [ "$(tr '\n\t' '  ' <out)" = "cache 1 train 2 sr 3 eval 4 " ]
check "$last: what it asks for" cmp asked - <<'END'
submit -q --nodes 2 cache build bids made/cache.h5
submit -q --nodes 2 --dependency afterok:1 train made/cache.h5 made/run
submit -q --nodes 2 --dependency afterok:2 sr bids made/sr --weights made/run --set data.subjects=004,005
submit -q --nodes 2 --dependency afterok:3 eval images made/scores --truth truth --sr made/sr --lr bids --set data.subjects=004,005
END
check "$last: those that were held out" chain --truth truth
check "$last: sr and eval" [ "$(grep -c -e ' --cache made/cache.h5 --split test$' asked)" = 2 ]
check "$last: all" chain --truth truth --split all
check "$last: of any split" bash -c '! grep -q -e --split asked'
chain --split tset
check "$last: an unknown split" [ $? = 64 ]
says err "--split tset: should be train, val, test or all"
chain --truth nope
check "$last: truth that is not there" [ $? = 66 ]
says err "chain: --truth nope: is not there, and no step makes it"
check "$last: nothing was submitted" [ ! -e asked ]
chain --truth
check "$last --truth without a folder: exit code" [ $? = 64 ]
says err "--truth needs a value"
for option in --dry-run --json; do
    chain $option
    check "$last $option: exit code" [ $? = 64 ]
    says err "chain: $option is not for a chain"
    check "$last $option: nothing was submitted" [ ! -e asked ]
done
check "$last: help behind the arguments" chain --help
check "$last: usage" grep -q "chain BIDS OUT" out
for tool in chain sweep ablate; do
    last="slurm/$tool --help"
    "$SAGAX_SOURCE_DIR/slurm/$tool" --help >out 2>err
    check "$last: exit code" [ $? = 0 ]
    check "$last: usage" grep -q "$tool [A-Z]" out
done
finish
