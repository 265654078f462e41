/* "hat": hybrid attention transformer (Chen et al. 2023) for images that already have their final
 * size: groups of blocks with window attention beside convolutions with channel attention, one
 * overlapping cross-attention a group. Without the published drop path. Parameter names are those
 * of the published state dicts. */
#include <stdbool.h>

#include "model/net_arch.h"

static const float conv_scale = 0.01f, leak = 0.01f;
enum { LAST_CHANNELS = 64 };

static const net_setting sizes[] = {
    {"model.base_channels", "180"}, {"model.depths", "4,4,4,4"}, {"model.heads", "6"},
    {"model.window", "16"},         {"model.overlap", "0.5"},    {"model.mlp_ratio", "2"},
    {"model.compress", "3"},        {"model.squeeze", "30"},     {NULL, NULL}};
static const net_setting training[] = {
    {"train.lr", "2e-4"}, {"train.beta2", "0.99"}, {"train.batch", "32"}, {NULL, NULL}};

static int granularity(const net_config *c) {
    return c->window;
}

/* `share` of n in whole numbers. A share such as 1/3 that lost its last digits in a file, or was
 * divided out of n, still is one. */
static int whole_share(int n, double share) {
    return (int)(n * share + 1e-4);
}

/* Side of the keys' window around a window of queries. */
static int keys_of(const net_config *c) {
    return c->window + whole_share(c->window, c->overlap);
}

static int hidden_of(const net_config *c) {
    return whole_share(c->base_channels, c->mlp_ratio);
}

static sx_err check(const net_config *c) {
    sx_err rc;
    SX_TRY(rc, net__check_int("model.base_channels", c->base_channels, 1, 1024));
    SX_TRY(rc, net__check_int("model.depths: groups", c->layers, 1, NET_MAX_LIST));
    SX_TRY(rc, net__check_int("model.heads", c->heads, 1, c->base_channels));
    SX_TRY(rc, net__check_int("model.window", c->window, 2, 64));
    SX_TRY(rc, net__check_int("model.compress", c->compress, 1, c->base_channels));
    SX_TRY(rc, net__check_int("model.squeeze", c->squeeze, 1, c->base_channels));
    if (c->base_channels % c->heads != 0)
        rc = sx_fail(SX_E_CONFIG, "model.heads = %d: should divide model.base_channels = %d",
                     c->heads, c->base_channels);
    else if (!(c->overlap >= 0 && c->overlap <= 1) || (keys_of(c) - c->window) % 2 != 0)
        rc = sx_fail(SX_E_CONFIG,
                     "model.overlap = %g: should be 0 to 1, and an even number of pixels of a "
                     "window of %d",
                     c->overlap, c->window);
    else if (!(c->mlp_ratio <= 16) || hidden_of(c) < 1)
        rc = sx_fail(SX_E_CONFIG, "model.mlp_ratio = %g: should be above 0, at most 16",
                     c->mlp_ratio);
out:
    return rc;
}

static nn_tensor linear(nn_graph *g, nn_tensor x, const char *block, const char *layer, int k) {
    const nn_conv_opt opt = {.kernel = 1, .linear = true, .init = NN_INIT_SMALL_NORMAL};
    return nn_conv(g, x, net__name_of("%s.%s", block, layer).text, k, opt);
}

static nn_tensor normed(nn_graph *g, nn_tensor x, const char *block, const char *layer) {
    return nn_layer_norm(g, x, net__name_of("%s.%s", block, layer).text);
}

static nn_tensor with_mlp(nn_graph *g, const net_config *c, nn_tensor x, const char *block) {
    nn_tensor y = normed(g, x, block, "norm2");
    y = nn_gelu(g, linear(g, y, block, "mlp.fc1", hidden_of(c)));
    return nn_add(g, linear(g, y, block, "mlp.fc2", c->base_channels), x);
}

/* Two convolutions through a narrow middle, then channel attention. */
static nn_tensor conv_branch(nn_graph *g, const net_config *c, nn_tensor x, const char *block) {
    const int n = c->base_channels;
    nn_tensor y =
        net__conv3(g, x, net__name_of("%s.conv_block.cab.0", block).text, n / c->compress);
    y = net__conv3(g, nn_gelu(g, y), net__name_of("%s.conv_block.cab.2", block).text, n);
    return net__channel_attention(g, y, net__name_of("%s.conv_block.cab.3.attention.1", block).text,
                                  net__name_of("%s.conv_block.cab.3.attention.3", block).text, n,
                                  n / c->squeeze);
}

static nn_tensor hybrid_block(nn_graph *g, const net_config *c, nn_tensor x, const char *block,
                              bool shifted) {
    const nn_window_opt windows = {.heads = c->heads,
                                   .window = c->window,
                                   .shift = shifted ? c->window / 2 : 0,
                                   .keys = c->window};
    nn_tensor n = normed(g, x, block, "norm1");
    nn_tensor conv = conv_branch(g, c, n, block);
    nn_tensor a = linear(g, n, block, "attn.qkv", 3 * c->base_channels);
    a = nn_window_attention(g, a, net__name_of("%s.attn", block).text, windows);
    a = nn_add(g, linear(g, a, block, "attn.proj", c->base_channels), x);
    return with_mlp(g, c, nn_add_scaled(g, a, conv, conv_scale), block);
}

static nn_tensor overlap_block(nn_graph *g, const net_config *c, nn_tensor x, const char *block) {
    const nn_window_opt windows = {
        .heads = c->heads, .window = c->window, .keys = keys_of(c), .overlapping = true};
    nn_tensor y = linear(g, normed(g, x, block, "norm1"), block, "qkv", 3 * c->base_channels);
    y = nn_window_attention(g, y, block, windows);
    return with_mlp(g, c, nn_add(g, linear(g, y, block, "proj", c->base_channels), x), block);
}

static nn_tensor group(nn_graph *g, const net_config *c, nn_tensor x, int index) {
    const net__name name = net__name_of("layers.%d.residual_group", index);
    nn_tensor y = x;
    for (int i = 0; i < c->depths[index]; i++)
        y = hybrid_block(g, c, y, net__name_of("%s.blocks.%d", name.text, i).text, i % 2 == 1);
    y = overlap_block(g, c, y, net__name_of("%s.overlap_attn", name.text).text);
    y = net__conv3(g, y, net__name_of("layers.%d.conv", index).text, c->base_channels);
    return nn_add(g, y, x);
}

static void build(nn_graph *g, const net_config *c, int h, int w) {
    const int n = c->base_channels;
    nn_tensor first = net__conv3(g, nn_input(g, "lr", h, w, 1), "conv_first", n);
    nn_tensor y = nn_layer_norm(g, first, "patch_embed.norm");
    for (int i = 0; i < c->layers; i++) y = group(g, c, y, i);
    y = nn_add(g, net__conv3(g, nn_layer_norm(g, y, "norm"), "conv_after_body", n), first);
    y = net__conv3(g, y, "conv_before_upsample.0", LAST_CHANNELS);
    nn_output(g, net__conv3(g, nn_leaky_relu(g, y, leak), "conv_last", 1));
}

const net__arch net__hat = {
    .about = {"hat", "regression", "lr", false, sizes, training}, granularity, check, build};
