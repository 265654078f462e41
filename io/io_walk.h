/* Walking folder trees: every visible entry, in byte order within its folder.
 *
 * Names that begin with a dot are passed over. Symbolic links are followed, except into a folder
 * that is being walked already (a loop). Only a root that cannot be opened is an error: any other
 * folder is reported to the visitor. Not collective. */
#ifndef IO_WALK_H
#define IO_WALK_H

#include <stdbool.h>
#include "base/sx_err.h"

typedef enum io_entry_kind {
    IO_ENTRY_FILE,      /* anything but a folder; also a link to nothing    */
    IO_ENTRY_FOLDER,    /* true from the visitor: walk it                   */
    IO_ENTRY_UNREADABLE /* a folder that cannot be listed: sx_err_text says why */
} io_entry_kind;

/* rel: path below the root; borrowed. The value counts for folders only. */
typedef bool io_visit(void *user, io_entry_kind kind, const char *rel);

/* Errors: SX_E_NOINPUT (no such folder), SX_E_IO. */
sx_err io_walk(const char *root, io_visit *visit, void *user);

#endif
