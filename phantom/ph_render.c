/* Voxels of one body: bone, bodies and discs in the vertebra frames, and the loop that paints all
 * layers. A voxel costs one look-up in a map (y, z) -> (s, v), the soft layers, and only those
 * vertebrae whose box holds it; partial volume comes from soft edges one voxel wide, not from
 * supersampling. */
#include <string.h>
#include "base/sx_mem.h"
#include "phantom/ph__field.h"

static const float cortex_mm = 0.55f, border_mm = 1.6f;
static const float endplate_mm = 1.1f; // as labelled; cartilage and bone
static const float plate_mm = 0.7f;    // of it dark
static const float round_mm = 2.2f;    // edges of a body
static const float fillet_mm = 2.5f;   // where processes meet
static const float uneven_mm = 0.45f;  // roughness of their surface
static const float joint_mm = 0.75f;   // half the space between two bones
static const float blur = 1.3f;        // partial volume in voxels: an image is never pixel-sharp
static const float cortex_signal = 42.0f;
static const float joint_signal = 200.0f; // cartilage and a film of fluid

// Place of a point in a vertebra's own frame.
static void to_vertebra(const ph__vertebra *v, const ph__site *p, float q[3]) {
    float y = p->y - v->y, z = p->z - v->z;
    q[0] = p->u;
    q[1] = y * v->cos_tilt - z * v->sin_tilt;
    q[2] = y * v->sin_tilt + z * v->cos_tilt;
}

/* ---- posterior elements ---- */

static float rod_distance(const ph__rod *r, const float q[3]) {
    float along = 0, length = 1e-6f, e[3];
    for (int c = 0; c < 3; c++) {
        float ab = r->b[c] - r->a[c];
        along += (q[c] - r->a[c]) * ab;
        length += ab * ab;
    }
    float t = ph__clamp01(along / length), k = ph__mix(1.0f, r->taper, t);
    for (int c = 0; c < 3; c++) e[c] = q[c] - ph__mix(r->a[c], r->b[c], t);
    return ph__ellipsoid(e[0], e[1], e[2], k * r->r[0], k * r->r[1], k * r->r[2]);
}

static bool in_box(const ph__vertebra *v, const float q[3]) {
    for (int c = 0; c < 3; c++)
        if (q[c] < v->low[c] || q[c] > v->high[c]) return false;
    return true;
}

static float marrow_texture(const ph__anatomy *a, const ph__vertebra *v, const float q[3]) {
    uint32_t seed = a->texture + 100u * (uint32_t)v->row;
    float fine = ph__noise(seed, q[0] / 1.1f, q[1] / 1.1f, q[2] / 1.4f);
    float coarse = ph__noise(seed + 1, q[0] / 3.6f, q[1] / 3.6f, q[2] / 3.6f);
    return 1.0f + 0.14f * fine + 0.16f * coarse;
}

// The bones near a voxel: the processes of one vertebra, or a pair of ribs.
typedef struct bone {
    const ph__vertebra *v;
    float d, q[3];
    int label;
} bone;

// The nearest processes, the distance to the next ones, so that joints stay open, the nearest rib.
typedef struct nearest {
    bone bone, rib;
    float next;
} nearest;

static void consider(nearest *n, const bone *b) {
    // The pieces of the sacrum are one bone.
    bool same = n->bone.v && n->bone.v->id == b->v->id;
    float farther = fmaxf(b->d, n->bone.d);
    if (b->d < n->bone.d) n->bone = *b;
    if (!same) n->next = fminf(n->next, farther);
}

static void find_processes(const ph__anatomy *a, const ph__vertebra *v, const ph__site *p,
                           nearest *found) {
    bone b = {.v = v, .d = 1e9f}, rib = b;
    float *q = b.q, hard = 1e9f;
    to_vertebra(v, p, q);
    q[0] = fabsf(q[0]);
    if (!in_box(v, q)) return;
    memcpy(rib.q, q, sizeof rib.q);
    for (int n = 0; n < v->n_rods; n++) {
        const ph__rod *r = &v->rod[n];
        float e = rod_distance(r, q);
        if (!r->label) {
            rib.d = fminf(rib.d, e);
            continue;
        }
        b.d = ph__min_round(b.d, e, fillet_mm);
        if (e >= hard) continue;
        hard = e;
        b.label = p->u > 0 ? r->label_right : r->label;
    }
    // An uneven surface: no process is an ellipse.
    float uneven = uneven_mm * ph__noise(a->texture + 100u * (uint32_t)v->row + 2u, p->u / 4.5f,
                                         q[1] / 4.5f, q[2] / 4.5f);
    b.d += uneven;
    rib.d += uneven;
    consider(found, &b);
    if (rib.d < found->rib.d) found->rib = rib;
}

static void paint_bone(const ph__anatomy *a, const bone *b, float d, float soft, ph__ink *ink) {
    if (d > soft) return;
    ph__paint(ink, d, soft, cortex_signal, b->label ? b->v->id : 0, b->label);
    ph__tint(ink, d + 0.9f * cortex_mm, soft, 1.25f * b->v->marrow * marrow_texture(a, b->v, b->q));
}

static void paint_bones(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    // Thoracic spinous processes hang two levels down.
    int first = p->section->upper - 2, last = p->section->upper + 2;
    nearest n = {.bone = {.d = 1e9f}, .rib = {.d = 1e9f}, .next = 1e9f};
    if (first < 0) first = 0;
    if (last >= a->n_vertebrae) last = a->n_vertebrae - 1;
    for (int i = first; i <= last; i++) find_processes(a, &a->vertebra[i], p, &n);
    // Vertebrae part half way; ribs leave them what is theirs.
    ph__tint(ink, fmaxf(n.bone.d, n.next) - 1.0f, p->soft, joint_signal);
    paint_bone(a, &n.rib, fmaxf(n.rib.d, 2.0f * joint_mm - n.bone.d), p->soft, ink);
    paint_bone(a, &n.bone, fmaxf(n.bone.d, 0.5f * (n.bone.d - n.next) + joint_mm), p->soft, ink);
}

/* ---- bodies and discs ---- */

// Outline of a body or disc seen from above: superellipse with a hollow back. 1 on the rim.
static float outline(float u, float v, float hx, float hy) {
    float x = fabsf(u) / hx;
    if (v < 0) hy *= 0.90f + 0.12f * fminf(1.0f, x * x);
    float y = fabsf(v) / hy;
    return powf(x * x * sqrtf(x) + y * y * sqrtf(y), 0.4f);
}

typedef struct body_site {
    float q[3];
    float rho;         // 0 axis, 1 rim
    float side;        // distance to the side wall, mm
    float end;         // distance to the nearer end-plate, mm
    float top, bottom; // signed: beyond the upper, the lower end-plate
} body_site;

static body_site locate(const ph__vertebra *v, const ph__site *p) {
    body_site b;
    to_vertebra(v, p, b.q);
    float hx = v->half[0], hy = v->half[1], hz = v->half[2];
    float w = fminf(1.0f, fabsf(b.q[2]) / hz), waist = 1.0f - 0.09f * (1.0f - w * w);
    if (v->row == PH__C2) waist *= 1.0f - 0.13f * (1.0f + (b.q[2] > 0 ? w : -w)); // tapers upwards
    b.rho = outline(b.q[0], b.q[1], hx * waist, hy * waist);
    b.side = (b.rho - 1.0f) * fminf(hx, hy) * waist;
    float hollow = ph__is_cervical(v->row) ? 0.05f : 0.07f;
    float r = fminf(1.0f, b.rho), dish = hz * (1.0f - hollow * (1.0f - r * r));
    float uncus =
        ph__is_cervical(v->row) ? 1.8f * ph__smooth(0.6f, 1.0f, fabsf(b.q[0]) / hx) : 0.0f;
    b.top = b.q[2] - dish - uncus;
    b.bottom = -b.q[2] - dish;
    b.end = fmaxf(b.top, b.bottom);
    return b;
}

static float body_signal(const ph__anatomy *a, const ph__vertebra *v, const body_site *b) {
    float signal = v->marrow * marrow_texture(a, v, b->q);
    if (v->spot_gain > 0) {
        float d = hypotf(hypotf(b->q[0] - v->spot[0], b->q[1] - v->spot[1]), b->q[2] - v->spot[2]);
        signal *= 1.0f + v->spot_gain * ph__smooth(v->spot[3], 0.6f * v->spot[3], d);
    }
    // Basivertebral vein: a bright wedge from the back into the middle.
    float vein = ph__ellipsoid(b->q[0], b->q[1] + v->half[1], b->q[2], 4.0f, 0.75f * v->half[1],
                               0.09f * v->half[2] + 0.7f);
    signal *= 1.0f + 0.55f * ph__smooth(0.8f, -0.8f, vein);
    return signal * (1.0f + v->modic * ph__smooth(-6.0f, -2.0f, b->bottom));
}

// C2 goes on into the dens; the pieces of the sacrum into each other.
static float body_distance(const ph__vertebra *v, const body_site *b) {
    float d = ph__max_round(b->side, b->end, round_mm);
    return v->row == PH__C2 ? ph__min_round(d, rod_distance(&v->dens, b->q), 5.0f) : d;
}

// Distance to the nearer end-plate that the body has: none above C2 and inside the sacrum.
static float plate_distance(const ph__vertebra *v, const body_site *b) {
    if (v->row == PH__S1) return b->top;
    return v->row == PH__C2 ? b->bottom : ph__is_sacral(v->row) ? -1e9f : b->end;
}

static void paint_body(const ph__anatomy *a, const ph__vertebra *v, const ph__site *p,
                       const body_site *b, ph__ink *ink) {
    float d = body_distance(v, b), side = v->row == PH__C2 ? d : b->side;
    if (d > p->soft) return;
    float end = plate_distance(v, b);
    bool plate = end > -endplate_mm;
    int region = plate                   ? SP_ENDPLATE
                 : ph__is_sacral(v->row) ? SP_SACRUM
                 : side > -border_mm     ? SP_CORPUS_BORDER
                                         : SP_CORPUS;
    ph__paint(ink, d, p->soft, cortex_signal, v->id + (plate ? SP_ENDPLATE_OF : 0), region);
    float inner = v->row == PH__C2
                      ? fmaxf(d + cortex_mm, end + plate_mm)
                      : ph__max_round(side + cortex_mm, fmaxf(b->end, end + plate_mm), round_mm);
    ph__tint(ink, inner, p->soft, body_signal(a, v, b));
}

static float disc_texture(const ph__anatomy *a, const ph__vertebra *v, const body_site *b,
                          float rho, float edge_mm, float middle_mm) {
    float nucleus = ph__smooth(0.75f, 0.42f, rho) * ph__smooth(0.0f, 1.4f, edge_mm);
    float cleft = 1.0f - 0.3f * ph__smooth(1.0f, 0.2f, middle_mm) * (v->disc_signal > 200.0f);
    float ring = ph__mix(155.0f, 62.0f, ph__smooth(0.6f, 1.0f, rho));
    float grain =
        ph__noise(a->texture + 100u * (uint32_t)v->row + 3u, b->q[0] / 3, b->q[1] / 3, b->q[2] / 2);
    return ph__mix(ring, v->disc_signal * cleft, nucleus) * (1.0f + 0.15f * grain);
}

// The disc fills what the two end-plates leave; it may bulge to the back.
static float disc_distance(const ph__vertebra *v, const ph__vertebra *w, const body_site *up,
                           const body_site *low, float *rho) {
    float u = up->q[0], y = 0.5f * (up->q[1] + low->q[1]);
    float hx = 0.5f * (v->half[0] + w->half[0]) - 0.2f,
          hy = 0.5f * (v->half[1] + w->half[1]) - 0.3f;
    float off = (u - v->bulge_u) / 6.5f;
    if (y < 0) hy += v->bulge * expf(-off * off);
    *rho = outline(u, y, hx, hy);
    float side = (*rho - 1.0f) * fminf(hx, hy);
    // up->bottom > 0 below the upper body, low->top > 0 above the lower one
    return ph__max_round(side, fmaxf(-up->bottom, -low->top), 1.0f);
}

static void paint_column(const ph__anatomy *a, const ph__site *p, ph__ink *ink) {
    const ph__section *c = p->section;
    if (fabsf(p->v) > c->front + 6.0f || fabsf(p->u) > c->half_width + 5.0f) return;
    const ph__vertebra *v = &a->vertebra[c->upper], *w = v + 1;
    body_site up = locate(v, p), low = locate(w, p);
    bool atlas = v->row == PH__C1;
    float rho = 0, disc = atlas ? 1e9f : disc_distance(v, w, &up, &low, &rho);
    float upper = atlas ? 1e9f : body_distance(v, &up);
    float all = fminf(disc, fminf(upper, body_distance(w, &low)));
    ph__tint(ink, all - 0.35f, p->soft, 60.0f); // longitudinal ligaments
    bool fused = ph__is_sacral(v->row);
    if (disc < p->soft)
        ph__paint(ink, disc, p->soft,
                  disc_texture(a, v, &up, rho, fminf(up.bottom, low.top),
                               0.5f * fabsf(up.bottom - low.top)),
                  fused ? SP_SACRUM : v->id + SP_DISC_BELOW, fused ? SP_SACRUM : SP_DISC);
    if (!atlas) paint_body(a, v, p, &up, ink);
    paint_body(a, w, p, &low, ink);
}

static ph__layer *const layers[] = {ph__paint_flesh, ph__paint_front, ph__paint_foramen,
                                    paint_bones,     ph__paint_canal, ph__paint_cord,
                                    paint_column};

/* ---- the map (y, z) -> (s, v) ---- */

typedef struct spine_map {
    int64_t ny, nz;
    float y0, z0; // first node; nodes are 1 mm apart
    float (*sv)[2];
} spine_map;

static int section_index(const ph__anatomy *a, float s) {
    int n = (int)(s / PH__SECTION_MM + 0.5f);
    return n < 0 ? 0 : n >= a->n_sections ? a->n_sections - 1 : n;
}

// Foot of the perpendicular from (y, z) on the curve, by repeated projection on the tangent. The
// curve bends by less than 1/150 mm, so that the error shrinks at least by 0.6 a step within 90 mm.
static void project(const ph__anatomy *a, float y, float z, float s, float sv[2]) {
    for (int step = 0; step < 12; step++) {
        int n = section_index(a, s);
        const ph__section *c = &a->section[n];
        float dy = y - c->y, dz = z - c->z;
        s = (float)n * PH__SECTION_MM - (dy * c->sin_tilt + dz * c->cos_tilt);
        sv[0] = s;
        sv[1] = dy * c->cos_tilt - dz * c->sin_tilt;
    }
}

static sx_err map_make(spine_map *m, const ph__anatomy *a, const ph_options *o) {
    const float margin = 30.0f;
    m->y0 = -(float)o->depth_mm / 2 - margin;
    m->z0 = -(float)o->height_mm / 2 - margin;
    m->ny = (int64_t)(o->depth_mm + 2.0 * (double)margin) + 2;
    m->nz = (int64_t)(o->height_mm + 2.0 * (double)margin) + 2;
    m->sv = sx_try_alloc(m->ny * m->nz, sizeof *m->sv);
    if (!m->sv) return sx_fail(SX_E_NOMEM, "no memory for the map of a phantom");
    for (int64_t k = 0; k < m->nz; k++) {
        float z = m->z0 + (float)k, s = a->section[0].z - z;
        for (int64_t j = 0; j < m->ny; j++)
            project(a, m->y0 + (float)j, z, s, m->sv[k * m->ny + j]);
    }
    return SX_OK;
}

static float clamp_index(float x, int64_t n) {
    float top = (float)(n - 1) - 0.001f;
    return x < 0.0f ? 0.0f : x > top ? top : x;
}

static void map_sample(const spine_map *m, float y, float z, float sv[2]) {
    float fy = clamp_index(y - m->y0, m->ny), fz = clamp_index(z - m->z0, m->nz);
    int64_t j = (int64_t)fy, k = (int64_t)fz;
    fy -= (float)j;
    fz -= (float)k;
    const float(*p)[2] = &m->sv[k * m->ny + j], (*q)[2] = p + m->ny;
    for (int c = 0; c < 2; c++)
        sv[c] = ph__mix(ph__mix(p[0][c], p[1][c], fy), ph__mix(q[0][c], q[1][c], fy), fz);
}

/* ---- volumes ---- */

static ph__ink paint_voxel(const ph__anatomy *a, const spine_map *m, const double body[3],
                           float soft) {
    ph__site p = {.y = (float)body[1], .z = (float)body[2], .soft = soft};
    float sv[2];
    map_sample(m, p.y, p.z, sv);
    p.s = sv[0];
    p.v = sv[1];
    p.section = &a->section[section_index(a, p.s)];
    p.u = (float)body[0] - p.section->x;
    ph__ink ink = {0, 0, 0};
    for (size_t n = 0; n < sizeof layers / sizeof *layers; n++) layers[n](a, &p, &ink);
    ink.signal *= ph__coil_gain(a, &p);
    return ink;
}

static void render(ph_subject *s, const ph__anatomy *a, const spine_map *m, float soft) {
    const int64_t *dim = s->truth.dim;
    double to_body[4][4];
    im_affine_multiply(a->to_body, s->truth.affine, to_body);
    for (int64_t k = 0, at = 0; k < dim[2]; k++)
        for (int64_t j = 0; j < dim[1]; j++)
            for (int64_t i = 0; i < dim[0]; i++, at++) {
                double voxel[3] = {(double)i, (double)j, (double)k}, body[3];
                im_affine_apply(to_body, voxel, body);
                ph__ink ink = paint_voxel(a, m, body, soft);
                s->truth.voxel[at] = ink.signal;
                s->instance.voxel[at] = (float)ink.instance;
                s->subregion.voxel[at] = (float)ink.subregion;
            }
}

// "PIR", centred on the world's origin.
static void place_grid(im_volume *v, double iso_mm) {
    memset(v->affine, 0, sizeof v->affine);
    v->affine[1][0] = v->affine[2][1] = -iso_mm;
    v->affine[0][2] = iso_mm;
    v->affine[3][3] = 1.0;
    v->affine[1][3] = 0.5 * iso_mm * (double)(v->dim[0] - 1);
    v->affine[2][3] = 0.5 * iso_mm * (double)(v->dim[1] - 1);
    v->affine[0][3] = -0.5 * iso_mm * (double)(v->dim[2] - 1);
}

sx_err ph_subject_make(ph_subject *s, const ph_options *o, int subject, int session) {
    ph__anatomy a = {.n_vertebrae = 0};
    spine_map map = {.sv = NULL};
    sx_err rc;
    memset(s, 0, sizeof *s);
    if (!(o->iso_mm > 0.2 && o->width_mm >= o->iso_mm && o->depth_mm >= o->iso_mm))
        return sx_fail(SX_E_CONFIG, "phantom of %g x %g mm in voxels of %g mm", o->width_mm,
                       o->depth_mm, o->iso_mm);
    const int64_t dim[3] = {(int64_t)rint(o->depth_mm / o->iso_mm),
                            (int64_t)rint(o->height_mm / o->iso_mm),
                            (int64_t)rint(o->width_mm / o->iso_mm)};
    im_volume *volume[3] = {&s->truth, &s->instance, &s->subregion};
    SX_TRY(rc, ph__anatomy_make(&a, o, subject, session));
    SX_TRY(rc, map_make(&map, &a, o));
    for (int n = 0; n < 3; n++) {
        SX_TRY(rc, im_volume_init(volume[n], dim));
        place_grid(volume[n], o->iso_mm);
    }
    render(s, &a, &map, blur * (float)o->iso_mm);
out:
    if (rc != SX_OK) ph_subject_clear(s);
    sx_free(map.sv);
    ph__anatomy_clear(&a);
    return rc;
}

void ph_subject_clear(ph_subject *s) {
    im_volume_clear(&s->truth);
    im_volume_clear(&s->instance);
    im_volume_clear(&s->subregion);
}
