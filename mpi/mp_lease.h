/* Leases: who works on what, among all processes that see one folder of a shared file system: ranks
 * of a job, tasks of an array, jobs that know nothing of each other, a requeued job and its former
 * self that is not quite dead.
 *
 *   FOLDER/crew/<owner>          one file a process: who and where it is, what it does, its beat
 *   FOLDER/claims/<key>          the owner of a thing
 *   FOLDER/claims/<key>.after.<claim>   its successor, made when that claim's owner was found dead
 *
 * No owner and no claim has a name that was used before. Claims are files that are created with
 * their content and never written again (a link to a temporary, which only one of many can make),
 * so each step of the chain of successors has one winner. An owner is alive while its file is there
 * and
 *   - its process lives, where that can be seen (same host, boot and pid namespace), and
 *   - its heartbeat moves. A heartbeat counts up; a reader times it with a clock of its own, which
 *     runs while the reader does, so clocks and time stamps of hosts and servers do not matter, and
 *     a job that was suspended as a whole has lost nothing.
 * Each process beats from a thread of its own, which makes no call of MPI.
 *
 * That thread is the watchdog too. What a process does it tells with mp_lease_move, and that it
 * waits for others with mp_lease_wait. When no rank of this start has moved for stall_s, the job is
 * ended with one line that names a rank, its host and what it did (exit 75; the launcher ends the
 * other ranks, also stopped ones): a rank that does not beat, else one that should work, else one
 * that waits. While any rank moves, others may wait for it as long as they like.
 *
 * A lease can be lost only by an owner that was silent for silence_s. Whoever holds one asks
 * mp_lease_holds before a result gets its final name: it is published only if that is certain. */
#ifndef MP_LEASE_H
#define MP_LEASE_H

#include "mpi/mp_comm.h"

typedef struct mp_leases mp_leases;

typedef struct mp_lease_opt {
    double silence_s; /* an owner whose heartbeat stood still for so long is dead; beats come ten
                         times as often */
    double stall_s;   /* the watchdog's patience; 0: no watchdog */
    /* Called by the watchdog before it ends the process, from its thread, when this process is the
     * one that does not move; may be NULL. */
    void (*on_stall)(void *user, const char *doing);
    void *user;
} mp_lease_opt;

enum { MP_HOLDER_TEXT = 160, MP_DOING_TEXT = 120 };

/* Enter this process into `folder` (made when it is not there) and begin to beat.
 * Errors: SX_E_CREATE, SX_E_IO, SX_E_NOMEM (no thread); the same on all ranks. Collective over c.
 */
sx_err mp_leases_open(mp_leases **l, mp_comm *c, const char *folder, const mp_lease_opt *opt);
/* Release everything and leave the crew; takes NULL. Not collective. */
void mp_leases_close(mp_leases *l);
/* Id of this process, "<job>-<host>-<pid>-<number>": names its files. Borrowed. */
const char *mp_leases_owner(const mp_leases *l);

/* This process got on: `doing` (copied, cut to MP_DOING_TEXT bytes) says with what. Nothing it does
 * may take stall_s between two of these. Cheap; takes NULL. Any thread. */
void mp_lease_move(mp_leases *l, const char *doing);
/* The same, and what follows, until it moves again, is to wait for other ranks (a collective): when
 * nobody moves, those who do not wait are to blame. */
void mp_lease_wait(mp_leases *l, const char *doing);

typedef enum mp_claim {
    MP_CLAIM_MINE,  /* this process has it, now or already before */
    MP_CLAIM_HELD,  /* another one that is alive, or not silent for long enough yet: ask again */
    MP_CLAIM_ERROR, /* nothing can be created in the folder: sx_err_text */
    MP_CLAIM_IO     /* reading or writing failed, as on a full disk: sx_err_text */
} mp_claim;
/* The error that a claim met; SX_OK if none. */
static inline sx_err mp_claim_error(mp_claim c) {
    return c == MP_CLAIM_ERROR ? SX_E_CREATE : c == MP_CLAIM_IO ? SX_E_IO : SX_OK;
}

/* Try to get the lease of `key` (any text; file names are made from it). `holder` (may be NULL)
 * learns who has it, "job 17, rank 2 on n1, pid 811". Does not wait. Not collective. */
mp_claim mp_lease_claim(mp_leases *l, const char *key, char holder[MP_HOLDER_TEXT]);
typedef enum mp_hold {
    MP_HOLD_MINE,   /* still this process's */
    MP_HOLD_LOST,   /* not any more: another's, or nobody's */
    MP_HOLD_UNKNOWN /* the folder cannot be read, so it may be either: sx_err_text; for writers
                       SX_E_IO */
} mp_hold;
/* What has become of the lease of `key`. Not collective. */
mp_hold mp_lease_holds(mp_leases *l, const char *key);
/* Give it back; nothing happens when it is not held. In a folder that cannot be written it stays
 * until this process leaves. Not collective. */
void mp_lease_release(mp_leases *l, const char *key);

/* The crew of a folder, for `sagax status`; reads only, needs no mp_leases. */
typedef struct mp_member {
    char owner[128], job[64], host[64], doing[128];
    int rank, size, pid, restart; /* restart: how often Slurm has requeued its job */
    int64_t beat;                 /* -1: its entry cannot be read (yet) */
    double silence_s;             /* its own; it beats ten times as often */
    double idle_s;                /* since it last moved, by its own clock at its last beat */
    double age_s; /* of its last beat, by clocks and time stamps, which may be wrong: to be shown */
    bool waits;   /* for others: mp_lease_wait */
    bool gone;    /* its process is known to be dead */
    bool here;    /* … is known to be alive: it is on this host */
} mp_member;
/* New [*n] (sx_free), by owner; an absent folder has none. Errors: SX_E_IO. */
sx_err mp_crew_read(const char *folder, mp_member **all, int *n);

#endif
