/* For io/ only: the files of one process as HDF5 reads and writes them here.
 *
 * HDF5 1.10 takes a failed write badly: a file that could not be closed stays in its tables, and it
 * crashes on it when the process ends. So this driver does not fail once a file is open for
 * writing: it remembers the first error, drops what comes after, and is asked in the end. Errors of
 * reading it remembers too: those of the disk are no damage of a file. Under the lock of io_hdf5.h;
 * one file is written at a time. */
#ifndef IO_HDF5_DISK_H
#define IO_HDF5_DISK_H

#include <hdf5.h>
#include <stdbool.h>

/* Make `access`, a list of file access properties, use the driver. */
bool io__disk_use(hid_t access);
/* Before a file is opened: forget what failed. */
void io__disk_forget_reads(void);
void io__disk_forget_writes(void);
/* errno of the first thing that failed since; 0: nothing did. */
int io__disk_read_error(void);
int io__disk_write_error(void);

#endif
