/* Option tables: look-up, parsing by type, ranges. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "jobs/job/job_internal.h"

const job_option job__common_options[] = {
    {"run.preset", JOB_CHOICE, "none", "none|paper", 0, 0,
     "paper: network and training as published; explicit settings win"},
    {"run.margin_s", JOB_REAL, "120", NULL, 0, 86400,
     "stop so many seconds before the time limit of the Slurm job (at most a quarter of the job); "
     "a training grows it to twice its longest step and checkpoint"},
    JOB_OPTIONS_END,
};

const job_option *job__table(const job_verb *v, int i) {
    int n = 0;
    while (v->sections && v->sections[n]) n++;
    if (i < n) return v->sections[i];
    return i == n ? job__common_options : NULL;
}

const job_option *job_find_option(const job_verb *v, const char *key) {
    const job_option *table;
    for (int i = 0; (table = job__table(v, i)); i++)
        for (const job_option *o = table; o->key; o++)
            if (strcmp(o->key, key) == 0) return o;
    return NULL;
}

const char *job__type_name(job_type t) {
    static const char *const name[] = {"integer", "number", "true|false", "text", "choice"};
    return name[t];
}

static bool has_limits(const job_option *o) {
    return (o->type == JOB_INT || o->type == JOB_REAL) && (o->min < 0 || o->min > 0 || o->max > 0);
}

void job__limits(const job_option *o, char *out, size_t n) {
    *out = '\0';
    if (o->type == JOB_CHOICE)
        snprintf(out, n, "%s", o->choices);
    else if (has_limits(o))
        snprintf(out, n, "%.10g..%.10g", o->min, o->max);
}

static bool parse_int(const char *text, job_value *v) {
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (end == text || *end || errno) return false;
    v->integer = x;
    v->real = (double)x;
    return true;
}

static bool parse_real(const char *text, job_value *v) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !isfinite(x)) return false;
    v->real = x;
    return true;
}

static bool parse_bool(const char *text, job_value *v) {
    static const char *const word[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (int i = 0; i < (int)(sizeof word / sizeof *word); i++) {
        if (strcasecmp(text, word[i]) != 0) continue;
        v->integer = i % 2;
        return true;
    }
    return false;
}

/* Is `text` one of the words between the bars? */
static bool is_choice(const char *choices, const char *text) {
    size_t n = strlen(text);
    for (const char *p = choices; p; p = strchr(p, '|')) {
        p += *p == '|';
        if (n > 0 && strncmp(p, text, n) == 0 && (p[n] == '|' || p[n] == '\0')) return true;
    }
    return false;
}

static bool in_range(const job_option *o, const job_value *v) {
    return !has_limits(o) || (v->real >= o->min && v->real <= o->max);
}

sx_err job__parse(const job_option *o, const char *text, sx_err code, job_value *out) {
    char limits[256];
    job__limits(o, limits, sizeof limits);
    bool good = true;
    switch (o->type) {
    case JOB_INT:
        good = parse_int(text, out);
        break;
    case JOB_REAL:
        good = parse_real(text, out);
        break;
    case JOB_BOOL:
        good = parse_bool(text, out);
        break;
    case JOB_TEXT:
        break;
    case JOB_CHOICE:
        good = is_choice(o->choices, text);
        break;
    }
    if (!good)
        return sx_fail(code, "%s = \"%s\": should be %s", o->key, text,
                       o->type == JOB_CHOICE ? limits : job__type_name(o->type));
    if (!in_range(o, out)) return sx_fail(code, "%s = %s is out of range %s", o->key, text, limits);
    return SX_OK;
}
