/* Soft tissue in the spine frame: skin, fat and muscle of the back, what lies in front of the
 * column, neural foramina, canal, cord. Each layer is one painter; shapes are signed distances,
 * texture is value noise stretched along the fibres. Signals are those of a T2-weighted turbo spin
 * echo: liquor brightest, fat bright (fast echo train), cord in the middle, muscle dark, ligament,
 * cortex, air and flowing blood black. */
#include "phantom/ph__field.h"

enum { // signals that do not vary with the subject
    AIR = 4,
    VOID = 22,
    LIGAMENT = 55,
    DERMIS = 230
};

static float skin_distance(const ph__anatomy *a, const ph__site *p) {
    const ph__section *c = p->section;
    float r = c->skin_radius, u = fminf(fabsf(p->u), 0.95f * r);
    float wave = 2.0f * ph__noise(a->texture + 1, p->u / 40.0f, p->s / 28.0f, 0.5f);
    return -c->back + r - sqrtf(r * r - u * u) + wave - p->v;
}

float ph__coil_gain(const ph__anatomy *a, const ph__site *p) {
    float x = fmaxf(0.0f, -skin_distance(a, p)) / a->coil_mm;
    float saturation = ph__smooth(16.0f, 34.0f, p->v - p->section->front);
    return (1.0f - 0.45f * saturation) / (1.0f + 0.9f * x * x);
}

/* ---- the back ---- */

static float muscle(const ph__anatomy *a, const ph__site *p) {
    uint32_t seed = a->texture;
    float grain = ph__noise(seed + 2, p->u / 1.8f, p->v / 1.8f, p->s / 9.0f);
    float belly = ph__noise(seed + 3, p->u / 11.0f, p->v / 9.0f, p->s / 50.0f);
    float fascia = 1.0f - ph__smooth(0.03f, 0.16f, fabsf(belly));
    float streak = ph__noise(seed + 4, p->u / 3.2f, (p->v + 0.25f * p->s) / 3.0f, p->s / 22.0f);
    float fat = ph__smooth(0.62f - 0.55f * a->fatty, 0.95f - 0.4f * a->fatty, streak);
    fat = fmaxf(0.75f * fat, 0.45f * fascia);
    return ph__mix(a->muscle_signal * (1.0f + 0.28f * grain + 0.15f * belly), 0.75f * a->fat_signal,
                   fat);
}

// Between the spinous processes and behind them in the neck: ligament with fat in it.
static float midline(const ph__anatomy *a, const ph__site *p) {
    float x = ph__noise(a->texture + 5, p->u / 3.0f, (p->v - 0.6f * p->s) / 7.0f,
                        (p->s + 0.5f * p->v) / 2.6f);
    float y = ph__noise(a->texture + 6, p->u / 4.0f, p->v / 9.0f, p->s / 9.0f);
    return ph__mix(105.0f, 0.5f * a->fat_signal, ph__smooth(-0.5f, 0.8f, 0.8f * x + 0.7f * y));
}

static float subcutis(const ph__anatomy *a, const ph__site *p) {
    float septum =
        ph__noise(a->texture + 7, p->u / 12.0f, (p->v + 0.35f * p->s) / 4.0f, p->s / 26.0f);
    float lobe = ph__noise(a->texture + 8, p->u / 9.0f, p->v / 6.0f, p->s / 14.0f);
    float dark = 1.0f - ph__smooth(0.0f, 0.3f, fabsf(septum));
    return a->fat_signal * (1.0f + 0.10f * lobe - 0.22f * dark);
}

void ph__paint_flesh(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    float skin = skin_distance(a, p);
    *ink = (ph__ink){AIR, 0, 0};
    if (skin > 3.0f * p->soft) return;
    ph__tint(ink, skin, p->soft, DERMIS);
    ph__tint(ink, skin + 1.9f, p->soft, subcutis(a, p));
    float deep = skin + p->section->fat + 1.5f * ph__noise(a->texture + 9, p->u / 20, p->s / 20, 0);
    if (deep > p->soft) return;
    float inner = muscle(a, p), septum = expf(-0.09f * p->u * p->u);
    if (septum > 0.02f) inner = ph__mix(inner, midline(a, p), septum);
    ph__tint(ink, deep, p->soft, 0.5f * inner + 25.0f); // fascia
    ph__tint(ink, deep + 1.6f, p->soft, inner);
}

/* ---- in front of the column ---- */

// A round or oval tube along the spine: wall, then content.
static void tube(ph__ink *ink, const ph__site *p, float u, float v, float ru, float rv,
                 float wall_mm, float wall, float content) {
    float d = ph__ellipse(p->u - u, p->v - v, ru, rv);
    ph__tint(ink, d, p->soft, wall);
    ph__tint(ink, d + wall_mm, p->soft, content);
}

static void neck_front(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    const ph__section *c = p->section;
    float f = c->front, wander = 2.0f * ph__noise(a->texture + 12, p->s / 40.0f, 0.3f, 0.7f);
    float pharynx = ph__noise(a->texture + 13, p->s / 26.0f, 0.1f, 0.2f);
    float long_neck = ph__ellipse(fabsf(p->u) - 7.0f, p->v - f - 1.5f, 6.0f, 3.6f);
    ph__tint(ink, long_neck, p->soft, 1.15f * a->muscle_signal);
    tube(ink, p, -1.5f + wander, f + 8.5f, 9.0f, 3.2f, 1.6f, 1.5f * a->muscle_signal, 210.0f);
    tube(ink, p, wander, f + 21.0f + 2.0f * pharynx, 8.5f, 8.0f + 2.5f * pharynx, 1.8f, 150.0f,
         AIR);
    for (int side = -1; side <= 1; side += 2) {
        tube(ink, p, (float)side * 21.0f, f + 9.0f, 3.3f, 3.3f, 0.8f, 150.0f, VOID);
        tube(ink, p, (float)side * (c->half_width + 4.4f), -0.25f * f, 2.1f, 2.1f, 0.5f, 190.0f,
             VOID);
    }
}

static void chest_front(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    float f = p->section->front, u = fabsf(p->u + 2.0f);
    float lung = 16.0f + 6.0f * ph__noise(a->texture + 14, p->s / 30.0f, p->v / 25.0f, 0.4f) - u +
                 0.25f * fmaxf(0.0f, p->v - f - 6.0f);
    float bronchi = ph__noise(a->texture + 15, p->u / 4, p->v / 4, p->s / 5);
    ph__tint(ink, ph__max_round(lung, -4.0f - 0.3f * u - p->v, 4.0f), p->soft,
             24.0f + 55.0f * ph__smooth(0.35f, 0.7f, bronchi));
    float beat = ph__noise(a->texture + 16, p->u / 14, p->v / 12, p->s / 16);
    ph__tint(ink, 24.0f + f - p->v + 3.0f * beat, p->soft,
             60.0f + 70.0f * ph__smooth(0.1f, 0.5f, beat));
    tube(ink, p, 3.0f, f + 7.0f, 7.0f, 3.6f, 1.7f, 140.0f, 200.0f);
    tube(ink, p, 7.0f, f + 2.8f, 2.6f, 2.4f, 0.5f, 160.0f, VOID);     // azygos vein
    tube(ink, p, -13.0f, f + 6.0f, 11.0f, 11.0f, 1.3f, 130.0f, VOID); // aorta
}

static void belly_front(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    float f = p->section->front;
    float bowel = ph__noise(a->texture + 17, p->u / 17, p->v / 15, p->s / 17);
    float wall = fabsf(ph__noise(a->texture + 18, p->u / 9, p->v / 9, p->s / 9));
    float loop =
        ph__mix(130.0f, 420.0f, ph__smooth(0.0f, 0.5f, bowel)) * ph__smooth(0.0f, 0.1f, wall);
    ph__tint(ink, 26.0f + f - p->v, p->soft, loop);
    for (int side = -1; side <= 1; side += 2) // psoas
        ph__tint(ink,
                 ph__ellipse(p->u - (float)side * (p->section->half_width + 11.0f), p->v + 4.0f,
                             13.0f, 19.0f),
                 p->soft, muscle(a, p));
    tube(ink, p, -6.0f, f + 10.0f, 8.5f, 8.5f, 1.2f, 140.0f, VOID); // aorta
    tube(ink, p, 13.0f, f + 9.0f, 9.5f, 7.5f, 0.8f, 140.0f, VOID);  // vena cava
}

void ph__paint_front(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    const ph__section *c = p->section;
    if (p->v < -c->front) return;
    uint32_t seed = a->texture;
    float coarse = ph__noise(seed + 11, p->u / 9, p->v / 7, p->s / 16);
    float fine = ph__noise(seed + 26, p->u / 3, p->v / 3, p->s / 7);
    float fat = ph__smooth(-0.25f, 0.35f, coarse + 0.6f * fine);
    float loose = ph__mix(1.2f * a->muscle_signal, 0.6f * a->fat_signal, fat);
    // Beside the column muscle reaches further to the front.
    float edge = c->front + 2.0f + 0.35f * fmaxf(0.0f, fabsf(p->u) - 10.0f) +
                 5.0f * ph__noise(seed + 10, p->u / 8, p->s / 15, 0.9f);
    ph__tint(ink, edge - p->v, 4.0f * p->soft, loose);
    // Regions cross-fade where they meet.
    static ph__layer *const region[3] = {neck_front, chest_front, belly_front};
    const float share[3] = {c->neck, c->chest, 1.0f - c->neck - c->chest};
    float sum = 0.0f;
    for (int n = 0; n < 3; n++) {
        if (share[n] <= 0.0f) continue;
        ph__ink own = *ink;
        region[n](a, p, &own);
        sum += share[n] * own.signal;
    }
    ink->signal = sum;
}

/* ---- foramina, canal, cord ---- */

void ph__paint_foramen(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    const ph__section *c = p->section;
    float u = fabsf(p->u), d = ph__ellipse(p->u, p->v - c->canal_v, c->canal_a, c->canal_b);
    if (u > c->canal_a + 16.0f || d > 16.0f) return;
    ph__tint(ink, d - 2.4f, p->soft, LIGAMENT + 20.0f); // yellow ligament, capsule
    float v = p->v - c->canal_v - 1.5f, w = p->s - c->disc_s;
    float hole = ph__ellipsoid(u - c->canal_a - 2.0f, v, w + 1.0f, 9.0f, 4.8f, 7.5f) +
                 0.8f * ph__noise(a->texture + 24, u / 3, v / 3, w / 3);
    float lobe = 0.72f + 0.25f * ph__noise(a->texture + 25, p->u / 3, v / 3, w / 3);
    ph__tint(ink, hole, p->soft, lobe * a->fat_signal);
    float fall = 0.35f * (u - c->canal_a);
    float root = hypotf(v + 0.3f, w + 2.0f - fall) - 2.1f;
    ph__tint(ink, fmaxf(root, c->canal_a - 4.0f - u), p->soft, 190.0f);
}

static float liquor(const ph__anatomy *a, const ph__site *p, float depth) {
    // Pulsating liquor loses signal in patches, most of all behind the thoracic cord.
    float flow = ph__noise(a->texture + 20, p->u / 3.5f, p->v / 3.0f, p->s / 9.0f);
    float where = p->section->chest * ph__smooth(1.0f, -4.0f, p->v - p->section->cord_v);
    float loss = 0.06f + 0.30f * where;
    return a->csf_signal * (1.0f - loss * ph__smooth(-0.1f, 0.6f, flow)) *
           ph__mix(0.9f, 1.0f, ph__clamp01(depth));
}

// Strands of the cauda equina: they sink to the back of the sac.
static float strands(const ph__anatomy *a, const ph__site *p, float liquor_signal) {
    const ph__section *c = p->section;
    float x = ph__noise(a->texture + 21, p->u / 1.5f, p->v / 1.5f, p->s / 45.0f);
    float behind = ph__smooth(0.35f, -0.6f, (p->v - c->canal_v) / c->sac_b);
    float present = ph__smooth(3.2f, 1.5f, c->cord_b);
    return ph__mix(liquor_signal, 330.0f, 0.8f * present * behind * ph__smooth(-0.1f, 0.25f, x));
}

void ph__paint_canal(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    const ph__section *c = p->section;
    float v = p->v - c->canal_v, d = ph__ellipse(p->u, v, c->canal_a, c->canal_b);
    if (d > 2.0f * p->soft) return;
    float plexus = 150.0f + 90.0f * ph__noise(a->texture + 22, p->u / 3, p->v / 3, p->s / 6);
    float fat = ph__smooth(0.0f, -0.4f * c->canal_b, v) * ph__mix(0.5f, 1.0f, c->gap);
    ph__paint(ink, d, p->soft, ph__mix(plexus, 0.85f * a->fat_signal, fat), 0, SP_CANAL);
    // Where the laminae leave a gap, fat fills a wedge behind the sac.
    float wedge = (1.0f - c->neck) * c->gap * 1.4f * expf(-0.06f * p->u * p->u);
    float sac = ph__ellipse(p->u, p->v - c->sac_v, c->sac_a, c->sac_b) + (v < 0 ? wedge : 0.0f);
    ph__tint(ink, sac - 0.35f, p->soft, 90.0f); // dura
    ph__tint(ink, sac + 0.35f, p->soft, strands(a, p, liquor(a, p, -sac)));
}

// Butterfly of the grey matter in units of the cord's half axes; returns a distance in mm.
static float grey_matter(const ph__section *c, float u, float v) {
    float x = fabsf(u) / c->cord_a, y = v / c->cord_b;
    float front = ph__ellipse(x - 0.30f, y - 0.22f, 0.18f, 0.30f);
    float back = ph__ellipse(x - 0.30f - 0.2f * (0.2f - y), y + 0.30f, 0.09f, 0.40f);
    float bridge = fmaxf(fabsf(y + 0.02f) - 0.09f, x - 0.3f);
    return fminf(front, fminf(back, bridge)) * c->cord_b;
}

void ph__paint_cord(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    const ph__section *c = p->section;
    if (c->cord_b < 0.3f) return;
    float v = p->v - c->cord_v, d = ph__ellipse(p->u, v, c->cord_a, c->cord_b);
    if (d > p->soft) return;
    float white =
        a->cord_signal * (1.0f + 0.05f * ph__noise(a->texture + 23, p->u, p->v, p->s / 4));
    ph__paint(ink, d, p->soft, white, 0, SP_CORD);
    ph__tint(ink, fmaxf(d, grey_matter(c, p->u, v)), 1.5f * p->soft, 1.2f * white);
    for (int i = 0; i < a->n_lesions; i++) {
        const ph__lesion *x = &a->lesion[i];
        float e = ph__ellipsoid(p->u - x->u, v - x->v, p->s - x->s, x->r[0], x->r[1], x->r[2]);
        if (e < 2.0f) ph__tint(ink, fmaxf(d, e), 2.0f * p->soft, white * (1.0f + x->gain));
    }
}
