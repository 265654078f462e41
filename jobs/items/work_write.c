/* This process's own journal (work_journal.h).
 *
 * Each line is one write to a file that nobody else writes, opened for appending. The line that
 * says that the program crashed is made when an item begins: a signal handler may only write it. A
 * journal that cannot be written is no reason to end a run: outputs decide what is done. */
#define _XOPEN_SOURCE 700 /* sigaltstack */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/items/work_journal.h"

struct work_journal {
    char *path, *owner, *config, *request; /* request NULL: none */
    int64_t run;
    int rank, fd; /* fd -1: not open yet */
    bool warned;
};

/* ---- lines ---- */

static json_t *line_of(const work_journal *k, const char *item, work_state state,
                       const char *print) {
    return json_pack("{s:I, s:s, s:s*, s:o, s:s, s:s, s:s, s:i, s:I}", "run", (json_int_t)k->run,
                     "config", k->config, "request", k->request, "item", job_json_string(item),
                     "state", work_state_name(state), "print", print, "owner", k->owner, "rank",
                     k->rank, "time", (json_int_t)time(NULL));
}

static char *text_of(json_t *o) {
    char *json = job_json_text(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    char *line = sx_strf("%s\n", json);
    sx_free(json);
    return line;
}

static void give_up(work_journal *k, const char *what) {
    if (!k->warned)
        sx_warn("%s: %s: %s; sagax status will not know all", k->path, what, strerror(errno));
    k->warned = true;
}

/* Also for a handler of signals. */
static int open_journal(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

static void put(work_journal *k, json_t *o) {
    char *line = text_of(o);
    const size_t n = strlen(line);
    if (k->fd < 0) k->fd = open_journal(k->path);
    if (k->fd < 0)
        give_up(k, "cannot be made");
    else if (write(k->fd, line, n) != (ssize_t)n)
        give_up(k, "cannot be written");
    sx_free(line);
}

/* ---- what a handler writes ---- */

/* A crash belongs to the process: one line is ready, for whichever signal comes first. */
enum { CRASH_LINE = 2048 };
static struct {
    volatile sig_atomic_t armed;
    int fd; /* -1: not open yet */
    const char *path;
    size_t n;
    char line[CRASH_LINE];
} crash;

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { N_SIGNALS = sizeof crash_signals / sizeof *crash_signals };
static struct sigaction before[N_SIGNALS];

static void write_crash(void) {
    if (!crash.armed) return;
    crash.armed = 0;
    const int fd = crash.fd < 0 ? open_journal(crash.path) : crash.fd;
    ssize_t written = write(fd, crash.line, crash.n);
    (void)written; /* nothing is left to do about it */
}

static void uninstall(void) {
    for (int i = 0; i < N_SIGNALS; i++) sigaction(crash_signals[i], &before[i], NULL);
}

/* Then as without us: the signal comes again when this returns. */
static void on_crash(int number) {
    write_crash();
    uninstall();
    raise(number);
}

/* On a stack of its own: the other one may be what is full. */
static void install(void) {
    static char room[1 << 16];
    const stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    stack_t there;
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
    if (sigaltstack(NULL, &there) == 0 && there.ss_flags & SS_DISABLE) sigaltstack(&stack, NULL);
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < N_SIGNALS; i++) sigaction(crash_signals[i], &action, &before[i]);
}

static void arm(work_journal *k, const char *item, const char *print) {
    char *line = text_of(line_of(k, item, WORK_CRASHED, print));
    crash.armed = 0;
    if (strlen(line) < CRASH_LINE) {
        crash.fd = k->fd;
        crash.path = k->path;
        crash.n = strlen(line);
        memcpy(crash.line, line, crash.n);
        crash.armed = 1;
    }
    sx_free(line);
}

/* ---- a process's items ---- */

work_journal *work_journal_new(const char *folder, const char *owner, const char *config,
                               const char *request, int64_t run, int rank) {
    work_journal *k = SX_NEW(work_journal);
    k->path = sx_strf("%s/journal/%s.jsonl", folder, owner);
    k->owner = sx_strdup(owner);
    k->config = sx_strdup(config);
    k->request = request ? sx_strdup(request) : NULL;
    k->run = run;
    k->rank = rank;
    k->fd = -1;
    install();
    return k;
}

void work_journal_free(work_journal *k) {
    if (!k) return;
    work_journal_leave();
    uninstall();
    if (k->fd >= 0) close(k->fd);
    sx_free(k->owner);
    sx_free(k->config);
    sx_free(k->request);
    sx_free(k->path);
    sx_free(k);
}

void work_journal_begin(work_journal *k, const char *item, const char *print) {
    put(k, line_of(k, item, WORK_BEGUN, print));
    arm(k, item, print);
}

void work_journal_join(work_journal *k, const char *item, const char *print) {
    arm(k, item, print);
}

void work_journal_leave(void) {
    crash.armed = 0;
}

void work_journal_end(work_journal *k, const char *item, const char *print, const work_outcome *o,
                      const char *payload) {
    json_t *line = line_of(k, item, o->state, print);
    work_journal_leave();
    json_object_set_new(line, "code", json_string(sx_err_name(o->code)));
    json_object_set_new(line, "reason", job_json_string(o->reason));
    json_object_set_new(line, "seconds", json_real(o->seconds));
    if (payload) json_object_set_new(line, "payload", job_json_string(payload));
    put(k, line);
}

void work_journal_stall(void) {
    write_crash();
}
