/* Fingerprints (ev_print.h). */
#include "jobs/eval/ev_print.h"

#include "base/sx_file.h"
#include "io/io_nifti.h"

void ev_print_file(sx_hasher *h, const char *role, const char *path) {
    char sha256[SX_HASH_HEX];
    sx_hasher_add_text(h, role);
    sx_hasher_add_text(h, sx_path_base(path));
    sx_hasher_add_text(h, io_nifti_hash(path, sha256) == SX_OK ? sha256 : "unreadable");
}
