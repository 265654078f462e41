/* Label schemes: which number of a segmenter is which of sagax (spine/sp_labels.h).
 *
 * A scheme is a TSV table with the columns from, to and kind; one number may have several rows.
 *   vertebra, disc, endplate   `to` is a number of the vertebra mask
 *   subregion                  `to` is a number of the sub-region mask
 *   point                      `to` is what a single voxel marks; not used here
 * Numbers without a row become 0. The schemes that come with the program are in share/labels. Not
 * collective. */
#ifndef JOB_SCHEME_H
#define JOB_SCHEME_H

#include <stdbool.h>
#include "image/im_label.h"

typedef struct job_scheme {
    int32_t *vert, *subreg; /* [n], by number; owned. NULL: numbers stay as they are */
    int64_t n;
    char sha256[65]; /* of the table; "" without one */
} job_scheme;

/* "" for numbers that stay, the name of a scheme in share/labels (its folder is SAGAX_LABELS_DIR,
 * share/sagax/labels of this installation, or that of the source tree), or the path of a table.
 * `s` must be zeroed. Errors: SX_E_NOINPUT, SX_E_DATA (line and number), SX_E_IO. */
sx_err job_scheme_read(job_scheme *s, const char *name);
void job_scheme_clear(job_scheme *s); /* takes a zeroed struct */

/* The numbers of a mask to those of `map`, s->vert or s->subreg, in place; with NULL they stay. */
void job_scheme_apply(const job_scheme *s, const int32_t *map, im_labels *l);
/* Whether a mask of vertebrae says of sub-regions, too. */
bool job_scheme_has_subregions(const job_scheme *s);

#endif
