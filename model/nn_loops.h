/* What the element loops of the model folder share beside base/sx_loops.h. Inside model/ only. */
#ifndef NN_LOOPS_H
#define NN_LOOPS_H

#include "base/sx_loops.h"

SX_INLINE float nn__sigmoid(float x) {
    return 1.0f / (1.0f + sx_expf(-x));
}

#endif
