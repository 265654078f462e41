/* Which network a set of tensors is, and of which size, by the names and shapes of its parameters:
 * for weights from elsewhere, which say nothing else. A rule is a function of the set; the table
 * tells which size of which architecture it finds. 0: the set does not tell. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_mem.h"
#include "jobs/job/job_weights.h"
#include "model/net.h"

/* Dimension `dim` of the tensor of this name; 0 if there is none. */
__attribute__((format(printf, 3, 4))) static int64_t extent(const io_tensors *t, int dim,
                                                            const char *format, ...) {
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const io_tensor *it = job_weights_find(t, name);
    return it && dim < it->rank ? it->shape[dim] : 0;
}

/* r of n = c / r in whole numbers; 0 if there is none. */
static int64_t narrowing(int64_t c, int64_t n) {
    return n > 0 && n <= c && c / (c / n) == n ? c / n : 0;
}

static int64_t root(int64_t square) {
    const int64_t r = (int64_t)(sqrt((double)square) + 0.5);
    return r * r == square ? r : 0;
}

/* ---- palette, seg ---- */

/* Output channels of the first 3x3 convolution of a block; 0 if there is no such block. */
static int64_t unet_block(const io_tensors *t, const char *side, int index, int part) {
    return extent(t, 0, "%s_blocks.%d.%d.in_layers.2.weight", side, index, part);
}

static int64_t unet_base(const io_tensors *t) {
    return extent(t, 0, "input_blocks.0.0.weight");
}

/* A level of the decoder has res_blocks + 1 blocks, the last of them with an upsampling part 1. */
static void unet_layout(const io_tensors *t, int *n_blocks, int *a_level) {
    int first_up = -1;
    for (*n_blocks = 0; unet_block(t, "output", *n_blocks, 0) > 0; ++*n_blocks)
        if (first_up < 0 && unet_block(t, "output", *n_blocks, 1) > 0) first_up = *n_blocks;
    *a_level = first_up < 0 ? *n_blocks : first_up + 1;
}

static int64_t unet_res_blocks(const io_tensors *t) {
    int n_blocks, a_level;
    unet_layout(t, &n_blocks, &a_level);
    return a_level - 1;
}

/* A level of the encoder begins at input block 1 + level * (res_blocks + 1). */
static int64_t unet_mult(const io_tensors *t, int level) {
    int n_blocks, a_level;
    unet_layout(t, &n_blocks, &a_level);
    if (a_level == 0 || level >= n_blocks / a_level || unet_base(t) == 0) return 0;
    return unet_block(t, "input", 1 + level * a_level, 0) / unet_base(t);
}

static int64_t seg_classes(const io_tensors *t) {
    return extent(t, 0, "out.2.weight");
}

/* ---- rcan ---- */

static int64_t rcan_base(const io_tensors *t) {
    return extent(t, 0, "head.0.weight");
}

static int64_t rcan_groups(const io_tensors *t) {
    int n = 0;
    while (extent(t, 0, "body.%d.body.0.body.0.weight", n) > 0) n++;
    return n;
}

static int64_t rcan_blocks(const io_tensors *t) {
    int n = 0;
    while (extent(t, 0, "body.0.body.%d.body.0.weight", n) > 0) n++;
    return n;
}

static int64_t rcan_reduction(const io_tensors *t) {
    return narrowing(rcan_base(t), extent(t, 0, "body.0.body.0.body.3.conv_du.0.weight"));
}

/* ---- rrdb, discriminator ---- */

static int64_t first_base(const io_tensors *t) {
    return extent(t, 0, "conv_first.weight");
}

static int64_t rrdb_blocks(const io_tensors *t) {
    int n = 0;
    while (extent(t, 0, "body.%d.rdb1.conv1.weight", n) > 0) n++;
    return n;
}

static int64_t rrdb_growth(const io_tensors *t) {
    return extent(t, 0, "body.0.rdb1.conv1.weight");
}

static int64_t rrdb_unshuffle(const io_tensors *t) {
    return root(extent(t, 1, "conv_first.weight"));
}

static int64_t discriminator_base(const io_tensors *t) {
    return extent(t, 0, "conv0.weight");
}

/* ---- hat ---- */

#define HAT_BLOCK "layers.0.residual_group.blocks.0."
#define HAT_TABLE "relative_position_bias_table"

static int64_t hat_depth(const io_tensors *t, int layer) {
    int n = 0;
    while (extent(t, 0, "layers.%d.residual_group.blocks.%d.norm1.weight", layer, n) > 0) n++;
    return n;
}

static int64_t hat_heads(const io_tensors *t) {
    return extent(t, 1, HAT_BLOCK "attn." HAT_TABLE);
}

/* The table has (2 window - 1)^2 rows. */
static int64_t hat_window(const io_tensors *t) {
    const int64_t side = root(extent(t, 0, HAT_BLOCK "attn." HAT_TABLE));
    return side > 0 ? (side + 1) / 2 : 0;
}

static int64_t hat_compress(const io_tensors *t) {
    return narrowing(first_base(t), extent(t, 0, HAT_BLOCK "conv_block.cab.0.weight"));
}

static int64_t hat_squeeze(const io_tensors *t) {
    return narrowing(first_base(t), extent(t, 0, HAT_BLOCK "conv_block.cab.3.attention.1.weight"));
}

/* … (window + keys - 1)^2 rows. */
static double hat_overlap(const io_tensors *t) {
    const int64_t window = hat_window(t);
    const int64_t side = root(extent(t, 0, "layers.0.residual_group.overlap_attn." HAT_TABLE));
    return window > 0 && side + 1 >= 2 * window ? (double)(side + 1 - 2 * window) / (double)window
                                                : (double)NAN;
}

static double hat_mlp_ratio(const io_tensors *t) {
    const int64_t base = first_base(t);
    const int64_t hidden = extent(t, 0, HAT_BLOCK "mlp.fc1.weight");
    return base > 0 && hidden > 0 ? (double)hidden / (double)base : (double)NAN;
}

/* ---- the table ---- */

typedef struct rule {
    const char *arch, *key;
    int64_t (*number)(const io_tensors *t);      /* one of three */
    int64_t (*item)(const io_tensors *t, int i); /* of a list, 0 after its end */
    double (*real)(const io_tensors *t);         /* NAN: the set does not tell */
} rule;

static const rule rules[] = {
    {"palette", "model.base_channels", .number = unet_base},
    {"palette", "model.mult", .item = unet_mult},
    {"palette", "model.res_blocks", .number = unet_res_blocks},
    {"seg", "model.base_channels", .number = unet_base},
    {"seg", "model.mult", .item = unet_mult},
    {"seg", "model.res_blocks", .number = unet_res_blocks},
    {"seg", "model.classes", .number = seg_classes},
    {"rcan", "model.base_channels", .number = rcan_base},
    {"rcan", "model.groups", .number = rcan_groups},
    {"rcan", "model.blocks", .number = rcan_blocks},
    {"rcan", "model.reduction", .number = rcan_reduction},
    {"rrdb", "model.base_channels", .number = first_base},
    {"rrdb", "model.blocks", .number = rrdb_blocks},
    {"rrdb", "model.growth", .number = rrdb_growth},
    {"rrdb", "model.unshuffle", .number = rrdb_unshuffle},
    {"discriminator", "model.base_channels", .number = discriminator_base},
    {"hat", "model.base_channels", .number = first_base},
    {"hat", "model.depths", .item = hat_depth},
    {"hat", "model.heads", .number = hat_heads},
    {"hat", "model.window", .number = hat_window},
    {"hat", "model.overlap", .real = hat_overlap},
    {"hat", "model.mlp_ratio", .real = hat_mlp_ratio},
    {"hat", "model.compress", .number = hat_compress},
    {"hat", "model.squeeze", .number = hat_squeeze},
};
enum { N_RULES = sizeof rules / sizeof *rules };

/* A parameter that no other architecture has; those with more of their own come first. */
static const struct {
    const char *arch, *parameter;
} marks[] = {
    {"palette", "time_embed.0.weight"}, {"seg", "input_blocks.0.0.weight"},
    {"rcan", "head.0.weight"},          {"rrdb", "body.0.rdb1.conv1.weight"},
    {"hat", "patch_embed.norm.weight"}, {"discriminator", "conv8.weight_orig"},
};

const char *job_weights_arch(const io_tensors *t) {
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (job_weights_find(t, marks[i].parameter)) return marks[i].arch;
    return NULL;
}

static char *list_text(const io_tensors *t, int64_t (*item)(const io_tensors *t, int i)) {
    char text[160] = "";
    int used = 0;
    for (int i = 0; i < NET_MAX_LIST && item(t, i) > 0; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%" PRId64, i ? "," : "",
                         item(t, i));
    return used > 0 ? sx_strdup(text) : NULL;
}

static char *found_text(const io_tensors *t, const rule *r) {
    if (r->item) return list_text(t, r->item);
    if (r->real) return isnan(r->real(t)) ? NULL : sx_strf("%.9g", r->real(t));
    const int64_t n = r->number(t);
    return n > 0 ? sx_strf("%" PRId64, n) : NULL;
}

char *job_weights_size(const io_tensors *t, const char *arch, const char *key) {
    for (int i = 0; i < N_RULES; i++)
        if (strcmp(rules[i].arch, arch) == 0 && strcmp(rules[i].key, key) == 0)
            return found_text(t, &rules[i]);
    return NULL;
}
