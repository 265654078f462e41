/* Inside of a job; for this folder only.
 *
 * A job holds one value for each key that its verb knows. A value has a text, its parsed number and
 * an origin; a set from a stronger origin wins, an equal one replaces (the last counts), a weaker
 * one is ignored. So the order of --config and --set on the command line does not matter. */
#ifndef JOB_INTERNAL_H
#define JOB_INTERNAL_H

#include "base/sx_log.h"
#include "jobs/job/job.h"

/* Weakest first. */
typedef enum job_origin { JOB_DEFAULT, JOB_PRESET, JOB_FILE, JOB_COMMAND_LINE } job_origin;

typedef struct job_value {
    const job_option *option; /* borrowed */
    char *text;               /* owned; as given */
    int64_t integer;          /* JOB_INT, JOB_BOOL */
    double real;              /* JOB_REAL, JOB_INT */
    job_origin origin;
} job_value;

struct job {
    const job_verb *verb;
    mp_comm *comm;
    job_value *value; /* [n_values] in the order of the verb's tables */
    int n_values;
    char **arg; /* [n_args] positional arguments, owned */
    int n_args;
    char *command;  /* as it was given, quoted for a shell */
    char *log_path; /* --log, or NULL */
    int verbosity;  /* +1 a -v, -1 a -q */
    bool dry_run, explain, json, help, print_config;
};

/* ---- job_options.c: tables, parsing, ranges ---- */
/* Options of every verb, beside its own sections. */
extern const job_option job__common_options[];
/* Table number i of a verb: its own sections, then the common one; NULL after the last. */
const job_option *job__table(const job_verb *v, int i);
/* Parse `text` as the option's type and check its range; *out's numbers are filled.
 * `code` is the error to give. */
sx_err job__parse(const job_option *o, const char *text, sx_err code, job_value *out);
/* Limits or choices as text for people ("1..8", "eps|v|x0", ""). */
void job__limits(const job_option *o, char *out, size_t n);
const char *job__type_name(job_type t);

/* ---- job_config.c: values from files, presets, command line ---- */
/* All values at their defaults. */
void job__init_values(job *j);
job_value *job__find(const job *j, const char *key); /* NULL when the verb has no such key */
/* Set a key that the verb has. Errors: `code` with the key, the text and the range. */
sx_err job__set(job *j, const char *key, const char *text, job_origin origin, sx_err code);
/* Read an INI file. Errors: SX_E_NOINPUT, SX_E_CONFIG naming file, line and key. */
sx_err job__read_file(job *j, const char *path);
/* Fill in what run.preset says where nothing stronger did. */
sx_err job__apply_preset(job *j);
/* "default", "preset", "file", "command line". */
const char *job__origin_name(job_origin origin);
/* The keys of the verb for "did you mean": all of this name when the section is missing, else the
 * nearest; new (sx_free), NULL: none. */
char *job__suggest_key(const job *j, const char *key);

/* ---- job_submission.c: what a submission (submission.h) says about a job ---- */
#define JOB_SETTINGS "settings.tsv"
#define JOB_ITEMS "items.tsv"
/* Write all values with their origins. Errors: SX_E_CONFIG (a text that no table can hold),
 * SX_E_CREATE, SX_E_IO. */
sx_err job__write_settings(const job *j, const char *path);
/* Take values and list of items from a submission that is still what was submitted.
 * Errors: SX_E_CONFIG, SX_E_NOINPUT, SX_E_DATA, SX_E_IO. */
sx_err job__read_submission(job *j, const char *folder);

/* ---- job_cli.c ---- */
/* Parse arguments and options; does not check the number of arguments when help was asked for. */
sx_err job__parse_command_line(job *j, int argc, char **argv);
/* Number of single-character edits between two words (Levenshtein). */
int job__distance(const char *a, const char *b);

#endif
