/* From the section data (options_data*) to the images that a verb is about, and how they are read.
 * Not collective. */
#ifndef JOB_DATA_H
#define JOB_DATA_H

#include "image/im_label.h"
#include "io/io_bids.h"
#include "io/io_nifti.h"
#include "jobs/job/job.h"

/* data.subjects, .exclude, and where the verb has them .suffix, .acq (else any) and .derivatives
 * (else no); texts are borrowed from the job. */
io_filter job_filter(const job *j);
/* The images that the job's first argument, or data.list in its place, names: a BIDS tree, a TSV
 * list or one NIfTI file. Errors: those of io_bids, SX_E_NOINPUT (none of these). */
sx_err job_items_find(const job *j, const io_filter *f, io_items *items);
/* What to say when none is found below `input`, or in data.list; returns SX_E_NOINPUT. Counts those
 * of other acquisitions, so the filter has acq and suffix. */
sx_err job_items_none(const job *j, const char *input, const io_filter *f);
/* SX_OK, or that of job_items_none for the job's first argument. */
sx_err job_items_check(const job *j, const io_filter *f, const io_items *items);
/* SX_OK, or when folders of the tree could not be listed or names were refused (a warning named
 * each) SX_E_ITEMS: their images are missing from the result. */
sx_err job_check_folders(const char *root, const io_items *items);
/* Of these images keep those whose subject is in split data.split of data.cache; all when that is
 * "all". Errors: SX_E_USAGE (a split without a cache), those of io_cache_open. */
sx_err job_keep_split(const job *j, io_items *items);
/* Labels of a NIfTI file, their axes turned to `codes` ("PIR"), or as they are for NULL. `l` must
 * be zeroed. Errors: those of io_nifti_read, SX_E_DATA (no labels), SX_E_NOMEM. */
sx_err job_labels_read(im_labels *l, const char *path, const io_read_opt *opt, const char *codes);
/* data.xform and .max_gib, for the reader; the only frame. */
io_read_opt job_read_opt(const job *j);

#endif
