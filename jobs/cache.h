/* Inside of the verb `cache`: from image files to entries of the slice cache, and who is trained
 * on. Shared by cmd_cache.c and cache_*.c only. */
#ifndef CACHE_H
#define CACHE_H

#include <stdint.h>

#include "io/io_bids.h"
#include "io/io_cache.h"
#include "io/io_nifti.h"
#include "jobs/job.h"

/* ---- cache_volume.c: one image into one entry ---- */

/* What decides about pixels. Its hash is the configuration hash of a cache: volumes are taken over
 * from an older cache only when it is equal. */
typedef struct cache_recipe {
    io_read_opt read; /* of it only xform is in the hash */
    double hr_mm;     /* isotropic pixel of a slice */
    double quantile;  /* of the intensities, maps to 1 */
} cache_recipe;

/* From section data. */
cache_recipe cache_recipe_of(const job *j);
void cache_recipe_hash(const cache_recipe *r, char hex[65]);

/* Fill an entry's identity from the item; everything else of *v is zeroed. */
void cache_volume_name(io_cache_volume *v, const io_item *item, io_split split);
/* Read, reorient to PIR, resample in plane, map to 0..1, crop, quantise. *v has its identity; it
 * becomes ok with pixels, or not ok with reason and message. Never fails: a bad item is no bad
 * cohort. Not collective. */
void cache_volume_make(io_cache_volume *v, const cache_recipe *r);

/* ---- cache_split.c: subjects to train, val, test ---- */

/* Split of every item, new [items->n] (sx_free), by subject: from data.split_list, or drawn.
 * Drawn: each subject has a number u in [0, 1) that depends only on its label and data.split_seed,
 * and the fractions divide [0, 1) in the order train, val, test. So a subject stays where it is
 * when the cohort grows or shrinks. With three subjects or more, a split with a fraction above 0
 * that came out empty gets the subject nearest to it; small cohorts are the price of that
 * exception. Errors: SX_E_CONFIG (fractions all 0), SX_E_NOINPUT, SX_E_DATA (list: unreadable,
 * subject missing or listed twice). Not collective. */
sx_err cache_split(const job *j, const io_items *items, io_split **split);

/* ---- cache_plan.c: what to do with each item, given an older cache ---- */

typedef enum cache_action {
    CACHE_NEW,
    CACHE_CONFIG,
    CACHE_CHANGED,
    CACHE_DAMAGED,
    CACHE_FAILED,
    CACHE_KEEP
} cache_action;

typedef struct cache_step {
    int64_t old; /* volume of the older cache, or -1 */
    cache_action action;
    char sha256[65]; /* io_nifti_hash; "" when it cannot be read */
} cache_step;

/* Whether a step takes the older cache's entry, and why, in words; borrowed. */
bool cache_step_keeps(const cache_step *s);
const char *cache_step_why(const cache_step *s);

/* Hash every file, look it up in `old` (may be NULL), check what could be kept; one step an item,
 * new [items->n] (sx_free), equal on all ranks. Entries that failed are cheap and made again: what
 * was wrong may lie outside the file. Collective over c. Errors: SX_E_AGAIN (asked to stop). */
sx_err cache_plan(mp_comm *c, const io_items *items, io_cache *old, const char *config_hash,
                  cache_step **plan);

/* Nothing to do: every item is kept, in place, with the identity and split it has in `old`. */
bool cache_plan_is_idle(const cache_step *steps, const io_items *items, const io_split *split,
                        const io_cache *old);

/* ---- the three verbs below `cache` ---- */

/* cache build BIDS CACHE, by all ranks. Errors: SX_E_ITEMS (some volumes failed, or folders could
 * not be read), SX_E_NOINPUT, SX_E_CREATE, SX_E_IO, SX_E_DATA, SX_E_AGAIN (asked to stop: nothing
 * was written and the next run begins again), those of cache_split. */
sx_err cache_build(const job *j, const char *root, const char *path);
/* cache verify CACHE and cache info CACHE, by one process. Errors: SX_E_NOINPUT, SX_E_DATA. */
sx_err cache_verify(const job *j, const char *path);
sx_err cache_info(const job *j, const char *path);

#endif
