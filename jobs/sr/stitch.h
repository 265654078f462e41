/* Chunks of a scan to one volume: what the verbs `stitch` and `sr` share.
 *
 *   st_chunks   read, check, stitch; what is odd about the result
 *   st_record   what is recorded about it as JSON, sidecars, and whether an output is still what it
 *               should be
 *   cmd_stitch  the verb (cohort.h)
 * Items are those of io_bids_join_chunks; one without parts is its own only chunk. Not collective.
 */
#ifndef STITCH_H
#define STITCH_H

#include "image/im_stitch.h"
#include "io/io_bids.h"
#include "io/io_nifti.h"
#include "jobs/job/job.h"
#include "jobs/job/job_json.h"
#include "jobs/items/work.h"

/* What the desc of a stitched volume ends with (io_bids_join_chunks). */
#define STITCH_DESC "stitched"

typedef struct st_config {
    io_read_opt read;
    bool skip_bad;
} st_config;

extern const job_option options_stitch[]; /* stitch.* */
st_config st_config_read(const job *j);

/* How a volume came about. Zero before; st_result_clear frees. */
typedef struct st_result {
    int n;                   /* images of the item                          */
    char **reason;           /* [n] why one was left out; NULL: it was not  */
    im_stitch_report report; /* of those that were not                      */
    char codes[4];           /* axes of the volume                          */
    double spacing_mm[3];
    int64_t dim[3];
} st_result;
void st_result_clear(st_result *r);

/* Read and stitch an item's images; `v` must be zeroed. With skip_bad images that cannot be read
 * are left out, as long as one is left. Errors: SX_E_DATA (two chunks of one number, those of
 * im_stitch), those of io_nifti_read. */
sx_err st_stitch(const st_config *c, const io_item *item, im_volume *v, st_result *r);
/* Say what is odd about the chunks but no reason to refuse them. */
void st_warn(const io_item *item, const st_result *r);

/* Hash of all images of an item: of a single one that of io_nifti_hash. An image that cannot be
 * read counts as such with skip_bad. Errors: those of io_nifti_hash. */
sx_err st_hash(const st_config *c, const io_item *item, char hex[65]);

/* ["bids:raw:…", …] of the images that were used (all, for NULL); new. */
json_t *st_sources(const io_item *item, const st_result *r);
/* {"Chunks": […], "Overlaps": […], "Grid": {…}, …}; new. */
json_t *st_json(const io_item *item, const st_result *r);

/* Path below OUT of the stitched volume of an item; new (sx_free). */
char *st_output_name(const io_item *item);
/* `why`: "" when the output is there, was made from these images and sidecars, and has the bytes it
 * was written with; `print`: the hash of what decides about it. Errors: those of st_hash. */
sx_err st_inspect(const st_config *c, const char *out, const io_item *item, char print[65],
                  char why[WORK_WHY]);
/* Write the volume and its sidecar, atomically; `print` is that of st_inspect, from before the
 * images were read. Errors: SX_E_CREATE, SX_E_IO. */
sx_err st_write(const char *out, const io_item *item, const im_volume *v, const st_result *r,
                const char print[65]);

#endif
