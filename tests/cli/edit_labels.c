/* edit_labels IN OUT OP…: make another mask from a mask, for shell tests. Ops, in turn:
 *   relabel=A:B   every A becomes B
 *   halve=A:B     the lower half of A, by its mean row, becomes B
 *   add=D         every number from 1 to 99 grows by D
 *   clear         nothing is left
 *   blob=A        a cube of 3 voxels in the first corner
 *   bone          1 where a sub-region is bone, else 0
 *   crop=N        N voxels less on every side
 *   turn=RAS      other axis codes
 *   like=FILE     on the grid of an image
 *   layer=K       only the layer K of the last index is left */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "image/im_label.h"
#include "io/io_nifti.h"
#include "spine/sp_labels.h"

static const io_read_opt opt = {.frame = -1};

static void check(sx_err rc) {
    if (rc == SX_OK) return;
    fprintf(stderr, "edit_labels: %s\n", sx_err_text());
    exit(1);
}

/* Two numbers of "A:B", the second 0 if there is one alone. */
static void numbers(const char *text, int32_t n[2]) {
    n[0] = n[1] = 0;
    if (sscanf(text, "%d:%d", &n[0], &n[1]) < 1) exit(64);
}

static void relabel(im_labels *l, const char *text) {
    int32_t n[2];
    numbers(text, n);
    for (int64_t i = 0; i < im_labels_count(l); i++)
        if (l->voxel[i] == n[0]) l->voxel[i] = n[1];
}

static void halve(im_labels *l, const char *text) {
    int32_t n[2];
    im_label_stat stat[100];
    im_labels pir = {0};
    char codes[4];
    numbers(text, n);
    im_axcodes(l->affine, codes);
    check(im_labels_reorient(&pir, l, "PIR"));
    im_label_stats(&pir, stat, 100);
    for (int64_t i = 0; i < im_labels_count(&pir); i++) {
        const int64_t row = i / pir.dim[0] % pir.dim[1];
        if (pir.voxel[i] == n[0] && (double)row > stat[n[0]].centre[1]) pir.voxel[i] = n[1];
    }
    im_labels_clear(l);
    check(im_labels_reorient(l, &pir, codes));
    im_labels_clear(&pir);
}

static void add(im_labels *l, const char *text) {
    int32_t n[2];
    numbers(text, n);
    for (int64_t i = 0; i < im_labels_count(l); i++)
        if (l->voxel[i] > 0 && l->voxel[i] < 100) l->voxel[i] += n[0];
}

static void clear(im_labels *l, const char *text) {
    (void)text;
    memset(l->voxel, 0, (size_t)im_labels_count(l) * sizeof *l->voxel);
}

static void blob(im_labels *l, const char *text) {
    int32_t n[2];
    numbers(text, n);
    for (int64_t i = 0; i < 27; i++)
        l->voxel[(i / 9 * l->dim[1] + i / 3 % 3) * l->dim[0] + i % 3] = n[0];
}

static void bone(im_labels *l, const char *text) {
    (void)text;
    for (int64_t i = 0; i < im_labels_count(l); i++) l->voxel[i] = sp_is_bone(l->voxel[i]);
}

static void crop(im_labels *l, const char *text) {
    int32_t n[2];
    im_labels y = {0};
    numbers(text, n);
    const double corner[3] = {n[0], n[0], n[0]};
    double at[3];
    check(im_labels_init(
        &y, (int64_t[]){l->dim[0] - 2 * n[0], l->dim[1] - 2 * n[0], l->dim[2] - 2 * n[0]}));
    memcpy(y.affine, l->affine, sizeof y.affine);
    im_affine_apply(l->affine, corner, at);
    for (int r = 0; r < 3; r++) y.affine[r][3] = at[r];
    check(im_labels_resample(&y, l));
    im_labels_clear(l);
    *l = y;
}

static void turn(im_labels *l, const char *text) {
    im_labels y = {0};
    check(im_labels_reorient(&y, l, text));
    im_labels_clear(l);
    *l = y;
}

static void like(im_labels *l, const char *text) {
    im_volume v = {0};
    im_labels y = {0};
    check(io_nifti_read(text, &opt, &v, NULL));
    check(im_labels_init(&y, v.dim));
    memcpy(y.affine, v.affine, sizeof y.affine);
    check(im_labels_resample(&y, l));
    im_volume_clear(&v);
    im_labels_clear(l);
    *l = y;
}

static void layer(im_labels *l, const char *text) {
    int32_t n[2];
    numbers(text, n);
    for (int64_t i = 0; i < im_labels_count(l); i++)
        if (i / l->dim[0] / l->dim[1] != n[0]) l->voxel[i] = 0;
}

static const struct {
    const char *name;
    void (*edit)(im_labels *l, const char *text);
} ops[] = {{"relabel", relabel}, {"halve", halve}, {"add", add},   {"clear", clear},
           {"blob", blob},       {"bone", bone},   {"crop", crop}, {"turn", turn},
           {"like", like},       {"layer", layer}};

static void edit(im_labels *l, const char *op) {
    const size_t n = strcspn(op, "=");
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strlen(ops[i].name) == n && strncmp(ops[i].name, op, n) == 0) {
            ops[i].edit(l, op + n + (op[n] == '='));
            return;
        }
    fprintf(stderr, "edit_labels: no op %s\n", op);
    exit(64);
}

int main(int argc, char **argv) {
    im_volume v = {0};
    im_labels l = {0};
    if (argc < 3) return 64;
    check(io_nifti_read(argv[1], &opt, &v, NULL));
    check(im_labels_from_volume(&l, &v));
    im_volume_clear(&v);
    for (int i = 3; i < argc; i++) edit(&l, argv[i]);
    check(im_labels_to_volume(&v, &l));
    check(io_nifti_write(argv[2], &v, IO_UINT16, "edit_labels"));
    im_labels_clear(&l);
    im_volume_clear(&v);
    return 0;
}
