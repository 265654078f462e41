/* "palette" and "seg", two uses of one UNet.
 *
 * "palette": the conditional diffusion UNet of Palette (Saharia et al. 2022) in the form of ADM
 * (Dhariwal & Nichol 2021) and "BeatGANs": residual blocks with FiLM from the time, one attention
 * in the bottleneck, concatenated skips. Parameter names are those of the published state dicts.
 * "seg": image -> logits of `classes`, the same without a diffusion time and FiLM. */
#include <stdio.h>

#include "model/net_arch.h"

enum { TIME_CHANNELS = 512, MAX_SKIPS = 8 * 9 + 8 };

/* A network under construction. */
typedef struct builder {
    nn_graph *g;
    nn_tensor time; /* SiLU of the embedded time, shared by all blocks; -1: none */
    float dropout;
    nn_tensor skip[MAX_SKIPS]; /* encoder outputs that the decoder has not used */
    int skip_c[MAX_SKIPS], n_skips;
} builder;

typedef enum resample { SAME, DOWN, UP } resample;

static const net_setting palette_sizes[] = {{"model.base_channels", "64"},
                                            {"model.mult", "1,1,2,2"},
                                            {"model.res_blocks", "2"},
                                            {"model.dropout", "0.1"},
                                            {NULL, NULL}};
static const net_setting seg_sizes[] = {{"model.base_channels", "32"}, {"model.mult", "1,2,2,2"},
                                        {"model.res_blocks", "1"},     {"model.dropout", "0.1"},
                                        {"model.classes", "7"},        {NULL, NULL}};
static const net_setting as_usual[] = {{NULL, NULL}};

static int granularity(const net_config *c) {
    return 1 << (c->levels - 1);
}

/* ---- checks ---- */

static sx_err check(const net_config *c) {
    sx_err rc;
    if (c->base_channels < 2 || c->base_channels > 1024 || c->base_channels % 2 != 0)
        return sx_fail(SX_E_CONFIG, "model.base_channels = %d: should be even, 2 to 1024",
                       c->base_channels);
    if (c->levels < 1 || c->levels > NET_MAX_LIST)
        return sx_fail(SX_E_CONFIG, "model.mult has %d levels: should be 1 to %d", c->levels,
                       NET_MAX_LIST);
    if (!(c->dropout >= 0 && c->dropout < 1))
        return sx_fail(SX_E_CONFIG, "model.dropout = %g: should be from 0 to below 1", c->dropout);
    SX_TRY(rc, net__check_int("model.res_blocks", c->res_blocks, 1, 8));
    for (int i = 0; i < c->levels && rc == SX_OK; i++)
        rc = net__check_int("model.mult", c->mult[i], 1, 64);
out:
    return rc;
}

static sx_err check_seg(const net_config *c) {
    sx_err rc = check(c);
    return rc == SX_OK ? net__check_int("model.classes", c->classes, 2, 256) : rc;
}

/* ---- blocks ---- */

typedef struct layer_name {
    char text[80];
} layer_name;

static layer_name name_of(const char *block, const char *layer) {
    layer_name n;
    snprintf(n.text, sizeof n.text, "%s.%s", block, layer);
    return n;
}

static nn_tensor resampled(nn_graph *g, nn_tensor x, resample how) {
    if (how == DOWN) return nn_avgpool2(g, x);
    if (how == UP) return nn_upsample2(g, x);
    return x;
}

/* x [h][w][c] -> [h'][w'][k]. */
static nn_tensor res_block(builder *b, nn_tensor x, const char *name, int c, int k, resample how) {
    nn_graph *g = b->g;
    nn_conv_opt conv3 = {.kernel = 3}, last3 = {.kernel = 3, .init = NN_INIT_ZERO};
    /* The skip comes first: backward then adds its gradient to that of the norm, which is made in
     * place and needs no room of its own. */
    nn_tensor skip = resampled(g, x, how);
    if (c != k)
        skip =
            nn_conv(g, skip, name_of(name, "skip_connection").text, k, (nn_conv_opt){.kernel = 1});
    nn_tensor h = nn_norm(g, x, name_of(name, "in_layers.0").text, -1, true);
    h = nn_conv(g, resampled(g, h, how), name_of(name, "in_layers.2").text, k, conv3);
    nn_tensor film =
        b->time >= 0 ? nn_linear(g, b->time, name_of(name, "emb_layers.1").text, 2 * k) : -1;
    h = nn_norm(g, h, name_of(name, "out_layers.0").text, film, true);
    if (b->dropout > 0) h = nn_dropout(g, h, b->dropout);
    h = nn_conv(g, h, name_of(name, "out_layers.3").text, k, last3);
    return nn_add(g, h, skip);
}

/* x [h][w][c] -> the same. */
static nn_tensor attention_block(nn_graph *g, nn_tensor x, const char *name, int c) {
    nn_conv_opt qkv = {.kernel = 1, .conv1d = true};
    nn_conv_opt out = {.kernel = 1, .conv1d = true, .init = NN_INIT_ZERO};
    nn_tensor h = nn_norm(g, x, name_of(name, "norm").text, -1, false);
    h = nn_conv(g, h, name_of(name, "qkv").text, 3 * c, qkv);
    h = nn_attention(g, h);
    return nn_add(g, nn_conv(g, h, name_of(name, "proj_out").text, c, out), x);
}

/* ---- the network ---- */

static void push_skip(builder *b, nn_tensor x, int c) {
    b->skip[b->n_skips] = x;
    b->skip_c[b->n_skips++] = c;
}

/* Returns the deepest tensor and its channels. */
static nn_tensor encoder(builder *b, const net_config *c, nn_tensor x, int *now) {
    char name[40];
    int index = 0;
    *now = c->base_channels;
    x = nn_conv(b->g, x, "input_blocks.0.0", *now, (nn_conv_opt){.kernel = 3});
    push_skip(b, x, *now);
    for (int level = 0; level < c->levels; level++) {
        int k = c->base_channels * c->mult[level];
        int n_blocks = c->res_blocks + (level + 1 < c->levels);
        for (int i = 0; i < n_blocks; i++) {
            snprintf(name, sizeof name, "input_blocks.%d.0", ++index);
            x = res_block(b, x, name, *now, k, i < c->res_blocks ? SAME : DOWN);
            *now = k;
            push_skip(b, x, k);
        }
    }
    return x;
}

static nn_tensor middle(builder *b, nn_tensor x, int c) {
    x = res_block(b, x, "middle_block.0", c, c, SAME);
    x = attention_block(b->g, x, "middle_block.1", c);
    return res_block(b, x, "middle_block.2", c, c, SAME);
}

static nn_tensor decoder(builder *b, const net_config *c, nn_tensor x, int now) {
    char name[40];
    int index = 0;
    for (int level = c->levels - 1; level >= 0; level--)
        for (int i = 0; i <= c->res_blocks; i++, index++) {
            int k = c->base_channels * c->mult[level], skip = --b->n_skips;
            snprintf(name, sizeof name, "output_blocks.%d.0", index);
            x = res_block(b, nn_concat(b->g, x, b->skip[skip]), name, now + b->skip_c[skip], k,
                          SAME);
            now = k;
            if (level == 0 || i < c->res_blocks) continue;
            snprintf(name, sizeof name, "output_blocks.%d.1", index);
            x = res_block(b, x, name, k, k, UP);
        }
    return x;
}

/* From the image x to `classes` channels. */
static void unet(builder *b, const net_config *c, nn_tensor x, int classes) {
    int now;
    nn_tensor y = encoder(b, c, x, &now);
    y = decoder(b, c, middle(b, y, now), now);
    y = nn_norm(b->g, y, "out.0", -1, true);
    const nn_conv_opt last = {.kernel = 3, .init = NN_INIT_ZERO};
    nn_output(b->g, nn_conv(b->g, y, "out.2", classes, last));
}

static void build_palette(nn_graph *g, const net_config *c, int h, int w) {
    nn_tensor x = nn_input(g, "x", h, w, 1), lr = nn_input(g, "lr", h, w, 1);
    nn_tensor time = nn_input(g, "time", 1, 1, c->base_channels);
    time = nn_silu(g, nn_linear(g, time, "time_embed.0", TIME_CHANNELS));
    time = nn_silu(g, nn_linear(g, time, "time_embed.2", TIME_CHANNELS));
    builder b = {.g = g, .time = time, .dropout = (float)c->dropout};
    unet(&b, c, nn_concat(g, x, lr), 1);
}

static void build_seg(nn_graph *g, const net_config *c, int h, int w) {
    builder b = {.g = g, .time = -1, .dropout = (float)c->dropout};
    unet(&b, c, nn_input(g, "lr", h, w, 1), c->classes);
}

const net__arch net__palette = {
    .about = {"palette", "diffusion", "lr", true, palette_sizes, as_usual},
    granularity,
    check,
    build_palette};
const net__arch net__seg = {.about = {"seg", "segmentation", "lr", false, seg_sizes, as_usual},
                            granularity,
                            check_seg,
                            build_seg};
