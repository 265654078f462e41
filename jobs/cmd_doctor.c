/* sagax doctor: what this machine and this environment offer to a run, and what will go wrong.
 *
 * Only reads: no MPI_Init, no files written. Each row is one fact; a row can carry a warning that
 * says what to do. Rows are made by a table of small probes, printed as text or as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job_json.h"
#include "jobs/job_model.h"
#include "jobs/verbs.h"
#include "model/nn_kernels.h"
#include "base/sx_pool.h"
#include "sagax_version.h"

typedef struct finding {
    char text[512];
    char warning[JOB_ADVICE]; /* "" when all is well */
} finding;

#define SAY(f, ...) snprintf((f)->text, sizeof(f)->text, __VA_ARGS__)
#define WARN(f, ...) snprintf((f)->warning, sizeof(f)->warning, __VA_ARGS__)

static const char *environment(const char *name) {
    const char *v = getenv(name);
    return v ? v : "";
}

static void probe_version(finding *f) {
    SAY(f, "%s (%s), %s, %s", SAGAX_VERSION, SAGAX_REVISION, SAGAX_COMPILER, SAGAX_FLAGS);
}

static void probe_libraries(finding *f) {
    SAY(f, "%s", SAGAX_LIBRARIES);
}

static void probe_machine(finding *f) {
    struct utsname u;
    if (uname(&u) != 0) memset(&u, 0, sizeof u);
    double memory = (double)sysconf(_SC_PAGESIZE) * (double)sysconf(_SC_PHYS_PAGES);
    SAY(f, "%s %s %s, %ld CPUs online, %.1f GiB memory", u.sysname, u.release, u.machine,
        sysconf(_SC_NPROCESSORS_ONLN), memory / 0x1p30);
}

static void probe_kernels(finding *f) {
    const nn_kernels *best = NULL, *blas = NULL;
    if (nn_kernels_get("auto", &best) != SX_OK || nn_kernels_get("blas", &blas) != SX_OK) {
        SAY(f, "none");
        WARN(f, "%s", sx_err_text());
        return;
    }
    SAY(f, "auto = %s (%s); blas = %s, on one thread whatever OPENBLAS_NUM_THREADS says",
        best->name, best->isa, blas->isa);
    if (strcmp(best->name, "wino") != 0) WARN(f, "no vector kernels for this CPU: slow");
}

/* Of a rank that is bound as this process is and is told nothing by model.threads. */
static void probe_threads(finding *f) {
    const int usable = sx_processors(), threads = job_threads_usable(0, f->warning);
    SAY(f, "%d a rank; model.threads may ask for up to %d, the processor%s it may use", threads,
        usable, usable > 1 ? "s" : "");
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

static void probe_launcher(finding *f) {
    size_t n = 0;
    SAY(f, "none: a world of one");
    for (int i = 0; launcher_variables[i]; i++) {
        const char *v = environment(launcher_variables[i]);
        if (!*v || n >= sizeof f->text - 1) continue;
        int wrote = snprintf(f->text + n, sizeof f->text - n, "%s%s=%s", n ? " " : "",
                             launcher_variables[i], v);
        n += (size_t)wrote;
    }
    int lost = mp_tasks_lost();
    if (lost)
        WARN(f, "srun gave no PMIx: each of %d tasks would be a world of one; use srun --mpi=pmix",
             lost);
}

static void probe_hdf5(finding *f) {
    const char *locking = environment("HDF5_USE_FILE_LOCKING");
    SAY(f, "parallel; HDF5_USE_FILE_LOCKING=%s", *locking ? locking : "unset");
}

static void probe_folder(finding *f) {
    char path[256];
    struct statvfs s;
    if (!getcwd(path, sizeof path) || statvfs(path, &s) != 0) {
        SAY(f, "not readable");
        WARN(f, "the working folder cannot be inspected");
        return;
    }
    double free_bytes = (double)s.f_bavail * (double)s.f_frsize;
    SAY(f, "%s, %.1f GiB free%s", path, free_bytes / 0x1p30,
        s.f_flag & ST_RDONLY ? ", read-only" : "");
    if (free_bytes < 0x1p30) WARN(f, "less than 1 GiB free");
    if (s.f_flag & ST_RDONLY) WARN(f, "read-only: give outputs another folder");
}

/* The type of the mount that holds the working folder: the longest mount point above it. */
static void mount_type(const char *folder, char *type, size_t n) {
    char *mounts = NULL;
    size_t n_bytes = 0, best = 0;
    snprintf(type, n, "unknown");
    if (sx_file_read("/proc/self/mounts", (size_t)1 << 20, &mounts, &n_bytes) != SX_OK) return;
    char *rest = NULL;
    for (char *line = strtok_r(mounts, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char point[256], kind[64];
        if (sscanf(line, "%*s %255s %63s", point, kind) != 2) continue;
        size_t length = strlen(point);
        bool above = strncmp(folder, point, length) == 0 &&
                     (length == 1 || folder[length] == '/' || folder[length] == '\0');
        if (!above || length < best) continue;
        best = length;
        snprintf(type, n, "%s", kind);
    }
    sx_free(mounts);
}

static void probe_file_system(finding *f) {
    char path[256] = "/", type[64];
    if (!getcwd(path, sizeof path)) snprintf(path, sizeof path, "/");
    mount_type(path, type, sizeof type);
    SAY(f, "%s", type);
    bool network = strncmp(type, "nfs", 3) == 0;
    if (network && strcmp(environment("HDF5_USE_FILE_LOCKING"), "FALSE") != 0)
        WARN(f, "NFS: export HDF5_USE_FILE_LOCKING=FALSE if opening the cache hangs or fails");
}

static const struct {
    const char *name;
    void (*probe)(finding *f);
} probes[] = {
    {"version", probe_version}, {"libraries", probe_libraries}, {"machine", probe_machine},
    {"kernels", probe_kernels}, {"threads", probe_threads},     {"launcher", probe_launcher},
    {"hdf5", probe_hdf5},       {"folder", probe_folder},       {"file_system", probe_file_system},
};
#define N_PROBES ((int)(sizeof probes / sizeof *probes))

static void print_text(const finding *f) {
    for (int i = 0; i < N_PROBES; i++) {
        printf("%-12s %s\n", probes[i].name, f[i].text);
        if (*f[i].warning) printf("%-12s ! %s\n", "", f[i].warning);
    }
}

static void print_json(const finding *f) {
    json_t *root = json_object();
    for (int i = 0; i < N_PROBES; i++)
        json_object_set_new(
            root, probes[i].name,
            json_pack("{s:o, s:s}", "value", job_json_string(f[i].text), "warning", f[i].warning));
    job_json_print(root, JSON_INDENT(2));
}

static sx_err run(job *j) {
    finding found[N_PROBES] = {0};
    for (int i = 0; i < N_PROBES; i++) probes[i].probe(&found[i]);
    if (job_json(j))
        print_json(found);
    else
        print_text(found);
    return SX_OK;
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
