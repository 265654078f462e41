/* Reading a journal: all lines of all files, sorted so that the records of an item stand together
 * and the last one counts. */
#include "jobs/items/work_journal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "mpi/mp_lease.h"

#define SUFFIX ".jsonl"
#define FOLDED "folded-" /* begins the names of files that hold what several processes wrote */
enum { FILE_LIMIT = 1 << 28, FOLD_FROM = 64, READS = 20 };

/* ---- one line ---- */

static void take_text(char *out, size_t n, const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    snprintf(out, n, "%s", text ? text : "");
}

static char *copy_text(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? sx_strdup(text) : NULL;
}

static bool parse(const char *line, size_t n_bytes, work_record *r) {
    json_t *o = json_loadb(line, n_bytes, 0, NULL);
    const char *state = json_string_value(json_object_get(o, "state"));
    *r = (work_record){.item = copy_text(o, "item")};
    r->state = work_state_parse(state ? state : "");
    if (r->item && r->state < WORK_N_STATES) {
        r->line = sx_strf("%.*s", (int)n_bytes, line);
        r->reason = copy_text(o, "reason");
        r->payload = copy_text(o, "payload");
        take_text(r->print, sizeof r->print, o, "print");
        take_text(r->config, sizeof r->config, o, "config");
        take_text(r->code, sizeof r->code, o, "code");
        take_text(r->owner, sizeof r->owner, o, "owner");
        take_text(r->request, sizeof r->request, o, "request");
        r->run = json_integer_value(json_object_get(o, "run"));
        r->rank = (int)json_integer_value(json_object_get(o, "rank"));
        r->seconds = json_number_value(json_object_get(o, "seconds"));
        r->time_s = json_number_value(json_object_get(o, "time"));
    }
    json_decref(o);
    if (r->line) return true;
    sx_free(r->item);
    return false;
}

static void record_clear(work_record *r) {
    sx_free(r->line);
    sx_free(r->item);
    sx_free(r->reason);
    sx_free(r->payload);
}

/* ---- all lines ---- */

static void add(work_history *h, const work_record *r) {
    h->record = sx_grow(h->record, h->n, sizeof *h->record);
    h->record[h->n] = *r;
    h->record[h->n].order = h->n;
    h->n++;
}

static void add_lines(work_history *h, const char *text) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        work_record r;
        if (text[n] == '\n' && parse(text, n, &r)) add(h, &r);
        text += n + (text[n] == '\n');
    }
}

/* What counts more among the records of one run. */
static int weight(work_state s) {
    static const int table[WORK_N_STATES] = {
        [WORK_BEGUN] = 0,  [WORK_CRASHED] = 1, [WORK_STOPPED] = 1,
        [WORK_FAILED] = 1, [WORK_MADE] = 2,    [WORK_UNCHANGED] = 2};
    return table[s];
}

static int by_item(const void *a, const void *b) {
    const work_record *x = a, *y = b;
    int order = strcmp(x->item, y->item);
    if (order) return order;
    if (x->run != y->run) return x->run < y->run ? -1 : 1;
    if (weight(x->state) != weight(y->state)) return weight(x->state) - weight(y->state);
    return (x->order > y->order) - (x->order < y->order);
}

static void sort(work_history *h) {
    if (h->n > 0) qsort(h->record, (size_t)h->n, sizeof *h->record, by_item);
}

void work_history_parse(const char *text, work_history *h) {
    *h = (work_history){0};
    add_lines(h, text);
    sort(h);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Paths of the files of a journal, by name; new, each and the list. */
static sx_err list_files(const char *folder, char ***path, int64_t *n) {
    char *journal = sx_path_join(folder, "journal");
    DIR *d = opendir(journal);
    sx_err rc = SX_OK;
    *path = NULL;
    *n = 0;
    if (!d && errno != ENOENT) rc = sx_fail(SX_E_IO, "%s: %s", journal, strerror(errno));
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!sx_has_suffix(e->d_name, SUFFIX)) continue;
        *path = sx_grow(*path, *n, sizeof **path);
        (*path)[(*n)++] = sx_path_join(journal, e->d_name);
    }
    if (d) closedir(d);
    if (*n > 0) qsort(*path, (size_t)*n, sizeof **path, by_name);
    sx_free(journal);
    return rc;
}

static bool is_named(const char *path, const char *owner) {
    const char *name = sx_path_base(path);
    const size_t n = strlen(owner);
    return strncmp(name, owner, n) == 0 && strcmp(name + n, SUFFIX) == 0;
}

static void files_clear(char **path, int64_t n) {
    for (int64_t i = 0; i < n; i++) sx_free(path[i]);
    sx_free(path);
}

/* Errors: SX_E_NOINPUT (one of the files is not there any more), SX_E_IO, SX_E_NOMEM. */
static sx_err read_files(char *const *path, int64_t n, work_history *h) {
    sx_err rc = SX_OK;
    for (int64_t i = 0; i < n && rc == SX_OK; i++) {
        char *text = NULL;
        size_t n_bytes;
        rc = sx_file_read(path[i], FILE_LIMIT, &text, &n_bytes);
        if (rc == SX_OK) add_lines(h, text);
        sx_free(text);
    }
    sort(h);
    return rc;
}

/* A file that is gone although it was listed: another process has put it together with others, in a
 * file that may not have been listed. */
sx_err work_history_read(const char *folder, work_history *h) {
    sx_err rc = SX_E_NOINPUT;
    *h = (work_history){0};
    for (int i = 0; i < READS && rc == SX_E_NOINPUT; i++) {
        char **path;
        int64_t n;
        work_history_clear(h);
        rc = list_files(folder, &path, &n);
        if (rc == SX_OK) rc = read_files(path, n, h);
        files_clear(path, n);
    }
    return rc;
}

int64_t work_history_size(const char *folder, const work_owner *but, int64_t n_but) {
    char **path;
    int64_t n, n_bytes = 0;
    if (list_files(folder, &path, &n) != SX_OK) n = 0;
    for (int64_t i = 0; i < n; i++) {
        bool counts = true;
        for (int64_t k = 0; k < n_but && counts; k++) counts = !is_named(path[i], but[k].name);
        if (counts) n_bytes += sx_file_size(path[i]);
    }
    files_clear(path, n);
    return n_bytes;
}

void work_history_clear(work_history *h) {
    for (int64_t i = 0; i < h->n; i++) record_clear(&h->record[i]);
    sx_free(h->record);
    *h = (work_history){0};
}

/* ---- questions ---- */

const work_record *work_history_find(const work_history *h, const char *item, int64_t *n) {
    int64_t low = 0, high = h->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(h->record[middle].item, item) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (*n = 0; low + *n < h->n && strcmp(h->record[low + *n].item, item) == 0;) ++*n;
    return *n > 0 ? &h->record[low] : NULL;
}

static bool is_end(work_state s) {
    return s == WORK_MADE || s == WORK_UNCHANGED || s == WORK_FAILED || s == WORK_STOPPED;
}

const work_record *work_record_end(const work_record *r, int64_t n) {
    for (int64_t i = n - 1; i >= 0; i--)
        if (is_end(r[i].state)) return &r[i];
    return NULL;
}

int work_record_crashes(const work_record *r, int64_t n, const char *print) {
    int crashes = 0;
    int64_t counted = -1; /* run: a line may be there twice, in a file and in its short form */
    for (int64_t i = 0; i < n; i++) {
        if (r[i].state == WORK_MADE || r[i].state == WORK_UNCHANGED) crashes = 0;
        if (r[i].state != WORK_CRASHED || strcmp(r[i].print, print) != 0) continue;
        crashes += r[i].run != counted;
        counted = r[i].run;
    }
    return crashes;
}

/* Whether the records of r[i]'s run, of which it is one, say how the item ended. In a run, records
 * of a beginning come first. */
static bool run_ended(const work_record *r, int64_t n, int64_t i) {
    while (i + 1 < n && r[i + 1].run == r[i].run) i++;
    return r[i].state != WORK_BEGUN;
}

int work_record_kills(const work_record *r, int64_t n) {
    int kills = 0;
    for (int64_t i = 0; i < n; i++) {
        if (r[i].state == WORK_MADE || r[i].state == WORK_UNCHANGED) kills = 0;
        const bool first = i == 0 || r[i - 1].run != r[i].run;
        kills += first && !run_ended(r, n, i);
    }
    return kills;
}

/* ---- short forms ---- */

static bool lives(const char *owner, const mp_member *crew, int n) {
    for (int i = 0; i < n; i++)
        if (crew[i].here && strcmp(crew[i].owner, owner) == 0) return true;
    return false;
}

/* Whether a record says how the item ended, and none behind it does so for the same request. */
static bool is_last_of_request(const work_record *r, int64_t n, int64_t i) {
    if (!*r[i].request || !is_end(r[i].state)) return false;
    for (int64_t k = i + 1; k < n; k++)
        if (is_end(r[k].state) && strcmp(r[k].request, r[i].request) == 0) return false;
    return true;
}

char *work_history_text(const work_history *h, const mp_member *crew, int n_crew) {
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *f = open_memstream(&text, &n_bytes);
    SX_ASSERT(f);
    for (int64_t i = 0, n; i < h->n; i += n) {
        const work_record *r = work_history_find(h, h->record[i].item, &n);
        const work_record *end = work_record_end(r, n);
        for (int64_t k = 0; k < n; k++)
            if (&r[k] == end || r[k].state == WORK_CRASHED || is_last_of_request(r, n, k) ||
                (!run_ended(r, n, k) && !lives(r[k].owner, crew, n_crew)))
                fprintf(f, "%s\n", r[k].line);
    }
    fclose(f);
    return text;
}

/* Whether the process that wrote this file still may. */
static bool is_open(const char *path, const mp_member *crew, int n) {
    for (int i = 0; i < n; i++)
        if (!crew[i].gone && is_named(path, crew[i].owner)) return true;
    return false;
}

static sx_err fold(const char *folder, const char *owner, char *const *path, int64_t n) {
    work_history h = {0};
    char *target = sx_strf("%s/journal/" FOLDED "%s" SUFFIX, folder, owner), *text = NULL;
    sx_err rc;
    SX_TRY(rc, read_files(path, n, &h));
    text = work_history_text(&h, NULL, 0);
    SX_TRY(rc, sx_file_write(target, text, strlen(text)));
    for (int64_t i = 0; i < n; i++)
        if (strcmp(path[i], target) != 0) unlink(path[i]);
out:
    sx_free(text);
    sx_free(target);
    work_history_clear(&h);
    return rc;
}

sx_err work_journal_fold(const char *folder, const char *owner) {
    char **path;
    int64_t n = 0, n_ended = 0;
    mp_member *crew = NULL;
    int n_crew = 0;
    sx_err rc = list_files(folder, &path, &n);
    if (rc == SX_OK) rc = mp_crew_read(folder, &crew, &n_crew);
    for (int64_t i = 0; i < n && rc == SX_OK; i++) {
        if (is_open(path[i], crew, n_crew)) continue;
        char *ended = path[i];
        path[i] = path[n_ended];
        path[n_ended++] = ended;
    }
    if (rc == SX_OK && n_ended >= FOLD_FROM) rc = fold(folder, owner, path, n_ended);
    files_clear(path, n);
    sx_free(crew);
    return rc;
}
