/* The slice cache: one HDF5 file with the sagittal slices of a cohort.
 *
 * Layout (format version 1; docs/formats.md):
 *   /format            attributes: name, version, config (hash of the configuration)
 *   /volumes/NNNNNN/pixels   uint16 [slices][rows][columns], chunk = one slice, Fletcher-32;
 *                            0..65535 stands for 0..1
 *   /volumes/NNNNNN/labels   uint8, the same shape and chunks: sub-regions (spine/sp_labels.h),
 *                            only where the cache was built with labels
 *   /volumes/NNNNNN/meta     uint8, JSON: file, sha256, subject, session, split, affine of the
 *                            resampled grid, orientation and spacing of the file, mapping, crop,
 *                            CRC-32 of each slice; of labels likewise, and the hash of their file
 *   /index             uint8, JSON: the entries of all volumes, failed ones with their reason
 *
 * Format of HDF5 1.10, Fletcher-32 on every dataset, no time stamps: equal input and configuration
 * give equal bytes on any number of ranks. Written under a temporary name, read back, then renamed.
 * HDF5 is not thread-safe: calls are serialised by one lock inside io/. */
#ifndef IO_CACHE_H
#define IO_CACHE_H

#include <stdbool.h>
#include <stdint.h>
#include "image/im_stat.h"
#include "io/io_bids.h"
#include "mpi/mp_comm.h"

typedef enum io_split { IO_TRAIN, IO_VAL, IO_TEST, IO_N_SPLITS } io_split;
const char *io_split_name(io_split s); /* "train", "val", "test" */
/* IO_N_SPLITS for any other word. */
io_split io_split_parse(const char *name);

/* One volume as it goes into the cache, or the reason why it does not. Plain data. */
typedef struct io_cache_volume {
    char *rel, *path; /* identity below the input root; full path (not stored)   */
    char sha256[65];  /* of the source file                                      */
    char subject[IO_LABEL], session[IO_LABEL], acq[IO_LABEL];
    io_split split;
    bool ok;
    char reason[48], message[400]; /* when not ok                                      */
    int64_t n, h, w;               /* slices, rows, columns                                   */
    uint16_t *pixels;              /* [n][h][w] or NULL; owned; sx_free                       */
    uint8_t *labels;               /* likewise; with labels_sha256 alone                      */
    char labels_sha256[65];        /* of the file of the labels; "" without labels            */
    double affine[4][4];           /* of the cached grid: (column, row, slice) -> mm RAS+     */
    char axcodes[4];               /* of the file                                             */
    double zooms[3];               /* of the file                                             */
    im_mapping mapping;
    int64_t crop[3]; /* first column, row, slice in the uncropped grid          */
    bool reused;     /* taken over from the previous cache (not stored)         */
} io_cache_volume;
void io_cache_volume_clear(io_cache_volume *v);

/* ---- writing: rounds of one volume a rank, in item order. A call of HDF5 that fails in a file
 * written by MPI-IO aborts all ranks (tier 3): some may wait for each other inside the library ----
 */
typedef struct io_cache_writer io_cache_writer;
/* What killed writers of this path left goes. Collective over c. Errors: SX_E_CREATE, SX_E_IO. */
sx_err io_cache_create(io_cache_writer **w, mp_comm *c, const char *path, const char *config_hash);
/* Volume number `item` of this rank (item < 0: this rank has none in this round). Items of a round
 * are consecutive, by rank. Collective over c. Errors: SX_E_IO (the disk is full),
 * SX_E_DATA (a text is not UTF-8, a number not finite). */
sx_err io_cache_append(io_cache_writer *w, int64_t item, const io_cache_volume *v);
/* Call `moved` after each volume that io_cache_commit reads back, which may take long. */
void io_cache_watch(io_cache_writer *w, void (*moved)(void *user), void *user);
/* Write the index, close, read back, fsync, rename (`keep` false: throw away). Collective over c.
 * Frees w. Errors: SX_E_IO (the disk is full, what is read is not what was written), SX_E_CREATE.
 */
sx_err io_cache_commit(io_cache_writer *w, bool keep);

/* A cache that holds v alone, by one process, atomically; put together in memory, which takes the
 * size of the pixels once more. Not collective. Errors: SX_E_CREATE, SX_E_IO (the disk is full),
 * SX_E_NOMEM, SX_E_DATA as above. */
sx_err io_cache_write_one(const char *path, const char *config_hash, const io_cache_volume *v);

/* ---- reading: any rank, any time, one thread at a time inside io ---- */
typedef struct io_cache io_cache;
/* Errors: SX_E_NOINPUT, SX_E_DATA (not a cache, damaged, newer version), SX_E_IO (the disk refuses
 * to read, here and below). Not collective. */
sx_err io_cache_open(io_cache **k, const char *path);
void io_cache_close(io_cache *k); /* takes NULL */
const char *io_cache_config_hash(const io_cache *k);
/* SHA-256 of what the cache holds, from its index: equal caches give equal trainings. */
void io_cache_content_hash(const io_cache *k, char hex[65]);
int64_t io_cache_n_volumes(const io_cache *k);
/* Entry without pixels and labels (both NULL); borrowed. */
const io_cache_volume *io_cache_entry(const io_cache *k, int64_t volume);
/* The entry as it is stored but for the CRCs, JSON text, new (sx_free). */
char *io_cache_entry_text(const io_cache *k, int64_t volume);
/* One slice as float 0..1 into out [h][w]. Errors: SX_E_DATA (checksum), SX_E_IO. */
sx_err io_cache_slice(io_cache *k, int64_t volume, int64_t slice, float *out);
/* The labels of one slice [h][w]. Errors: as above; SX_E_DATA also when the volume has none. */
sx_err io_cache_slice_labels(io_cache *k, int64_t volume, int64_t slice, uint8_t *out);
/* All pixels, all labels of a volume, new (sx_free). Errors as above. */
sx_err io_cache_pixels(io_cache *k, int64_t volume, uint16_t **pixels);
sx_err io_cache_labels(io_cache *k, int64_t volume, uint8_t **labels);
/* Everything stored about a volume: pixels and labels against their checksums, its own meta against
 * the index. Volumes that failed have nothing stored and are in order. Errors: SX_E_DATA (names the
 * slices), SX_E_IO. */
sx_err io_cache_check(io_cache *k, int64_t volume);

#endif
