/* Shared by the writer and the reader of the slice cache only: names in the file, entries as JSON.
 */
#ifndef IO_CACHE_PRIVATE_H
#define IO_CACHE_PRIVATE_H

#include <jansson.h>

#include "io/io_cache.h"

#define IO__CACHE_VERSION "1"
#define IO__CACHE_INDEX_LIMIT ((int64_t)1 << 30) /* bytes */

/* "/volumes/000012/<leaf>" */
typedef struct io__cache_name {
    char text[48];
} io__cache_name;
io__cache_name io__cache_name_of(int64_t volume, const char *leaf);

/* Entry as a JSON object, new; NULL if a text is not UTF-8 or a number not finite. */
json_t *io__cache_entry_json(const io_cache_volume *v);
/* The way back: *v is filled. Errors: false, with what is wrong in *why (a literal). */
bool io__cache_entry_parse(json_t *j, io_cache_volume *v, const char **why);

#endif
