/* Entries of a crew: one table says which fields an entry has, for writing and reading; and which
 * processes can be seen to be dead. */
#include "mpi/mp_crew.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "mpi/mp_internal.h"

enum { ENTRY_BYTES = 1024 }; /* all fields at their longest need less than 900 */

/* ---- text ---- */

void mp__file_name(char *to, size_t n, const char *text) {
    size_t i = 0;
    for (; text[i] && i + 1 < n; i++) {
        const char c = text[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool plain = letter || (c >= '0' && c <= '9') || c == '-' || (c == '.' && i > 0);
        to[i] = plain ? c : '_';
    }
    to[i] = '\0';
}

void mp__one_line(char *to, size_t n, const char *text) {
    size_t i = 0;
    for (; text[i] && i + 1 < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        to[i] = c < 0x20 || c == 0x7f ? ' ' : text[i];
    }
    while (text[i] && i > 0 && ((unsigned char)text[i] & 0xc0) == 0x80) i--; // not half a letter
    to[i] = '\0';
}

/* ---- who this process is ---- */

/* First line of a file of /proc; "" when it cannot be read. */
static void proc_line(const char *path, char *line, size_t n) {
    line[0] = '\0';
    FILE *f = fopen(path, "r");
    if (!f) return;
    if (!fgets(line, (int)n, f)) line[0] = '\0';
    fclose(f);
    line[strcspn(line, "\n")] = '\0';
}

/* Of a process, proc(5). */
typedef struct stat_line {
    char state;               /* field 3 */
    int64_t n_threads, start; /* 20, 22 */
} stat_line;

/* False when it cannot be seen. The name in field 2 may hold anything, so fields count from its
 * last bracket. */
static bool process_stat(int64_t pid, stat_line *s) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    proc_line(path, line, sizeof line);
    const char *at = strrchr(line, ')');
    return at && sscanf(at,
                        ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                        "%" SCNd64 " %*s %" SCNd64,
                        &s->state, &s->n_threads, &s->start) == 3;
}

static void job_name(char *job, size_t n) {
    char *number = mp_job_number();
    mp__file_name(job, n, number ? number : "0");
    sx_free(number);
}

/* A number that no other entry has: the process, where and when. */
static uint64_t once(const mp__entry *e) {
    char text[512];
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    snprintf(text, sizeof text, "%s %s %s %" PRId64 " %" PRId64 " %lld.%09ld", e->host, e->boot,
             e->pid_space, e->pid, e->start, (long long)t.tv_sec, t.tv_nsec);
    return sx_hash_key(text);
}

void mp__entry_self(mp__entry *e, const mp_comm *c, double silence_s) {
    stat_line s = {0};
    const char *restarts = getenv("SLURM_RESTART_COUNT");
    *e = (mp__entry){.pid = getpid(),
                     .restart = restarts ? atoi(restarts) : 0,
                     .rank = c->rank,
                     .size = c->size,
                     .blames = -1,
                     .silence_s = silence_s,
                     .doing = "starting"};
    job_name(e->job, sizeof e->job);
    mp__file_name(e->host, sizeof e->host, c->host);
    proc_line("/proc/sys/kernel/random/boot_id", e->boot, sizeof e->boot);
    if (readlink("/proc/self/ns/pid", e->pid_space, sizeof e->pid_space - 1) < 0)
        e->pid_space[0] = '\0';
    if (process_stat(e->pid, &s)) e->start = s.start;
    snprintf(e->owner, sizeof e->owner, "%.32s-%.40s-%" PRId64 "-%016" PRIx64, e->job, e->host,
             e->pid, once(e));
}

/* ---- the file ---- */

typedef enum kind { TEXT, WHOLE, REAL } kind;

#define FIELD(name, kind)                                                                          \
    { #name, kind, offsetof(mp__entry, name), sizeof((mp__entry *)0)->name }

static const struct {
    const char *name;
    kind kind;
    size_t at, n_bytes;
} fields[] = {FIELD(beat, WHOLE),   FIELD(idle_s, REAL),   FIELD(silence_s, REAL),
              FIELD(job, TEXT),     FIELD(restart, WHOLE), FIELD(rank, WHOLE),
              FIELD(size, WHOLE),   FIELD(host, TEXT),     FIELD(pid, WHOLE),
              FIELD(start, WHOLE),  FIELD(boot, TEXT),     FIELD(pid_space, TEXT),
              FIELD(blames, WHOLE), FIELD(waits, WHOLE),   FIELD(doing, TEXT)};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static void format_entry(const mp__entry *e, char text[ENTRY_BYTES]) {
    int n = 0;
    for (int i = 0; i < N_FIELDS; i++) {
        const char *value = (const char *)e + fields[i].at, *name = fields[i].name;
        char *to = text + n;
        const size_t room = (size_t)(ENTRY_BYTES - n);
        if (fields[i].kind == TEXT)
            n += snprintf(to, room, "%s=%s\n", name, value);
        else if (fields[i].kind == WHOLE)
            n +=
                snprintf(to, room, "%s=%" PRId64 "\n", name, *(const int64_t *)(const void *)value);
        else
            n += snprintf(to, room, "%s=%.3f\n", name, *(const double *)(const void *)value);
        SX_ASSERT(n < ENTRY_BYTES - 1);
    }
    memset(text + n, ' ', (size_t)(ENTRY_BYTES - 1 - n));
    text[ENTRY_BYTES - 1] = '\n';
}

static void parse_line(mp__entry *e, const char *line) {
    const char *is = strchr(line, '=');
    if (!is) return;
    for (int i = 0; i < N_FIELDS; i++) {
        if (strncmp(line, fields[i].name, (size_t)(is - line)) != 0 ||
            fields[i].name[is - line] != '\0')
            continue;
        char *value = (char *)e + fields[i].at;
        if (fields[i].kind == TEXT)
            mp__one_line(value, fields[i].n_bytes, is + 1);
        else if (fields[i].kind == WHOLE)
            *(int64_t *)(void *)value = strtoll(is + 1, NULL, 10);
        else
            *(double *)(void *)value = strtod(is + 1, NULL);
    }
}

sx_err mp__cannot(sx_err code, const char *path) {
    return sx_fail(code, "%s: %s", path, strerror(errno));
}

sx_err mp__entry_write(const mp__entry *e, const char *folder) {
    char text[ENTRY_BYTES];
    sx_err rc = SX_OK;
    format_entry(e, text);
    char *path = sx_path_join(folder, e->owner);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        rc = mp__cannot(SX_E_CREATE, path);
        goto out;
    }
    if (pwrite(fd, text, sizeof text, 0) != (ssize_t)sizeof text) rc = mp__cannot(SX_E_IO, path);
    if (close(fd) != 0 && rc == SX_OK) rc = mp__cannot(SX_E_IO, path);
out:
    sx_free(path);
    return rc;
}

void mp__entry_remove(const char *folder, const char *owner) {
    char *path = sx_path_join(folder, owner);
    unlink(path);
    sx_free(path);
}

mp__look mp__entry_read(mp__entry *e, const char *folder, const char *owner) {
    char text[ENTRY_BYTES + 1];
    *e = (mp__entry){.beat = -1, .blames = -1};
    snprintf(e->owner, sizeof e->owner, "%s", owner);
    char *path = sx_path_join(folder, owner);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool absent = fd < 0 && errno == ENOENT;
    const ssize_t n = fd < 0 ? -1 : read(fd, text, ENTRY_BYTES);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0) e->written = st.st_mtime;
    if (fd >= 0) close(fd);
    sx_free(path);
    if (n <= 0) return absent ? MP__ABSENT : MP__UNREADABLE;
    text[n] = '\0';
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        parse_line(e, line);
    return e->beat < 0 ? MP__UNREADABLE : MP__READ;
}

/* ---- alive? ---- */

/* Host too: machines restored from one snapshot may share the rest. */
static bool sees(const mp__entry *me, const mp__entry *e) {
    return me->boot[0] && me->pid_space[0] && strcmp(e->host, me->host) == 0 &&
           strcmp(e->boot, me->boot) == 0 && strcmp(e->pid_space, me->pid_space) == 0;
}

typedef enum life { UNKNOWN, HERE, GONE } life;

static life life_of(const mp__entry *e, const mp__entry *me) {
    if (!sees(me, e) || e->pid <= 0) return UNKNOWN;
    if (kill((pid_t)e->pid, 0) != 0 && errno == ESRCH) return GONE;
    stat_line s;
    /* A system may hide the processes of others: not seen is not dead. */
    if (!process_stat(e->pid, &s)) return UNKNOWN;
    /* Of a process that was killed the main thread may be a zombie before the others are gone, and
     * with them open files and locks. */
    const bool dead = s.start != e->start || (s.state == 'Z' && s.n_threads <= 1) || s.state == 'X';
    return dead ? GONE : HERE;
}

bool mp__entry_gone(const mp__entry *e, const mp__entry *me) {
    return life_of(e, me) == GONE;
}

double mp__pulse_silent_s(mp__pulse *p, int64_t beat, double now_s) {
    if (!p->seen || p->beat != beat) *p = (mp__pulse){.beat = beat, .since_s = now_s, .seen = true};
    return now_s - p->since_s;
}

/* ---- for others to see ---- */

static mp_member member_of(const mp__entry *e, const mp__entry *me) {
    const life l = life_of(e, me);
    mp_member m = {.rank = (int)e->rank,
                   .size = (int)e->size,
                   .pid = (int)e->pid,
                   .restart = (int)e->restart,
                   .beat = e->beat,
                   .silence_s = e->silence_s,
                   .idle_s = e->idle_s,
                   .age_s = fmax(0, difftime(time(NULL), e->written)),
                   .waits = e->waits != 0,
                   .gone = l == GONE,
                   .here = l == HERE};
    memcpy(m.owner, e->owner, sizeof m.owner);
    memcpy(m.job, e->job, sizeof m.job);
    memcpy(m.host, e->host, sizeof m.host);
    memcpy(m.doing, e->doing, sizeof m.doing);
    return m;
}

static int by_owner(const void *a, const void *b) {
    return strcmp(((const mp_member *)a)->owner, ((const mp_member *)b)->owner);
}

sx_err mp_crew_read(const char *folder, mp_member **all, int *n) {
    char *crew = sx_path_join(folder, "crew");
    mp__entry me, e;
    sx_err rc = SX_OK;
    *all = NULL;
    *n = 0;
    mp__entry_self(&me, mp_self(), 0);
    DIR *d = opendir(crew);
    if (!d && errno != ENOENT) rc = mp__cannot(SX_E_IO, crew);
    for (struct dirent *f; d && (f = readdir(d));) {
        if (f->d_name[0] == '.' || strlen(f->d_name) >= MP__OWNER) continue;
        if (mp__entry_read(&e, crew, f->d_name) == MP__ABSENT) continue;
        *all = sx_grow(*all, *n, sizeof **all);
        (*all)[(*n)++] = member_of(&e, &me);
    }
    if (d) closedir(d);
    if (*n) qsort(*all, (size_t)*n, sizeof **all, by_owner);
    sx_free(crew);
    return rc;
}
