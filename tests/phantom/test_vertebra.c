/* Three bodies, neck, chest and lower back, in fields wide enough for the processes of vertebrae:
 * every part of a whole vertebra is there, on its side, and the whole has the holes of a vertebra;
 * foramina are open between them. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include "phantom/ph__anatomy.h"
#include "tests/check_run.h"
#include "tests/phantom/topology.h"

enum { N_BODIES = 3, ROWS = PH__LEVELS + 1 };

typedef struct part_stat {
    int64_t n;
    double x, row; /* sums of the places, mm to the right and rows down */
} part_stat;

/* One vertebra: its voxels by sub-region. */
typedef struct bone {
    part_stat part[SP_ENDPLATE + 1];
    int64_t low[3], high[3];
    bool whole; /* does not touch the border of the volume */
} bone;

static ph_subject body[N_BODIES];
static ph__anatomy anatomy[N_BODIES];
static bone bones[N_BODIES][ROWS];

static int vertebra_of(const ph_subject *s, int64_t i) {
    int id = (int)s->instance.voxel[i];
    return id > 200 ? id - 200 : id < 100 ? id : 0;
}

static void note_voxel(bone *b, int part, const int64_t p[3], const int64_t dim[3], double x) {
    if (b->part[0].n++ == 0) {
        b->whole = true;
        for (int c = 0; c < 3; c++) b->low[c] = b->high[c] = p[c];
    }
    for (int c = 0; c < 3; c++) {
        if (p[c] < b->low[c]) b->low[c] = p[c];
        if (p[c] > b->high[c]) b->high[c] = p[c];
        b->whole = b->whole && p[c] > 0 && p[c] < dim[c] - 1;
    }
    b->part[part].n++;
    b->part[part].x += x;
    b->part[part].row += (double)p[1];
}

static void measure(const ph_subject *s, bone list[ROWS]) {
    const im_volume *v = &s->truth;
    int64_t p[3], at = 0;
    for (p[2] = 0; p[2] < v->dim[2]; p[2]++)
        for (p[1] = 0; p[1] < v->dim[1]; p[1]++)
            for (p[0] = 0; p[0] < v->dim[0]; p[0]++, at++) {
                int id = vertebra_of(s, at);
                double x = v->affine[0][3] + v->affine[0][2] * (double)p[2];
                if (id) note_voxel(&list[id], (int)s->subregion.voxel[at], p, v->dim, x);
            }
}

static mask mask_of(const ph_subject *s, const bone *b, int id) {
    const int64_t *dim = s->truth.dim;
    mask m = mask_new(b->high[0] - b->low[0] + 1, b->high[1] - b->low[1] + 1,
                      b->high[2] - b->low[2] + 1);
    for (int64_t z = b->low[2]; z <= b->high[2]; z++)
        for (int64_t y = b->low[1]; y <= b->high[1]; y++)
            for (int64_t x = b->low[0]; x <= b->high[0]; x++)
                if (vertebra_of(s, (z * dim[1] + y) * dim[0] + x) == id)
                    *mask_at(&m, x - b->low[0], y - b->low[1], z - b->low[2]) = 1;
    return m;
}

/* The next whole vertebra of all bodies, atlas and sacrum left out; false: none. */
static bool next_whole(int *b, int *id) {
    for (; *b < N_BODIES; ++*b, *id = 0)
        while (++*id < PH__S1)
            if (*id > PH__C1 && bones[*b][*id].whole) return true;
    return false;
}

START_TEST(a_whole_vertebra_has_all_its_parts_each_on_its_side) {
    int n = 0;
    for (int b = 0, id = 0; next_whole(&b, &id); n++) {
        const part_stat *part = bones[b][id].part;
        static const int parts[] = {41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 62};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            ck_assert_msg(part[parts[i]].n >= 30, "body %d vertebra %d: %lld voxels of %d", b, id,
                          (long long)part[parts[i]].n, parts[i]);
        double middle = part[SP_CORPUS].x / (double)part[SP_CORPUS].n;
        for (int left = SP_COSTAL_LEFT; left <= SP_ARTICULAR_INF_LEFT; left += 2) {
            double x = part[left].x / (double)part[left].n - middle;
            double y = part[left + 1].x / (double)part[left + 1].n - middle;
            ck_assert_msg(x < -5.0 && y > 5.0, "body %d vertebra %d: %d at %.1f, %d at %.1f mm", b,
                          id, left, x, left + 1, y);
        }
    }
    ck_assert_msg(n >= 10, "%d whole vertebrae, want at least 10", n);
}
END_TEST

START_TEST(the_axis_has_its_only_end_plate_below) {
    const part_stat *part = bones[0][PH__C2].part, *plate = &part[SP_ENDPLATE];
    ck_assert_int_gt(plate->n, 100);
    double below = plate->row / (double)plate->n;
    below -= part[SP_CORPUS].row / (double)part[SP_CORPUS].n;
    ck_assert_msg(below * 0.8571 > 10, "end-plate %.1f mm below the middle of body and dens",
                  below);
}
END_TEST

/* One piece, one ring about the canal, two more about the transverse foramina of the neck. */
START_TEST(a_whole_vertebra_has_one_piece_and_the_holes_of_its_kind) {
    int n = 0, right = 0;
    for (int b = 0, id = 0; next_whole(&b, &id); n++) {
        int betti[3];
        mask m = mask_of(&body[b], &bones[b][id], id);
        mask_betti(&m, betti);
        sx_free(m.in);
        int want = ph__is_cervical(id) ? 3 : 1;
        bool good = betti[0] == 1 && betti[1] == want && betti[2] == 0;
        right += good;
        if (!good)
            printf("body %d vertebra %d: %d pieces, %d holes, %d cavities\n", b, id, betti[0],
                   betti[1], betti[2]);
    }
    ck_assert_msg(right >= 0.95 * n, "%d of %d whole vertebrae", right, n);
}
END_TEST

/* Truth, freed from the coil, at a place of the spine frame on section `n`; NAN: outside. */
static double signal_at(int b, int n, float u, float v) {
    const ph__anatomy *a = &anatomy[b];
    const im_volume *t = &body[b].truth;
    const ph__section *c = &a->section[n];
    ph__site p = {.u = u, .v = v, .s = (float)n * PH__SECTION_MM, .section = c};
    const double in_body[3] = {(double)(c->x + u), (double)(c->y + v * c->cos_tilt),
                               (double)(c->z - v * c->sin_tilt)};
    double to_world[4][4], to_voxel[4][4], world[3], voxel[3];
    int64_t i[3];
    im_affine_invert(a->to_body, to_world);
    im_affine_invert(t->affine, to_voxel);
    im_affine_apply(to_world, in_body, world);
    im_affine_apply(to_voxel, world, voxel);
    for (int k = 0; k < 3; k++) {
        i[k] = (int64_t)rint(voxel[k]);
        if (i[k] < 0 || i[k] >= t->dim[k]) return (double)NAN;
    }
    double x = (double)t->voxel[(i[2] * t->dim[1] + i[1]) * t->dim[0] + i[0]];
    return x / (double)ph__coil_gain(a, &p);
}

START_TEST(foramina_of_chest_and_loin_are_full_of_fat) {
    for (int b = 1; b < N_BODIES; b++) {
        const ph__anatomy *a = &anatomy[b];
        double sum = 0;
        int count = 0;
        for (int k = 1; k < a->n_vertebrae - 1; k++) {
            int n = (int)(a->section[(int)(a->vertebra[k].s / PH__SECTION_MM) + 1].disc_s /
                          PH__SECTION_MM);
            const ph__section *c = &a->section[n];
            for (int side = -1; side <= 1; side += 2) {
                double x = signal_at(b, n, (float)side * (c->canal_a + 4.0f), c->canal_v + 3.0f);
                if (isnan(x)) continue;
                sum += x;
                count++;
            }
        }
        ck_assert_msg(count >= 8 && sum / count > 0.45 * (double)a->fat_signal,
                      "body %d: %d foramina of %.0f on average, fat %.0f", b, count, sum / count,
                      (double)a->fat_signal);
    }
}
END_TEST

/* The first subject of seed 3 whose uppermost visible level makes the column start at `row`. */
static sx_err make_body(int b, int row, double height_mm) {
    const ph_options o = {
        .seed = 3, .iso_mm = 0.8571, .height_mm = height_mm, .width_mm = 100, .depth_mm = 110};
    for (int subject = 0;; subject++) {
        sx_err rc = ph__anatomy_make(&anatomy[b], &o, subject, 0);
        if (rc != SX_OK || subject == 100) return SX_E_BUG;
        if (anatomy[b].vertebra[0].row == row) return ph_subject_make(&body[b], &o, subject, 0);
        ph__anatomy_clear(&anatomy[b]);
    }
}

START_TEST(the_counter_knows_a_ring_a_shell_and_two_pieces) {
    const struct {
        const char *shape;
        int b[3];
    } cases[] = {{"ring", {1, 1, 0}}, {"shell", {1, 0, 1}}, {"pieces", {2, 0, 0}}};
    for (int n = 0; n < 3; n++) {
        mask m = mask_new(5, 5, 5);
        int b[3];
        for (int i = 0; i < 125; i++) {
            int x = i % 5, y = i / 5 % 5, z = i / 25;
            bool middle = x == 2 && y == 2;
            bool in = n == 0 ? z == 1 && !middle : n == 1 ? !(middle && z == 2) : z != 2;
            *mask_at(&m, x, y, z) = in;
        }
        mask_betti(&m, b);
        ck_assert_msg(b[0] == cases[n].b[0] && b[1] == cases[n].b[1] && b[2] == cases[n].b[2],
                      "%s: got %d %d %d", cases[n].shape, b[0], b[1], b[2]);
        sx_free(m.in);
    }
}
END_TEST

int main(void) {
    static const struct {
        int row;
        double height_mm;
    } bodies[N_BODIES] = {{PH__C1, 130}, {10, 150}, {15, 210}};
    for (int b = 0; b < N_BODIES; b++) {
        if (make_body(b, bodies[b].row, bodies[b].height_mm) != SX_OK) return 1;
        measure(&body[b], bones[b]);
    }
    int rc = CHECK_RUN("vertebra", the_counter_knows_a_ring_a_shell_and_two_pieces,
                       a_whole_vertebra_has_all_its_parts_each_on_its_side,
                       the_axis_has_its_only_end_plate_below,
                       a_whole_vertebra_has_one_piece_and_the_holes_of_its_kind,
                       foramina_of_chest_and_loin_are_full_of_fat);
    for (int b = 0; b < N_BODIES; b++) {
        ph_subject_clear(&body[b]);
        ph__anatomy_clear(&anatomy[b]);
    }
    return rc;
}
