/* The parity fixtures, which the repository does not hold. */
#ifndef FIXTURES_H
#define FIXTURES_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"

/* Says loudly if they are not there. */
static inline bool fixtures_are_there(void) {
    const char *shared = getenv("SAGAX_SHARED");
    char *folder = sx_strf("%s/fixtures", shared != NULL ? shared : "../shared");
    bool there = shared != NULL && sx_file_is_dir(folder);
    if (!there) printf("skipped: no folder %s with the fixtures (SAGAX_SHARED)\n", folder);
    sx_free(folder);
    return there;
}

#endif
