/* From (seed, subject, session) to the numbers of one body: draw traits, stack vertebrae along the
 * curve, build their processes, tabulate the sections of canal and soft tissue, place lesions.
 * Traits are drawn from streams keyed by (seed, subject, what), so that a session changes only what
 * a follow-up changes: pose, neck and trunk flexion, lesions. Dimensions: ph_morphometry.c. */
#include <string.h>
#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "phantom/ph__field.h"

static const float pi_f = 3.14159265358979f;
static const float lead_mm = 90.0f;  // arc length above the first body centre
static const float tail_mm = 110.0f; // and below the last

// items of the random streams of a subject
enum { ITEM_BODY = 0, ITEM_LEVEL = 100, ITEM_LESION = 200, ITEM_SESSION = 1000 };

typedef struct traits {
    float scale;     // body size
    int first;       // level at the upper edge of the field of view
    float margin_mm; // what is seen above it
    float kyphosis;  // gain of the sagittal profile
    float lean_deg;
    float side_mm, side_wave_mm, side_phase; // scoliosis
    float marrow, degeneration;
    int lesions; // at the first session
} traits;

static sx_rng stream(const ph_options *o, int subject, int item) {
    return sx_rng_make(o->seed, SX_RNG_PHANTOM, (uint64_t)subject, (uint64_t)item);
}

// Half of the subjects are cervico-thoracic, as in multiple sclerosis protocols.
static int draw_first(sx_rng *r) {
    static const int first[] = {PH__C2, PH__C2, PH__C2, PH__C2 + 2, 12, 14, 17};
    return first[sx_rng_int(r, 0, (int64_t)(sizeof first / sizeof *first) - 1)];
}

static traits draw_traits(ph__anatomy *a, const ph_options *o, int subject) {
    sx_rng r = stream(o, subject, ITEM_BODY);
    traits t;
    t.first = draw_first(&r);
    t.scale = sx_rng_range(&r, 0.93f, 1.07f);
    t.margin_mm = sx_rng_range(&r, 6.0f, 18.0f);
    t.kyphosis = sx_rng_range(&r, 0.8f, 1.2f);
    t.lean_deg = sx_rng_range(&r, -3.0f, 3.0f);
    t.side_mm = sx_rng_range(&r, 0.5f, 2.5f);
    t.side_wave_mm = sx_rng_range(&r, 180.0f, 320.0f);
    t.side_phase = sx_rng_range(&r, 0.0f, 2.0f * pi_f);
    t.marrow = sx_rng_range(&r, 190.0f, 290.0f);
    t.degeneration = sx_rng_uniform(&r);
    t.lesions = (int)sx_rng_int(&r, 0, 3);
    a->texture = sx_rng_u32(&r);
    a->fat_signal = sx_rng_range(&r, 520.0f, 660.0f);
    a->muscle_signal = sx_rng_range(&r, 75.0f, 115.0f);
    a->cord_signal = sx_rng_range(&r, 290.0f, 350.0f);
    a->csf_signal = sx_rng_range(&r, 900.0f, 1000.0f);
    a->fatty = sx_rng_range(&r, 0.15f, 0.6f);
    a->coil_mm = sx_rng_range(&r, 70.0f, 130.0f);
    return t;
}

/* ---- vertebrae ---- */

static void draw_disc(ph__vertebra *v, const traits *t, sx_rng *r) {
    // Water content falls with a Pfirrmann-like grade; cervical discs are never bright.
    float grade = ph__clamp01(t->degeneration * 0.6f + 0.5f * sx_rng_uniform(r));
    float young = ph__is_cervical(v->row) ? 260.0f : ph__is_thoracic(v->row) ? 300.0f : 700.0f;
    v->disc_signal = ph__mix(young, 130.0f, grade);
    v->bulge = grade > 0.6f ? sx_rng_range(r, 0.8f, 2.6f) : sx_rng_range(r, 0.0f, 0.7f);
    v->bulge_u = sx_rng_range(r, -4.0f, 4.0f);
}

static void draw_marrow(ph__vertebra *v, const traits *t, sx_rng *r) {
    v->marrow = t->marrow * sx_rng_range(r, 0.93f, 1.07f);
    v->spot_gain = sx_rng_uniform(r) < 0.12f ? sx_rng_range(r, 0.5f, 1.1f) : 0.0f;
    for (int i = 0; i < 3; i++) v->spot[i] = sx_rng_range(r, -0.45f, 0.45f) * 2.0f * v->half[i];
    v->spot[3] = sx_rng_range(r, 2.5f, 5.0f);
    v->modic = sx_rng_uniform(r) < 0.2f ? sx_rng_range(r, -0.35f, 0.7f) : 0.0f;
}

static void draw_vertebra(ph__vertebra *v, const traits *t, const ph_options *o, int subject,
                          int row) {
    const ph__level *l = ph__level_at(row);
    sx_rng r = stream(o, subject, ITEM_LEVEL + row);
    memset(v, 0, sizeof *v);
    v->row = row;
    v->id = ph__is_sacral(row) ? SP_SACRUM : row;
    v->half[0] = 0.5f * l->width * t->scale * sx_rng_range(&r, 0.97f, 1.03f);
    v->half[1] = 0.5f * l->depth * t->scale * sx_rng_range(&r, 0.97f, 1.03f);
    v->half[2] = 0.5f * l->height * t->scale * sx_rng_range(&r, 0.97f, 1.03f);
    v->canal_v = -v->half[1] + 0.6f - 0.5f * l->canal_ap * t->scale;
    draw_marrow(v, t, &r);
    draw_disc(v, t, &r);
}

static void add_rod(ph__vertebra *v, const float a[3], const float b[3], const float r[3],
                    float taper, int label, int label_right) {
    SX_ASSERT(v->n_rods < PH__MAX_RODS);
    ph__rod *rod = &v->rod[v->n_rods++];
    memcpy(rod->a, a, sizeof rod->a);
    memcpy(rod->b, b, sizeof rod->b);
    memcpy(rod->r, r, sizeof rod->r);
    rod->taper = taper;
    rod->label = label;
    rod->label_right = label_right;
}
#define V3(x, y, z)                                                                                \
    (const float[3]) {                                                                             \
        (x), (y), (z)                                                                              \
    }

// C1: no body; anterior arch in front of the dens, lateral masses, posterior arch.
static void build_atlas(ph__vertebra *v, float k) {
    add_rod(v, V3(0, 10 * k, 0), V3(13 * k, 4 * k, 0), V3(3.2f, 2.6f, 4.8f), 1, SP_ARCUS, SP_ARCUS);
    add_rod(v, V3(15 * k, 0, 2), V3(15 * k, -8 * k, 0), V3(6.5f, 5, 6), 1, SP_ARTICULAR_SUP_LEFT,
            SP_ARTICULAR_SUP_RIGHT);
    add_rod(v, V3(16 * k, -10 * k, 0), V3(11 * k, -25 * k, -1), V3(2.8f, 2.8f, 3.6f), 1, SP_ARCUS,
            SP_ARCUS);
    add_rod(v, V3(11 * k, -25 * k, -1), V3(0, -31 * k, -2), V3(2.8f, 2.8f, 3.8f), 1.1f, SP_ARCUS,
            SP_ARCUS);
    add_rod(v, V3(20 * k, -3 * k, 0), V3(36 * k, -6 * k, -1), V3(4, 4, 4), 0.8f, SP_COSTAL_LEFT,
            SP_COSTAL_RIGHT);
}

static void build_arch(ph__vertebra *v, const ph__level *l, float k, float reach) {
    float cv = v->canal_v, ca = 0.5f * l->canal_width * k, cb = 0.5f * l->canal_ap * k;
    float pu = l->pedicle_u * k, pw = l->pedicle_w * k, hz = v->half[2];
    float pillar = ca + (ph__is_cervical(v->row)   ? 4.5f
                         : ph__is_thoracic(v->row) ? 2.5f
                                                   : 3.5f) *
                            k;
    float lift = ph__is_cervical(v->row) ? 0.0f : 0.3f * hz;
    bool loin = ph__is_lumbar(v->row);
    add_rod(v, V3(0.66f * v->half[0], -0.72f * v->half[1], lift), V3(ca + pu, cv + 0.3f * cb, lift),
            V3(1.5f * pu, 1.5f * pu, 1.2f * pw), 0.7f, SP_ARCUS, SP_ARCUS);
    add_rod(v, V3(ca + 2.2f, cv - 0.25f * cb, 0), V3(1.5f, cv - cb - 1.8f, -0.35f * hz),
            V3(2.6f, 2.4f, l->lamina * k), 0.9f, SP_ARCUS, SP_ARCUS);
    if (ph__is_cervical(v->row)) { // one solid pillar, cut obliquely by the joints
        if (v->row == PH__C2) // beside the body, sloping down from the dens: the shoulder of C1
            add_rod(v, V3(6 * k, -1.5f, 0.3f * hz), V3(13.5f * k, -3.5f, 0.55f * hz),
                    V3(5 * k, 5 * k, 3.6f * k), 1, SP_ARTICULAR_SUP_LEFT, SP_ARTICULAR_SUP_RIGHT);
        else
            add_rod(v, V3(pillar, cv - 0.5f, -0.2f * reach), V3(pillar, cv + 1.2f, 0.38f * reach),
                    V3(5 * k, 3.6f * k, 3 * k), 1, SP_ARTICULAR_SUP_LEFT, SP_ARTICULAR_SUP_RIGHT);
        add_rod(v, V3(pillar, cv - 2.5f, 0.1f * reach), V3(pillar, cv - 5.5f, -0.42f * reach),
                V3(5 * k, 3 * k, 3 * k), 1, SP_ARTICULAR_INF_LEFT, SP_ARTICULAR_INF_RIGHT);
        return;
    }
    // In the loin the upper process lies in front of and beside the lower one of the level above.
    float out = loin ? 2.6f * k : 0.5f, thick = loin ? 1.5f : 1.0f;
    add_rod(v, V3(pillar + 0.3f * out, cv + 0.5f, 0), V3(pillar + out, cv - 0.6f, 0.62f * reach),
            V3(4 * k, 2.6f * k * thick, 3.5f * k), 0.95f, SP_ARTICULAR_SUP_LEFT,
            SP_ARTICULAR_SUP_RIGHT);
    add_rod(v, V3(pillar, cv - 3.6f, -0.1f * hz), V3(pillar - out, cv - 6.2f, -0.5f * reach),
            V3(3.9f * k, 2.4f * k * thick, 3.5f * k), 0.95f, SP_ARTICULAR_INF_LEFT,
            SP_ARTICULAR_INF_RIGHT);
}

static void build_spinous(ph__vertebra *v, const ph__level *l, float k) {
    float cb = 0.5f * l->canal_ap * k, angle = l->spine_deg * pi_f / 180.0f;
    float root[3] = {0, v->canal_v - cb - 2.5f, -0.35f * v->half[2]};
    float tip[3] = {0, root[1] - l->spine_length * k * cosf(angle),
                    root[2] - l->spine_length * k * sinf(angle)};
    float thin = ph__is_lumbar(v->row) ? 3.2f : 2.5f, h = l->blade * k;
    bool bifid = v->row > PH__C1 && v->row < 7;
    add_rod(v, root, tip, V3(thin, h, h), ph__is_lumbar(v->row) ? 1.05f : 0.85f, SP_SPINOUS,
            SP_SPINOUS);
    tip[0] = bifid ? 2.6f : 0.0f;
    add_rod(v, tip, tip, V3(thin + 0.9f, 3.2f, h * 0.95f), 1, SP_SPINOUS, SP_SPINOUS);
}

static void build_transverse(ph__vertebra *v, const ph__level *l, float k) {
    float cv = v->canal_v, ca = 0.5f * l->canal_width * k, hx = v->half[0], hy = v->half[1];
    float tip = l->transverse * k;
    if (ph__is_cervical(v->row)) { // two bars about the transverse foramen
        add_rod(v, V3(hx - 1, 0.1f * hy, 0), V3(hx + 9, 0.1f * hy, -3), V3(2.2f, 2, 2.6f), 1,
                SP_COSTAL_LEFT, SP_COSTAL_RIGHT);
        add_rod(v, V3(ca + 3.5f, cv + 1, 0), V3(hx + 10, -0.5f * hy, -2.5f), V3(2.2f, 1.9f, 2.6f),
                1, SP_COSTAL_LEFT, SP_COSTAL_RIGHT);
        add_rod(v, V3(hx + 9, 0.1f * hy, -3), V3(hx + 10, -0.5f * hy, -2.5f), V3(2, 2, 2.6f), 1,
                SP_COSTAL_LEFT, SP_COSTAL_RIGHT);
    } else if (ph__is_thoracic(v->row)) {
        add_rod(v, V3(ca + 3.5f, cv - 3, 1), V3(tip, cv - 15, 4), V3(3.2f, 3.2f, 5), 1,
                SP_COSTAL_LEFT, SP_COSTAL_RIGHT);
        // the rib: bone, but not a part of the vertebra
        add_rod(v, V3(hx + 1.5f, -hy + 1, v->half[2] + 1), V3(tip + 4, cv - 8, -2),
                V3(3.4f, 3.2f, 5.2f), 0.9f, 0, 0);
    } else {
        add_rod(v, V3(ca + 5, cv + 4, 3), V3(tip, cv - 3, 2), V3(2.6f, 2.6f, 5), 0.9f,
                SP_COSTAL_LEFT, SP_COSTAL_RIGHT);
    }
}

// One bone: wings that shrink downwards, and a roof over the canal.
static void build_sacrum(ph__vertebra *v, const ph__level *l, float k) {
    float cv = v->canal_v, ca = 0.5f * l->canal_width * k, cb = 0.5f * l->canal_ap * k;
    float hx = v->half[0], hy = v->half[1], hz = v->half[2], tip = l->transverse * k;
    add_rod(v, V3(0.6f * hx, -0.3f * hy, 0), V3(tip, -0.7f * hy, -2), V3(6, 0.6f * hy, hz + 1.5f),
            0.9f, SP_SACRUM, SP_SACRUM);
    add_rod(v, V3(0.9f * hx, -0.5f * hy, 0), V3(ca + 1, cv, 0), V3(5, 4, 0.7f * hz), 1, SP_SACRUM,
            SP_SACRUM);
    add_rod(v, V3(ca + 2, cv, 0), V3(0, cv - cb - 2, -1), V3(2.6f, 2.6f, hz + 1.5f), 1, SP_SACRUM,
            SP_SACRUM);
    add_rod(v, V3(0, cv - cb - 2, -1), V3(0, cv - cb - l->spine_length * k, -2),
            V3(2.5f, 2.5f, l->blade * k), 0.8f, SP_SACRUM, SP_SACRUM);
    if (v->row == PH__S1) // the seat of L5
        add_rod(v, V3(ca + 5, cv - 1, 0), V3(ca + 7, cv - 2, hz + 8), V3(5, 4, 4), 0.9f, SP_SACRUM,
                SP_SACRUM);
}

static void bound_rods(ph__vertebra *v) {
    for (int c = 0; c < 3; c++) v->low[c] = 1e9f, v->high[c] = -1e9f;
    for (int n = 0; n < v->n_rods; n++) {
        const ph__rod *q = &v->rod[n];
        for (int c = 0; c < 3; c++) {
            float r = q->r[c] * fmaxf(1.0f, q->taper) + 2.0f;
            v->low[c] = fminf(v->low[c], fminf(q->a[c], q->b[c]) - r);
            v->high[c] = fmaxf(v->high[c], fmaxf(q->a[c], q->b[c]) + r);
        }
    }
}

static void build_rods(ph__vertebra *v, float k) {
    const ph__level *l = ph__level_at(v->row);
    if (v->row == PH__C1) {
        build_atlas(v, k);
    } else if (ph__is_sacral(v->row)) {
        build_sacrum(v, l, k);
    } else {
        build_arch(v, l, k, (l->height + l->disc) * k);
        build_spinous(v, l, k);
        build_transverse(v, l, k);
    }
    if (v->row == PH__C2) // the dens belongs to the body of C2
        v->dens = (ph__rod){
            {0, 1, v->half[2] - 6}, {0, 2, v->half[2] + 14 * k}, {5, 5, 4.5f}, 0.95f, 0, 0};
    bound_rods(v);
}

/* ---- curve ---- */

static void stack_vertebrae(ph__anatomy *a, const traits *t, const ph_options *o, int subject) {
    int row = t->first > 2 ? t->first - 2 : PH__C1;
    float s = lead_mm, need = 0.0f;
    a->n_vertebrae = 0;
    for (; row <= PH__LEVELS && need < (float)o->height_mm + 60.0f; row++) {
        ph__vertebra *v = &a->vertebra[a->n_vertebrae++];
        draw_vertebra(v, t, o, subject, row);
        s += a->n_vertebrae == 1 ? 0.0f : v->half[2];
        v->s = s;
        build_rods(v, t->scale);
        s += v->half[2] + ph__level_at(row)->disc * t->scale;
        if (row >= t->first) need = s - lead_mm;
    }
}

// Vertebra above arc length s, and how far s is on the way to the next one, 0..1.
static int find_upper(const ph__anatomy *a, float s, float *share) {
    int i = 0;
    while (i < a->n_vertebrae - 2 && s >= a->vertebra[i + 1].s) i++;
    *share = ph__clamp01((s - a->vertebra[i].s) / (a->vertebra[i + 1].s - a->vertebra[i].s));
    return i;
}

static int first_seen(const ph__anatomy *a, const traits *t) {
    int i = 0;
    while (a->vertebra[i].row < t->first) i++;
    return i;
}

typedef struct posture {
    float gain, lean, flexion; // radians but for gain
} posture;

static float tilt_at(const ph__anatomy *a, const posture *p, float s) {
    float t;
    int i = find_upper(a, s, &t);
    float deg = ph__mix(ph__level_at(a->vertebra[i].row)->tilt_deg,
                        ph__level_at(a->vertebra[i + 1].row)->tilt_deg, t);
    float along = (s - a->vertebra[0].s) / (a->vertebra[a->n_vertebrae - 1].s - a->vertebra[0].s);
    return p->gain * deg * pi_f / 180.0f + p->lean + p->flexion * (0.5f - along);
}

static float mean_tilt(const ph__anatomy *a, const posture *p, const traits *t, float height_mm) {
    float sum = 0, from = a->vertebra[first_seen(a, t)].s;
    const int n = 32;
    for (int i = 0; i < n; i++) sum += tilt_at(a, p, from + height_mm * (float)i / (float)(n - 1));
    return sum / (float)n;
}

static void integrate_curve(ph__anatomy *a, const traits *t, const posture *p) {
    float y = 0, z = 0, ds = PH__SECTION_MM;
    for (int n = 0; n < a->n_sections; n++) {
        ph__section *c = &a->section[n];
        float s = (float)n * ds, tilt = tilt_at(a, p, s);
        c->sin_tilt = sinf(tilt);
        c->cos_tilt = cosf(tilt);
        c->y = y;
        c->z = z;
        c->x = t->side_mm * sinf(2.0f * pi_f * s / t->side_wave_mm + t->side_phase);
        y -= c->sin_tilt * ds;
        z -= c->cos_tilt * ds;
    }
}

// Put the first level's upper edge near the top of the field of view, and the mean of what is seen
// a little in front of the middle, so that both the prevertebral space and the back are inside.
static void centre_curve(ph__anatomy *a, const traits *t, const ph_options *o) {
    const ph__vertebra *first = &a->vertebra[first_seen(a, t)];
    float top = first->s - first->half[2] - t->margin_mm;
    float z = a->section[(int)(top / PH__SECTION_MM)].z - 0.5f * (float)o->height_mm;
    double sum = 0;
    int count = 0;
    for (int n = 0; n < a->n_sections; n++) {
        a->section[n].z -= z;
        if (fabs((double)a->section[n].z) > 0.5 * o->height_mm) continue;
        sum += (double)a->section[n].y;
        count++;
    }
    float y = (count ? (float)(sum / count) : 0.0f) - 0.12f * (float)o->depth_mm;
    for (int n = 0; n < a->n_sections; n++) a->section[n].y -= y;
}

/* ---- sections ---- */

static float between(float above, float below, float t, float k) {
    return k * ph__mix(above, below, t);
}

// `neck` and `chest` are shares of the region, so that nothing jumps from one to the next.
static void fill_canal(ph__section *c, const ph__level *l, const ph__level *m, float t, float k) {
    c->canal_a = between(0.5f * l->canal_width, 0.5f * m->canal_width, t, k);
    c->canal_b = between(0.5f * l->canal_ap, 0.5f * m->canal_ap, t, k);
    float fat = ph__mix(1.2f, 0.5f, c->neck);
    c->sac_a = c->canal_a - ph__mix(1.8f, 3.0f, c->neck);
    c->sac_b = c->canal_b - fat;
    c->sac_v = c->canal_v + 0.7f * fat;
    c->cord_a = between(0.5f * l->cord_width, 0.5f * m->cord_width, t, k);
    c->cord_b = between(0.5f * l->cord_ap, 0.5f * m->cord_ap, t, k);
    // The cord takes the short way through a kyphosis.
    c->cord_v = c->sac_v + ph__mix(0.08f, 0.42f, c->chest) * (c->sac_b - c->cord_b);
}

static void fill_section(ph__anatomy *a, int n, float k) {
    ph__section *c = &a->section[n];
    float t, s = (float)n * PH__SECTION_MM;
    int i = find_upper(a, s, &t);
    const ph__vertebra *v = &a->vertebra[i], *w = v + 1;
    const ph__level *l = ph__level_at(v->row), *m = ph__level_at(w->row);
    c->upper = i;
    c->front = ph__mix(v->half[1], w->half[1], t);
    c->half_width = ph__mix(v->half[0], w->half[0], t);
    c->canal_v = ph__mix(v->canal_v, w->canal_v, t);
    c->back = between(l->back, m->back, t, k);
    c->fat = between(l->fat, m->fat, t, k);
    float row = (float)v->row + t;
    c->neck = 1.0f - ph__smooth(7.5f, 9.5f, row);
    c->chest = ph__smooth(8.0f, 10.0f, row) * (1.0f - ph__smooth(19.0f, 21.0f, row));
    fill_canal(c, l, m, t, k);
    float sac = fmaxf(0.05f, 1.0f - ph__smooth(26.0f, 27.5f, row)); // it ends at S2
    c->sac_a *= sac;
    c->sac_b *= sac;
    c->skin_radius = ph__mix(160.0f, 75.0f, c->neck);
    float middle = 0.5f * (v->s + v->half[2] + w->s - w->half[2]);
    float disc = 0.5f * (w->s - w->half[2] - v->s - v->half[2]);
    c->disc_s = middle;
    c->gap = 1.0f - ph__smooth(disc, disc + 5.0f, fabsf(s - middle));
}

static void settle_vertebrae(ph__anatomy *a) {
    for (int i = 0; i < a->n_vertebrae; i++) {
        ph__vertebra *v = &a->vertebra[i];
        const ph__section *c = &a->section[(int)(v->s / PH__SECTION_MM + 0.5f)];
        v->y = c->y;
        v->z = c->z;
        v->sin_tilt = c->sin_tilt;
        v->cos_tilt = c->cos_tilt;
    }
}

/* ---- lesions and pose ---- */

// Lesion i is the same in every session that has it: its place is drawn by arc length, which no
// pose changes, among the sections with a cord that the field of view shows.
static void draw_lesion(ph__anatomy *a, const traits *t, const ph_options *o, int subject, int i) {
    sx_rng r = stream(o, subject, ITEM_LESION + i);
    int low = (int)(a->vertebra[first_seen(a, t)].s / PH__SECTION_MM), high = low;
    int end = low + (int)((o->height_mm - 40.0) / (double)PH__SECTION_MM);
    while (high < end && high < a->n_sections && a->section[high].cord_b >= 2.5f) high++;
    float where = sx_rng_uniform(&r);
    if (high <= low) return;
    const ph__section *c = &a->section[low + (int)(where * (float)(high - low))];
    ph__lesion *x = &a->lesion[a->n_lesions++];
    float side = sx_rng_uniform(&r) < 0.5f ? -1.0f : 1.0f;
    /* One draw a statement: an initialiser list has no order of evaluation. */
    x->u = side * sx_rng_range(&r, 0.1f, 0.6f) * c->cord_a;
    x->v = sx_rng_range(&r, -0.6f, 0.2f) * c->cord_b;
    x->s = (float)(c - a->section) * PH__SECTION_MM;
    x->r[0] = sx_rng_range(&r, 1.4f, 2.8f);
    x->r[1] = sx_rng_range(&r, 1.2f, 2.4f);
    x->r[2] = sx_rng_range(&r, 3.5f, 10.0f);
    x->gain = sx_rng_range(&r, 0.45f, 0.85f);
}

static void draw_lesions(ph__anatomy *a, const traits *t, const ph_options *o, int subject,
                         int session) {
    int n = t->lesions;
    for (int m = 1; m <= session; m++) {
        sx_rng r = stream(o, subject, ITEM_SESSION + m);
        n += (int)sx_rng_int(&r, 1, 2);
    }
    a->n_lesions = 0;
    for (int i = 0; i < n && i < PH__MAX_LESIONS; i++) draw_lesion(a, t, o, subject, i);
}

static void rotation(double m[4][4], int axis, double angle) {
    memset(m, 0, 16 * sizeof m[0][0]);
    int p = (axis + 1) % 3, q = (axis + 2) % 3;
    m[3][3] = m[axis][axis] = 1.0;
    m[p][p] = m[q][q] = cos(angle);
    m[p][q] = -sin(angle);
    m[q][p] = sin(angle);
}

// Rotations about x, y, z and a shift: how the patient lies this time.
static posture draw_pose(ph__anatomy *a, const traits *t, const ph_options *o, int subject,
                         int session) {
    sx_rng r = stream(o, subject, 2 * ITEM_SESSION + session);
    const float most_deg[3] = {2.0f, 1.5f, 3.0f}, most_mm[3] = {1.5f, 4.0f, 5.0f};
    double m[4][4], n[4][4];
    rotation(a->to_body, 0, 0.0);
    for (int c = 0; c < 3; c++) {
        rotation(n, c, (double)(sx_rng_range(&r, -most_deg[c], most_deg[c]) * pi_f / 180.0f));
        im_affine_multiply(a->to_body, n, m);
        memcpy(a->to_body, m, sizeof m);
    }
    for (int c = 0; c < 3; c++)
        a->to_body[c][3] = (double)sx_rng_range(&r, -most_mm[c], most_mm[c]);
    float flexion = sx_rng_range(&r, -5.0f, 5.0f) * pi_f / 180.0f;
    return (posture){t->kyphosis, t->lean_deg * pi_f / 180.0f, flexion};
}

sx_err ph__anatomy_make(ph__anatomy *a, const ph_options *o, int subject, int session) {
    memset(a, 0, sizeof *a);
    if (!(o->height_mm >= 20 && o->height_mm <= 600))
        return sx_fail(SX_E_CONFIG, "phantom height of %g mm is not within 20..600", o->height_mm);
    traits t = draw_traits(a, o, subject);
    posture p = draw_pose(a, &t, o, subject, session);
    stack_vertebrae(a, &t, o, subject);
    float length = a->vertebra[a->n_vertebrae - 1].s + tail_mm;
    a->n_sections = (int)(length / PH__SECTION_MM) + 1;
    a->section = SX_NEW_ARRAY(ph__section, a->n_sections);
    // Patients are laid straight: half of the lean of what will be seen goes.
    p.lean -= 0.5f * mean_tilt(a, &p, &t, (float)o->height_mm);
    integrate_curve(a, &t, &p);
    centre_curve(a, &t, o);
    settle_vertebrae(a);
    for (int n = 0; n < a->n_sections; n++) fill_section(a, n, t.scale);
    draw_lesions(a, &t, o, subject, session);
    return SX_OK;
}

void ph__anatomy_clear(ph__anatomy *a) {
    sx_free(a->section);
    memset(a, 0, sizeof *a);
}
