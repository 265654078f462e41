/* The loss of a segmentation, and how well an answer does: numbers from planes, nothing else. Not
 * collective. */
#ifndef TRAIN_CLASSES_H
#define TRAIN_CLASSES_H

#include <stdint.h>

enum { TRAIN_MAX_CLASSES = 256 };

/* Cross-entropy plus soft Dice of logits [n][k] against the class truth [n] of each pixel:
 *     mean over pixels of -log p(truth)  +  1 - mean over classes of 2 |p t| / (|p| + |t|),
 * p = softmax of the logits, classes but 0 (background) that the image has; without any the second
 * term is 0 (as in nnU-Net: Isensee et al., Nature Methods 2021). Returns the loss; d_logit [n][k]
 * is filled with its gradient; both times `share`. */
double train_classes_loss(const float *logit, const float *truth, int64_t n, int k, double share,
                          float *d_logit);

/* Class of the largest logit of each pixel into x [n]. */
void train_classes_decide(const float *logit, int64_t n, int k, float *x);

/* Mean over the classes but 0 that the image has of the Dice of the decided classes; 1 for an image
 * without any. */
double train_classes_dice(const float *logit, const float *truth, int64_t n, int k);

#endif
