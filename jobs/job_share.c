/* <prefix>/share/sagax of <prefix>/bin/sagax, or the source tree. */
#define _XOPEN_SOURCE 700 /* readlink */
#include "jobs/job_share.h"

#include <stdlib.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"

char *job_program(void) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return sx_strdup(n > 0 ? path : "sagax");
}

sx_err job_share_find(const char *name, char **path) {
    const char *told = getenv("SAGAX_SHARE_DIR");
    char *exe = job_program();
    const int n_folder = (int)(sx_path_base(exe) - exe);
    char *places[] = {told ? sx_path_join(told, name) : NULL,
                      told ? NULL : sx_strf("%.*s../share/sagax/%s", n_folder, exe, name),
                      told ? NULL : sx_path_join(SAGAX_SHARE_SOURCE, name)};
    *path = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (places[i] && !*path && sx_file_exists(places[i]))
            *path = places[i];
        else
            sx_free(places[i]);
    }
    sx_free(exe);
    if (*path) return SX_OK;
    return sx_fail(SX_E_NOINPUT, "%s/%s: is not there; SAGAX_SHARE_DIR names the folder",
                   told ? told : "share/sagax", name);
}
