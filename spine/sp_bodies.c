/* Vertebral bodies: pieces, cut where two are one, put together where one is two, in order from
 * head to foot (sp_instances_private.h).
 *
 * All places are arc lengths along the canal. A disc well inside of a piece cuts it. So does the
 * least cross-section near to where neighbours would part in a piece that is too long for one, if
 * both sides are clearly wider, and alike: the dens is much narrower than the body of C2. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "spine/sp_instances_private.h"

static const double least_body_mm3 = 300.0, least_cut_body_mm3 = 60.0; /* at an edge */
static const double least_disc_mm3 = 100.0, small_disc = 0.3;          /* of the median one */
static const double least_step_mm = 5.0; /* from one vertebra, or disc, to the next */
static const double bin_mm = 2.0;
/* Shares of the pitch. */
static const double inside = 0.35;  /* a disc this far inside a piece cuts it */
static const double too_long = 1.6; /* for one vertebra */
static const double rest = 0.35;    /* of the other piece, for one without a disc between */
static const double one = 0.5;      /* pieces nearer than this are one body */
static const double window = 0.25;  /* about where neighbours would part */
static const double waist = 0.8;    /* of the widest cross-section on both sides */
static const double alike = 0.5;    /* those two are within this factor */

/* ---- places ---- */

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Places of the pieces of at least so many mm3, in order; new. */
static double *places_of(const sp__search *w, const sp__piece *p, int64_t count, double least_mm3,
                         int64_t *n) {
    double *s = SX_NEW_ARRAY(double, count + 1);
    *n = 0;
    for (int64_t i = 1; i <= count; i++)
        if ((double)p[i].voxels * w->mm3 >= least_mm3) s[(*n)++] = p[i].s;
    qsort(s, (size_t)*n, sizeof *s, by_value);
    return s;
}

/* Median distance of neighbours, which pieces of one are not; INFINITY for fewer than two. */
static double median_step(const double *s, int64_t n) {
    double *d = SX_NEW_ARRAY(double, n + 1);
    int64_t steps = 0;
    for (int64_t i = 0; i + 1 < n; i++)
        if (s[i + 1] - s[i] >= least_step_mm) d[steps++] = s[i + 1] - s[i];
    qsort(d, (size_t)steps, sizeof *d, by_value);
    const double median = steps > 0 ? d[steps / 2] : INFINITY;
    sx_free(d);
    return median;
}

/* A disc much smaller than the usual one is none, unless the field of view cuts it: joints beside
 * the dens look like that. */
static sx_err drop_small_discs(sp__search *w) {
    im_labels number = {.voxel = NULL};
    sp__piece *piece = NULL;
    int64_t count, n = 0;
    sx_err rc = sp__pieces(w, SP__DISC, &number, &piece, &count);
    double *mm3 = SX_NEW_ARRAY(double, count + 1), least;
    if (rc != SX_OK) goto out;
    for (int64_t p = 1; p <= count; p++) {
        const double size = (double)piece[p].voxels * w->mm3;
        if (size >= least_disc_mm3) mm3[n++] = size;
    }
    qsort(mm3, (size_t)n, sizeof *mm3, by_value);
    least = fmax(least_disc_mm3, n ? small_disc * mm3[n / 2] : 0.0);
    for (int64_t i = 0; i < w->n; i++) {
        const sp__piece *p = &piece[number.voxel[i]];
        if (number.voxel[i] && !p->edge && (double)p->voxels * w->mm3 < least)
            w->part[i] = SP__OTHER;
    }
out:
    sx_free(mm3);
    sx_free(piece);
    im_labels_clear(&number);
    return rc;
}

/* ---- cutting ---- */

enum { MAX_CUTS = 3 * SP_MAX_INSTANCES };

typedef struct cuts {
    double s[MAX_CUTS];
    int n;
} cuts;

static void add_cut(cuts *c, double s) {
    if (c->n < MAX_CUTS) c->s[c->n++] = s;
}

/* Voxels of piece number p about each of n places bin_mm apart, from `from` on: each counts for the
 * two places beside it, so that rows of voxels make no waves. */
static void cross_sections(const sp__search *w, const im_labels *number, int32_t p, double from,
                           double *area, int64_t n) {
    memset(area, 0, (size_t)n * sizeof *area);
    for (int64_t i = 0; i < w->n; i++) {
        if (number->voxel[i] != p) continue;
        const double at = ((double)w->s[i] - from) / bin_mm, bin = floor(at);
        if (!(bin >= 0.0 && bin < (double)n - 1.0)) continue;
        area[(int64_t)bin] += 1.0 - (at - bin);
        area[(int64_t)bin + 1] += at - bin;
    }
}

static double most(const double *x, int64_t from, int64_t to) {
    double m = 0.0;
    for (int64_t i = from; i < to; i++) m = fmax(m, x[i]);
    return m;
}

/* Cuts at waists of a piece between two places. */
static void cut_waists(const sp__search *w, const im_labels *number, int32_t p, double from,
                       double to, double pitch, cuts *c) {
    const int64_t n = (int64_t)ceil((to - from) / bin_mm) + 1;
    const int64_t parts = (int64_t)rint((to - from) / pitch);
    double *area = SX_NEW_ARRAY(double, n);
    cross_sections(w, number, p, from, area, n);
    for (int64_t k = 1; k < parts; k++) {
        const double about = (double)(n * k) / (double)parts, reach = window * pitch / bin_mm;
        const int64_t low = (int64_t)fmax(1.0, about - reach);
        const int64_t high = (int64_t)fmin((double)n - 2.0, about + reach);
        int64_t least = low;
        for (int64_t i = low; i <= high; i++)
            if (area[i] < area[least]) least = i;
        const double upper = most(area, 0, least), lower = most(area, least, n);
        if (area[least] < waist * fmin(upper, lower) &&
            alike * fmax(upper, lower) < fmin(upper, lower))
            add_cut(c, from + (double)least * bin_mm);
    }
    sx_free(area);
}

/* Where to cut piece number p. */
static void find_cuts(const sp__search *w, const im_labels *number, const sp__piece *piece,
                      int32_t p, const double *disc, int64_t n_discs, double pitch, cuts *c) {
    const double low = piece[p].s - piece[p].half_mm, high = piece[p].s + piece[p].half_mm;
    double from = low;
    c->n = 0;
    if (!isfinite(pitch)) return;
    for (int64_t d = 0; d < n_discs; d++)
        if (disc[d] > low + inside * pitch && disc[d] < high - inside * pitch) add_cut(c, disc[d]);
    const int at_discs = c->n;
    for (int k = 0; k <= at_discs; k++) {
        const double to = k < at_discs ? c->s[k] : high;
        if (to - from > too_long * pitch) cut_waists(w, number, p, from, to, pitch, c);
        from = to;
    }
    qsort(c->s, (size_t)c->n, sizeof *c->s, by_value);
}

/* Cut all pieces; those of a piece get new numbers at the end. Returns how many there are then. */
static int64_t cut_pieces(const sp__search *w, im_labels *number, const sp__piece *piece,
                          int64_t count, const double *disc, int64_t n_discs, double pitch) {
    int64_t all = count;
    for (int32_t p = 1; p <= count; p++) {
        cuts c;
        find_cuts(w, number, piece, p, disc, n_discs, pitch, &c);
        if (c.n == 0) continue;
        for (int64_t i = 0; i < w->n; i++) {
            if (number->voxel[i] != p) continue;
            int below = 0;
            while (below < c.n && (double)w->s[i] >= c.s[below]) below++;
            if (below > 0) number->voxel[i] = (int32_t)(all + below);
        }
        all += c.n;
    }
    return all;
}

/* ---- order ---- */

typedef struct placed {
    double s;
    int64_t piece, voxels;
} placed;

static int by_place(const void *a, const void *b) {
    const placed *x = a, *y = b;
    return x->s != y->s ? (x->s > y->s) - (x->s < y->s)
                        : (x->piece > y->piece) - (x->piece < y->piece);
}

static bool is_body(const sp__search *w, const sp__piece *p) {
    return (double)p->voxels * w->mm3 >= (p->edge ? least_cut_body_mm3 : least_body_mm3);
}

static bool disc_between(const sp__search *w, double from, double to) {
    int64_t n = 0;
    for (int64_t i = 0; i < w->n; i++)
        n += w->part[i] == SP__DISC && (double)w->s[i] > from && (double)w->s[i] < to;
    return (double)n * w->mm3 >= least_disc_mm3;
}

/* Whether a piece goes with the one before it: they are too near for two, or one is small beside
 * the other and no disc parts them, as it is with a dens that came off. */
static bool is_same_body(const sp__search *w, const placed *before, const placed *p, double pitch) {
    const double gap = p->s - before->s;
    const double less = (double)(before->voxels < p->voxels ? before->voxels : p->voxels);
    const double more = (double)(before->voxels < p->voxels ? p->voxels : before->voxels);
    if (!isfinite(pitch)) return false;
    if (gap < one * pitch) return true;
    return gap < too_long * pitch && less < rest * more && !disc_between(w, before->s, p->s);
}

/* Place among the bodies of each piece, -1: it is none. Returns how many bodies there are. */
static int order_pieces(const sp__search *w, const sp__piece *piece, int64_t count, double pitch,
                        int *place) {
    placed *p = SX_NEW_ARRAY(placed, count + 1);
    placed body = {0.0, 0, 0}; /* the largest piece of the one under way */
    int64_t n = 0, bodies = -1;
    for (int64_t i = 1; i <= count; i++) {
        place[i] = -1;
        if (is_body(w, &piece[i])) p[n++] = (placed){piece[i].s, i, piece[i].voxels};
    }
    qsort(p, (size_t)n, sizeof *p, by_place);
    for (int64_t k = 0; k < n; k++) {
        const bool next = k == 0 || !is_same_body(w, &body, &p[k], pitch);
        if (next) bodies++;
        if (next || p[k].voxels > body.voxels) body = p[k];
        place[p[k].piece] = (int)bodies;
    }
    sx_free(p);
    return (int)bodies + 1;
}

/* ---- bodies ---- */

/* Pieces become items, measured as pieces are; too small ones become nothing. */
static sx_err fill_items(sp__search *w, const im_labels *number, const int *place, int n) {
    sp_instances *o = w->out;
    im_labels body = {.voxel = NULL};
    sp__piece m[SP_MAX_INSTANCES + 1];
    sx_err rc = im_labels_init(&body, number->dim);
    if (rc != SX_OK) return rc;
    memcpy(body.affine, number->affine, sizeof body.affine);
    for (int64_t i = 0; i < w->n; i++) {
        const int at = number->voxel[i] ? place[number->voxel[i]] : -1;
        body.voxel[i] = at + 1;
        if (at >= 0)
            o->owner.voxel[i] = sp__owner(at);
        else if (w->part[i] == SP__BODY)
            w->part[i] = SP__OTHER;
    }
    sp__measure(w, &body, m, n);
    for (int k = 0; k < n; k++) {
        const sp__piece *p = &m[k + 1];
        o->item[k] = (sp_instance){
            .s = p->s, .height_mm = 2.0 * p->half_mm, .body = p->voxels, .cut = p->edge};
        memcpy(o->item[k].centre, p->centre, sizeof p->centre);
    }
    o->n = n;
    im_labels_clear(&body);
    return SX_OK;
}

static void measure_pitch(sp_instances *o) {
    double s[SP_MAX_INSTANCES];
    for (int i = 0; i < o->n; i++) s[i] = o->item[i].s;
    const double pitch = median_step(s, o->n);
    o->pitch_mm = isfinite(pitch) ? pitch : 0.0;
}

/* Discs tell the pitch when bodies are merged, bodies when discs are missing. */
static sx_err find_pitch(const sp__search *w, const sp__piece *piece, int64_t count, double **disc,
                         int64_t *n_discs, double *pitch) {
    im_labels number = {.voxel = NULL};
    sp__piece *d = NULL;
    int64_t n_pieces, n_bodies;
    sx_err rc = sp__pieces(w, SP__DISC, &number, &d, &n_pieces);
    if (rc == SX_OK) {
        double *body = places_of(w, piece, count, least_body_mm3, &n_bodies);
        *disc = places_of(w, d, n_pieces, least_disc_mm3, n_discs);
        *pitch = fmin(median_step(body, n_bodies), median_step(*disc, *n_discs));
        sx_free(body);
    }
    sx_free(d);
    im_labels_clear(&number);
    return rc;
}

sx_err sp__find_bodies(sp__search *w) {
    im_labels number = {.voxel = NULL};
    sp__piece *piece = NULL;
    double *disc = NULL, pitch;
    int64_t count, n_discs;
    int *place = NULL, n;
    sx_err rc;
    SX_TRY(rc, drop_small_discs(w));
    SX_TRY(rc, sp__pieces(w, SP__BODY, &number, &piece, &count));
    SX_TRY(rc, find_pitch(w, piece, count, &disc, &n_discs, &pitch));
    count = cut_pieces(w, &number, piece, count, disc, n_discs, pitch);
    sx_free(piece);
    piece = SX_NEW_ARRAY(sp__piece, count + 1);
    place = SX_NEW_ARRAY(int, count + 1);
    sp__measure(w, &number, piece, count);
    n = order_pieces(w, piece, count, pitch, place);
    if (n == 0 || n > SP_MAX_INSTANCES) {
        rc = n ? sx_fail(SX_E_DATA, "%d vertebral bodies, more than a spine has", n)
               : sx_fail(SX_E_DATA, "no vertebral body");
        goto out;
    }
    SX_TRY(rc, fill_items(w, &number, place, n));
    measure_pitch(w->out);
out:
    sx_free(piece);
    sx_free(disc);
    sx_free(place);
    im_labels_clear(&number);
    return rc;
}
