/* Distances are those of a search through all voxels. */
#include "image/im_distance.h"

#include <math.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "tests/check_run.h"

/* Squared mm between voxels a and b. */
static double between(int64_t a, int64_t b, const int64_t dim[3], const double mm[3]) {
    const double i = (double)(a % dim[0] - b % dim[0]) * mm[0];
    const double j = (double)(a / dim[0] % dim[1] - b / dim[0] % dim[1]) * mm[1];
    const double k = (double)(a / dim[0] / dim[1] - b / dim[0] / dim[1]) * mm[2];
    return i * i + j * j + k * k;
}

static void check_all(const unsigned char *set, const int64_t dim[3], const double mm[3]) {
    const int64_t n = dim[0] * dim[1] * dim[2];
    float *got = SX_NEW_ARRAY(float, n);
    ck_assert_int_eq(im_distance(got, set, dim, mm), SX_OK);
    for (int64_t a = 0; a < n; a++) {
        double want = INFINITY;
        for (int64_t b = 0; b < n; b++)
            if (set[b]) want = fmin(want, between(a, b, dim, mm));
        want = sqrt(want);
        ck_assert_msg(fabs((double)got[a] - want) <= 1e-6 * want || (double)got[a] == want,
                      "voxel %d: got %.9g, want %.9g", (int)a, (double)got[a], want);
    }
    sx_free(got);
}

START_TEST(distances_are_those_of_a_full_search) {
    static const int64_t dims[][3] = {{7, 6, 5}, {1, 9, 4}, {12, 1, 1}, {3, 3, 11}, {1, 1, 1}};
    static const double mms[][3] = {{1, 1, 1}, {0.6, 0.6, 5}, {5, 0.7, 0.3}};
    static const float shares[] = {0.02f, 0.2f, 0.8f};
    for (int trial = 0; trial < 90; trial++) {
        const int64_t *dim = dims[trial % 5];
        const int64_t n = dim[0] * dim[1] * dim[2];
        unsigned char *set = SX_NEW_ARRAY(unsigned char, n);
        sx_rng r = sx_rng_make(7, SX_RNG_TEST, 0, (uint64_t)trial);
        for (int64_t i = 0; i < n; i++) set[i] = sx_rng_uniform(&r) < shares[trial / 30];
        set[n / 2] = 1;
        check_all(set, dim, mms[trial / 5 % 3]);
        sx_free(set);
    }
}
END_TEST

START_TEST(without_a_voxel_that_is_set_all_are_infinitely_far) {
    static const int64_t dim[3] = {3, 4, 2};
    static const double mm[3] = {1, 2, 3};
    const unsigned char set[24] = {0};
    check_all(set, dim, mm);
}
END_TEST

int main(void) {
    return CHECK_RUN("image_distance", distances_are_those_of_a_full_search,
                     without_a_voxel_that_is_set_all_are_infinitely_far);
}
