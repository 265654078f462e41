/* 1x1 convolutions of feeds (model/nn_kernels_blas_feed.c), and the instruction set they use for
 * the feed. For the Winograd table only. */
#ifndef NN_KERNELS_BLAS_FEED_H
#define NN_KERNELS_BLAS_FEED_H

#include "model/nn_kernels_wino.h"

extern const nn__family nn__blas_feed;
/* The instruction set in use. */
const nn__isa *nn__wino_isa(void);

#endif
