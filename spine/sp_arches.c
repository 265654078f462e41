/* Arches and processes to their bodies (sp_instances_private.h).
 *
 * Bone is flooded from the bodies through pedicles, near bone first: neighbours that a mask joins
 * at a joint part about there, half way between their bodies. (Deep bone first, as watersheds have
 * it, was worse: laminae are no thicker than joints that are closed by mistake.) What no body
 * reaches is a part that came off, and goes to the nearest vertebra; or, large and at an end, a
 * vertebra whose body the field of view does not hold, or that has none: the atlas. */
#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "spine/sp_instances_private.h"

static const double least_mm3 = 20.0;     /* of a piece; smaller ones are noise */
static const double vertebra_mm3 = 200.0; /* a piece that may be a vertebra of its own */
/* How far beyond the centre of the last body, and of the first, such a vertebra's arch may reach,
 * in pitches: processes point downwards. */
static const double reach_up = 0.25, reach_down = 1.0;

/* ---- flooding from bodies ---- */

/* The dens touches the ring of the atlas and no arch of its own. */
static void hide_dens(sp__search *w, int32_t owner, int32_t instead) {
    const double end = sp__dens_end(w->out);
    for (int64_t i = 0; isfinite(end) && i < w->n; i++)
        if (w->part[i] == SP__BODY && w->out->owner.voxel[i] == owner && (double)w->s[i] < end)
            w->out->owner.voxel[i] = instead;
}

static sx_err flood_bone(sp__search *w) {
    hide_dens(w, sp__owner(0), 0);
    const sx_err rc = sp__flood(w, w->out->owner.voxel, SP__ARCH);
    hide_dens(w, 0, sp__owner(0));
    return rc;
}

/* ---- what no body reaches ---- */

/* Owner of the nearest bone of each voxel, new. */
static sx_err nearest_owners(const sp__search *w, int32_t **nearest) {
    *nearest = sx_try_alloc(w->n, sizeof **nearest);
    if (!*nearest) return sx_fail(SX_E_NOMEM, "no memory for the nearest bone");
    memcpy(*nearest, w->out->owner.voxel, (size_t)w->n * sizeof **nearest);
    return sp__flood(w, *nearest, SP__ANY);
}

/* Of each piece the owner that most of its voxels are nearest to. */
static void vote(const sp__search *w, const im_labels *number, const int32_t *nearest,
                 int64_t count, int32_t *owner) {
    const int64_t width = SP_MAX_INSTANCES + 2;
    int64_t *votes = SX_NEW_ARRAY(int64_t, (count + 1) * width);
    for (int64_t i = 0; i < w->n; i++)
        if (number->voxel[i]) votes[number->voxel[i] * width + nearest[i]]++;
    for (int64_t p = 1; p <= count; p++) {
        owner[p] = 0;
        for (int32_t k = 1; k < width; k++)
            if (votes[p * width + k] > votes[p * width + owner[p]]) owner[p] = k;
    }
    sx_free(votes);
}

/* Whether the flood from a body has found an arch. */
static bool has_arch(const sp__search *w, int place) {
    for (int64_t i = 0; i < w->n; i++)
        if (w->part[i] == SP__ARCH && w->out->owner.voxel[i] == sp__owner(place)) return true;
    return false;
}

/* A large piece beyond the first or last body is of the next vertebra, but of that one if it has no
 * arch yet: then the field of view cuts its pedicles. */
static void decide(const sp__search *w, const sp__piece *piece, int64_t count, int32_t *owner) {
    const sp_instances *o = w->out;
    const double upper = o->item[0].s + reach_down * o->pitch_mm;
    const double lower = o->item[o->n - 1].s + reach_up * o->pitch_mm;
    const int above = has_arch(w, 0) ? -1 : 0, below = has_arch(w, o->n - 1) ? o->n : o->n - 1;
    for (int64_t p = 1; p <= count; p++) {
        const double mm3 = (double)piece[p].voxels * w->mm3;
        if (mm3 >= vertebra_mm3 && piece[p].s < upper)
            owner[p] = sp__owner(above);
        else if (mm3 >= vertebra_mm3 && piece[p].s > lower && isinf(o->sacrum_s))
            owner[p] = sp__owner(below);
        else if (mm3 < least_mm3)
            owner[p] = 0;
    }
}

/* ---- instances without a body ---- */

static void add_to(sp_instance *x, const sp__piece *p) {
    const double share = (double)p->voxels / (double)(x->bone + p->voxels);
    x->bone += p->voxels;
    x->s += share * (p->s - x->s);
    for (int a = 0; a < 3; a++) x->centre[a] += share * (p->centre[a] - x->centre[a]);
}

/* Append the vertebra below, and put the one above at place 0, if pieces are theirs. */
static void add_instances(sp_instances *o, const sp__piece *piece, int64_t count,
                          const int32_t *owner) {
    sp_instance above = {0}, below = {0};
    for (int64_t p = 1; p <= count; p++) {
        if (owner[p] == sp__owner(-1)) add_to(&above, &piece[p]);
        if (owner[p] == sp__owner(o->n)) add_to(&below, &piece[p]);
    }
    if (below.bone) o->item[o->n++] = below;
    if (!above.bone) return;
    memmove(o->item + 1, o->item, (size_t)o->n++ * sizeof *o->item);
    o->item[0] = above;
    for (int64_t i = 0; i < im_labels_count(&o->owner); i++)
        if (o->owner.voxel[i]) o->owner.voxel[i]++;
}

sx_err sp__find_arches(sp__search *w) {
    im_labels number = {.voxel = NULL};
    sp__piece *piece = NULL;
    int32_t *nearest = NULL, *owner = NULL;
    int64_t count;
    sx_err rc;
    SX_TRY(rc, flood_bone(w));
    SX_TRY(rc, sp__pieces(w, SP__ARCH, &number, &piece, &count));
    SX_TRY(rc, nearest_owners(w, &nearest));
    owner = SX_NEW_ARRAY(int32_t, count + 1);
    vote(w, &number, nearest, count, owner);
    decide(w, piece, count, owner);
    for (int64_t i = 0; i < w->n; i++)
        if (number.voxel[i]) w->out->owner.voxel[i] = owner[number.voxel[i]];
    add_instances(w->out, piece, count, owner);
out:
    sx_free(piece);
    sx_free(nearest);
    sx_free(owner);
    im_labels_clear(&number);
    return rc;
}
