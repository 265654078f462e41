#include "base/sx_rng.h"
#include <math.h>
#include <string.h>
#include "tests/check_run.h"

/* Known answers of Random123 1.14 (kat_vectors, "philox4x32 10"). */
START_TEST(philox_gives_the_published_vectors) {
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } vector[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vector / sizeof *vector; i++) {
        uint32_t got[4];
        sx_philox4x32(vector[i].counter, vector[i].key, got);
        for (int k = 0; k < 4; k++)
            ck_assert_msg(got[k] == vector[i].want[k], "vector %zu word %d: got %08x, want %08x", i,
                          k, got[k], vector[i].want[k]);
    }
}
END_TEST

/* File formats rely on these: a change of the stream's construction breaks reproducibility. */
START_TEST(a_named_stream_never_changes) {
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 2, 3);
    static const uint32_t want[6] = {0x44f43b10, 0x40d9e190, 0xf356a30a,
                                     0x8680b741, 0x4349c885, 0xc4010c4b};
    for (int i = 0; i < 6; i++) {
        uint32_t got = sx_rng_u32(&r);
        ck_assert_msg(got == want[i], "word %d: got 0x%08x, want 0x%08x", i, got, want[i]);
    }
}
END_TEST

static uint32_t first_word(uint64_t seed, sx_purpose purpose, uint64_t epoch, uint64_t item) {
    sx_rng r = sx_rng_make(seed, purpose, epoch, item);
    return sx_rng_u32(&r);
}

START_TEST(every_part_of_the_name_counts) {
    const uint64_t high = (uint64_t)1 << 40;
    const uint32_t word[] = {
        first_word(1, SX_RNG_TEST, 1, 1),    first_word(2, SX_RNG_TEST, 1, 1),
        first_word(1, SX_RNG_NOISE, 1, 1),   first_word(1, SX_RNG_TEST, 2, 1),
        first_word(1, SX_RNG_TEST, 1, 2),    first_word(high, SX_RNG_TEST, 1, 1),
        first_word(1, SX_RNG_TEST, high, 1), first_word(1, SX_RNG_TEST, 1, high)};
    const int n = (int)(sizeof word / sizeof *word);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            ck_assert_msg(word[i] != word[k], "names %d and %d give %08x", i, k, word[i]);
}
END_TEST

START_TEST(a_copy_of_a_stream_gives_the_same_numbers) {
    sx_rng a = sx_rng_make(5, SX_RNG_TEST, 0, 0);
    sx_rng_normal(&a);
    sx_rng b = a;
    for (int i = 0; i < 9; i++) ck_assert(sx_rng_normal(&a) == sx_rng_normal(&b));
}
END_TEST

/* Mean and variance of n draws lie within 5 standard errors. */
START_TEST(uniform_has_the_moments_of_a_uniform) {
    enum { N = 200000 };
    sx_rng r = sx_rng_make(9, SX_RNG_TEST, 0, 0);
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        float x = sx_rng_uniform(&r);
        ck_assert(x >= 0 && x < 1);
        sum += x;
        squares += (double)x * x;
    }
    ck_assert_double_eq_tol(sum / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    ck_assert_double_eq_tol(squares / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
}
END_TEST

START_TEST(normal_has_the_moments_of_a_normal) {
    enum { N = 200000 };
    static float x[N];
    sx_rng r = sx_rng_make(9, SX_RNG_TEST, 0, 1);
    sx_rng_normals(&r, x, N);
    double m[5] = {0};
    for (int i = 0; i < N; i++)
        for (int k = 1; k <= 4; k++) m[k] += pow(x[i], k) / N;
    ck_assert_double_eq_tol(m[1], 0, 5 * sqrt(1.0 / N));
    ck_assert_double_eq_tol(m[2], 1, 5 * sqrt(2.0 / N));
    ck_assert_double_eq_tol(m[3], 0, 5 * sqrt(15.0 / N));
    ck_assert_double_eq_tol(m[4], 3, 5 * sqrt(96.0 / N));
}
END_TEST

/* With an odd word or a spare left over, too, and across the chunks of the bulk. */
START_TEST(normals_in_bulk_are_the_normals_one_by_one) {
    enum { N = 2600 };
    static float got[N];
    static const int lengths[] = {0, 1, 3, 4, 5, 63, 1023, 1024, 1025, 2 * 1024 + 7};
    for (int words = 0; words < 6; words++)
        for (int before = 0; before < 5; before++)
            for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
                const int n = lengths[k];
                sx_rng bulk = sx_rng_make(6, SX_RNG_TEST, 1, 2);
                for (int i = 0; i < words; i++) sx_rng_u32(&bulk);
                for (int i = 0; i < before; i++) sx_rng_normal(&bulk);
                sx_rng one = bulk;
                sx_rng_normals(&bulk, got, n);
                sx_rng_normals(&bulk, got + n, 3); /* the stream goes on where it stopped */
                for (int i = 0; i < n + 3; i++) {
                    const float want = sx_rng_normal(&one);
                    ck_assert_msg(got[i] == want,
                                  "%d of %d after %d words, %d normals: got %a, want %a", i, n,
                                  words, before, (double)got[i], (double)want);
                }
            }
}
END_TEST

START_TEST(normals_are_those_of_box_and_muller) {
    enum { N = 400000 };
    static float got[N];
    const double pi = 3.14159265358979323846, tolerance = 2e-6;
    sx_rng r = sx_rng_make(7, SX_RNG_TEST, 0, 0), words = r;
    sx_rng_normals(&r, got, N);
    for (int i = 0; i < N; i += 2) {
        const double u1 = ((double)sx_rng_u32(&words) + 1) / 4294967296.0;
        const double u2 = (double)sx_rng_u32(&words) / 4294967296.0, radius = sqrt(-2 * log(u1));
        const double want[2] = {radius * cos(2 * pi * u2), radius * sin(2 * pi * u2)};
        for (int k = 0; k < 2; k++)
            ck_assert_msg(fabs((double)got[i + k] - want[k]) <= tolerance * radius,
                          "%d: got %.9g, want %.9g, tolerance %g of %g", i + k, (double)got[i + k],
                          want[k], tolerance, radius);
    }
}
END_TEST

START_TEST(integers_cover_the_range_evenly) {
    enum { N = 70000, CELLS = 7 };
    int count[CELLS] = {0};
    sx_rng r = sx_rng_make(3, SX_RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        int64_t x = sx_rng_int(&r, -3, 3);
        ck_assert(x >= -3 && x <= 3);
        count[x + 3]++;
    }
    const double expected = (double)N / CELLS;
    double chi2 = 0;
    for (int i = 0; i < CELLS; i++)
        chi2 += (count[i] - expected) * (count[i] - expected) / expected;
    ck_assert_double_lt(chi2, 27.9); /* 6 degrees of freedom, p = 1e-4 */
}
END_TEST

START_TEST(integers_work_at_the_ends_of_64_bits) {
    sx_rng r = sx_rng_make(3, SX_RNG_TEST, 0, 0);
    int64_t all = 0;
    for (int i = 0; i < 64; i++) all |= sx_rng_int(&r, INT64_MIN, INT64_MAX);
    ck_assert(all == -1); /* every bit was set once */
    ck_assert(sx_rng_int(&r, INT64_MAX, INT64_MAX) == INT64_MAX);
    ck_assert(sx_rng_int(&r, INT64_MIN, INT64_MIN) == INT64_MIN);
}
END_TEST

START_TEST(range_stays_below_its_upper_end) {
    sx_rng r = sx_rng_make(4, SX_RNG_TEST, 0, 0);
    const float lo = 1, hi = nextafterf(1, 2); /* only lo lies inside */
    for (int i = 0; i < 1000; i++) ck_assert(sx_rng_range(&r, lo, hi) == lo);
}
END_TEST

START_TEST(a_permutation_holds_every_index_once) {
    enum { N = 1000 };
    static int64_t p[N];
    static int seen[N];
    sx_rng r = sx_rng_make(4, SX_RNG_ORDER, 0, 0);
    sx_rng_permutation(&r, p, N);
    int fixed = 0;
    for (int i = 0; i < N; i++) {
        ck_assert(p[i] >= 0 && p[i] < N);
        seen[p[i]]++;
        fixed += p[i] == i;
    }
    for (int i = 0; i < N; i++) ck_assert_int_eq(seen[i], 1);
    ck_assert_int_lt(fixed, 10); /* one is expected */
}
END_TEST

int main(void) {
    return CHECK_RUN("rng", philox_gives_the_published_vectors, a_named_stream_never_changes,
                     every_part_of_the_name_counts, a_copy_of_a_stream_gives_the_same_numbers,
                     uniform_has_the_moments_of_a_uniform, normal_has_the_moments_of_a_normal,
                     normals_in_bulk_are_the_normals_one_by_one,
                     normals_are_those_of_box_and_muller, integers_cover_the_range_evenly,
                     integers_work_at_the_ends_of_64_bits, range_stays_below_its_upper_end,
                     a_permutation_holds_every_index_once);
}
