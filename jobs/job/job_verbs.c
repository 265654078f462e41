/* The table of verbs, by name. A new verb is a file cmd_NAME.c, a line in verbs.h, a name here. */
#include "jobs/job/verbs.h"

#include <string.h>
#include "jobs/job/job_internal.h"

const job_verb *const job_verbs[] = {
    &cmd_ablate, &cmd_bench,   &cmd_cache,  &cmd_degrade,  &cmd_doctor,  &cmd_eval,
    &cmd_net,    &cmd_phantom, &cmd_points, &cmd_segment,  &cmd_sr,      &cmd_status,
    &cmd_stitch, &cmd_submit,  &cmd_train,  &cmd_validate, &cmd_weights, NULL,
};

const job_verb *job_verb_find(const char *name) {
    for (int i = 0; job_verbs[i]; i++)
        if (strcmp(job_verbs[i]->name, name) == 0) return job_verbs[i];
    return NULL;
}

const char *job_verb_near(const char *name) {
    const char *near = NULL;
    int least = 3;
    for (int i = 0; job_verbs[i]; i++) {
        const int d = job__distance(name, job_verbs[i]->name);
        if (d >= least) continue;
        least = d;
        near = job_verbs[i]->name;
    }
    return near;
}
