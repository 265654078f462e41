/* Files others can trust: everything under a final name is complete.
 *
 * A writer asks for a temporary name beside the final one, writes it, and commits: fsync of the
 * file, rename, fsync of the directory. An abandoned temporary carries the suffix
 * ".tmp.<pid>.<host>" and is removed by sx_file_abort. Not collective. */
#ifndef SX_FILE_H
#define SX_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/sx_err.h"

/* "<path>.tmp.<pid>.<host>", new string, freed with sx_free: processes of several hosts may write
 * one path of a shared file system at the same time. */
char *sx_file_tmp_name(const char *path);
/* Make sure that a temporary of n_bytes finds room, before a library that takes a full disk badly
 * writes it; the file is left, empty or not, to be truncated. Errors: SX_E_CREATE, SX_E_IO (no
 * room; the file is removed). */
sx_err sx_file_reserve(const char *tmp, int64_t n_bytes);
/* TMPDIR where that is a folder (it may be of another machine, or of a job that ended), else /tmp;
 * borrowed. */
const char *sx_tmp_folder(void);
/* Whether files in it take memory (tmpfs), as /tmp of some clusters. */
bool sx_folder_in_memory(const char *folder);
/* A file of n_bytes in the tmp folder, with room on the disk and without a name: it is gone when
 * *fd is closed, however that comes. Errors: SX_E_CREATE, SX_E_IO (no room). */
sx_err sx_file_scratch(int64_t n_bytes, int *fd);
/* 0, or the errno with which the system has failed to bring to the disk what was written to fd;
 * such a failure comes later than the write, is told once, and what is read from then on may be
 * what was there before, without an error. Does not wait. */
int sx_file_lost(int fd);
/* fsync `tmp`, rename it to `path`, fsync the directory. On failure `tmp` is removed.
 * Errors: SX_E_CREATE (cannot rename), SX_E_IO (fsync). */
sx_err sx_file_commit(const char *tmp, const char *path);
/* Asked before a file gets its final name, when nothing else is left to do: anything but SX_OK is
 * the writer's error, and what had that name stays. SX_OK leaves the error text alone. */
typedef sx_err sx_file_gate(void *user);
/* sx_file_commit with a gate; NULL: none. It is asked again when the temporary has vanished:
 * whoever has the name now may have swept it away. */
sx_err sx_file_commit_if(const char *tmp, const char *path, sx_file_gate *gate, void *user);
/* Remove a temporary; ignores absence; keeps the current error text. */
void sx_file_abort(const char *tmp);
/* Remove from `folder` the temporaries, whoever left them, whose final name begins with `prefix`.
 * For the one writer of these names alone. A folder that cannot be read is passed over. */
void sx_file_sweep(const char *folder, const char *prefix);
/* The same for one final name, and whatever a library put beside its temporaries ("….lock"). */
void sx_file_sweep_for(const char *path);
/* Write a whole buffer under a final name, atomically. Errors: SX_E_CREATE, SX_E_IO. */
sx_err sx_file_write(const char *path, const void *data, size_t n_bytes);
/* Read a whole file into a new zero-terminated block (sx_free). Refuses more than `limit` bytes.
 * Errors: SX_E_NOINPUT, SX_E_IO, SX_E_DATA (too large), SX_E_NOMEM. */
sx_err sx_file_read(const char *path, size_t limit, char **data, size_t *n_bytes);

/* Why `path` could not be opened or looked at: what errno says, or that a link leads to nothing,
 * which is what git-annex leaves of content that was never fetched. Returns `why`. */
enum { SX_FILE_WHY = 320 };
const char *sx_file_why(const char *path, int error, char why[SX_FILE_WHY]);

bool sx_file_exists(const char *path); /* any kind of entry */
bool sx_file_is_dir(const char *path);
/* Make this client ask the server anew what a folder holds: NFS remembers absent names, but looks
 * after itself when the folder is opened. */
void sx_folder_refresh(const char *folder);
/* Size in bytes, or -1. */
int64_t sx_file_size(const char *path);
/* mkdir -p; equal calls may race. Errors: SX_E_CREATE. */
sx_err sx_mkdirs(const char *path);
/* mkdir -p of the folder that holds `path`. */
sx_err sx_mkdirs_for(const char *path);
/* The path from the root, as it is when the working folder is not known; new string. */
char *sx_path_absolute(const char *path);
/* a + "/" + b, new string. */
char *sx_path_join(const char *a, const char *b);
/* Part after the last '/', borrowed from `path`. */
const char *sx_path_base(const char *path);
bool sx_has_suffix(const char *s, const char *suffix);

#endif
