/* A virtual file driver over pread and pwrite. Beyond the end of a file there are zeros. */
#include "io/io_hdf5_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_mem.h"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h> /* what drivers are made of; hdf5.h had it before */
#endif

typedef struct disk_file {
    H5FD_t public; /* first: HDF5's part */
    int fd;
    bool writes;
    haddr_t eoa, eof; /* end of what HDF5 uses; of what was written */
} disk_file;

static int read_error, write_error;

int io__disk_read_error(void) {
    return read_error;
}

int io__disk_write_error(void) {
    return write_error;
}

void io__disk_forget_reads(void) {
    read_error = 0;
}

void io__disk_forget_writes(void) {
    write_error = 0;
}

static void remember(int *error) {
    if (*error == 0) *error = errno ? errno : EIO;
}

static H5FD_t *disk_open(const char *name, unsigned flags, hid_t access, haddr_t max) {
    (void)access;
    (void)max;
    const bool writes = flags & H5F_ACC_RDWR;
    int how = writes ? O_RDWR : O_RDONLY;
    if (flags & H5F_ACC_CREAT) how |= O_CREAT;
    if (flags & H5F_ACC_TRUNC) how |= O_TRUNC;
    int fd = open(name, how | O_CLOEXEC, 0666);
    if (fd < 0) { /* before it makes a file the library looks whether there is one */
        if (!writes || flags & H5F_ACC_CREAT) remember(writes ? &write_error : &read_error);
        return NULL;
    }
    disk_file *f = SX_NEW(disk_file);
    const off_t end = lseek(fd, 0, SEEK_END);
    f->fd = fd;
    f->writes = writes;
    f->eof = end > 0 ? (haddr_t)end : 0;
    return &f->public;
}

static herr_t disk_close(H5FD_t *file) {
    disk_file *f = (disk_file *)file;
    if (close(f->fd) != 0 && f->writes) remember(&write_error); /* NFS reports here */
    sx_free(f);
    return 0;
}

static int disk_compare(const H5FD_t *a, const H5FD_t *b) {
    return (a > b) - (a < b);
}

static herr_t disk_query(const H5FD_t *file, unsigned long *flags) {
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t disk_get_eoa(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return ((const disk_file *)file)->eoa;
}

static herr_t disk_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t end) {
    (void)type;
    ((disk_file *)file)->eoa = end;
    return 0;
}

static haddr_t disk_get_eof(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return ((const disk_file *)file)->eof;
}

static herr_t disk_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t n,
                        void *to) {
    const disk_file *f = (const disk_file *)file;
    char *p = to;
    (void)type;
    (void)transfer;
    while (n > 0) {
        const ssize_t got = pread(f->fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            remember(&read_error);
            return -1;
        }
        if (got == 0) break;
        p += got;
        n -= (size_t)got;
        at += (haddr_t)got;
    }
    memset(p, 0, n);
    return 0;
}

static herr_t disk_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t n,
                         const void *from) {
    disk_file *f = (disk_file *)file;
    const char *p = from;
    (void)type;
    (void)transfer;
    while (n > 0 && write_error == 0) {
        const ssize_t put = pwrite(f->fd, p, n, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            remember(&write_error);
            break;
        }
        p += put;
        n -= (size_t)put;
        at += (haddr_t)put;
    }
    if (at + n > f->eof) f->eof = at + n;
    return 0;
}

/* The file becomes as long as what HDF5 uses. */
static herr_t disk_truncate(H5FD_t *file, hid_t transfer, hbool_t closing) {
    disk_file *f = (disk_file *)file;
    (void)transfer;
    (void)closing;
    if (f->eof == f->eoa) return 0;
    if (ftruncate(f->fd, (off_t)f->eoa) != 0) remember(&write_error);
    f->eof = f->eoa;
    return 0;
}

static const H5FD_class_t driver = {
#ifdef H5FD_CLASS_VERSION /* since HDF5 1.14 */
    .version = H5FD_CLASS_VERSION,
    .value = H5_VFD_RESERVED,
#endif
    .name = "sagax_disk",
    .maxaddr = ((haddr_t)1 << 62) - 1,
    .fc_degree = H5F_CLOSE_WEAK,
    .open = disk_open,
    .close = disk_close,
    .cmp = disk_compare,
    .query = disk_query,
    .get_eoa = disk_get_eoa,
    .set_eoa = disk_set_eoa,
    .get_eof = disk_get_eof,
    .read = disk_read,
    .write = disk_write,
    .truncate = disk_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* Registered once and kept. H5FD_close gives up the file's hold on the driver before it calls its
 * close; were that the last one, the library would call what it has just freed. */
bool io__disk_use(hid_t access) {
    static hid_t id = H5I_INVALID_HID;
    if (id < 0) id = H5FDregister(&driver);
    return id >= 0 && H5Pset_driver(access, id, NULL) >= 0;
}
