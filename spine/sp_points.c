/* Curve, planes, cuts, order (sp_points.h). */
#include "spine/sp_points.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_mem.h"
#include "spine/sp_curve.h"

enum { LEAST_VOXELS = 8 };              /* of a body or disc: fewer are specks             */
static const double most_odd = 1.0 / 3; /* share of bodies out of order that is forgiven   */
static const double rms_mm = 0.7;       /* of the curve: about that of the method's authors */
static const double beside_mm = 80.0;   /* a plane goes no further: it may meet the canal twice */

/* ---- what the masks say ---- */

/* A piece of the mask: voxels and their mean place. One that reaches the upper or lower end of the
 * volume is cut off there: its centre is none. */
typedef struct piece {
    int64_t n;
    double centre[3];
    bool cut;
} piece;

typedef struct canal_voxel {
    double place[3];
    bool cord, end[3]; /* in the first or last slice along an axis */
} canal_voxel;

typedef struct finding {
    const im_labels *vert, *subreg;
    double axis[3][3];       /* [index] its voxel as a vector, mm */
    piece body[SP_N_LEVELS]; /* by place from head to foot */
    piece disc[SP_N_LEVELS]; /* below that vertebra        */
    bool kept[SP_N_LEVELS];  /* the body is in order       */
    canal_voxel *canal;      /* [n_canal] cord and canal   */
    int64_t n_canal;
    sp_curve *curve;
    int upright; /* the index that runs along the body most */
} finding;

static void world_of(const im_labels *l, int64_t at, double w[3]) {
    const double q[3] = {(double)(at % l->dim[0]), (double)(at / l->dim[0] % l->dim[1]),
                         (double)(at / l->dim[0] / l->dim[1])};
    im_affine_apply(l->affine, q, w);
}

/* The index that runs along t most. */
static int main_axis(const finding *f, const double t[3]) {
    double most = -1.0;
    int best = 0;
    for (int a = 0; a < 3; a++) {
        const double *x = f->axis[a];
        const double cosine = fabs(x[0] * t[0] + x[1] * t[1] + x[2] * t[2]) /
                              sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
        if (cosine > most) most = cosine, best = a;
    }
    return best;
}

static bool any_body(const finding *f) {
    for (int64_t i = 0; i < im_labels_count(f->vert); i++)
        if (sp_is_body(f->subreg->voxel[i]) && sp_is_vertebra(f->vert->voxel[i])) return true;
    return false;
}

/* The piece that a voxel belongs to, NULL for none. C1 has no body; of masks without sub-regions
 * whole vertebrae stand for bodies. */
static piece *piece_of(finding *f, int64_t at, bool by_body) {
    const int v = f->vert->voxel[at];
    int place;
    if (v > SP_DISC_BELOW && v < SP_ENDPLATE_OF)
        return (place = sp_place_of(v - SP_DISC_BELOW)) >= 0 ? &f->disc[place] : NULL;
    if (v == SP_C1 || v == SP_SACRUM || (by_body && !sp_is_body(f->subreg->voxel[at]))) return NULL;
    return (place = sp_place_of(v)) >= 0 ? &f->body[place] : NULL;
}

static void finish_pieces(piece *p) {
    for (int i = 0; i < SP_N_LEVELS; i++) {
        if (p[i].n < LEAST_VOXELS) p[i] = (piece){0};
        for (int c = 0; c < 3 && p[i].n; c++) p[i].centre[c] /= (double)p[i].n;
    }
}

/* Whether a voxel lies in the first or last slice along an axis. */
static bool at_end(const im_labels *l, int64_t at, int axis) {
    const int64_t q[3] = {at % l->dim[0], at / l->dim[0] % l->dim[1], at / l->dim[0] / l->dim[1]};
    return q[axis] == 0 || q[axis] == l->dim[axis] - 1;
}

static void measure(finding *f) {
    const bool by_body = any_body(f);
    for (int a = 0; a < 3; a++)
        for (int c = 0; c < 3; c++) f->axis[a][c] = f->vert->affine[c][a];
    f->upright = main_axis(f, (const double[3]){0.0, 0.0, 1.0});
    for (int64_t i = 0; i < im_labels_count(f->vert); i++) {
        piece *p = piece_of(f, i, by_body);
        double w[3];
        if (!p) continue;
        world_of(f->vert, i, w);
        p->n++;
        for (int c = 0; c < 3; c++) p->centre[c] += w[c];
        p->cut = p->cut || at_end(f->vert, i, f->upright);
    }
    finish_pieces(f->body);
    finish_pieces(f->disc);
}

static bool is_canal(int subregion) {
    return subregion == SP_CORD || subregion == SP_CANAL;
}

static sx_err list_canal(finding *f) {
    const im_labels *l = f->subreg;
    const int64_t count = im_labels_count(l);
    for (int64_t i = 0; i < count; i++) f->n_canal += is_canal(l->voxel[i]);
    f->canal = sx_try_alloc(f->n_canal + 1, sizeof *f->canal);
    if (!f->canal)
        return sx_fail(SX_E_NOMEM, "no memory for %lld voxels of the canal", (long long)f->n_canal);
    canal_voxel *v = f->canal;
    for (int64_t i = 0; i < count; i++) {
        if (!is_canal(l->voxel[i])) continue;
        world_of(l, i, v->place);
        v->cord = l->voxel[i] == SP_CORD;
        for (int a = 0; a < 3; a++) v->end[a] = at_end(l, i, a);
        v++;
    }
    return SX_OK;
}

/* ---- order ---- */

/* Of n numbers the rising ones that weigh most together. */
static void keep_rising(const double *x, const int64_t *weight, int n, bool *kept) {
    int64_t best[SP_MOST_POINTS];
    int before[SP_MOST_POINTS], last = -1;
    for (int i = 0; i < n; i++) {
        best[i] = weight[i];
        before[i] = -1;
        for (int k = 0; k < i; k++)
            if (x[k] < x[i] && best[k] + weight[i] > best[i])
                best[i] = best[k] + weight[i], before[i] = k;
        if (last < 0 || best[i] > best[last]) last = i;
        kept[i] = false;
    }
    for (; last >= 0; last = before[last]) kept[last] = true;
}

/* Bodies must go down. */
static sx_err order_bodies(finding *f, sp_points *p) {
    double down[SP_N_LEVELS];
    int64_t weight[SP_N_LEVELS];
    int place[SP_N_LEVELS], n = 0;
    bool kept[SP_N_LEVELS];
    for (int i = 0; i < SP_N_LEVELS; i++) {
        if (!f->body[i].n) continue;
        down[n] = -f->body[i].centre[2];
        weight[n] = f->body[i].n;
        place[n++] = i;
    }
    keep_rising(down, weight, n, kept);
    for (int k = 0; k < n; k++) {
        f->kept[place[k]] = kept[k];
        if (!kept[k]) p->odd_body[p->n_odd++] = sp_vertebra_at(place[k]);
    }
    if (p->n_odd > most_odd * n)
        return sx_fail(SX_E_DATA, "%d of %d vertebrae are out of order from head to foot, %s first",
                       p->n_odd, n, sp_vertebra_name(p->odd_body[0]));
    return SX_OK;
}

/* ---- curve ---- */

/* Of the whole bodies the size in the middle; 0 when all are cut. */
static int64_t usual_body(const finding *f) {
    int64_t size[SP_N_LEVELS];
    int n = 0;
    for (int i = 0; i < SP_N_LEVELS; i++) {
        if (!f->kept[i] || f->body[i].cut) continue;
        int at = n++;
        for (; at > 0 && size[at - 1] > f->body[i].n; at--) size[at] = size[at - 1];
        size[at] = f->body[i].n;
    }
    return n ? size[n / 2] : 0;
}

/* Centres of what the curve goes through, from head to foot; a disc that does not go down is left
 * out. Of a body that is cut a quarter must be seen: a corner of it lies anywhere. Returns how
 * many. */
static int list_centres(const finding *f, double (*point)[3]) {
    const int64_t least = usual_body(f) / 4;
    double lowest = INFINITY;
    int n = 0;
    for (int i = 0; i < SP_N_LEVELS; i++) {
        const piece *body = &f->body[i], *disc = &f->disc[i];
        const piece *both[] = {f->kept[i] && (!body->cut || body->n >= least) ? body : NULL,
                               disc->n && !disc->cut ? disc : NULL};
        for (int k = 0; k < 2; k++) {
            if (!both[k] || both[k]->centre[2] >= lowest) continue;
            lowest = both[k]->centre[2];
            memcpy(point[n++], both[k]->centre, sizeof *point);
        }
    }
    return n;
}

static sx_err fit_curve(finding *f) {
    double point[2 * SP_N_LEVELS][3];
    const int n = list_centres(f, point);
    if (n < 2)
        return sx_fail(SX_E_DATA,
                       "%d vertebral bodies and discs that are seen in full; two are needed", n);
    return sp_curve_fit(&f->curve, (const double(*)[3])point, n, rms_mm);
}

/* ---- one level ---- */

static double along(const double a[3], const double from[3], const double t[3]) {
    return (a[0] - from[0]) * t[0] + (a[1] - from[1]) * t[1] + (a[2] - from[2]) * t[2];
}

/* Half the width of a voxel in the direction t: a plane meets those nearer than that, and both of
 * two between which it lies, however they are rounded. */
static double half_voxel(const finding *f, const double t[3]) {
    double sum = 0.0;
    for (int a = 0; a < 3; a++)
        sum += fabs(f->axis[a][0] * t[0] + f->axis[a][1] * t[1] + f->axis[a][2] * t[2]);
    return 0.5 * sum + 1e-3;
}

/* Where the plane across the curve through l->disc_mm cuts cord and canal; false: why not. */
static bool cut_canal(const finding *f, sp_level *l) {
    double t[3], sum[3] = {0};
    int64_t n = 0;
    bool edge = false;
    sp_curve_at(f->curve, sp_curve_project(f->curve, l->disc_mm), NULL, t);
    const double half_mm = half_voxel(f, t);
    const int axis = main_axis(f, t);
    l->on_cord = false;
    for (int64_t i = 0; i < f->n_canal; i++) {
        const canal_voxel *v = &f->canal[i];
        if (fabs(along(v->place, l->disc_mm, t)) > half_mm) continue;
        if (hypot(hypot(v->place[0] - l->disc_mm[0], v->place[1] - l->disc_mm[1]),
                  v->place[2] - l->disc_mm[2]) > beside_mm)
            continue;
        for (int c = 0; c < 3; c++) sum[c] += v->place[c];
        l->on_cord = l->on_cord || v->cord;
        edge = edge || v->end[axis];
        n++;
    }
    l->why = n == 0 ? SP_NO_CANAL : SP_AT_EDGE;
    if (n == 0 || edge) return false;
    for (int c = 0; c < 3; c++) l->point_mm[c] = sum[c] / (double)n;
    /* those voxels' centres may all lie to one side of the plane, by half a slice */
    const double off_mm = along(l->point_mm, l->disc_mm, t);
    for (int c = 0; c < 3; c++) l->point_mm[c] -= off_mm * t[c];
    l->s_mm = sp_curve_project(f->curve, l->point_mm);
    return true;
}

static void add_level(sp_points *p, const sp_level *l, bool has_point) {
    if (has_point)
        p->point[p->n++] = *l;
    else
        p->missing[p->n_missing++] = *l;
}

/* The upper end of C2, of its bodies' voxels the first along the curve. */
static void add_top(const finding *f, sp_points *p) {
    const int place = sp_place_of(SP_C2);
    const piece *body = &f->body[place];
    sp_level l = {.upper = SP_C1, .lower = SP_C2, .from = SP_FROM_DENS};
    double t[3], least = INFINITY;
    bool by_body = any_body(f), edge = false;
    if (!f->kept[place]) return;
    sp_curve_at(f->curve, sp_curve_project(f->curve, body->centre), NULL, t);
    const int axis = main_axis(f, t);
    for (int64_t i = 0; i < im_labels_count(f->vert); i++) {
        double w[3];
        if (f->vert->voxel[i] != SP_C2 || (by_body && !sp_is_body(f->subreg->voxel[i]))) continue;
        world_of(f->vert, i, w);
        const double down = along(w, body->centre, t);
        if (down >= least) continue;
        edge = at_end(f->vert, i, axis);
        least = down;
        memcpy(l.disc_mm, w, sizeof w);
    }
    l.why = SP_AT_EDGE;
    add_level(p, &l, !edge && cut_canal(f, &l));
}

/* The next vertebra that the mask has, or that is usual; its place, or -1 behind the sacrum. */
static int next_place(const finding *f, int place) {
    const int t13 = sp_place_of(SP_T13), l6 = sp_place_of(SP_L6);
    int next = place + 1;
    if (next == t13 && !f->body[t13].n && !f->disc[t13].n) next++;
    if (next == l6 && !f->body[l6].n && !f->disc[l6].n) next++;
    return next < SP_N_LEVELS ? next : -1;
}

static void add_disc(const finding *f, int place, sp_points *p) {
    const int next = next_place(f, place);
    const piece *disc = &f->disc[place];
    sp_level l = {.upper = sp_vertebra_at(place),
                  .lower = next >= 0 ? sp_vertebra_at(next) : SP_SACRUM,
                  .voxels = disc->n,
                  .why = SP_NO_DISC};
    if (disc->n) {
        memcpy(l.disc_mm, disc->centre, sizeof l.disc_mm);
        if (disc->cut) l.why = SP_AT_EDGE;
        add_level(p, &l, !disc->cut && cut_canal(f, &l));
        return;
    }
    const bool both = next >= 0 && f->kept[place] && f->kept[next];
    l.from = SP_FROM_BODIES;
    if (both)
        sp_curve_at(f->curve,
                    0.5 * (sp_curve_project(f->curve, f->body[place].centre) +
                           sp_curve_project(f->curve, f->body[next].centre)),
                    l.disc_mm, NULL);
    add_level(p, &l, both && cut_canal(f, &l));
}

/* ---- all levels ---- */

/* Discs between the first and the last thing seen. */
static void add_discs(const finding *f, sp_points *p) {
    int first = SP_N_LEVELS, last = -1;
    for (int i = 0; i < SP_N_LEVELS; i++) {
        if (!f->kept[i] && !f->disc[i].n) continue;
        if (i < first) first = i;
        last = i;
    }
    for (int i = first; i >= 0 && i <= last; i = next_place(f, i))
        if (i < last || f->disc[i].n) add_disc(f, i, p);
}

/* Points must go down along the curve. */
static void order_points(sp_points *p) {
    double s[SP_MOST_POINTS] = {0};
    int64_t weight[SP_MOST_POINTS] = {0};
    bool kept[SP_MOST_POINTS];
    int n = 0;
    for (int i = 0; i < p->n; i++) s[i] = p->point[i].s_mm, weight[i] = 1 + p->point[i].voxels;
    keep_rising(s, weight, p->n, kept);
    for (int i = 0; i < p->n; i++) {
        if (kept[i]) {
            p->point[n++] = p->point[i];
        } else {
            p->point[i].why = SP_NO_ORDER;
            p->missing[p->n_missing++] = p->point[i];
        }
    }
    p->n = n;
}

sx_err sp_points_find(sp_points *p, const im_labels *vert, const im_labels *subreg) {
    finding f = {.vert = vert, .subreg = subreg};
    sx_err rc;
    *p = (sp_points){.n = 0};
    for (int a = 0; a < 3; a++) SX_ASSERT(vert->dim[a] == subreg->dim[a]);
    measure(&f);
    SX_TRY(rc, order_bodies(&f, p));
    SX_TRY(rc, fit_curve(&f));
    SX_TRY(rc, list_canal(&f));
    add_top(&f, p);
    add_discs(&f, p);
    order_points(p);
    if (p->n == 0)
        rc = sx_fail(SX_E_DATA, "no level of a disc has cord or canal beside it (%d levels)",
                     p->n_missing);
out:
    sp_curve_free(f.curve);
    sx_free(f.canal);
    return rc;
}

/* ---- names ---- */

const char *sp_level_from_name(sp_level_from f) {
    static const char *const name[] = {"disc", "bodies", "dens"};
    return name[f];
}

const char *sp_no_point_text(sp_no_point why) {
    static const char *const text[SP_N_NO_POINTS] = {
        "no disc in the mask, and not both neighbours",
        "no cord or canal in its plane",
        "it ends with the volume",
        "out of order along the spine",
    };
    return text[why];
}

int sp_level_value(const sp_level *l) {
    if (l->from == SP_FROM_DENS) return 1;
    return l->upper >= SP_C2 && l->upper <= SP_L5 ? l->upper + 1 : 0;
}

void sp_level_name(const sp_level *l, char name[16]) {
    if (l->from == SP_FROM_DENS)
        snprintf(name, 16, "C2 top");
    else
        snprintf(name, 16, "%s/%s", sp_vertebra_name(l->upper), sp_vertebra_name(l->lower));
}

/* ---- drawing ---- */

static bool voxel_at(const im_labels *l, const double place[3], int64_t q[3]) {
    double inverse[4][4], x[3];
    if (!im_affine_invert(l->affine, inverse)) return false;
    im_affine_apply(inverse, place, x);
    for (int a = 0; a < 3; a++) {
        if (!(x[a] >= -0.5 && x[a] < (double)l->dim[a] - 0.5)) return false;
        q[a] = (int64_t)floor(x[a] + 0.5);
    }
    return true;
}

/* Voxels whose centre lies in the ball about a place in voxel q. */
static void draw_ball(im_labels *to, const double place[3], const int64_t q[3], double ball_mm,
                      int number) {
    int64_t low[3], high[3];
    for (int a = 0; a < 3; a++) {
        const double mm = hypot(hypot(to->affine[0][a], to->affine[1][a]), to->affine[2][a]);
        const int64_t reach = (int64_t)ceil(ball_mm / mm); /* askew grids need more than r */
        low[a] = q[a] > reach ? q[a] - reach : 0;
        high[a] = q[a] + reach < to->dim[a] ? q[a] + reach : to->dim[a] - 1;
    }
    for (int64_t k = low[2]; k <= high[2]; k++)
        for (int64_t j = low[1]; j <= high[1]; j++)
            for (int64_t i = low[0]; i <= high[0]; i++) {
                const int64_t at = (k * to->dim[1] + j) * to->dim[0] + i;
                double w[3];
                world_of(to, at, w);
                if (hypot(hypot(w[0] - place[0], w[1] - place[1]), w[2] - place[2]) <=
                    0.5 * ball_mm)
                    to->voxel[at] = number;
            }
}

void sp_points_draw(const sp_points *p, im_labels *to, double ball_mm, sp_level_number *number,
                    bool *drawn) {
    for (int k = 0; k < p->n; k++) {
        const sp_level *l = &p->point[k];
        int64_t q[3];
        bool in = number(l) > 0 && voxel_at(to, l->point_mm, q);
        int32_t *voxel = in ? &to->voxel[(q[2] * to->dim[1] + q[1]) * to->dim[0] + q[0]] : NULL;
        in = in && *voxel == 0;
        if (drawn) drawn[k] = in;
        if (!in) continue;
        if (ball_mm > 0.0) draw_ball(to, l->point_mm, q, ball_mm, number(l));
        *voxel = number(l);
    }
}
