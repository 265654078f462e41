/* Phantom: a parametric spine and the scans that a scanner would make of it.
 *
 * Anatomy (one subject): curved column of vertebrae with end-plates and waist, discs, pedicles,
 * laminae, spinous and transverse processes, foramina, canal, CSF, cord with optional lesions,
 * muscle, fat, skin; T2w-like tissue contrast and texture. Sessions of a subject share the anatomy
 * and differ in pose, lesions and acquisition. Everything is a pure function of (seed, subject,
 * session); no files. Labels are SPINEPS': vertebra instances 1..25, 26 sacrum, discs 100+,
 * end-plates 200+; sub-regions 41..50, 60 cord, 61 canal/CSF, 62 end-plate, 100 disc. Not
 * collective. */
#ifndef PH_PHANTOM_H
#define PH_PHANTOM_H

#include <stdbool.h>
#include <stdint.h>
#include "image/im_volume.h"

typedef struct ph_options {
    uint64_t seed;
    double iso_mm;    /* voxel of the truth, 0.8571                             */
    double height_mm; /* field of view head-foot, e.g. 240                       */
    double width_mm;  /* left-right, e.g. 60                                     */
    double depth_mm;  /* front-back, e.g. 150                                    */
} ph_options;

/* One body in one pose, at one resolution. Zero before; ph_subject_clear frees. */
typedef struct ph_subject {
    im_volume truth;     /* T2w signal, isotropic, about 0..1000     */
    im_volume instance;  /* SPINEPS vertebra instances               */
    im_volume subregion; /* SPINEPS sub-regions                      */
} ph_subject;
/* subject and session count from 0. The truth is "PIR", centred on the world's origin.
 * Errors: SX_E_CONFIG (a size out of range), SX_E_NOMEM. */
sx_err ph_subject_make(ph_subject *s, const ph_options *o, int subject, int session);
void ph_subject_clear(ph_subject *s);

/* A scan of the truth. Slices lie on the world's axes; the scan covers the truth's box (sagittal:
 * all of it), centred. Axis codes are "LAS" for axial, "PSR" for sagittal scans. */
typedef struct ph_scan_options {
    double spacing_mm[3];  /* of the scan: through-plane entry is the slice spacing */
    double thickness_mm;   /* slice profile width (SLR)                              */
    bool axial;            /* else sagittal                                          */
    double motion_mm;      /* shift of every second slice towards the back; 0 none   */
    double bias;           /* strength of the smooth gain, 0..1                      */
    double noise;          /* Rician sigma as a share of the 99th percentile          */
    double from_mm, to_mm; /* part covered (chunk), measured down from the upper edge   */
    uint64_t key;          /* of the noise                                           */
} ph_scan_options;
/* `scan` must be zeroed. The scan's affine is true world space. The noise depends on (key, slice),
 * the gain on key and place. Errors: SX_E_CONFIG (a number out of range), SX_E_NOMEM. */
sx_err ph_scan(im_volume *scan, const im_volume *truth, const ph_scan_options *o);

#endif
