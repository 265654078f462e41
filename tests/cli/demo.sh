#!/usr/bin/env bash
# demo.sh as a newcomer runs it: it ends with a table in which super-resolution is ahead of cubic
# interpolation in SSIM and in gradient similarity, and with a picture.
set -u
. "$SAGAX_SOURCE_DIR/tests/cli/lib.sh"
rm -rf ./*
SAGAX_DEMO_STEPS=7600 "$SAGAX_SOURCE_DIR/demo.sh" "$PWD/demo-out" >out 2>err
check "demo.sh ends well" [ $? = 0 ]
last=demo.sh
says out "| sr "

# mean METHOD METRIC over the rows of the table
mean() {
    awk -F'\t' -v method="$1" -v metric="$2" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == metric) c = i }
        NR > 1 && $4 == method { sum += $c; n++ }
        END { print n ? sum / n : "none" }' demo-out/scores.tsv
}
for metric in ssim gms; do
    sr=$(mean sr $metric) cubic=$(mean cubic $metric)
    echo "$metric: sr $sr, cubic $cubic, mean of samples $(mean sr-mean $metric)"
    check "$metric of sr ($sr) is above that of cubic ($cubic)" \
        awk -v a="$sr" -v b="$cubic" 'BEGIN { exit !(a + 0 > b + 0 && b + 0 > 0) }'
done
check "a picture" [ -s demo-out/picture.png ]
check "previews of the training" [ -s demo-out/run/preview/final.png ]
finish
