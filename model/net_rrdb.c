/* "rrdb": residual in residual dense blocks (ESRGAN, Wang et al. 2018) in Real-ESRGAN's form for
 * images that already have their final size: the trunk works on an image that is `unshuffle` times
 * coarser. Parameter names are those of the published state dicts. */
#include "model/net_arch.h"

static const float leak = 0.2f, residual = 0.2f;
enum { DENSE_BLOCKS = 3, GROWING_CONVS = 4 };

static const net_setting sizes[] = {{"model.base_channels", "64"},
                                    {"model.blocks", "23"},
                                    {"model.growth", "32"},
                                    {"model.unshuffle", "4"},
                                    {NULL, NULL}};
static const net_setting training[] = {
    {"train.lr", "1e-5"}, {"train.beta2", "0.99"}, {"train.batch", "32"}, {NULL, NULL}};

static int granularity(const net_config *c) {
    return c->unshuffle;
}

static sx_err check(const net_config *c) {
    sx_err rc;
    SX_TRY(rc, net__check_int("model.base_channels", c->base_channels, 1, 1024));
    SX_TRY(rc, net__check_int("model.blocks", c->blocks, 1, 64));
    SX_TRY(rc, net__check_int("model.growth", c->growth, 1, 1024));
    if (c->unshuffle != 1 && c->unshuffle != 2 && c->unshuffle != 4 && c->unshuffle != 8)
        rc = sx_fail(SX_E_CONFIG, "model.unshuffle = %d: should be 1, 2, 4 or 8", c->unshuffle);
out:
    return rc;
}

static nn_tensor dense_block(nn_graph *g, const net_config *c, nn_tensor x, const char *name) {
    const nn_conv_opt small = {.kernel = 3, .init = NN_INIT_SMALL_KAIMING};
    nn_tensor all = x;
    for (int i = 1; i <= GROWING_CONVS; i++) {
        nn_tensor y = nn_conv(g, all, net__name_of("%s.conv%d", name, i).text, c->growth, small);
        all = nn_concat(g, all, nn_leaky_relu(g, y, leak));
    }
    nn_tensor y = nn_conv(g, all, net__name_of("%s.conv%d", name, GROWING_CONVS + 1).text,
                          c->base_channels, small);
    return nn_add_scaled(g, x, y, residual);
}

static nn_tensor block(nn_graph *g, const net_config *c, nn_tensor x, int index) {
    nn_tensor y = x;
    for (int i = 1; i <= DENSE_BLOCKS; i++)
        y = dense_block(g, c, y, net__name_of("body.%d.rdb%d", index, i).text);
    return nn_add_scaled(g, x, y, residual);
}

static void build(nn_graph *g, const net_config *c, int h, int w) {
    const int n = c->base_channels;
    nn_tensor x = nn_input(g, "lr", h, w, 1);
    if (c->unshuffle > 1) x = nn_pixel_unshuffle(g, x, c->unshuffle);
    nn_tensor first = net__conv3(g, x, "conv_first", n), y = first;
    for (int i = 0; i < c->blocks; i++) y = block(g, c, y, i);
    y = nn_add(g, net__conv3(g, y, "conv_body", n), first);
    for (int i = 1; 1 << i <= c->unshuffle; i++) {
        y = net__conv3(g, nn_upsample2(g, y), net__name_of("conv_up%d", i).text, n);
        y = nn_leaky_relu(g, y, leak);
    }
    y = nn_leaky_relu(g, net__conv3(g, y, "conv_hr", n), leak);
    nn_output(g, net__conv3(g, y, "conv_last", 1));
}

const net__arch net__rrdb = {
    .about = {"rrdb", "adversarial", "lr", false, sizes, training}, granularity, check, build};
