/* What earlier runs say of an item, and whether this one makes it (work_private.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/items/work_private.h"

static sx_err code_parse(const char *name) {
    for (int c = 0; c < SX_E_COUNT; c++)
        if (strcmp(sx_err_name((sx_err)c), name) == 0) return (sx_err)c;
    return SX_E_BUG;
}

enum { CRASHES_ENOUGH = 2 };

/* Of what an item is, not of where it was tried. */
static bool stays(sx_err code) {
    return code == SX_E_DATA || code == SX_E_NOMEM || code == SX_E_BUG || code == SX_E_CONFIG;
}

/* Whether this is what came of a request, for good: not that the disk was full, or of a stop. */
static bool is_answer(const work_record *r) {
    return r->state == WORK_MADE || r->state == WORK_UNCHANGED || r->state == WORK_CRASHED ||
           (r->state == WORK_FAILED && stays(code_parse(r->code)));
}

/* What run.retry asks for of item i: once, in whatever start of the program. */
static work_retry asked_for(const work *w, int64_t i, const char *print) {
    int64_t n;
    const work_record *r = work_history_find(&w->past, w->name[i], &n);
    for (int64_t k = 0; w->request && k < n; k++)
        if (strcmp(r[k].request, w->request) == 0 && strcmp(r[k].print, print) == 0 &&
            is_answer(&r[k]))
            return WORK_RETRY_NONE;
    return w->retry;
}

static bool asks_for(work_retry asked, sx_err code) {
    return asked == WORK_RETRY_FAILED || (asked == WORK_RETRY_OOM && code == SX_E_NOMEM);
}

/* The failure that an item has had for the same reasons and will have again, else SX_OK. */
static sx_err former_failure(const work *w, int64_t i, const char *print, work_retry asked) {
    int64_t n;
    const work_record *r = work_history_find(&w->past, w->name[i], &n);
    const work_record *end = work_record_end(r, n);
    const int crashes = work_record_crashes(r, n, print);
    if (crashes >= CRASHES_ENOUGH && !asks_for(asked, SX_E_BUG))
        return sx_fail(SX_E_BUG, "the program died in it %d times%s", crashes,
                       asks_for(w->retry, SX_E_BUG) ? ", and has tried it again as asked for"
                                                    : "; --retry failed tries it again");
    if (!end || end->state != WORK_FAILED || strcmp(end->print, print) != 0) return SX_OK;
    const sx_err code = code_parse(end->code);
    if (w->kind->forgives || !stays(code) || asks_for(asked, code)) return SX_OK;
    return sx_fail(code, "%s", end->reason ? end->reason : "failed before");
}

/* Take what an earlier run wrote down about an item that has not changed since. */
static void take_kept(work *w, int64_t i, const char *print, char why[WORK_WHY], char **payload) {
    int64_t n;
    if (!w->kind->keep) return;
    const work_record *all = work_history_find(&w->past, w->name[i], &n);
    const work_record *end = work_record_end(all, n);
    if (!end || !end->payload || strcmp(end->print, print) != 0) return;
    if (w->kind->keep(w->user, i, end->payload) != SX_OK) return;
    *why = '\0';
    *payload = sx_strdup(end->payload); // the line of this run is the one that counts next time
}

sx_err work__decide(work *w, int64_t i, char print[65], char why[WORK_WHY], char **payload) {
    sx_err rc = w->kind->inspect(w->user, i, print, why);
    if (rc != SX_OK) return rc;
    const work_retry asked = asked_for(w, i, print);
    if (asked == WORK_RETRY_ALL) {
        snprintf(why, WORK_WHY, "asked for again");
        return SX_OK;
    }
    if (!*why) return SX_OK;
    take_kept(w, i, print, why, payload);
    return *why ? former_failure(w, i, print, asked) : SX_OK;
}

/* ---- what was under way when the program was killed ---- */

/* Nobody can write down why a process was killed, nor which of its items had filled the memory. So
 * no item is left out, but others are made before it, and from the second time on none beside it.
 */
enum { KILLS_TO_BE_ALONE = 2 };

typedef struct suspect {
    int64_t item, place;
    int kills;
} suspect;

static int by_kills(const void *a, const void *b) {
    const suspect *x = a, *y = b;
    if (x->kills != y->kills) return x->kills < y->kills ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static int kills_of(const work *w, int64_t i) {
    int64_t n;
    const work_record *r = work_history_find(&w->past, w->name[i], &n);
    return work_record_kills(r, n);
}

void work__order(work *w) {
    suspect *s = SX_NEW_ARRAY(suspect, w->n_mine + 1);
    int64_t n_last = 0;
    for (int64_t k = 0; k < w->n_mine; k++) {
        s[k] = (suspect){w->mine[k], k, kills_of(w, w->mine[k])};
        n_last += s[k].kills > 0;
        w->n_alone += s[k].kills >= KILLS_TO_BE_ALONE;
    }
    qsort(s, (size_t)w->n_mine, sizeof *s, by_kills);
    for (int64_t k = 0; k < w->n_mine; k++) w->mine[k] = s[k].item;
    sx_free(s);
    if (n_last > 0)
        sx_info(
            "%lld items were begun and not ended by earlier runs (killed?): they come last, %lld "
            "of them one at a time",
            (long long)n_last, (long long)w->n_alone);
}

/* ---- what would be done ---- */

static json_t *plan_item(work *w, int64_t i, sx_err *rc) {
    char why[WORK_WHY] = "", print[65] = "", *payload = NULL;
    *rc = work__decide(w, i, print, why, &payload);
    sx_free(payload);
    const char *plan = *rc != SX_OK ? "fail" : *why ? "make" : "keep";
    const char *text = *rc != SX_OK ? sx_err_text() : *why ? why : "finished, nothing changed";
    if (!job_json(w->j)) printf("%s\t%s\t%s\n", w->name[i], plan, text);
    return json_pack("{s:s, s:s, s:o}", "item", w->name[i], "plan", plan, "reason",
                     job_json_string(text));
}

sx_err work_plan(work *w) {
    json_t *list = json_array();
    int64_t failed = 0;
    for (int64_t k = 0; k < w->n_mine; k++) {
        sx_err rc;
        json_array_append_new(list, plan_item(w, w->mine[k], &rc));
        failed += rc != SX_OK;
    }
    if (job_json(w->j))
        job_json_print(list, JSON_INDENT(2));
    else
        json_decref(list);
    if (failed == 0) return SX_OK;
    return sx_fail(SX_E_ITEMS, "%lld of %lld items would fail", (long long)failed,
                   (long long)w->n_mine);
}
