/* Points for registration: the parts of the verb `points`, one file each.
 *
 *   pt_masks    which masks, and what belongs to them: sub-regions, a reference image
 *   pt_record   outputs and sidecars, and whether an output is still what it should be
 *   cmd_points  the verb (cohort.h)
 * What points are is defined in spine/sp_points.h. Not collective. */
#ifndef POINTS_H
#define POINTS_H

#include "io/io_bids.h"
#include "io/io_nifti.h"
#include "jobs/job/job_scheme.h"
#include "jobs/job/job.h"
#include "jobs/items/work.h"
#include "spine/sp_points.h"

typedef struct pt_config {
    const char *input, *out; /* borrowed from the job */
    io_read_opt read;
    const char *scheme_name, *reference_root; /* "": numbers of SPINEPS; the mask's own grid */
    job_scheme scheme;
    double ball_mm;      /* diameter; 0: no balls      */
    io_items references; /* images of a tree, or one   */
} pt_config;

extern const job_option options_points[];

/* Errors: those of job_scheme_read and io_bids. */
sx_err pt_config_read(pt_config *c, const job *j);
void pt_config_clear(pt_config *c);

/* The vertebra masks that the job's input names. Errors: SX_E_NOINPUT (also when there is none),
 * those of io_bids. */
sx_err pt_items_find(const job *j, io_items *items);

/* What an item is made from. */
typedef struct pt_inputs {
    char *subreg;             /* path, owned; NULL: the vertebra mask says it all */
    const io_item *reference; /* borrowed; NULL: the mask's own grid              */
    bool relative;            /* the mask's sidecar says that its numbers are (`segment`) */
} pt_inputs;
void pt_inputs_clear(pt_inputs *in);
/* Errors: SX_E_DATA (no mask of sub-regions; no or several reference images). */
sx_err pt_inputs_find(const pt_config *c, const io_item *item, pt_inputs *in);

/* Both masks on the grid of the vertebra mask, in numbers of sp_labels.h, and a zeroed grid for the
 * points. All must be zeroed; im_labels_clear also after an error. Errors: those of io_nifti_read,
 * SX_E_DATA (no labels), SX_E_NOMEM. */
sx_err pt_masks_read(const pt_config *c, const io_item *item, const pt_inputs *in, im_labels *vert,
                     im_labels *subreg, im_labels *grid);

/* Path below OUT of the points of an item; new (sx_free). */
char *pt_output_name(const io_item *item);
/* `why`: "" when the points are there and still valid; `print`: hash of what decides about them.
 * Errors: SX_E_NOINPUT, SX_E_IO, those of pt_inputs_find. */
sx_err pt_inspect(const pt_config *c, const io_item *item, char print[65], char why[WORK_WHY]);
/* Draw points on `grid` and write them with their sidecar, and balls if asked for, atomically;
 * `print` is that of pt_inspect, from before the masks were read. Errors: SX_E_CREATE, SX_E_IO,
 * SX_E_NOMEM. */
sx_err pt_write(const pt_config *c, const io_item *item, const pt_inputs *in, const sp_points *p,
                im_labels *grid, const char print[65]);

#endif
