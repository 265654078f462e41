/* A verb INPUT OUT that makes something of each image of a cohort: what `sr`, `stitch`, `segment`
 * and `points` share beside work.h.
 *
 * The images are found and made by a cohort_kind of the verb. OUT becomes a BIDS derivative
 * dataset, with the table of outcomes OUT/sagax-VERB.tsv and the folder of the work. An image whose
 * output would have the name of another's fails, and so does the other. OUT may lie in the input,
 * but is neither that nor a raw data set. A dry run prints the plan and writes nothing. */
#ifndef COHORT_H
#define COHORT_H

#include "io/io_bids.h"
#include "jobs/job/job.h"
#include "jobs/items/work.h"

typedef struct cohort_kind {
    const char *verb;  /* "sr"                                                      */
    const char *about; /* name of OUT in its dataset_description.json               */
    bool together;     /* as in work_kind                                           */
    /* The images, of which there is at least one. Not collective. */
    sx_err (*find)(const job *j, io_items *items);
    /* Path below OUT that no other image's output may have; new (sx_free). */
    char *(*output_name)(const io_item *item);
    /* May be NULL. What a dry run does not do before the first image; OUT is there. Collective. */
    sx_err (*begin)(void *user);
    /* As in work_kind. */
    sx_err (*inspect)(void *user, const io_item *item, char print[65], char why[WORK_WHY]);
    /* As in work_kind; `w` for work_step and work_holds. */
    sx_err (*make)(void *user, work *w, mp_comm *share, const io_item *item, const char print[65],
                   bool *lost);
} cohort_kind;

/* The whole run, all arguments of the job being checked. `config`: the hash of what in
 * configuration and weights decides about all results. Collective over the job's ranks. Errors:
 * those of `find` and `begin`, work_open and work_run; SX_E_CREATE (OUT is no folder), SX_E_USAGE
 * (OUT is the input or a raw data set), SX_E_ITEMS (also when folders could not be read). */
sx_err cohort_run(job *j, const cohort_kind *kind, const char config[65], void *user);

/* For each image why it cannot have an output of its own, new, or NULL. [items->n], new. */
char **cohort_clashes(const io_items *items, char *(*output_name)(const io_item *item));

#endif
