/* Anatomy, labels and signal of phantoms. One cervico-thoracic and one lower body of full
 * resolution serve all tests of labels; tests of identity use coarse ones. */
#include <math.h>
#include <string.h>
#include "base/sx_mem.h"
#include "phantom/ph__anatomy.h"
#include "tests/check_run.h"

enum { N_BODIES = 2 };
static ph_subject body[N_BODIES];

static const ph_options fine = {
    .seed = 3, .iso_mm = 0.8571, .height_mm = 90, .width_mm = 40, .depth_mm = 100};
static const ph_options coarse = {
    .seed = 3, .iso_mm = 3.0, .height_mm = 120, .width_mm = 40, .depth_mm = 120};

static int region(const ph_subject *s, int64_t i) {
    return (int)s->subregion.voxel[i];
}
static int instance(const ph_subject *s, int64_t i) {
    return (int)s->instance.voxel[i];
}
static bool is_corpus(const ph_subject *s, int64_t i) {
    return region(s, i) == SP_CORPUS_BORDER || region(s, i) == SP_CORPUS;
}

static bool same_bytes(const im_volume *a, const im_volume *b) {
    return memcmp(a->voxel, b->voxel, (size_t)im_volume_count(a) * sizeof *a->voxel) == 0;
}

START_TEST(equal_keys_give_equal_bytes_and_others_do_not) {
    const struct {
        uint64_t seed;
        int subject, session;
        bool same;
    } cases[] = {{3, 1, 0, true}, {4, 1, 0, false}, {3, 2, 0, false}, {3, 1, 1, false}};
    ph_subject first;
    ck_assert_int_eq(ph_subject_make(&first, &coarse, 1, 0), SX_OK);
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        ph_options o = coarse;
        o.seed = cases[n].seed;
        ph_subject other;
        ck_assert_int_eq(ph_subject_make(&other, &o, cases[n].subject, cases[n].session), SX_OK);
        bool same = same_bytes(&first.truth, &other.truth) &&
                    same_bytes(&first.instance, &other.instance) &&
                    same_bytes(&first.subregion, &other.subregion);
        ck_assert_msg(same == cases[n].same, "case %zu: same bytes: got %d, want %d", n, same,
                      cases[n].same);
        ph_subject_clear(&other);
    }
    ph_subject_clear(&first);
}
END_TEST

/* The first subject of seed 3 that starts at C2, and the first that starts in the lower thorax. */
static int find_subject(int lowest_row, int highest_row) {
    for (int subject = 0; subject < 100; subject++) {
        ph__anatomy a;
        if (ph__anatomy_make(&a, &fine, subject, 0) != SX_OK) return -1;
        int row = a.vertebra[0].row;
        ph__anatomy_clear(&a);
        if (row >= lowest_row && row <= highest_row) return subject;
    }
    return -1;
}

/* What an instance number may be in each sub-region. */
static bool agree(int number, int part) {
    if (part == 0 || part == SP_CORD || part == SP_CANAL) return number == 0;
    if (part == SP_DISC) return number > 100 && number < 100 + PH__S1;
    if (part == SP_SACRUM) return number == SP_SACRUM;
    if (part == SP_ENDPLATE) return number > 200 && number <= 226;
    return part >= SP_ARCUS && part <= SP_CORPUS && number >= 1 && number < PH__S1;
}

START_TEST(instance_and_subregion_agree_in_every_voxel) {
    for (int b = 0; b < N_BODIES; b++)
        for (int64_t i = 0; i < im_volume_count(&body[b].truth); i++)
            if (!agree(instance(&body[b], i), region(&body[b], i)))
                ck_abort_msg("body %d voxel %lld: instance %d, sub-region %d", b, (long long)i,
                             instance(&body[b], i), region(&body[b], i));
}
END_TEST

/* Neighbours of voxel (x, y, z), itself included, inside the volume. */
static int neighbours(const im_volume *v, int64_t at, int64_t list[27]) {
    int64_t x = at % v->dim[0], y = at / v->dim[0] % v->dim[1], z = at / v->dim[0] / v->dim[1];
    int n = 0;
    for (int64_t dz = -1; dz <= 1; dz++)
        for (int64_t dy = -1; dy <= 1; dy++)
            for (int64_t dx = -1; dx <= 1; dx++) {
                int64_t i = x + dx, j = y + dy, k = z + dz;
                if (i < 0 || j < 0 || k < 0 || i >= v->dim[0] || j >= v->dim[1] || k >= v->dim[2])
                    continue;
                list[n++] = (k * v->dim[1] + j) * v->dim[0] + i;
            }
    return n;
}

/* Fill the component of corpus voxels that holds `seed`; its size. */
static int64_t flood(const ph_subject *s, int64_t seed, unsigned char *seen, int64_t *stack) {
    int64_t depth = 0, size = 0, list[27];
    stack[depth++] = seed;
    seen[seed] = 1;
    while (depth > 0) {
        int64_t at = stack[--depth];
        size++;
        int n = neighbours(&s->truth, at, list);
        for (int m = 0; m < n; m++) {
            int64_t to = list[m];
            if (seen[to] || !is_corpus(s, to) || instance(s, to) != instance(s, at)) continue;
            seen[to] = 1;
            stack[depth++] = to;
        }
    }
    return size;
}

START_TEST(each_vertebral_body_is_one_component) {
    for (int b = 0; b < N_BODIES; b++) {
        int64_t n = im_volume_count(&body[b].truth), components[27] = {0};
        unsigned char *seen = SX_NEW_ARRAY(unsigned char, n);
        int64_t *stack = SX_NEW_ARRAY(int64_t, n);
        for (int64_t i = 0; i < n; i++)
            if (is_corpus(&body[b], i) && !seen[i] && flood(&body[b], i, seen, stack) > 0)
                components[instance(&body[b], i)]++;
        int bodies = 0;
        for (int id = 1; id <= 26; id++) {
            bodies += components[id] > 0;
            ck_assert_msg(components[id] <= 1, "body %d vertebra %d: got %lld components, want 1",
                          b, id, (long long)components[id]);
        }
        ck_assert_msg(bodies >= 3, "body %d: got %d vertebral bodies, want at least 3", b, bodies);
        sx_free(seen);
        sx_free(stack);
    }
}
END_TEST

START_TEST(bodies_of_different_vertebrae_never_touch) {
    for (int b = 0; b < N_BODIES; b++) {
        const ph_subject *s = &body[b];
        int64_t list[27];
        for (int64_t i = 0; i < im_volume_count(&s->truth); i++) {
            if (!is_corpus(s, i)) continue;
            int n = neighbours(&s->truth, i, list);
            for (int m = 0; m < n; m++)
                if (is_corpus(s, list[m]) && instance(s, list[m]) != instance(s, i))
                    ck_abort_msg("body %d: vertebrae %d and %d touch", b, instance(s, i),
                                 instance(s, list[m]));
        }
    }
}
END_TEST

/* Mean world height of a vertebra's corpus, or NAN. */
static double corpus_height(const ph_subject *s, int id) {
    double sum = 0, count = 0;
    const int64_t *dim = s->truth.dim;
    for (int64_t i = 0; i < im_volume_count(&s->truth); i++) {
        if (instance(s, i) != id || !is_corpus(s, i)) continue;
        double row = (double)(i / dim[0] % dim[1]);
        sum += s->truth.affine[2][3] + s->truth.affine[2][1] * row;
        count++;
    }
    return count > 0 ? sum / count : (double)NAN;
}

START_TEST(joints_keep_processes_of_different_vertebrae_apart) {
    for (int b = 0; b < N_BODIES; b++) {
        const ph_subject *s = &body[b];
        int64_t list[27], facets = 0;
        for (int64_t i = 0; i < im_volume_count(&s->truth); i++) {
            if (region(s, i) < SP_ARCUS || region(s, i) > SP_ARTICULAR_INF_RIGHT) continue;
            facets += region(s, i) >= SP_ARTICULAR_SUP_LEFT;
            int n = neighbours(&s->truth, i, list);
            for (int m = 0; m < n; m++) {
                int to = region(s, list[m]);
                if (to >= SP_ARCUS && to <= SP_ARTICULAR_INF_RIGHT &&
                    instance(s, list[m]) != instance(s, i))
                    ck_abort_msg("body %d: vertebrae %d and %d touch", b, instance(s, i),
                                 instance(s, list[m]));
            }
        }
        ck_assert_int_gt(facets, 1000);
    }
}
END_TEST

/* From the chest to the end of the sacrum. */
START_TEST(the_sacrum_is_one_bone_of_five_tapering_pieces) {
    ph_options o = coarse;
    ph_subject s;
    int64_t voxels = 0, low = INT64_MAX, high = 0;
    o.height_mm = 480;
    o.width_mm = 110;
    o.depth_mm = 240;
    ck_assert_int_eq(ph_subject_make(&s, &o, find_subject(10, 15), 0), SX_OK);
    for (int64_t i = 0; i < im_volume_count(&s.truth); i++) {
        int id = instance(&s, i), row = (int)(i / s.truth.dim[0] % s.truth.dim[1]);
        ck_assert_msg(agree(id, region(&s, i)), "instance %d, sub-region %d", id, region(&s, i));
        if (region(&s, i) != SP_SACRUM) continue;
        voxels++;
        low = row < low ? row : low;
        high = row > high ? row : high;
    }
    double height_mm = (double)(high - low) * o.iso_mm;
    ck_assert_msg(height_mm > 80 && height_mm < 140, "sacrum of %.0f mm", height_mm);
    ck_assert_int_gt(voxels, 2000);
    ph_subject_clear(&s);
}
END_TEST

START_TEST(numbers_grow_downwards_without_a_gap) {
    for (int b = 0; b < N_BODIES; b++) {
        int last = 0;
        double above = 1e9;
        for (int id = 1; id <= 26; id++) {
            double z = corpus_height(&body[b], id);
            if (isnan(z)) continue;
            ck_assert_msg(last == 0 || id == last + 1, "after vertebra %d comes %d", last, id);
            ck_assert_msg(z < above - 8, "vertebra %d at %.1f mm, the one above at %.1f mm", id, z,
                          above);
            last = id;
            above = z;
        }
    }
}
END_TEST

START_TEST(the_canal_is_in_every_row) {
    for (int b = 0; b < N_BODIES; b++) {
        const ph_subject *s = &body[b];
        const int64_t *dim = s->truth.dim;
        for (int64_t j = 0; j < dim[1]; j++) {
            int64_t count = 0;
            for (int64_t k = 0; k < dim[2]; k++)
                for (int64_t i = 0; i < dim[0]; i++) {
                    int part = region(s, (k * dim[1] + j) * dim[0] + i);
                    count += part == SP_CANAL || part == SP_CORD;
                }
            double area = (double)count * fine.iso_mm * fine.iso_mm;
            ck_assert_msg(area > 120 && area < 700, "body %d row %lld: canal of %.0f mm2", b,
                          (long long)j, area);
        }
    }
}
END_TEST

static double mean_signal(const ph_subject *s, int part) {
    double sum = 0, count = 0;
    for (int64_t i = 0; i < im_volume_count(&s->truth); i++) {
        if (region(s, i) != part) continue;
        sum += (double)s->truth.voxel[i];
        count++;
    }
    return sum / count;
}

START_TEST(liquor_is_brighter_than_cord_than_marrow_than_bone_plates) {
    static const int order[] = {SP_CANAL, SP_CORD, SP_CORPUS, SP_ENDPLATE};
    for (int b = 0; b < N_BODIES; b++)
        for (int n = 0; n < 3; n++) {
            double bright = mean_signal(&body[b], order[n]);
            double dark = mean_signal(&body[b], order[n + 1]);
            ck_assert_msg(bright > 1.15 * dark, "body %d: sub-region %d at %.0f, %d at %.0f", b,
                          order[n], bright, order[n + 1], dark);
        }
}
END_TEST

START_TEST(signals_are_finite_and_within_scale) {
    for (int b = 0; b < N_BODIES; b++) {
        float most = 0;
        for (int64_t i = 0; i < im_volume_count(&body[b].truth); i++) {
            float x = body[b].truth.voxel[i];
            if (!(x >= 0 && x < 1300))
                ck_abort_msg("voxel %lld: got %g, want 0..1300", (long long)i, (double)x);
            most = fmaxf(most, x);
        }
        ck_assert_msg(most > 500, "brightest voxel: got %g, want more than 500", (double)most);
    }
}
END_TEST

START_TEST(a_later_session_keeps_lesions_and_adds_some) {
    ph__anatomy a, b;
    ck_assert_int_eq(ph__anatomy_make(&a, &fine, 1, 0), SX_OK);
    ck_assert_int_eq(ph__anatomy_make(&b, &fine, 1, 2), SX_OK);
    ck_assert_msg(b.n_lesions >= a.n_lesions + 2, "lesions: got %d after %d, want 2 more",
                  b.n_lesions, a.n_lesions);
    ck_assert(memcmp(a.lesion, b.lesion, sizeof a.lesion[0] * (size_t)a.n_lesions) == 0);
    ck_assert_int_eq(a.n_vertebrae, b.n_vertebrae);
    for (int i = 0; i < a.n_vertebrae; i++)
        ck_assert(memcmp(a.vertebra[i].half, b.vertebra[i].half, sizeof a.vertebra[i].half) == 0);
    ph__anatomy_clear(&a);
    ph__anatomy_clear(&b);
}
END_TEST

START_TEST(a_lesion_is_brighter_than_the_cord_would_be) {
    ph__anatomy a, healthy;
    ck_assert_int_eq(ph__anatomy_make(&a, &fine, 1, 2), SX_OK);
    healthy = a;
    healthy.n_lesions = 0;
    for (int i = 0; i < a.n_lesions; i++) {
        const ph__lesion *x = &a.lesion[i];
        const ph__section *c = &a.section[(int)(x->s / PH__SECTION_MM)];
        const ph__site p = {
            .u = x->u, .v = c->cord_v + x->v, .s = x->s, .section = c, .soft = 1.0f};
        ph__ink with = {0, 0, 0}, without = {0, 0, 0};
        ph__paint_cord(&a, &p, &with);
        ph__paint_cord(&healthy, &p, &without);
        ck_assert_msg(with.signal > 1.15f * without.signal, "lesion %d: %.0f in a cord of %.0f", i,
                      (double)with.signal, (double)without.signal);
    }
    ph__anatomy_clear(&a);
}
END_TEST

START_TEST(the_grid_is_PIR_centred_and_of_the_size_asked_for) {
    const im_volume *v = &body[0].truth;
    char codes[4];
    double corner[2][3], voxel[2][3] = {{-0.5, -0.5, -0.5}, {0, 0, 0}};
    im_axcodes(v->affine, codes);
    ck_assert_str_eq(codes, "PIR");
    for (int c = 0; c < 3; c++) voxel[1][c] = (double)v->dim[c] - 0.5;
    for (int n = 0; n < 2; n++) im_affine_apply(v->affine, voxel[n], corner[n]);
    const double want[3] = {fine.width_mm, fine.depth_mm, fine.height_mm};
    for (int c = 0; c < 3; c++) {
        ck_assert_double_eq_tol(corner[0][c] + corner[1][c], 0, 1e-9);
        ck_assert_double_eq_tol(fabs(corner[1][c] - corner[0][c]), want[c], fine.iso_mm);
    }
}
END_TEST

START_TEST(impossible_sizes_are_refused) {
    const ph_options wrong[] = {{.iso_mm = 0, .height_mm = 100, .width_mm = 40, .depth_mm = 100},
                                {.iso_mm = 1, .height_mm = 5000, .width_mm = 40, .depth_mm = 100},
                                {.iso_mm = 1, .height_mm = 100, .width_mm = 0, .depth_mm = 100}};
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        ph_subject s;
        ck_assert_int_eq(ph_subject_make(&s, &wrong[n], 0, 0), SX_E_CONFIG);
        ck_assert_ptr_null(s.truth.voxel);
    }
}
END_TEST

int main(void) {
    const int range[N_BODIES][2] = {{1, 1}, {10, 14}};
    for (int b = 0; b < N_BODIES; b++) {
        int subject = find_subject(range[b][0], range[b][1]);
        if (subject < 0 || ph_subject_make(&body[b], &fine, subject, 1) != SX_OK) return 1;
    }
    int rc = CHECK_RUN(
        "phantom", equal_keys_give_equal_bytes_and_others_do_not,
        instance_and_subregion_agree_in_every_voxel, each_vertebral_body_is_one_component,
        bodies_of_different_vertebrae_never_touch,
        joints_keep_processes_of_different_vertebrae_apart,
        the_sacrum_is_one_bone_of_five_tapering_pieces, numbers_grow_downwards_without_a_gap,
        the_canal_is_in_every_row, liquor_is_brighter_than_cord_than_marrow_than_bone_plates,
        signals_are_finite_and_within_scale, a_later_session_keeps_lesions_and_adds_some,
        a_lesion_is_brighter_than_the_cord_would_be,
        the_grid_is_PIR_centred_and_of_the_size_asked_for, impossible_sizes_are_refused);
    for (int b = 0; b < N_BODIES; b++) ph_subject_clear(&body[b]);
    return rc;
}
