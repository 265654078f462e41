/* A submission: what a batch job works from, frozen when it was submitted.
 *
 *   FOLDER/job.sh        the batch script
 *   FOLDER/config.json   the resolved configuration as other outputs have it, for people
 *   FOLDER/settings.tsv  the same for the program: key, value as it was written, origin
 *   FOLDER/items.tsv     the images found then (io_bids_list); only of verbs with a cohort
 * The files are read-only. FOLDER is named by the first digits of the SHA-256 over names, sizes and
 * bytes of all of them, so whoever has the path of a submission can tell whether it is still what
 * was submitted. Nothing is ever written into a submission again; the same submission made twice is
 * one folder. Not collective. */
#ifndef SUBMISSION_H
#define SUBMISSION_H

#include "base/sx_err.h"
#include "io/io_bids.h"
#include "jobs/job/job.h"

enum { SUBMISSION_DIGITS = 12 };

/* Freeze a job and its script below `parent`; *folder is its path, new (sx_free), absolute when
 * `parent` is. Configuration is what `j` holds now; items may be NULL, their paths should be
 * absolute. Errors: SX_E_CREATE, SX_E_IO, SX_E_CONFIG and SX_E_DATA (a value or a name that no
 * table can hold). */
sx_err submission_write(const char *parent, const job *j, const char *script, const io_items *items,
                        char **folder);

/* The name that the folder of such a submission would have, and nothing else.
 * Errors: as submission_write, of a folder below TMPDIR. */
sx_err submission_name(const job *j, const char *script, const io_items *items,
                       char name[SUBMISSION_DIGITS + 1]);

/* Whether the folder holds what its name says. Errors: SX_E_CONFIG (changed since), SX_E_NOINPUT,
 * SX_E_IO. */
sx_err submission_check(const char *folder);

#endif
