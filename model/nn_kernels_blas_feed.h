/* 1x1 convolutions of feeds of any width (model/nn_kernels_blas_feed.c), for the Winograd tables.
 */
#ifndef NN_KERNELS_BLAS_FEED_H
#define NN_KERNELS_BLAS_FEED_H

#include "model/nn_kernels_wino.h"

extern const nn__family nn__blas_feed;

#endif
