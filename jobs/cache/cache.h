/* Inside of the verb `cache`: from image files to entries of the slice cache, and who is trained
 * on. Shared by cmd_cache.c and cache_*.c only. */
#ifndef CACHE_H
#define CACHE_H

#include <stdint.h>

#include "io/io_bids.h"
#include "io/io_cache.h"
#include "io/io_nifti.h"
#include "jobs/job/job_scheme.h"
#include "jobs/job/job.h"
#include "jobs/items/work.h"

/* ---- cache_labels.c: masks for the images ---- */

extern const job_option options_cache[];

typedef struct cache_labels {
    bool used; /* cache.labels is given */
    io_items masks;
    job_scheme scheme;
} cache_labels;

/* From section cache; *l is zeroed. Errors: SX_E_NOINPUT (also when there is no mask), SX_E_DATA,
 * SX_E_IO. Not collective. */
sx_err cache_labels_open(cache_labels *l, const job *j);
void cache_labels_close(cache_labels *l); /* takes a zeroed struct */
/* The mask that belongs to an image, NULL if none does; borrowed. */
const io_item *cache_labels_of(const cache_labels *l, const io_item *image);
/* Fill v->labels, on the grid that v has, from the mask at `path`. Errors: SX_E_DATA, SX_E_NOMEM,
 * those of io_nifti_read. */
sx_err cache_labels_read(io_cache_volume *v, const cache_labels *l, const io_read_opt *read,
                         const char *path);

/* ---- cache_volume.c: one image into one entry ---- */

/* What decides about pixels. Its hash is the configuration hash of a cache: volumes are taken over
 * from an older cache only when it is equal. */
typedef struct cache_recipe {
    io_read_opt read;           /* of it only xform is in the hash */
    double hr_mm;               /* isotropic pixel of a slice */
    double quantile;            /* of the intensities, maps to 1 */
    const cache_labels *labels; /* borrowed; NULL: none */
} cache_recipe;

/* From section data, and labels that are used. */
cache_recipe cache_recipe_of(const job *j, const cache_labels *labels);
void cache_recipe_hash(const cache_recipe *r, char hex[65]);

/* Fill an entry's identity from the item; everything else of *v is zeroed. */
void cache_volume_name(io_cache_volume *v, const io_item *item, io_split split);
/* Read, reorient to PIR, resample in plane, map to 0..1, crop, quantise; take labels from `mask`,
 * NULL for none. *v has its identity and hashes; it becomes ok with pixels, or not ok with reason
 * and message, and either way an entry. Errors: why it is not ok, the message being that of the
 * entry. Not collective. */
sx_err cache_volume_make(io_cache_volume *v, const cache_recipe *r, const io_item *mask);
/* Not ok, for a reason (a word) and with a message, both copied. */
void cache_volume_refuse(io_cache_volume *v, const char *reason, const char *message);
/* Take everything but identity and split from volume number `volume` of a cache. *v has its
 * identity; untouched, and false, when pixels cannot be read. Not collective. */
bool cache_volume_take(io_cache_volume *v, io_cache *from, int64_t volume);

/* ---- cache_split.c: subjects to train, val, test ---- */

/* Split of every item, new [items->n] (sx_free), by subject: from data.split_list, or drawn.
 * Drawn: each subject has a number u in [0, 1) that depends only on its label and data.split_seed,
 * and the fractions divide [0, 1) in the order train, val, test. So a subject stays where it is
 * when the cohort grows or shrinks. With three subjects or more, a split with a fraction above 0
 * that came out empty gets the subject nearest to it; small cohorts are the price of that
 * exception. For the exception alone subjects without a usable image do not count; usable
 * [items->n] is 0 for an image that failed, and may be NULL while nobody knows. Errors: SX_E_CONFIG
 * (fractions all 0), SX_E_NOINPUT, SX_E_DATA (list: unreadable, subject missing or listed twice).
 * Not collective. */
sx_err cache_split(const job *j, const io_items *items, const int64_t *usable, io_split **split);

/* ---- cache_plan.c: what to do with each item, given an older cache ---- */

typedef enum cache_action {
    CACHE_NEW,
    CACHE_CONFIG,
    CACHE_CHANGED,
    CACHE_DAMAGED,
    CACHE_FAILED,
    CACHE_OTHER, /* not planned: of another task's share */
    CACHE_PART,  /* its part is there */
    CACHE_KEEP   /* taken from the older cache */
} cache_action;

typedef struct cache_step {
    int64_t old; /* volume of the older cache, or -1 */
    cache_action action;
    char sha256[65];        /* io_nifti_hash; "" when it cannot be read */
    char labels_sha256[65]; /* of its mask; "" without */
    char key[65];           /* of its part */
} cache_step;

/* What is done, "keep", "part", "make" or "-", and why, in words; borrowed. */
const char *cache_step_word(const cache_step *s);
const char *cache_step_why(const cache_step *s);

/* Hash the files of items first, first + step, …, look them up in `old` (may be NULL) and among the
 * parts, check what could be kept; one step an item, new [items->n] (sx_free), equal on all ranks.
 * An earlier plan of the same items in *plan (else NULL) is freed, and what it hashed is not hashed
 * again. Entries that failed are cheap and made again: what was wrong may lie outside the file.
 * Collective over c. Errors: SX_E_AGAIN (asked to stop). */
sx_err cache_plan(mp_comm *c, const io_items *items, int64_t first, int64_t step, io_cache *old,
                  const cache_recipe *recipe, const char *config_hash, const char *parts,
                  cache_step **plan);
/* Give a volume the hashes of its step. */
void cache_step_sign(const cache_step *s, io_cache_volume *v);

/* Nothing to do: every item is kept, in place, with the identity and split it has in `old`. */
bool cache_plan_is_idle(const cache_step *steps, const io_items *items, const io_split *split,
                        const io_cache *old);

/* ---- cache_part.c: volumes on their way into the cache ----
 *
 * FOLDER/KEY.h5 is a slice cache of one volume (io_cache_write_one), made or failed. The key is a
 * hash of path, content and configuration, so a part is used for exactly what it was made from. */

void cache_part_key(const io_item *item, const char *sha256, const char *config_hash, char key[65]);
/* FOLDER/KEY.h5, new (sx_free). */
char *cache_part_path(const char *folder, const cache_step *s);
/* Whether there is a part, of whatever kind and in whatever state. Of other hosts' parts it is sure
 * after sx_folder_refresh. */
bool cache_part_exists(const char *folder, const cache_step *s);
/* Whether there is one, whole, and no failure. */
bool cache_part_is_good(const char *folder, const cache_step *s, const char *config_hash);
/* Fill *v, which has its identity, from the part, also from a failure; untouched, and false, when
 * there is none or it is damaged. */
bool cache_part_take(const char *folder, const cache_step *s, const char *config_hash,
                     io_cache_volume *v);
/* Errors: SX_E_CREATE, SX_E_IO, SX_E_NOMEM. */
sx_err cache_part_write(const char *folder, const cache_step *s, const char *config_hash,
                        const io_cache_volume *v);
/* How many finished parts there are, and how many unfinished ones. */
int64_t cache_parts_count(const char *folder, int64_t *n_unfinished);
/* Remove the parts of these steps, also unfinished ones, but not one that somebody makes just now;
 * and where no other run is at work (`alone`) those of other files and configurations, too. */
void cache_parts_remove(const char *folder, const cache_step *steps, const io_items *items,
                        mp_leases *leases, bool alone);

/* ---- one build ---- */

/* Which file it is that has the name. Plain data without padding. */
typedef struct cache_stamp {
    int64_t exists, inode, n_bytes, changed_ns;
} cache_stamp;

typedef struct cache_run {
    const job *j;
    mp_comm *c;
    const char *path;
    char *folder, *parts; /* CACHE.sagax, CACHE.sagax/parts */
    cache_labels labels;
    cache_recipe recipe;
    char config[65];
    io_items items;
    io_split *split;     /* [items.n] */
    int64_t first, step; /* of run.part: this run's share */
    bool whole;          /* all items are planned, not the share alone */
    cache_step *steps;   /* [items.n] */
    io_cache *old;       /* NULL when there is none to use */
    cache_stamp seen;    /* of the cache when `steps` were planned */
    work *w;
} cache_run;

/* The mask of item i, NULL without. */
const io_item *cache_run_mask(const cache_run *r, int64_t i);
/* Whether another run has put the cache together since this one planned. Not collective. */
bool cache_run_is_late(const cache_run *r);

/* cache_make.c: open r->w, whose items are the parts that are missing. Collective. Errors: those of
 * work_open. */
sx_err cache_work_open(cache_run *r);

/* cache_assemble.c: the cache from parts and the older cache. */

/* What the last line counts; summed over ranks. */
enum { N_OK, N_FAILED, N_REUSED, N_SLICES, N_COUNTS = N_SLICES + IO_N_SPLITS };
void cache_count(const io_cache_volume *v, int64_t counts[N_COUNTS]);

/* Whether all volumes are there: kept, or dealt with by this run, or with a part. Of a whole plan.
 * Collective. */
bool cache_is_complete(const cache_run *r);
/* Get the lease of the cache, which one run has at a time. `wait`: until it is free, else *mine may
 * become false. Collective. Errors: SX_E_CREATE, SX_E_AGAIN (asked to stop). */
sx_err cache_claim(const cache_run *r, bool wait, bool *mine);
void cache_release(const cache_run *r);
/* Write the cache by rounds of one volume a rank, in item order. Collective. Errors: those of
 * io_cache_create, _append and _commit; SX_E_AGAIN (asked to stop, or the lease is lost). */
sx_err cache_assemble(cache_run *r, int64_t counts[N_COUNTS]);

/* cache_split.c: r->split anew, now that r->w has run and it is known which images failed.
 * Collective. Errors: those of cache_split. */
sx_err cache_split_again(cache_run *r);

/* cache_report.c: the last lines; by one rank. */
void cache_report(const cache_run *r, const int64_t counts[N_COUNTS], bool written, double seconds);
/* A task of an array has done its share, and others have not: n_parts are there. */
void cache_report_share(const cache_run *r, int64_t n_parts);

/* ---- the three verbs below `cache` ---- */

/* cache build BIDS CACHE, by all ranks. Errors: SX_E_ITEMS (some volumes failed, or folders could
 * not be read), SX_E_NOINPUT, SX_E_CREATE, SX_E_IO, SX_E_DATA, SX_E_AGAIN (asked to stop: the next
 * run goes on), those of cache_split. */
sx_err cache_build(const job *j, const char *root, const char *path);
/* cache verify CACHE and cache info CACHE, by one process. Errors: SX_E_NOINPUT, SX_E_DATA,
 * SX_E_IO. */
sx_err cache_verify(const job *j, const char *path);
sx_err cache_info(const job *j, const char *path);

#endif
