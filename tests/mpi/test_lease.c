/* Leases without MPI: owners in this process, whose steps a test can interleave, and peers,
 * processes that claim when asked and can be stopped and killed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "mpi/mp_lease.h"
#include "tests/check_run.h"

/* ---- processes ---- */

static pid_t children[256];

/* fork() of which nothing is left when a test has failed. */
static pid_t child_new(void) {
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    for (int i = 0; pid > 0; i++) {
        ck_assert_int_lt(i, 256);
        if (children[i]) continue;
        children[i] = pid;
        break;
    }
    return pid;
}

/* Its status. */
static int child_wait(pid_t pid) {
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    for (int i = 0; i < 256; i++)
        if (children[i] == pid) children[i] = 0;
    return status;
}

static void child_kill_all(void) {
    for (int i = 0; i < 256; i++) {
        if (!children[i]) continue;
        kill(children[i], SIGKILL);
        child_wait(children[i]);
    }
}

/* ---- hard links ---- */

/* What happens just before the next hard link is made, and what becomes of links. */
static void (*before_link)(void);
static enum { LINKS_WORK, NO_LINKS, LINKS_SAY_EEXIST } links;

int link(const char *from, const char *to) {
    void (*then)(void) = before_link;
    before_link = NULL;
    if (then) then();
    if (links == NO_LINKS) {
        errno = EPERM;
        return -1;
    }
    const int made = linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
    if (links == LINKS_WORK || made != 0) return made;
    errno = EEXIST;
    return -1;
}

/* ---- the folder ---- */

static char root[] = "lease-XXXXXX";

static int n_files(const char *sub) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, sub);
    DIR *d = opendir(path);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

/* The only file there, or with this beginning. */
static const char *file_of(const char *sub, const char *prefix) {
    static char path[640];
    char folder[256];
    snprintf(folder, sizeof folder, "%s/%s", root, sub);
    DIR *d = opendir(folder);
    path[0] = '\0';
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (d) closedir(d);
    return path;
}

static void tidy(void) {
    static const char *const subs[] = {"claims", "crew", "done"};
    before_link = NULL;
    links = LINKS_WORK;
    child_kill_all();
    for (int i = 0; i < 3; i++) {
        char path[256];
        for (const char *file = file_of(subs[i], ""); file[0]; file = file_of(subs[i], ""))
            unlink(file);
        snprintf(path, sizeof path, "%s/%s", root, subs[i]);
        rmdir(path);
    }
}

static void pause_s(double s) {
    struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)(1e9 * (s - (double)(time_t)s))};
    nanosleep(&t, NULL);
}

/* ---- owners in this process ---- */

static bool holds(mp_leases *l, const char *key) {
    return mp_lease_holds(l, key) == MP_HOLD_MINE;
}

static mp_leases *owner_new(double silence_s) {
    mp_leases *l = NULL;
    const mp_lease_opt opt = {.silence_s = silence_s};
    ck_assert_msg(mp_leases_open(&l, mp_self(), root, &opt) == SX_OK, "%s", sx_err_text());
    return l;
}

/* An owner whose entry is gone is dead. It beats too rarely here to write a new one. */
static void seems_dead(const mp_leases *l) {
    char path[512];
    snprintf(path, sizeof path, "%s/crew/%s", root, mp_leases_owner(l));
    ck_assert_int_eq(unlink(path), 0);
}

START_TEST(one_has_a_key_until_it_gives_it_back) {
    mp_leases *a = owner_new(60), *b = owner_new(60);
    char holder[MP_HOLDER_TEXT], want[64];
    ck_assert_int_eq(mp_lease_claim(a, "x", holder), MP_CLAIM_MINE);
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    ck_assert_int_eq(mp_lease_claim(b, "x", holder), MP_CLAIM_HELD);
    snprintf(want, sizeof want, "pid %d", (int)getpid());
    ck_assert_msg(strstr(holder, "job 0, rank 0 on ") && strstr(holder, want), "%s", holder);
    ck_assert(holds(a, "x") && !holds(b, "x"));
    ck_assert_int_eq(mp_lease_claim(b, "y", NULL), MP_CLAIM_MINE);
    mp_lease_release(b, "x"); // not its own
    ck_assert(holds(a, "x"));
    mp_lease_release(a, "x");
    ck_assert(!holds(a, "x"));
    ck_assert_int_eq(mp_lease_claim(b, "x", NULL), MP_CLAIM_MINE);
    mp_leases_close(a);
    ck_assert(holds(b, "x") && holds(b, "y"));
    mp_leases_close(b);
    mp_leases_close(NULL);
    ck_assert_int_eq(n_files("claims"), 0);
    ck_assert_int_eq(n_files("crew"), 0);
}
END_TEST

START_TEST(a_key_may_be_any_text) {
    char longest[5000];
    memset(longest, 'k', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *const keys[] = {
        "", "a/b", "a_b", "a b", "../../etc", ".", "..", "\xc3\xa9\xff\n", longest, longest + 1};
    enum { N = sizeof keys / sizeof keys[0] };
    mp_leases *a = owner_new(60), *b = owner_new(60);
    for (int i = 0; i < N; i++) ck_assert_int_eq(mp_lease_claim(a, keys[i], NULL), MP_CLAIM_MINE);
    for (int i = 0; i < N; i++) ck_assert_int_eq(mp_lease_claim(b, keys[i], NULL), MP_CLAIM_HELD);
    ck_assert_int_eq(n_files("claims"), N);
    mp_leases_close(a);
    mp_leases_close(b);
}
END_TEST

START_TEST(the_dead_are_succeeded_in_a_chain_that_a_release_takes_away) {
    enum { N = 5 };
    mp_leases *l[N];
    for (int i = 0; i < N; i++) {
        l[i] = owner_new(60);
        if (i > 0) {
            ck_assert_int_eq(mp_lease_claim(l[i], "x", NULL), MP_CLAIM_HELD);
            seems_dead(l[i - 1]);
        }
        ck_assert_int_eq(mp_lease_claim(l[i], "x", NULL), MP_CLAIM_MINE);
        ck_assert_int_eq(n_files("claims"), i + 1);
        for (int k = 0; k < i; k++) ck_assert(!holds(l[k], "x"));
    }
    for (int i = 0; i < N - 1; i++) mp_lease_release(l[i], "x"); // nothing of theirs any more
    ck_assert(holds(l[N - 1], "x"));
    mp_lease_release(l[N - 1], "x");
    ck_assert_int_eq(n_files("claims"), 0);
    ck_assert_int_eq(mp_lease_claim(l[0], "x", NULL), MP_CLAIM_MINE); // it was not dead after all
    ck_assert(holds(l[0], "x") && !holds(l[N - 1], "x"));
    for (int i = 0; i < N; i++) mp_leases_close(l[i]);
    ck_assert_int_eq(n_files("claims"), 0);
}
END_TEST

START_TEST(who_lost_a_lease_can_follow_its_successor) {
    mp_leases *a = owner_new(60), *b = owner_new(60);
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    seems_dead(a);
    ck_assert_int_eq(mp_lease_claim(b, "x", NULL), MP_CLAIM_MINE);
    ck_assert_int_eq(mp_lease_holds(a, "x"), MP_HOLD_LOST);
    seems_dead(b);
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    ck_assert(holds(a, "x") && !holds(b, "x"));
    mp_leases_close(b);
    ck_assert(holds(a, "x"));
    mp_leases_close(a);
    ck_assert_int_eq(n_files("claims"), 0);
}
END_TEST

START_TEST(a_link_made_although_eexist_is_said_is_one_s_own) {
    mp_leases *a = owner_new(60), *b = owner_new(60);
    links = LINKS_SAY_EEXIST;
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    ck_assert_int_eq(mp_lease_claim(b, "x", NULL), MP_CLAIM_HELD);
    mp_lease_release(a, "x");
    ck_assert_int_eq(n_files("claims"), 0);
    links = LINKS_WORK;
    mp_leases_close(a);
    mp_leases_close(b);
}
END_TEST

START_TEST(without_hard_links_claims_are_made_under_their_name) {
    mp_leases *a = owner_new(60), *b = owner_new(60);
    links = NO_LINKS;
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    ck_assert_int_eq(mp_lease_claim(b, "x", NULL), MP_CLAIM_HELD);
    seems_dead(a);
    ck_assert_int_eq(mp_lease_claim(b, "x", NULL), MP_CLAIM_MINE);
    ck_assert(!holds(a, "x"));
    mp_leases_close(b);
    mp_leases_close(a);
    links = LINKS_WORK;
    ck_assert_int_eq(n_files("claims"), 0);
}
END_TEST

START_TEST(a_claim_that_says_nothing_is_respected_for_a_while) {
    mp_leases *a = owner_new(0.5);
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    ck_assert_int_eq(truncate(file_of("claims", "x-"), 0), 0);
    mp_leases *b = owner_new(0.5);
    const double begin_s = sx_now_s();
    mp_claim got;
    while ((got = mp_lease_claim(b, "x", NULL)) == MP_CLAIM_HELD) pause_s(0.02);
    ck_assert_int_eq(got, MP_CLAIM_MINE);
    ck_assert(sx_now_s() - begin_s > 0.4);
    ck_assert(holds(b, "x") && !holds(a, "x"));
    mp_leases_close(a);
    mp_leases_close(b);
    ck_assert_int_eq(n_files("claims"), 0);
}
END_TEST

/* ---- steps of others in between ---- */

static mp_leases *other, *third;

static void other_gives_back(void) {
    mp_lease_release(other, "x");
}

static void other_gives_back_and_leaves(void) {
    mp_leases_close(other);
}

static void other_gives_back_to_third(void) {
    mp_lease_release(other, "x");
    ck_assert_int_eq(mp_lease_claim(third, "x", NULL), MP_CLAIM_MINE);
}

static void other_succeeds(void) {
    ck_assert_int_eq(mp_lease_claim(other, "x", NULL), MP_CLAIM_MINE);
}

START_TEST(a_successor_of_a_claim_given_back_meanwhile_finds_itself_on_no_chain) {
    mp_leases *a = owner_new(60);
    for (int i = 0; i < 3; i++) {
        other = owner_new(60);
        third = owner_new(60);
        ck_assert_int_eq(mp_lease_claim(other, "x", NULL), MP_CLAIM_MINE);
        seems_dead(other);
        before_link = (void (*const[])(void)){other_gives_back, other_gives_back_and_leaves,
                                              other_gives_back_to_third}[i];
        /* It makes its link behind a claim that is gone by then. */
        ck_assert_int_eq(mp_lease_claim(a, "x", NULL), i < 2 ? MP_CLAIM_MINE : MP_CLAIM_HELD);
        ck_assert_int_eq(n_files("claims"), 1);
        ck_assert(holds(i < 2 ? a : third, "x"));
        mp_lease_release(a, "x");
        if (i != 1) mp_leases_close(other);
        mp_leases_close(third);
        ck_assert_int_eq(n_files("claims"), 0);
    }
    mp_leases_close(a);
}
END_TEST

START_TEST(two_who_find_an_owner_dead_do_not_both_succeed) {
    mp_leases *a = owner_new(60), *dead = owner_new(60);
    other = owner_new(60);
    ck_assert_int_eq(mp_lease_claim(dead, "x", NULL), MP_CLAIM_MINE);
    seems_dead(dead);
    before_link = other_succeeds;
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_HELD);
    ck_assert(holds(other, "x") && !holds(a, "x"));
    mp_leases_close(a);
    ck_assert(holds(other, "x"));
    mp_leases_close(dead);
    ck_assert(holds(other, "x"));
    mp_leases_close(other);
    ck_assert_int_eq(n_files("claims"), 0);
}
END_TEST

START_TEST(giving_back_what_another_takes_just_then_leaves_it_with_the_other) {
    mp_leases *a = owner_new(60);
    other = owner_new(60);
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    seems_dead(a);
    before_link = other_succeeds;
    mp_lease_release(a, "x");
    ck_assert(holds(other, "x"));
    mp_leases_close(a);
    ck_assert(holds(other, "x"));
    mp_leases_close(other);
    ck_assert_int_eq(n_files("claims"), 0);
}
END_TEST

/* ---- a folder that fails ---- */

static void move_sub(const char *from, const char *to) {
    char a[256], b[256];
    snprintf(a, sizeof a, "%s/%s", root, from);
    snprintf(b, sizeof b, "%s/%s", root, to);
    ck_assert_int_eq(rename(a, b), 0);
}

/* A folder in place of a claim stands for one that cannot be read. */
START_TEST(a_lease_of_which_nobody_can_tell_is_not_lost) {
    mp_leases *a = owner_new(30);
    char claim[640], folder[256];
    snprintf(folder, sizeof folder, "%s/claims", root);
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    strcpy(claim, file_of("claims", "x-"));
    move_sub("claims", "claims.away");
    ck_assert(mkdir(folder, 0777) == 0 && mkdir(claim, 0777) == 0);
    sx_fail(SX_E_DATA, "another error");
    ck_assert_int_eq(mp_lease_holds(a, "x"), MP_HOLD_UNKNOWN);
    ck_assert_msg(strstr(sx_err_text(), claim) != NULL, "%s", sx_err_text());
    ck_assert_int_eq(rmdir(claim), 0);
    ck_assert_int_eq(mp_lease_holds(a, "x"), MP_HOLD_LOST); // somebody has removed it
    ck_assert_int_eq(rmdir(folder), 0);
    move_sub("claims.away", "claims");
    ck_assert_int_eq(mp_lease_holds(a, "x"), MP_HOLD_MINE);
    mp_leases_close(a);
    ck_assert_int_eq(n_files("claims"), 0);
}
END_TEST

/* A limit of 0 bytes a file stands for a full disk: files are made, and stay empty. */
START_TEST(a_claim_that_finds_no_room_is_an_error_of_writing) {
    struct rlimit usual, none;
    mp_leases *a = owner_new(30);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &usual), 0);
    signal(SIGXFSZ, SIG_IGN);
    none = (struct rlimit){0, usual.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    const mp_claim claim = mp_lease_claim(a, "x", NULL);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &usual), 0);
    ck_assert_int_eq(claim, MP_CLAIM_IO);
    ck_assert_int_eq(mp_claim_error(claim), SX_E_IO);
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    mp_leases_close(a);
}
END_TEST

START_TEST(a_folder_that_cannot_be_written_is_an_error_and_no_end) {
    mp_leases *a = owner_new(0.2), *b = NULL;
    mp_lease_move(a, "first");
    ck_assert_int_eq(mp_lease_claim(a, "x", NULL), MP_CLAIM_MINE);
    move_sub("claims", "claims.away");
    move_sub("crew", "crew.away");
    ck_assert_int_eq(mp_lease_claim(a, "y", NULL), MP_CLAIM_ERROR);
    ck_assert_msg(strstr(sx_err_text(), "claims/") != NULL, "%s", sx_err_text());
    ck_assert_int_eq(mp_lease_holds(a, "x"), MP_HOLD_UNKNOWN);
    mp_lease_move(a, "second");
    pause_s(0.3); // some beats find no folder
    move_sub("claims.away", "claims");
    move_sub("crew.away", "crew");
    ck_assert(holds(a, "x"));
    mp_member *all = NULL;
    int n = 0;
    do { // and later ones find it again
        sx_free(all);
        pause_s(0.01);
        ck_assert_int_eq(mp_crew_read(root, &all, &n), SX_OK);
        ck_assert_int_eq(n, 1);
    } while (strcmp(all[0].doing, "second") != 0);
    sx_free(all);
    mp_leases_close(a);

    char path[256];
    snprintf(path, sizeof path, "%s/crew", root);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(sx_file_write(path, "x", 1), SX_OK); // a file where a folder should be
    const mp_lease_opt opt = {.silence_s = 60};
    ck_assert_int_eq(mp_leases_open(&b, mp_self(), root, &opt), SX_E_CREATE);
    ck_assert_int_eq(mp_crew_read(root, &all, &n), SX_E_IO);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* ---- peers ---- */

typedef struct peer {
    pid_t pid;
    int ask, answer;
} peer;

static void serve(int ask, int answer, double silence_s) {
    mp_leases *l = owner_new(silence_s);
    char line[256], said = 'r';
    FILE *in = fdopen(ask, "r");
    while (write(answer, &said, 1) == 1 && in && fgets(line, sizeof line, in) && line[0] != 'q') {
        line[strcspn(line, "\n")] = '\0';
        const char *key = line + 1;
        if (line[0] == 'c')
            said = "MHE"[mp_lease_claim(l, key, NULL)];
        else if (line[0] == 'h')
            said = holds(l, key) ? 'y' : 'n';
        else if (line[0] == 'm')
            mp_lease_move(l, key);
        else if (line[0] == 'e')
            pthread_exit(NULL); // the beat goes on
    }
    mp_leases_close(l);
    _exit(0);
}

static peer peer_start(double silence_s) {
    int ask[2], answer[2];
    char ready = 0;
    ck_assert(pipe(ask) == 0 && pipe(answer) == 0);
    peer p = {.ask = ask[1], .answer = answer[0], .pid = child_new()};
    if (p.pid == 0) {
        close(ask[1]);
        close(answer[0]);
        serve(ask[0], answer[1], silence_s);
    }
    close(ask[0]);
    close(answer[1]);
    ck_assert_int_eq(read(p.answer, &ready, 1), 1);
    return p;
}

static char peer_ask(const peer *p, const char *question) {
    char said = 0;
    ck_assert_int_eq(write(p->ask, question, strlen(question)), (ssize_t)strlen(question));
    ck_assert_int_eq(write(p->ask, "\n", 1), 1);
    ck_assert_int_eq(read(p->answer, &said, 1), 1);
    return said;
}

/* Orderly, or by this signal. */
static void peer_end(const peer *p, int with) {
    if (with)
        kill(p->pid, with);
    else
        ck_assert_int_eq(write(p->ask, "q\n", 2), 2);
    close(p->ask);
    const int status = child_wait(p->pid);
    ck_assert_int_eq(WIFEXITED(status) ? 0 : WTERMSIG(status), with);
    close(p->answer);
}

/* Write another value over that of a field, of the same length or shorter. */
static void forge(const char *entry, const char *field, const char *value) {
    char *text = NULL, name[64], padded[128];
    size_t n = 0;
    ck_assert_int_eq(sx_file_read(entry, 1 << 16, &text, &n), SX_OK);
    snprintf(name, sizeof name, "\n%s=", field);
    const bool first = strncmp(text, name + 1, strlen(name + 1)) == 0;
    char *at = first ? text : strstr(text, name);
    ck_assert_msg(at != NULL, "no %s in %s", field, entry);
    at += strlen(name) - first;
    snprintf(padded, sizeof padded, "%-*s", (int)strcspn(at, "\n"), value);
    int fd = open(entry, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, padded, strlen(padded), at - text), (ssize_t)strlen(padded));
    close(fd);
    sx_free(text);
}

static void age(const char *path, int days) {
    struct timespec t[2];
    clock_gettime(CLOCK_REALTIME, &t[0]);
    t[0].tv_sec += days * 86400;
    t[1] = t[0];
    ck_assert_int_eq(utimensat(AT_FDCWD, path, t, 0), 0);
}

START_TEST(a_killed_process_of_this_machine_is_succeeded_at_once) {
    peer a = peer_start(3600), b = peer_start(3600);
    ck_assert_int_eq(peer_ask(&a, "cx"), 'M');
    ck_assert_int_eq(peer_ask(&b, "cx"), 'H');
    kill(a.pid, SIGKILL); // and nobody waits for it yet: it is a zombie
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)a.pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(peer_ask(&b, "cx"), 'M');
    peer_end(&a, SIGKILL);
    peer c = peer_start(3600);
    ck_assert_int_eq(peer_ask(&c, "cx"), 'H');
    peer_end(&b, SIGKILL);
    ck_assert_int_eq(peer_ask(&c, "cx"), 'M');
    ck_assert_int_eq(peer_ask(&c, "hx"), 'y');
    peer_end(&c, 0);
    ck_assert_int_eq(n_files("claims"), 0);
    ck_assert_int_eq(n_files("crew"), 1); // that of b; a's was swept when c came
}
END_TEST

static char state_of(pid_t pid) {
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    ck_assert(f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
    fclose(f);
    return state;
}

/* As in a process just killed, whose threads still hold files and locks. */
START_TEST(a_zombie_of_which_a_thread_is_left_is_not_dead_yet) {
    peer a = peer_start(3600), b = peer_start(3600);
    ck_assert_int_eq(peer_ask(&a, "cx"), 'M');
    ck_assert_int_eq(write(a.ask, "e\n", 2), 2);
    while (state_of(a.pid) != 'Z') pause_s(0.01);
    ck_assert_int_eq(peer_ask(&b, "cx"), 'H');
    peer_end(&a, SIGKILL);
    ck_assert_int_eq(peer_ask(&b, "cx"), 'M');
    peer_end(&b, 0);
}
END_TEST

START_TEST(a_pid_that_is_another_process_now_is_no_life) {
    peer a = peer_start(3600), b = peer_start(3600);
    ck_assert_int_eq(peer_ask(&a, "cx"), 'M');
    const char *entry = NULL;
    mp_member *all = NULL;
    int n = 0;
    ck_assert_int_eq(mp_crew_read(root, &all, &n), SX_OK);
    ck_assert_int_eq(n, 2);
    for (int i = 0; i < n; i++)
        if (all[i].pid == (int)a.pid) entry = file_of("crew", all[i].owner);
    ck_assert_int_eq(peer_ask(&b, "cx"), 'H');
    forge(entry, "start", "1");
    ck_assert_int_eq(peer_ask(&b, "cx"), 'M');
    ck_assert_int_eq(peer_ask(&a, "hx"), 'n');
    sx_free(all);
    peer_end(&a, 0);
    peer_end(&b, 0);
}
END_TEST

/* Waits for the next beat of this process; a time shortly before it. */
static double before_beat_of(const peer *p) {
    int64_t last = -1;
    for (double last_s = 0;;) {
        const double now_s = sx_now_s();
        int64_t beat = -1;
        mp_member *all = NULL;
        int n = 0;
        ck_assert_int_eq(mp_crew_read(root, &all, &n), SX_OK);
        for (int i = 0; i < n; i++)
            if (all[i].pid == (int)p->pid) beat = all[i].beat;
        sx_free(all);
        if (last >= 0 && beat > last) return last_s;
        last = beat;
        last_s = now_s;
        pause_s(0.01);
    }
}

START_TEST(a_stopped_owner_loses_its_lease_after_silence_and_sees_it) {
    peer a = peer_start(1), b = peer_start(1);
    ck_assert_int_eq(peer_ask(&a, "cx"), 'M');
    ck_assert_int_eq(peer_ask(&a, "cy"), 'M');
    ck_assert_int_eq(peer_ask(&b, "cx"), 'H');
    const double begin_s = before_beat_of(&a);
    kill(a.pid, SIGSTOP);
    while (peer_ask(&b, "cx") == 'H') pause_s(0.05);
    ck_assert(sx_now_s() - begin_s > 0.7);
    ck_assert_int_eq(peer_ask(&b, "hx"), 'y');
    kill(a.pid, SIGCONT);
    ck_assert_int_eq(peer_ask(&a, "hx"), 'n');
    ck_assert_int_eq(peer_ask(&a, "hy"), 'y'); // nobody wanted that
    ck_assert_int_eq(peer_ask(&a, "cx"), 'H');
    peer_end(&a, 0);
    ck_assert_int_eq(peer_ask(&b, "hx"), 'y');
    peer_end(&b, 0);
    ck_assert_int_eq(n_files("claims"), 0);
}
END_TEST

/* False: this process was too slow to stop them together. */
static bool stop_together(void) {
    peer a = peer_start(1), b = peer_start(1);
    ck_assert_int_eq(peer_ask(&a, "cx"), 'M');
    ck_assert_int_eq(peer_ask(&b, "cx"), 'H');
    const double stop_s = before_beat_of(&a);
    kill(a.pid, SIGSTOP);
    const char knows = peer_ask(&b, "cx"); // the last beat
    kill(b.pid, SIGSTOP);
    if (sx_now_s() - stop_s > 0.2) return false;
    ck_assert_int_eq(knows, 'H');
    pause_s(1.6);
    const double begin_s = sx_now_s();
    kill(b.pid, SIGCONT);
    for (;;) { // so soon it cannot have seen a second pass
        const char said = peer_ask(&b, "cx");
        if (sx_now_s() - begin_s > 0.5) break;
        ck_assert_int_eq(said, 'H');
        pause_s(0.02);
    }
    kill(a.pid, SIGCONT);
    ck_assert_int_eq(peer_ask(&a, "hx"), 'y');
    peer_end(&a, 0);
    peer_end(&b, 0);
    return true;
}

enum { TRIES = 50 };

START_TEST(stopped_together_and_continued_nobody_is_dead) {
    int n = 1;
    for (; !stop_together(); n++) {
        ck_assert_int_lt(n, TRIES);
        tidy();
    }
}
END_TEST

START_TEST(elsewhere_a_beat_is_life_and_silence_is_death_whatever_clocks_say) {
    peer a = peer_start(1);
    ck_assert_int_eq(peer_ask(&a, "cx"), 'M');
    peer_end(&a, SIGKILL);
    char entry[640], beat[32];
    snprintf(entry, sizeof entry, "%s", file_of("crew", ""));
    forge(entry, "boot", "another machine");
    forge(entry, "beat", "0");
    peer b = peer_start(1);
    for (int i = 1; i < 8; i++) { // longer than silence
        ck_assert_int_eq(peer_ask(&b, "cx"), 'H');
        age(entry, i % 2 ? 1 : -1);
        pause_s(0.2);
        snprintf(beat, sizeof beat, "%d", i);
        forge(entry, "beat", beat);
    }
    const double begin_s = sx_now_s();
    ck_assert_int_eq(peer_ask(&b, "cx"), 'H');
    for (int i = 0; peer_ask(&b, "cx") == 'H'; i++) {
        age(entry, i % 2 ? 1 : -1); // the time stamp moves, the beat does not
        pause_s(0.05);
    }
    ck_assert(sx_now_s() - begin_s > 0.8);
    ck_assert_int_eq(peer_ask(&b, "hx"), 'y');
    peer_end(&b, 0);
    ck_assert_int_eq(n_files("claims"), 0);
    ck_assert_int_eq(n_files("crew"), 0); // its successor buried it
}
END_TEST

START_TEST(the_more_patient_of_two_says_what_silence_is) {
    peer a = peer_start(3600);
    ck_assert_int_eq(peer_ask(&a, "cx"), 'M');
    kill(a.pid, SIGSTOP);
    peer b = peer_start(0.1);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(peer_ask(&b, "cx"), 'H');
        pause_s(0.05);
    }
    kill(a.pid, SIGCONT);
    peer_end(&a, 0);
    peer_end(&b, 0);
}
END_TEST

START_TEST(the_crew_of_a_folder_can_be_read) {
    mp_member *all = NULL;
    int n = -1;
    ck_assert_int_eq(mp_crew_read("no/such/folder", &all, &n), SX_OK);
    ck_assert(n == 0 && all == NULL);
    setenv("SLURM_JOB_ID", "17", 1);
    setenv("SLURM_RESTART_COUNT", "2", 1);
    peer a = peer_start(0.5);
    setenv("SLURM_ARRAY_JOB_ID", "15", 1);
    setenv("SLURM_ARRAY_TASK_ID", "3", 1);
    peer b = peer_start(0.5);
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
    unsetenv("SLURM_ARRAY_JOB_ID");
    unsetenv("SLURM_ARRAY_TASK_ID");
    peer_ask(&a, "mitem sub-01,\tslice 3 of 100");
    do {
        sx_free(all);
        pause_s(0.02);
        ck_assert_int_eq(mp_crew_read(root, &all, &n), SX_OK);
        ck_assert_int_eq(n, 2);
    } while (strcmp(all[1].doing, "starting") == 0);
    ck_assert_str_eq(all[0].job, "15_3"); // by owner
    ck_assert_str_eq(all[1].job, "17");
    ck_assert_str_eq(all[1].doing, "item sub-01, slice 3 of 100");
    ck_assert_int_eq(all[1].pid, (int)a.pid);
    ck_assert_int_eq(all[1].restart, 2);
    ck_assert_int_eq(all[1].rank, 0);
    ck_assert_int_eq(all[1].size, 1);
    ck_assert(all[1].beat > 0 && all[1].idle_s >= 0 && all[1].silence_s == 0.5);
    ck_assert(!all[0].gone && !all[1].gone);
    sx_free(all);
    peer_end(&a, SIGKILL);
    ck_assert_int_eq(mp_crew_read(root, &all, &n), SX_OK);
    ck_assert(n == 2 && !all[0].gone && all[1].gone);
    sx_free(all);
    peer_end(&b, 0);
}
END_TEST

/* ---- many fight ---- */

enum { N_WORKERS = 8, N_KEYS = 24, N_KILLS = 40 };

static bool done(int key) {
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%d.", key);
    return file_of("done", prefix)[0] != '\0';
}

/* A lock that the system takes from the dead before they are seen to be dead: in the work on a key
 * nobody else may have it. */
static int lock_alone(int key) {
    char path[256];
    snprintf(path, sizeof path, "%s/done/lock-%d", root, key);
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd < 0 || fcntl(fd, F_SETLK, &all) != 0) _exit(3);
    return fd;
}

static void work_on(mp_leases *l, int key, unsigned *seed) {
    char name[32], path[640];
    snprintf(name, sizeof name, "key %d", key);
    if (done(key) || mp_lease_claim(l, name, NULL) != MP_CLAIM_MINE) return;
    int alone = lock_alone(key);
    if (!done(key)) {
        pause_s(1e-3 * (rand_r(seed) % 8));
        if (rand_r(seed) % 4 && holds(l, name)) { // sometimes it comes to nothing
            snprintf(path, sizeof path, "%s/done/%d.%s", root, key, mp_leases_owner(l));
            int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
            if (fd < 0) _exit(4);
            close(fd);
        }
    }
    close(alone);
    mp_lease_release(l, name);
}

static pid_t worker(int number) {
    const pid_t parent = getpid(), pid = child_new();
    if (pid != 0) return pid;
    unsigned seed = (unsigned)number;
    mp_leases *l = NULL;
    const mp_lease_opt opt = {.silence_s = 3600};
    if (mp_leases_open(&l, mp_self(), root, &opt) != SX_OK) _exit(2);
    for (int open_keys = N_KEYS; open_keys > 0;) {
        open_keys = 0;
        const int first = rand_r(&seed) % N_KEYS;
        for (int i = 0; i < N_KEYS; i++) {
            if (getppid() != parent) _exit(5); // the test was ended: do not stay behind
            work_on(l, (first + i) % N_KEYS, &seed);
            open_keys += !done((first + i) % N_KEYS);
        }
    }
    mp_leases_close(l);
    _exit(0);
}

START_TEST(of_many_who_fight_and_are_killed_one_does_each_key_once) {
    char path[256];
    snprintf(path, sizeof path, "%s/done", root);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    unsigned seed = 7;
    pid_t pid[N_WORKERS];
    int n_started = 0, status = 0, n_killed = 0;
    for (int i = 0; i < N_WORKERS; i++) pid[i] = worker(++n_started);
    for (int i = 0; i < N_KILLS; i++) {
        pause_s(1e-3 * (rand_r(&seed) % 10));
        const int who = rand_r(&seed) % N_WORKERS;
        kill(pid[who], SIGKILL);
        status = child_wait(pid[who]);
        n_killed += WIFSIGNALED(status);
        ck_assert_msg(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "a worker says %d",
                      WEXITSTATUS(status));
        pid[who] = worker(++n_started);
    }
    for (int i = 0; i < N_WORKERS; i++) {
        status = child_wait(pid[i]);
        ck_assert_msg(status == 0, "a worker says %d", WEXITSTATUS(status));
    }
    ck_assert_int_gt(n_killed, 0);
    ck_assert_int_eq(n_files("done"), 2 * N_KEYS); // the locks, and one result each
    for (int i = 0; i < N_KEYS; i++) ck_assert_msg(done(i), "key %d was not done", i);
}
END_TEST

int main(void) {
    if (!mkdtemp(root)) return EXIT_FAILURE;
    signal(SIGPIPE, SIG_IGN);
    TCase *t = tcase_create("lease");
    tcase_add_checked_fixture(t, NULL, tidy);
    tcase_add_test(t, one_has_a_key_until_it_gives_it_back);
    tcase_add_test(t, a_key_may_be_any_text);
    tcase_add_test(t, the_dead_are_succeeded_in_a_chain_that_a_release_takes_away);
    tcase_add_test(t, who_lost_a_lease_can_follow_its_successor);
    tcase_add_test(t, a_link_made_although_eexist_is_said_is_one_s_own);
    tcase_add_test(t, without_hard_links_claims_are_made_under_their_name);
    tcase_add_test(t, a_claim_that_says_nothing_is_respected_for_a_while);
    tcase_add_test(t, a_successor_of_a_claim_given_back_meanwhile_finds_itself_on_no_chain);
    tcase_add_test(t, two_who_find_an_owner_dead_do_not_both_succeed);
    tcase_add_test(t, giving_back_what_another_takes_just_then_leaves_it_with_the_other);
    tcase_add_test(t, a_lease_of_which_nobody_can_tell_is_not_lost);
    tcase_add_test(t, a_claim_that_finds_no_room_is_an_error_of_writing);
    tcase_add_test(t, a_folder_that_cannot_be_written_is_an_error_and_no_end);
    tcase_add_test(t, a_killed_process_of_this_machine_is_succeeded_at_once);
    tcase_add_test(t, a_zombie_of_which_a_thread_is_left_is_not_dead_yet);
    tcase_add_test(t, a_pid_that_is_another_process_now_is_no_life);
    tcase_add_test(t, a_stopped_owner_loses_its_lease_after_silence_and_sees_it);
    tcase_add_test(t, stopped_together_and_continued_nobody_is_dead);
    tcase_add_test(t, elsewhere_a_beat_is_life_and_silence_is_death_whatever_clocks_say);
    tcase_add_test(t, the_more_patient_of_two_says_what_silence_is);
    tcase_add_test(t, the_crew_of_a_folder_can_be_read);
    tcase_add_test(t, of_many_who_fight_and_are_killed_one_does_each_key_once);
    Suite *suite = suite_create("lease");
    suite_add_tcase(suite, t);
    const int code = check_run_suite(suite);
    rmdir(root);
    return code;
}
