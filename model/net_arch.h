/* What a row of the table of architectures is; inside model/ only. */
#ifndef NET_ARCH_H
#define NET_ARCH_H

#include "model/net.h"

typedef struct net__arch {
    net_about about;
    /* Sides must be a multiple of this. */
    int (*granularity)(const net_config *c);
    /* Whether the numbers make a network. Errors: SX_E_CONFIG. */
    sx_err (*check)(const net_config *c);
    /* Add input "lr" [h][w][1] and, with a diffusion time, "x" [h][w][1] and "time"
     * [1][1][base_channels]; set the output. */
    void (*build)(nn_graph *g, const net_config *c, int h, int w);
} net__arch;

extern const net__arch net__palette, net__rcan, net__rrdb, net__hat, net__discriminator, net__seg;

/* Name of a parameter's layer. */
typedef struct net__name {
    char text[96];
} net__name;
__attribute__((format(printf, 1, 2))) net__name net__name_of(const char *format, ...);

/* Whether `value` of key is min to max. Errors: SX_E_CONFIG. */
sx_err net__check_int(const char *key, int value, int min, int max);

/* ---- layers that several networks have ---- */
/* 3x3 with bias. */
nn_tensor net__conv3(nn_graph *g, nn_tensor x, const char *name, int k);
/* Squeeze and excitation of x [h][w][c]: layers `squeeze` to `squeezed` channels, `excite`. */
nn_tensor net__channel_attention(nn_graph *g, nn_tensor x, const char *squeeze, const char *excite,
                                 int c, int squeezed);

#endif
