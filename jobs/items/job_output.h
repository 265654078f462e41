/* Images that verbs write, and their sidecars. A sidecar is written after its image; its object
 * "Sagax", the record, says what the image was made from, and holds the hash of the image's bytes
 * (OutputSHA256). So an image without a matching record is unfinished, damaged or made from
 * something else. Not collective. */
#ifndef JOB_OUTPUT_H
#define JOB_OUTPUT_H

#include <jansson.h>
#include "io/io_nifti.h"
#include "jobs/items/work.h"

/* The object in the sidecar of an image, whoever wrote it, new (json_decref); NULL when there is
 * none, or it is not readable as JSON. */
json_t *job_sidecar_read(const char *image);
/* The record in it, new (json_decref); NULL when there is none. */
json_t *job_output_record(const char *image);
/* Whether the record says that a network that made the image was trained on its subject. */
bool job_output_trained_on(const char *image);

/* What a record has to say, and what is the matter when it does not. */
typedef struct job_claim {
    const char *key, *value, *otherwise;
} job_claim;
bool job_record_says(const json_t *record, const char *key, const char *value);
/* `why`: "" when image and record are there, the record says all that is claimed [n], and the image
 * has the bytes it was written with; else why it must be made. */
void job_output_inspect(const char *image, const job_claim *claim, int n, char why[WORK_WHY]);

/* Write an image, then its sidecar, both atomically, in the place of whatever a killed run left.
 * `sidecar` has a record, to which OutputSHA256 is added, and is taken; `digits`: of its numbers;
 * `note` stands in the image's header. Errors: SX_E_CREATE, SX_E_IO. */
sx_err job_output_write(const char *image, const im_volume *v, io_dtype type, const char *note,
                        json_t *sidecar, int digits);

#endif
