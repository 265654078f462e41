/* SHA-256 of buffers and files (FIPS 180-4, by libcrypto). Lower-case hexadecimal, 64 characters.
 * Not collective. */
#ifndef SX_HASH_H
#define SX_HASH_H

#include <stddef.h>
#include <stdint.h>
#include "base/sx_err.h"

#define SX_HASH_HEX 65 /* with the terminating zero */

void sx_hash_bytes(const void *data, size_t n_bytes, char hex[SX_HASH_HEX]);
/* The first 64 bits of the digest of a text, as a number: a key for random streams. */
uint64_t sx_hash_key(const char *text);
/* Errors: SX_E_NOINPUT, SX_E_IO. */
sx_err sx_hash_file(const char *path, char hex[SX_HASH_HEX]);

/* Incremental form. */
typedef struct sx_hasher sx_hasher;
sx_hasher *sx_hasher_new(void);
void sx_hasher_add(sx_hasher *h, const void *data, size_t n_bytes);
/* With the zero at its end, so that texts one after the other do not run together. */
void sx_hasher_add_text(sx_hasher *h, const char *text);
/* All bytes of a file. Errors: SX_E_NOINPUT, SX_E_IO. */
sx_err sx_hasher_add_file(sx_hasher *h, const char *path);
/* Ends and frees. */
void sx_hasher_end(sx_hasher *h, char hex[SX_HASH_HEX]);
/* Of n texts one after the other. */
void sx_hash_texts(const char *const *text, int n, char hex[SX_HASH_HEX]);

#endif
