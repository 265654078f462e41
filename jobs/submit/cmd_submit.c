/* sagax submit [options] VERB ARGUMENTS...: run another verb as a job of Slurm.
 *
 * All that can be wrong with the verb's command line, configuration and weights is found here, on
 * the login node, before anything waits in a queue. What the job works from (script,
 * configuration, list of images) is then frozen in OUT/.sagax/submit, see submission.h; what
 * changes afterwards in INI files or in the tree of images concerns later jobs only. With a
 * dependency on a job that Slurm knows the input may not be there yet, and only the command line is
 * looked at. */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/job/submission.h"
#include "jobs/submit/submit.h"
#include "jobs/submit/submitted.h"
#include "jobs/job/verbs.h"

static const job_option options_submit[] = {
    {"submit.nodes", JOB_INT, "0", NULL, 0, 100000, "nodes; 0: what the template says"},
    {"submit.ntasks", JOB_INT, "0", NULL, 0, 10000000, "ranks in all; 0: what the template says"},
    {"submit.cpus", JOB_INT, "0", NULL, 0, 4096,
     "processors (threads) a rank; 0: what the template says"},
    {"submit.time", JOB_TEXT, "", NULL, 0, 0, "time limit, [days-]hours:minutes:seconds"},
    {"submit.mem", JOB_TEXT, "", NULL, 0, 0, "memory a node, such as 64G"},
    {"submit.array", JOB_INT, "0", NULL, 0, 1000000,
     "tasks of an array that share the images out; 0: one job"},
    {"submit.partition", JOB_TEXT, "", NULL, 0, 0, "partition; empty: that of site.env"},
    {"submit.account", JOB_TEXT, "", NULL, 0, 0, "account; empty: that of site.env"},
    {"submit.qos", JOB_TEXT, "", NULL, 0, 0, "quality of service; empty: that of site.env"},
    {"submit.dependency", JOB_TEXT, "", NULL, 0, 0, "what must have ended before, afterok:ID"},
    {"submit.name", JOB_TEXT, "", NULL, 0, 0, "name of the job; empty: sagax-VERB"},
    {"submit.sbatch", JOB_TEXT, "", NULL, 0, 0, "more options of sbatch, split at blanks"},
    JOB_OPTIONS_END,
};
static const job_option *const sections[] = {options_submit, NULL};
static const job_alias aliases[] = {
    {"--nodes", "submit.nodes"},
    {"--ntasks", "submit.ntasks"},
    {"--cpus-per-task", "submit.cpus"},
    {"--time", "submit.time"},
    {"--mem", "submit.mem"},
    {"--array", "submit.array"},
    {"--partition", "submit.partition"},
    {"--account", "submit.account"},
    {"--qos", "submit.qos"},
    {"--dependency", "submit.dependency"},
    {"--name", "submit.name"},
    {"--sbatch", "submit.sbatch"},
    JOB_ALIASES_END,
};

typedef struct submit {
    const job *j;
    job *inner;
    const submit_plan *plan;
    char *templates; /* folder */
    char *template;  /* path */
    char *folder;    /* OUT/.sagax */
    char *script;    /* text */
    io_items items;
    bool listed; /* there is a list of images */
    submit_order order;
    char *submission, *command, *id, *log;
    char *waits_for; /* reason why it cannot start now; NULL: none */
} submit;

/* ---- the submitted verb ---- */

/* Names that a job would take for options: behind "--" the command line has them, a script not. */
static sx_err refuse_dashes(const job *inner) {
    for (int i = 0; i < job_n_args(inner); i++)
        if (job_arg(inner, i)[0] == '-')
            return sx_fail(SX_E_USAGE, "submit: %s: a name that begins with -; write ./%s",
                           job_arg(inner, i), job_arg(inner, i));
    return SX_OK;
}

static bool is_alias_of(const job_alias *a, const char *flag, size_t n) {
    for (; a && a->flag; a++)
        if (strlen(a->flag) == n && strncmp(a->flag, flag, n) == 0) return true;
    return false;
}

/* An option of submit behind the verb. */
static sx_err refuse_late_options(const job *j, const job_verb *v) {
    for (int i = 1; i < job_n_args(j) && strcmp(job_arg(j, i), "--") != 0; i++) {
        const char *word = job_arg(j, i);
        const size_t n = strcspn(word, "=");
        if (is_alias_of(aliases, word, n) && !is_alias_of(v->aliases, word, n))
            return sx_fail(
                SX_E_USAGE,
                "submit: options of the job go before the verb: sagax submit %.*s ... %s", (int)n,
                word, v->name);
    }
    return SX_OK;
}

/* Build its job from the words behind its name. */
static sx_err build(submit *s) {
    const job_verb *v = job_verb_find(job_arg(s->j, 0));
    if (!v)
        return sx_fail(SX_E_USAGE, "unknown verb %s; options of submit go before the verb",
                       job_arg(s->j, 0));
    sx_err rc = refuse_late_options(s->j, v);
    if (rc == SX_OK)
        rc = job_new(&s->inner, v, mp_self(), job_n_args(s->j) - 1, job_args(s->j) + 1);
    if (rc == SX_OK) rc = submit_plan_of(s->inner, &s->plan);
    if (rc == SX_OK && (job_dry_run(s->inner) || job_only_shows(s->inner)))
        rc = sx_fail(SX_E_USAGE, "submit: --dry-run and --print-config go before the verb");
    return rc == SX_OK ? refuse_dashes(s->inner) : rc;
}

/* A dependency on jobs that Slurm does not know, or no longer, holds at once. */
static bool has_to_wait(const submit *s) {
    const char *dependency = job_text(s->j, "submit.dependency");
    if (!*dependency) return false;
    if (submit_knows_any(dependency)) return true;
    sx_warn("--dependency %s: Slurm knows no such job, so this one waits for none", dependency);
    return false;
}

/* Verbs read their weights here, and say what they find: only errors matter. */
static sx_err check(submit *s) {
    const bool waits = has_to_wait(s);
    sx_err rc = s->plan->check && !waits ? s->plan->check(s->inner) : SX_OK;
    if (rc == SX_OK) rc = submit_find(s->plan, s->inner, &s->items, &s->listed);
    return rc;
}

/* As many tasks as asked for, but not more than there are images or than Slurm takes. */
static sx_err choose_parts(submit *s) {
    const int64_t asked = job_int(s->j, "submit.array");
    int64_t most;
    if (asked == 0) return SX_OK;
    if (!s->plan->array_template || !s->listed)
        return sx_fail(SX_E_USAGE,
                       "submit: --array is for verbs with many images, not for %s of this",
                       s->plan->verb);
    s->order.parts = asked < s->items.n ? asked : s->items.n;
    sx_err rc = submit_max_array(&most);
    if (rc != SX_OK)
        return job_dry_run(s->j) ? SX_OK : rc; /* the script can be seen without Slurm */
    if (s->order.parts > most) {
        sx_warn("this Slurm takes arrays of %lld tasks at most (MaxArraySize): each task does more",
                (long long)most);
        s->order.parts = most;
    }
    return SX_OK;
}

/* ---- the verb ---- */

static void tell(const submit *s) {
    if (job_json(s->j)) {
        job_json_print(json_pack("{s:s, s:I, s:I, s:o, s:o}", "job", s->id, "tasks",
                                 (json_int_t)s->order.parts, "items",
                                 (json_int_t)(s->listed ? s->items.n : -1), "submission",
                                 job_json_string(s->submission), "log", job_json_string(s->log)),
                       JSON_INDENT(2));
        return;
    }
    printf("%s\n", s->id);
    if (s->listed) sx_info("%lld images", (long long)s->items.n);
    if (s->order.parts > 0) sx_info("an array of %lld tasks", (long long)s->order.parts);
    sx_info("works from %s", s->submission);
    sx_info("log: %s", s->log);
}

static char *log_path(const submit *s, const char *folder, const char *id, const char *task) {
    return sx_strf("%s/log/%s-%s%s.out", folder, s->plan->verb, id, s->order.parts > 0 ? task : "");
}

/* The same for sbatch, in whose file names % means something, and \ cannot be. */
static sx_err log_pattern(const submit *s, char **pattern) {
    if (strchr(s->folder, '\\'))
        return sx_fail(SX_E_USAGE, "%s: Slurm takes no \\ in the name of a log", s->folder);
    char *folder = sx_alloc(2 * (int64_t)strlen(s->folder) + 1, 1), *to = folder;
    for (const char *from = s->folder; *from; *to++ = *from++)
        if (*from == '%') *to++ = '%';
    *to = '\0';
    *pattern = log_path(s, folder, s->order.parts > 0 ? "%A" : "%j", "_%a");
    sx_free(folder);
    return SX_OK;
}

/* What is going to be asked for, and whether the cluster has it. */
static sx_err place_order(submit *s) {
    s->order.j = s->j;
    s->order.size = submit_size_of(s->j, s->script);
    sx_err rc = log_pattern(s, &s->order.log);
    return rc == SX_OK ? submit_check_room(&s->order, s->template, &s->waits_for) : rc;
}

static char *command_of(const submit *s) {
    char *script = sx_path_join(s->submission, "job.sh");
    char *command = submit_command(&s->order, "--parsable", script, s->submission);
    sx_free(script);
    return command;
}

static void tell_wait(const submit *s) {
    if (s->waits_for) sx_warn("the job waits until this changes: %s", s->waits_for);
}

static const io_items *items_of(const submit *s) {
    return s->listed ? &s->items : NULL;
}

/* Without the option that makes it a dry run; in place. */
static void drop_dry_run(char *command) {
    static const char option[] = " --dry-run";
    char *at = strstr(command, option);
    if (at) memmove(at, at + strlen(option), strlen(at + strlen(option)) + 1);
}

/* The script on stdout, sbatch's command line on stderr; nothing is left behind. */
static sx_err show(submit *s, const char *parent) {
    char name[SUBMISSION_DIGITS + 1];
    sx_err rc = submission_name(s->inner, s->script, items_of(s), name);
    if (rc != SX_OK) return rc;
    s->submission = sx_path_join(parent, name);
    s->command = command_of(s);
    drop_dry_run(s->command);
    fputs(s->script, stdout);
    tell_wait(s);
    sx_info("would freeze %s and run: %s", s->submission, s->command);
    return SX_OK;
}

/* Freeze it and give it to Slurm. */
static sx_err hand_over(submit *s, const char *parent) {
    char *logs = sx_path_join(s->folder, "log");
    sx_err rc;
    SX_TRY(rc, sx_mkdirs(logs));
    SX_TRY(rc, submission_write(parent, s->inner, s->script, items_of(s), &s->submission));
    s->command = command_of(s);
    sx_debug("%s", s->command);
    SX_TRY(rc, submit_sbatch(s->command, &s->id));
    tell_wait(s);
    s->log = log_path(s, s->folder, s->id, "_*");
    rc = submitted_note(s->folder, s->id, s->plan->verb, s->order.parts, s->log, job_command(s->j));
out:
    if (s->id) tell(s);
    sx_free(logs);
    return rc;
}

static void submit_clear(submit *s) {
    char *texts[] = {s->templates,  s->folder,  s->script, s->template, s->order.log,
                     s->submission, s->command, s->id,     s->log,      s->waits_for};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) sx_free(texts[i]);
    io_items_clear(&s->items);
    job_free(s->inner);
}

static sx_err run(job *j) {
    submit s = {.j = j};
    char *parent = NULL;
    sx_err rc;
    SX_TRY(rc, build(&s));
    SX_TRY(rc, check(&s));
    SX_TRY(rc, choose_parts(&s));
    SX_TRY(rc, submit_templates(&s.templates));
    s.order.templates = s.templates;
    s.template = submit_template(s.templates, s.plan, s.order.parts);
    SX_TRY(rc, submit_script(s.templates, s.template, s.plan, s.inner, s.order.parts, &s.script));
    s.folder = submit_folder(s.plan, s.inner);
    parent = sx_path_join(s.folder, "submit");
    SX_TRY(rc, place_order(&s));
    rc = job_dry_run(j) ? show(&s, parent) : hand_over(&s, parent);
out:
    sx_free(parent);
    submit_clear(&s);
    return rc;
}

const job_verb cmd_submit = {
    .name = "submit",
    .arguments = "[options] VERB ARGUMENTS...",
    .summary = "run another verb as a job of Slurm",
    .sections = sections,
    .aliases = aliases,
    .min_args = 1,
    .max_args = JOB_ARGS_REST,
    .run = run,
};
