/* BIDS: finding images in a tree, or in an explicit TSV list.
 *
 * Names are sub-<label>[_ses-<label>]_..._<suffix>.nii[.gz]; entities known here: sub, ses, acq,
 * chunk, run, desc; others are kept in `stem` and otherwise ignored. Hidden and `._*` files,
 * unknown files, sidecars without image and images without sidecar are tolerated. A label of
 * IO_LABEL bytes or more is refused with its path, never cut: two subjects stay two. Order is
 * sorted by path (bytes), so it does not depend on the file system. Not collective. */
#ifndef IO_BIDS_H
#define IO_BIDS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"

enum { IO_LABEL = 160 }; /* bytes of a label with its zero; a SHA-512 in hexadecimal fits */

typedef struct io_item {
    char *path; /* full path of the image */
    char *rel;  /* path below the root: identity of the item */
    char *stem; /* file name without extension */
    char *dir;  /* folder below the root, e.g. "sub-1/ses-2/anat" */
    char subject[IO_LABEL], session[IO_LABEL], acq[IO_LABEL]; /* "" when absent */
    char desc[IO_LABEL + 8]; /* likewise; "stitched" fits behind a label                    */
    char suffix[32];         /* likewise; a longer word is none                             */
    int chunk, run;          /* 0 and up; -1 when absent                                    */
    int64_t bytes;           /* size of the file, -1 unknown                                */
    struct io_item *part;    /* [n_parts] chunks that are one item, by number; else NULL; owned */
    int n_parts;             /* 0 for an image of its own */
} io_item;

typedef struct io_items {
    io_item *item;
    int64_t n;
    int64_t n_unreadable; /* folders that could not be listed, images whose labels are too long */
} io_items;

typedef struct io_filter {
    const char *acq;    /* comma-separated acq labels ("sag,iso"), NULL any                     */
    const char *suffix; /* comma-separated suffixes ("T2w"), NULL any                            */
    const char *subjects; /* comma-separated labels, with or without "sub-", NULL any */
    const char *exclude; /* comma-separated subjects or stems to leave out, NULL none             */
    bool derivatives;    /* also walk below a folder named derivatives                            */
} io_filter;

/* Walk `root`; links are followed, loops end. Images that cannot be read (dangling links, pipes)
 * are items too. A folder below the root that cannot be listed and an image with a label that is
 * too long are logged and counted, and the caller should say SX_E_ITEMS in the end. Errors:
 * SX_E_NOINPUT (no such folder), SX_E_IO. An empty result is not an error. */
sx_err io_bids_walk(const char *root, const io_filter *f, io_items *items);
/* Read a TSV list: header line with columns path and optionally subject, session, acq; relative
 * paths are below the list's own folder. `dir` is made of the entities, sub-X[/ses-Y]/anat: the
 * path may lead anywhere. Columns item, folder and bytes, where there are any, are `rel`, `dir`
 * (which must not lead upwards) and `bytes`. Errors: SX_E_NOINPUT, SX_E_DATA (line number in the
 * message). */
sx_err io_bids_list(const char *tsv, const io_filter *f, io_items *items);
/* Write items, their parts if they have any, as a list from which io_bids_list makes the same
 * items, atomically; relative paths stay as they are. Errors: SX_E_DATA (a name that no table can
 * hold), SX_E_CREATE, SX_E_IO. */
sx_err io_bids_list_write(const char *tsv, const io_items *items);
/* One image of any name as the only item: `rel` is its name, `dir` is empty; what its name says is
 * taken apart. Errors: SX_E_NOINPUT, SX_E_DATA (a label that is too long). */
sx_err io_bids_file(const char *path, io_items *items);
void io_items_clear(io_items *items);
/* Keep the items for which `keep` holds, in their order, and free the others. */
void io_items_keep(io_items *items, bool (*keep)(const void *user, const io_item *item),
                   const void *user);
/* Sort by size, equal ones by `rel`. */
void io_items_largest_first(io_items *items);
/* Whether two images are of one session of one subject. */
bool io_same_session(const io_item *a, const io_item *b);
/* The parts of an item's stem but desc-, those that begin with `but` ("chunk-") and the suffix,
 * each with a "_" behind it; new (sx_free). */
char *io_bids_entities(const io_item *item, const char *but);
/* Make one item of images that differ in chunk- only, at the place of the first; others become
 * items of one part. Of each item stem and desc are those of a stitched volume: no chunk-, and
 * `stitched` at the end of desc. `rel` is made of that stem when there are several parts; path is
 * that of the first part, bytes are those of all. */
void io_bids_join_chunks(io_items *items);
/* The images that an item is made of: itself when it has no parts. Borrowed. */
int io_item_n_images(const io_item *item);
const io_item *io_item_image(const io_item *item, int i);

/* Path of the JSON sidecar of an image, new (sx_free). */
char *io_bids_sidecar(const char *image);
/* Slice thickness (mm) from the image's JSON sidecar (SliceThickness), or `fallback`; of an item of
 * several parts the largest of those. */
double io_bids_slice_thickness(const io_item *item, double fallback);
/* Write dataset_description.json of a derivative dataset once (keeps an existing one). */
sx_err io_bids_describe(const char *root, const char *name, const char *source_root);

#endif
