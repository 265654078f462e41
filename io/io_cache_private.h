/* Shared by the writer and the reader of the slice cache only: names in the file, entries as JSON.
 */
#ifndef IO_CACHE_PRIVATE_H
#define IO_CACHE_PRIVATE_H

#include <jansson.h>

#include "io/io_cache.h"
#include "io/io_hdf5.h"

#define IO__CACHE_VERSION "1"
#define IO__CACHE_INDEX_LIMIT ((int64_t)1 << 30) /* bytes */

/* "/volumes/000012/<leaf>" */
typedef struct io__cache_name {
    char text[48];
} io__cache_name;
io__cache_name io__cache_name_of(int64_t volume, const char *leaf);

/* What is stored of each slice. */
typedef enum io__cache_layer { IO__PIXELS, IO__LABELS, IO__N_LAYERS } io__cache_layer;
/* Name of its dataset, of its checksums in an entry, bytes of a value. */
typedef struct io__cache_layout {
    const char *leaf, *crcs;
    size_t size;
} io__cache_layout;
extern const io__cache_layout io__cache_layouts[IO__N_LAYERS];
hid_t io__cache_file_type(io__cache_layer l);
hid_t io__cache_memory_type(io__cache_layer l);
/* Whether a volume has this layer; where it lies, or NULL. */
bool io__cache_has(const io_cache_volume *v, io__cache_layer l);
const void *io__cache_values(const io_cache_volume *v, io__cache_layer l);

/* CRC-32 (that of zlib) of a slice of n values as they are stored, low byte first. HDF5's
 * Fletcher-32 does not see words of zeros that become ones: background under a sector of 0xff. */
uint32_t io__cache_crc(io__cache_layer l, const void *values, int64_t n);
/* The checksums of n slices as an array of an entry. */
bool io__cache_put_crcs(json_t *entry, io__cache_layer l, const uint32_t *crc, int64_t n);
/* The way back, new in *crc (sx_free); NULL where an entry has none for its pixels, as in older
 * caches. False if they are not n numbers of 32 bits. */
bool io__cache_get_crcs(json_t *entry, io__cache_layer l, int64_t n, uint32_t **crc);

/* Entry as a JSON object without checksums, new; NULL if a text is not UTF-8 or a number not
 * finite. */
json_t *io__cache_entry_json(const io_cache_volume *v);
/* The way back: *v is filled. Errors: false, with what is wrong in *why (a literal). */
bool io__cache_entry_parse(json_t *j, io_cache_volume *v, const char **why);

#endif
