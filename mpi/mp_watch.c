/* The watchdog's judgement. Whoever ends the job first writes into its entry whom it blames: the
 * others learn it there, and the one who is blamed, if it still beats, can say what it did. */
#include "mpi/mp_watch.h"

#include <math.h>
#include <string.h>
#include "base/sx_mem.h"

struct mp__watch {
    char *crew;
    int n;
    double stall_s, silent_s; /* a rank whose beat stood still for silent_s does not beat */
    char (*owner)[MP__OWNER];
    mp__pulse *pulse; /* [n] */
};

mp__watch *mp__watch_new(const char *crew, const char (*owner)[MP__OWNER], int n, double stall_s,
                         double period_s) {
    mp__watch *w = SX_NEW(mp__watch);
    *w = (mp__watch){.crew = sx_strdup(crew),
                     .n = n,
                     .stall_s = stall_s,
                     .silent_s = 3.5 * period_s, /* three beats, and the fourth is due */
                     .owner = sx_alloc(n, MP__OWNER),
                     .pulse = SX_NEW_ARRAY(mp__pulse, n)};
    memcpy(w->owner, owner, (size_t)n * MP__OWNER);
    return w;
}

void mp__watch_free(mp__watch *w) {
    if (!w) return;
    sx_free(w->crew);
    sx_free(w->owner);
    sx_free(w->pulse);
    sx_free(w);
}

void mp__watch_forget(mp__watch *w) {
    memset(w->pulse, 0, (size_t)w->n * sizeof *w->pulse);
}

/* Who is rather to blame: one who does not beat, one who should work, one who waits. */
typedef enum guilt { LEFT, WAITS, WORKS, SILENT } guilt;

/* How a rank is. e->idle_s counts the time since its last beat too. That it left was its last move:
 * those who waited for it have to have their time to go on. */
static guilt look_at(mp__watch *w, int rank, double now_s, mp__entry *e) {
    const bool left = mp__entry_read(e, w->crew, w->owner[rank]) == MP__ABSENT;
    const double still_s = mp__pulse_silent_s(&w->pulse[rank], left ? -2 : e->beat, now_s);
    e->rank = rank; // also when it could not be read
    e->idle_s += still_s;
    if (left) return LEFT;
    if (still_s > w->silent_s) return SILENT;
    return e->waits ? WAITS : WORKS;
}

/* The lowest rank below mine that beats, or has spoken; false: I am the lowest. Where the lowest
 * does not beat all are looked at, so that the silence of several is timed at once. */
static bool look_below(mp__watch *w, int mine, double now_s, mp__entry *lowest) {
    bool found = false;
    for (int r = 0; r < mine; r++) {
        mp__entry e;
        const guilt g = look_at(w, r, now_s, &e);
        if (found || !(g == WAITS || g == WORKS || e.blames >= 0)) continue;
        found = true;
        *lowest = e;
        if (r == 0) break;
    }
    return found;
}

/* All ranks: the least time without a move, and the one to blame; of equal guilt, the one that has
 * not moved for longest. */
static double look_at_all(mp__watch *w, const mp__entry *me, double now_s, mp__entry *culprit) {
    double least_s = me->idle_s;
    guilt most = me->waits ? WAITS : WORKS;
    *culprit = *me;
    for (int r = 0; r < w->n; r++) {
        mp__entry e;
        if (r == (int)me->rank) continue;
        const guilt g = look_at(w, r, now_s, &e);
        least_s = fmin(least_s, e.idle_s);
        if (g > most || (g == most && e.idle_s > culprit->idle_s)) {
            *culprit = e;
            most = g;
        }
    }
    return least_s;
}

bool mp__watch_look(mp__watch *w, const mp__entry *me, double now_s, mp__entry *culprit,
                    bool *speaks) {
    mp__entry lowest;
    *speaks = false;
    if (me->idle_s < w->silent_s) {
        mp__watch_forget(w);
        return false;
    }
    if (look_below(w, (int)me->rank, now_s, &lowest)) {
        *culprit = lowest;
        culprit->rank = lowest.blames;
        return lowest.blames >= 0;
    }
    *speaks = true;
    return look_at_all(w, me, now_s, culprit) > w->stall_s;
}
