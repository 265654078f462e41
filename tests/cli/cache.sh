#!/usr/bin/env bash
# The verb cache: equal bytes on 1, 2, 3 ranks, incremental builds, bad files, damage, splits.
#   cache.sh TINY_COHORT
set -u
. "$(dirname "$0")/lib.sh"
tiny_cohort=$1
rm -rf ./*
ranks() { "$MPIEXEC" -n "$1" "$SAGAX" "${@:2}" >out 2>err; }

# ---- the same bytes on any number of ranks ----
check "cohort" "$tiny_cohort" bids
expect 0 cache build bids serial.h5 --json
json .ok 10
json .failed 0
json .reused 0
json '.slices.train + .slices.val + .slices.test' 50
json '.slices.val > 0 and .slices.test > 0' true
for n in 1 2 3; do
    check "build on $n ranks" ranks $n cache build bids np$n.h5
    check "$n ranks write what one process writes" cmp serial.h5 np$n.h5
done
expect 0 cache verify serial.h5 --json
json .verdict ok
json .volumes 10
expect 0 cache info serial.h5 --json
json '.volumes | length' 10
json '[.volumes[] | select(.shape[0] == 5)] | length' 10
json '[.volumes[] | select((.affine | length) == 16 and (.sha256 | length) == 64)] | length' 10
json '[.volumes[] | select(has("axcodes") and has("zooms") and has("mapping") and has("crop"))] | length' 10
expect 0 cache info serial.h5
says out "sub-00/anat/sub-00_acq-sag_T2w.nii.gz"

check "no part is left" [ -z "$(ls np3.h5.sagax/parts)" ]

# ---- tasks of an array: each its share; whoever finds all of it there puts it together ----
expect 0 cache build bids tasks.h5 --json --set run.part=0/3
json '.written, .parts, .volumes' $'false\n4\n10'
check "it looked at its share alone" grep -q 'check 4/4 file' err
expect 0 cache build bids tasks.h5 --set run.part=2/3
says out "7 parts are there for 10 volumes, not put together yet"
check "no cache yet" [ ! -e tasks.h5 ]
cp serial.h5 coarse.h5
expect 0 cache build bids coarse.h5 --set run.part=0/3 --set data.hr_mm=1.0
check "nor does it look further for what an older cache cannot give" bash -c "! grep -q 'check 10/10 file' err"
for part in tasks.h5.sagax/parts/*.h5; do expect 0 cache verify "$part"; done
expect 0 cache build bids tasks.h5 --dry-run
check "the plan knows parts" [ "$(grep -c '^part' out)" -eq 7 ]
cp -r tasks.h5.sagax rest.h5.sagax
expect 0 cache build bids tasks.h5 --json --set run.part=1/3
json .written true
json '.ok, .reused' $'10\n0'
check "tasks write what one process writes" cmp serial.h5 tasks.h5
expect 0 cache build bids tasks.h5 --json --set run.part=1/3
json .written false
expect 64 cache build bids fourth.h5 --set run.part=3/3
# Everything again is for the whole cohort: a task cannot tell whose parts are old.
expect 64 cache build bids tasks.h5 --set run.part=0/3 --set run.retry=all
says err "not with run.part = 0/3"
expect 0 cache build bids rest.h5
says err "7 of 10 volumes are there already"
says err "3 made, 7 unchanged, 0 failed of 10"
check "a run for what tasks left writes the same" cmp serial.h5 rest.h5
check "and leaves no part" [ -z "$(ls rest.h5.sagax/parts)" ]
touch rest.h5.sagax/parts/{aa.h5,bb.h5.tmp.1}
expect 0 cache build bids rest.h5 --json
json .written false
check "leftovers go with the next run" [ -z "$(ls rest.h5.sagax/parts)" ]

# ---- a part is used for exactly what it was made from, and only when it is whole ----
expect 0 cache build bids parts.h5 --set run.part=0/2
size=0
for part in parts.h5.sagax/parts/*.h5; do # another byte in the pixels of each
    at=$(($(stat -c %s "$part") / 2))
    printf "\\x$(printf %02x $(($(od -An -tu1 -j $at -N 1 "$part") ^ 16)))" |
        dd of="$part" bs=1 seek=$at conv=notrunc 2>/dev/null
    size=$((size + 1))
    [ $size -lt 2 ] || break
done
cp parts.h5.sagax/parts/* .
expect 0 cache build bids parts.h5 --json --set data.hr_mm=1.0 --set run.part=0/2
json .parts 10
rm -r parts.h5.sagax/parts/*
mv ????????????????????????????????????????????????????????????????.h5 parts.h5.sagax/parts/
expect 0 cache build bids parts.h5
says err "3 of 10 volumes are there already"
check "damaged parts are made again" cmp serial.h5 parts.h5

# ---- a volume in which the program died twice is left out, until it is asked for ----
expect 0 cache build bids crash.h5
line=$(grep -h '"state":"made"' crash.h5.sagax/journal/* | grep sub-04)
for run in 2 3; do jq -c ".run = $run | .state = \"crashed\"" <<<"$line"; done >crash.h5.sagax/journal/dead.jsonl
rm crash.h5
expect 1 cache build bids crash.h5 --json
says err "the program died in it 2 times"
json '.ok, .failed' $'9\n1'
expect 0 cache info crash.h5 --json
json '.volumes[4] | .state, .reason, .subject' $'failed\nbug\n04'
expect 0 cache build bids crash.h5 --retry failed
check "asked for, it is made" cmp serial.h5 crash.h5

# ---- all again, in two starts: the second one takes the parts that the first one left ----
cp serial.h5 again.h5
expect 0 cache build bids again.h5 --retry all --json
says err "10 made, 0 unchanged"
expect 0 cache build bids half.h5 --set run.part=0/2
cp half.h5.sagax/parts/* again.h5.sagax/parts/ # as a stop leaves them
sed -i 's/"stands": false/"stands": true/' again.h5.sagax/requests/*.json
expect 0 cache build --json --set run.retry=all bids again.h5 # the same, said another way
says err "goes on behind the items"
says err "0 made, 10 unchanged"
json .reused 5
check "the cache is the same" cmp serial.h5 again.h5
expect 0 cache build bids again.h5 --retry all --json
says err "10 made, 0 unchanged"

# ---- volumes in which the program was killed twice are made by one rank, one after the other ----
for run in 90 91; do
    for n in 01 02 03 04 05 06 07 08 09; do
        grep -h '"state":"made"' crash.h5.sagax/journal/* | grep "sub-$n" | head -1 | jq -c ".run = $run | .state = \"begun\""
    done
done >dead.jsonl
mv dead.jsonl crash.h5.sagax/journal/
rm crash.h5
rm -rf crash.h5.sagax/parts
check "two ranks" "$MPIEXEC" -n 2 "$SAGAX" cache build bids crash.h5 >out 2>err
last="cache build after kills"
says err "9 items were begun and not ended by earlier runs (killed?): they come last, 9 of them one at a time"
check "the first rank made them" [ "$(grep -h '"run":92,' crash.h5.sagax/journal/* | grep '"state":"made"' |
    grep -v sub-00 | grep -c '"rank":0,')" = 9 ]
check "the cache is the same" cmp serial.h5 crash.h5

# ---- nothing to do: the file is left alone ----
cp -p serial.h5 cache.h5
before=$(stat -c '%i %Y' cache.h5)
expect 0 cache build bids cache.h5 --json
json .written false
json .reused 10
check "the file is untouched" [ "$before" = "$(stat -c '%i %Y' cache.h5)" ]

# ---- one file changed, one new, one gone ----
cp bids/sub-05/anat/sub-05_acq-sag_T2w.nii.gz bids/sub-04/anat/sub-04_acq-sag_T2w.nii.gz
mkdir -p bids/sub-77/anat
cp bids/sub-06/anat/sub-06_acq-sag_T2w.nii.gz bids/sub-77/anat/sub-77_acq-sag_T2w.nii.gz
rm -r bids/sub-09
expect 0 cache build bids cache.h5 --dry-run
says out "the file has changed"
says out "not in the cache"
check "eight are kept" [ "$(grep -c '^keep' out)" -eq 8 ]
check "a dry run writes nothing" cmp cache.h5 serial.h5
check "rebuild on 2 ranks" ranks 2 cache build bids cache.h5 --json
json .reused 8
json .ok 10
expect 0 cache build bids fresh.h5
check "a rebuilt cache is the one made from nothing" cmp cache.h5 fresh.h5

# ---- other splits: no volume is made again; every subject of a list is where the list has it ----
cp cache.h5 split.h5
expect 0 cache build bids split.h5 --json --set data.split_seed=5
json .reused 10
printf 'subject\tsplit\n' >split.tsv
for s in 00 01 02 03 04 05 06 07 08 77; do printf 'sub-%s\t%s\n' $s val; done >>split.tsv
expect 0 cache build bids split.h5 --json --split-list split.tsv
json .reused 10
json .slices.val 50
json .slices.train 0
sed -i '$d' split.tsv
expect 65 cache build bids split.h5 --split-list split.tsv
says err "subject 77 is not listed"

# ---- a subject that fails takes no split's only place, whoever puts the cache together ----
mkdir four && cp bids/dataset_description.json four/ 2>/dev/null
for s in 00 01 02 03; do cp -r bids/sub-$s four/; done
head -c 1000 four/sub-02/anat/sub-02_acq-sag_T2w.nii.gz >cut && mv cut four/sub-02/anat/sub-02_acq-sag_T2w.nii.gz
for seed in 1 2 3 4 5 6; do
    use=(--set data.split_seed=$seed)
    expect 1 cache build four seed$seed.h5 --json "${use[@]}"
    json '.slices | [.train, .val, .test] | sort | join(" ")' "5 5 5"
    check "no split is said to be empty" bash -c '! grep -q "no slices for" err'
done
"$MPIEXEC" -n 3 "$SAGAX" cache build four ranks.h5 "${use[@]}" >out 2>err
check "the same bytes on 3 ranks" cmp seed6.h5 ranks.h5
for task in 0 1; do "$SAGAX" cache build four shares.h5 "${use[@]}" --set run.part=$task/2 >out 2>err; done
check "and by tasks" cmp seed6.h5 shares.h5

# ---- other pixels: all are made again ----
expect 0 cache build bids split.h5 --dry-run --set data.hr_mm=1.0
says out "another configuration"
check "all are made" [ "$(grep -c '^make' out)" -eq 10 ]

# ---- a flipped bit: verify names the volume, build makes it again ----
cp cache.h5 bad.h5
size=$(stat -c %s bad.h5)
at=$((size / 3)) # among the pixels of one volume
byte=$(od -An -tu1 -j $at -N 1 bad.h5)
printf "\\x$(printf %02x $((byte ^ 16)))" | dd of=bad.h5 bs=1 seek=$at conv=notrunc 2>/dev/null
expect 65 cache verify bad.h5 --json
json .verdict damaged
json '.damaged | length' 1
file=$(jq -r '.damaged[0].file' out)
says err "1 of 10 volumes damaged"
expect 0 cache build bids bad.h5 --explain
says out "$file	the cached copy is damaged"
check "nine are kept" [ "$(grep -c '^keep' out)" -eq 9 ]
check "the repaired cache is whole" cmp cache.h5 bad.h5
head -c $((size / 2)) cache.h5 >cut.h5
expect 65 cache verify cut.h5
says out damaged
expect 0 cache build bids cut.h5
says err "older cache cannot be used"
check "a truncated cache is replaced" cmp cache.h5 cut.h5

# ---- five bad files among ten ----
check "bad cohort" "$tiny_cohort" bids2 bad
expect 1 cache build bids2 five.h5 --json
json .ok 5
json .failed 5
says err "5 of 10 volumes failed"
expect 0 cache info five.h5 --json
json '[.volumes[] | select(.state == "failed") | .subject] | join(" ")' "01 03 05 07 09"
json '[.volumes[] | select(.state == "failed" and .reason != "")] | length' 5
cp -p five.h5 again.h5
expect 1 cache build bids2 again.h5 --json
json .reused 5
check "failed volumes are tried again, with the same bytes" cmp five.h5 again.h5
check "rebuild of a bad cohort on 3 ranks" test "$(ranks 3 cache build bids2 three.h5; echo $?)" = 1
check "bad cohorts give equal bytes too" cmp five.h5 three.h5

# ---- a pair: its image counts; a file beside another: gone, and all is well ----
expect 0 phantom pairs -q --subjects 1 --set phantom.height_mm=40 --set phantom.width_mm=20 \
    --set phantom.depth_mm=40 --set phantom.iso_mm=2 --set phantom.chunks=1
anat=pairs/sub-001/ses-01/anat
scan=$(ls $anat/*acq-sag*.nii.gz)
gzip -dc "$scan" >whole.nii
rm -r pairs/sub-001/ses-0[!1]* 2>/dev/null
pair=${scan%.nii.gz}
dd if=whole.nii of="$pair.hdr" bs=348 count=1 status=none
printf 'ni1\0' | dd of="$pair.hdr" bs=1 seek=344 conv=notrunc status=none
printf '\0\0\0\0' | dd of="$pair.hdr" bs=1 seek=108 conv=notrunc status=none
tail -c +353 whole.nii >"$pair.img"
rm "$scan"
only=(--acq sag --set data.split_val=0 --set data.split_test=0)
expect 0 cache build pairs pairs.h5 "${only[@]}" --json
json .ok 1
expect 0 cache build pairs pairs.h5 "${only[@]}" --json
json .written false
cp "$pair.img" kept.img
head -c $(($(stat -c %s kept.img) / 2)) kept.img >"$pair.img"
expect 1 cache build pairs pairs.h5 "${only[@]}" --json
json .failed 1
says err "no slices for train"
cp kept.img "$pair.img"
expect 0 cache build pairs pairs.h5 "${only[@]}" --json
json .ok 1
cp whole.nii "$pair.nii"
gzip -c whole.nii >"$pair.nii.gz"
rm "$pair.hdr" "$pair.img"
expect 1 cache build pairs pairs.h5 "${only[@]}"
says err "lies beside it"
rm "$pair.nii"
expect 0 cache build pairs pairs.h5 "${only[@]}"
cp whole.nii "$pair.nii"
expect 1 cache build pairs pairs.h5 "${only[@]}"
rm "$pair.nii"

# ---- images beyond a limit; a failure that an interrupted run left does not replace what the cache has ----
expect 0 phantom big -q --subjects 2 --set phantom.height_mm=200 --set phantom.width_mm=20 \
    --set phantom.depth_mm=160 --set phantom.iso_mm=2 --set phantom.chunks=1
expect 0 cache build big limit.h5 "${only[@]}"
expect 1 cache build big few.h5 "${only[@]}" --set data.max_gib=0.001 --set run.part=0/2
says err "more than the limit"
check "a part that says why" cp few.h5.sagax/parts/*.h5 limit.h5.sagax/parts/
expect 0 cache build big limit.h5 --acq sag --set data.split_train=0 --set data.split_val=1 \
    --set data.split_test=0 --json
json '.written, .failed, .reused' $'true\n0\n2'

# ---- not fetched, a pipe, no permission: the others are taken, the exit code says it ----
mkdir -p odd/sub-1/anat odd/sub-2/anat odd/sub-3/anat odd/sub-4
cp bids/sub-05/anat/sub-05_acq-sag_T2w.nii.gz odd/sub-1/anat/sub-1_acq-sag_T2w.nii.gz
ln -s ../nowhere odd/sub-2/anat/sub-2_acq-sag_T2w.nii.gz
mkfifo odd/sub-3/anat/sub-3_acq-sag_T2w.nii
expect 1 cache build odd odd.h5 --json
json .ok 1
json .failed 2
expect 0 cache info odd.h5 --json
json '[.volumes[].reason] | join(" ")' " noinput not-a-file"
expect 0 validate odd/sub-1
expect 1 validate odd --json
check "reasons of what cannot be read" [ "$(jq -r '.reason // "ok"' out | tr '\n' ' ')" = "ok missing not-a-file " ]

as_nobody() { if [ "$(id -u)" = 0 ]; then setpriv --reuid 65534 --clear-groups "$@"; else "$@"; fi; }
mkdir -m 777 open
chmod 0 odd/sub-4
if as_nobody "$SAGAX" --version >/dev/null 2>&1 && as_nobody test -w open; then
    rm -r odd/sub-2 odd/sub-3
    as_nobody "$SAGAX" cache build odd open/odd.h5 >out 2>err
    check "a folder without permission gives 1" [ $? = 1 ]
    last="cache build odd, as nobody"
    says err "1 folders or names could not be read"
    cp cache.h5 open/theirs.h5
    chmod 600 open/theirs.h5
    as_nobody "$SAGAX" cache build odd open/theirs.h5 >out 2>err
    check "a cache without permission gives 66" [ $? = 66 ]
    says err "open/theirs.h5: Permission denied"
    as_nobody "$SAGAX" validate odd --json >out 2>err
    check "and is reported with its reason" [ "$(jq -r '.reason // "ok"' out | tr '\n' ' ')" = "ok unreadable " ]
else
    echo "SKIPPED: a folder without permission: nobody cannot run $SAGAX here"
fi
chmod 755 odd/sub-4

# ---- no ranks where none are needed ----
SLURM_STEP_NUM_TASKS=4 expect 0 cache info odd.h5
SLURM_STEP_NUM_TASKS=4 expect 0 cache verify --json odd.h5
SLURM_STEP_NUM_TASKS=4 expect 69 cache build odd odd.h5

# ---- a name that is not UTF-8 stops nothing ----
odd=$(printf 'bids3/sub-1/anat/sub-1_acq-sag_rec-\xff_T2w.nii.gz')
mkdir -p bids3/sub-1/anat bids3/sub-2/anat
cp bids/sub-05/anat/sub-05_acq-sag_T2w.nii.gz "$odd"
printf 'no image' >"${odd/sub-1_/sub-1_ses-2_}"
expect 1 cache build bids3 odd.h5 --json
json .ok 1
expect 0 cache info odd.h5 --json
json '[.volumes[].file] | sort | last' 'sub-1/anat/sub-1_ses-2_acq-sag_rec-?_T2w.nii.gz'

# ---- refusals ----
expect 66 cache build absent x.h5
expect 66 cache build bids x.h5 --acq ax
says err "no image with acq-ax and suffix T2w"
echo text >text.h5
expect 73 cache build bids text.h5
says err "is no cache"
expect 65 cache verify text.h5
expect 66 cache info absent.h5
expect 64 cache make bids x.h5
expect 64 cache verify
expect 64 cache verify a b
says err "verify takes another number of arguments; usage: sagax cache build"
expect 73 cache build bids /proc/no/x.h5
check "no temporary is left" [ -z "$(ls | grep '\.tmp\.')" ]
finish
