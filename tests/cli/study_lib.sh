# Sourced by the tests of ablate: the smallest study.

# study_settings: study.ini.
study_settings() {
    cat >study.ini <<'END'
[data]
hr_mm = 1.2
split_train = 0.4
split_val = 0.2
split_test = 0.4
[train]
steps = 6
batch = 2
crop = 32
val_every = 0
preview_every = 0
checkpoint_every = 2
[diffusion]
steps = 2
[vertebrae]
surfaces = false
END
}

# study_segmenter: section of a sweep file, on stdout.
study_segmenter() {
    cat <<'END'
[segmenter]
model.base_channels = 8
model.mult = 1,1
model.res_blocks = 1
train.steps = 4
train.batch = 2
train.crop = 32
train.val_every = 0
train.preview_every = 0
END
}
