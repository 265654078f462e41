/* Validation: a fixed set of images under fixed keys, so that losses of different steps, runs and
 * rank counts can be compared. Averaged weights, no dropout. */
#ifndef TRAIN_VAL_H
#define TRAIN_VAL_H

#include "jobs/train/train_data.h"

typedef struct train_val train_val;
/* Make the set: up to train.val_images slices evenly over the split's list, with noise levels
 * evenly over the schedule. `n` borrowed. Collective. Errors: those of the kind. */
sx_err train_val_new(train_val **v, const train_config *c, io_cache *k, const train_slices *s,
                     net *n);
void train_val_free(train_val *v); /* takes NULL */
/* Images in the set; 0: the split is empty and the functions below must not be called. */
int train_val_count(const train_val *v);

/* Mean over the set of what the kind measures. Images are shared out over ranks. Collective. */
double train_val_loss(train_val *v, const float *ema);

/* Restore train.preview_images images, evenly over the set, and write LR | SR | HR rows as PNG (as
 * the kind calls them); *psnr_sr and *psnr_lr are their mean PSNR (dB) against HR, NAN for classes.
 * Collective. Errors: SX_E_CREATE, SX_E_IO. */
sx_err train_val_preview(train_val *v, const float *ema, const char *path, double *psnr_sr,
                         double *psnr_lr);

#endif
