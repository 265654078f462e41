/* fuzz_seeds FOLDER: the corpus that fuzzing starts from, FOLDER/TARGET/…: small valid files by the
 * program's own writers, and NIfTI headers that those do not write (other types, byte order,
 * version 2, pairs, frames, quaternions, extensions). */
#include <stdio.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_cache.h"
#include "io/io_ckpt.h"
#include "io/io_nifti.h"
#include "io/io_tensors.h"
#include "tests/io/nifti_bytes.h"

static const char *root;

/* FOLDER/TARGET/NAME, its folder made; new (sx_free). */
static char *place(const char *target, const char *name) {
    char *path = sx_strf("%s/%s/%s", root, target, name);
    SX_ASSERT(sx_mkdirs_for(path) == SX_OK);
    return path;
}

static void put(const char *target, const char *name, const void *data, size_t n) {
    char *path = place(target, name);
    SX_ASSERT(sx_file_write(path, data, n) == SX_OK);
    sx_free(path);
}

static void put_text(const char *target, const char *name, const char *text) {
    put(target, name, text, strlen(text));
}

/* ---- NIfTI ---- */

enum { NX = 4, NY = 3, NZ = 3, N_VOXELS = NX * NY * NZ };

static void written_volumes(void) {
    static const struct {
        const char *name;
        io_dtype type;
    } files[] = {{"int16.nii", IO_INT16},
                 {"float32.nii", IO_FLOAT32},
                 {"uint8.nii.gz", IO_UINT8},
                 {"uint16.nii.gz", IO_UINT16}};
    im_volume v = {0};
    SX_ASSERT(im_volume_init(&v, (const int64_t[3]){NX, NY, NZ}) == SX_OK);
    for (int i = 0; i < N_VOXELS; i++) v.voxel[i] = (float)(3 * i);
    for (int d = 0; d < 3; d++) v.affine[d][d] = d == 0 ? -3.3 : 0.9;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = place("nifti", files[i].name);
        SX_ASSERT(io_nifti_write(path, &v, files[i].type, "seed") == SX_OK);
        sx_free(path);
    }
    im_volume_clear(&v);
}

static const struct header {
    const char *name;
    int version, code, bits, frames, extension, qform, sform;
    double slope;
    bool swapped, pair;
} headers[] = {
    {"swapped.nii", 1, 8, 32, 1, 0, 0, 1, 2, true, false},
    {"version-2.nii", 2, 64, 64, 1, 0, 1, 1, 0, false, false},
    {"version-2-swapped.nii", 2, 512, 16, 1, 0, 1, 0, 1, true, false},
    {"quaternion.nii", 1, 2, 8, 1, 0, 1, 0, 1, false, false},
    {"no-form.nii", 1, 256, 8, 1, 0, 0, 0, 1, false, false},
    {"frames.nii", 1, 768, 32, 3, 0, 0, 1, 1, false, false},
    {"extension.nii", 1, 1024, 64, 1, 32, 0, 1, 1, false, false},
    {"pair", 1, 4, 16, 1, 0, 1, 1, 1, false, true},
    {"pair-version-2", 2, 16, 32, 1, 0, 0, 1, 1, true, true},
    {"complex.nii", 1, 32, 64, 1, 0, 0, 1, 1, false, false},
};

/* Both forms say the same: 73.7 degrees about y. */
static nifti_spec spec_of(const struct header *h) {
    return (nifti_spec){
        .version = h->version,
        .swapped = h->swapped,
        .pair = h->pair,
        .code = h->code,
        .bits = h->bits,
        .dim = {NX, NY, NZ, h->frames},
        .extension = h->extension,
        .slope = h->slope,
        .inter = 5,
        .qform = h->qform,
        .sform = h->sform,
        .pixdim = {1, 3.3, 0.9, 0.9},
        .quatern = {0, 0.6, 0},
        .offset = {-10, 20, 30},
        .srow = {0.924, 0, 0.864, -10, 0, 0.9, 0, 20, -3.168, 0, 0.252, 30},
    };
}

static void header_files(void) {
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        unsigned char file[4096] = {0};
        const nifti_spec spec = spec_of(&headers[i]);
        const size_t n = nifti_bytes_header(&spec, file);
        const size_t n_voxels = (size_t)(N_VOXELS * headers[i].frames * headers[i].bits / 8);
        for (size_t b = 0; b < n_voxels; b++) file[n + b] = (unsigned char)(b % 7);
        put("nifti", headers[i].name, file, n + n_voxels);
    }
}

/* ---- safetensors, checkpoints, caches ---- */

static const char about[] =
    "{\"format\": \"sagax weights\", \"step\": 5, \"data\": {\"hr_mm\": 0.8571, \"quantile\": "
    "0.999},"
    " \"diffusion\": {\"target\": \"v\", \"schedule\": \"cosine\", \"steps\": 20},"
    " \"degrade\": {\"level\": 7, \"lr_min_mm\": 4},"
    " \"model\": {\"arch\": \"palette\", \"base_channels\": 16, \"mult\": \"1,2\", \"res_blocks\": "
    "1}}";

static void tensors(void) {
    static const float x[64] = {1, -2, 0.5f};
    static const int64_t i[3] = {7, -8, 9};
    static const char halves[] = "\x78\0\0\0\0\0\0\0"
                                 "{\"h\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                                 "\"i\":{\"dtype\":\"I8\",\"shape\":[3,1],\"data_offsets\":[4,7]}}"
                                 "           \x80\x3f\0\x40\1\2\3";
    /* two levels of one block each, the first upsampled */
    static const char *const blocks[] = {
        "input_blocks.0.0.weight",
        "input_blocks.1.0.in_layers.2.weight",
        "input_blocks.3.0.in_layers.2.weight",
        "output_blocks.0.0.in_layers.2.weight",
        "output_blocks.1.0.in_layers.2.weight",
        "output_blocks.1.1.in_layers.2.weight",
        "output_blocks.2.0.in_layers.2.weight",
        "output_blocks.3.0.in_layers.2.weight",
    };
    io_tensors plain = {0}, palette = {0};
    char *path[2] = {place("tensors", "plain"), place("tensors", "palette")};
    io_tensors_add_f32(&plain, "a", 2, (int64_t[]){2, 3}, x);
    io_tensors_add_i64(&plain, "b", 1, (int64_t[]){3}, i);
    io_tensors_add_f32(&plain, "c", 0, NULL, x);
    io_tensors_add_f32(&plain, "d", 1, (int64_t[]){0}, NULL);
    io_tensors_add_meta(&plain, "sagax", about);
    for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++)
        io_tensors_add_f32(&palette, blocks[b], 4, (int64_t[]){2, 2, 1, 1}, x);
    io_tensors_add_meta(&palette, "base_channels", "16");
    io_tensors_add_meta(&palette, "mult", "1,2");
    SX_ASSERT(io_tensors_write(path[0], &plain) == SX_OK);
    SX_ASSERT(io_tensors_write(path[1], &palette) == SX_OK);
    put("tensors", "halves", halves, sizeof halves - 1);
    io_tensors_clear(&plain);
    io_tensors_clear(&palette);
    sx_free(path[0]);
    sx_free(path[1]);
}

/* Sets whose names and shapes tell an architecture: one that fits, one whose sizes contradict. */
static void architectures(void) {
    static const struct {
        const char *file, *name;
        int rank;
        int64_t shape[4];
    } tensors[] = {
        {"rcan", "head.0.weight", 4, {4, 1, 1, 1}},
        {"rcan", "body.0.body.0.body.0.weight", 4, {4, 4, 1, 1}},
        {"rcan", "body.0.body.0.body.3.conv_du.0.weight", 4, {9, 4, 1, 1}}, /* narrows to more */
        {"hat", "patch_embed.norm.weight", 1, {6}},
        {"hat", "conv_first.weight", 4, {6, 1, 1, 1}},
        {"hat", "layers.0.residual_group.blocks.0.norm1.weight", 1, {6}},
        {"hat", "layers.0.residual_group.blocks.0.mlp.fc1.weight", 2, {12, 3}},
        {"hat", "layers.0.residual_group.blocks.0.attn.relative_position_bias_table", 2, {9, 2}},
        {"hat", "layers.0.residual_group.overlap_attn.relative_position_bias_table", 2, {16, 2}},
    };
    enum { N = sizeof tensors / sizeof *tensors };
    const float x[64] = {0};
    for (int i = 0; i < N;) {
        const char *file = tensors[i].file;
        io_tensors t = {0};
        char *path = place("tensors", file);
        for (; i < N && strcmp(tensors[i].file, file) == 0; i++)
            io_tensors_add_f32(&t, tensors[i].name, tensors[i].rank, tensors[i].shape, x);
        SX_ASSERT(io_tensors_write(path, &t) == SX_OK);
        io_tensors_clear(&t);
        sx_free(path);
    }
}

static void checkpoints(void) {
    float x[60];
    for (int i = 0; i < 60; i++) x[i] = (float)i;
    const io_block blocks[] = {{.name = "param", .rank = 2, .shape = {6, 10}, .data = x},
                               {.name = "net/in/w", .rank = 4, .shape = {2, 3, 2, 2}, .data = x},
                               {.name = "net/in/b", .rank = 1, .shape = {7}, .data = x}};
    char *few = place("ckpt", "weights"), *none = place("ckpt", "none");
    SX_ASSERT(io_ckpt_write(few, about, blocks, 3) == SX_OK);
    SX_ASSERT(io_ckpt_write(none, "{}", NULL, 0) == SX_OK);
    sx_free(few);
    sx_free(none);
}

/* Volume `i` of the cache; number 1 failed. */
static void add_labels(io_cache_volume *v) {
    snprintf(v->labels_sha256, sizeof v->labels_sha256, "%064d", 7);
    v->labels = SX_NEW_ARRAY(uint8_t, v->n * v->h * v->w);
    for (int64_t p = 0; p < v->n * v->h * v->w; p++) v->labels[p] = (uint8_t)(41 + p % 10);
}

static io_cache_volume cached(int i) {
    io_cache_volume v = {.rel = sx_strf("sub-%d_T2w.nii", i), .ok = i != 1, .axcodes = "PIR"};
    snprintf(v.subject, sizeof v.subject, "%d", i);
    snprintf(v.reason, sizeof v.reason, "%s", v.ok ? "" : "crc");
    v.mapping = (im_mapping){0, 500, 0.999};
    if (!v.ok) return v;
    v.n = 2 + i, v.h = 5, v.w = 4;
    v.pixels = SX_NEW_ARRAY(uint16_t, v.n * v.h * v.w);
    for (int64_t p = 0; p < v.n * v.h * v.w; p++) v.pixels[p] = (uint16_t)(p * 1000);
    for (int d = 0; d < 4; d++) v.affine[d][d] = 1;
    if (i == 2) add_labels(&v);
    return v;
}

static void caches(void) {
    static const char *const names[] = {"few", "many"}; /* links of a group: compact, dense */
    for (int c = 0; c < 2; c++) {
        const int n = c == 0 ? 3 : 20;
        char *path = place("cache", names[c]);
        io_cache_writer *w;
        SX_ASSERT(io_cache_create(&w, mp_self(), path, "0123abcd") == SX_OK);
        for (int i = 0; i < n; i++) {
            io_cache_volume v = cached(i);
            SX_ASSERT(io_cache_append(w, i, &v) == SX_OK);
            io_cache_volume_clear(&v);
        }
        SX_ASSERT(io_cache_commit(w, true) == SX_OK);
        if (c == 0) {
            io_cache *k;
            SX_ASSERT(io_cache_open(&k, path) == SX_OK);
            for (int i = 0; i < 2; i++) {
                char *entry = io_cache_entry_text(k, i);
                put_text("json", i ? "entry-failed" : "entry", entry);
                sx_free(entry);
            }
            io_cache_close(k);
        }
        sx_free(path);
    }
}

/* ---- scripts of fuzz_hdf5.c that make nearly a checkpoint and nearly a cache ---- */

static void scripts(void) {
    static const char checkpoint[] = {
        0, 1, 0, 0, 0, 0, 0, /* attribute format */
        0, 1, 2, 0, 0, 0, 1, /* attribute version */
        0, 1, 5, 0, 0, 0, 2, /* attribute digest */
        2, 1, 3, 1,          /* text json */
        2, 1, 6, 2,          /* text names */
        1, 1, 1, 5,          /* dataset blocks/a */
        1, 1, 1, 7,          /* dataset blocks/c */
    };
    static const char cache[] = {
        3, 0, 0, 0,           /* group format */
        0, 1, 1, 0,  0, 1, 3, /* its attributes name, version, config */
        0, 1, 2, 0,  0, 1, 1, /**/
        0, 1, 5, 0,  0, 1, 4, /**/
        2, 1, 7, 3,           /* text index */
        1, 1, 2, 11,          /* dataset of pixels */
        2, 1, 7, 12,          /* text meta */
    };
    put("hdf5", "checkpoint", checkpoint, sizeof checkpoint);
    put("hdf5", "cache", cache, sizeof cache);
}

/* ---- texts ---- */

static void texts(void) {
    put_text("json", "about", about);
    put_text("json", "sidecar",
             "{\"SliceThickness\": 3.3, \"Manufacturer\": \"x\", \"l\": [1, null]}");
    put_text("lists", "paths", "path\nsub-1_acq-sag_T2w.nii\n./sub-2/sub-2_run-2_T1w.nii.gz\n");
    put_text("lists", "columns",
             "\xef\xbb\xbfpath\tsubject\tsession\tacq\r\na.nii\tsub-3\tses-1\tn/a\r\n/b/"
             "c.nii\t4\t\tsag\r\n\r\n");
    put_text("lists", "table", "a\tb\n1\t2\n3\t4\n");
    put_text(
        "work", "journal",
        "{\"run\": 1, \"config\": \"c\", \"item\": \"a\", \"print\": \"p\", \"state\": \"begun\","
        " \"owner\": \"o\", \"rank\": 0, \"time\": 1.5}\n"
        "{\"run\": 1, \"item\": \"a\", \"print\": \"p\", \"state\": \"crashed\"}\n"
        "{\"run\": 2, \"item\": \"a\", \"print\": \"p\", \"state\": \"made\", \"seconds\": 2,"
        " \"payload\": \"[]\"}\n"
        "{\"run\": 2, \"item\": \"b\", \"state\": \"failed\", \"code\": \"data\","
        " \"reason\": \"damaged\"}\n"
        "{\"run\": 2, \"item\": \"c\"");
    put_text(
        "work", "crew",
        "beat=7\nidle_s=0.500\nsilence_s=30.000\njob=17\nrestart=1\nrank=2\nsize=4\nhost=n1\n"
        "pid=811\nstart=99\nboot=b\npid_space=pid:[1]\nblames=-1\nwaits=0\ndoing=item a\n   \n");
    put_text(
        "config", "train.ini",
        "; comment\n[train]\nsteps = 100\nlr = 1e-3 ; inline\nbatch: 4\n"
        "[model]\nmult = 1,2,4\nbase_channels = 16\n[degrade]\nlevel = 3\n[run]\npreset = paper\n");
    put_text(
        "config", "sr.ini",
        "[diffusion]\nsteps = 7\n[sr]\nthickness_mm = 4.5\nforce = yes\n[data]\nhr_mm = 0.9\n");
    put_text("config", "command-train",
             "train\ncache.h5\nrun\n--steps\n7\n--set=train.lr=1e-4\n--set\nmodel.mult=1,1,2\n-v\n-"
             "-dry-run\n");
    put_text("config", "command-degrade",
             "degrade\n--level=5\n--set\ndegrade.lr_min_mm=4\n--set\ndegrade.lr_max_mm=9\n--\n-x\n-"
             "-json\n");
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
        return 64;
    }
    root = argv[1];
    written_volumes();
    header_files();
    tensors();
    architectures();
    checkpoints();
    caches();
    scripts();
    texts();
    return 0;
}
