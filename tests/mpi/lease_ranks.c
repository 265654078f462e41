/* Ranks under a watchdog: lease_ranks FOLDER WHO SECONDS moves|hangs|leaves
 * All meet. Rank WHO works for SECONDS, telling again and again that it moves, or (hangs) only
 * once; the others wait for it, as in a collective; all meet again and end. Or (leaves) it does not
 * come to meet anybody: it leaves, and the others wait for another second.
 *
 * A file FOLDER/ready.<rank> with its pid says that a rank has come so far, FOLDER/stalled.<rank>
 * what a rank said when it was blamed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "mpi/mp_lease.h"
#include "tests/mpi/mpi_run.h"

static const char *folder;

static char *file_of(const char *what, int rank) {
    return sx_strf("%s/%s.%d", folder, what, rank);
}

static void tell(const char *what, int rank, const char *text) {
    char *path = file_of(what, rank);
    if (sx_file_write(path, text, strlen(text)) != SX_OK) fprintf(stderr, "%s\n", sx_err_text());
    sx_free(path);
}

static void on_stall(void *user, const char *doing) {
    tell("stalled", *(const int *)user, doing);
}

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* Time in which this process is stopped is not worked. */
static void work(mp_leases *l, double seconds, bool moves) {
    for (int i = 0; i < (int)(50 * seconds); i++) {
        if (moves || i == 0) mp_lease_move(l, "item sub-01, slice 3 of 100");
        nap();
    }
}

/* Without the turning of a collective: many of these run at the same time. */
static void wait_for(const char *what, int who) {
    char *path = file_of(what, who);
    while (!sx_file_exists(path)) nap();
    sx_free(path);
}

static void begin(mp_comm *world, mp_leases *l) {
    mp_lease_wait(l, "the end");
    mp_barrier(world);
    char *pid = sx_strf("%d\n", (int)getpid());
    tell("ready", mp_rank(world), pid);
    sx_free(pid);
}

static void meet_again(mp_comm *world, mp_leases *l, int who) {
    if (mp_rank(world) == who)
        tell("ended", who, "");
    else
        wait_for("ended", who);
    mp_barrier(world);
    mp_leases_close(l);
}

static void leave_alone(mp_comm *world, mp_leases *l, int who) {
    if (mp_rank(world) != who) {
        wait_for("left", who);
        for (double end_s = sx_now_s() + 1; sx_now_s() < end_s;) nap();
    }
    mp_leases_close(l);
    if (mp_rank(world) == who) tell("left", who, "");
}

int main(int argc, char **argv) {
    mp_comm *world = mpi_run_start(&argc, &argv);
    if (argc != 5) return 64;
    folder = argv[1];
    int rank = mp_rank(world);
    sx_log_set_rank(rank);
    const mp_lease_opt opt = {.silence_s = 6, .stall_s = 6, .on_stall = on_stall, .user = &rank};
    mp_leases *l = NULL;
    sx_err rc = mp_leases_open(&l, world, folder, &opt);
    if (rc != SX_OK) {
        fprintf(stderr, "%s\n", sx_err_text());
        return sx_err_exit(rc);
    }
    const int who = atoi(argv[2]);
    begin(world, l);
    if (rank == who) work(l, atof(argv[3]), strcmp(argv[4], "hangs") != 0);
    (strcmp(argv[4], "leaves") == 0 ? leave_alone : meet_again)(world, l, who);
    mp_finish(world);
    return 0;
}
