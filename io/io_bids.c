/* BIDS trees and lists: names taken apart, filters, sorted walks.
 *
 * Hidden names, `code`, `sourcedata` and (unless asked for) `derivatives` are no part of the data
 * set. Whatever else is named like an image is taken, also what cannot be read (a link to content
 * that was not fetched): its reader says why, and no scan vanishes in silence. Source: Brain
 * Imaging Data Structure specification 1.9, file names. */
#include "io/io_bids.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_nifti.h"
#include "io/io_table.h"
#include "io/io_walk.h"

#define SIDECAR_LIMIT ((size_t)16 << 20) /* bytes */

/* ---- items ---- */

static void item_clear(io_item *it) {
    for (int i = 0; i < it->n_parts; i++) item_clear(&it->part[i]);
    sx_free(it->part);
    sx_free(it->path);
    sx_free(it->rel);
    sx_free(it->stem);
    sx_free(it->dir);
    *it = (io_item){0};
}

void io_items_clear(io_items *items) {
    for (int64_t i = 0; i < items->n; i++) item_clear(&items->item[i]);
    sx_free(items->item);
    *items = (io_items){0};
}

void io_items_keep(io_items *items, bool (*keep)(const void *user, const io_item *item),
                   const void *user) {
    int64_t n = 0;
    for (int64_t i = 0; i < items->n; i++)
        if (keep(user, &items->item[i]))
            items->item[n++] = items->item[i];
        else
            item_clear(&items->item[i]);
    items->n = n;
}

static int by_size(const void *a, const void *b) {
    const io_item *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->rel, y->rel);
}

void io_items_largest_first(io_items *items) {
    if (items->n) qsort(items->item, (size_t)items->n, sizeof *items->item, by_size);
}

bool io_same_session(const io_item *a, const io_item *b) {
    return strcmp(a->subject, b->subject) == 0 && strcmp(a->session, b->session) == 0;
}

static void items_add(io_items *items, const io_item *it) {
    items->item = sx_grow(items->item, items->n, sizeof *items->item);
    items->item[items->n++] = *it;
}

static int by_rel(const void *a, const void *b) {
    return strcmp(((const io_item *)a)->rel, ((const io_item *)b)->rel);
}

/* ---- names ---- */

/* Whether the n bytes fit; what does not is cut, for messages. */
static bool set_text(char *to, size_t room, const char *from, size_t n) {
    snprintf(to, room, "%.*s", (int)n, from);
    return n < room;
}

/* An index of at most six digits; -1 for anything else. */
static int number_of(const char *text, size_t n) {
    return n <= 6 && strspn(text, "0123456789") >= n ? (int)strtol(text, NULL, 10) : -1;
}

/* One underscore-separated part of a stem: "key-label", or the suffix. False when a label does not
 * fit. */
static bool take_part(io_item *it, const char *part, size_t n) {
    const struct {
        const char *key;
        char *text;
        int *number;
    } known[] = {
        {"sub-", it->subject, NULL}, {"ses-", it->session, NULL},  {"acq-", it->acq, NULL},
        {"desc-", it->desc, NULL},   {"chunk-", NULL, &it->chunk}, {"run-", NULL, &it->run},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const size_t k = strlen(known[i].key);
        if (n <= k || strncmp(part, known[i].key, k) != 0) continue;
        if (!known[i].number) return set_text(known[i].text, IO_LABEL, part + k, n - k);
        *known[i].number = number_of(part + k, n - k);
        return true;
    }
    if (!memchr(part, '-', n) && !set_text(it->suffix, sizeof it->suffix, part, n))
        it->suffix[0] = '\0';
    return true;
}

/* Item of a path below a root; root NULL: `rel` is the full path. Filled also after an error.
 * Errors: SX_E_DATA (a label that is too long). */
static sx_err item_make(io_item *it, const char *root, const char *rel) {
    const char *name = sx_path_base(rel);
    bool fits = true;
    *it = (io_item){.path = root ? sx_path_join(root, rel) : sx_strdup(rel),
                    .rel = sx_strdup(rel),
                    .chunk = -1,
                    .run = -1};
    it->stem = sx_strf("%.*s", (int)io_nifti_stem_length(name), name);
    it->dir = sx_strf("%.*s", (int)(name > rel ? name - rel - 1 : 0), rel);
    it->bytes = sx_file_size(it->path);
    for (const char *part = it->stem; part; part = strchr(part, '_')) {
        part += *part == '_';
        fits &= take_part(it, part, strcspn(part, "_"));
    }
    if (fits) return SX_OK;
    return sx_fail(SX_E_DATA, "%s: a label in this name is longer than %d bytes", it->path,
                   IO_LABEL - 1);
}

/* ---- filters ---- */

static bool is_empty(const char *list) {
    return !list || !list[0];
}

/* Whether `word` is in a comma-separated list, where entries may carry `prefix`. */
static bool in_list(const char *list, const char *word, const char *prefix) {
    const size_t n_prefix = strlen(prefix), n_word = strlen(word);
    while (*list) {
        list += strspn(list, ", ");
        size_t n = strcspn(list, ", ");
        const char *entry = list;
        list += n;
        if (n_prefix && n > n_prefix && strncmp(entry, prefix, n_prefix) == 0) {
            entry += n_prefix;
            n -= n_prefix;
        }
        if (n && n == n_word && strncmp(entry, word, n) == 0) return true;
    }
    return false;
}

static bool subject_passes(const io_filter *f, const char *subject) {
    if (!is_empty(f->subjects) && !in_list(f->subjects, subject, "sub-")) return false;
    return is_empty(f->exclude) || !in_list(f->exclude, subject, "sub-");
}

static bool scan_passes(const io_filter *f, const io_item *it) {
    if (!is_empty(f->acq) && !in_list(f->acq, it->acq, "acq-")) return false;
    if (!is_empty(f->suffix) && !in_list(f->suffix, it->suffix, "")) return false;
    return is_empty(f->exclude) || !in_list(f->exclude, it->stem, "");
}

static bool passes(const io_filter *f, const io_item *it) {
    return !f || (subject_passes(f, it->subject) && scan_passes(f, it));
}

/* ---- walking a tree ---- */

static bool is_skipped_folder(const char *name, const io_filter *f) {
    if (strcmp(name, "derivatives") == 0) return !f || !f->derivatives;
    return strcmp(name, "sourcedata") == 0 || strcmp(name, "code") == 0;
}

/* What a walk finds and where it goes. */
typedef struct search {
    const char *root;
    const io_filter *filter;
    io_items *items;
} search;

/* Whether images there could pass, by the first subject in a path below the root. */
static bool is_wanted(const io_filter *f, const char *rel) {
    const char *at = strncmp(rel, "sub-", 4) == 0 ? rel : strstr(rel, "/sub-");
    if (!f || !at) return true;
    at += at == rel ? 4 : 5;
    char *subject = sx_strf("%.*s", (int)strcspn(at, "/_"), at);
    const bool wanted = subject_passes(f, subject);
    sx_free(subject);
    return wanted;
}

static void take_image(const search *s, const char *rel) {
    io_item it;
    if (item_make(&it, s->root, rel) != SX_OK) {
        if (it.subject[0] && is_wanted(s->filter, rel) &&
            (!s->filter || scan_passes(s->filter, &it))) {
            sx_warn("%s: it is left out", sx_err_text());
            s->items->n_unreadable++;
        }
    } else if (it.subject[0] && passes(s->filter, &it)) {
        items_add(s->items, &it);
        return;
    }
    item_clear(&it);
}

static bool visit(void *user, io_entry_kind kind, const char *rel) {
    const search *s = user;
    if (kind == IO_ENTRY_FOLDER) return !is_skipped_folder(sx_path_base(rel), s->filter);
    if (kind == IO_ENTRY_FILE && io_nifti_is_name(rel)) take_image(s, rel);
    if (kind == IO_ENTRY_UNREADABLE && is_wanted(s->filter, rel)) {
        sx_warn("%s: its images are missing", sx_err_text());
        s->items->n_unreadable++;
    }
    return false;
}

sx_err io_bids_walk(const char *root, const io_filter *f, io_items *items) {
    search s = {root, f, items};
    *items = (io_items){0};
    sx_err rc = io_walk(root, visit, &s);
    if (items->n) qsort(items->item, (size_t)items->n, sizeof *items->item, by_rel);
    return rc;
}

/* ---- lists ---- */

/* Whether the label fits. */
static bool take_column(const io_table *t, int64_t row, const char *column, const char *prefix,
                        char to[IO_LABEL]) {
    int c = io_table_column(t, column);
    const char *text = c >= 0 ? io_table_at(t, row, c) : "";
    if (strncmp(text, prefix, strlen(prefix)) == 0) text += strlen(prefix);
    return !text[0] || strcmp(text, "n/a") == 0 || set_text(to, IO_LABEL, text, strlen(text));
}

/* The folder of a listed image in a data set: its path may lead anywhere, its entities may not. */
static void set_dir(io_item *it) {
    sx_free(it->dir);
    it->dir = sx_strf("sub-%s%s%s/anat", it->subject, it->session[0] ? "/ses-" : "", it->session);
}

/* What a search found, where the list says so. */
static void take_found(const io_table *t, int64_t row, io_item *it) {
    const struct {
        const char *column;
        char **text;
    } found[] = {{"item", &it->rel}, {"folder", &it->dir}};
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        const int c = io_table_column(t, found[i].column);
        if (c < 0) continue;
        sx_free(*found[i].text);
        *found[i].text = sx_strdup(io_table_at(t, row, c));
    }
    const int bytes = io_table_column(t, "bytes");
    if (bytes >= 0) it->bytes = strtoll(io_table_at(t, row, bytes), NULL, 10);
}

/* Whether a folder of a list lies below the output: no list makes files elsewhere. */
static bool stays_below(const char *folder) {
    bool below = folder[0] != '/';
    for (const char *name = folder; below && *name; name += strspn(name, "/")) {
        const size_t n = strcspn(name, "/");
        below = !(n == 2 && strncmp(name, "..", n) == 0);
        name += n;
    }
    return below;
}

/* What a row says; to be cleared after an error, too. */
static sx_err item_of_row(const char *tsv, const char *folder, const io_table *t, int64_t row,
                          io_item *it) {
    const char *path = io_table_at(t, row, io_table_column(t, "path"));
    *it = (io_item){0};
    if (!path[0]) return sx_fail(SX_E_DATA, "%s:%" PRId64 ": no path", tsv, row + 2);
    while (strncmp(path, "./", 2) == 0) path += 1 + strspn(path + 1, "/"); // one name for one file
    if (item_make(it, path[0] == '/' ? NULL : folder, path) != SX_OK ||
        !take_column(t, row, "subject", "sub-", it->subject) ||
        !take_column(t, row, "session", "ses-", it->session) ||
        !take_column(t, row, "acq", "acq-", it->acq))
        return sx_fail(SX_E_DATA, "%s:%" PRId64 ": a label of %s is longer than %d bytes", tsv,
                       row + 2, path, IO_LABEL - 1);
    if (!it->subject[0])
        return sx_fail(SX_E_DATA,
                       "%s:%" PRId64 ": no subject, neither as a column nor in the name %s", tsv,
                       row + 2, path);
    if (strchr(it->subject, '/') || strchr(it->session, '/'))
        return sx_fail(SX_E_DATA, "%s:%" PRId64 ": a label cannot hold a slash", tsv, row + 2);
    set_dir(it);
    take_found(t, row, it);
    if (!it->rel[0] || !stays_below(it->dir))
        return sx_fail(SX_E_DATA,
                       "%s:%" PRId64 ": the item \"%s\" has no name, or its folder \"%s\" leads "
                       "out of the output",
                       tsv, row + 2, it->rel, it->dir);
    return SX_OK;
}

static sx_err list_row(const char *tsv, const char *folder, const io_table *t, int64_t row,
                       const io_filter *f, io_items *items) {
    io_item it;
    const sx_err rc = item_of_row(tsv, folder, t, row, &it);
    if (rc == SX_OK && passes(f, &it))
        items_add(items, &it);
    else
        item_clear(&it);
    return rc;
}

static sx_err check_unique(const char *tsv, const io_items *items) {
    for (int64_t i = 1; i < items->n; i++)
        if (strcmp(items->item[i - 1].rel, items->item[i].rel) == 0)
            return sx_fail(SX_E_DATA, "%s: %s is listed twice", tsv, items->item[i].rel);
    return SX_OK;
}

sx_err io_bids_list(const char *tsv, const io_filter *f, io_items *items) {
    sx_err rc = SX_OK;
    io_table t = {0};
    const char *name = sx_path_base(tsv);
    char *folder = name > tsv ? sx_strf("%.*s", (int)(name - tsv), tsv) : sx_strdup(".");
    *items = (io_items){0};
    SX_TRY(rc, io_table_read(tsv, &t));
    if (io_table_column(&t, "path") < 0) {
        rc = sx_fail(SX_E_DATA, "%s:1: no column named path", tsv);
        goto out;
    }
    for (int64_t row = 0; row < t.n_rows; row++)
        SX_TRY(rc, list_row(tsv, folder, &t, row, f, items));
    if (items->n) qsort(items->item, (size_t)items->n, sizeof *items->item, by_rel);
    rc = check_unique(tsv, items);
out:
    io_table_clear(&t);
    sx_free(folder);
    if (rc != SX_OK) io_items_clear(items);
    return rc;
}

enum { N_LIST_COLUMNS = 7 };

static sx_err add_row(io_table *t, const io_item *it) {
    char bytes[24];
    if (it->path[strcspn(it->path, "\t\r\n")])
        return sx_fail(SX_E_DATA, "%s: a list cannot hold a name with a tab or a line end",
                       it->path);
    snprintf(bytes, sizeof bytes, "%" PRId64, it->bytes);
    io_table_add(t, (const char *const[N_LIST_COLUMNS]){it->path, it->rel, it->dir, it->subject,
                                                        it->session, it->acq, bytes});
    return SX_OK;
}

sx_err io_bids_list_write(const char *tsv, const io_items *items) {
    static const char *const header[N_LIST_COLUMNS] = {"path",    "item", "folder", "subject",
                                                       "session", "acq",  "bytes"};
    io_table t = {0};
    sx_err rc = SX_OK;
    io_table_init(&t, N_LIST_COLUMNS, header);
    for (int64_t i = 0; i < items->n; i++) {
        const io_item *it = &items->item[i];
        if (it->n_parts == 0) SX_TRY(rc, add_row(&t, it));
        for (int p = 0; p < it->n_parts; p++) SX_TRY(rc, add_row(&t, &it->part[p]));
    }
    rc = io_table_write(tsv, &t);
out:
    io_table_clear(&t);
    return rc;
}

/* ---- chunks ---- */

char *io_bids_entities(const io_item *item, const char *but) {
    char *copy = sx_strdup(item->stem), *rest = NULL, *entities = sx_strdup("");
    for (char *part = strtok_r(copy, "_", &rest); part; part = strtok_r(NULL, "_", &rest)) {
        const bool suffix = item->suffix[0] && strcmp(part, item->suffix) == 0 && (!rest || !*rest);
        if (strncmp(part, but, strlen(but)) == 0 || strncmp(part, "desc-", 5) == 0 || suffix)
            continue;
        char *longer = sx_strf("%s%s_", entities, part);
        sx_free(entities);
        entities = longer;
    }
    sx_free(copy);
    return entities;
}

/* The stem of what chunks are together: no chunk-, a desc- that ends in "stitched" before the
 * suffix; new. */
static char *joined_stem(const io_item *it) {
    char *entities = io_bids_entities(it, "chunk-");
    char *stem =
        sx_strf("%sdesc-%sstitched%s%s", entities, it->desc, it->suffix[0] ? "_" : "", it->suffix);
    sx_free(entities);
    return stem;
}

/* An item of one part, which it takes. */
static io_item joined_item(const io_item *part) {
    io_item it = *part;
    it.stem = joined_stem(part);
    it.path = sx_strdup(part->path);
    it.dir = sx_strdup(part->dir);
    it.rel = sx_strf("%s%s%s.nii.gz", it.dir, it.dir[0] ? "/" : "", it.stem);
    char *desc = sx_strf("%sstitched", part->desc);
    set_text(it.desc, sizeof it.desc, desc, strlen(desc));
    sx_free(desc);
    it.chunk = -1;
    it.part = sx_grow(NULL, 0, sizeof *it.part);
    it.part[0] = *part;
    it.n_parts = 1;
    return it;
}

static void add_part(io_item *it, const io_item *part) {
    int at = it->n_parts;
    it->part = sx_grow(it->part, it->n_parts++, sizeof *it->part);
    for (; at > 0 && it->part[at - 1].chunk > part->chunk; at--) it->part[at] = it->part[at - 1];
    it->part[at] = *part;
    it->bytes = it->bytes < 0 || part->bytes < 0 ? -1 : it->bytes + part->bytes;
}

/* The path of the first part; the name of the only one. */
static void name_joined(io_item *it) {
    sx_free(it->path);
    it->path = sx_strdup(it->part[0].path);
    if (it->n_parts > 1) return;
    sx_free(it->rel);
    it->rel = sx_strdup(it->part[0].rel);
}

/* Where an item stands, sorted by name, then by place. */
typedef struct place {
    const char *name;
    int64_t at;
} place;

static int by_name(const void *a, const void *b) {
    const place *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

void io_bids_join_chunks(io_items *items) {
    io_item *all = SX_NEW_ARRAY(io_item, items->n + 1);
    place *sorted = SX_NEW_ARRAY(place, items->n + 1);
    int64_t n = 0;
    for (int64_t i = 0; i < items->n; i++) {
        all[i] = joined_item(&items->item[i]);
        sorted[i] = (place){all[i].rel, i};
    }
    qsort(sorted, (size_t)items->n, sizeof *sorted, by_name);
    for (int64_t k = 1, first = 0; k < items->n; k++) {
        io_item *to = &all[sorted[first].at], *it = &all[sorted[k].at];
        if (strcmp(to->rel, it->rel) != 0 || to->part[0].chunk < 0 || it->part[0].chunk < 0) {
            first = k;
            continue;
        }
        add_part(to, &it->part[0]);
        it->n_parts = 0; /* its part has moved */
    }
    for (int64_t i = 0; i < items->n; i++) {
        if (all[i].n_parts == 0) {
            item_clear(&all[i]);
            continue;
        }
        name_joined(&all[i]);
        items->item[n++] = all[i];
    }
    items->n = n;
    sx_free(sorted);
    sx_free(all);
}

int io_item_n_images(const io_item *item) {
    return item->n_parts > 0 ? item->n_parts : 1;
}

const io_item *io_item_image(const io_item *item, int i) {
    return item->n_parts > 0 ? &item->part[i] : item;
}

/* ---- one file ---- */

sx_err io_bids_file(const char *path, io_items *items) {
    *items = (io_items){0};
    if (!sx_file_exists(path)) return sx_fail(SX_E_NOINPUT, "%s: no such file", path);
    io_item it;
    const sx_err rc = item_make(&it, NULL, path);
    if (rc != SX_OK) {
        item_clear(&it);
        return rc;
    }
    sx_free(it.rel);
    sx_free(it.dir);
    it.rel = sx_strdup(sx_path_base(path));
    it.dir = sx_strdup("");
    if (!strchr(it.stem, '_')) it.suffix[0] = '\0'; // a name, not a list of entities
    items_add(items, &it);
    return SX_OK;
}

/* ---- sidecars and descriptions ---- */

char *io_bids_sidecar(const char *image) {
    return sx_strf("%.*s.json", (int)io_nifti_stem_length(image), image);
}

static double thickness_of(const io_item *item, double fallback) {
    double thickness = fallback;
    char *text = NULL;
    size_t n_bytes;
    char *path = io_bids_sidecar(item->path);
    if (sx_file_exists(path) && sx_file_read(path, SIDECAR_LIMIT, &text, &n_bytes) == SX_OK) {
        json_t *j = json_loadb(text, n_bytes, 0, NULL);
        double value = json_number_value(json_object_get(j, "SliceThickness"));
        if (value > 0) thickness = value;
        json_decref(j);
    }
    sx_free(text);
    sx_free(path);
    return thickness;
}

double io_bids_slice_thickness(const io_item *item, double fallback) {
    double most = 0.0;
    if (item->n_parts == 0) return thickness_of(item, fallback);
    for (int i = 0; i < item->n_parts; i++) {
        const double mm = thickness_of(&item->part[i], 0.0);
        if (mm > most) most = mm;
    }
    return most > 0.0 ? most : fallback;
}

sx_err io_bids_describe(const char *root, const char *name, const char *source_root) {
    sx_err rc = SX_OK;
    char *path = sx_path_join(root, "dataset_description.json");
    json_t *j = json_pack("{s:s, s:s, s:s, s:[{s:s}], s:[{s:s}]}", "Name", name, "BIDSVersion",
                          "1.9.0", "DatasetType", "derivative", "GeneratedBy", "Name", "sagax",
                          "SourceDatasets", "URL", source_root);
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    if (!text)
        rc = sx_fail(SX_E_DATA, "%s: name or source is not UTF-8", path);
    else if (!sx_file_exists(path) && (rc = sx_mkdirs(root)) == SX_OK)
        rc = sx_file_write(path, text, strlen(text));
    free(text);
    json_decref(j);
    sx_free(path);
    return rc;
}
