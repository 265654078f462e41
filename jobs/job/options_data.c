/* data.*: which images a verb reads, how they are normalised, and the split by subject. Verbs read
 * different parts of the section, so the tables are made of groups of rows; what a verb does not
 * read it does not offer. */
#include "jobs/job/verbs.h"

/* clang-format off */
#define ACQUISITIONS(initial) \
    {"data.acq", JOB_TEXT, initial, NULL, 0, 0, "acquisitions taken (BIDS acq-), comma-separated; empty (--acq ''): all, also without acq-"}
#define SUFFIX \
    {"data.suffix", JOB_TEXT, "T2w", NULL, 0, 0, "BIDS suffixes taken, comma-separated; empty: all"}
#define SUBJECTS \
    {"data.subjects", JOB_TEXT, "", NULL, 0, 0, \
     "only these subjects, comma-separated; empty: all"}, \
    {"data.exclude", JOB_TEXT, "", NULL, 0, 0, "subjects left out, comma-separated"}
#define SEARCH \
    {"data.list", JOB_TEXT, "", NULL, 0, 0, \
     "TSV of images to take instead of a search; empty: none"}, \
    {"data.derivatives", JOB_BOOL, "false", NULL, 0, 0, "also search the derivatives folder"}
#define READING \
    {"data.xform", JOB_CHOICE, "auto", "auto|sform|qform", 0, 0, \
     "which NIfTI transform to trust"}, \
    {"data.max_gib", JOB_REAL, "2", NULL, 0.001, 1024, "refuse larger images (GiB as float)"}
#define PIXELS \
    READING, \
    {"data.hr_mm", JOB_REAL, "0.8571", NULL, 0.1, 10, "isotropic pixel of the slices, mm"}, \
    {"data.quantile", JOB_REAL, "0.999", NULL, 0.5, 1, \
     "quantile of a volume that maps to 1; 1: its maximum"}
/* clang-format on */

const job_option options_data[] = {
    ACQUISITIONS("sag,iso"),
    SUFFIX,
    SUBJECTS,
    SEARCH,
    PIXELS,
    {"data.split_train", JOB_REAL, "0.8", NULL, 0, 1, "fraction of subjects for training"},
    {"data.split_val", JOB_REAL, "0.1", NULL, 0, 1, "fraction of subjects for validation"},
    {"data.split_test", JOB_REAL, "0.1", NULL, 0, 1, "fraction of subjects for testing"},
    {"data.split_seed", JOB_INT, "0", NULL, 0, 9e15, "seed of the split"},
    {"data.split_list", JOB_TEXT, "", NULL, 0, 0,
     "TSV with a fixed split, or another cache (.h5) whose subjects keep theirs; empty: drawn"},
    JOB_OPTIONS_END,
};

const job_option options_data_any[] = {ACQUISITIONS(""), SUFFIX, SUBJECTS,
                                       SEARCH,           PIXELS, JOB_OPTIONS_END};
const job_option options_data_axial[] = {ACQUISITIONS("ax"), SUFFIX, SUBJECTS, SEARCH, PIXELS,
                                         JOB_OPTIONS_END};
const job_option options_data_masks[] = {SUBJECTS, READING, JOB_OPTIONS_END};
const job_option options_data_scans[] = {ACQUISITIONS("ax"), SUFFIX, SUBJECTS, SEARCH, READING,
                                         JOB_OPTIONS_END};
const job_option options_data_subjects[] = {SUFFIX, SUBJECTS, PIXELS, JOB_OPTIONS_END};
const job_option options_data_split[] = {
    {"data.cache", JOB_TEXT, "", NULL, 0, 0,
     "slice cache that knows which subject is in which split; empty: none"},
    {"data.split", JOB_CHOICE, "all", "all|train|val|test", 0, 0,
     "only subjects of this split of data.cache"},
    JOB_OPTIONS_END,
};
