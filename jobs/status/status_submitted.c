/* Jobs before any work. */
#include <stdio.h>
#include "jobs/job/job_json.h"
#include "jobs/status/status.h"

static bool has_jobs(const status *s) {
    return s->jobs.n > 0;
}

static sx_err tell(const status *s, bool json) {
    const char *verb = s->jobs.job[s->jobs.n - 1].of->verb;
    const char *command = status_jobs_command(&s->jobs);
    if (json) {
        json_t *o = status_json(s, verb);
        json_object_set_new(o, "command", job_json_string(command));
        status_print_json(o);
        return SX_OK;
    }
    printf("%s: %s, submitted, no work has begun\n", s->out, verb);
    status_crew_print(&s->crew);
    status_jobs_print(&s->jobs);
    if (status_is_left_alone(s)) status_print_go_on(s, command);
    return SX_OK;
}

const status_kind status_submitted = {.is = has_jobs, .tell = tell};
