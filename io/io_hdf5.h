/* HDF5 for io/ only: one lock, one way to make files, short calls for texts.
 *
 * The library is not thread-safe in most builds: every public function of io/ that touches HDF5
 * holds the lock while it does. The lock is recursive and turns HDF5's own printing off; what went
 * wrong is asked for with io__hdf5_reason() and put into one sentence of ours.
 *
 * Files: format of HDF5 1.10 (checksums on all metadata; the newest that every supported library
 * reads), no time stamps, every dataset chunked with Fletcher-32, no file locks. Handles are closed
 * with io__hdf5_close. Functions marked "collective" are so when the file was opened by many ranks.
 */
#ifndef IO_HDF5_H
#define IO_HDF5_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/sx_err.h"
#include "mpi/mp_comm.h"

void io__hdf5_lock(void);
void io__hdf5_unlock(void);

/* Why the last call failed, in HDF5's words, also after io__hdf5_close; borrowed until the next
 * call; never NULL. */
const char *io__hdf5_reason(void);

/* Close a handle of any kind; false if that failed (of a file: data could not be written). Takes
 * negative handles. */
bool io__hdf5_close(hid_t id);

/* New file for writing; through MPI-IO when c has a native communicator, else by POSIX calls.
 * Negative on failure. Collective over c. */
hid_t io__hdf5_create(const char *path, const mp_comm *c);
/* A file in memory: a disk that is full or fails while the library writes leaves a file that it
 * cannot close, and it crashes on that at the end; small files are made here and written as bytes.
 * Zeroed at first; has the bytes once the file was closed. Freed with io__hdf5_memory_clear. */
typedef struct io__hdf5_memory {
    void *bytes;
    size_t n;
} io__hdf5_memory;
void io__hdf5_memory_clear(io__hdf5_memory *m);
/* New file of about n_bytes in *m, which must outlive it. Negative on failure. */
hid_t io__hdf5_create_in_memory(io__hdf5_memory *m, size_t n_bytes);
/* Close it: *m has the bytes that would be on disk. False on failure. Takes negative handles. */
bool io__hdf5_close_in_memory(hid_t file, io__hdf5_memory *m);

/* Open for reading. Refused before the library looks at it: what is not HDF5 of the kind written
 * here, and what is shorter than it says. Errors: SX_E_NOINPUT (absent, a folder), SX_E_DATA (not
 * HDF5 or damaged), SX_E_IO. */
sx_err io__hdf5_open(const char *path, hid_t *file);
/* Before something is read from files that are open: forget what the disk refused. */
void io__hdf5_begin_reading(void);
/* The result of reading: SX_E_DATA becomes SX_E_IO when the disk refused a read meanwhile. Then
 * nothing is known about damage. */
sx_err io__hdf5_end_reading(const char *path, sx_err rc);

/* New group; collective. Negative on failure. */
hid_t io__hdf5_group(hid_t parent, const char *name);

/* New dataset of these chunks, space reserved at once; collective. Negative on failure. */
hid_t io__hdf5_dataset(hid_t parent, const char *name, hid_t file_type, int rank,
                       const hsize_t *shape, const hsize_t *chunk);

/* Write a whole dataset. `transfer`: H5P_DEFAULT, or collective, where ranks with `mine` false take
 * part without data. */
bool io__hdf5_put(hid_t dataset, hid_t memory_type, hid_t transfer, bool mine, const void *data);

/* Text as uint8 dataset: n_bytes without a zero. All ranks give n_bytes, only `mine` the text. */
bool io__hdf5_put_text(hid_t parent, const char *name, hid_t transfer, bool mine, const char *text,
                       size_t n_bytes);
/* New zero-terminated text (sx_free) or NULL; at most `limit` bytes, and no more than the file has:
 * a dataset that was never written can claim any size. */
char *io__hdf5_get_text(hid_t parent, const char *name, int64_t limit);

/* Short text attributes. */
bool io__hdf5_put_attribute(hid_t object, const char *name, const char *text);
bool io__hdf5_get_attribute(hid_t object, const char *name, char *text, size_t room);

#endif
