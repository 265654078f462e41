/* The one owner of a run folder. Rank 0 holds the lease "run" of RUN/.sagax (mpi/mp_lease.h) from
 * before anything is written until the end, so two jobs on one folder never mix; every rank beats
 * there and tells what it does, so the watchdog can name one that stands still. */
#ifndef TRAIN_OWNER_H
#define TRAIN_OWNER_H

#include "jobs/train/train.h"

/* Take the folder: c->leases. One that another process holds is waited for until that one would
 * count as dead. Collective. Errors: SX_E_AGAIN (its owner lives, or a stop was asked for
 * meanwhile; names the owner), those of mp_leases_open. */
sx_err train_owner_enter(train_config *c);
/* Give it back; takes a configuration without. Not collective. */
void train_owner_leave(train_config *c);
/* Asked by rank 0 before a file gets its final name (an sx_file_gate; user: the train_config).
 * Errors: SX_E_AGAIN (another process took the folder over), SX_E_IO (nobody can tell). */
sx_err train_owner_holds(void *config);
/* This rank got on with what the format says. Takes a configuration without leases. */
void train_owner_moves(const train_config *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* From here to its next move it waits for what other ranks have to give to this step. */
void train_owner_waits(const train_config *c, int64_t step);

#endif
