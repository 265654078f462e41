/* The job as verbs see it: arguments, ranks, flags, typed values. */
#include <stdlib.h>
#include <string.h>
#include "base/sx_mem.h"
#include "jobs/job/job_internal.h"
#include "jobs/job/job_model.h"

sx_err job_new(job **out, const job_verb *v, mp_comm *c, int argc, char **argv) {
    job *j = SX_NEW(job);
    j->verb = v;
    j->comm = c;
    job__init_values(j);
    sx_err rc = job__parse_command_line(j, argc, argv);
    if (rc == SX_OK) rc = job__apply_preset(j);
    if (rc == SX_OK) rc = job_net_preset(j);
    if (rc != SX_OK) {
        job_free(j);
        j = NULL;
    }
    *out = j;
    return rc;
}

void job_free(job *j) {
    if (!j) return;
    for (int i = 0; i < j->n_values; i++) sx_free(j->value[i].text);
    for (int i = 0; i < j->n_args; i++) sx_free(j->arg[i]);
    sx_free(j->value);
    sx_free(j->arg);
    sx_free(j->log_path);
    sx_free(j->command);
    sx_free(j);
}

const job_verb *job_verb_of(const job *j) {
    return j->verb;
}

int job_n_args(const job *j) {
    return j->n_args;
}

const char *job_arg(const job *j, int i) {
    SX_ASSERT(i >= 0 && i < j->n_args);
    return j->arg[i];
}

char **job_args(const job *j) {
    return j->arg;
}

const char *job_command(const job *j) {
    return j->command;
}

const char *job_command_again(const job *j) {
    const char *submitted = getenv("SAGAX_COMMAND");
    return submitted ? submitted : j->command;
}

mp_comm *job_comm(const job *j) {
    return j->comm;
}

bool job_dry_run(const job *j) {
    return j->dry_run;
}

bool job_json(const job *j) {
    return j->json;
}

bool job_explain(const job *j) {
    return j->explain;
}

bool job_only_shows(const job *j) {
    return j->help || j->print_config;
}

int job_verbosity(const job *j) {
    return j->verbosity;
}

const char *job_log_path(const job *j) {
    return j->log_path;
}

/* A verb that asks for a key it did not list is our own bug. */
static const job_value *value_of(const job *j, const char *key) {
    const job_value *v = job__find(j, key);
    SX_ASSERT(v);
    return v;
}

int64_t job_int(const job *j, const char *key) {
    const job_value *v = value_of(j, key);
    SX_ASSERT(v->option->type == JOB_INT);
    return v->integer;
}

double job_real(const job *j, const char *key) {
    const job_value *v = value_of(j, key);
    SX_ASSERT(v->option->type == JOB_REAL || v->option->type == JOB_INT);
    return v->real;
}

bool job_bool(const job *j, const char *key) {
    const job_value *v = value_of(j, key);
    SX_ASSERT(v->option->type == JOB_BOOL);
    return v->integer != 0;
}

const char *job_text(const job *j, const char *key) {
    const job_value *v = value_of(j, key);
    SX_ASSERT(v->option->type == JOB_TEXT || v->option->type == JOB_CHOICE);
    return v->text;
}

const char *job_as_given(const job *j, const char *key) {
    return value_of(j, key)->text;
}

bool job_given(const job *j, const char *key) {
    return value_of(j, key)->origin >= JOB_FILE;
}

const char *job_key(const job *j, int i) {
    return i < j->n_values ? j->value[i].option->key : NULL;
}

bool job_has(const job *j, const char *key) {
    return job__find(j, key) != NULL;
}

sx_err job_act(job *j, const job_action *table, size_t n) {
    const char *name = job_arg(j, 0);
    bool known = false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, table[i].name) != 0) continue;
        if (j->n_args == table[i].n_args) return table[i].run(j);
        known = true;
    }
    return sx_fail(SX_E_USAGE, "%s %s; usage: sagax %s %s [options]", name,
                   known ? "takes another number of arguments" : "is unknown", j->verb->name,
                   j->verb->arguments);
}
