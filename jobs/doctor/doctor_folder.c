/* Where a run writes, and what it shares memory by. */
#include <string.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/doctor/doctor.h"

enum { PATH_ROOM = 4096 };

void doctor_shm(doctor_finding *f) {
    struct statvfs s;
    if (statvfs("/dev/shm", &s) != 0) {
        DOCTOR_SAY(f, "no /dev/shm");
        DOCTOR_WARN(f, "ranks of a node cannot share memory: each has its own copy of the weights");
        return;
    }
    double free_bytes = (double)s.f_bavail * (double)s.f_frsize;
    DOCTOR_SAY(f, "%.2f GiB free in /dev/shm", free_bytes / 0x1p30);
    if (free_bytes < 0x1p28)
        DOCTOR_WARN(f, "less than 256 MiB: containers need --shm-size=1g or a bind of /dev/shm");
}

void doctor_hdf5(doctor_finding *f) {
    const char *locking = doctor_env("HDF5_USE_FILE_LOCKING");
    DOCTOR_SAY(f, "parallel; HDF5_USE_FILE_LOCKING=%s", *locking ? locking : "unset");
}

void doctor_folder(doctor_finding *f) {
    char path[PATH_ROOM];
    struct statvfs s;
    if (!getcwd(path, sizeof path) || statvfs(path, &s) != 0) {
        DOCTOR_SAY(f, "not readable");
        DOCTOR_WARN(f, "the working folder cannot be inspected");
        return;
    }
    double free_bytes = (double)s.f_bavail * (double)s.f_frsize;
    DOCTOR_SAY(f, "%.400s, %.1f GiB free%s", path, free_bytes / 0x1p30,
               s.f_flag & ST_RDONLY ? ", read-only" : "");
    if (free_bytes < 0x1p30) DOCTOR_WARN(f, "less than 1 GiB free");
    if (s.f_flag & ST_RDONLY) DOCTOR_WARN(f, "read-only: give outputs another folder");
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

/* How types of file systems begin that one machine has for itself. Others may be anything. */
static bool is_local(const char *type) {
    static const char *const kinds[] = {"ext",     "xfs",  "btrfs", "zfs", "tmpfs",
                                        "overlay", "f2fs", "jfs",   "aufs"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(type, kinds[i], strlen(kinds[i])) == 0) return true;
    return false;
}

void doctor_file_system(doctor_finding *f) {
    char path[PATH_ROOM], type[64];
    const int nodes = atoi(doctor_env("SLURM_JOB_NUM_NODES"));
    if (!getcwd(path, sizeof path)) snprintf(path, sizeof path, "/");
    mount_type(path, type, sizeof type);
    DOCTOR_SAY(f, "%s, %s", type, is_local(type) ? "of this machine alone" : "may be shared");
    const bool network = strncmp(type, "nfs", 3) == 0;
    if (network && strcmp(doctor_env("HDF5_USE_FILE_LOCKING"), "FALSE") != 0)
        DOCTOR_WARN(f,
                    "NFS: export HDF5_USE_FILE_LOCKING=FALSE if opening the cache hangs or fails");
    if (nodes > 1 && is_local(type) && !doctor_one_machine())
        DOCTOR_WARN(f, "%d nodes in this job, and the working folder seems to be of one alone",
                    nodes);
}
