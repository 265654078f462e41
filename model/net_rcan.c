/* "rcan": very deep residual channel attention network (Zhang et al. 2018) for images that already
 * have their final size: head, groups of residual blocks with channel attention, tail. Parameter
 * names are those of the published state dicts. */
#include "model/net_arch.h"

static const net_setting sizes[] = {{"model.base_channels", "64"},
                                    {"model.groups", "10"},
                                    {"model.blocks", "20"},
                                    {"model.reduction", "16"},
                                    {NULL, NULL}};
static const net_setting training[] = {{"train.lr", "1e-4"}, {"train.batch", "16"}, {NULL, NULL}};

static int granularity(const net_config *c) {
    (void)c;
    return 1;
}

static sx_err check(const net_config *c) {
    sx_err rc;
    SX_TRY(rc, net__check_int("model.base_channels", c->base_channels, 1, 1024));
    SX_TRY(rc, net__check_int("model.groups", c->groups, 1, 64));
    SX_TRY(rc, net__check_int("model.blocks", c->blocks, 1, 64));
    rc = net__check_int("model.reduction", c->reduction, 1, c->base_channels);
out:
    return rc;
}

static nn_tensor attention_block(nn_graph *g, const net_config *c, nn_tensor x, const char *name) {
    const int n = c->base_channels;
    nn_tensor y = nn_relu(g, net__conv3(g, x, net__name_of("%s.body.0", name).text, n));
    y = net__conv3(g, y, net__name_of("%s.body.2", name).text, n);
    y = net__channel_attention(g, y, net__name_of("%s.body.3.conv_du.0", name).text,
                               net__name_of("%s.body.3.conv_du.2", name).text, n, n / c->reduction);
    return nn_add(g, y, x);
}

static nn_tensor group(nn_graph *g, const net_config *c, nn_tensor x, int index) {
    nn_tensor y = x;
    for (int i = 0; i < c->blocks; i++)
        y = attention_block(g, c, y, net__name_of("body.%d.body.%d", index, i).text);
    y = net__conv3(g, y, net__name_of("body.%d.body.%d", index, c->blocks).text, c->base_channels);
    return nn_add(g, y, x);
}

static void build(nn_graph *g, const net_config *c, int h, int w) {
    nn_tensor head = net__conv3(g, nn_input(g, "lr", h, w, 1), "head.0", c->base_channels);
    nn_tensor y = head;
    for (int i = 0; i < c->groups; i++) y = group(g, c, y, i);
    y = net__conv3(g, y, net__name_of("body.%d", c->groups).text, c->base_channels);
    nn_output(g, net__conv3(g, nn_add(g, y, head), "tail.1", 1));
}

const net__arch net__rcan = {
    .about = {"rcan", "regression", "lr", false, sizes, training}, granularity, check, build};
