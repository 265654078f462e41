/* sagax cache build|verify|info: the slice cache of a cohort. */
#include "jobs/cache/cache.h"
#include "jobs/job/verbs.h"

static const job_option *const sections[] = {options_data, options_cache, options_run,
                                             options_run_crew, NULL};
static const job_alias aliases[] = {{"--acq", "data.acq"},    {"--labels", "cache.labels"},
                                    {"--list", "data.list"},  {"--split-list", "data.split_list"},
                                    {"--retry", "run.retry"}, JOB_ALIASES_END};

static sx_err build(job *j) {
    return cache_build(j, job_arg(j, 1), job_arg(j, 2));
}

static sx_err verify(job *j) {
    return cache_verify(j, job_arg(j, 1));
}

static sx_err info(job *j) {
    return cache_info(j, job_arg(j, 1));
}

static sx_err run(job *j) {
    static const job_action actions[] = {
        {"build", 3, build}, {"verify", 2, verify}, {"info", 2, info}};
    return job_act(j, actions, sizeof actions / sizeof *actions);
}

const job_verb cmd_cache = {.name = "cache",
                            .arguments = "build BIDS CACHE | verify CACHE | info CACHE",
                            .summary = "sagittal slices of a cohort in one HDF5 file",
                            .sections = sections,
                            .aliases = aliases,
                            .min_args = 2,
                            .max_args = 3,
                            .ranks = JOB_RANKS_TO_BUILD,
                            .run = run};
