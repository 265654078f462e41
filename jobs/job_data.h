/* From the section data (options_data) to the filter that io/ finds images by. Not collective. */
#ifndef JOB_DATA_H
#define JOB_DATA_H

#include "io/io_bids.h"
#include "jobs/job.h"

/* data.acq, .suffix, .subjects, .exclude, .derivatives; texts are borrowed from the job. */
io_filter job_filter(const job *j);
/* data.max_gib in bytes, for io_read_opt. */
int64_t job_max_bytes(const job *j);

#endif
