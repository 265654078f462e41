/* What is asked of Slurm's commands (submit.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job_shell.h"
#include "jobs/submit.h"

sx_err submit_max_array(int64_t *n) {
    int status;
    char *text = job_shell("scontrol show config 2>&1", &status);
    const char *at = status == 0 ? strstr(text, "MaxArraySize") : NULL;
    *n = at && (at = strchr(at, '=')) ? strtoll(at + 1, NULL, 10) : 0;
    sx_err rc = SX_OK;
    if (*n <= 0) {
        job_shell_flatten(text);
        rc = sx_fail(SX_E_MPI, "scontrol show config: %s", *text ? text : "no answer");
    }
    sx_free(text);
    return rc;
}

/* Slurm is there but has no time: the next try may do. */
static bool is_busy(const char *text) {
    static const char *const words[] = {"Socket timed out", "Resource temporarily unavailable",
                                        "Slurm temporarily unable to accept job"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(text, words[i])) return true;
    return false;
}

/* sbatch --parsable prints "id" or "id;cluster", perhaps behind lines of warnings. */
static char *id_in(char *text) {
    char *last = strrchr(text, '\n');
    last = last ? last + 1 : text;
    last[strcspn(last, ";")] = '\0';
    return *last && strspn(last, "0123456789") == strlen(last) ? sx_strdup(last) : NULL;
}

sx_err submit_sbatch(const char *command, char **id) {
    enum { TRIES = 5 };
    sx_err rc = SX_OK;
    *id = NULL;
    for (int i = 0; !*id; i++) {
        int status;
        char *text = job_shell(command, &status);
        if (status == 0) *id = id_in(text);
        const bool again = !*id && i + 1 < TRIES && is_busy(text);
        job_shell_flatten(text);
        if (again) {
            sx_warn("%s; trying again", text);
            nanosleep(&(struct timespec){.tv_sec = 2 << i}, NULL);
        } else if (!*id) {
            rc = sx_fail(SX_E_MPI, "sbatch: %s", *text ? text : "no answer");
        }
        sx_free(text);
        if (rc != SX_OK) break;
    }
    return rc;
}
