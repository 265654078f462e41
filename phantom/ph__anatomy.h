/* Anatomy of one phantom in one session: plain numbers that the renderer reads, no voxels.
 *
 * Frames (mm). World: RAS+, as im_volume. Body: world after the inverse of the session's pose; the
 * spine lies in it as a curve in the y-z plane with a small lateral offset. Spine: (u, v, s) =
 * right, anterior, and arc length down the curve through the vertebral body centres; soft tissue,
 * canal and cord live here. Vertebra: (u, v, w) = right, anterior, superior about one body centre,
 * rigid; bone lives here, so that bodies keep their shape when the spine bends and discs take up
 * the wedge.
 *
 * Life cycle: ph__anatomy_make once a (subject, session), ph__anatomy_clear at the end. */
#ifndef PH__ANATOMY_H
#define PH__ANATOMY_H

#include "phantom/ph_phantom.h"
#include "spine/sp_labels.h"

/* Rows of the table of levels. */
#define PH__C1 1
#define PH__C2 2
#define PH__T1 8
#define PH__L1 20
#define PH__S1 25 /* row of the table; S1 to S5 are one bone, SP_SACRUM */
#define PH__LEVELS 29

/* Adult mean dimensions of one level (mm, degrees). */
typedef struct ph__level {
    float height, depth, width;    /* of the body                                         */
    float disc;                    /* height of the disc below                            */
    float tilt_deg;                /* lean of the body axis towards the front             */
    float canal_ap, canal_width;   /* bony canal                                          */
    float cord_ap, cord_width;     /* 0: below the conus                                  */
    float spine_length, spine_deg; /* spinous process and its angle below the body's axis */
    float blade;                   /* half height of the spinous process                  */
    float transverse;              /* tip of the transverse process from the midline      */
    float pedicle_u, pedicle_w;    /* half width, half height of the pedicle              */
    float lamina;                  /* half height of the lamina                           */
    float back, fat;               /* body centre to skin; subcutaneous fat               */
} ph__level;

/* Row 1 is C1, 8 T1, 20 L1, 25 S1, 29 S5; row 0 is not used. */
const ph__level *ph__level_at(int row);
bool ph__is_cervical(int row);
bool ph__is_thoracic(int row);
bool ph__is_lumbar(int row);
bool ph__is_sacral(int row);

/* A tapering bar with elliptic section, the brick of the posterior elements; drawn for |u|, so one
 * rod is a left and a right bar, or one across the midline. */
typedef struct ph__rod {
    float a[3], b[3]; /* ends (u, v, w)                    */
    float r[3];       /* half axes (u, v, w) at the ends a */
    float taper;      /* factor on r at the ends b         */
    int label, label_right;
} ph__rod;

#define PH__MAX_RODS 14

typedef struct ph__vertebra {
    int row, id;   /* table row; SPINEPS instance                      */
    float s, y, z; /* centre of the body: arc length, body frame       */
    float sin_tilt, cos_tilt;
    float half[3];            /* of the body: u, v, w                             */
    float canal_v;            /* centre of the canal                              */
    float marrow;             /* signal                                           */
    float spot[4], spot_gain; /* haemangioma: centre, radius; gain 0: none        */
    float modic;              /* end-plate marrow change, signed share            */
    ph__rod dens;             /* of C2: part of the body */
    ph__rod rod[PH__MAX_RODS];
    int n_rods;
    float low[3], high[3]; /* box of the rods, |u| in the first entry          */
    /* disc below */
    float disc_signal; /* of the nucleus                                   */
    float bulge;       /* mm beyond the end-plate rim, to the back         */
    float bulge_u;     /* side of the bulge                                */
} ph__vertebra;

/* What the soft tissue looks like at one arc length. */
typedef struct ph__section {
    int upper;                         /* vertebra whose centre is the next above          */
    float y, z, sin_tilt, cos_tilt, x; /* curve in the body frame                */
    float front;                       /* body half depth                                  */
    float half_width;                  /* body half width                                  */
    float canal_v, canal_a, canal_b;   /* canal: centre, half width, half depth  */
    float sac_v, sac_a, sac_b;         /* dural sac                              */
    float cord_v, cord_a, cord_b;      /* half axes; 0 below the conus           */
    float back, fat, skin_radius;
    float neck, chest; /* shares of neck-like and chest-like front tissue  */
    float disc_s;      /* arc length of the nearest disc's middle          */
    float gap;         /* 1 at disc height, 0 at mid body                  */
} ph__section;

typedef struct ph__lesion {
    float u, v, s; /* centre about the cord's centre                   */
    float r[3];
    float gain;
} ph__lesion;

#define PH__MAX_VERTEBRAE PH__LEVELS
#define PH__MAX_LESIONS 12
#define PH__SECTION_MM 0.25f

typedef struct ph__anatomy {
    ph__vertebra vertebra[PH__MAX_VERTEBRAE];
    int n_vertebrae;
    ph__section *section; /* [n_sections], every PH__SECTION_MM of arc length */
    int n_sections;
    ph__lesion lesion[PH__MAX_LESIONS];
    int n_lesions;
    double to_body[4][4]; /* world -> body                                    */
    uint32_t texture;     /* seed of the tissue noise, shared by the sessions */
    float fat_signal, muscle_signal, cord_signal, csf_signal;
    float fatty;   /* fatty streaks in muscle, 0..1                    */
    float coil_mm; /* fall-off of the surface coil                     */
} ph__anatomy;

sx_err ph__anatomy_make(ph__anatomy *a, const ph_options *o, int subject, int session);
void ph__anatomy_clear(ph__anatomy *a);

/* What one voxel is. */
typedef struct ph__ink {
    float signal;
    int instance, subregion;
} ph__ink;

/* Where one voxel is. */
typedef struct ph__site {
    float y, z;    /* body frame                                       */
    float u, v, s; /* spine frame                                      */
    const ph__section *section;
    float soft; /* width of partial volume, one voxel               */
} ph__site;

/* A layer covers part of what earlier layers left. */
typedef void ph__layer(const ph__anatomy *a, const ph__site *p, ph__ink *ink);
ph__layer ph__paint_flesh, ph__paint_front, ph__paint_foramen, ph__paint_canal, ph__paint_cord;
/* Gain of the surface coil at a place, about 0.3..1. */
float ph__coil_gain(const ph__anatomy *a, const ph__site *p);

#endif
