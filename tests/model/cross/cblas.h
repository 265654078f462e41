/* The part of OpenBLAS that kernels call, in plain loops: no BLAS of another machine is at hand
 * where we cross-compile. */
#ifndef CROSS_CBLAS_H
#define CROSS_CBLAS_H

typedef enum { CblasRowMajor = 101 } CBLAS_ORDER;
typedef enum { CblasNoTrans = 111, CblasTrans = 112 } CBLAS_TRANSPOSE;

/* c = alpha op(a) op(b) + beta c, row-major only. */
void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int m, int n,
                 int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
                 float *c, int ldc);
void openblas_set_num_threads(int n);
char *openblas_get_corename(void);

#endif
