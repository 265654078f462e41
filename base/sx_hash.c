/* SHA-256 through libcrypto's EVP interface. */
#include "base/sx_hash.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"

#define READ_BYTES (1 << 16)

struct sx_hasher {
    EVP_MD_CTX *context;
};

/* EVP calls on a digest that is always built in fail only for want of memory: our tier-1 case. */
sx_hasher *sx_hasher_new(void) {
    sx_hasher *h = SX_NEW(sx_hasher);
    h->context = EVP_MD_CTX_new();
    SX_ASSERT(h->context);
    SX_ASSERT(EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) == 1);
    return h;
}

void sx_hasher_add(sx_hasher *h, const void *data, size_t n_bytes) {
    SX_ASSERT(EVP_DigestUpdate(h->context, data, n_bytes) == 1);
}

static void to_hex(const unsigned char *bytes, size_t n, char *hex) {
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digit[bytes[i] >> 4];
        hex[2 * i + 1] = digit[bytes[i] & 15];
    }
    hex[2 * n] = '\0';
}

void sx_hasher_end(sx_hasher *h, char hex[SX_HASH_HEX]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    SX_ASSERT(EVP_DigestFinal_ex(h->context, digest, &n) == 1);
    SX_ASSERT(2 * n + 1 == SX_HASH_HEX);
    to_hex(digest, n, hex);
    EVP_MD_CTX_free(h->context);
    sx_free(h);
}

void sx_hash_bytes(const void *data, size_t n_bytes, char hex[SX_HASH_HEX]) {
    sx_hasher *h = sx_hasher_new();
    sx_hasher_add(h, data, n_bytes);
    sx_hasher_end(h, hex);
}

uint64_t sx_hash_key(const char *text) {
    char hex[SX_HASH_HEX];
    sx_hash_bytes(text, strlen(text), hex);
    hex[16] = '\0';
    return strtoull(hex, NULL, 16);
}

void sx_hasher_add_text(sx_hasher *h, const char *text) {
    sx_hasher_add(h, text, strlen(text) + 1);
}

sx_err sx_hasher_add_file(sx_hasher *h, const char *path) {
    char why[SX_FILE_WHY];
    FILE *f = fopen(path, "rb");
    if (!f) return sx_fail(SX_E_NOINPUT, "%s: %s", path, sx_file_why(path, errno, why));
    char *buffer = sx_alloc(READ_BYTES, 1);
    size_t n;
    while ((n = fread(buffer, 1, READ_BYTES, f)) > 0) sx_hasher_add(h, buffer, n);
    sx_err rc = ferror(f) ? sx_fail(SX_E_IO, "%s: %s", path, strerror(errno)) : SX_OK;
    sx_free(buffer);
    fclose(f);
    return rc;
}

sx_err sx_hash_file(const char *path, char hex[SX_HASH_HEX]) {
    sx_hasher *h = sx_hasher_new();
    sx_err rc = sx_hasher_add_file(h, path);
    sx_hasher_end(h, hex);
    return rc;
}

void sx_hash_texts(const char *const *text, int n, char hex[SX_HASH_HEX]) {
    sx_hasher *h = sx_hasher_new();
    for (int i = 0; i < n; i++) sx_hasher_add_text(h, text[i]);
    sx_hasher_end(h, hex);
}
