/* Numbers of instances: what each anchor says, and which one is believed (sp_instances.h). */
#include <math.h>
#include "spine/sp_instances_private.h"
#include "spine/sp_labels.h"

static const double dens = 1.7;       /* C2 is this many times as high as the next ones */
static const double below_dens = 1.3; /* so many times of those is C2 without its dens */
static const double on_sacrum = 1.2;  /* pitches from the centre of L5 to its upper end, at most */
static const double same_mm = 12.0;   /* two bodies nearer than this are one */
static const int highest = SP_C1, lowest = SP_L6;

static const char *const names[SP_N_ANCHORS] = {"sacrum", "dens", "scan", "none"};

const char *sp_anchor_name(sp_anchor a) {
    return names[a];
}

static int first_body(const sp_instances *s) {
    int i = 0;
    while (i < s->n && s->item[i].body == 0) i++;
    return i;
}

static int last_body(const sp_instances *s) {
    int i = s->n - 1;
    while (i > 0 && s->item[i].body == 0) i--;
    return i;
}

double sp__dens_end(const sp_instances *s) {
    const int i = first_body(s);
    if (i + 2 >= s->n || s->item[i + 2].body == 0) return -INFINITY;
    const sp_instance *x = &s->item[i];
    const double usual = 0.5 * (x[1].height_mm + x[2].height_mm);
    return x->height_mm > dens * usual ? x->s + 0.5 * x->height_mm - below_dens * usual : -INFINITY;
}

/* Number of place 0 by each anchor; 0: it says nothing. */

static int by_sacrum(const sp_instances *s) {
    const int last = last_body(s);
    const double gap = s->sacrum_s - s->item[last].s;
    return gap > 0.0 && gap < on_sacrum * s->pitch_mm ? SP_L5 - last : 0;
}

static int by_dens(const sp_instances *s) {
    return isfinite(sp__dens_end(s)) ? SP_C2 - first_body(s) : 0;
}

static double distance(const double a[3], const double b[3]) {
    return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
                (a[2] - b[2]) * (a[2] - b[2]));
}

/* The number that most pairs of bodies at one place agree on. */
static int by_scan(const sp_instances *s, const sp_known *known, int n_known) {
    int votes[2 * SP_SACRUM + 1] = {0}, best = 0;
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < n_known; k++) {
            const int first = known[k].number - i;
            if (s->item[i].body == 0 || first < -SP_SACRUM || first > SP_SACRUM) continue;
            if (distance(s->item[i].centre, known[k].centre) < same_mm) votes[first + SP_SACRUM]++;
        }
    for (int v = 0; v <= 2 * SP_SACRUM; v++)
        if (votes[v] > votes[best]) best = v;
    return votes[best] > 0 ? best - SP_SACRUM : 0;
}

/* Move numbers so that all are of vertebrae; false if that was needed. */
static bool fit(int *number, int n) {
    const int wanted = *number;
    if (*number + n - 1 > lowest) *number = lowest - n + 1;
    if (*number < highest) *number = highest;
    return *number == wanted;
}

void sp_instances_number(sp_instances *s, int first, const sp_known *known, int n_known,
                         sp_numbering *how) {
    *how = (sp_numbering){.anchor = SP_N_ANCHORS};
    how->number[SP_ANCHOR_SACRUM] = by_sacrum(s);
    how->number[SP_ANCHOR_DENS] = by_dens(s);
    how->number[SP_ANCHOR_SCAN] = by_scan(s, known, n_known);
    for (sp_anchor a = 0; a < SP_ANCHOR_NONE; a++) {
        if (how->number[a] == 0) continue;
        if (how->anchor == SP_N_ANCHORS) how->anchor = a;
        if (how->number[a] != how->number[how->anchor]) how->doubtful = true;
    }
    if (how->anchor == SP_N_ANCHORS) how->anchor = SP_ANCHOR_NONE;
    how->number[SP_ANCHOR_NONE] = first - first_body(s);
    int number = how->number[how->anchor];
    if (!fit(&number, s->n)) how->doubtful = true;
    for (int i = 0; i < s->n; i++) s->item[i].number = number + i;
}
