/* A study: the grid of its rows and steps (ablate.h), and its jobs. */
#include <stdio.h>
#include "jobs/ablate/ablate.h"
#include "jobs/status/status.h"

static bool is_study(const status *s) {
    return ablate_is_study(s->out);
}

static sx_err tell(const status *s, bool json) {
    json_t *study;
    sx_err rc = ablate_status(s->out, &study);
    if (rc != SX_OK) return rc;
    if (json) {
        json_t *o = status_json(s, "ablate");
        json_object_update(o, study);
        status_print_json(o);
    } else {
        const bool done = ablate_status_print(study);
        status_jobs_print(&s->jobs);
        /* Ranks are entered in the folders of steps, so jobs are all that is known here; the last
         * of them says nothing of why an earlier one failed, the grid does. */
        if (!done && !status_jobs_queued(&s->jobs))
            printf("\nto go on:\n  %s\n", json_string_value(json_object_get(study, "command")));
    }
    json_decref(study);
    return SX_OK;
}

const status_kind status_study = {.is = is_study, .tell = tell};
