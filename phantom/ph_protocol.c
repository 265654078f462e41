/* Protocols, chunks and the random numbers of acquisitions (ph_protocol.h). Streams lie beyond
 * those of the anatomy (ph_anatomy.c), 16 a session: the number of chunks, then one a scan. */
#include "phantom/ph_protocol.h"
#include <math.h>
#include <string.h>
#include "base/sx_rng.h"

static const ph_protocol axial = {"ax", true, {0.6, 0.6, 5.0}, 4.0, 4.5, 0.095};
static const ph_protocol sagittal = {"sag", false, {0.8, 0.8, 3.3}, 3.0, 3.6, 0.105};

static const double overlap_mm = 20.0; // of neighbouring chunks
static const float most_motion_mm = 1.5f;

static sx_rng stream(const ph_options *o, int subject, int session, int item) {
    const int first = 4096;
    return sx_rng_make(o->seed, SX_RNG_PHANTOM, (uint64_t)subject,
                       (uint64_t)(first + 16 * session + item));
}

// n stretches of equal length, whole slices each, cover the field of view and have at least
// `overlap_mm` in common (less where the field of view is short).
static void plan_chunk(double height_mm, int n, int i, ph_scan_options *s) {
    const double slice_mm = s->spacing_mm[2];
    double common = n > 1 ? fmin(overlap_mm, 0.25 * height_mm / n) : 0.0;
    double length = slice_mm * ceil((height_mm + (n - 1) * common) / n / slice_mm - 1e-9);
    if (n == 1 || length > height_mm) length = height_mm;
    s->from_mm = n > 1 ? i * (height_mm - length) / (n - 1) : 0.0;
    s->to_mm = fmin(s->from_mm + length, height_mm);
}

static ph_planned_scan plan_scan(const ph_protocol *p, const ph_session_options *how, sx_rng r) {
    ph_planned_scan x = {.protocol = p,
                         .scan = {.thickness_mm = p->thickness_mm,
                                  .axial = p->axial,
                                  .bias = how->bias,
                                  .noise = how->noise}};
    memcpy(x.scan.spacing_mm, p->spacing_mm, sizeof x.scan.spacing_mm);
    if (p->axial && how->axial_mm > 0) x.scan.spacing_mm[2] = how->axial_mm;
    if (p->axial && how->thickness_mm > 0) x.scan.thickness_mm = how->thickness_mm;
    /* One draw a statement: their order is part of the scan's bytes. */
    if (p->axial && (double)sx_rng_uniform(&r) < how->motion)
        x.scan.motion_mm = (double)sx_rng_range(&r, -most_motion_mm, most_motion_mm);
    x.scan.key = (uint64_t)sx_rng_u32(&r) << 32;
    x.scan.key |= sx_rng_u32(&r);
    return x;
}

int ph_plan_session(const ph_options *o, const ph_session_options *how, int subject, int session,
                    ph_planned_scan list[PH_MAX_SCANS]) {
    sx_rng r = stream(o, subject, session, 0);
    int n = (int)sx_rng_int(&r, 2, 4);
    double height_mm = rint(o->height_mm / o->iso_mm) * o->iso_mm; // of the truth
    if (how->chunks > 0) n = how->chunks;
    list[0] = plan_scan(&sagittal, how, stream(o, subject, session, 1));
    list[0].scan.to_mm = height_mm;
    for (int i = 0; i < n; i++) {
        list[1 + i] = plan_scan(&axial, how, stream(o, subject, session, 2 + i));
        list[1 + i].chunk = n > 1 ? i + 1 : 0;
        plan_chunk(height_mm, n, i, &list[1 + i].scan);
    }
    return 1 + n;
}
