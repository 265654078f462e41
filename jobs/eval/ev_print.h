/* The fingerprint of an item of `eval`: a hash of all that decides about its rows. Not collective.
 */
#ifndef EV_PRINT_H
#define EV_PRINT_H

#include "base/sx_hash.h"

/* A file by its content, and by its name, which says how it is read. */
void ev_print_file(sx_hasher *h, const char *role, const char *path);

#endif
