/* Shared inside mpi/ only: the crew of a folder, one small file a process, FOLDER/<owner>.
 *
 * An entry is text, "name=value" lines padded to one size, written over in place by its owner and
 * nobody else: opened, written and closed each time, which on NFS is when others see it. A reader
 * may catch one just made (empty) or half of two; all it can conclude wrongly is that the beat
 * moved, or that an entry cannot be read yet. Silence is timed by the reader (mp__pulse), on a
 * clock that stands still while the reader itself is stopped. */
#ifndef MP_CREW_H
#define MP_CREW_H

#include <time.h>
#include "mpi/mp_lease.h"

enum { MP__OWNER = 128, MP__DOING = 128 };

typedef struct mp__entry {
    char owner[MP__OWNER];        /* the file's name */
    char job[64], host[64];       /* job "0": none */
    char boot[64], pid_space[64]; /* processes of a host with the same two see each other */
    int64_t pid, start;           /* start: of the process, in ticks since boot; pids come again */
    int64_t restart, rank, size;
    int64_t blames; /* rank for whose sake the job is being ended, -1: none */
    int64_t waits;  /* 1: for other ranks */
    int64_t beat;
    double silence_s, idle_s;
    char doing[MP__DOING];
    time_t written; /* the file's time stamp; not in it */
} mp__entry;

/* Who this process is, as a rank of c. */
void mp__entry_self(mp__entry *e, const mp_comm *c, double silence_s);
/* Copy what can stand in a file name, the rest as '_'; cut to n - 1 bytes. */
void mp__file_name(char *to, size_t n, const char *text);
/* Copy in one line without control characters, cut to n - 1 bytes. */
void mp__one_line(char *to, size_t n, const char *text);

/* A failed call of the system, "PATH: reason"; returns `code`. */
sx_err mp__cannot(sx_err code, const char *path);

void mp__entry_remove(const char *folder, const char *owner);
/* Errors: SX_E_CREATE, SX_E_IO. */
sx_err mp__entry_write(const mp__entry *e, const char *folder);

typedef enum mp__look { MP__READ, MP__UNREADABLE, MP__ABSENT } mp__look;
/* Fields that cannot be read are 0, the beat -1; the owner is always filled in. */
mp__look mp__entry_read(mp__entry *e, const char *folder, const char *owner);
/* The process of this entry can be seen from here (`me`) and is dead. */
bool mp__entry_gone(const mp__entry *e, const mp__entry *me);

/* How long a reader has seen a beat stand still. Zeroed: not seen yet. */
typedef struct mp__pulse {
    int64_t beat;
    double since_s;
    bool seen;
} mp__pulse;

/* Seconds for which the beat has stood still, at time now_s of the reader's clock. */
double mp__pulse_silent_s(mp__pulse *p, int64_t beat, double now_s);

#endif
