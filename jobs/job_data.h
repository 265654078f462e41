/* From the section data (options_data*) to the filter that io/ finds images by. Not collective. */
#ifndef JOB_DATA_H
#define JOB_DATA_H

#include "io/io_bids.h"
#include "jobs/job.h"

/* data.suffix, .subjects, .exclude, and where the verb has them .acq (else any) and .derivatives
 * (else no); texts are borrowed from the job. */
io_filter job_filter(const job *j);

#endif
