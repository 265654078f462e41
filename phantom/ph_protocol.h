/* What is acquired of a body in one session: a sagittal scan and axial chunks from head to foot,
 * each with its protocol, stretch, motion and random key. A pure function of the options, subject
 * and session. Not collective; no errors. */
#ifndef PH_PROTOCOL_H
#define PH_PROTOCOL_H

#include "phantom/ph_phantom.h"

typedef struct ph_protocol {
    const char *acq; /* BIDS entity: "sag", "ax" */
    bool axial;
    double spacing_mm[3], thickness_mm; /* as in ph_scan_options */
    double repetition_s, echo_s;
} ph_protocol;

/* How scans vary. */
typedef struct ph_session_options {
    int chunks;    /* axial chunks, 1..8; 0: drawn, 2 to 4                       */
    double motion; /* share of the axial scans that move between their two passes */
    double bias, noise;
    double axial_mm, thickness_mm; /* of axial slices: from one to the next, and thick; 0: 5, 4 */
} ph_session_options;

typedef struct ph_planned_scan {
    const ph_protocol *protocol; /* borrowed, valid for ever                  */
    int chunk;                   /* from 1; 0: not one of several             */
    ph_scan_options scan;
} ph_planned_scan;

#define PH_MAX_SCANS 9

/* The scans of a session, the sagittal one first, chunks from the top down; how many. */
int ph_plan_session(const ph_options *o, const ph_session_options *how, int subject, int session,
                    ph_planned_scan list[PH_MAX_SCANS]);

#endif
