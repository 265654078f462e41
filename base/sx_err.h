/* Errors: how sagax says what went wrong.
 *
 * Three tiers (CONTRIBUTING.md):
 *   1. SX_ASSERT     our own bug; always on, prints place and condition, aborts.
 *   2. sx_err        the world's fault (file, header, disk, configuration, NaN loss). Every
 * fallible function returns one; its text is formatted once, by sx_fail(), where path and numbers
 * are known, and kept for this thread until the next sx_fail().
 *   3. abort         a failed MPI call (mpi/mp_comm.h).
 * A function that fails has one `out:` label, cleans up unconditionally and returns the first
 * error.
 *
 * Exit codes of the program follow sysexits(3) and are part of the table here. */
#ifndef SX_ERR_H
#define SX_ERR_H

#include <stdarg.h>

typedef enum sx_err {
    SX_OK = 0,
    SX_E_ITEMS,   /* finished, some items failed                     exit  1 */
    SX_E_USAGE,   /* command line                                    exit 64 */
    SX_E_DATA,    /* bad data, or a training that diverged           exit 65 */
    SX_E_NOINPUT, /* an input is missing or unreadable               exit 66 */
    SX_E_MPI,     /* MPI or Slurm not usable                         exit 69 */
    SX_E_BUG,     /* internal                                        exit 70 */
    SX_E_NOMEM,   /* out of memory                                   exit 70 */
    SX_E_CREATE,  /* an output cannot be created                     exit 73 */
    SX_E_IO,      /* reading or writing failed (a full disk)         exit 74 */
    SX_E_AGAIN,   /* stopped when asked to, run me again             exit 75 */
    SX_E_CONFIG,  /* configuration, or resume does not match         exit 78 */
    SX_E_COUNT
} sx_err;

/* Format the message of this thread's current error and return `code`, so that a caller writes
 * `return sx_fail(SX_E_IO, "%s: short read", path);`. The text should be one sentence that names
 * the path and the number. Not collective. */
sx_err sx_fail(sx_err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put `prefix: ` before the current message (for context such as the item's name); returns `code`.
 */
sx_err sx_fail_context(sx_err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The message of this thread's last sx_fail(); "" if none. Borrowed until the next sx_fail(). */
const char *sx_err_text(void);

/* Short stable word for logs and tables ("data", "io", …); never NULL. */
const char *sx_err_name(sx_err code);

/* Process exit code of an error (table above). */
int sx_err_exit(sx_err code);

/* Tell a batch script the exit code of this process: written into the file that SAGAX_VERDICT
 * names, which the script has made on its node; without one nothing happens. srun alone may say 0
 * although it started nothing, and 137 because it killed the ranks that were left. */
void sx_err_tell_exit(int exit_code);

void sx_assert_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

#define SX_ASSERT(c) ((c) ? (void)0 : sx_assert_failed(__FILE__, __LINE__, #c))

/* Leave through `out:` when a call fails: `SX_TRY(rc, io_thing(...));`. Needs a label `out`. */
#define SX_TRY(rc, call)                                                                           \
    do {                                                                                           \
        if (((rc) = (call)) != SX_OK) goto out;                                                    \
    } while (0)

#endif
