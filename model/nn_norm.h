/* Group norm with FiLM and SiLU, as the norm op and fused convolutions share it. Inside model/
 * only.
 *
 * x [p][c], p pixels, in one or two images side by side by channels. With mean and rstd of the
 * channel's group,
 *     u = (x - mean) * rstd * gamma * (1 + scale) + beta * (1 + scale) + shift = x * gain + offset,
 * and y = silu(u) or u. The backward pass makes u again from x. Arrays are [c]. */
#ifndef NN_NORM_H
#define NN_NORM_H

#include "model/nn_ops.h"

/* Parameters of one norm. */
typedef struct nn__affine {
    const float *gamma, *beta;
    const float *scale, *shift; /* FiLM, or both NULL */
} nn__affine;

/* Those of an op: parameters, the input that is FiLM if it has one, channels. */
nn__affine nn__affine_of(const nn_graph *g, const nn__op *op, int gamma, int beta, int film, int c);
/* Gradient of that input, zeroed where it starts here; NULL if nobody wants it. */
float *nn__film_gradient(const nn_graph *g, const nn__op *op, int film);

/* Mean and 1 / sqrt(variance + 1e-5) of each channel's group from moments of channels over
 * `pixels`. */
void nn__norm_statistics(nn_moments m, int64_t pixels, int c, float *mean, float *rstd);
void nn__norm_coefficients(const nn__affine *f, const float *mean, const float *rstd, int c,
                           float *gain, float *offset);

/* ---- backward ---- */

/* One image on its way back. */
typedef struct nn__norm_image {
    const float *x;   /* [p][c] */
    float *d;         /* [p][c] dy, becomes du; may be dx */
    float *dx;        /* [p][c] */
    const float *add; /* [p][c] added to dx too, or NULL */
    int c;
    bool keep; /* dx += instead of dx = */
} nn__norm_image;

typedef struct nn__norm_back {
    nn__norm_image image[2];
    int n_images;
    int64_t pixels;
    int c; /* of all */
    bool silu;
    bool gated;          /* d holds du already, and sum_duxhat the sums of du * (x - mean) */
    const nn_mask *mask; /* of y, or NULL: dy is multiplied with it first */
    const float *mean, *rstd, *gain, *offset;
    double *sum_du, *sum_duxhat; /* filled: channel sums of du and of du * xhat */
    float *dgamma, *dbeta;       /* added to */
    float *dfilm;                /* [2 c] of scale and shift, added to; or NULL */
} nn__norm_back;

/* Scratch floats of a call. */
int64_t nn__norm_room(int c, int threads);
/* dy becomes du, then dx; gradients of the parameters and of FiLM on the way. */
void nn__norm_backward(const nn__norm_back *b, const nn__affine *f, sx_pool *pool, float *room);

#endif
