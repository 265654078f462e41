/* Help: the list of verbs, and a verb's usage with its keys, all made from the tables. */
#include <stdio.h>
#include <string.h>
#include "jobs/job/job_internal.h"

static const struct {
    const char *flag, *help;
} common_help[] = {
    {"--config FILE", "read an INI file (repeatable)"},
    {"--set section.key=value", "set one key (repeatable); wins over files"},
    {"--print-config", "print the resolved configuration as JSON and stop"},
    {"--dry-run", "check everything, write nothing"},
    {"--explain", "say of every item what is done and why; with --dry-run nothing is done"},
    {"--json", "machine-readable output on stdout"},
    {"--submission FOLDER", "work from what `sagax submit` froze"},
    {"--log FILE", "append the log as JSON lines"},
    {"-v, -q", "more or less on stderr"},
    {"--help, --version", ""},
};
#define N_COMMON_HELP ((int)(sizeof common_help / sizeof *common_help))

static const char exit_codes[] =
    "Exit codes: 0 ok, 1 some items failed, 64 usage, 65 bad data or diverged, 66 input missing,\n"
    "69 MPI or Slurm not usable, 70 internal, 73 cannot write, 74 input/output error,\n"
    "75 checkpointed: run again, 78 configuration.\n";

static void print_common(void) {
    printf("Options of every verb:\n");
    for (int i = 0; i < N_COMMON_HELP; i++)
        printf("  %-26s %s\n", common_help[i].flag, common_help[i].help);
}

void job_print_verbs(const job_verb *const *verbs) {
    printf("usage: sagax VERB [arguments] [options]\n\nVerbs:\n");
    for (int i = 0; verbs[i]; i++) printf("  %-12s %s\n", verbs[i]->name, verbs[i]->summary);
    printf("\nsagax VERB --help lists a verb's options and configuration keys.\n\n");
    print_common();
    printf("\n%s", exit_codes);
}

static const char *flag_of(const job_verb *v, const char *key) {
    for (const job_alias *a = v->aliases; a && a->flag; a++)
        if (strcmp(a->key, key) == 0) return a->flag;
    return "";
}

static void print_key(const job_verb *v, const job_option *o) {
    char limits[256];
    job__limits(o, limits, sizeof limits);
    const char *flag = flag_of(v, o->key);
    printf("  %s%s%s%s\n      %s\n      %s%s%s, default %s\n", o->key, *flag ? ", " : "", flag,
           *flag && o->type == JOB_BOOL ? " (no value)" : "", o->help,
           o->type == JOB_CHOICE ? "" : job__type_name(o->type),
           *limits && o->type != JOB_CHOICE ? " " : "", limits, *o->initial ? o->initial : "empty");
}

void job_print_usage(const job_verb *v) {
    printf("usage: sagax %s %s%s[options]\n%s\n", v->name, v->arguments ? v->arguments : "",
           v->arguments && *v->arguments ? " " : "", v->summary);
    if (v->ranks) printf("Runs on any number of ranks (srun or mpiexec), also on one.\n");
    printf("\nConfiguration keys (INI: [section] key = value):\n");
    const job_option *table;
    for (int i = 0; (table = job__table(v, i)); i++)
        for (const job_option *o = table; o->key; o++) print_key(v, o);
    printf("\n");
    print_common();
}
