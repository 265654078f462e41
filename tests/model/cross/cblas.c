/* Sums in double, so that limits of the tests are those of the kernels. */
#include "tests/model/cross/cblas.h"

#include <stdint.h>

static double element(const float *a, int ld, int trans, int i, int j) {
    return (double)(trans ? a[(int64_t)j * ld + i] : a[(int64_t)i * ld + j]);
}

void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int m, int n,
                 int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
                 float *c, int ldc) {
    (void)order;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int p = 0; p < k; p++)
                sum += element(a, lda, trans_a == CblasTrans, i, p) *
                       element(b, ldb, trans_b == CblasTrans, p, j);
            float *to = c + (int64_t)i * ldc + j;
            *to = (float)((double)alpha * sum + (beta == 0 ? 0 : (double)beta * (double)*to));
        }
}

void openblas_set_num_threads(int n) {
    (void)n;
}

char *openblas_get_corename(void) {
    static char name[] = "plain loops";
    return name;
}
