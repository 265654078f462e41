/* Memory: aligned zeroed blocks and strings.
 *
 * Blocks are rounded up to whole cache lines: no two threads' blocks share one. What that adds at
 * the end is nobody's: a sanitized build stops who touches it, as it does right behind a block. */
#include "base/sx_mem.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#if defined SAGAX_SANITIZED
#include <sanitizer/asan_interface.h>
#endif

#define ALIGN ((size_t)64)
/* Large blocks ask for huge pages: the engine walks through dozens of streams at a time, more than
 * the page tables of small pages keep at hand. */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define HUGE_FROM_BYTES ((size_t)4 << 20)
/* No object of the program comes near; a size from a broken file is refused without asking (and
 * overcommitting) the system. */
#define MAX_BLOCK_BYTES ((size_t)1 << 39)

/* Bytes of count * size rounded up to whole lines, or to whole huge pages; false when that does not
 * fit. */
static bool block_bytes(int64_t count, size_t size, size_t *n_bytes) {
    if (count < 0 || (size != 0 && (uint64_t)count > MAX_BLOCK_BYTES / size)) return false;
    size_t n = (size_t)count * size;
    const size_t step = n >= HUGE_FROM_BYTES ? HUGE_PAGE_BYTES : ALIGN;
    *n_bytes = (n + step - 1) / step * step;
    if (*n_bytes == 0) *n_bytes = ALIGN;
    return true;
}

static void forbid_tail(void *block, size_t wanted, size_t n_bytes) {
#if defined SAGAX_SANITIZED
    __asan_poison_memory_region((char *)block + wanted, n_bytes - wanted);
#else
    (void)block, (void)wanted, (void)n_bytes;
#endif
}

void *sx_try_alloc(int64_t count, size_t size) {
    size_t n_bytes = 0;
    if (!block_bytes(count, size, &n_bytes)) return NULL;
    const bool huge = n_bytes >= HUGE_FROM_BYTES;
    void *p = aligned_alloc(huge ? HUGE_PAGE_BYTES : ALIGN, n_bytes);
#if defined MADV_HUGEPAGE
    if (p && huge) madvise(p, n_bytes, MADV_HUGEPAGE);
#endif
    if (p) memset(p, 0, n_bytes);
    if (p) forbid_tail(p, (size_t)count * size, n_bytes);
    return p;
}

void *sx_alloc(int64_t count, size_t size) {
    void *p = sx_try_alloc(count, size);
    if (!p) {
        fprintf(stderr, "sagax: out of memory (%lld items of %zu bytes)\n", (long long)count, size);
        abort();
    }
    return p;
}

void sx_free(void *p) {
    free(p);
}

void *sx_grow(void *block, int64_t n, size_t size) {
    if (n & (n - 1)) return block;
    void *wide = sx_alloc(n ? 2 * n : 1, size);
    if (n) memcpy(wide, block, (size_t)n * size);
    sx_free(block);
    return wide;
}

char *sx_strdup(const char *s) {
    if (!s) return NULL;
    size_t n = strlen(s) + 1;
    return memcpy(sx_alloc((int64_t)n, 1), s, n);
}

char *sx_strf(const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    SX_ASSERT(n >= 0);
    char *s = sx_alloc((int64_t)n + 1, 1);
    vsnprintf(s, (size_t)n + 1, format, again);
    va_end(again);
    return s;
}

int64_t sx_peak_rss_bytes(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)u.ru_maxrss * 1024; /* Linux counts KiB */
}
