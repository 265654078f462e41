/* HDF5 that is whole but not ours: the input is a script that puts attributes, datasets and links
 * of any type and shape under the names that checkpoints and slice caches have. Damage ends at
 * HDF5's checksums (fuzz_cache.c, fuzz_ckpt.c); what other programs write does not. */
#include <hdf5.h>
#include <stdbool.h>
#include <string.h>

#include "base/sx_mem.h"
#include "io/io_cache.h"
#include "io/io_ckpt.h"
#include "tests/fuzz/fuzz.h"

/* ---- the script ---- */

typedef struct script {
    const uint8_t *at, *end;
} script;

/* 0 below n; 0 when the script is over. */
static int take(script *s, int n) {
    return s->at < s->end ? *s->at++ % n : 0;
}

/* Text of at most n bytes that ends with a zero byte or the script; returns its length. */
static size_t take_text(script *s, char *text, size_t n) {
    size_t used = 0;
    while (s->at < s->end && used + 1 < n && *s->at) text[used++] = (char)*s->at++;
    if (s->at < s->end) s->at++;
    text[used] = '\0';
    return used;
}

static const char *const places[] = {"format",
                                     "json",
                                     "names",
                                     "index",
                                     "blocks",
                                     "blocks/a",
                                     "blocks/a/b",
                                     "blocks/c",
                                     "volumes",
                                     "volumes/000000",
                                     "other",
                                     "volumes/000000/pixels",
                                     "volumes/000000/meta",
                                     "volumes/000001/pixels"};
static const char *const attributes[] = {"format", "version", "digest", "name", "config"};
static const char *const texts[] = {
    "sagax checkpoint",
    "sagax slice cache",
    "1",
    "{}",
    "a\na/b\nc\n",
    "a\nc",
    "c\na\n",
    "{\"volumes\": [{\"file\": \"a\", \"split\": \"val\", \"state\": \"ok\", \"shape\": [2, 3, 4],"
    " \"crop\": [0, 0, 0], \"sha256\": \"\", \"subject\": \"\", \"session\": \"\", \"acq\": \"\","
    " \"axcodes\": \"PIR\", \"reason\": \"\", \"message\": \"\", \"zooms\": [1, 1, 1],"
    " \"mapping\": [0, 1, 1], \"affine\": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}]}"};
#define PICK(s, table) table[take(s, (int)(sizeof table / sizeof *table))]

/* A text of the tables or of the script, in `room`. */
static size_t pick_text(script *s, char *room, size_t n) {
    if (take(s, 3) == 0) return take_text(s, room, n);
    const char *text = PICK(s, texts);
    SX_ASSERT(strlen(text) < n);
    strcpy(room, text);
    return strlen(text);
}

/* ---- what it makes; calls that fail make nothing ---- */

/* Fixed texts as long as theirs or not, of variable length, numbers; one or many of them. */
static void put_attribute(hid_t file, script *s) {
    static const hsize_t counts[] = {1, 1, 0, 2, 50};
    char text[1024], many[50 * sizeof text] = "";
    const size_t n = pick_text(s, text, sizeof text);
    const int kind = take(s, 4);
    const hsize_t count = PICK(s, counts);
    const char *word = text;
    hid_t type = H5Tcopy(kind == 3 ? H5T_NATIVE_INT : H5T_C_S1);
    if (kind < 3)
        H5Tset_size(type, kind == 0 ? n + 1 : kind == 1 ? (size_t)take(s, 90) + 1 : H5T_VARIABLE);
    const hid_t space = count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, NULL);
    const hid_t object =
        take(s, 2) ? H5Oopen(file, "format", H5P_DEFAULT) : H5Oopen(file, "/", H5P_DEFAULT);
    const hid_t a = H5Acreate2(object, PICK(s, attributes), type, space, H5P_DEFAULT, H5P_DEFAULT);
    memcpy(many, text, n);
    if (kind != 2) H5Awrite(a, type, many);
    if (kind == 2 && count == 1) H5Awrite(a, type, &word);
    H5Aclose(a);
    H5Oclose(object);
    H5Sclose(space);
    H5Tclose(type);
}

static hid_t pick_type(script *s) {
    const hid_t types[] = {H5T_STD_U8LE,   H5T_IEEE_F32LE, H5T_STD_U16LE, H5T_IEEE_F64LE,
                           H5T_IEEE_F32BE, H5T_STD_I64BE,  H5T_C_S1,      H5T_STD_U8LE};
    return PICK(s, types);
}

/* Extent of a dataset: what readers want, or anything up to far more than the file holds. */
static hid_t pick_space(script *s, hsize_t *n_points) {
    static const hsize_t sizes[] = {1, 2, 3, 4, 7, 0, 1000, (hsize_t)1 << 33};
    static const hsize_t wanted[3] = {2, 3, 4};
    hsize_t shape[6];
    *n_points = 24;
    if (take(s, 2)) return H5Screate_simple(3, wanted, NULL);
    const int rank = take(s, 6);
    *n_points = 1;
    for (int d = 0; d < rank; d++) {
        shape[d] = PICK(s, sizes);
        *n_points = *n_points > 1 << 20 ? *n_points : *n_points * shape[d];
    }
    return rank ? H5Screate_simple(rank, shape, NULL) : H5Screate(H5S_SCALAR);
}

static void put_dataset(hid_t file, hid_t links, script *s) {
    static const char zeros[1 << 14];
    hsize_t n = 0;
    const hid_t space = pick_space(s, &n), type = pick_type(s);
    const hid_t d = H5Dcreate2(file, PICK(s, places), type, space, links, H5P_DEFAULT, H5P_DEFAULT);
    if (n * 8 <= sizeof zeros) H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
    H5Dclose(d);
    H5Sclose(space);
}

static void put_text(hid_t file, hid_t links, script *s) {
    char text[1024];
    const hsize_t n = pick_text(s, text, sizeof text);
    const hid_t space = H5Screate_simple(1, &n, NULL);
    const hid_t d =
        H5Dcreate2(file, PICK(s, places), H5T_STD_U8LE, space, links, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(d, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, text);
    H5Dclose(d);
    H5Sclose(space);
}

/* A group; a link to another place, to itself, or into another file. */
static void put_link(hid_t file, hid_t links, script *s) {
    const char *to = PICK(s, places), *name = PICK(s, places);
    const int kind = take(s, 4);
    if (kind == 0) H5Gclose(H5Gcreate2(file, name, links, H5P_DEFAULT, H5P_DEFAULT));
    if (kind == 1) H5Lcreate_soft(to, file, name, links, H5P_DEFAULT);
    if (kind == 2) H5Lcreate_hard(file, to, file, name, links, H5P_DEFAULT);
    if (kind == 3) H5Lcreate_external("a.h5", to, file, name, links, H5P_DEFAULT);
}

static void run(const char *path, script *s) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS), links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_create_intermediate_group(links, 1);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    SX_ASSERT(file >= 0);
    for (int i = 0; i < 16 && s->at < s->end; i++) {
        const int what = take(s, 4);
        if (what == 0) put_attribute(file, s);
        if (what == 1) put_dataset(file, links, s);
        if (what == 2) put_text(file, links, s);
        if (what == 3) put_link(file, links, s);
    }
    H5Fclose(file);
    H5Pclose(links);
    H5Pclose(access);
}

/* ---- the readers ---- */

static void read_all(const char *path) {
    io_ckpt c;
    io_cache *k;
    io_ckpt_read(path, &c);
    io_ckpt_clear(&c);
    if (io_cache_open(&k, path) == SX_OK)
        for (int64_t i = 0; i < io_cache_n_volumes(k); i++) {
            uint16_t *pixels;
            io_cache_check(k, i);
            io_cache_pixels(k, i, &pixels);
            sx_free(pixels);
        }
    io_cache_close(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    script s = {data, data + n};
    char *path = fuzz_file("a.h5", "", 0);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    run(path, &s);
    read_all(path);
    sx_free(path);
    return 0;
}
