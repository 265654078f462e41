/* Pairing by names, and by what sidecars say of their origin (ev_match.h). */
#include "jobs/eval/ev_match.h"

#include <stdlib.h>
#include <string.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/items/job_output.h"
#include "jobs/sr/sr.h"

const ev_method ev_methods[EV_N_METHODS] = {{"sr", SR_DESC, true, true},
                                            {"sr-mean", SR_DESC "mean", false, false}};

/* ---- names ---- */

static bool same_visit(const io_item *a, const io_item *b) {
    return io_same_session(a, b) && strcmp(a->suffix, b->suffix) == 0;
}

/* What stands in `text` behind `start`, borrowed; NULL where it begins otherwise, or is NULL. */
static const char *behind(const char *text, const char *start) {
    const size_t n = strlen(start);
    return text && strncmp(text, start, n) == 0 ? text + n : NULL;
}

/* The scan's own desc, then the method's, then for single samples their number. */
static bool desc_matches(const char *desc, const char *of_scan, const ev_method *m) {
    const char *rest = behind(behind(desc, of_scan), m->desc);
    if (!rest) return false;
    return m->numbered ? rest[strspn(rest, "0123456789")] == '\0' : *rest == '\0';
}

/* Whether every part of "a_b_" is one of "a_c_b_". */
static bool is_within(const char *parts, const char *all) {
    for (size_t n; *parts; parts += n) {
        const char *at = all;
        n = strcspn(parts, "_") + 1;
        while (*at && strncmp(at, parts, n) != 0) at += strcspn(at, "_") + 1;
        if (!*at) return false;
    }
    return true;
}

static bool continues(const ev_cohort *e, int64_t sr, int64_t lr, const ev_method *m) {
    const io_item *p = &e->sr.item[sr], *scan = &e->lr.item[lr];
    return same_visit(p, scan) && desc_matches(p->desc, scan->desc, m) &&
           strcmp(e->sr_entities[sr], e->lr_entities[lr]) == 0;
}

/* Whether `of_chunk` is the desc of a scan that, with others, became a volume of `desc`. */
static bool stitched_desc_matches(const char *desc, const char *of_chunk, const ev_method *m) {
    const char *rest = behind(behind(desc, of_chunk), STITCH_DESC);
    return rest && desc_matches(rest, "", m);
}

/* Whether two names have the same parts "a_b_" but for a chunk- of the second. */
static bool is_all_but_chunk(const char *parts, const char *all) {
    for (size_t n; *all; all += n) {
        n = strcspn(all, "_") + 1;
        if (behind(all, "chunk-")) continue;
        if (strncmp(all, parts, n) != 0) return false;
        parts += n;
    }
    return !*parts;
}

static bool is_of_chunks(const ev_cohort *e, int64_t sr, int64_t lr, const ev_method *m) {
    const io_item *p = &e->sr.item[sr], *scan = &e->lr.item[lr];
    if (stitched_desc_matches(p->desc, scan->desc, m))
        return is_all_but_chunk(e->sr_entities[sr], e->lr_entities[lr]);
    return !p->acq[0] && p->chunk < 0 && p->run < 0 && desc_matches(p->desc, scan->desc, m) &&
           is_within(e->sr_entities[sr], e->lr_entities[lr]);
}

static bool is_prediction_of(const ev_cohort *e, int64_t sr, int64_t lr, const ev_method *m) {
    const io_item *p = &e->sr.item[sr], *scan = &e->lr.item[lr];
    if (e->owned[sr]) return continues(e, sr, lr, m);
    return same_visit(p, scan) && is_of_chunks(e, sr, lr, m);
}

/* ---- the cohort ---- */

static char **entities_of(const io_items *items) {
    char **e = SX_NEW_ARRAY(char *, items->n + 1);
    for (int64_t i = 0; i < items->n; i++) e[i] = sr_source_entities(&items->item[i]);
    return e;
}

static bool any_scan(const ev_cohort *e, int64_t sr,
                     bool (*of)(const ev_cohort *e, int64_t sr, int64_t lr, const ev_method *m)) {
    for (int64_t i = 0; i < e->lr.n; i++)
        for (int m = 0; m < EV_N_METHODS; m++)
            if (of(e, sr, i, &ev_methods[m])) return true;
    return false;
}

static bool is_prediction(const io_item *it) {
    const char *desc = strstr(it->desc, SR_DESC);
    for (int m = 0; desc && m < EV_N_METHODS; m++)
        if (desc_matches(desc, "", &ev_methods[m])) return true;
    return false;
}

void ev_cohort_match(ev_cohort *e, bool speaks) {
    e->lr_entities = entities_of(&e->lr);
    e->sr_entities = entities_of(&e->sr);
    e->owned = SX_NEW_ARRAY(bool, e->sr.n + 1);
    e->scored = SX_NEW_ARRAY(int64_t, e->lr.n + 1);
    for (int64_t i = 0; i < e->sr.n; i++) e->owned[i] = any_scan(e, i, continues);
    for (int64_t i = 0; i < e->sr.n; i++) {
        if (!is_prediction(&e->sr.item[i]) || any_scan(e, i, is_prediction_of)) continue;
        e->n_unclaimed++;
        if (speaks) sx_warn("%s: a prediction without a scan", e->sr.item[i].rel);
    }
    for (int64_t i = 0; i < e->lr.n; i++) {
        if (ev_truth_of(e, i)) {
            e->scored[e->n_scored++] = i;
            continue;
        }
        e->n_truthless++;
        if (speaks) sx_warn("%s: no truth, left out", e->lr.item[i].rel);
    }
}

void ev_cohort_clear(ev_cohort *e) {
    for (int64_t i = 0; e->lr_entities && i < e->lr.n; i++) sx_free(e->lr_entities[i]);
    for (int64_t i = 0; e->sr_entities && i < e->sr.n; i++) sx_free(e->sr_entities[i]);
    sx_free(e->lr_entities);
    sx_free(e->sr_entities);
    sx_free(e->owned);
    sx_free(e->scored);
    io_items_clear(&e->lr);
    io_items_clear(&e->truth);
    io_items_clear(&e->sr);
}

const io_item *ev_truth_of(const ev_cohort *e, int64_t lr) {
    for (int64_t i = 0; i < e->truth.n; i++)
        if (same_visit(&e->truth.item[i], &e->lr.item[lr]) && !e->truth.item[i].desc[0])
            return &e->truth.item[i];
    return NULL;
}

const io_item *ev_next_prediction(const ev_cohort *e, int64_t lr, const ev_method *m, int64_t from,
                                  int64_t *at) {
    for (int64_t i = from; i < e->sr.n; i++)
        if (is_prediction_of(e, i, lr, m)) {
            *at = i;
            return &e->sr.item[i];
        }
    return NULL;
}

int ev_sample_number(const io_item *prediction) {
    const char *desc = strstr(prediction->desc, SR_DESC);
    return desc ? (int)strtol(desc + strlen(SR_DESC), NULL, 10) : 0;
}

/* ---- origin ---- */

/* "weights configuration" of a prediction, new; NULL when nobody knows. */
static char *origin(const io_item *p) {
    json_t *own = job_output_record(p->path);
    const char *weights = json_string_value(json_object_get(own, "WeightsSHA256"));
    const char *config = json_string_value(json_object_get(own, "ConfigurationSHA256"));
    char *found = weights && config ? sx_strf("%s %s", weights, config) : NULL;
    json_decref(own);
    return found;
}

int64_t ev_count_trained(const ev_cohort *e) {
    int64_t n = 0;
    for (int64_t i = 0; i < e->n_scored; i++) {
        const io_item *p = NULL;
        for (int m = 0; m < EV_N_METHODS && !p; m++) {
            int64_t at;
            p = ev_next_prediction(e, e->scored[i], &ev_methods[m], 0, &at);
        }
        n += p && job_output_trained_on(p->path);
    }
    return n;
}

/* Not refused: it may be what somebody wants to know. */
void ev_warn_trained(int64_t n, int64_t all, const char *what) {
    if (n > 0)
        sx_warn(
            "%lld of %lld scored %s are of subjects that a network was trained on, by their "
            "labels (subjects of another data set may share them): such scores say little about "
            "others; --cache CACHE --split test leaves them out",
            (long long)n, (long long)all, what);
}

sx_err ev_predictions_agree(const ev_cohort *e, int64_t lr) {
    char *first = NULL;
    const io_item *p, *whose = NULL;
    sx_err rc = SX_OK;
    for (int m = 0; m < EV_N_METHODS; m++)
        for (int64_t at = -1; (p = ev_next_prediction(e, lr, &ev_methods[m], at + 1, &at));) {
            char *now = origin(p);
            if (now && first && rc == SX_OK && strcmp(now, first) != 0)
                rc = sx_fail(SX_E_DATA, "%s and %s come from different weights or configurations",
                             whose->rel, p->rel);
            if (first || !now) {
                sx_free(now);
                continue;
            }
            first = now;
            whose = p;
        }
    sx_free(first);
    return rc;
}
