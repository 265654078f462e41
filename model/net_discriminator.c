/* "discriminator": the U-Net discriminator of Real-ESRGAN (Wang et al. 2021): image -> logit of
 * each pixel, with a spectral norm on its inner convolutions (nn_spectral.h). Parameter names are
 * those of the published state dicts. */
#include "model/net_arch.h"

static const float leak = 0.2f;

static const net_setting sizes[] = {{"model.base_channels", "64"}, {NULL, NULL}};
static const net_setting training[] = {
    {"train.lr", "1e-5"}, {"train.beta2", "0.99"}, {"train.batch", "32"}, {NULL, NULL}};

static int granularity(const net_config *c) {
    (void)c;
    return 8; /* three halvings */
}

static sx_err check(const net_config *c) {
    return net__check_int("model.base_channels", c->base_channels, 1, 1024);
}

/* To half the size. */
static nn_tensor down(nn_graph *g, nn_tensor x, const char *name, int k) {
    const nn_strided_opt opt = {
        .kernel = 4, .stride = 2, .pad = 1, .no_bias = true, .spectral = true};
    return nn_leaky_relu(g, nn_conv_strided(g, x, name, k, opt), leak);
}

static nn_tensor flat(nn_graph *g, nn_tensor x, const char *name, int k) {
    const nn_conv_opt opt = {.kernel = 3, .no_bias = true, .spectral = true};
    return nn_leaky_relu(g, nn_conv(g, x, name, k, opt), leak);
}

/* To twice the size, beside what the way down left there. */
static nn_tensor up(nn_graph *g, nn_tensor x, nn_tensor skip, const char *name, int k) {
    return nn_add(g, flat(g, nn_bilinear2(g, x), name, k), skip);
}

static void build(nn_graph *g, const net_config *c, int h, int w) {
    const int n = c->base_channels;
    nn_tensor x0 = nn_leaky_relu(g, net__conv3(g, nn_input(g, "lr", h, w, 1), "conv0", n), leak);
    nn_tensor x1 = down(g, x0, "conv1", 2 * n), x2 = down(g, x1, "conv2", 4 * n);
    nn_tensor y = down(g, x2, "conv3", 8 * n);
    y = up(g, y, x2, "conv4", 4 * n);
    y = up(g, y, x1, "conv5", 2 * n);
    y = up(g, y, x0, "conv6", n);
    y = flat(g, flat(g, y, "conv7", n), "conv8", n);
    nn_output(g, net__conv3(g, y, "conv9", 1));
}

const net__arch net__discriminator = {
    .about = {"discriminator", "adversarial", "x", false, sizes, training},
    granularity,
    check,
    build};
