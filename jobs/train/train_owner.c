/* Waiting a little longer than an owner may be silent tells a dead owner from a living one wherever
 * it ran. */
#include "jobs/train/train_owner.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/items/work.h"
#include "mpi/mp_stop.h"

static const char key[] = "run";

static void wait_a_moment(void) {
    const struct timespec moment = {.tv_nsec = 100000000};
    nanosleep(&moment, NULL);
}

/* Rank 0. */
static sx_err claim(const train_config *c) {
    char holder[MP_HOLDER_TEXT];
    const double until_s = sx_now_s() + 1.3 * c->lease_s;
    bool told = false;
    for (;;) {
        const mp_claim got = mp_lease_claim(c->leases, key, holder);
        if (got != MP_CLAIM_HELD) return mp_claim_error(got);
        if (sx_now_s() > until_s || mp_stop_wanted()) break;
        if (!told)
            sx_info("%s is in use by %s: waiting for %.0f s at most", c->run_path, holder,
                    1.3 * c->lease_s);
        told = true;
        train_owner_moves(c, "waiting for %s", c->run_path);
        wait_a_moment();
    }
    return sx_fail(SX_E_AGAIN, "%s is in use by %s: run me again when that has ended", c->run_path,
                   holder);
}

sx_err train_owner_enter(train_config *c) {
    const mp_lease_opt opt = {.silence_s = c->lease_s, .stall_s = c->stall_s};
    char *folder = work_folder(c->run_path, true);
    sx_err rc = mp_leases_open(&c->leases, c->comm, folder, &opt);
    sx_free(folder);
    if (rc != SX_OK) return rc;
    return mp_agree(c->comm, mp_rank(c->comm) == 0 ? claim(c) : SX_OK);
}

void train_owner_leave(train_config *c) {
    mp_leases_close(c->leases);
    c->leases = NULL;
}

sx_err train_owner_holds(void *config) {
    const train_config *c = config;
    const mp_hold hold = c->leases ? mp_lease_holds(c->leases, key) : MP_HOLD_MINE;
    if (hold == MP_HOLD_MINE) return SX_OK;
    if (hold == MP_HOLD_UNKNOWN)
        return sx_fail_context(SX_E_IO, "%s: whose folder this is cannot be read", c->run_path);
    return sx_fail(SX_E_AGAIN,
                   "%s: this process was silent for so long that another one took the folder over; "
                   "run me again when that has ended",
                   c->run_path);
}

void train_owner_moves(const train_config *c, const char *format, ...) {
    char doing[MP_DOING_TEXT + 1];
    if (!c->leases) return;
    va_list args;
    va_start(args, format);
    vsnprintf(doing, sizeof doing, format, args);
    va_end(args);
    mp_lease_move(c->leases, doing);
}

void train_owner_waits(const train_config *c, int64_t step) {
    char doing[MP_DOING_TEXT + 1];
    snprintf(doing, sizeof doing, "step %lld of %lld, waiting for other ranks", (long long)step,
             (long long)c->steps);
    mp_lease_wait(c->leases, doing);
}
