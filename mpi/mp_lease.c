/* Claims. The last link of a key's chain is the lease; who is the owner never depends on whether
 * anybody seems alive, only the right to become its successor does. Why this holds:
 *
 *  - A claim has an id that is never used again, owner and a count, and its successor's name is
 *    made from that id. A link is made whole (link(2) of a temporary), by one of many. So every
 *    chain has one last link, and a name that has left its chain never gets there again.
 *  - Whoever made a link walks the chain again before it believes that it owns. If it made it
 *    behind a claim that had been given back meanwhile, it finds itself on no chain, and removes
 *    it. The same walk settles an EEXIST that NFS reports of a link that it did make.
 *  - A lease is given back by its owner becoming its own successor first: if that fails somebody
 *    else has it. Then no living link can hang behind, and the chain is removed from the front:
 *    from the moment its first link is gone the key is free. (Who is silent for silence_s in the
 *    midst of that may on waking remove the first link of another; its owner learns it from
 *    mp_lease_holds.)
 *  - A process that dies anywhere in this leaves links of a dead owner, or links on no chain.
 *
 * The owner of a link that cannot be read (made without link(2) and not written yet, or lost with
 * the power) is dead when it has been so for silence_s. */
#include "mpi/mp_lease.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "mpi/mp_beat.h"

enum {
    CLAIM_ID = MP__OWNER + 24, /* "<owner>#<count>" */
    FILE_NAME = 160,           /* "<readable 80>-<hash 16>.after.<hash 16>" */
    TRIES = 16                 /* walks of a chain that others change meanwhile */
};

/* An owner met on a chain. */
typedef struct met {
    char owner[FILE_NAME];
    mp__pulse pulse;
    bool dead; /* it was taken for dead when last looked at */
} met;

struct mp_leases {
    char *crew, *claims;
    mp__entry me;
    double silence_s;
    mp__beat *beat;
    int64_t n_ids; /* claim ids used */
    met *met;
    int n_met;
    char **held; /* keys claimed and not released */
    int n_held;
};

const char *mp_leases_owner(const mp_leases *l) {
    return l->me.owner;
}

void mp_lease_move(mp_leases *l, const char *doing) {
    if (l) mp__beat_move(l->beat, doing, false);
}

void mp_lease_wait(mp_leases *l, const char *doing) {
    if (l) mp__beat_move(l->beat, doing, true);
}

/* ---- names ---- */

static void hash16(char to[17], const char *text) {
    char hex[SX_HASH_HEX];
    sx_hash_bytes(text, strlen(text), hex);
    memcpy(to, hex, 16);
    to[16] = '\0';
}

static void first_name(char name[FILE_NAME], const char *key) {
    char readable[81], hash[17];
    mp__file_name(readable, sizeof readable, key);
    hash16(hash, key);
    snprintf(name, FILE_NAME, "%s-%s", readable, hash);
}

static void next_name(char next[FILE_NAME], const char *first, const char *id) {
    char hash[17];
    hash16(hash, id);
    snprintf(next, FILE_NAME, "%.100s.after.%s", first, hash);
}

static void owner_of(char owner[MP__OWNER], const char *id) {
    snprintf(owner, MP__OWNER, "%.*s", (int)strcspn(id, "#"), id);
}

static bool is_mine(const mp_leases *l, const char *id) {
    const size_t n = strlen(l->me.owner);
    return strncmp(id, l->me.owner, n) == 0 && id[n] == '#';
}

/* ---- links ---- */

/* id: "" when there is no such link; "?<name>" when it says nothing. Errors: SX_E_IO. */
static sx_err link_read(const mp_leases *l, const char *name, char id[CLAIM_ID]) {
    sx_err rc = SX_OK;
    char *path = sx_path_join(l->claims, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    id[0] = '\0';
    if (fd < 0) {
        if (errno != ENOENT) rc = mp__cannot(SX_E_IO, path);
        goto out;
    }
    n = read(fd, id, CLAIM_ID - 1);
    if (n < 0) rc = mp__cannot(SX_E_IO, path);
    close(fd);
    id[n > 0 ? n : 0] = '\0';
    char *end = strchr(id, '\n');
    if (end) *end = '\0';
    if (!end || !strchr(id, '#') || strchr(id, '/')) snprintf(id, CLAIM_ID, "?%.120s", name);
out:
    sx_free(path);
    return rc;
}

static void link_remove(const mp_leases *l, const char *name) {
    char *path = sx_path_join(l->claims, name);
    unlink(path);
    sx_free(path);
}

/* Remove a link that is on no chain, if it is mine. */
static void link_take_back(const mp_leases *l, const char *name) {
    char id[CLAIM_ID];
    if (link_read(l, name, id) == SX_OK && is_mine(l, id)) link_remove(l, name);
}

/* The file under its own name, for file systems without hard links: it says nothing for a moment.
 */
static sx_err write_new(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return errno == EEXIST ? SX_OK : mp__cannot(SX_E_CREATE, path);
    const size_t n = strlen(text);
    sx_err rc = write(fd, text, n) == (ssize_t)n ? SX_OK : mp__cannot(SX_E_IO, path);
    if (close(fd) != 0 && rc == SX_OK) rc = mp__cannot(SX_E_IO, path);
    if (rc != SX_OK) unlink(path);
    return rc;
}

/* Make a link with a new id of mine, unless there is one of this name; who made it the chain tells.
 * Errors: SX_E_CREATE, SX_E_IO. */
static sx_err link_make(mp_leases *l, const char *name) {
    char id[CLAIM_ID + 1];
    snprintf(id, sizeof id, "%s#%lld\n", l->me.owner, (long long)++l->n_ids);
    char *path = sx_path_join(l->claims, name);
    char *tmp = sx_strf("%s/%s.%lld.tmp", l->claims, l->me.owner, (long long)l->n_ids);
    sx_err rc = SX_OK;
    SX_TRY(rc, write_new(tmp, id));
    if (link(tmp, path) == 0 || errno == EEXIST) goto out;
    const bool unknown = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS;
    rc = unknown ? write_new(path, id) : mp__cannot(SX_E_CREATE, path);
out:
    unlink(tmp);
    sx_free(tmp);
    sx_free(path);
    return rc;
}

/* ---- chains ---- */

typedef struct chain {
    char first[FILE_NAME], next[FILE_NAME]; /* next: where a successor of the last one belongs */
    char last[CLAIM_ID];                    /* "": the key is free */
    bool with_me;
} chain;

/* Errors: SX_E_IO. */
static sx_err chain_walk(const mp_leases *l, const char *key, chain *c) {
    char id[CLAIM_ID];
    sx_err rc = SX_OK;
    *c = (chain){.with_me = false};
    first_name(c->first, key);
    memcpy(c->next, c->first, FILE_NAME);
    sx_folder_refresh(l->claims);
    while ((rc = link_read(l, c->next, id)) == SX_OK && id[0]) {
        c->with_me |= is_mine(l, id);
        memcpy(c->last, id, CLAIM_ID);
        next_name(c->next, c->first, id);
    }
    return rc;
}

/* The links of a chain that nobody will follow any more, from the front. */
static void chain_remove(const mp_leases *l, const chain *c) {
    char id[CLAIM_ID], name[FILE_NAME];
    memcpy(name, c->first, FILE_NAME);
    while (link_read(l, name, id) == SX_OK && id[0]) {
        link_remove(l, name);
        next_name(name, c->first, id);
    }
}

/* ---- who is dead ---- */

static met *met_of(mp_leases *l, const char *owner) {
    for (int i = 0; i < l->n_met; i++)
        if (strcmp(l->met[i].owner, owner) == 0) return &l->met[i];
    l->met = sx_grow(l->met, l->n_met, sizeof *l->met);
    met *m = &l->met[l->n_met++];
    *m = (met){.dead = false};
    snprintf(m->owner, sizeof m->owner, "%s", owner);
    return m;
}

/* *e: what its entry says. */
static bool owner_dead(mp_leases *l, const char *owner, mp__entry *e) {
    const mp__look got = mp__entry_read(e, l->crew, owner);
    if (owner[0] != '?' && got == MP__ABSENT) return true;
    if (got == MP__READ && mp__entry_gone(e, &l->me)) return true;
    met *m = met_of(l, owner);
    const double still_s = mp__pulse_silent_s(&m->pulse, e->beat, mp__beat_awake_s(l->beat));
    return m->dead = still_s >= fmax(l->silence_s, e->silence_s);
}

static void say_holder(char *holder, const mp__entry *e) {
    if (!holder) return;
    if (e->beat < 0)
        snprintf(holder, MP_HOLDER_TEXT, "%s", e->owner);
    else
        snprintf(holder, MP_HOLDER_TEXT, "job %.32s, rank %d on %.64s, pid %d", e->job,
                 (int)e->rank, e->host, (int)e->pid);
}

/* Take away the entries of the dead that were met: silent for long then, and since. */
static void bury(mp_leases *l) {
    for (int i = 0; i < l->n_met; i++) {
        const met *m = &l->met[i];
        mp__entry e;
        if (!m->dead || mp__entry_read(&e, l->crew, m->owner) != MP__READ) continue;
        if (e.beat != m->pulse.beat) continue;
        mp__entry_remove(l->crew, m->owner);
    }
}

/* ---- claims ---- */

static int held_find(const mp_leases *l, const char *key) {
    for (int i = 0; i < l->n_held; i++)
        if (strcmp(l->held[i], key) == 0) return i;
    return -1;
}

static void held_add(mp_leases *l, const char *key) {
    if (held_find(l, key) >= 0) return;
    l->held = sx_grow(l->held, l->n_held, sizeof *l->held);
    l->held[l->n_held++] = sx_strdup(key);
}

static void held_drop(mp_leases *l, int i) {
    sx_free(l->held[i]);
    l->held[i] = l->held[--l->n_held];
}

static mp_claim claim_failed(sx_err rc) {
    return rc == SX_E_IO ? MP_CLAIM_IO : MP_CLAIM_ERROR;
}

mp_claim mp_lease_claim(mp_leases *l, const char *key, char holder[MP_HOLDER_TEXT]) {
    char made[FILE_NAME] = "", owner[MP__OWNER];
    if (holder) snprintf(holder, MP_HOLDER_TEXT, "somebody");
    for (int i = 0; i < TRIES; i++) {
        chain c;
        mp__entry e;
        sx_err rc = chain_walk(l, key, &c);
        if (rc != SX_OK) return claim_failed(rc);
        if (made[0] && !c.with_me) link_take_back(l, made);
        if (is_mine(l, c.last)) {
            held_add(l, key);
            say_holder(holder, &l->me);
            return MP_CLAIM_MINE;
        }
        if (c.last[0]) {
            owner_of(owner, c.last);
            if (!owner_dead(l, owner, &e)) {
                say_holder(holder, &e);
                return MP_CLAIM_HELD;
            }
        }
        if ((rc = link_make(l, c.next)) != SX_OK) return claim_failed(rc);
        memcpy(made, c.next, FILE_NAME);
    }
    return MP_CLAIM_HELD;
}

/* A file system that went away takes all claims with it, and nobody's lease. */
mp_hold mp_lease_holds(mp_leases *l, const char *key) {
    chain c;
    if (chain_walk(l, key, &c) != SX_OK) return MP_HOLD_UNKNOWN;
    if (is_mine(l, c.last)) return MP_HOLD_MINE;
    if (c.last[0] || sx_file_is_dir(l->claims)) return MP_HOLD_LOST;
    sx_fail(SX_E_IO, "%s: is not there any more", l->claims);
    return MP_HOLD_UNKNOWN;
}

void mp_lease_release(mp_leases *l, const char *key) {
    chain c;
    const int at = held_find(l, key);
    if (at < 0) return;
    if (chain_walk(l, key, &c) == SX_OK && is_mine(l, c.last) && link_make(l, c.next) == SX_OK &&
        chain_walk(l, key, &c) == SX_OK && is_mine(l, c.last))
        chain_remove(l, &c);
    held_drop(l, at);
}

/* ---- life cycle ---- */

/* Entries of processes that are known to be dead. */
static void sweep_crew(const mp_leases *l, const char *folder) {
    mp_member *all = NULL;
    int n = 0;
    if (mp_crew_read(folder, &all, &n) != SX_OK) return;
    for (int i = 0; i < n; i++)
        if (all[i].gone) mp__entry_remove(l->crew, all[i].owner);
    sx_free(all);
}

static sx_err enter(mp_leases *l, const char *folder, const char (*owner)[MP__OWNER],
                    const mp_lease_opt *opt) {
    sx_err rc = SX_OK;
    SX_TRY(rc, sx_mkdirs(l->crew));
    SX_TRY(rc, sx_mkdirs(l->claims));
    if (l->me.rank == 0) sweep_crew(l, folder);
    rc = mp__beat_start(&l->beat, l->crew, &l->me, owner, opt);
out:
    return rc;
}

sx_err mp_leases_open(mp_leases **out, mp_comm *c, const char *folder, const mp_lease_opt *opt) {
    mp_leases *l = SX_NEW(mp_leases);
    void *owners = NULL;
    size_t n = 0;
    l->crew = sx_path_join(folder, "crew");
    l->claims = sx_path_join(folder, "claims");
    l->silence_s = opt->silence_s;
    mp__entry_self(&l->me, c, opt->silence_s);
    mp_allgather(c, l->me.owner, MP__OWNER, &owners, &n);
    sx_err rc = mp_agree(c, enter(l, folder, owners, opt));
    sx_free(owners);
    if (rc != SX_OK) {
        mp_leases_close(l);
        return rc;
    }
    *out = l;
    return SX_OK;
}

void mp_leases_close(mp_leases *l) {
    if (!l) return;
    while (l->n_held) mp_lease_release(l, l->held[l->n_held - 1]);
    if (l->beat) bury(l);
    mp__beat_stop(l->beat);
    sx_free(l->held);
    sx_free(l->met);
    sx_free(l->crew);
    sx_free(l->claims);
    sx_free(l);
}
