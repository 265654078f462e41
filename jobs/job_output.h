/* Whether what stands under an output's name is what would be made: an image whose sidecar, written
 * after it, holds under "Sagax" the hash of what it was made from (InputsSHA256) and that of its
 * own bytes (OutputSHA256). Not collective. */
#ifndef JOB_OUTPUT_H
#define JOB_OUTPUT_H

#include "jobs/work.h"

/* Path of the sidecar of an image, new (sx_free). */
char *job_sidecar_path(const char *image);
/* `why`: "" when it is, else why it must be made. */
void job_output_inspect(const char *image, const char *inputs_sha256, char why[WORK_WHY]);

#endif
