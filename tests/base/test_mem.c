#include "base/sx_mem.h"
#include <stdint.h>
#include <string.h>
#include "tests/check_run.h"
#if defined SAGAX_SANITIZED
#include <sanitizer/asan_interface.h>
#endif

START_TEST(blocks_are_aligned_and_zero) {
    for (int64_t n = 0; n < 300; n += 7) {
        unsigned char *p = sx_alloc(n, 1);
        ck_assert_uint_eq((uintptr_t)p % 64, 0);
        for (int64_t i = 0; i < n; i++) ck_assert_uint_eq(p[i], 0);
        if (n > 0) memset(p, 0xff, (size_t)n); /* the next block may reuse it and must be zero */
        sx_free(p);
    }
}
END_TEST

/* Blocks are longer than asked for; under a sanitizer nobody can tell. */
START_TEST(what_rounding_adds_is_forbidden_where_that_is_watched) {
#if defined SAGAX_SANITIZED
    for (int64_t n = 8; n < 300; n += 8) {
        char *p = sx_alloc(n, 1);
        ck_assert(!__asan_region_is_poisoned(p, (size_t)n) && __asan_address_is_poisoned(p + n));
        sx_free(p);
    }
#endif
}
END_TEST

START_TEST(a_size_that_overflows_gives_null) {
    ck_assert_ptr_null(sx_try_alloc(INT64_MAX, 16));
    ck_assert_ptr_null(sx_try_alloc(-1, 1));
    ck_assert_ptr_null(sx_try_alloc(INT64_MAX / 2, 2));
}
END_TEST

START_TEST(strings_are_copied_and_formatted) {
    char *a = sx_strdup("text"), *b = sx_strf("%s-%04d", a, 42);
    ck_assert_str_eq(b, "text-0042");
    ck_assert_ptr_null(sx_strdup(NULL));
    sx_free(a);
    sx_free(b);
    sx_free(NULL);
}
END_TEST

START_TEST(an_array_grows_by_doubling_and_keeps_its_items) {
    int *x = NULL, moves = 0;
    for (int i = 0; i < 1000; i++) {
        int *grown = sx_grow(x, i, sizeof *x);
        moves += grown != x;
        x = grown;
        x[i] = i; // the sanitizer watches the room
    }
    for (int i = 0; i < 1000; i++) ck_assert_int_eq(x[i], i);
    ck_assert_int_le(moves, 11);
    sx_free(x);
}
END_TEST

START_TEST(peak_memory_grows_with_use) {
    int64_t before = sx_peak_rss_bytes();
    const int64_t n_bytes = (int64_t)64 << 20;
    char *p = sx_alloc(n_bytes, 1);
    p[n_bytes - 1] = 1;
    ck_assert_int_gt(sx_peak_rss_bytes(), before + n_bytes / 2);
    sx_free(p);
}
END_TEST

int main(void) {
    return CHECK_RUN("mem", blocks_are_aligned_and_zero,
                     what_rounding_adds_is_forbidden_where_that_is_watched,
                     a_size_that_overflows_gives_null, strings_are_copied_and_formatted,
                     an_array_grows_by_doubling_and_keeps_its_items, peak_memory_grows_with_use);
}
