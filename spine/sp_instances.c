/* The search for instances from mask to owners, and the mask of numbers (sp_instances.h). */
#include "spine/sp_instances.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "spine/sp_instances_private.h"
#include "spine/sp_labels.h"

static const double curve_mm = 1.0;       /* the curve's distance from the canal's middle */
static const double least_row_mm2 = 10.0; /* of canal in a row that has a say */
static const double least_share = 0.1;    /* of the largest piece of canal, sacrum, or a vertebra */

/* ---- parts ---- */

static sp__part part_of(int32_t subregion) {
    if (sp_is_body(subregion)) return SP__BODY;
    if (sp_is_bone(subregion)) return SP__ARCH;
    switch (subregion) {
    case SP_DISC:
        return SP__DISC;
    case SP_ENDPLATE:
        return SP__PLATE;
    case SP_CANAL:
    case SP_CORD:
        return SP__CANAL;
    case SP_SACRUM:
        return SP__SACRUM;
    default:
        return SP__OTHER;
    }
}

void sp__measure(const sp__search *w, const im_labels *number, sp__piece *piece, int64_t count) {
    const int64_t *dim = number->dim;
    const int32_t *p = number->voxel;
    double *sum2 = SX_NEW_ARRAY(double, count + 1);
    for (int64_t i = 0; i <= count; i++) piece[i] = (sp__piece){0};
    for (int64_t i = 0; i < w->n; i++) {
        if (p[i] == 0) continue;
        sp__piece *x = &piece[p[i]];
        const int64_t at[3] = {i % dim[0], i / dim[0] % dim[1], i / (dim[0] * dim[1])};
        x->voxels++;
        x->s += (double)w->s[i];
        sum2[p[i]] += (double)w->s[i] * (double)w->s[i];
        for (int a = 0; a < 3; a++) x->centre[a] += (double)at[a];
        x->edge |= at[1] == 0 || at[1] == dim[1] - 1;
    }
    for (int64_t i = 1; i <= count; i++) {
        sp__piece *x = &piece[i];
        const double n = (double)(x->voxels > 0 ? x->voxels : 1);
        const double mean[3] = {x->centre[0] / n, x->centre[1] / n, x->centre[2] / n};
        x->s /= n;
        x->half_mm = sqrt(3.0 * fmax(0.0, sum2[i] / n - x->s * x->s));
        im_affine_apply(number->affine, mean, x->centre);
    }
    sx_free(sum2);
}

sx_err sp__pieces(const sp__search *w, sp__part part, im_labels *number, sp__piece **piece,
                  int64_t *count) {
    im_labels mask = {.voxel = NULL};
    sx_err rc = im_labels_on(&mask, w->out->owner.dim, w->out->owner.affine);
    *count = 0;
    if (rc != SX_OK) return rc;
    for (int64_t i = 0; i < w->n; i++)
        mask.voxel[i] = w->part[i] == part && w->out->owner.voxel[i] == 0;
    SX_TRY(rc, im_components(number, &mask, IM_FACES, count));
    *piece = SX_NEW_ARRAY(sp__piece, *count + 1);
    sp__measure(w, number, *piece, *count);
out:
    im_labels_clear(&mask);
    return rc;
}

/* Take away pieces of a part that are small beside its largest. */
static sx_err keep_large(sp__search *w, sp__part part) {
    im_labels number = {.voxel = NULL};
    sp__piece *piece = NULL;
    int64_t count, largest = 0;
    sx_err rc = sp__pieces(w, part, &number, &piece, &count);
    if (rc != SX_OK) goto out;
    for (int64_t p = 1; p <= count; p++)
        if (piece[p].voxels > largest) largest = piece[p].voxels;
    for (int64_t i = 0; i < w->n; i++)
        if (number.voxel[i] &&
            (double)piece[number.voxel[i]].voxels < least_share * (double)largest)
            w->part[i] = SP__OTHER;
out:
    sx_free(piece);
    im_labels_clear(&number);
    return rc;
}

/* ---- the curve ---- */

/* Middle of a part in each row that has enough of it, from head to foot: points in world mm. */
static int64_t middles(const sp__search *w, sp__part part, double (*point)[3]) {
    const im_labels *o = &w->out->owner;
    const int64_t nx = o->dim[0], ny = o->dim[1], nz = o->dim[2];
    const double least = least_row_mm2 / cbrt(w->mm3 * w->mm3);
    int64_t n = 0;
    for (int64_t j = 0; j < ny; j++) {
        double sum[4] = {0.0};
        for (int64_t k = 0; k < nz; k++)
            for (int64_t i = 0; i < nx; i++) {
                if (w->part[(k * ny + j) * nx + i] != part) continue;
                sum[0] += (double)i;
                sum[1] += (double)k;
                sum[2] += 1.0;
            }
        if (sum[2] < least) continue;
        const double at[3] = {sum[0] / sum[2], (double)j, sum[1] / sum[2]};
        im_affine_apply(o->affine, at, point[n++]);
    }
    return n;
}

/* Along the canal; along the bodies where there is no canal of some length. */
static sx_err find_curve(sp__search *w) {
    const int64_t rows = w->out->owner.dim[1], least = rows / 4 + 2;
    double(*point)[3] = sx_try_alloc(rows, sizeof *point);
    if (!point) return sx_fail(SX_E_NOMEM, "no memory for a curve");
    int64_t n = middles(w, SP__CANAL, point);
    if (n < least) n = middles(w, SP__BODY, point);
    sx_err rc = n < 2 ? sx_fail(SX_E_DATA, "no canal and no vertebral body")
                      : sp_curve_fit(&w->out->curve, (const double(*)[3])point, n, curve_mm);
    sx_free(point);
    return rc;
}

static void project_parts(sp__search *w) {
    const im_labels *o = &w->out->owner;
    int64_t v = 0;
    for (int64_t k = 0; k < o->dim[2]; k++)
        for (int64_t j = 0; j < o->dim[1]; j++)
            for (int64_t i = 0; i < o->dim[0]; i++, v++) {
                const double at[3] = {(double)i, (double)j, (double)k};
                double world[3];
                if (w->part[v] == SP__OTHER || w->part[v] == SP__CANAL) continue;
                im_affine_apply(o->affine, at, world);
                w->s[v] = (float)sp_curve_project(w->out->curve, world);
            }
}

/* ---- what lies between bodies ---- */

/* Its upper end, were it a cylinder; INFINITY without one. */
static sx_err find_sacrum(sp__search *w) {
    im_labels number = {.voxel = NULL};
    sp__piece *piece = NULL;
    int64_t count;
    sx_err rc;
    w->out->sacrum_s = INFINITY;
    SX_TRY(rc, keep_large(w, SP__SACRUM));
    SX_TRY(rc, sp__pieces(w, SP__SACRUM, &number, &piece, &count));
    for (int64_t p = 1; p <= count; p++)
        w->out->sacrum_s = fmin(w->out->sacrum_s, piece[p].s - piece[p].half_mm);
out:
    sx_free(piece);
    im_labels_clear(&number);
    return rc;
}

/* Owner of a disc's voxel: the vertebra above it. */
static int32_t above(const sp_instances *o, double s) {
    int place = o->n - 1;
    while (place >= 0 && (o->item[place].body == 0 || o->item[place].s > s)) place--;
    return sp__owner(place);
}

static void own_discs(sp__search *w) {
    for (int64_t i = 0; i < w->n; i++)
        if (w->part[i] == SP__DISC) w->out->owner.voxel[i] = above(w->out, (double)w->s[i]);
}

/* An end-plate belongs to the body it lies on. */
static sx_err own_plates(sp__search *w) {
    int32_t *owner = sx_try_alloc(w->n, sizeof *owner);
    if (!owner) return sx_fail(SX_E_NOMEM, "no memory for end-plates");
    for (int64_t i = 0; i < w->n; i++)
        owner[i] = w->part[i] == SP__BODY ? w->out->owner.voxel[i] : 0;
    const sx_err rc = sp__flood(w, owner, SP__PLATE);
    for (int64_t i = 0; i < w->n; i++)
        if (w->part[i] == SP__PLATE) w->out->owner.voxel[i] = owner[i];
    sx_free(owner);
    return rc;
}

/* ---- the search ---- */

static sx_err search_init(sp__search *w, sp_instances *s, const im_labels *subregion) {
    char codes[4];
    im_axcodes(subregion->affine, codes);
    SX_ASSERT(strcmp(codes, "PIR") == 0);
    *s = (sp_instances){.sacrum_s = INFINITY};
    *w = (sp__search){
        .out = s, .n = im_labels_count(subregion), .mm3 = im_voxel_mm3(subregion->affine)};
    sx_err rc = im_labels_copy(&s->subregion, subregion);
    if (rc == SX_OK) rc = im_labels_on(&s->owner, subregion->dim, subregion->affine);
    if (rc != SX_OK) return rc;
    w->part = sx_try_alloc(w->n, 1);
    w->s = sx_try_alloc(w->n, sizeof *w->s);
    if (!w->part || !w->s) return sx_fail(SX_E_NOMEM, "no memory for %lld voxels", (long long)w->n);
    for (int64_t i = 0; i < w->n; i++) w->part[i] = (unsigned char)part_of(subregion->voxel[i]);
    return SX_OK;
}

/* Bone of each owner, 0 elsewhere. */
static sx_err bone_of_owners(const sp__search *w, im_labels *bone) {
    const sx_err rc = im_labels_init(bone, w->out->owner.dim);
    for (int64_t i = 0; rc == SX_OK && i < w->n; i++)
        if (w->part[i] == SP__BODY || w->part[i] == SP__ARCH)
            bone->voxel[i] = w->out->owner.voxel[i];
    return rc;
}

/* A vertebra is one piece: take away crumbs, which are small beside its largest piece. */
static sx_err drop_crumbs(sp__search *w) {
    im_labels bone = {.voxel = NULL}, number = {.voxel = NULL};
    sp__piece *piece = NULL;
    int64_t count, largest[SP_MAX_INSTANCES + 4] = {0};
    sx_err rc;
    SX_TRY(rc, bone_of_owners(w, &bone));
    SX_TRY(rc, im_components(&number, &bone, IM_CORNERS, &count));
    piece = SX_NEW_ARRAY(sp__piece, count + 1);
    sp__measure(w, &number, piece, count);
    for (int64_t i = 0; i < w->n; i++) {
        int64_t *most = &largest[bone.voxel[i]];
        const int64_t voxels = piece[number.voxel[i]].voxels;
        if (bone.voxel[i] && voxels > *most) *most = voxels;
    }
    for (int64_t i = 0; i < w->n; i++)
        if (bone.voxel[i] &&
            (double)piece[number.voxel[i]].voxels < least_share * (double)largest[bone.voxel[i]])
            w->out->owner.voxel[i] = 0;
out:
    sx_free(piece);
    im_labels_clear(&bone);
    im_labels_clear(&number);
    return rc;
}

/* Voxels of the mask that no instance has; canal, cord and sacrum have none. */
static void clear_strays(sp__search *w) {
    sp_instances *o = w->out;
    for (int64_t i = 0; i < w->n; i++) {
        const bool owned = w->part[i] != SP__CANAL && w->part[i] != SP__SACRUM;
        if (w->part[i] == SP__OTHER || (owned && o->owner.voxel[i] == 0)) o->subregion.voxel[i] = 0;
    }
}

static void count_bone(sp__search *w) {
    sp_instances *o = w->out;
    for (int k = 0; k < o->n; k++) o->item[k].bone = 0;
    for (int64_t i = 0; i < w->n; i++)
        if (o->owner.voxel[i] >= sp__owner(0) && sp_is_bone(o->subregion.voxel[i]))
            o->item[o->owner.voxel[i] - sp__owner(0)].bone++;
}

sx_err sp_instances_find(sp_instances *s, const im_labels *subregion) {
    sp__search w;
    sx_err rc;
    SX_TRY(rc, search_init(&w, s, subregion));
    SX_TRY(rc, keep_large(&w, SP__CANAL));
    SX_TRY(rc, find_curve(&w));
    project_parts(&w);
    SX_TRY(rc, find_sacrum(&w));
    SX_TRY(rc, sp__find_bodies(&w));
    SX_TRY(rc, sp__find_arches(&w));
    own_discs(&w);
    SX_TRY(rc, own_plates(&w));
    SX_TRY(rc, drop_crumbs(&w));
    clear_strays(&w);
    count_bone(&w);
out:
    sx_free(w.part);
    sx_free(w.s);
    if (rc != SX_OK) sp_instances_clear(s);
    return rc;
}

void sp_instances_clear(sp_instances *s) {
    im_labels_clear(&s->subregion);
    im_labels_clear(&s->owner);
    sp_curve_free(s->curve);
    *s = (sp_instances){0};
}

/* ---- numbers ---- */

/* Number of the vertebra of an owner, 0 for none. */
static int number_of(const sp_instances *s, int32_t owner) {
    const int place = owner - sp__owner(0);
    if (owner == 0) return 0;
    return place >= 0 ? s->item[place].number : s->item[0].number - 1;
}

sx_err sp_instances_mask(const sp_instances *s, im_labels *to) {
    sx_err rc = im_labels_on(to, s->owner.dim, s->owner.affine);
    if (rc != SX_OK) return rc;
    for (int64_t i = 0; i < im_labels_count(to); i++) {
        const int number = number_of(s, s->owner.voxel[i]);
        const sp__part part = part_of(s->subregion.voxel[i]);
        if (part == SP__SACRUM)
            to->voxel[i] = SP_SACRUM;
        else if (number > 0)
            to->voxel[i] = number + (part == SP__DISC    ? SP_DISC_BELOW
                                     : part == SP__PLATE ? SP_ENDPLATE_OF
                                                         : 0);
    }
    return SX_OK;
}
