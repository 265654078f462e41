/* INI files, strictly (libinih). Its line buffer is fixed, so longer lines are refused by name
 * instead of being cut in silence. Not collective. */
#ifndef JOB_INI_H
#define JOB_INI_H

#include "base/sx_err.h"

/* One entry of a file; an error ends the reading. */
typedef sx_err job_ini_entry(void *user, const char *section, const char *name, const char *value);

/* Give all entries in their order to `entry`. Errors: SX_E_NOINPUT, SX_E_CONFIG (no INI), those of
 * `entry`; the message begins with file and line. */
sx_err job_ini_read(const char *path, job_ini_entry *entry, void *user);

#endif
