/* Files that come along with the program: share/ of the source tree, installed to share/sagax.
 * Not collective. */
#ifndef JOB_SHARE_H
#define JOB_SHARE_H

#include "base/sx_err.h"

/* This program's own path; new (sx_free). */
char *job_program(void);

/* Path of share/NAME, new (sx_free): below SAGAX_SHARE_DIR where that is set, else of this
 * installation, else of the source tree. Errors: SX_E_NOINPUT (it is in none of them). */
sx_err job_share_find(const char *name, char **path);

#endif
