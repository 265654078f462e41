/* The command line of sbatch (submit.h): what is asked for, in Slurm's words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_shell.h"
#include "jobs/submit/submit.h"

/* Options of sbatch, in their order. */
static const struct {
    const char *key, *option;
} sbatch_table[] = {
    {"submit.nodes", "--nodes"},
    {"submit.ntasks", "--ntasks"},
    {"submit.cpus", "--cpus-per-task"},
    {"submit.time", "--time"},
    {"submit.mem", "--mem"},
    {"submit.partition", "--partition"},
    {"submit.account", "--account"},
    {"submit.qos", "--qos"},
    {"submit.dependency", "--dependency"},
    {"submit.name", "--job-name"},
};
#define N_SBATCH ((int)(sizeof sbatch_table / sizeof *sbatch_table))

/* ---- how much ---- */

/* N of a line "#SBATCH --option=N"; 0 when there is none. */
static int64_t number_in(const char *script, const char *option) {
    char *line = sx_strf("\n#SBATCH %s=", option);
    const char *at = strstr(script, line);
    const int64_t n = at ? strtoll(at + strlen(line), NULL, 10) : 0;
    sx_free(line);
    return n > 0 ? n : 0;
}

static int64_t first_of(int64_t told, int64_t otherwise) {
    return told > 0 ? told : otherwise;
}

submit_size submit_size_of(const job *j, const char *script) {
    const int64_t asked = job_int(j, "submit.nodes"), nodes = number_in(script, "--nodes"),
                  ntasks = number_in(script, "--ntasks");
    const int64_t a_node = nodes > 0 ? (ntasks + nodes - 1) / nodes : 0;
    return (submit_size){
        .nodes = first_of(asked, nodes),
        .ntasks = first_of(job_int(j, "submit.ntasks"), asked > 0 ? asked * a_node : ntasks),
        .cpus =
            first_of(job_int(j, "submit.cpus"), first_of(number_in(script, "--cpus-per-task"), 1))};
}

/* ---- words ---- */

/* A number of 0 stands for nothing; a text of 0 means something to Slurm (--mem 0: all there is).
 */
static bool is_set(const job *j, const char *key) {
    const bool number = job_find_option(job_verb_of(j), key)->type == JOB_INT;
    return number ? job_int(j, key) != 0 : *job_text(j, key) != '\0';
}

static void put_option(FILE *f, const char *option, const char *value) {
    char *word = sx_strf("%s=%s", option, value);
    fputc(' ', f);
    job_quote(f, word);
    sx_free(word);
}

/* Each word quoted: constraints hold what means something to a shell ("a|b"). */
static void put_words(FILE *f, const char *text) {
    char *copy = sx_strdup(text), *rest = NULL;
    for (char *word = strtok_r(copy, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        fputc(' ', f);
        job_quote(f, word);
    }
    sx_free(copy);
}

/* sbatch with what site.env says, then what the command line says. */
char *submit_command(const submit_order *o, const char *how, const char *script,
                     const char *argument) {
    const job *j = o->j;
    char *text = NULL, *tool = sx_path_join(o->templates, "sbatch.sh");
    size_t n_bytes;
    FILE *f = open_memstream(&text, &n_bytes);
    SX_ASSERT(f);
    fputs("SAGAX_COMMAND=", f); /* what `sagax status` tells to run again */
    job_quote(f, job_command(j));
    fputs(" SAGAX_SLURM_DIR=", f);
    job_quote(f, o->templates);
    fputc(' ', f);
    job_quote(f, tool);
    fprintf(f, " %s", how);
    put_option(f, "--output", o->log);
    if (o->parts > 0) fprintf(f, " --array=0-%lld", (long long)o->parts - 1);
    for (int i = 0; i < N_SBATCH; i++)
        if (is_set(j, sbatch_table[i].key))
            put_option(f, sbatch_table[i].option, job_as_given(j, sbatch_table[i].key));
    if (is_set(j, "submit.nodes") && !is_set(j, "submit.ntasks") && o->size.ntasks > 0)
        fprintf(f, " --ntasks=%lld", (long long)o->size.ntasks);
    if (is_set(j, "submit.dependency")) fputs(" --kill-on-invalid-dep=yes", f);
    put_words(f, job_text(j, "submit.sbatch"));
    fputc(' ', f);
    job_quote(f, script);
    if (argument) fputc(' ', f);
    if (argument) job_quote(f, argument);
    fclose(f);
    sx_free(tool);
    return text;
}
