/* The program: verbs, options, configuration, exit.
 *
 * One binary, `sagax VERB [arguments] [options]`. A verb is a row of the table in
 * jobs/job/job_verbs.c: name, what it does, which configuration sections it reads, which short
 * options it offers (each an alias of a configuration key), and its function. Configuration is INI
 * in (--config), changed by --set section.key=value and aliases; resolved JSON out, every value
 * with its origin (default, preset, file, command line). Unknown keys and values out of range are
 * refused (exit 78, or 64 on the command line).
 *
 * A verb returns sx_err; main prints the one-line message and exits with sx_err_exit. */
#ifndef JOB_H
#define JOB_H

#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"
#include "mpi/mp_comm.h"

typedef enum job_type { JOB_INT, JOB_REAL, JOB_BOOL, JOB_TEXT, JOB_CHOICE } job_type;

/* One configuration key. */
typedef struct job_option {
    const char *key; /* "train.steps" */
    job_type type;
    const char *initial; /* default as text */
    const char *choices; /* "eps|v|x0" for JOB_CHOICE, else NULL */
    double min, max;     /* for numbers; both 0: no limits */
    const char *help;    /* one line, with unit */
} job_option;
#define JOB_OPTIONS_END                                                                            \
    { NULL, JOB_INT, NULL, NULL, 0, 0, NULL }

/* Short form on the command line: --flag VALUE (or --flag alone for JOB_BOOL) sets `key`. */
typedef struct job_alias {
    const char *flag; /* "--steps" */
    const char *key;  /* "train.steps" */
} job_alias;
#define JOB_ALIASES_END                                                                            \
    { NULL, NULL }

typedef struct job job;

/* Whether a verb starts MPI. */
typedef enum job_ranks {
    JOB_ALONE = false,
    JOB_RANKS = true,
    JOB_RANKS_TO_BUILD /* when its first argument is "build" */
} job_ranks;

/* A max_args: any number, and from the first argument on all words are arguments, options too. */
enum { JOB_ARGS_REST = -2 };

typedef struct job_verb {
    const char *name;
    const char *arguments; /* "BIDS OUT" for the usage line */
    const char *summary;
    const job_option *const *sections; /* NULL-terminated list of option tables */
    const job_alias *aliases;          /* may be NULL */
    int min_args, max_args;            /* positional arguments; max_args < 0: any number */
    job_ranks ranks;
    sx_err (*run)(job *j);
} job_verb;

/* ---- what a verb asks of its job; the job is built by main ---- */
const job_verb *job_verb_of(const job *j);
int job_n_args(const job *j);
const char *job_arg(const job *j, int i); /* borrowed */
char **job_args(const job *j);            /* [job_n_args], borrowed */
mp_comm *job_comm(const job *j);          /* mp_self() for verbs without ranks */
/* The command line that this job was given, to be pasted into a shell: "sagax sr in out"; borrowed.
 */
const char *job_command(const job *j);
/* The command that runs this again: of a batch job that is how it was submitted; borrowed. */
const char *job_command_again(const job *j);
bool job_dry_run(const job *j);
bool job_json(const job *j);            /* --json: machine output on stdout */
bool job_explain(const job *j);         /* --explain */
bool job_only_shows(const job *j);      /* --help or --print-config */
int job_verbosity(const job *j);        /* +1 a -v, -1 a -q */
const char *job_log_path(const job *j); /* --log, borrowed, or NULL */

int64_t job_int(const job *j, const char *key);
double job_real(const job *j, const char *key);
bool job_bool(const job *j, const char *key);
const char *job_text(const job *j, const char *key); /* borrowed; "" when empty */
/* A value of any type as the text it was read from; borrowed. */
const char *job_as_given(const job *j, const char *key);
/* True when the value came from a file or the command line. */
bool job_given(const job *j, const char *key);
/* True when the verb reads this key at all (shared code asks before it reads an optional section).
 */
bool job_has(const job *j, const char *key);
/* Key number i of those that the verb reads; NULL after the last. */
const char *job_key(const job *j, int i);
/* Give a key that the verb has another default (what weights were trained with); what a file or the
 * command line says stays. Errors: SX_E_CONFIG. */
sx_err job_preset(job *j, const char *key, const char *text);

/* One of several things that a verb does; its first argument names it. */
typedef struct job_action {
    const char *name;
    int n_args; /* name included */
    sx_err (*run)(job *j);
} job_action;
/* Run the one of table [n] that the arguments are for. Errors: SX_E_USAGE (for none), its own. */
sx_err job_act(job *j, const job_action *table, size_t n);

/* Resolved configuration as JSON text, {"train":{"steps":{"value":…,"origin":"default"}}}; new
 * (sx_free). */
char *job_config_json(const job *j);
/* SHA-256 of the values of the named sections ("degrade,model"), NULL for all; origin does not
 * count. */
void job_config_hash(const job *j, const char *sections, char hex[65]);

/* Build a job without main, for tests: argv without program name. */
sx_err job_new(job **j, const job_verb *v, mp_comm *c, int argc, char **argv);
void job_free(job *j);

/* The option of this key that the verb reads, or NULL. */
const job_option *job_find_option(const job_verb *v, const char *key);

/* What --help prints. */
void job_print_verbs(const job_verb *const *verbs);
void job_print_usage(const job_verb *v);
/* Version line: version, git revision, compiler, libraries, kernel ISA. */
void job_print_version(void);

#endif
