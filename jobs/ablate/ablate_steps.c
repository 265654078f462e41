/* The steps of a study as command lines (ablate.h).
 *
 * A step gets, of what the user set for the whole study, the keys that are its business, and then
 * the settings of its row among these keys: what comes later counts. Sizes of networks and the
 * steps of the acquisition model shape the training alone; later steps take them from the weights.
 */
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/ablate/ablate.h"
#include "jobs/job/job_shell.h"
#include "jobs/job/verbs.h"

/* ---- words ---- */

static void put(ablate_step *step, const char *word) {
    step->word = sx_grow(step->word, step->n, sizeof *step->word);
    step->word[step->n++] = sx_strdup(word);
}

static void put_path(ablate_step *step, const char *folder, const char *name) {
    char *path = sx_path_join(folder, name);
    put(step, path);
    sx_free(path);
}

static void put_setting(ablate_step *step, const char *key, const char *value) {
    char *word = sx_strf("%s=%s", key, value);
    put(step, "--set");
    put(step, word);
    sx_free(word);
}

/* key = STUDY/cache.h5 */
static void put_cache_setting(ablate_step *step, const ablate_study *s, const char *key) {
    char *cache = sx_path_join(s->out, "cache.h5");
    put_setting(step, key, cache);
    sx_free(cache);
}

/* Who is restored and measured: the test split unless others are named. */
static void put_subjects(ablate_step *step, const ablate_study *s) {
    const char *subjects = job_text(s->j, "ablate.subjects");
    if (*subjects) {
        put_setting(step, "data.subjects", subjects);
        return;
    }
    put_cache_setting(step, s, "data.cache");
    put_setting(step, "data.split", "test");
}

static void put_row_path(ablate_step *step, const ablate_study *s, int row, const char *name) {
    char *path = ablate_row_path(s, row, name);
    put(step, path);
    sx_free(path);
}

/* ---- what a study and its rows need ---- */

/* The row's own value of a key; new (sx_free), NULL when it does not say. */
static char *row_value(const ablate_row *r, const char *key) {
    char *copy = sx_strdup(r->settings), *rest = NULL, *value = NULL;
    const size_t n = strlen(key);
    for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        if (strncmp(w, key, n) != 0 || w[n] != '=') continue;
        sx_free(value);
        value = sx_strdup(w + n + 1);
    }
    sx_free(copy);
    return value;
}

static bool always(const ablate_study *s, int row) {
    (void)s;
    (void)row;
    return true;
}

/* The row's own method, else that of the whole study. */
static bool row_trains(const ablate_study *s, int row) {
    char *own = row_value(&s->plan.row[row], "sr.method");
    const bool trains = strcmp(own ? own : job_text(s->j, "sr.method"), "network") == 0;
    sx_free(own);
    return trains;
}

/* Masks come from a network of this study unless others are named. */
static bool own_segmenter(const ablate_study *s, int row) {
    (void)row;
    return !*job_text(s->j, "ablate.segmenter") && !*job_text(s->j, "ablate.command");
}

/* ---- the steps ---- */

static void put_cache(ablate_step *step, const ablate_study *s, int row) {
    (void)row;
    put(step, "build");
    put(step, job_text(s->j, "ablate.bids"));
    put_path(step, s->out, "cache.h5");
    put_setting(step, "data.acq", job_text(s->j, "ablate.sagittal"));
}

static void put_labels(ablate_step *step, const ablate_study *s, int row) {
    const char *truth = job_text(s->j, "ablate.truth");
    (void)row;
    put(step, "build");
    put(step, truth);
    put_path(step, s->out, "labels.h5");
    put_setting(step, "cache.labels", truth);
    put_setting(step, "data.acq", job_text(s->j, "ablate.isotropic"));
    put_cache_setting(step, s, "data.split_list"); /* nobody who is scored is trained on */
}

static void put_segmenter(ablate_step *step, const ablate_study *s, int row) {
    (void)row;
    put_path(step, s->out, "labels.h5");
    put_path(step, s->out, "segmenter");
    put_setting(step, "model.arch", "seg");
}

static void put_train(ablate_step *step, const ablate_study *s, int row) {
    put_path(step, s->out, "cache.h5");
    put_row_path(step, s, row, "run");
}

static void put_sr(ablate_step *step, const ablate_study *s, int row) {
    put(step, job_text(s->j, "ablate.bids"));
    put_row_path(step, s, row, "sr");
    put_setting(step, "data.acq", job_text(s->j, "ablate.axial"));
    put_subjects(step, s);
    put_setting(step, "sr.stitch", "true");
    if (!row_trains(s, row)) return;
    put(step, "--weights");
    put_row_path(step, s, row, "run");
}

static void put_segment(ablate_step *step, const ablate_study *s, int row) {
    const char *command = job_text(s->j, "ablate.command"),
               *weights = job_text(s->j, "ablate.segmenter");
    put_row_path(step, s, row, "sr");
    put_row_path(step, s, row, "seg");
    if (*command) {
        put_setting(step, "segment.command", command);
        return;
    }
    put(step, "--weights");
    if (*weights)
        put(step, weights);
    else
        put_path(step, s->out, "segmenter");
}

/* "NAME=FOLDER,NAME=FOLDER" of the masks; first, as `eval` takes its differences to that, the row
 * that others are compared with. New (sx_free). */
static char *masks_of_rows(const ablate_study *s) {
    const int first = ablate_plan_find(&s->plan, s->plan.against);
    char *list = NULL;
    for (int i = -1; i < s->plan.n; i++) {
        const int row = i < 0 ? first : i;
        if (i == first) continue;
        char *folder = ablate_row_masks(s, row), *old = list;
        list = sx_strf("%s%s%s=%s", old ? old : "", old ? "," : "", s->plan.row[row].name, folder);
        sx_free(old);
        sx_free(folder);
    }
    return list;
}

static void put_scores(ablate_step *step, const ablate_study *s, int row) {
    char *list = masks_of_rows(s);
    (void)row;
    put(step, "vertebrae");
    put_path(step, s->out, "scores");
    put_setting(step, "eval.truth", job_text(s->j, "ablate.truth"));
    put_setting(step, "eval.lr", job_text(s->j, "ablate.bids"));
    put_setting(step, "eval.acq", job_text(s->j, "ablate.axial"));
    put_setting(step, "vertebrae.pred", list);
    put_subjects(step, s);
    sx_free(list);
}

/* `takes`: sections ("train.") and single keys that are the step's business. */
static const struct kind {
    ablate_stage stage;
    const char *name;
    const job_verb *verb;
    bool (*needed)(const ablate_study *s, int row);
    void (*put)(ablate_step *step, const ablate_study *s, int row);
    const char *takes;
} kinds[] = {
    {ABLATE_PREPARE, "cache", &cmd_cache, always, put_cache, "cache.,data.,run."},
    {ABLATE_PREPARE, "labels", &cmd_cache, own_segmenter, put_labels, "cache.,data.,run."},
    {ABLATE_PREPARE, "segmenter", &cmd_train, own_segmenter, put_segmenter,
     "model.kernels,model.threads,model.activations,run."},
    {ABLATE_ROWS, "train", &cmd_train, row_trains, put_train,
     "train.,model.,diffusion.,degrade.,run."},
    {ABLATE_ROWS, "sr", &cmd_sr, always, put_sr,
     "sr.,stitch.,data.,diffusion.steps,model.kernels,model.threads,run."},
    {ABLATE_ROWS, "segment", &cmd_segment, always, put_segment,
     "segment.,model.kernels,model.threads,run."},
    {ABLATE_SCORES, "scores", &cmd_eval, always, put_scores, "vertebrae.,run."},
};
#define N_KINDS ((int)(sizeof kinds / sizeof *kinds))

/* What its section of a sweep file may set, which is more than what is set for all. */
static const struct kind of_segmenter = {.verb = &cmd_train, .takes = "train.,model.,run."};

/* ---- settings ---- */

/* Not what the study itself decides: which images, which rows. */
static bool takes(const struct kind *k, const char *key) {
    static const char *const ours[] = {"run.part", "data.acq", "data.subjects", "data.cache",
                                       "data.split"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcmp(key, ours[i]) == 0) return false;
    if (!job_find_option(k->verb, key)) return false;
    for (const char *p = k->takes; p; p = strchr(p, ',')) {
        p += *p == ',';
        const size_t n = strcspn(p, ",");
        if (p[n - 1] == '.' ? strncmp(key, p, n) == 0 : strlen(key) == n && !strncmp(key, p, n))
            return true;
    }
    return false;
}

/* What is another thing in each row, or what ablate.* says: one file may describe a study and
 * single runs of its verbs. */
static bool is_of_rows(const char *key) {
    static const char *const keys[] = {"cache.labels", "sr.weights", "segment.weights",
                                       "segment.command", "vertebrae.pred"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

static void put_given(ablate_step *step, const ablate_study *s, const struct kind *k) {
    const char *key;
    for (int i = 0; (key = job_key(s->j, i)); i++)
        if (job_given(s->j, key) && takes(k, key) && !is_of_rows(key))
            put_setting(step, key, job_as_given(s->j, key));
}

/* Those of "key=value key=value" that the step takes. */
static void put_settings(ablate_step *step, const struct kind *k, const char *settings) {
    char *copy = sx_strdup(settings), *rest = NULL;
    for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(w, '=');
        *value++ = '\0';
        if (takes(k, w)) put_setting(step, w, value);
    }
    sx_free(copy);
}

static bool row_takes(const char *key) {
    for (int i = 0; i < N_KINDS; i++)
        if (kinds[i].stage == ABLATE_ROWS && takes(&kinds[i], key)) return true;
    return false;
}

static bool segmenter_takes(const char *key) {
    return takes(&of_segmenter, key);
}

static sx_err check_keys(const char *settings, bool (*known)(const char *key), const char *whose) {
    char *copy = sx_strdup(settings), *rest = NULL;
    sx_err rc = SX_OK;
    for (char *w = strtok_r(copy, " ", &rest); w && rc == SX_OK; w = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(w, '=');
        if (value) *value = '\0';
        if (!value)
            rc = sx_fail(SX_E_CONFIG,
                         "\"%s\" of \"%s\": should be section.key=value; settings stand apart by "
                         "blanks, so a value has none",
                         w, settings);
        else if (!known(w))
            rc = sx_fail(SX_E_CONFIG, "no step of %s has the key %s", whose, w);
    }
    sx_free(copy);
    return rc;
}

sx_err ablate_row_keys(const ablate_row *r) {
    return check_keys(r->settings, row_takes, "a row");
}

sx_err ablate_segmenter_keys(const ablate_plan *p) {
    const sx_err rc =
        p->segmenter ? check_keys(p->segmenter, segmenter_takes, "the segmenter") : SX_OK;
    return rc == SX_OK ? rc : sx_fail_context(rc, "[segmenter]");
}

/* ---- together ---- */

char *ablate_row_path(const ablate_study *s, int row, const char *name) {
    return row < 0 ? sx_path_join(s->out, name)
                   : sx_strf("%s/rows/%s/%s", s->out, s->plan.row[row].name, name);
}

char *ablate_row_masks(const ablate_study *s, int row) {
    return ablate_row_path(s, row, s->failed && s->failed[row] ? "none" : "seg");
}

void ablate_steps(const ablate_study *s, ablate_stage stage, int row, ablate_step **step, int *n) {
    *step = SX_NEW_ARRAY(ablate_step, N_KINDS);
    *n = 0;
    for (int i = 0; i < N_KINDS; i++) {
        const struct kind *k = &kinds[i];
        if (k->stage != stage || !k->needed(s, row)) continue;
        ablate_step *one = &(*step)[(*n)++];
        *one = (ablate_step){.name = k->name, .verb = k->verb};
        k->put(one, s, row);
        put_given(one, s, k);
        if (stage == ABLATE_ROWS) put_settings(one, k, s->plan.row[row].settings);
        if (k->put == put_segmenter && s->plan.segmenter)
            put_settings(one, &of_segmenter, s->plan.segmenter);
    }
}

void ablate_steps_free(ablate_step *step, int n) {
    for (int i = 0; i < n; i++) {
        for (int w = 0; w < step[i].n; w++) sx_free(step[i].word[w]);
        sx_free(step[i].word);
    }
    sx_free(step);
}

char *ablate_step_command(const ablate_step *step) {
    return job_command_line(step->verb, step->n, step->word);
}
