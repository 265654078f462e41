#!/usr/bin/env bash
# The verb validate: verdicts, machine output, folders, exit codes.
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf cohort bad loops "odd name"
expect 0 phantom cohort -q --subjects 1 --set phantom.height_mm=60 --set phantom.width_mm=30 \
    --set phantom.depth_mm=60 --set phantom.iso_mm=1.5 --set phantom.chunks=2
scan=cohort/sub-001/ses-01/anat/sub-001_ses-01_acq-sag_T2w.nii.gz

expect 0 validate "$scan"
says out "ok "
says out "int16"
expect 0 validate "$scan" --json
json '.verdict' ok
json '.file' "$scan"
json '.reason' null
json '.nonfinite' 0
json '.shape | length' 3
json '.zooms | length' 3
json '.affine | map(length) | tostring' '[4,4,4,4]'
json '.axcodes | length' 3
json '.datatype' int16
json '(.min <= .mean) and (.mean <= .max)' true

# Folders are walked; hidden files are passed over; the order is that of the names.
cp "$scan" cohort/._hidden.nii.gz
expect 0 validate cohort --json
check "six images of a cohort" [ "$(jq -s length out)" -eq 6 ]
check "names in order" sh -c 'jq -r .file out | LC_ALL=C sort -c'
expect 0 validate cohort --dry-run
check "dry run lists files" [ "$(wc -l <out)" -eq 6 ]

# Damage.
mkdir -p bad "bad/folder.nii.gz" "odd name"
head -c 3000 "$scan" >bad/cut.nii.gz
gzip -dc "$scan" | head -c 500 >bad/short.nii
printf 'version https://git-lfs.github.com/spec/v1\n' >bad/pointer.nii.gz
cp "$scan" "odd name/ümlaut.nii.gz"
expect 1 validate bad --json
check "four refusals" [ "$(jq -s 'map(select(.verdict == "reject")) | length' out)" -eq 4 ]
check "reasons" [ "$(jq -r .reason out | tr '\n' ' ')" = "truncated directory pointer truncated " ]
check "refusals have messages" [ "$(jq -s 'map(select(.message == null)) | length' out)" -eq 0 ]
says err "4 of 4 files rejected"
expect 1 validate bad "$scan"
says err "4 of 5 files rejected"
says out "reject  pointer"
expect 0 validate "odd name" --json
json '.file' "odd name/ümlaut.nii.gz"
expect 1 validate no-such-file.nii --json
json '.reason' missing
expect 1 validate /nonexistent --json
json '.reason' missing
ln -sfn ../.git/annex/objects/x dangling.nii.gz
expect 1 validate dangling.nii.gz --json
json '.reason, .message' $'missing\ndangling.nii.gz: a link to ../.git/annex/objects/x, which is not there'
mkdir -p loops/a
cp "$scan" loops/a/x.nii.gz
ln -sfn .. loops/a/up
ln -sfn . loops/a/here
expect 0 validate loops --json
check "a file behind loops is listed once" [ "$(jq -r .file out)" = loops/a/x.nii.gz ]
gzip -dc "$scan" >far.nii
printf '\x28\x6b\x6e\x4e' | dd of=far.nii bs=1 seek=108 conv=notrunc 2>dd # vox_offset = 1e9
expect 1 validate far.nii --json
json '.reason' truncated
json '.message' "far.nii: vox_offset is 1000000000, the file has at most $(stat -c %s far.nii) bytes"
mkdir -p nothing
expect 66 validate nothing
expect 64 validate
expect 64 validate "$scan" --xform sideways
finish
