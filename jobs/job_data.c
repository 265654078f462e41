/* Configuration to filter (job_data.h). */
#include "jobs/job_data.h"

sx_err job_check_folders(const char *root, const io_items *items) {
    if (items->n_unreadable == 0) return SX_OK;
    return sx_fail(SX_E_ITEMS, "%s: %lld folders could not be read, their images are left out",
                   root, (long long)items->n_unreadable);
}

io_read_opt job_read_opt(const job *j) {
    return (io_read_opt){.xform = io_xform_parse(job_text(j, "data.xform")),
                         .frame = -1,
                         .max_bytes = (int64_t)(job_real(j, "data.max_gib") * 0x1p30)};
}

io_filter job_filter(const job *j) {
    return (io_filter){.acq = job_has(j, "data.acq") ? job_text(j, "data.acq") : NULL,
                       .suffix = job_has(j, "data.suffix") ? job_text(j, "data.suffix") : NULL,
                       .subjects = job_text(j, "data.subjects"),
                       .exclude = job_text(j, "data.exclude"),
                       .derivatives =
                           job_has(j, "data.derivatives") && job_bool(j, "data.derivatives")};
}
