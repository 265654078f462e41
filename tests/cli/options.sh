#!/usr/bin/env bash
# Command line and configuration from outside: exit codes, messages, origins.
set -u
. "$(dirname "$0")/lib.sh"

# ---- the program without a verb ----
expect 64
says err "usage: sagax VERB"
expect 0 --help
for verb in bench cache degrade doctor eval net phantom sr train validate weights; do says out "$verb"; done
says out "Exit codes"
expect 0 --version
says out "sagax "
says out "compiler:"
says out "kernels:"
expect 64 trian
says err "did you mean train?"
expect 64 nothing-like-a-verb
says err "unknown verb"
expect 64 --set train.steps=3 train
says err "options follow the verb: sagax VERB --set"

# ---- every verb explains itself, without arguments and without MPI ----
for verb in bench cache degrade doctor eval net phantom sr train validate weights; do
    expect 0 "$verb" --help
    says out "usage: sagax $verb"
    says out "--print-config"
    expect 0 "$verb" --print-config
    json '.run.preset.value' none
    expect 0 "$verb" --version
done

# ---- wrong command lines: 64 and a sentence ----
expect 64 train --stpes 5
says err "unknown option --stpes; did you mean --steps?"
expect 64 train --foo
says err "unknown option --foo (sagax train --help lists all)"
expect 64 train
says err "too few arguments"
expect 64 doctor superfluous
says err "too many arguments"
expect 0 sr --help
says out "sr.stitch, --stitch (no value)"
expect 64 sr in out --stitch true
says err "--stitch takes no value; --stitch=false turns it off"
expect 64 sr --stitch false in out
says err "--stitch takes no value; --stitch=false turns it off"
expect 0 sr in out --stitch --stitch=false --print-config
json .sr.stitch.value false
expect 64 sr in --stitch out superfluous
says err "too many arguments"
expect 64 train --print-config --set base_channels=16
says err "did you mean model.base_channels?"
expect 64 train --print-config --set steps=16
says err "did you mean train.steps or diffusion.steps or degrade.steps?"
expect 64 train --print-config --set train.batch=0
says err "train.batch = 0 is out of range 1..65536"
expect 64 train --print-config --set train.batch=many
says err "should be integer"
expect 64 train --print-config --set diffusion.target=epsilon
says err "eps|v|x0"
expect 64 train --print-config --set train.bach=1
says err "did you mean train.batch?"
expect 64 train --print-config --set train.batch
says err "section.key=value"
expect 64 train --config
says err "--config needs a value"

# ---- files: 78 with file, line, key; 66 when absent ----
printf '[train]\nbatch = 8\nlr = 3e-4 ; inline comment\n[diffusion]\ntarget = x0\n' >good.ini
expect 0 train --print-config --config good.ini --set train.batch=16
json '.train.batch.value' 16
json '.train.batch.origin' 'command line'
json '.train.lr.value' 0.0003
json '.train.lr.origin' file
json '.diffusion.target.value' x0
json '.train.steps.origin' default
expect 0 train --print-config --set train.batch=16 --config good.ini
json '.train.batch.value' 16
printf '[train]\nbatch = 8\nbtach = 8\n' >typo.ini
expect 78 train --print-config --config typo.ini
says err "typo.ini:3: unknown key train.btach; did you mean train.batch?"
printf '[train]\nbatch = -8\n' >range.ini
expect 78 train --print-config --config range.ini
says err "range.ini:2: train.batch = -8 is out of range 1..65536"
expect 66 train --print-config --config absent.ini
says err "absent.ini"

# ---- a verb shows the values it will use, and no keys that it does not read ----
expect 0 sr --print-config
json '.data.acq.value' ax
json '.data | keys | map(select(startswith("split_"))) | length' 0
expect 0 eval --print-config
json '.data | keys | tostring' '["cache","exclude","hr_mm","max_gib","quantile","split","subjects","suffix","xform"]'
expect 0 cache --print-config
json '.data.acq.value' sag,iso
json '.data.split_train.value' 0.8

# ---- one file serves several verbs; the preset yields to it ----
expect 0 sr --print-config --config good.ini
json '.diffusion.target.value' x0
expect 0 train --print-config --config good.ini --set run.preset=paper
json '.diffusion.target.value' x0
json '.train.batch.value' 8
json '.train.steps.value' 195312
json '.train.steps.origin' preset
json '.model.base_channels.value' 64
json '.train.ema.value' 0.999

# ---- what was resolved can be given back as it is ----
"$SAGAX" train --print-config --config good.ini 2>/dev/null |
    jq -r 'to_entries[] | "[\(.key)]", (.value | to_entries[] | "\(.key) = \(.value.value)")' >round.ini
"$SAGAX" train --print-config --config good.ini 2>/dev/null | jq -S 'map_values(map_values(.value))' >one.json
"$SAGAX" train --print-config --config round.ini 2>/dev/null | jq -S 'map_values(map_values(.value))' >two.json
check "a resolved configuration reads back as itself" cmp -s one.json two.json

# ---- many ranks, one message ----
n_checks=$((n_checks + 1))
"$MPIEXEC" -n 3 "$SAGAX" train --stpes 5 >out 2>err
[ $? -eq 64 ] && [ "$(grep -c 'unknown option --stpes' err)" -eq 1 ] ||
    _fail "3 ranks, wrong option: want exit 64 and one message"

# ---- log and loudness ----
expect 0 doctor -q
silent err
expect 0 doctor --json --log events.jsonl
json '.version.value != ""' true
check "the log is made of JSON objects" jq -e -s 'length > 0 and all(.level and .message)' events.jsonl >/dev/null
expect 73 doctor --log absent-folder/events.jsonl
says err "absent-folder/events.jsonl"

# ---- a full disk behind stdout is noticed ----
n_checks=$((n_checks + 1))
"$SAGAX" doctor >/dev/full 2>err
[ $? -eq 74 ] && grep -q 'standard output' err || _fail "doctor >/dev/full: want exit 74"

finish
