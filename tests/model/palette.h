/* Palette as published. */
#ifndef PALETTE_H
#define PALETTE_H

#include "model/net.h"

static inline net_config palette_config(void) {
    net_config c;
    SX_ASSERT(net_config_of("palette", &c) == SX_OK);
    return c;
}

#endif
