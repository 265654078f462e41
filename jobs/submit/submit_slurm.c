/* What is asked of Slurm's commands (submit.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job/job_shell.h"
#include "jobs/submit/submit.h"

sx_err submit_max_array(int64_t *n) {
    int status;
    char *text = job_shell("scontrol show config 2>&1", &status);
    const char *at = status == 0 ? strstr(text, "MaxArraySize") : NULL;
    *n = at && (at = strchr(at, '=')) ? strtoll(at + 1, NULL, 10) : 0;
    sx_err rc = SX_OK;
    if (*n <= 0) {
        job_shell_flatten(text);
        rc = sx_fail(SX_E_MPI, "scontrol show config: %s", *text ? text : "no answer");
    }
    sx_free(text);
    return rc;
}

/* What sbatch said, as a sentence: one line, without who says it before each part; new (sx_free).
 * Longer than what was said where no line begins with a speaker. */
static char *tidy(const char *text) {
    static const char *const speakers[] = {"sbatch: error: ", "sbatch: ", "allocation failure: "};
    char *sentence = sx_alloc(2 * (int64_t)strlen(text) + 1, 1), *to = sentence;
    for (const char *line = text; *line; line += strspn(line, "\r\n")) {
        const char *end = line + strcspn(line, "\r\n");
        for (size_t i = 0; i < sizeof speakers / sizeof *speakers; i++)
            if (strncmp(line, speakers[i], strlen(speakers[i])) == 0) line += strlen(speakers[i]);
        if (to > sentence && end > line) {
            *to++ = ';';
            *to++ = ' ';
        }
        while (line < end) *to++ = *line++;
    }
    *to = '\0';
    job_shell_flatten(sentence);
    return sentence;
}

static bool has_one_of(const char *text, const char *const *words) {
    for (; *words; words++)
        if (strstr(text, *words)) return true;
    return false;
}

/* Slurm is there but has no time: the next try may do. */
static bool is_busy(const char *text) {
    static const char *const words[] = {"Socket timed out", "Resource temporarily unavailable",
                                        "Slurm temporarily unable to accept job", NULL};
    return has_one_of(text, words);
}

/* sbatch does not understand, or knows no such partition, account, ...: it never will. */
static bool is_refusal(const char *text) {
    static const char *const words[] = {"sbatch: error:", "sbatch: unrecognized option",
                                        "sbatch: option ", "Invalid", NULL};
    return has_one_of(text, words) && !is_busy(text);
}

/* No sbatch (127 of a shell), or no Slurm that it finds, or that answers (124 of timeout). */
static bool is_silent(const char *text, int status) {
    static const char *const words[] = {"Could not establish a configuration source",
                                        "Unable to contact slurm controller", NULL};
    return status == 127 || status == 124 || has_one_of(text, words);
}

/* sbatch --parsable prints a line "id" or "id;cluster", perhaps between what a shell or a wrapper
 * of the site has to say. */
static char *id_in(const char *text) {
    const char *id = NULL;
    for (const char *line = text; *line; line += strspn(line, "\n")) {
        const size_t n = strspn(line, "0123456789");
        if (n > 0 && strchr(";\n", line[n])) id = line; /* or the end of the text */
        line += strcspn(line, "\n");
    }
    return id ? sx_strf("%.*s", (int)strspn(id, "0123456789"), id) : NULL;
}

sx_err submit_sbatch(const char *command, char **id) {
    enum { TRIES = 5 };
    char *all = sx_strf("%s 2>&1", command);
    sx_err rc = SX_OK;
    *id = NULL;
    for (int i = 0; !*id; i++) {
        int status;
        char *text = job_shell(all, &status);
        if (status == 0) *id = id_in(text);
        const bool again = !*id && i + 1 < TRIES && is_busy(text);
        char *said = tidy(text);
        if (again) {
            sx_warn("%s; trying again", said);
            nanosleep(&(struct timespec){.tv_sec = 2 << i}, NULL);
        } else if (!*id) {
            rc = sx_fail(SX_E_MPI, "sbatch: %s", *said ? said : "no answer");
        }
        sx_free(said);
        sx_free(text);
        if (rc != SX_OK) break;
    }
    sx_free(all);
    return rc;
}

/* ---- dependencies ---- */

/* The jobs of "afterok:12:13_4,after:15+10" as "12,13_4,15", new (sx_free): numbers alone, for they
 * go to a shell. */
static char *jobs_in(const char *dependency) {
    char *list = sx_strdup("");
    for (const char *p = strchr(dependency, ':'); p; p = strchr(p + 1, ':')) {
        const int n = (int)strspn(p + 1, "0123456789_");
        char *longer = sx_strf("%s%s%.*s", list, *list && n ? "," : "", n, p + 1);
        sx_free(list);
        list = longer;
    }
    return list;
}

bool submit_knows_any(const char *dependency) {
    char *list = jobs_in(dependency);
    char *command = sx_strf("timeout 10 squeue -h -t all -o %%i -j %s 2>&1", list);
    int status;
    char *text = *list ? job_shell(command, &status) : NULL;
    const bool none = text && (status == 0 ? !*text : strstr(text, "Invalid job id") != NULL);
    sx_free(text);
    sx_free(command);
    sx_free(list);
    return !none;
}

/* ---- room ---- */

static int most_first(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Nodes of a partition by the ranks that they take when empty, most first; new (sx_free). Text is a
 * line "partition processors" a node; those that count have a star behind the partition, as sinfo
 * marks the default one. */
static int64_t *ranks_of_nodes(char *text, int64_t cpus, char partition[64], int64_t *n) {
    int64_t *ranks = NULL;
    char *rest = NULL;
    *n = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[64];
        long long processors;
        if (sscanf(line, "%63s %lld", name, &processors) != 2) continue;
        if (name[strlen(name) - 1] != '*') continue;
        snprintf(partition, 64, "%.*s", (int)strcspn(name, "*"), name);
        ranks = sx_grow(ranks, *n, sizeof *ranks);
        ranks[(*n)++] = processors / cpus;
    }
    if (*n) qsort(ranks, (size_t)*n, sizeof *ranks, most_first);
    return ranks;
}

static char *ask_for_nodes(const submit_order *o) {
    const char *partition = job_text(o->j, "submit.partition");
    char *command = NULL;
    size_t n_bytes;
    int status;
    FILE *f = open_memstream(&command, &n_bytes);
    SX_ASSERT(f);
    fputs("SAGAX_SLURM_DIR=", f);
    job_quote(f, o->templates);
    fputs("; . \"${SAGAX_SITE:-$SAGAX_SLURM_DIR/site.env}\"; ", f);
    if (*partition) fputs("SAGAX_PARTITION=", f);
    if (*partition) job_quote(f, partition);
    fputs("\ntimeout 10 sinfo -h -N -o '%P %c' ${SAGAX_PARTITION:+-p \"$SAGAX_PARTITION\"} "
          "2>/dev/null | sed \"s/ /${SAGAX_PARTITION:+*} /\"",
          f);
    fclose(f);
    char *text = job_shell(command, &status);
    sx_free(command);
    return text;
}

/* Whether all nodes together, in whatever state, are too few. */
static sx_err check_ever(const submit_order *o) {
    char partition[64] = "", *text = ask_for_nodes(o);
    const submit_size *s = &o->size;
    int64_t n, room = 0, *ranks = ranks_of_nodes(text, s->cpus, partition, &n);
    for (int64_t i = 0; i < n && i < s->nodes; i++) room += ranks[i];
    sx_err rc = SX_OK;
    if (n > 0 && n < s->nodes)
        rc = sx_fail(SX_E_MPI, "submit: partition %s has %lld node%s, not %lld", partition,
                     (long long)n, n > 1 ? "s" : "", (long long)s->nodes);
    else if (n > 0 && room < s->ntasks)
        rc = sx_fail(
            SX_E_MPI,
            "submit: %lld ranks of %lld processor%s on %lld node%s never fit into partition "
            "%s, where so many nodes take %lld: say --nodes and --ntasks",
            (long long)s->ntasks, (long long)s->cpus, s->cpus > 1 ? "s" : "", (long long)s->nodes,
            s->nodes > 1 ? "s" : "", partition, (long long)room);
    sx_free(ranks);
    sx_free(text);
    return rc;
}

sx_err submit_check_room(const submit_order *o, const char *template, char **waits_for) {
    int status;
    *waits_for = NULL;
    char *order = submit_command(o, "--test-only", template, NULL);
    char *command = sx_strf("timeout 20 env %s 2>&1", order);
    char *text = job_shell(command, &status), *said = tidy(text);
    const bool refused = status != 0 && is_refusal(text);
    const bool no_room = strstr(text, "Requested node configuration is not available") != NULL;
    sx_err rc = SX_OK;
    if (job_dry_run(o->j) && is_silent(text, status))
        sx_warn("Slurm does not answer here, so what it would say to this is not known: %s", said);
    else if (refused)
        rc = sx_fail(SX_E_MPI, "sbatch: %s", said);
    else if (no_room && o->size.nodes > 0)
        rc = check_ever(o);
    if (rc == SX_OK && no_room) *waits_for = sx_strdup(said);
    sx_free(said);
    sx_free(order);
    sx_free(command);
    sx_free(text);
    return rc;
}
