/* The program: find the verb, build the job, run it, say how it ended.
 *
 * The verbs are rows of job_verbs (jobs/job/job_verbs.c). The last line on stderr and the exit code
 * come from the same sx_err. Help, version and --print-config never start MPI: they work on login
 * nodes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "jobs/job/verbs.h"
#include "mpi/mp_stop.h"

static int unknown_verb(const char *name) {
    const char *near = job_verb_near(name);
    if (name[0] == '-') {
        fprintf(
            stderr,
            "sagax: options follow the verb: sagax VERB %s ... (sagax --help lists the verbs)\n",
            name);
        return sx_err_exit(SX_E_USAGE);
    }
    fprintf(stderr, "sagax: unknown verb %s%s%s%s (sagax --help lists all)\n", name,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return sx_err_exit(SX_E_USAGE);
}

/* Is one of these flags among the options, before "--"? */
static bool has_flag(int argc, char **argv, const char *const *flags) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        for (int k = 0; flags[k]; k++)
            if (strcmp(argv[i], flags[k]) == 0) return true;
    return false;
}

static const char *const help_flags[] = {"--help", "-h", NULL};
static const char *const version_flags[] = {"--version", NULL};
static const char *const config_flags[] = {"--print-config", NULL};

static sx_err start_log(const job *j) {
    int level = (int)SX_LOG_INFO - job_verbosity(j);
    if (level < (int)SX_LOG_DEBUG) level = SX_LOG_DEBUG;
    if (level > (int)SX_LOG_ERROR) level = SX_LOG_ERROR;
    sx_log_set_level((sx_log_level)level);
    sx_log_set_rank(mp_rank(job_comm(j)));
    /* One writer a file: ranks would interleave their lines. */
    const char *path = job_log_path(j);
    return path && mp_rank(job_comm(j)) == 0 ? sx_log_open_json(path) : SX_OK;
}

static void print_config(const job *j) {
    char *text = job_config_json(j);
    printf("%s\n", text);
    sx_free(text);
}

/* Build the job on every rank, agree, run. */
static sx_err run_job(const job_verb *v, mp_comm *c, int argc, char **argv) {
    job *j = NULL;
    sx_err rc = job_new(&j, v, c, argc, argv);
    if (rc == SX_OK) rc = start_log(j);
    SX_TRY(rc, mp_agree(c, rc));
    if (job_only_shows(j)) {
        print_config(j);
        goto out;
    }
    if (c != mp_self()) mp_stop_at_job_end(c, job_real(j, "run.margin_s"));
    rc = v->run(j);
out:
    job_free(j);
    return rc;
}

/* One closing line; the same error gives the exit code. Output that did not reach its file is an
 * error. */
static int finish(const job_verb *v, sx_err rc, bool quiet) {
    if (fflush(stdout) != 0 && rc == SX_OK)
        rc = sx_fail(SX_E_IO, "standard output: %s", strerror(errno));
    sx_log_level level = rc == SX_OK ? SX_LOG_INFO : rc == SX_E_AGAIN ? SX_LOG_WARN : SX_LOG_ERROR;
    const char *text = rc == SX_OK ? "ok" : *sx_err_text() ? sx_err_text() : sx_err_name(rc);
    if (!quiet) sx_log(level, "sagax %s: %s", v->name, text);
    sx_log_open_json(NULL);
    if (!quiet) sx_err_tell_exit(sx_err_exit(rc));
    return sx_err_exit(rc);
}

/* A verb with ranks: MPI around the job; the verbs agree on errors, so rank 0 speaks for all. */
static int run_with_ranks(const job_verb *v, int argc, char **argv) {
    mp_comm *world = NULL;
    int n = argc;
    char **rest = argv;
    sx_err rc = mp_start(&n, &rest, &world);
    if (rc != SX_OK) return finish(v, rc, false);
    rc = run_job(v, world, n - 2, rest + 2);
    int code = finish(v, rc, mp_rank(world) != 0);
    mp_finish(world);
    return code;
}

static bool needs_ranks(const job_verb *v, int argc, char **argv) {
    job *j = NULL;
    if (v->ranks != JOB_RANKS_TO_BUILD) return v->ranks == JOB_RANKS;
    bool builds = job_new(&j, v, mp_self(), argc, argv) == SX_OK && job_n_args(j) > 0 &&
                  strcmp(job_arg(j, 0), "build") == 0;
    job_free(j);
    return builds;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: sagax VERB [arguments] [options] (sagax --help lists the verbs)\n");
        return sx_err_exit(SX_E_USAGE);
    }
    if (strcmp(argv[1], "--version") == 0 || has_flag(argc - 2, argv + 2, version_flags)) {
        job_print_version();
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        job_print_verbs(job_verbs);
        return 0;
    }
    const job_verb *v = job_verb_find(argv[1]);
    if (!v) return unknown_verb(argv[1]);
    if (has_flag(argc - 2, argv + 2, help_flags)) {
        job_print_usage(v);
        return 0;
    }
    bool only_config = has_flag(argc - 2, argv + 2, config_flags);
    if (!only_config && needs_ranks(v, argc - 2, argv + 2)) return run_with_ranks(v, argc, argv);
    return finish(v, run_job(v, mp_self(), argc - 2, argv + 2), false);
}
