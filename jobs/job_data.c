/* Configuration to filter (job_data.h). */
#include "jobs/job_data.h"

io_filter job_filter(const job *j) {
    return (io_filter){.acq = job_has(j, "data.acq") ? job_text(j, "data.acq") : NULL,
                       .suffix = job_text(j, "data.suffix"),
                       .subjects = job_text(j, "data.subjects"),
                       .exclude = job_text(j, "data.exclude"),
                       .derivatives =
                           job_has(j, "data.derivatives") && job_bool(j, "data.derivatives")};
}
