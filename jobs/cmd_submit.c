/* sagax submit [options] VERB ARGUMENTS...: run another verb as a job of Slurm.
 *
 * All that can be wrong with the verb's command line, configuration and weights is found here, on
 * the login node, before anything waits in a queue. What the job works from (script,
 * configuration, list of images) is then frozen in OUT/.sagax/submit, see submission.h; what
 * changes afterwards in INI files or in the tree of images concerns later jobs only. With a
 * dependency the input may not be there yet, and only the command line is looked at. */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job_internal.h"
#include "jobs/job_json.h"
#include "jobs/submission.h"
#include "jobs/submit.h"
#include "jobs/verbs.h"

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

typedef struct submit {
    const job *j;
    job *inner;
    const submit_plan *plan;
    char *templates; /* folder */
    char *folder;    /* OUT/.sagax */
    char *script;
    io_items items;
    bool listed;   /* there is a list of images */
    int64_t parts; /* tasks of the array; 0: none */
    char *submission, *command, *id, *log;
} submit;

/* ---- the submitted verb ---- */

/* Build its job from the words behind its name. */
static sx_err build(submit *s) {
    const job_verb *v = job_verb_find(job_arg(s->j, 0));
    if (!v)
        return sx_fail(SX_E_USAGE, "unknown verb %s; options of submit go before the verb",
                       job_arg(s->j, 0));
    sx_err rc = job_new(&s->inner, v, mp_self(), s->j->n_args - 1, s->j->arg + 1);
    if (rc == SX_OK) rc = submit_plan_of(s->inner, &s->plan);
    if (rc == SX_OK && (s->inner->dry_run || s->inner->print_config || s->inner->help))
        rc = sx_fail(SX_E_USAGE, "submit: --dry-run and --print-config go before the verb");
    return rc;
}

static bool has_to_wait(const submit *s) {
    return job_text(s->j, "submit.dependency")[0] != '\0';
}

/* Verbs read their weights here, and say what they find: only errors matter. */
static sx_err check(submit *s) {
    sx_err rc = SX_OK;
    if (s->plan->check && !has_to_wait(s)) rc = s->plan->check(s->inner);
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
    sx_err rc = submit_max_array(&most);
    if (rc != SX_OK) return rc;
    s->parts = asked < s->items.n ? asked : s->items.n;
    if (s->parts > most) {
        sx_warn("this Slurm takes arrays of %lld tasks at most (MaxArraySize): each task does more",
                (long long)most);
        s->parts = most;
    }
    return SX_OK;
}

/* ---- the command ---- */

static bool is_set(const job *j, const char *key) {
    const job_value *v = job__find(j, key);
    return v->option->type == JOB_INT ? v->integer != 0 : v->text[0] != '\0';
}

static void put_option(FILE *f, const char *option, const char *value) {
    char *word = sx_strf("%s=%s", option, value);
    fputc(' ', f);
    job__quote(f, word);
    sx_free(word);
}

/* Each word quoted: constraints hold what means something to a shell ("a|b"). */
static void put_words(FILE *f, const char *text) {
    char *copy = sx_strdup(text), *rest = NULL;
    for (char *word = strtok_r(copy, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        fputc(' ', f);
        job__quote(f, word);
    }
    sx_free(copy);
}

/* sbatch with what site.env says, then what the command line says. */
static char *command_of(const submit *s) {
    char *text = NULL, *tool = sx_path_join(s->templates, "sbatch.sh"),
         *script = sx_path_join(s->submission, "job.sh");
    size_t n_bytes;
    FILE *f = open_memstream(&text, &n_bytes);
    SX_ASSERT(f);
    fputs("SAGAX_COMMAND=", f); /* what `sagax status` tells to run again */
    job__quote(f, job_command(s->j));
    fputs(" SAGAX_SLURM_DIR=", f);
    job__quote(f, s->templates);
    fputc(' ', f);
    job__quote(f, tool);
    fputs(" --parsable", f);
    put_option(f, "--output", s->log);
    if (s->parts > 0) fprintf(f, " --array=0-%lld", (long long)s->parts - 1);
    for (int i = 0; i < N_SBATCH; i++)
        if (is_set(s->j, sbatch_table[i].key))
            put_option(f, sbatch_table[i].option, job__find(s->j, sbatch_table[i].key)->text);
    if (has_to_wait(s)) fputs(" --kill-on-invalid-dep=yes", f);
    put_words(f, job_text(s->j, "submit.sbatch"));
    fputc(' ', f);
    job__quote(f, script);
    fputc(' ', f);
    job__quote(f, s->submission);
    fputs(" 2>&1", f);
    fclose(f);
    sx_free(tool);
    sx_free(script);
    return text;
}

/* ---- the verb ---- */

static void tell(const submit *s) {
    if (job_json(s->j)) {
        job_json_print(json_pack("{s:s, s:I, s:I, s:o, s:o}", "job", s->id, "tasks",
                                 (json_int_t)s->parts, "items",
                                 (json_int_t)(s->listed ? s->items.n : -1), "submission",
                                 job_json_string(s->submission), "log", job_json_string(s->log)),
                       JSON_INDENT(2));
        return;
    }
    printf("%s\n", s->id);
    if (s->listed) sx_info("%lld images", (long long)s->items.n);
    if (s->parts > 0) sx_info("an array of %lld tasks", (long long)s->parts);
    sx_info("works from %s", s->submission);
    sx_info("log: %s", s->log);
}

static char *log_path(const submit *s, const char *folder, const char *id, const char *task) {
    return sx_strf("%s/%s-%s%s.out", folder, s->plan->verb, id, s->parts > 0 ? task : "");
}

/* Freeze it and give it to Slurm. */
static sx_err hand_over(submit *s) {
    char *parent = sx_path_join(s->folder, "submit"), *logs = sx_path_join(s->folder, "log");
    sx_err rc;
    s->log = log_path(s, logs, s->parts > 0 ? "%A" : "%j", "_%a");
    SX_TRY(rc, sx_mkdirs(logs));
    SX_TRY(rc, submission_write(parent, s->inner, s->script, s->listed ? &s->items : NULL,
                                &s->submission));
    s->command = command_of(s);
    sx_debug("%s", s->command);
    SX_TRY(rc, submit_sbatch(s->command, &s->id));
    sx_free(s->log);
    s->log = log_path(s, logs, s->id, "_*");
    tell(s);
out:
    sx_free(parent);
    sx_free(logs);
    return rc;
}

static void submit_clear(submit *s) {
    char *texts[] = {s->templates, s->folder, s->script, s->submission, s->command, s->id, s->log};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) sx_free(texts[i]);
    io_items_clear(&s->items);
    job_free(s->inner);
}

static sx_err run(job *j) {
    submit s = {.j = j};
    sx_err rc;
    SX_TRY(rc, build(&s));
    SX_TRY(rc, check(&s));
    SX_TRY(rc, choose_parts(&s));
    SX_TRY(rc, submit_templates(&s.templates));
    SX_TRY(rc, submit_script(s.templates, s.plan, s.inner, s.parts, &s.script));
    s.folder = submit_folder(s.plan, s.inner);
    if (job_dry_run(j))
        fputs(s.script, stdout);
    else
        rc = hand_over(&s);
out:
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
