/* What run.retry asks for, as a request with a name (work_private.h). The command line is the same
 * in every start of a job, but what it asks for counts once for an item: lines of the journal bear
 * the name of the request that their run served, and an item that has come to an end under this
 * name, or made the program crash, is asked for no more.
 *
 *   FOLDER/requests/KEY.json   of one command: its last request, and whether that stands
 *
 * A request stands until a run has got through all items: one that was stopped or died hands it on
 * to the next run of the same command. Inside of a batch job (SAGAX_JOB, slurm/job.sh), whose
 * script runs all its commands again after a requeue, it is handed on whatever became of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/items/work_private.h"

enum { FILE_LIMIT = 1 << 20, KEY_DIGITS = 32 };

/* The batch job whose script runs this; "" outside. */
static const char *batch_job(void) {
    const char *id = getenv("SAGAX_JOB");
    return id ? id : "";
}

/* New. The key is of what the command says, not of how it says it (-q, --json, order). Tasks of an
 * array differ in run.part, so each has its own. */
static char *path_of(const work *w) {
    char configuration[SX_HASH_HEX], key[SX_HASH_HEX];
    sx_hasher *h = sx_hasher_new();
    job_config_hash(w->j, NULL, configuration);
    sx_hasher_add_text(h, job_verb_of(w->j)->name);
    for (int i = 0; i < job_n_args(w->j); i++) sx_hasher_add_text(h, job_arg(w->j, i));
    sx_hasher_add_text(h, configuration);
    sx_hasher_end(h, key);
    return sx_strf("%s/requests/%.*s.json", w->folder, KEY_DIGITS, key);
}

static bool says(const json_t *o, const char *key, const char *text) {
    const char *value = json_string_value(json_object_get(o, key));
    return value && strcmp(value, text) == 0;
}

/* The request that this run goes on with, or a new one. A file that cannot be read tells of none.
 */
static void choose(const work *w, const char *path, char name[WORK_REQUEST]) {
    json_t *o = NULL;
    const char *last = NULL;
    if (sx_file_exists(path) && job_json_read(path, FILE_LIMIT, &o) == SX_OK)
        last = json_string_value(json_object_get(o, "request"));
    const bool same_job = *batch_job() && says(o, "job", batch_job());
    if (last && (json_is_true(json_object_get(o, "stands")) || same_job)) {
        snprintf(name, WORK_REQUEST, "%s", last);
        sx_info("run.retry = %s: goes on behind the items that an earlier run of this command has "
                "tried again",
                job_text(w->j, "run.retry"));
    } else { // owners have no name twice
        snprintf(name, WORK_REQUEST, "%s", w->leases ? mp_leases_owner(w->leases) : "new");
    }
    json_decref(o);
}

static sx_err note(const work *w, const char *path, const char *name, bool stands) {
    json_t *o = json_pack("{s:s, s:s, s:b, s:o}", "request", name, "job", batch_job(), "stands",
                          stands, "command", job_json_string(job_command(w->j)));
    char *text = job_json_text(o, JSON_INDENT(2));
    sx_err rc;
    SX_TRY(rc, sx_mkdirs_for(path));
    rc = sx_file_write(path, text, strlen(text));
out:
    sx_free(text);
    return rc;
}

sx_err work__request_begin(work *w) {
    char name[WORK_REQUEST] = "";
    sx_err rc = SX_OK;
    if (w->retry == WORK_RETRY_NONE) return SX_OK;
    if (mp_rank(w->comm) == 0) {
        w->request_path = path_of(w);
        choose(w, w->request_path, name);
        if (!job_dry_run(w->j)) rc = note(w, w->request_path, name, true);
    }
    mp_bcast(w->comm, name, sizeof name, 0);
    w->request = sx_strdup(name);
    return mp_agree(w->comm, rc);
}

void work__request_end(const work *w) {
    if (!w->request_path || !w->through) return;
    if (note(w, w->request_path, w->request, false) != SX_OK)
        sx_warn("%s; the next run of this command will take it for what goes on", sx_err_text());
}
