/* A batch script from a template (submit.h).
 *
 * Templates can be submitted as they are, by slurm/sbatch.sh; then they read site.env and job.sh
 * when they start. A submission must not change with those files, so the lines that read them are
 * replaced by what they hold now, and behind the lines for sbatch the script gets its arguments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_share.h"
#include "jobs/job/job_shell.h"
#include "jobs/submit/submit.h"

enum { TEXT_LIMIT = 1 << 20 };

sx_err submit_templates(char **folder) {
    static const job_share templates = {"SAGAX_SLURM_DIR", "slurm", "slurm", "templates for Slurm"};
    return job_share_folder(&templates, folder);
}

/* ---- lines of a template ---- */

static const struct {
    const char *begins; /* of a line that reads a file */
    const char *name;
    const char *instead; /* variable that may name another file, or NULL */
} readers[] = {
    {". \"${SAGAX_SITE:-", "site.env", "SAGAX_SITE"},
    {". \"$SAGAX_SLURM_DIR/job.sh\"", "job.sh", NULL},
};
#define N_READERS ((int)(sizeof readers / sizeof *readers))

static sx_err put_file(FILE *f, const char *templates, int reader) {
    const char *told = readers[reader].instead ? getenv(readers[reader].instead) : NULL;
    char *path = told && *told ? sx_strdup(told) : sx_path_join(templates, readers[reader].name);
    char *text = NULL;
    size_t n_bytes;
    sx_err rc = sx_file_read(path, TEXT_LIMIT, &text, &n_bytes);
    if (rc == SX_OK) fprintf(f, "# ---- %s\n%s# ----\n", path, text);
    if (rc == SX_E_NOINPUT) /* no input of the job, and 78 is what slurm/chain and the others say */
        rc = sx_fail(SX_E_CONFIG, "%s%s%s: is not there or cannot be read",
                     told ? readers[reader].instead : "", told ? " = " : "", path);
    sx_free(text);
    sx_free(path);
    return rc;
}

/* What the job is about: its arguments without options, which are in the submission, and how it
 * talks. */
static void put_arguments(FILE *f, const submit_plan *plan, const job *inner, int64_t parts) {
    char *exe = job_program_path(), *command = sx_strdup(job_command(inner));
    job_shell_flatten(command); // a name may hold a line end, which would end the comment
    fprintf(f, "# Written by: %s\nSAGAX=", command);
    sx_free(command);
    job_quote(f, exe);
    if (parts > 0) fprintf(f, "\nSAGAX_PARTS=%lld", (long long)parts);
    fprintf(f, "\nset --");
    for (int i = plan->action ? 1 : 0; i < job_n_args(inner); i++) {
        fputc(' ', f);
        job_quote(f, job_arg(inner, i));
    }
    fprintf(f, " --submission \"$1\"");
    const int verbosity = job_verbosity(inner);
    for (int i = 0; i < abs(verbosity); i++) fputs(verbosity > 0 ? " -v" : " -q", f);
    if (job_explain(inner)) fputs(" --explain", f);
    if (job_json(inner)) fputs(" --json", f);
    if (job_log_path(inner)) {
        fputs(" --log ", f);
        job_quote(f, job_log_path(inner));
    }
    fputc('\n', f);
    sx_free(exe);
}

static sx_err put_line(FILE *f, const char *templates, const char *line, size_t n) {
    for (int r = 0; r < N_READERS; r++)
        if (strncmp(line, readers[r].begins, strlen(readers[r].begins)) == 0)
            return put_file(f, templates, r);
    fprintf(f, "%.*s", (int)n, line);
    return SX_OK;
}

char *submit_template(const char *templates, const submit_plan *plan, int64_t parts) {
    return sx_strf("%s/templates/%s", templates, parts > 0 ? plan->array_template : plan->template);
}

/* The first lines, "#!" and "#SBATCH", stay first: sbatch reads no others. */
sx_err submit_script(const char *templates, const char *template, const submit_plan *plan,
                     const job *inner, int64_t parts, char **script) {
    char *text = NULL;
    size_t n_bytes;
    FILE *f = open_memstream(script, &n_bytes);
    bool head = true;
    SX_ASSERT(f);
    sx_err rc = sx_file_read(template, TEXT_LIMIT, &text, &n_bytes);
    for (const char *line = text; rc == SX_OK && *line;) {
        const size_t n = strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n');
        if (head && strncmp(line, "#!", 2) != 0 && strncmp(line, "#SBATCH", 7) != 0) {
            put_arguments(f, plan, inner, parts);
            head = false;
        }
        rc = put_line(f, templates, line, n);
        line += n;
    }
    fclose(f);
    sx_free(text);
    return rc;
}
