/* What Slurm says, asked by its own commands, which may take their time: ten seconds each. */
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "jobs/doctor/doctor.h"
#include "jobs/job/job_shell.h"
#include "mpi/mp_comm.h"

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

const char *doctor_env(const char *name) {
    const char *v = getenv(name);
    return v ? v : "";
}

static char *ask_lines(const char *command, int *status) {
    char *limited = sx_strf("timeout 10 %s 2>&1", command);
    char *text = job_shell(limited, status);
    sx_free(limited);
    return text;
}

static char *ask(const char *command, int *status) {
    char *text = ask_lines(command, status);
    job_shell_flatten(text);
    return text;
}

/* Of several lines of errors the last one says what came of them. */
static const char *last_line(const char *text) {
    const char *end = strrchr(text, '\n');
    return end ? end + 1 : text;
}

enum { NOT_FOUND = 127 }; /* a shell's exit code when there is no such command */

void doctor_slurm(doctor_finding *f) {
    int known, silent;
    char *version = ask("sinfo --version", &known),
         *nodes = ask_lines("sinfo -h -o '%D %T,'", &silent);
    if (known == NOT_FOUND) {
        DOCTOR_SAY(f, "not installed");
    } else if (silent) {
        DOCTOR_SAY(f, "%s does not answer", known == 0 ? version : "installed, but");
        DOCTOR_WARN(f, "%s", *nodes ? last_line(nodes) : "sinfo has no answer after 10 s");
    } else {
        job_shell_flatten(nodes);
        DOCTOR_SAY(f, "%s, nodes: %.*s", version, (int)(*nodes ? strlen(nodes) - 1 : 0), nodes);
    }
    sx_free(version);
    sx_free(nodes);
}

void doctor_mpi_types(doctor_finding *f) {
    static const char intro[] = "MPI plugin types are...";
    int none;
    char *text = ask("srun --mpi=list", &none);
    const char *types = strstr(text, intro);
    types = types ? types + strlen(intro) : text;
    types += strspn(types, " ");
    DOCTOR_SAY(f, "%s", none ? "unknown" : types);
    if (!none && !strstr(types, "pmix"))
        DOCTOR_WARN(f,
                    "no pmix: srun cannot start ranks of Open MPI; use mpirun inside of the job");
    sx_free(text);
}

void doctor_time_left(doctor_finding *f) {
    char *id = mp_job_number();
    if (!id || strspn(id, "0123456789_") != strlen(id)) {
        DOCTOR_SAY(f, "no limit: not in a job of Slurm");
        sx_free(id);
        return;
    }
    int silent;
    char *command = sx_strf("squeue -h -j %s -o %%L", id), *left = ask(command, &silent);
    DOCTOR_SAY(f, "%s of job %s", silent || !*left ? "unknown" : left, id);
    sx_free(command);
    sx_free(left);
    sx_free(id);
}

bool doctor_one_machine(void) {
    int silent;
    const char *nodes = doctor_env("SLURM_JOB_NODELIST");
    if (!*nodes || nodes[strspn(nodes, PLAIN "-_.,[]")]) return false;
    char *command = sx_strf("scontrol -o show node '%s'", nodes), *text = ask(command, &silent);
    char first[128] = "", address[128];
    bool same = !silent;
    for (const char *at = text; same && (at = strstr(at, "NodeAddr=")); at++) {
        if (sscanf(at, "NodeAddr=%127s", address) != 1) continue;
        if (!*first) memcpy(first, address, sizeof first);
        same = strcmp(first, address) == 0;
    }
    sx_free(command);
    sx_free(text);
    return same && *first;
}
