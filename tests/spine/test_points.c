/* Points of phantoms' true masks against the disc levels that the phantoms were drawn from; the
 * numbers of the Spinal Cord Toolbox; masks with gaps and with vertebrae out of order. */
#include "spine/sp_points.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "phantom/ph__anatomy.h"
#include "tests/check_run.h"

typedef struct body {
    im_labels vert, subreg;
    double truth[SP_N_LEVELS][3]; /* [place] on the cord beside the disc below */
    bool known[SP_N_LEVELS];
} body;

/* Middle of the dural sac beside the disc below vertebra i, world mm. */
static void true_level(const ph__anatomy *a, int i, double world[3]) {
    const ph__vertebra *v = &a->vertebra[i], *w = v + 1;
    const float s = 0.5f * (v->s + v->half[2] + w->s - w->half[2]);
    const ph__section *c = &a->section[(int)(s / PH__SECTION_MM + 0.5f)];
    const double in_body[3] = {(double)c->x, (double)(c->y + c->sac_v * c->cos_tilt),
                               (double)(c->z - c->sac_v * c->sin_tilt)};
    double from_body[4][4];
    ck_assert(im_affine_invert(a->to_body, from_body));
    im_affine_apply(from_body, in_body, world);
}

static body make_body(const ph_options *o, int subject) {
    ph_subject s;
    ph__anatomy a;
    body b = {.vert = {.voxel = NULL}};
    ck_assert_int_eq(ph_subject_make(&s, o, subject, 0), SX_OK);
    ck_assert_int_eq(im_labels_from_volume(&b.vert, &s.instance), SX_OK);
    ck_assert_int_eq(im_labels_from_volume(&b.subreg, &s.subregion), SX_OK);
    ck_assert_int_eq(ph__anatomy_make(&a, o, subject, 0), SX_OK);
    for (int i = 0; i + 1 < a.n_vertebrae; i++) {
        const int place = sp_place_of(a.vertebra[i].id);
        if (place < 0 || a.vertebra[i].id == SP_SACRUM) continue;
        true_level(&a, i, b.truth[place]);
        b.known[place] = true;
    }
    ph__anatomy_clear(&a);
    ph_subject_clear(&s);
    return b;
}

static void body_clear(body *b) {
    im_labels_clear(&b->vert);
    im_labels_clear(&b->subreg);
}

static body tall(int subject) {
    const ph_options o = {
        .seed = 3, .iso_mm = 1.2, .height_mm = 260, .width_mm = 40, .depth_mm = 110};
    return make_body(&o, subject);
}

/* ---- what points are held against ---- */

static void check_order(const sp_points *p) {
    for (int i = 1; i < p->n; i++) {
        ck_assert_double_gt(p->point[i].s_mm, p->point[i - 1].s_mm);
        ck_assert_int_gt(sp_place_of(p->point[i].lower), sp_place_of(p->point[i - 1].lower));
        if (sp_level_value(&p->point[i]))
            ck_assert_int_gt(sp_level_value(&p->point[i]), sp_level_value(&p->point[i - 1]));
    }
}

/* The largest distance of a point beside a disc from where it should be (mm). */
static double worst_error(const sp_points *p, const body *b) {
    double worst = 0.0;
    for (int i = 0; i < p->n; i++) {
        const sp_level *l = &p->point[i];
        const double *want = b->truth[sp_place_of(l->upper)];
        if (l->from == SP_FROM_DENS) continue;
        ck_assert(b->known[sp_place_of(l->upper)]);
        const double d = hypot(hypot(l->point_mm[0] - want[0], l->point_mm[1] - want[1]),
                               l->point_mm[2] - want[2]);
        worst = fmax(worst, d);
    }
    return worst;
}

static const sp_level *level_below(const sp_points *p, int upper) {
    for (int i = 0; i < p->n; i++)
        if (p->point[i].upper == upper && p->point[i].from != SP_FROM_DENS) return &p->point[i];
    return NULL;
}

static const sp_level *missing_below(const sp_points *p, int upper) {
    for (int i = 0; i < p->n_missing; i++)
        if (p->missing[i].upper == upper) return &p->missing[i];
    return NULL;
}

/* Above or below all points, for want of image there. */
static bool is_beyond(const sp_points *p, const sp_level *l) {
    const int place = sp_place_of(l->lower);
    return (l->why == SP_AT_EDGE || l->why == SP_NO_CANAL) &&
           (place < sp_place_of(p->point[0].lower) ||
            place > sp_place_of(p->point[p->n - 1].lower));
}

static void erase(im_labels *l, int label) {
    for (int64_t i = 0; i < im_labels_count(l); i++)
        if (l->voxel[i] == label) l->voxel[i] = 0;
}

/* ---- tests ---- */

static int n_sessions = 3;
START_TEST(points_lie_within_3_mm_of_the_true_disc_levels) {
    const ph_options o = {
        .seed = 1, .iso_mm = 0.8571, .height_mm = 200, .width_mm = 50, .depth_mm = 140};
    double worst = 0.0;
    int n = 0;
    for (int i = 0; i < n_sessions; i++) {
        body b = make_body(&o, i);
        sp_points p;
        ck_assert_msg(sp_points_find(&p, &b.vert, &b.subreg) == SX_OK, "%s", sx_err_text());
        check_order(&p);
        ck_assert_int_eq(p.n_odd, 0);
        const double error = worst_error(&p, &b);
        printf("subject %d: %d points, %d levels without, worst %.2f mm\n", i + 1, p.n, p.n_missing,
               error);
        for (int k = 0; k < p.n_missing; k++)
            ck_assert_msg(is_beyond(&p, &p.missing[k]), "subject %d, below %s: %s", i + 1,
                          sp_vertebra_name(p.missing[k].upper), sp_no_point_text(p.missing[k].why));
        worst = fmax(worst, error);
        n += p.n;
        body_clear(&b);
    }
    printf("%d points of %d sessions: worst %.2f mm\n", n, n_sessions, worst);
    ck_assert_double_le(worst, 3.0);
}
END_TEST

START_TEST(a_disc_that_is_missing_is_put_between_its_neighbours) {
    body b = tall(0);
    sp_points whole, p;
    ck_assert_int_eq(sp_points_find(&whole, &b.vert, &b.subreg), SX_OK);
    ck_assert_int_ge(whole.n, 6);
    const sp_level *gone = &whole.point[3];
    erase(&b.vert, SP_DISC_BELOW + gone->upper);
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_OK);
    ck_assert_int_eq(p.n, whole.n);
    ck_assert_int_eq(p.point[3].from, SP_FROM_BODIES);
    check_order(&p);
    ck_assert_double_le(worst_error(&p, &b), 4.0);
    /* without a neighbour there is nothing to go by */
    erase(&b.vert, gone->lower);
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_OK);
    ck_assert_int_eq(p.n, whole.n - 1);
    ck_assert_int_eq(missing_below(&p, gone->upper)->why, SP_NO_DISC);
    ck_assert_double_le(worst_error(&p, &b), 4.0);
    body_clear(&b);
}
END_TEST

/* Swap two numbers of a mask. */
static void swap(im_labels *l, int a, int b) {
    for (int64_t i = 0; i < im_labels_count(l); i++) {
        const int v = l->voxel[i];
        l->voxel[i] = v == a ? b : v == b ? a : v;
    }
}

START_TEST(vertebrae_out_of_order_do_not_break_the_order_of_the_points) {
    body b = tall(0);
    sp_points whole, p;
    ck_assert_int_eq(sp_points_find(&whole, &b.vert, &b.subreg), SX_OK);
    const int v = whole.point[3].upper, w = whole.point[3].lower;
    swap(&b.vert, v, w);
    swap(&b.vert, SP_DISC_BELOW + v, SP_DISC_BELOW + w);
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_OK);
    check_order(&p);
    ck_assert_int_eq(p.n_odd, 1);
    ck_assert_int_lt(p.n, whole.n);
    /* upside down: refused */
    for (int64_t i = 0; i < im_labels_count(&b.vert); i++) {
        const int label = b.vert.voxel[i] % 100;
        if (label >= SP_C2 && label <= SP_L5) b.vert.voxel[i] += SP_L5 + SP_C2 - 2 * label;
    }
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_E_DATA);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "out of order"));
    body_clear(&b);
}
END_TEST

START_TEST(without_cord_and_canal_there_are_no_points) {
    body b = tall(1);
    sp_points p;
    erase(&b.subreg, SP_CORD);
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_OK); /* the canal will do */
    for (int i = 0; i < p.n; i++) ck_assert(!p.point[i].on_cord);
    erase(&b.subreg, SP_CANAL);
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_E_DATA);
    for (int64_t i = 0; i < im_labels_count(&b.vert); i++) b.vert.voxel[i] = 0;
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_E_DATA);
    body_clear(&b);
}
END_TEST

/* DISCS_MAP of SPINEPS: 2 -> 1, 102 -> 3, … 124 -> 25. */
START_TEST(numbers_are_those_of_the_spinal_cord_toolbox) {
    static const struct {
        int upper, value;
    } want[] = {{SP_C2, 3},  {3, 4},      {SP_C7, 8}, {SP_T1, 9},  {16, 17},   {SP_T12, 20},
                {SP_L1, 21}, {SP_L5, 25}, {SP_L6, 0}, {SP_T13, 0}, {SP_C1, 0}, {SP_SACRUM, 0}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const sp_level l = {.upper = want[i].upper};
        ck_assert_int_eq(sp_level_value(&l), want[i].value);
    }
    const sp_level top = {.upper = SP_C1, .lower = SP_C2, .from = SP_FROM_DENS};
    const sp_level disc = {.upper = SP_T12, .lower = SP_L1};
    char name[16];
    ck_assert_int_eq(sp_level_value(&top), 1);
    sp_level_name(&top, name);
    ck_assert_str_eq(name, "C2 top");
    sp_level_name(&disc, name);
    ck_assert_str_eq(name, "T12/L1");
}
END_TEST

START_TEST(a_thirteenth_thoracic_vertebra_is_known_by_name_and_has_no_number) {
    const ph_options lower_end = {
        .seed = 7, .iso_mm = 1.2, .height_mm = 400, .width_mm = 40, .depth_mm = 120};
    body b = make_body(&lower_end, 4);
    sp_points p;
    /* what is L1 here becomes T13, L2 becomes L1 and so on */
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_OK);
    const bool has = level_below(&p, SP_T12) && level_below(&p, SP_L1);
    ck_assert_msg(has, "this phantom has no T12 to L2");
    for (int64_t i = 0; i < im_labels_count(&b.vert); i++) {
        int *v = &b.vert.voxel[i], label = *v % 100;
        if (*v < SP_ENDPLATE_OF && label >= SP_L1 && label <= SP_L5)
            *v += label == SP_L1 ? SP_T13 - SP_L1 : -1;
    }
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_OK);
    check_order(&p);
    char name[16];
    sp_level_name(level_below(&p, SP_T12), name);
    ck_assert_str_eq(name, "T12/T13");
    sp_level_name(level_below(&p, SP_T13), name);
    ck_assert_str_eq(name, "T13/L1");
    ck_assert_int_eq(sp_level_value(level_below(&p, SP_T12)), 20);
    ck_assert_int_eq(sp_level_value(level_below(&p, SP_T13)), 0);
    body_clear(&b);
}
END_TEST

START_TEST(points_are_drawn_once_each_on_any_grid) {
    body b = tall(0);
    sp_points p;
    im_labels to = {.voxel = NULL};
    bool drawn[SP_MOST_POINTS];
    int64_t n = 0, n_drawn = 0;
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_OK);
    ck_assert_int_eq(im_labels_init(&to, (const int64_t[3]){20, 60, 30}), SX_OK);
    for (int a = 0; a < 3; a++) to.affine[a][a] = ((const double[]){2.0, 2.0, 5.0})[a];
    to.affine[0][3] = -20.0, to.affine[1][3] = -60.0, to.affine[2][3] = -75.0;
    sp_points_draw(&p, &to, 0.0, sp_level_value, drawn);
    for (int64_t i = 0; i < im_labels_count(&to); i++) n += to.voxel[i] != 0;
    for (int k = 0; k < p.n; k++) n_drawn += drawn[k];
    ck_assert_int_eq(n, n_drawn);
    ck_assert_int_ge(n, 3);
    ck_assert_int_lt(n, p.n); /* the grid is shorter than the spine */
    memset(to.voxel, 0, (size_t)im_labels_count(&to) * sizeof *to.voxel);
    sp_points_draw(&p, &to, 6.0, sp_level_value, NULL);
    n = 0;
    for (int64_t i = 0; i < im_labels_count(&to); i++) n += to.voxel[i] != 0;
    ck_assert_int_ge(n, 3 * n_drawn); /* 113 mm^3 are 5.7 voxels */
    ck_assert_int_le(n, 9 * n_drawn);
    im_labels_clear(&to);
    body_clear(&b);
}
END_TEST

/* Slices k from .. to - 1 of a block of 10 x 10 pixels in front of the canal. */
static void fill_slices(body *b, int from, int to, int vert, int subregion) {
    for (int64_t k = from; k < to; k++)
        for (int64_t at = k * 400; at < (k + 1) * 400; at++) {
            const int64_t i = at % 20, j = at / 20 % 20;
            if (i < 5 || i > 14 || j < 8 || j > 17) continue;
            b->vert.voxel[at] = vert;
            b->subreg.voxel[at] = subregion;
        }
}

START_TEST(a_point_is_in_the_plane_of_its_disc_however_thick_the_slices) {
    const int64_t dim[3] = {20, 20, 26};
    body b = {.vert = {.voxel = NULL}};
    sp_points p;
    ck_assert_int_eq(im_labels_init(&b.vert, dim), SX_OK);
    ck_assert_int_eq(im_labels_init(&b.subreg, dim), SX_OK);
    b.vert.affine[2][2] = b.subreg.affine[2][2] = 4.0;
    b.vert.affine[2][3] = b.subreg.affine[2][3] = -40.1;
    for (int64_t k = 0; k < dim[2]; k++)
        for (int64_t j = 2; j < 5; j++)
            for (int64_t i = 8; i < 11; i++) b.subreg.voxel[(k * 20 + j) * 20 + i] = SP_CANAL;
    /* discs of one, two and three slices between bodies of four; L1 is at the top */
    const int top[] = {23, 18, 12, 5};
    for (int n = 0; n < 4; n++) fill_slices(&b, top[n] - 4, top[n], SP_L1 + n, SP_CORPUS);
    for (int n = 0; n < 3; n++)
        fill_slices(&b, top[n + 1], top[n] - 4, SP_DISC_BELOW + SP_L1 + n, SP_DISC);
    ck_assert_int_eq(sp_points_find(&p, &b.vert, &b.subreg), SX_OK);
    ck_assert_int_eq(p.n, 3);
    for (int n = 0; n < 3; n++) {
        const double want[3] = {9.0, 3.0, 4.0 * 0.5 * (top[n + 1] + top[n] - 5) - 40.1};
        for (int c = 0; c < 3; c++) ck_assert_double_eq_tol(p.point[n].point_mm[c], want[c], 0.02);
    }
    body_clear(&b);
}
END_TEST

int main(int argc, char **argv) {
    if (argc > 1) {
        n_sessions = atoi(argv[1]);
        return CHECK_RUN("sp_points_sessions", points_lie_within_3_mm_of_the_true_disc_levels);
    }
    return CHECK_RUN("sp_points", points_lie_within_3_mm_of_the_true_disc_levels,
                     a_disc_that_is_missing_is_put_between_its_neighbours,
                     vertebrae_out_of_order_do_not_break_the_order_of_the_points,
                     without_cord_and_canal_there_are_no_points,
                     numbers_are_those_of_the_spinal_cord_toolbox,
                     a_thirteenth_thoracic_vertebra_is_known_by_name_and_has_no_number,
                     a_point_is_in_the_plane_of_its_disc_however_thick_the_slices,
                     points_are_drawn_once_each_on_any_grid);
}
