/* What the element loops of the model folder share beside base/sx_loops.h. Inside model/ only. */
#ifndef NN_LOOPS_H
#define NN_LOOPS_H

#include "base/sx_loops.h"

SX_INLINE float nn__sigmoid(float x) {
    return 1.0f / (1.0f + sx_expf(-x));
}

enum { NN__LANES = 16 }; /* partial sums of a reduction: independent chains that vectorise */

/* Their sum, by halves. */
SX_INLINE float nn__lanes_sum(const float sum[NN__LANES]) {
    float s[NN__LANES];
    memcpy(s, sum, sizeof s);
    for (int half = NN__LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) s[l] += s[l + half];
    return s[0];
}

#endif
