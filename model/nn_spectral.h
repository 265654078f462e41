/* Spectral norm of convolutions (Miyato et al. 2018, as torch.nn.utils.spectral_norm does it): a
 * stored weight W, seen as a matrix [k][c ks ks], acts as W / sigma with sigma = u . (W v).
 *
 * It is done on parameter blocks, outside of the graph. The vectors u and v are states in the block
 * (nn_param.state): checkpoints, weights files and copies hold them like any parameter, and no
 * gradient reaches them. A training step:
 *   nn_spectral_iterate(p, block)             u, v a step nearer to the largest singular vectors
 *   nn_spectral_effective(p, block, effective)
 *   forward and backward with `effective`, gradients of it in `grads`
 *   nn_spectral_gradient(p, block, grads)     now gradients of the stored weights
 *   Adam on `block` with `grads`
 * Answers alone need nn_spectral_effective only. Equal bytes in, equal bytes out: every rank does
 * it for itself. Networks without a spectral norm pass through unchanged. */
#ifndef NN_SPECTRAL_H
#define NN_SPECTRAL_H

#include "model/nn_params.h"

/* One step of the power iteration: v = W'u / |W'u|, then u = W v / |W v|, in `block`. */
void nn_spectral_iterate(const nn_params *p, float *block);
/* effective [p->block] is filled: a copy of `block` with each W divided by its sigma. */
void nn_spectral_effective(const nn_params *p, const float *block, float *effective);
/* Gradients of the effective weights become those of the stored ones, in place: with E = W / sigma,
 * dW = (dE - <dE, E> u v') / sigma; u and v count as constants. */
void nn_spectral_gradient(const nn_params *p, const float *block, float *grads);

#endif
