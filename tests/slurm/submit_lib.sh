#!/usr/bin/env bash
# slurm/sweep and slurm/ablate against stand-ins for Slurm's commands and the program: what they ask sbatch
# for, and what they make of its answer.
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
tools=$SAGAX_SOURCE_DIR/slurm

# ---- stand-ins ----
mkdir bin "50%j off"
cat >bin/sbatch <<'END'
#!/bin/sh
echo "$*" >>asked
env >environment
n=$(wc -l <asked)
[ "$n" -ne "${REFUSED:-0}" ] || exit 1
[ -n "${NAMELESS:-}" ] || echo "$n;east"
echo "12 core hours are left" # as a wrapper of a site may add
END
cat >bin/scontrol <<'END'
#!/bin/sh
echo "MaxArraySize            = ${MOST-1001}"
END
cat >bin/scancel <<'END'
#!/bin/sh
echo "$*" >taken
END
cat >bin/sagax <<'END'
#!/bin/sh
[ "$1" != ablate ] || printf 'a\tcache\na\ttrain\nb\tcache\nc\tcache\n'
END
chmod +x bin/*
export PATH=$PWD/bin:$PATH SAGAX=$PWD/bin/sagax
unset SAGAX_SITE SAGAX_SLURM_DIR
use() { # use CODE TOOL arguments...
    local want=$1 got=0
    shift
    last=$*
    rm -f asked taken
    "$tools/$1" "${@:2}" >out 2>err || got=$?
    check "$last: exit code $got, want $want" [ $got = "$want" ]
}
asks() { check "job $1 is asked for with $2" grep -qF -e "$2" <(sed -n "$1p" asked); }

# ---- sweep ----
printf 'one\ttrain a\ntwo\ttrain b\n' >"50%j off/list"
use 0 sweep "50%j off/list" --dependency=afterok:7
check "the id alone" [ "$(cat out)" = 1 ]
asks 1 "--output=50%%j off/list.sweep/%A_%a.out --array=0-1 --dependency=afterok:7 "
asks 1 "--kill-on-invalid-dep=yes"
check "in its record, too" grep -qF '"job":"1",' "50%j off/list.sweep/.sagax/jobs.jsonl"
MOST="" use 69 sweep "50%j off/list"
says err "sweep: Slurm does not answer"
REFUSED=1 use 69 sweep "50%j off/list"
says err "sweep: sbatch refused"
silent out

# Submitted from inside of a job: what Slurm says of that one is not for the new one.
SLURM_JOB_ID=3 SLURM_ARRAY_JOB_ID=3 SLURM_ARRAY_TASK_ID=5 SLURM_RESTART_COUNT=30 SLURM_CPU_BIND=none \
    SLURM_CONF=here use 0 sweep "50%j off/list"
check "Slurm's words alone on where it is" [ "$(grep ^SLURM_ environment)" = SLURM_CONF=here ]
SLURM_CPU_BIND=none use 0 sweep "50%j off/list"
check "outside of one they are the user's" grep -qx SLURM_CPU_BIND=none environment

# ---- ablate ----
study=("50%j off/study" --bids bids --truth truth)
use 0 ablate rows.ini "${study[@]}" -- --ntasks 2
check "three ids" diff <(printf 'prepare\t1\nrows\t2\nscores\t3\n') out
asks 1 "--output=50%%j off/study/log/prepare-%j.out --ntasks 2 "
asks 2 "--array=0-2 --dependency=afterok:1 "
notes="50%j off/study/.sagax/jobs.jsonl"
check "in its record, too" [ "$(jq -r '"\(.job) \(.tasks) \(.log)"' "$notes")" = "1 0 $PWD/50%j off/study/log/prepare-1.out
2 3 $PWD/50%j off/study/log/rows-2_*.out
3 0 $PWD/50%j off/study/log/scores-3.out" ]
check "with what runs it again" [ "$(eval "printf '%s\n' $(jq -r .command "$notes" | head -n 1)" | sed -n 3p)" = "50%j off/study" ]
asks 3 "--dependency=afterany:2 "
for n in 1 2 3; do asks $n "--kill-on-invalid-dep=yes"; done
use 0 ablate --tasks 2 rows.ini "${study[@]}"
asks 2 "--array=0-1 "
MOST=1 use 0 ablate rows.ini "${study[@]}"
asks 2 "--array=0-0 "
MOST="" use 69 ablate rows.ini "${study[@]}"
says err "ablate: Slurm does not answer"
NAMELESS=1 use 69 ablate rows.ini "${study[@]}"
says err "no id in what sbatch said: 12 core hours are left"
REFUSED=3 use 69 ablate rows.ini "${study[@]}"
says err "ablate: sbatch refused"
check "what would wait for nothing is taken back" [ "$(cat taken)" = "1 2" ]
use 0 ablate --tasks 2 rows.ini "${study[@]}" --dry-run
check "a dry run submits nothing" [ ! -e asked ]
check "and shows the steps" [ "$(wc -l <out)" = 4 ]
use 64 ablate rows.ini
use 64 ablate --tasks none rows.ini "${study[@]}"
says err "ablate: --tasks needs a number"
finish
