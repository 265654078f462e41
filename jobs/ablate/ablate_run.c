/* Doing the steps of a study, and what is known about them (ablate.h).
 *
 * Verbs know by themselves what is done, and are asked. A training alone is not, when it ended with
 * this command line, but for how it runs, on these very slices: a large cache takes long to read.
 */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "io/io_cache.h"
#include "jobs/ablate/ablate.h"
#include "jobs/job/verbs.h"

static const char *const columns[ABLATE_N_COLUMNS] = {"step", "state", "print", "seconds",
                                                      "reason"};

/* ---- steps.tsv ---- */

sx_err ablate_state(const char *folder, io_table *t) {
    char *path = sx_path_join(folder, "steps.tsv");
    sx_err rc = SX_OK;
    *t = (io_table){0};
    if (sx_file_exists(path)) rc = io_table_read(path, t);
    if (rc == SX_OK && t->n_columns != 0 && t->n_columns != ABLATE_N_COLUMNS)
        rc = sx_fail(SX_E_DATA, "%s: %d columns, should be %d", path, t->n_columns,
                     ABLATE_N_COLUMNS);
    if (rc != SX_OK) io_table_clear(t);
    sx_free(path);
    return rc;
}

int64_t ablate_state_of(const io_table *t, const char *step) {
    for (int64_t i = 0; i < t->n_rows; i++)
        if (strcmp(io_table_at(t, i, ABLATE_STEP), step) == 0) return i;
    return -1;
}

static bool is_in_state(const io_table *t, const char *step, const char *state) {
    const int64_t i = ablate_state_of(t, step);
    return i >= 0 && strcmp(io_table_at(t, i, ABLATE_STATE), state) == 0;
}

bool ablate_row_failed(const ablate_study *s, int row) {
    char *folder = ablate_row_path(s, row, "");
    ablate_step *step;
    io_table t;
    int n;
    bool failed = false;
    ablate_steps(s, ABLATE_ROWS, row, &step, &n);
    ablate_state(folder, &t);
    for (int i = 0; i < n; i++) failed = failed || is_in_state(&t, step[i].name, "failed");
    io_table_clear(&t);
    ablate_steps_free(step, n);
    sx_free(folder);
    return failed;
}

/* The steps of a stage, in order. */
typedef struct steps {
    char *folder; /* that of the study or the row */
    ablate_step *step;
    int n;
} steps;

static void copy_line(io_table *to, const io_table *from, int64_t i) {
    const char *line[ABLATE_N_COLUMNS];
    for (int c = 0; c < ABLATE_N_COLUMNS; c++) line[c] = io_table_at(from, i, c);
    io_table_add(to, line);
}

static int step_of(const steps *all, const char *name) {
    for (int i = 0; i < all->n; i++)
        if (strcmp(all->step[i].name, name) == 0) return i;
    return -1;
}

/* The line of step `now` among those of its stage. When it is another command than it was, what
 * came after it has gone with the old one. */
static sx_err note(const steps *all, int now, const char *const cells[ABLATE_N_COLUMNS]) {
    char *path = sx_path_join(all->folder, "steps.tsv");
    io_table old, t = {0};
    sx_err rc = ablate_state(all->folder, &old);
    const int64_t before = ablate_state_of(&old, cells[ABLATE_STEP]);
    const bool same =
        before >= 0 && strcmp(io_table_at(&old, before, ABLATE_PRINT), cells[ABLATE_PRINT]) == 0;
    io_table_init(&t, ABLATE_N_COLUMNS, columns);
    for (int i = 0; i < all->n; i++) {
        const int64_t line = ablate_state_of(&old, all->step[i].name);
        if (i == now)
            io_table_add(&t, cells);
        else if (line >= 0 && (i < now || same))
            copy_line(&t, &old, line);
    }
    for (int64_t i = 0; i < old.n_rows; i++) /* of other stages */
        if (step_of(all, io_table_at(&old, i, ABLATE_STEP)) < 0) copy_line(&t, &old, i);
    if (rc == SX_OK) rc = sx_mkdirs(all->folder);
    if (rc == SX_OK) rc = io_table_write(path, &t);
    io_table_clear(&old);
    io_table_clear(&t);
    sx_free(path);
    return rc;
}

/* A training that ended as it would end now. */
static bool was_trained(const char *folder, const ablate_step *step, const char *print) {
    io_table t;
    if (step->verb != &cmd_train || ablate_state(folder, &t) != SX_OK) return false;
    const int64_t at = ablate_state_of(&t, step->name);
    bool done = is_in_state(&t, step->name, "done") &&
                strcmp(io_table_at(&t, at, ABLATE_PRINT), print) == 0;
    io_table_clear(&t);
    char *weights = sx_path_join(step->word[1], "weights.h5");
    done = done && sx_file_exists(weights);
    sx_free(weights);
    return done;
}

/* Whether word i of a step is "--set", and the next one how it runs rather than what it makes; of
 * threads as the verbs see it: last bits are no reason to make anything again. */
static bool is_about_running(const ablate_step *step, int i) {
    static const char *const keys[] = {"run.", "model.threads=", "model.activations="};
    if (i + 1 >= step->n || strcmp(step->word[i], "--set") != 0) return false;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        if (strncmp(step->word[i + 1], keys[k], strlen(keys[k])) == 0) return true;
    return false;
}

/* Of the command line, and of the slices that a training reads. */
static sx_err print_of(const ablate_step *step, char print[SX_HASH_HEX]) {
    char slices[SX_HASH_HEX] = "";
    io_cache *cache = NULL;
    sx_err rc = SX_OK;
    if (step->verb == &cmd_train) rc = io_cache_open(&cache, step->word[0]);
    if (rc == SX_OK && cache) io_cache_content_hash(cache, slices);
    sx_hasher *h = sx_hasher_new();
    sx_hasher_add_text(h, step->verb->name);
    for (int i = 0; i < step->n; i++) {
        if (is_about_running(step, i))
            i++;
        else
            sx_hasher_add_text(h, step->word[i]);
    }
    sx_hasher_add(h, slices, strlen(slices));
    sx_hasher_end(h, print);
    io_cache_close(cache);
    return rc;
}

/* ---- what a reader of figures has to know ---- */

/* Of a step; false when what comes after it was not run. */
static bool put_remark(FILE *f, const char *row, const io_table *t, const ablate_step *step) {
    char print[SX_HASH_HEX];
    const int64_t at = ablate_state_of(t, step->name);
    const bool ended = is_in_state(t, step->name, "done") || is_in_state(t, step->name, "items");
    const char *reason = at < 0 ? "" : io_table_at(t, at, ABLATE_REASON);
    if (at < 0)
        fprintf(f, "\n%s: %s has not been run\n", row, step->name);
    else if (*reason)
        fprintf(f, "\n%s: %s: %s\n", row, step->name, reason);
    else if (!ended)
        fprintf(f, "\n%s: %s has begun and not ended\n", row, step->name);
    else if (print_of(step, print) != SX_OK)
        fprintf(f, "\n%s: nobody knows how %s would be run now: %s\n", row, step->name,
                sx_err_text());
    else if (strcmp(io_table_at(t, at, ABLATE_PRINT), print) != 0)
        fprintf(f, "\n%s: %s was run with another command line than that of the study now\n", row,
                step->name);
    return ended;
}

void ablate_row_remarks(const ablate_study *s, int row, FILE *f) {
    const char *name = s->plan.row[row].name;
    char *folder = ablate_row_path(s, row, "");
    ablate_step *step;
    io_table t;
    int n;
    ablate_steps(s, ABLATE_ROWS, row, &step, &n);
    if (ablate_state(folder, &t) != SX_OK)
        fprintf(f, "\n%s: %s\n", name, sx_err_text());
    else
        for (int i = 0; i < n && put_remark(f, name, &t, &step[i]); i++) continue;
    io_table_clear(&t);
    ablate_steps_free(step, n);
    sx_free(folder);
}

/* ---- one step ---- */

static const char *state_of(sx_err rc) {
    switch (rc) {
    case SX_OK:
        return "done";
    case SX_E_ITEMS:
        return "items";
    case SX_E_AGAIN:
        return "stopped";
    default:
        return "failed";
    }
}

static sx_err call(mp_comm *c, const ablate_step *step) {
    job *j = NULL;
    sx_err rc = job_new(&j, step->verb, c, step->n, step->word);
    rc = mp_agree(c, rc);
    if (rc == SX_OK) rc = step->verb->run(j);
    job_free(j);
    return rc;
}

/* Rank 0's word on step i; all learn whether it could be written. The error of the step stays. */
static sx_err tell(mp_comm *c, const steps *all, int i, const char *print, const char *state,
                   double seconds, const char *reason) {
    char text[32];
    snprintf(text, sizeof text, "%.1f", seconds);
    const char *cells[ABLATE_N_COLUMNS] = {all->step[i].name, state, print, text, reason};
    return mp_agree(c, mp_rank(c) == 0 ? note(all, i, cells) : SX_OK);
}

static sx_err run_step(mp_comm *c, const steps *all, int i) {
    const ablate_step *step = &all->step[i];
    char print[SX_HASH_HEX], *reason;
    const double start_s = sx_now_s();
    sx_err rc = mp_agree(c, print_of(step, print));
    if (rc == SX_OK) {
        int64_t known = mp_rank(c) == 0 && was_trained(all->folder, step, print);
        mp_max_i64(c, &known, 1);
        if (known) return SX_OK;
        if ((rc = tell(c, all, i, print, "begun", 0, "")) != SX_OK) return rc;
        rc = call(c, step);
    }
    reason = sx_strdup(rc == SX_OK ? "" : sx_err_text());
    sx_err written = tell(c, all, i, print, state_of(rc), sx_now_s() - start_s, reason);
    if (written == SX_OK && rc != SX_OK) sx_fail(rc, "%s", reason);
    sx_free(reason);
    return written == SX_OK ? rc : written;
}

sx_err ablate_run(const ablate_study *s, ablate_stage stage, int row) {
    mp_comm *c = job_comm(s->j);
    steps all = {.folder = ablate_row_path(s, row, "")};
    char *items = NULL; /* of the first step with failed ones, what it said */
    sx_err rc = SX_OK;
    ablate_steps(s, stage, row, &all.step, &all.n);
    for (int i = 0; i < all.n && rc == SX_OK; i++) {
        const char *name = all.step[i].name;
        sx_info("%s%s%s (step %d of %d)", row < 0 ? "" : s->plan.row[row].name, row < 0 ? "" : ": ",
                name, i + 1, all.n);
        rc = run_step(c, &all, i);
        if (rc != SX_OK) sx_fail_context(rc, "%s", name);
        if (rc != SX_E_ITEMS) continue;
        if (!items) items = sx_strdup(sx_err_text());
        rc = SX_OK;
    }
    if (rc == SX_OK && items) rc = sx_fail(SX_E_ITEMS, "%s", items);
    sx_free(items);
    ablate_steps_free(all.step, all.n);
    sx_free(all.folder);
    return rc;
}
