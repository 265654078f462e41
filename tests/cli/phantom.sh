#!/usr/bin/env bash
# The phantom verb from outside: the tree, equal bytes on any number of ranks, reruns, chunks, picture.
set -u
. "$(dirname "$0")/lib.sh"
rm -rf dry no one np2 np3 whole theirs moved shot.png # of an earlier run: existing files are kept
small="--subjects 2 --sessions 2 --seed 9 --set phantom.height_mm=70 --set phantom.width_mm=30
       --set phantom.depth_mm=80 --set phantom.iso_mm=1.6"

# content FOLDER: one hash a file, by name
content() { (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum); }

# ---- a dry run writes nothing; wrong numbers are refused ----
expect 0 phantom dry $small --dry-run
check "a dry run writes nothing" test ! -e dry
expect 64 phantom no $small --set phantom.noise=2
expect 64 phantom

# ---- equal bytes for any number of ranks ----
expect 0 phantom one $small
content one >one.txt
check "a session has truth, two label maps, a sagittal and two to four axial scans" \
    test "$(find one -name '*.nii.gz' -path '*sub-001/ses-01/*' | wc -l)" -ge 6
check "no temporary is left" test -z "$(find one -name '*.tmp.*')"
for np in 2 3; do
    check "$np ranks" "$MPIEXEC" -n $np "$SAGAX" phantom np$np $small >out 2>err
    content np$np >np$np.txt
    check "$np ranks write the bytes of one" cmp one.txt np$np.txt
done

# ---- every image is readable, every scan has its sidecar ----
expect 0 validate one --json
check "all images are taken" test "$(grep -c '"verdict":"ok"' out)" -eq "$(find one -name '*.nii.gz' | wc -l)"
for image in $(find one -name '*.nii.gz' -not -path '*derivatives*'); do
    check "sidecar of $image" jq -e '.SliceThickness > 0 and .SpacingBetweenSlices > 0' "${image%.nii.gz}.json" >/dev/null
done
check "description" jq -e '.DatasetType == "raw"' one/dataset_description.json >/dev/null
check "derivative" jq -e '.DatasetType == "derivative"' one/derivatives/truth/dataset_description.json >/dev/null
check "participants" test "$(wc -l <one/participants.tsv)" -eq 3

# ---- chunks cover the truth's height, each overlapping the next ----
for session in one/sub-*/ses-*; do
    "$SAGAX" validate "$session"/anat/*chunk*.nii.gz --json >out 2>err
    # [lower, upper] edges of each chunk; file order is from the top down
    check "chunks of $session overlap and cover" jq -s -e 'map({low: (.affine[2][3] - 2.5), high: (.affine[2][3] + 5 * (.shape[2] - 0.5))})
        | (.[0].high > 34) and (.[-1].low < -34)
          and ([range(1; length) as $i | .[$i].high > .[$i - 1].low + 4] | all)' out >/dev/null
done

# ---- existing files are kept, missing ones come back as they were ----
victim=$(find one -name '*acq-sag_T2w.nii.gz' | LC_ALL=C sort | head -n 1)
touch -d '2001-01-01' one/derivatives/truth/sub-002/ses-01/anat/*iso_T2w.nii.gz
rm "$victim"
expect 0 phantom one $small
content one >again.txt
check "a rerun restores the same tree" cmp one.txt again.txt
check "a rerun leaves what is there" \
    test -z "$(find one -name '*sub-002_ses-01*iso_T2w.nii.gz' -newermt 2002-01-01)"

# ---- no two kinds of phantom in one tree; subjects and sessions may differ ----
expect 78 phantom one $small --seed 10
says err dataset_description.json
expect 78 phantom one $small --set phantom.noise=0.02
content one >kept.txt
check "a refused run changes nothing" cmp one.txt kept.txt
expect 0 phantom one $small --subjects 1 --sessions 1
content one >kept.txt
check "fewer subjects take none away" cmp one.txt kept.txt
echo '{"Name": "somebody else'"'"'s"}' >theirs.json
mkdir -p theirs && cp theirs.json theirs/dataset_description.json
expect 78 phantom theirs $small

# ---- scans that moved say how far ----
expect 0 phantom moved $small --subjects 1 --sessions 1 --set phantom.motion=1
check "axial sidecars tell the motion" jq -e '(.SimulatedMotionMM | fabs) <= 1.5 and .SimulatedMotionMM != 0' \
    moved/sub-001/ses-01/anat/*acq-ax*.json >/dev/null
check "sagittal ones have none" jq -e 'has("SimulatedMotionMM") | not' moved/sub-001/ses-01/anat/*acq-sag*.json >/dev/null

# ---- one chunk has no chunk entity; the picture ----
expect 0 phantom whole $small --subjects 1 --sessions 1 --set phantom.chunks=1 --picture shot.png
check "one chunk is one scan" test -e whole/sub-001/ses-01/anat/sub-001_ses-01_acq-ax_T2w.nii.gz
check "no chunk entity" test -z "$(find whole -name '*chunk*')"
check "the picture is a PNG" test "$(head -c 4 shot.png | tail -c 3)" = PNG
finish
