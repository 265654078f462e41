/* Trees of masks, and what of them belongs together (ev_vertebrae.h).
 *
 * A mask of vertebrae has "seg-vert" in its name, one of sub-regions "seg-subreg" or "seg-spine"
 * (SPINEPS), whatever its suffix. A tree without any "seg-vert" is of a segmenter that writes its
 * masks under the names of the images (TotalSpineSeg): there every image without a seg- part is
 * one. Masks belong together by subject and session. */
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/eval/ev_vertebrae.h"
#include "jobs/items/job_output.h"

/* ---- names ---- */

/* Whether a name has the part "_seg-LABEL"; any label for "". */
static bool has_seg(const io_item *it, const char *label) {
    const char *at = strstr(it->stem, "_seg-");
    if (!at) return false;
    at += strlen("_seg-");
    const size_t n = strcspn(at, "_");
    return !label[0] || (n == strlen(label) && strncmp(at, label, n) == 0);
}

static bool is_vertebrae(const ev_tree *t, const io_item *it) {
    if (!strstr(it->stem, t->match)) return false;
    return t->plain ? !has_seg(it, "") : has_seg(it, "vert");
}

static bool is_subregions(const ev_tree *t, const io_item *it) {
    return strstr(it->stem, t->match) && (has_seg(it, "subreg") || has_seg(it, "spine"));
}

sx_err ev_find_mask(const ev_tree *t, const io_item *of, bool subregions, const io_item **found) {
    *found = NULL;
    for (int64_t i = 0; i < t->items.n; i++) {
        const io_item *it = &t->items.item[i];
        if (!io_same_session(it, of) || !(subregions ? is_subregions(t, it) : is_vertebrae(t, it)))
            continue;
        if (*found)
            return sx_fail(SX_E_DATA, "%s: %s and %s are of one session; %s", t->root,
                           (*found)->rel, it->rel,
                           it->chunk >= 0 && (*found)->chunk >= 0 && it->chunk != (*found)->chunk
                               ? "chunks are scored as one volume: restore them with sr --stitch"
                               : "vertebrae.match and vertebrae.truth_match choose by a part of "
                                 "the name");
        *found = it;
    }
    return SX_OK;
}

/* ---- trees ---- */

static void tree_close(ev_tree *t) {
    sx_free(t->name);
    sx_free(t->root);
    io_items_clear(&t->items);
    job_scheme_clear(&t->scheme);
}

static sx_err walk(const ev_vertebrae *e, const char *root, const char *acq, const char *suffix,
                   io_items *items) {
    io_filter f = job_filter(e->j);
    f.acq = acq;
    f.suffix = suffix;
    f.derivatives = true;
    const sx_err rc = io_bids_walk(root, &f, items);
    return rc == SX_OK ? job_keep_split(e->j, items) : rc;
}

static sx_err tree_open(const ev_vertebrae *e, ev_tree *t, const char *match, const char *scheme) {
    sx_err rc;
    t->match = match;
    SX_TRY(rc, walk(e, t->root, NULL, NULL, &t->items));
    SX_TRY(rc, job_scheme_read(&t->scheme, scheme));
    t->plain = true;
    for (int64_t i = 0; i < t->items.n; i++)
        if (has_seg(&t->items.item[i], "vert")) t->plain = false;
out:
    return rc;
}

/* Next entry "NAME=VALUE" or "VALUE" of a comma-separated list: *name (may be empty) and *value,
 * new. False at the end. */
static bool next_entry(const char **list, char **name, char **value) {
    *list += strspn(*list, ", ");
    const size_t n = strcspn(*list, ",");
    if (n == 0) return false;
    const char *equals = memchr(*list, '=', n);
    const size_t n_name = equals ? (size_t)(equals - *list) : 0, skip = equals ? n_name + 1 : 0;
    *name = sx_strf("%.*s", (int)n_name, *list);
    *value = sx_strf("%.*s", (int)(n - skip), *list + skip);
    *list += n;
    return true;
}

/* The name of a method that has none: that of its folder. */
static char *folder_name(const char *root) {
    size_t n = strlen(root);
    while (n > 1 && root[n - 1] == '/') n--;
    char *path = sx_strf("%.*s", (int)n, root), *name = sx_strdup(sx_path_base(path));
    sx_free(path);
    return name;
}

/* Entry of `list` for a method: its own, else the one for all, else ""; new. */
static char *entry_for(const char *list, const char *method) {
    char *name, *value, *found = sx_strdup("");
    bool own = false;
    while (next_entry(&list, &name, &value)) {
        const bool now_own = strcmp(name, method) == 0;
        if (now_own || (!name[0] && !own)) {
            sx_free(found);
            found = sx_strdup(value);
            own = now_own;
        }
        sx_free(name);
        sx_free(value);
    }
    return found;
}

static sx_err add_method(ev_vertebrae *e, char *name, char *root) {
    if (e->n_methods == EV_MAX_METHODS) {
        sx_free(name);
        sx_free(root);
        return sx_fail(SX_E_USAGE, "more than %d methods", EV_MAX_METHODS);
    }
    ev_tree *t = &e->method[e->n_methods++];
    t->root = root;
    t->name = name[0] ? name : folder_name(root);
    if (!name[0]) sx_free(name);
    for (int m = 0; m + 1 < e->n_methods; m++)
        if (strcmp(e->method[m].name, t->name) == 0)
            return sx_fail(SX_E_USAGE, "two methods are called %s; say NAME=FOLDER", t->name);
    return SX_OK;
}

/* A scheme for a method that is not there is a slip, and its masks would be read without. */
static sx_err check_schemes(const ev_vertebrae *e, const char *list) {
    char *name, *value;
    sx_err rc = SX_OK;
    while (rc == SX_OK && next_entry(&list, &name, &value)) {
        bool known = !name[0];
        for (int m = 0; m < e->n_methods; m++)
            known = known || strcmp(name, e->method[m].name) == 0;
        if (!known)
            rc = sx_fail(SX_E_USAGE, "vertebrae.scheme = %s=%s: no method is called %s", name,
                         value, name);
        sx_free(name);
        sx_free(value);
    }
    return rc;
}

static sx_err open_methods(ev_vertebrae *e) {
    const char *list = job_text(e->j, "vertebrae.pred"),
               *schemes = job_text(e->j, "vertebrae.scheme");
    char *name, *root;
    sx_err rc = SX_OK;
    while (rc == SX_OK && next_entry(&list, &name, &root)) rc = add_method(e, name, root);
    if (rc == SX_OK) rc = check_schemes(e, schemes);
    for (int m = 0; m < e->n_methods && rc == SX_OK; m++) {
        char *scheme = entry_for(schemes, e->method[m].name);
        rc = tree_open(e, &e->method[m], job_text(e->j, "vertebrae.match"), scheme);
        sx_free(scheme);
    }
    return rc;
}

static sx_err open_axial(ev_vertebrae *e, bool speaks) {
    const char *masks = job_text(e->j, "vertebrae.axial"), *scans = job_text(e->j, "eval.lr");
    e->axial_scans = !masks[0];
    if (!masks[0] && !scans[0]) return SX_OK;
    const sx_err rc = masks[0] ? walk(e, masks, NULL, NULL, &e->axial)
                               : walk(e, scans, job_text(e->j, "eval.acq"),
                                      job_text(e->j, "data.suffix"), &e->axial);
    if (rc == SX_OK && e->axial.n == 0 && speaks)
        sx_warn("%s: no axial image, so there is no axial Dice", masks[0] ? masks : scans);
    return rc;
}

/* ---- sessions ---- */

static bool has_visit(const ev_vertebrae *e, const io_item *it) {
    for (int64_t s = 0; s < e->n_sessions; s++)
        if (io_same_session(e->visit[s], it)) return true;
    return false;
}

static void list_sessions(ev_vertebrae *e) {
    e->visit = SX_NEW_ARRAY(const io_item *, e->truth.items.n + 1);
    for (int64_t i = 0; i < e->truth.items.n; i++) {
        const io_item *it = &e->truth.items.item[i];
        if (is_vertebrae(&e->truth, it) && !has_visit(e, it)) e->visit[e->n_sessions++] = it;
    }
}

static void name_items(ev_vertebrae *e) {
    const int64_t n = e->n_sessions * e->n_methods;
    e->item_name = SX_NEW_ARRAY(char *, n + 1);
    for (int64_t i = 0; i < n; i++)
        e->item_name[i] =
            sx_strf("%s/%s", e->method[i % e->n_methods].name, e->visit[i / e->n_methods]->rel);
}

static void count_unclaimed(ev_vertebrae *e, bool speaks) {
    for (int m = 0; m < e->n_methods; m++)
        for (int64_t i = 0; i < e->method[m].items.n; i++) {
            const io_item *it = &e->method[m].items.item[i];
            if (!is_vertebrae(&e->method[m], it) || has_visit(e, it)) continue;
            e->n_unclaimed++;
            if (speaks) sx_warn("%s: %s: no truth, left out", e->method[m].name, it->rel);
        }
}

int64_t ev_vertebrae_count_trained(const ev_vertebrae *e) {
    int64_t n = 0;
    for (int64_t s = 0; s < e->n_sessions; s++) {
        bool trained = false;
        for (int m = 0; m < e->n_methods && !trained; m++) {
            const io_item *mask;
            trained = ev_find_mask(&e->method[m], e->visit[s], false, &mask) == SX_OK && mask &&
                      job_output_trained_on(mask->path);
        }
        n += trained;
    }
    return n;
}

sx_err ev_vertebrae_open(ev_vertebrae *e, const job *j, bool speaks) {
    const char *truth = job_text(j, "eval.truth");
    sx_err rc;
    e->j = j;
    e->comm = job_comm(j);
    e->read = job_read_opt(j);
    e->neck =
        strcmp(job_text(j, "vertebrae.neck"), "truth") == 0 ? SP_NECK_TRUE : SP_NECK_PREDICTED;
    e->surfaces = job_bool(j, "vertebrae.surfaces");
    e->partial = strcmp(job_text(j, "vertebrae.partial"), "count") == 0;
    e->box = job_bool(j, "vertebrae.box");
    e->whole_scans = strcmp(job_text(j, "vertebrae.slices"), "all") == 0;
    if (!truth[0] || !job_text(j, "vertebrae.pred")[0])
        return sx_fail(SX_E_USAGE, "eval vertebrae: --truth and --pred are needed");
    e->truth.name = sx_strdup("truth");
    e->truth.root = sx_strdup(truth);
    SX_TRY(rc, tree_open(e, &e->truth, job_text(j, "vertebrae.truth_match"),
                         job_text(j, "vertebrae.truth_scheme")));
    SX_TRY(rc, open_methods(e));
    SX_TRY(rc, open_axial(e, speaks));
    list_sessions(e);
    name_items(e);
    count_unclaimed(e, speaks);
    if (e->n_sessions == 0) {
        const char *subjects = job_text(j, "data.subjects");
        rc = sx_fail(SX_E_NOINPUT,
                     "%s: no masks of vertebrae (names that begin with sub- and hold seg-vert)%s%s",
                     truth, *subjects ? " of the subjects " : "", subjects);
    }
out:
    return rc;
}

void ev_vertebrae_close(ev_vertebrae *e) {
    tree_close(&e->truth);
    for (int m = 0; m < e->n_methods; m++) tree_close(&e->method[m]);
    io_items_clear(&e->axial);
    for (int64_t i = 0; e->item_name && i < e->n_sessions * e->n_methods; i++)
        sx_free(e->item_name[i]);
    sx_free(e->item_name);
    sx_free(e->visit);
    ev_vert_rows_clear(&e->rows);
}
