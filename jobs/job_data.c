/* Configuration to filter (job_data.h). */
#include "jobs/job_data.h"

int64_t job_max_bytes(const job *j) {
    return (int64_t)(job_real(j, "data.max_gib") * 1024.0 * 1024.0 * 1024.0);
}

io_filter job_filter(const job *j) {
    return (io_filter){.acq = job_text(j, "data.acq"),
                       .suffix = job_text(j, "data.suffix"),
                       .subjects = job_text(j, "data.subjects"),
                       .exclude = job_text(j, "data.exclude"),
                       .derivatives = job_bool(j, "data.derivatives")};
}
