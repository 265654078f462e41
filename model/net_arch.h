/* What a row of the table of architectures is; inside model/ only. */
#ifndef NET_ARCH_H
#define NET_ARCH_H

#include "model/net.h"

typedef struct net__arch {
    const char *name;
    /* Sides must be a multiple of this. */
    int (*granularity)(const net_config *c);
    /* Whether the numbers make a network. Errors: SX_E_CONFIG. */
    sx_err (*check)(const net_config *c);
    /* Add inputs "x", "lr" [h][w][1] and, with a diffusion time, "time" [1][1][base_channels]; set
     * the output. */
    void (*build)(nn_graph *g, const net_config *c, int h, int w);
} net__arch;

extern const net__arch net__palette;

#endif
