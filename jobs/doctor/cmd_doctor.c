/* sagax doctor: what this machine and this environment offer to a run, and what will go wrong.
 *
 * Only reads: no MPI_Init, no files written. Each row is one fact; a row can carry a warning that
 * says what to do. Rows are made by a table of small probes, printed as text or as JSON. Tasks of
 * srun that MPI would not join are more than a warning: exit 69. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "jobs/doctor/doctor.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/job/verbs.h"
#include "model/nn_kernels.h"
#include "base/sx_pool.h"
#include "sagax_version.h"

static void probe_version(doctor_finding *f) {
    DOCTOR_SAY(f, "%s (%s), %s, %s", SAGAX_VERSION, SAGAX_REVISION, SAGAX_COMPILER, SAGAX_FLAGS);
}

static void probe_libraries(doctor_finding *f) {
    DOCTOR_SAY(f, "%s", SAGAX_LIBRARIES);
}

static void probe_machine(doctor_finding *f) {
    struct utsname u;
    if (uname(&u) != 0) memset(&u, 0, sizeof u);
    double memory = (double)sysconf(_SC_PAGESIZE) * (double)sysconf(_SC_PHYS_PAGES);
    DOCTOR_SAY(f, "%s %s %s, %ld CPUs online, %.1f GiB memory", u.sysname, u.release, u.machine,
               sysconf(_SC_NPROCESSORS_ONLN), memory / 0x1p30);
}

static void probe_kernels(doctor_finding *f) {
    const nn_kernels *best = NULL, *blas = NULL;
    if (nn_kernels_get("auto", &best) != SX_OK || nn_kernels_get("blas", &blas) != SX_OK) {
        DOCTOR_SAY(f, "none");
        DOCTOR_WARN(f, "%s", sx_err_text());
        return;
    }
    DOCTOR_SAY(f, "auto = %s (%s); blas = %s, on one thread whatever OPENBLAS_NUM_THREADS says",
               best->name, best->isa, blas->isa);
    if (strcmp(best->name, "wino") != 0) DOCTOR_WARN(f, "no vector kernels for this CPU: slow");
}

/* Of a rank that is bound as this process is and is told nothing by model.threads. */
static void probe_threads(doctor_finding *f) {
    const int usable = sx_processors(), threads = job_threads_usable(0, f->warning);
    DOCTOR_SAY(f, "%d a rank; model.threads may ask for up to %d, the processor%s it may use",
               threads, usable, usable > 1 ? "s" : "");
}

static const char *const launcher_variables[] = {"OMPI_COMM_WORLD_SIZE",
                                                 "OMPI_COMM_WORLD_RANK",
                                                 "PMIX_RANK",
                                                 "PMIX_NAMESPACE",
                                                 "PMI_SIZE",
                                                 "PMI_RANK",
                                                 "SLURM_JOB_ID",
                                                 "SLURM_NTASKS",
                                                 "SLURM_STEP_NUM_TASKS",
                                                 "SLURM_PROCID",
                                                 "SLURM_JOB_NUM_NODES",
                                                 "SLURM_CPUS_PER_TASK",
                                                 "SLURM_MPI_TYPE",
                                                 NULL};

static void probe_launcher(doctor_finding *f) {
    size_t n = 0;
    DOCTOR_SAY(f, "none: a world of one");
    for (int i = 0; launcher_variables[i]; i++) {
        const char *v = doctor_env(launcher_variables[i]);
        if (!*v || n >= sizeof f->text - 1) continue;
        int wrote = snprintf(f->text + n, sizeof f->text - n, "%s%s=%s", n ? " " : "",
                             launcher_variables[i], v);
        n += (size_t)wrote;
    }
    int lost = mp_tasks_lost();
    if (lost)
        DOCTOR_WARN(
            f, "srun gave no PMIx: each of %d tasks would be a world of one; use srun --mpi=pmix",
            lost);
}

static const struct {
    const char *name;
    void (*probe)(doctor_finding *f);
} probes[] = {
    {"version", probe_version},
    {"libraries", probe_libraries},
    {"machine", probe_machine},
    {"kernels", probe_kernels},
    {"threads", probe_threads},
    {"launcher", probe_launcher},
    {"slurm", doctor_slurm},
    {"mpi_types", doctor_mpi_types},
    {"time_left", doctor_time_left},
    {"shm", doctor_shm},
    {"hdf5", doctor_hdf5},
    {"folder", doctor_folder},
    {"file_system", doctor_file_system},
};
#define N_PROBES ((int)(sizeof probes / sizeof *probes))

/* Tasks of one step print at the same time, and what collects their output mixes lines: each then
 * says whose it is, "1 n2: ". "" for a process alone. */
static void whose(char prefix[128]) {
    static const char *const pairs[][2] = {{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
                                           {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}};
    struct utsname u;
    prefix[0] = '\0';
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs && !*prefix; i++)
        if (atoi(doctor_env(pairs[i][0])) > 1 && uname(&u) == 0)
            snprintf(prefix, 128, "%s %s: ", doctor_env(pairs[i][1]), u.nodename);
}

static void print_text(const doctor_finding *f) {
    char prefix[128];
    whose(prefix);
    for (int i = 0; i < N_PROBES; i++) {
        printf("%s%-12s %s\n", prefix, probes[i].name, f[i].text);
        if (*f[i].warning) printf("%s%-12s ! %s\n", prefix, "", f[i].warning);
    }
}

static void print_json(const doctor_finding *f) {
    json_t *root = json_object();
    for (int i = 0; i < N_PROBES; i++)
        json_object_set_new(
            root, probes[i].name,
            json_pack("{s:o, s:s}", "value", job_json_string(f[i].text), "warning", f[i].warning));
    job_json_print(root, JSON_INDENT(2));
}

static sx_err run(job *j) {
    doctor_finding found[N_PROBES] = {0};
    for (int i = 0; i < N_PROBES; i++) probes[i].probe(&found[i]);
    if (job_json(j))
        print_json(found);
    else
        print_text(found);
    const int lost = mp_tasks_lost();
    if (lost == 0) return SX_OK;
    return sx_fail(SX_E_MPI, "%d tasks without MPI between them: srun --mpi=pmix -n %d sagax ...",
                   lost, lost);
}

static const job_option *const sections[] = {NULL};

const job_verb cmd_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "what this machine and environment offer to a run",
    .sections = sections,
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
