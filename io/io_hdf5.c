/* The few HDF5 idioms that checkpoints and the slice cache share. */
#include "io/io_hdf5.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_hdf5_disk.h"

/* ---- lock and errors ---- */

static pthread_mutex_t lock;
static pthread_once_t lock_once = PTHREAD_ONCE_INIT;

static void lock_init(void) {
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

void io__hdf5_lock(void) {
    pthread_once(&lock_once, lock_init);
    pthread_mutex_lock(&lock);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void io__hdf5_unlock(void) {
    pthread_mutex_unlock(&lock);
}

static herr_t keep_innermost(unsigned n, const H5E_error2_t *error, void *text) {
    if (n == 0 && error->desc) snprintf(text, 200, "%s", error->desc);
    return 0;
}

const char *io__hdf5_reason(void) {
    static char text[200];
    if (io__disk_write_error()) return strerror(io__disk_write_error());
    if (io__disk_read_error()) return strerror(io__disk_read_error());
    snprintf(text, sizeof text, "unknown HDF5 error");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, text);
    return text;
}

/* Calls into the library forget earlier errors; clean-up must not: the first one wins. */
bool io__hdf5_close(hid_t id) {
    if (id < 0) return true;
    const bool clean = H5Eget_num(H5E_DEFAULT) <= 0;
    hid_t first = clean ? H5I_INVALID_HID : H5Eget_current_stack();
    bool good = H5Idec_ref(id) >= 0;
    if (!clean) H5Eset_current_stack(first);
    return good && io__disk_write_error() == 0;
}

/* ---- files ---- */

static hid_t access_list(const mp_comm *c) {
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    const MPI_Comm *native = c ? mp_native(c) : NULL;
    bool good = list >= 0 && H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 &&
                H5Pset_file_locking(list, 0, 1) >= 0;
    if (good && !native) good = io__disk_use(list);
    if (good && native)
        good = H5Pset_fapl_mpio(list, *native, MPI_INFO_NULL) >= 0 &&
               H5Pset_all_coll_metadata_ops(list, 1) >= 0 &&
               H5Pset_coll_metadata_write(list, 1) >= 0;
    if (good) return list;
    io__hdf5_close(list);
    return H5I_INVALID_HID;
}

/* Creation property list without time stamps. */
static hid_t timeless(hid_t class) {
    hid_t list = H5Pcreate(class);
    if (list >= 0 && H5Pset_obj_track_times(list, 0) < 0) {
        io__hdf5_close(list);
        list = H5I_INVALID_HID;
    }
    return list;
}

/* `access` is taken. */
static hid_t create(const char *path, hid_t access) {
    hid_t creation = timeless(H5P_FILE_CREATE), file = H5I_INVALID_HID;
    io__disk_forget_writes();
    if (access >= 0 && creation >= 0) file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    io__hdf5_close(creation);
    io__hdf5_close(access);
    return file;
}

hid_t io__hdf5_create(const char *path, const mp_comm *c) {
    return create(path, access_list(c));
}

/* The core driver keeps a file in one block of ours. H5Fget_file_image would copy it, but of a file
 * that is still open for writing: it takes the mark for that out of the superblock and leaves its
 * checksum as it was. Closing does both, so the block is taken when the driver gives it up. */
static void *resize_block(void *block, size_t n_bytes, H5FD_file_image_op_t op, void *user) {
    (void)op;
    io__hdf5_memory *m = user;
    void *larger = realloc(block, n_bytes);
    if (larger) m->bytes = larger;
    return larger;
}

static herr_t leave_block(void *block, H5FD_file_image_op_t op, void *user) {
    (void)block, (void)op, (void)user;
    return 0;
}

static void *same_user(void *user) {
    return user;
}

static herr_t leave_user(void *user) {
    (void)user;
    return 0;
}

void io__hdf5_memory_clear(io__hdf5_memory *m) {
    free(m->bytes);
    *m = (io__hdf5_memory){0};
}

hid_t io__hdf5_create_in_memory(io__hdf5_memory *m, size_t n_bytes) {
    H5FD_file_image_callbacks_t block = {.image_realloc = resize_block,
                                         .image_free = leave_block,
                                         .udata_copy = same_user,
                                         .udata_free = leave_user,
                                         .udata = m};
    hid_t access = access_list(NULL);
    if (access >= 0 && (H5Pset_fapl_core(access, n_bytes, 0) < 0 ||
                        H5Pset_file_image_callbacks(access, &block) < 0)) {
        io__hdf5_close(access);
        access = H5I_INVALID_HID;
    }
    return create("memory", access); // a name for messages, nothing is made on disk
}

bool io__hdf5_close_in_memory(hid_t file, io__hdf5_memory *m) {
    ssize_t n = -1; // what is in use of the block
    if (file >= 0 && H5Fflush(file, H5F_SCOPE_LOCAL) >= 0) n = H5Fget_file_image(file, NULL, 0);
    m->n = n > 0 ? (size_t)n : 0;
    return io__hdf5_close(file) && n > 0;
}

/* The library believes what older kinds of superblock say, and a single flipped bit makes an older
 * one of ours. It is never shown any but the kind that the 1.10 format has: checked by itself, with
 * nothing but checked metadata behind it. Source: HDF5 File Format Specification 3.0, II.A. */
static sx_err check_superblock(const char *path, FILE *f) {
    static const unsigned char begin[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n', 3, 8, 8};
    enum { SUPERBLOCK = 48, SIGNATURE = 8, END_ADDRESS = 28 };
    unsigned char head[SUPERBLOCK] = {0};
    const size_t n = fread(head, 1, sizeof head, f);
    if (ferror(f)) return sx_fail(SX_E_IO, "%s: %s", path, strerror(errno));
    if (memcmp(head, begin, SIGNATURE) != 0)
        return sx_fail(SX_E_DATA, "%s: not a readable HDF5 file: it does not begin as one", path);
    if (n < sizeof head || memcmp(head, begin, sizeof begin) != 0)
        return sx_fail(SX_E_DATA,
                       "%s: not a readable HDF5 file: damaged, or of a kind that sagax "
                       "does not write",
                       path);
    uint64_t end = 0;
    for (int b = 7; b >= 0; b--) end = end << 8 | head[END_ADDRESS + b];
    const int64_t n_bytes = sx_file_size(path);
    if (n_bytes >= 0 && (uint64_t)n_bytes < end)
        return sx_fail(SX_E_DATA, "%s: truncated: %" PRId64 " of %" PRIu64 " bytes are there", path,
                       n_bytes, end);
    return SX_OK;
}

sx_err io__hdf5_open(const char *path, hid_t *file) {
    *file = H5I_INVALID_HID;
    if (sx_file_is_dir(path)) return sx_fail(SX_E_NOINPUT, "%s: is a folder", path);
    FILE *readable = fopen(path, "rb");
    if (!readable) return sx_fail(SX_E_NOINPUT, "%s: %s", path, strerror(errno));
    const sx_err rc = check_superblock(path, readable);
    fclose(readable);
    if (rc != SX_OK) return rc;
    hid_t access = access_list(NULL);
    io__hdf5_begin_reading();
    if (access >= 0) *file = H5Fopen(path, H5F_ACC_RDONLY, access);
    io__hdf5_close(access);
    if (*file >= 0) return SX_OK;
    return io__hdf5_end_reading(
        path, sx_fail(SX_E_DATA, "%s: not a readable HDF5 file: %s", path, io__hdf5_reason()));
}

void io__hdf5_begin_reading(void) {
    io__disk_forget_reads();
}

sx_err io__hdf5_end_reading(const char *path, sx_err rc) {
    const int why = io__disk_read_error();
    return rc == SX_E_DATA && why ? sx_fail(SX_E_IO, "%s: cannot be read: %s", path, strerror(why))
                                  : rc;
}

/* ---- groups and datasets ---- */

hid_t io__hdf5_group(hid_t parent, const char *name) {
    hid_t creation = timeless(H5P_GROUP_CREATE), group = H5I_INVALID_HID;
    if (creation >= 0) group = H5Gcreate2(parent, name, H5P_DEFAULT, creation, H5P_DEFAULT);
    io__hdf5_close(creation);
    return group;
}

hid_t io__hdf5_dataset(hid_t parent, const char *name, hid_t file_type, int rank,
                       const hsize_t *shape, const hsize_t *chunk) {
    hid_t creation = timeless(H5P_DATASET_CREATE), space = H5Screate_simple(rank, shape, NULL);
    hid_t dataset = H5I_INVALID_HID;
    if (creation >= 0 && space >= 0 && H5Pset_chunk(creation, rank, chunk) >= 0 &&
        H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY) >= 0 && H5Pset_fletcher32(creation) >= 0)
        dataset = H5Dcreate2(parent, name, file_type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    io__hdf5_close(space);
    io__hdf5_close(creation);
    return dataset;
}

bool io__hdf5_put(hid_t dataset, hid_t memory_type, hid_t transfer, bool mine, const void *data) {
    static const char nothing[8];
    hid_t space = H5Dget_space(dataset);
    bool good = space >= 0 && (mine || H5Sselect_none(space) >= 0) &&
                H5Dwrite(dataset, memory_type, space, space, transfer, mine ? data : nothing) >= 0;
    io__hdf5_close(space);
    return good;
}

bool io__hdf5_put_text(hid_t parent, const char *name, hid_t transfer, bool mine, const char *text,
                       size_t n_bytes) {
    const hsize_t n = n_bytes;
    hid_t dataset = io__hdf5_dataset(parent, name, H5T_STD_U8LE, 1, &n, &n);
    bool good = dataset >= 0 && io__hdf5_put(dataset, H5T_NATIVE_UINT8, transfer, mine, text);
    return io__hdf5_close(dataset) && good;
}

/* Bytes of the file that an object is in, or -1. */
static int64_t file_bytes(hid_t object) {
    hsize_t n = 0;
    hid_t file = H5Iget_file_id(object);
    const bool good = file >= 0 && H5Fget_filesize(file, &n) >= 0;
    io__hdf5_close(file);
    return good ? (int64_t)n : -1;
}

char *io__hdf5_get_text(hid_t parent, const char *name, int64_t limit) {
    char *text = NULL;
    hid_t dataset = H5Dopen2(parent, name, H5P_DEFAULT), space = H5I_INVALID_HID;
    if (dataset >= 0) space = H5Dget_space(dataset);
    hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    if (n >= 0 && n <= limit && n <= file_bytes(dataset)) text = sx_try_alloc(n + 1, 1);
    if (text && H5Dread(dataset, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0) {
        sx_free(text);
        text = NULL;
    }
    io__hdf5_close(space);
    io__hdf5_close(dataset);
    return text;
}

/* ---- attributes ---- */

bool io__hdf5_put_attribute(hid_t object, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attribute = H5I_INVALID_HID;
    bool good = type >= 0 && space >= 0 && H5Tset_size(type, strlen(text) + 1) >= 0;
    if (good) attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    good = attribute >= 0 && H5Awrite(attribute, type, text) >= 0;
    io__hdf5_close(attribute);
    io__hdf5_close(space);
    io__hdf5_close(type);
    return good;
}

bool io__hdf5_get_attribute(hid_t object, const char *name, char *text, size_t room) {
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT), type = H5I_INVALID_HID;
    hid_t space = H5I_INVALID_HID;
    bool good = false;
    if (attribute >= 0) type = H5Aget_type(attribute);
    if (attribute >= 0) space = H5Aget_space(attribute);
    if (type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
        H5Tget_size(type) <= room && H5Sget_simple_extent_npoints(space) == 1) {
        memset(text, 0, room);
        good = H5Aread(attribute, type, text) >= 0 && memchr(text, 0, room);
    }
    io__hdf5_close(space);
    io__hdf5_close(type);
    io__hdf5_close(attribute);
    return good;
}
