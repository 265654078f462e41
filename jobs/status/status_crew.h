/* Inside of the verb `status`: the ranks that are entered in a work folder (mp_lease.h), and how
 * long each has been silent. By clocks and time stamps, which may be wrong: good for telling alone.
 * Not collective. */
#ifndef STATUS_CREW_H
#define STATUS_CREW_H

#include <jansson.h>
#include <stdbool.h>
#include "mpi/mp_lease.h"

typedef struct status_crew {
    mp_member *member;       /* [n] the n_alive that are not known to be gone first, by rank */
    int n, n_alive, n_heard; /* heard: alive, and its heart has beaten lately */
} status_crew;

/* `folder` as work_folder has it. Errors: those of mp_crew_read. */
sx_err status_crew_read(status_crew *c, const char *folder);
void status_crew_clear(status_crew *c);

/* Whether a member that is not known to be gone has this owner. */
bool status_crew_has(const status_crew *c, const char *owner);
/* How many silent ranks others of the same start wait for, or will; *least_s is the shortest of
 * their silences. */
int status_crew_missed(const status_crew *c, double *least_s);
void status_crew_print(const status_crew *c);
json_t *status_crew_json(const status_crew *c);

/* "1 h 02 min", "5 min" or "7 s" on stdout. */
void status_print_duration(double s);

#endif
