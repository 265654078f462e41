/* sagax cache build|verify|info: the slice cache of a cohort. */
#include <string.h>

#include "jobs/cache/cache.h"
#include "jobs/job/verbs.h"

static const job_option *const sections[] = {options_data, options_cache, options_run,
                                             options_run_crew, NULL};
static const job_alias aliases[] = {{"--acq", "data.acq"},    {"--labels", "cache.labels"},
                                    {"--list", "data.list"},  {"--split-list", "data.split_list"},
                                    {"--retry", "run.retry"}, JOB_ALIASES_END};

static sx_err run_build(const job *j) {
    return cache_build(j, job_arg(j, 1), job_arg(j, 2));
}

static sx_err run_verify(const job *j) {
    return cache_verify(j, job_arg(j, 1));
}
static sx_err run_info(const job *j) {
    return cache_info(j, job_arg(j, 1));
}

static const struct {
    const char *name;
    int n_args;
    sx_err (*run)(const job *j);
} actions[] = {{"build", 3, run_build}, {"verify", 2, run_verify}, {"info", 2, run_info}};

static sx_err run(job *j) {
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(job_arg(j, 0), actions[i].name) != 0) continue;
        if (job_n_args(j) != actions[i].n_args)
            return sx_fail(SX_E_USAGE, "cache %s needs %d arguments, got %d", actions[i].name,
                           actions[i].n_args - 1, job_n_args(j) - 1);
        return actions[i].run(j);
    }
    return sx_fail(SX_E_USAGE, "cache %s: unknown, expected build, verify or info", job_arg(j, 0));
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
