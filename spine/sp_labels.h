/* The numbers of vertebrae and their parts in masks: those of SPINEPS (Moeller et al., European
 * Radiology 2025), which every mask has inside sagax; other schemes are translated when read.
 *
 * A vertebra mask ("vert") has a number for each instance, a sub-region mask ("subreg") one for
 * each kind of tissue. The disc below vertebra n is 100 + n, its end-plates are 200 + n, both in
 * the vertebra mask. Not collective; no errors. */
#ifndef SP_LABELS_H
#define SP_LABELS_H

#include <stdbool.h>

/* Instances. */
enum {
    SP_C1 = 1,
    SP_C2 = 2,
    SP_C7 = 7,
    SP_T1 = 8,
    SP_T12 = 19,
    SP_L1 = 20,
    SP_L5 = 24,
    SP_L6 = 25,
    SP_SACRUM = 26,
    SP_T13 = 28, /* between T12 and L1 */
    SP_DISC_BELOW = 100,
    SP_ENDPLATE_OF = 200
};

/* Sub-regions; the sacrum is SP_SACRUM in both masks. */
enum {
    SP_ARCUS = 41,
    SP_SPINOUS = 42,
    SP_COSTAL_LEFT = 43,
    SP_COSTAL_RIGHT = 44,
    SP_ARTICULAR_SUP_LEFT = 45,
    SP_ARTICULAR_SUP_RIGHT = 46,
    SP_ARTICULAR_INF_LEFT = 47,
    SP_ARTICULAR_INF_RIGHT = 48,
    SP_CORPUS_BORDER = 49,
    SP_CORPUS = 50,
    SP_CORD = 60,
    SP_CANAL = 61,
    SP_ENDPLATE = 62,
    SP_DISC = 100
};

enum { SP_N_LEVELS = 27 };

/* Vertebra of place 0 .. SP_N_LEVELS - 1 from head to foot: C1 .. T12, T13, L1 .. L6, sacrum. */
int sp_vertebra_at(int place);
/* The way back; -1 for what is no vertebra. */
int sp_place_of(int vertebra);
bool sp_is_vertebra(int instance);
/* Vertebral bone of a sub-region mask: arch, processes and body (41 to 50). */
bool sp_is_bone(int subregion);
bool sp_is_body(int subregion); /* 49 and 50 */
bool sp_is_neck(int vertebra);  /* C1 to C7 */
/* "C1", "T12", "S1" for the sacrum; "" for what is no vertebra. */
const char *sp_vertebra_name(int vertebra);

#endif
