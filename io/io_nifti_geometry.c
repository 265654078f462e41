/* From header fields to the matrix that takes voxel indices to millimetres.
 *
 * The rule: sform if its code > 0, else qform if its code > 0, else voxel sizes alone with a
 * warning. A chosen form that is unusable (NaN, singular, voxel sizes no scanner makes) is refused,
 * never replaced by another. Both given and apart: refused unless the caller chooses, since half
 * the tools follow one and half the other. Quaternion: nifti1.h, section "QUATERNION REPRESENTATION
 * OF ROTATION MATRIX"; computed in double, because niftilib's is in float and NIfTI-2 is not. */
#include "io/io_nifti_private.h"

#include <math.h>
#include <string.h>

/* Farther apart at a corner than this, two forms say different things. */
static const double disagree_voxels = 0.1;
/* b, c, d are float32, and a comes from 1 - b^2 - c^2 - d^2: below the noise it says nothing
 * (niftilib takes 0), below minus the rounding b, c, d are no rotation. */
static const double quatern_noise = 1e-7, quatern_rounding = 1e-5;
static const double least_mm = 0.01, most_mm = 100.0;

/* ---- the three forms; false: not usable ---- */

static bool all_finite(const double m[4][4]) {
    for (int i = 0; i < 16; i++)
        if (!isfinite(m[i / 4][i % 4])) return false;
    return true;
}

static bool from_sform(const io__header *h, double m[4][4]) {
    double unused[4][4];
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++) m[r][c] = h->srow[r][c] * h->mm_per_unit;
    return all_finite(m) && im_affine_invert(m, unused);
}

static bool usable_pixdim(const io__header *h) {
    for (int i = 1; i <= 3; i++)
        if (!(isfinite(h->pixdim[i]) && h->pixdim[i] > 0.0)) return false;
    return true;
}

/* The rotation with this real part; false: not usable. */
static bool qform_with(const io__header *h, double a, double m[4][4]) {
    const double b = h->quatern[0], c = h->quatern[1], d = h->quatern[2];
    const double rotation[3][3] = {
        {a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
        {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
        {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c}};
    const double qfac = h->pixdim[0] < 0.0 ? -1.0 : 1.0; /* 0 counts as +1 */
    for (int r = 0; r < 3; r++) {
        for (int k = 0; k < 3; k++)
            m[r][k] = rotation[r][k] * h->pixdim[k + 1] * (k == 2 ? qfac : 1.0) * h->mm_per_unit;
        m[r][3] = h->qoffset[r] * h->mm_per_unit;
    }
    return usable_pixdim(h) && all_finite(m);
}

/* a * a, up to rounding. */
static double real_part_squared(const io__header *h) {
    const double *q = h->quatern;
    return 1.0 - (q[0] * q[0] + q[1] * q[1] + q[2] * q[2]);
}

static bool from_qform(const io__header *h, double m[4][4]) {
    const double rest = real_part_squared(h);
    return rest >= -quatern_rounding && qform_with(h, rest > quatern_noise ? sqrt(rest) : 0.0, m);
}

/* Neither form: the file does not say how the patient lay. As ANALYZE and nibabel have it: first
 * index to the left, origin in the centre. */
static bool from_pixdim(const io__header *h, double m[4][4]) {
    if (!usable_pixdim(h)) return false;
    for (int a = 0; a < 3; a++) {
        const double step = h->pixdim[a + 1] * h->mm_per_unit * (a == 0 ? -1.0 : 1.0);
        m[a][a] = step;
        m[a][3] = -step * (double)(h->dim[a] - 1) / 2.0;
    }
    return all_finite(m);
}

/* ---- choosing ---- */

/* Largest distance of a corner between two forms, in voxels of the first. */
static double corner_distance(const io__header *h, const double s[4][4], const double q[4][4]) {
    double back[4][4], m[4][4], worst = 0.0;
    if (!im_affine_invert(s, back)) return INFINITY;
    im_affine_multiply(back, q, m);
    for (int corner = 0; corner < 8; corner++) {
        double p[3], moved[3];
        for (int a = 0; a < 3; a++) p[a] = (corner >> a & 1) ? (double)(h->dim[a] - 1) : 0.0;
        im_affine_apply(m, p, moved);
        for (int a = 0; a < 3; a++) worst = fmax(worst, fabs(moved[a] - p[a]));
    }
    return worst;
}

/* Distance of the qform from the sform. Near half a turn the noise in a * a is large in a: 3e-4, a
 * quarter of a voxel over 512. Of all rotations that round to the same file the nearest counts. */
static double qform_distance(const io__header *h, const double sform[4][4]) {
    enum { STEPS = 16 };
    const double rest = real_part_squared(h), slack = 3.0 * quatern_noise;
    const double low = sqrt(fmax(rest - slack, 0.0)), high = sqrt(fmax(rest + slack, 0.0));
    double nearest = INFINITY;
    for (int i = 0; i <= STEPS; i++) {
        double qform[4][4] = {{0}, {0}, {0}, {0, 0, 0, 1}};
        if (qform_with(h, low + (high - low) * i / STEPS, qform))
            nearest = fmin(nearest, corner_distance(h, sform, qform));
    }
    return nearest;
}

static sx_err check_agreement(const io__header *h, const io__subject *s, const double sform[4][4]) {
    double qform[4][4] = {{0}, {0}, {0}, {0, 0, 0, 1}};
    if (h->qform_code <= 0) return SX_OK;
    if (!from_qform(h, qform)) {
        io__warn(s, "qform is unusable, sform taken");
        return SX_OK;
    }
    const double apart = qform_distance(h, sform);
    if (apart <= disagree_voxels) return SX_OK;
    return io__refuse(s, SX_E_DATA, "disagree",
                      "%s: sform and qform are %.2f voxels apart at a corner; choose one (xform)",
                      s->path, apart);
}

typedef struct form {
    const char *name;
    bool (*make)(const io__header *h, double m[4][4]);
} form;

static const form *choose_form(const io__header *h, io_xform xform) {
    static const form forms[] = {
        {"sform", from_sform}, {"qform", from_qform}, {"pixdim", from_pixdim}};
    if (xform == IO_XFORM_SFORM) return h->sform_code > 0 ? &forms[0] : NULL;
    if (xform == IO_XFORM_QFORM) return h->qform_code > 0 ? &forms[1] : NULL;
    return h->sform_code > 0 ? &forms[0] : h->qform_code > 0 ? &forms[1] : &forms[2];
}

/* ---- what the matrix says ---- */

static sx_err check_spacing(const io__subject *s) {
    for (int a = 0; a < 3; a++)
        if (!(s->info->zooms[a] >= least_mm && s->info->zooms[a] <= most_mm))
            return io__refuse(s, SX_E_DATA, "spacing", "%s: voxels of %g mm along index %d",
                              s->path, s->info->zooms[a], a);
    return SX_OK;
}

static void warn_of_shear(const io__subject *s) {
    const double(*m)[4] = s->info->affine;
    const double *z = s->info->zooms;
    for (int a = 0; a < 3; a++) {
        const int b = (a + 1) % 3;
        const double dot = m[0][a] * m[0][b] + m[1][a] * m[1][b] + m[2][a] * m[2][b];
        if (fabs(dot) > 1e-3 * z[a] * z[b]) io__warn(s, "the grid is sheared");
    }
}

sx_err io__geometry(const io__header *h, const io__subject *s, io_xform xform) {
    io_nifti_info *info = s->info;
    double m[4][4] = {{0}, {0}, {0}, {0, 0, 0, 1}};
    const form *f = choose_form(h, xform);
    if (!f)
        return io__refuse(s, SX_E_DATA, "geometry", "%s: has no %s", s->path,
                          xform == IO_XFORM_SFORM ? "sform" : "qform");
    if (f->make == from_qform && real_part_squared(h) < -quatern_rounding)
        return io__refuse(s, SX_E_DATA, "geometry",
                          "%s: qform is no rotation: b*b + c*c + d*d is %.6g, more than 1", s->path,
                          1.0 - real_part_squared(h));
    if (!f->make(h, m))
        return io__refuse(s, SX_E_DATA, "geometry", "%s: %s is not finite or singular", s->path,
                          f->name);
    if (f->make == from_pixdim)
        io__warn(s, "orientation unknown: neither sform nor qform, LAS assumed");
    if (f->make == from_sform && xform == IO_XFORM_AUTO) {
        const sx_err rc = check_agreement(h, s, m);
        if (rc != SX_OK) return rc;
    }
    memcpy(info->affine, m, sizeof m);
    for (int a = 0; a < 3; a++)
        info->zooms[a] = sqrt(m[0][a] * m[0][a] + m[1][a] * m[1][a] + m[2][a] * m[2][a]);
    im_axcodes(info->affine, info->axcodes);
    warn_of_shear(s);
    return check_spacing(s);
}
