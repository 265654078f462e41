/* Fingerprints (ev_print.h). */
#include "jobs/ev_print.h"

#include <string.h>
#include "base/sx_file.h"
#include "io/io_nifti.h"

void ev_print_text(sx_hasher *h, const char *text) {
    sx_hasher_add(h, text, strlen(text) + 1);
}

void ev_print_file(sx_hasher *h, const char *role, const char *path) {
    char sha256[SX_HASH_HEX];
    ev_print_text(h, role);
    ev_print_text(h, sx_path_base(path));
    ev_print_text(h, io_nifti_hash(path, sha256) == SX_OK ? sha256 : "unreadable");
}
