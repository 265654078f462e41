/* The command line: common options (one table), the verb's aliases, positional arguments.
 *
 * `--name value` and `--name=value` are the same; `--` ends the options. */
#include <stddef.h>
#include <string.h>
#include "base/sx_mem.h"
#include "jobs/job/job_internal.h"
#include "jobs/job/job_shell.h"

/* ---- common options ---- */

static sx_err on_config(job *j, const char *text) {
    return job__read_file(j, text);
}

static sx_err on_set(job *j, const char *text) {
    const char *equals = strchr(text, '=');
    if (!equals) return sx_fail(SX_E_USAGE, "--set %s: should be section.key=value", text);
    char *key = sx_strf("%.*s", (int)(equals - text), text);
    sx_err rc;
    if (job_has(j, key)) {
        rc = job__set(j, key, equals + 1, JOB_COMMAND_LINE, SX_E_USAGE);
    } else {
        char *near = job__suggest_key(j, key);
        rc = sx_fail(SX_E_USAGE, "--set %s: %s has no such key%s%s%s", text, j->verb->name,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
        sx_free(near);
    }
    sx_free(key);
    return rc;
}

static sx_err on_log(job *j, const char *text) {
    sx_free(j->log_path);
    j->log_path = sx_strdup(text);
    return SX_OK;
}

static sx_err on_submission(job *j, const char *text) {
    return job__read_submission(j, text);
}

/* `set` takes a value, `count` does not; a row with neither sets the bool at `offset` of the job.
 */
static const struct common {
    const char *flag;
    sx_err (*set)(job *j, const char *text);
    int count;
    size_t offset;
} common_table[] = {
    {"--config", on_config, 0, 0},
    {"--set", on_set, 0, 0},
    {"--log", on_log, 0, 0},
    {"--submission", on_submission, 0, 0},
    {"-v", NULL, 1, 0},
    {"--verbose", NULL, 1, 0},
    {"-q", NULL, -1, 0},
    {"--quiet", NULL, -1, 0},
    {"--dry-run", NULL, 0, offsetof(job, dry_run)},
    {"--explain", NULL, 0, offsetof(job, explain)},
    {"--json", NULL, 0, offsetof(job, json)},
    {"--print-config", NULL, 0, offsetof(job, print_config)},
    {"--help", NULL, 0, offsetof(job, help)},
    {"-h", NULL, 0, offsetof(job, help)},
};
#define N_COMMON ((int)(sizeof common_table / sizeof *common_table))

/* ---- look-up ---- */

/* Two rows of Levenshtein's table; words longer than a row are simply far away. */
int job__distance(const char *a, const char *b) {
    enum { ROW = 80 };
    int previous[ROW], row[ROW];
    int n = (int)strlen(b);
    if (n >= ROW) return ROW;
    for (int k = 0; k <= n; k++) previous[k] = k;
    for (int i = 1; *a; a++, i++) {
        row[0] = i;
        for (int k = 1; k <= n; k++) {
            int change = previous[k - 1] + (*a != b[k - 1]);
            int edit = (previous[k] < row[k - 1] ? previous[k] : row[k - 1]) + 1;
            row[k] = change < edit ? change : edit;
        }
        memcpy(previous, row, sizeof row);
    }
    return previous[n];
}

static const struct common *find_common(const char *flag) {
    for (int i = 0; i < N_COMMON; i++)
        if (strcmp(common_table[i].flag, flag) == 0) return &common_table[i];
    return NULL;
}

static const job_alias *find_alias(const job_verb *v, const char *flag) {
    for (const job_alias *a = v->aliases; a && a->flag; a++)
        if (strcmp(a->flag, flag) == 0) return a;
    return NULL;
}

/* Short words are near to all others: as much as half of the letters may differ, and no more. */
static int edits_allowed(const char *flag) {
    const int letters = (int)strlen(flag + strspn(flag, "-")), most = 2;
    return letters / 2 < most ? letters / 2 : most;
}

static void consider(const char *given, const char *flag, const char **best, int *least) {
    int d = job__distance(given, flag);
    if (d >= *least) return;
    *least = d;
    *best = flag;
}

static sx_err unknown_option(const job *j, const char *flag) {
    const char *near = NULL;
    int least = edits_allowed(flag) + 1;
    for (int i = 0; i < N_COMMON; i++) consider(flag, common_table[i].flag, &near, &least);
    for (const job_alias *a = j->verb->aliases; a && a->flag; a++)
        consider(flag, a->flag, &near, &least);
    return sx_fail(SX_E_USAGE, "unknown option %s%s%s%s (sagax %s --help lists all)", flag,
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "", j->verb->name);
}

/* ---- parsing ---- */

typedef struct cursor {
    int argc;
    char **argv;
    int next;
    const char *bare;  /* the word before is this option, which takes no value; else NULL */
    const char *stray; /* such an option with "true" or "false" behind it; NULL: none */
} cursor;

/* The value of an option: what stands behind '=', else the next word. */
static sx_err take_value(cursor *c, const char *flag, const char *inline_value,
                         const char **value) {
    if (inline_value)
        *value = inline_value;
    else if (c->next < c->argc)
        *value = c->argv[c->next++];
    else
        return sx_fail(SX_E_USAGE, "%s needs a value", flag);
    return SX_OK;
}

static sx_err apply_common(job *j, cursor *c, const struct common *o, const char *inline_value) {
    const char *value = NULL;
    if (o->set) {
        sx_err rc = take_value(c, o->flag, inline_value, &value);
        return rc == SX_OK ? o->set(j, value) : rc;
    }
    if (inline_value) return sx_fail(SX_E_USAGE, "%s takes no value", o->flag);
    if (o->count)
        j->verbosity += o->count;
    else
        *(bool *)((char *)j + o->offset) = true;
    return SX_OK;
}

static sx_err apply_alias(job *j, cursor *c, const job_alias *a, const char *inline_value) {
    const char *value = inline_value;
    const job_value *v = job__find(j, a->key);
    SX_ASSERT(v); /* an alias of a key that the verb does not read */
    sx_err rc = SX_OK;
    if (v->option->type == JOB_BOOL && !inline_value) {
        value = "true";
        c->bare = a->flag;
    } else if (v->option->type != JOB_BOOL)
        rc = take_value(c, a->flag, inline_value, &value);
    if (rc == SX_OK) rc = job__set(j, a->key, value, JOB_COMMAND_LINE, SX_E_USAGE);
    return rc;
}

static sx_err apply_option(job *j, cursor *c, const char *word) {
    size_t n = strcspn(word, "=");
    const char *inline_value = word[n] == '=' ? word + n + 1 : NULL;
    char *flag = sx_strf("%.*s", (int)n, word);
    const struct common *o = find_common(flag);
    const job_alias *a = find_alias(j->verb, flag);
    sx_err rc;
    if (a)
        rc = apply_alias(j, c, a, inline_value);
    else if (o)
        rc = apply_common(j, c, o, inline_value);
    else
        rc = unknown_option(j, flag);
    sx_free(flag);
    return rc;
}

static bool is_option(const char *word) {
    return word[0] == '-' && word[1] != '\0';
}

/* An argument; one that is meant as the value of the option before it is one too many. */
static void take_argument(job *j, cursor *c, const char *before, const char *word) {
    if (before && (strcmp(word, "true") == 0 || strcmp(word, "false") == 0)) c->stray = before;
    j->arg[j->n_args++] = sx_strdup(word);
}

static sx_err check_count(const job *j, const cursor *c) {
    const job_verb *v = j->verb;
    bool few = j->n_args < v->min_args, many = v->max_args >= 0 && j->n_args > v->max_args;
    if (!few && !many) return SX_OK;
    if (many && c->stray)
        return sx_fail(SX_E_USAGE, "%s takes no value; %s=false turns it off", c->stray, c->stray);
    const char *arguments = v->arguments ? v->arguments : "";
    return sx_fail(SX_E_USAGE, "too %s arguments; usage: sagax %s %s%s[options]",
                   few ? "few" : "many", v->name, arguments, *arguments ? " " : "");
}

sx_err job__parse_command_line(job *j, int argc, char **argv) {
    cursor c = {.argc = argc, .argv = argv};
    bool options = true;
    j->command = job_command_line(j->verb, argc, argv);
    j->arg = SX_NEW_ARRAY(char *, argc);
    while (c.next < argc) {
        const char *word = argv[c.next++], *before = c.bare;
        sx_err rc = SX_OK;
        c.bare = NULL;
        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (options && is_option(word))
            rc = apply_option(j, &c, word);
        else
            take_argument(j, &c, before, word);
        if (j->n_args > 0 && j->verb->max_args == JOB_ARGS_REST) options = false;
        if (rc != SX_OK) return rc;
    }
    return j->help || j->print_config ? SX_OK : check_count(j, &c);
}
