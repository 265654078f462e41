/* Folders of the program's own files (job_share.h): <prefix>/share/sagax/… of <prefix>/bin/sagax.
 */
#define _XOPEN_SOURCE 700 /* readlink */
#include "jobs/job/job_share.h"

#include <stdlib.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"

char *job_program_path(void) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return sx_strdup(n > 0 ? path : "sagax");
}

static char *installed(const char *name) {
    char *exe = job_program_path();
    char *folder = sx_strf("%.*s../share/sagax/%s", (int)(sx_path_base(exe) - exe), exe, name);
    sx_free(exe);
    return folder;
}

sx_err job_share_folder(const job_share *s, char **folder) {
    const char *told = getenv(s->variable);
    char *places[] = {told ? sx_strdup(told) : NULL, told ? NULL : installed(s->installed),
                      told ? NULL : sx_path_join(SAGAX_SOURCE, s->source)};
    *folder = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (places[i] && !*folder && sx_file_is_dir(places[i]))
            *folder = places[i];
        else
            sx_free(places[i]);
    }
    if (*folder) return SX_OK;
    return sx_fail(SX_E_NOINPUT, "%s%s: no %s there; %s names their folder",
                   told ? told : "share/sagax/", told ? "" : s->installed, s->what, s->variable);
}
