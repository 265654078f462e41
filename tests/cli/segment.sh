#!/usr/bin/env bash
# The verb segment with another program: masks collected under our names, failures of single volumes,
# a log each, hangs ended, equal bytes on any number of ranks, nothing done twice; and vertebrae made
# of sub-regions.
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
expect 0 phantom cohort -q --subjects 5 --set phantom.height_mm=90 --set phantom.width_mm=40 \
    --set phantom.depth_mm=90 --set phantom.iso_mm=1.5 --set phantom.chunks=1
truth=$PWD/cohort/derivatives/truth

# Knows the truth of a phantom by its name. sub-002 fails, sub-003 hangs and so does what it starts,
# sub-004 leaves garbage.
cat >fake.sh <<'EOF'
#!/usr/bin/env bash
# fake.sh TRUTH INPUT OUTPUT NAME
echo "segmenting $4 in $PWD, OMPI_COMM_WORLD_RANK=${OMPI_COMM_WORLD_RANK-}"
subject=${4%%_*}
from=$1/$subject/ses-01/anat/${subject}_ses-01_seg
[ -f "$2" ] || exit 9
case $subject in
sub-002) echo "no CUDA for you" >&2; exit 3 ;;
sub-003) sleep 1000 & echo $! >"$1/../../hanging"; wait ;;
sub-004) head -c 1000 "${from}-vert_dseg.nii.gz" >"$3/it_seg-vert_msk.nii.gz" ;;
*) cp "${from}-vert_dseg.nii.gz" "$3/it_seg-vert_msk.nii.gz" ;;
esac
cp "${from}-subreg_dseg.nii.gz" "$3/it_seg-spine_msk.nii.gz"
EOF
command="bash $PWD/fake.sh $truth {input} {output} {name}"
# As `sr` writes it when its network knew the subject.
echo '{"Sagax": {"TrainedOnSubject": true}}' >"$truth/sub-001/ses-01/anat/sub-001_ses-01_acq-iso_T2w.json"
run=(segment "$truth" seg --acq iso --command "$command" --set segment.limit_s=15)

expect 1 "${run[@]}"
says err "exit code 3: \"no CUDA for you\""
says err "ended after 15 s"
check "five rows" [ "$(wc -l <seg/sagax-segment.tsv)" -eq 6 ]
check "three failures" [ "$(grep -c failed seg/sagax-segment.tsv)" -eq 3 ]
gone() { ! ps -o stat= -p "$(cat cohort/hanging)" | grep -qv Z; }
wait_until 60 gone # killed is not yet ended
check "a damaged mask is none" grep -q "sub-004.*it_seg-vert_msk" seg/sagax-segment.tsv
anat=sub-001/ses-01/anat
log=seg/logs/$anat/sub-001_ses-01_acq-iso_T2w_segment.log
check "a log of each" [ "$(find seg/logs -name '*.log' | wc -l)" -eq 5 ]
check "no working folder is left" [ -z "$(ls seg/.sagax/segment)" ]
stem=seg/$anat/sub-001_ses-01_acq-iso_seg
check "masks under our names" [ -f ${stem}-vert_dseg.nii.gz -a -f ${stem}-subreg_dseg.nii.gz ]
check "the sidecar says whose numbers" [ "$(jq -r .Sagax.NumbersFrom ${stem}-vert_dseg.json)" = "the command" ]
check "and that the input's network knew the subject" [ "$(jq .Sagax.TrainedOnSubject ${stem}-vert_dseg.json)" = true ]
check "where nobody knows, nothing is said" \
    [ "$(jq .Sagax.TrainedOnSubject seg/sub-005/ses-01/anat/sub-005_ses-01_acq-iso_seg-vert_dseg.json)" = null ]
check "tables of labels" grep -q "^119	disc below T12" seg/seg-vert_dseg.tsv
expect 0 validate --json ${stem}-vert_dseg.nii.gz "$truth/$anat/sub-001_ses-01_seg-vert_dseg.nii.gz"
check "the labels are those of the command" [ "$(jq -r .mean out | sort -u | wc -l)" -eq 1 ]

# Nothing is done twice: what is made stays, what failed for what it is waits for --retry.
expect 1 "${run[@]}"
check "two unchanged" [ "$(grep -c unchanged seg/sagax-segment.tsv)" -eq 2 ]

# The same bytes on two ranks; the program is no rank.
sed -i 's/^sub-003.*/sub-003) exit 4 ;;/' fake.sh
mv seg first
n_checks=$((n_checks + 1))
last="segment on 2 ranks"
"$MPIEXEC" -n 2 "$SAGAX" "${run[@]}" >stdout 2>err
[ $? -eq 1 ] || _fail "$last: exit code"
check "equal masks" sh -c "cd first && find sub-* -type f | sort | xargs sha256sum | (cd ../seg && sha256sum -c --quiet -)"
check "no variables of ranks" grep -q "OMPI_COMM_WORLD_RANK=$" $log

# Sub-regions alone: vertebrae are made of them.
sed -i 's/^sub-00[234].*//' fake.sh
expect 0 segment "$truth" made --acq iso --command "$command" --set "segment.vert_name=" --first 3
check "five made" [ "$(grep -c made made/sagax-segment.tsv)" -eq 5 ]
check "numbers and where from" jq -e '.Sagax.NumbersFrom == "none" or .Sagax.NumbersFrom == "dens"' \
    made/$anat/sub-001_ses-01_acq-iso_seg-vert_dseg.json

# Numbers by a sagittal scan of the session.
anchors=anchors/$anat
mkdir -p $anchors
for mask in vert subreg; do
    cp "$truth/$anat/sub-001_ses-01_seg-${mask}_dseg.nii.gz" $anchors/sub-001_ses-01_acq-sag_seg-${mask}_dseg.nii.gz
done
expect 0 segment "$truth" anchored --acq iso --subjects 001 --command "$command" --first 9 \
    --set "segment.vert_name=" --anchor anchors
stem=anchored/$anat/sub-001_ses-01_acq-iso_seg-vert_dseg
check "the scan has a say" [ "$(jq -r .Sagax.FirstNumberByAnchor.scan $stem.json)" -le 3 ]
check "and agrees" [ "$(jq -r .Sagax.NumbersDoubtful $stem.json)" = false ]
expect 0 segment "$truth" anchored --acq iso --subjects 001 --command "$command" --first 9 \
    --set "segment.vert_name="
says err "1 made"
expect 66 segment "$truth" none --acq iso --command "$command" --anchor made/logs

# Other numbers: a table that calls each vertebra the one below.
awk -F'\t' -v OFS='\t' 'NR > 1 && $3 == "vertebra" && $2 < 25 {$2++} {print}' \
    "$SAGAX_SOURCE_DIR/share/labels/spineps.tsv" >shifted.tsv
expect 0 segment "$truth" other --acq iso --subjects 001 --command "$command" \
    --set segment.scheme="$PWD/shifted.tsv" --set "segment.subreg_name="
stem=other/$anat/sub-001_ses-01_acq-iso_seg
expect 0 validate --json $stem-vert_dseg.nii.gz "$truth/$anat/sub-001_ses-01_seg-vert_dseg.nii.gz"
check "other numbers" [ "$(jq -r .mean out | sort -u | wc -l)" -eq 2 ]
check "sub-regions as the table says" [ -f $stem-subreg_dseg.nii.gz ]

# Names stay one word for the shell; a signal is told from an exit code.
cp "$truth/$anat/sub-001_ses-01_acq-iso_T2w.nii.gz" "it's \$one.nii.gz"
expect 1 segment "it's \$one.nii.gz" odd --command 'test -f {input} && test -d {output} && exit 7'
says err "exit code 7"
expect 1 segment "it's \$one.nii.gz" odd --command 'echo last words; kill -6 $$'
says err 'ended by signal 6: "last words"'

# What cannot be.
expect 64 segment "$truth" none --acq iso
says err "--command"
expect 64 segment "$truth" none --acq iso --command "x {inptu}"
says err "{inptu} stands for nothing"
expect 66 segment "$truth" none --acq nix --command true
expect 1 segment "$truth" left --acq iso --subjects 001 --command true
says err "left no mask called *seg-vert_*"
finish
