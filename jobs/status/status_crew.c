/* Ranks of a work folder, read and told (status_crew.h). */
#include "jobs/status/status_crew.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"

/* ---- reading ---- */

static int alive_first(const void *a, const void *b) {
    const mp_member *x = a, *y = b;
    return x->gone != y->gone ? x->gone - y->gone : x->rank - y->rank;
}

/* Entries of a node that died stay until another run comes. */
static bool is_silent(const mp_member *m) {
    return m->beat >= 0 && m->age_s > m->silence_s;
}

sx_err status_crew_read(status_crew *c, const char *folder) {
    *c = (status_crew){.member = NULL};
    sx_err rc = mp_crew_read(folder, &c->member, &c->n);
    if (rc == SX_OK && c->n > 0) qsort(c->member, (size_t)c->n, sizeof *c->member, alive_first);
    for (int i = 0; i < c->n; i++) {
        c->n_alive += !c->member[i].gone;
        c->n_heard += !c->member[i].gone && !is_silent(&c->member[i]);
    }
    return rc;
}

void status_crew_clear(status_crew *c) {
    sx_free(c->member);
}

bool status_crew_has(const status_crew *c, const char *owner) {
    for (int i = 0; i < c->n_alive; i++)
        if (strcmp(c->member[i].owner, owner) == 0) return true;
    return false;
}

/* Whether this silent rank belongs to a start of which others beat: they wait for it, or will. A
 * rank that beats in its place is of a later start. */
static bool is_missed(const status_crew *c, const mp_member *silent) {
    bool missed = false;
    for (int i = 0; i < c->n_alive; i++) {
        const mp_member *m = &c->member[i];
        if (is_silent(m) || strcmp(m->job, silent->job) != 0 || m->size != silent->size) continue;
        if (m->rank == silent->rank) return false;
        missed |= m->restart == silent->restart;
    }
    return missed;
}

int status_crew_missed(const status_crew *c, double *least_s) {
    int n = 0;
    *least_s = INFINITY;
    for (int i = 0; i < c->n_alive; i++) {
        if (!is_silent(&c->member[i]) || !is_missed(c, &c->member[i])) continue;
        *least_s = fmin(*least_s, c->member[i].age_s);
        n++;
    }
    return n;
}

/* ---- telling ---- */

void status_print_duration(double s) {
    if (s >= 3600)
        printf("%d h %02d min", (int)(s / 3600), (int)fmod(s / 60, 60));
    else if (s >= 60)
        printf("%d min", (int)(s / 60));
    else
        printf("%d s", (int)s);
}

static void print_member(const mp_member *m) {
    printf("  rank %d of %d on %s, job %s, %s", m->rank, m->size, m->host, *m->job ? m->job : "-",
           *m->doing ? m->doing : "beginning");
    if (m->idle_s >= 60) {
        printf(" (since ");
        status_print_duration(m->idle_s);
        printf(")");
    }
    if (is_silent(m)) {
        printf(", no heartbeat for ");
        status_print_duration(m->age_s);
    }
    putchar('\n');
}

static void print_members(const status_crew *c, bool silent, const char *title) {
    bool titled = false;
    for (int i = 0; i < c->n_alive; i++) {
        if (is_silent(&c->member[i]) != silent) continue;
        if (!titled) printf("\n%s:\n", title);
        titled = true;
        print_member(&c->member[i]);
    }
}

void status_crew_print(const status_crew *c) {
    print_members(c, false, "at work");
    print_members(c, true, "gone without a word");
}

json_t *status_crew_json(const status_crew *c) {
    json_t *list = json_array();
    for (int i = 0; i < c->n_alive; i++) {
        const mp_member *m = &c->member[i];
        json_array_append_new(list,
                              json_pack("{s:i, s:i, s:s, s:s, s:i, s:o, s:f, s:b}", "rank", m->rank,
                                        "size", m->size, "host", m->host, "job", m->job, "pid",
                                        m->pid, "doing", job_json_string(m->doing), "idle_s",
                                        m->idle_s, "silent", (int)is_silent(m)));
    }
    return list;
}
