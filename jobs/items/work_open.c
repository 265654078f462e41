/* Opening work: options, the part of this run, what earlier runs left, and the folder
 * (work_private.h). */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_shell.h"
#include "jobs/items/work_private.h"

const job_option options_run[] = {
    {"run.part", JOB_TEXT, "", NULL, 0, 0,
     "K/N: every N-th item from number K (0..N-1) on; empty: all"},
    {"run.retry", JOB_CHOICE, "none", "none|failed|oom|all", 0, 0,
     "items to make again: those that failed, ran out of memory, or all, finished ones too"},
    JOB_OPTIONS_END,
};

const job_option options_run_crew[] = {
    {"run.lease_s", JOB_REAL, "60", NULL, 0.2, 86400,
     "a process without a heartbeat for so long has lost its work to others, s"},
    {"run.stall_s", JOB_REAL, "900", NULL, 0, 1e6,
     "end the job when no rank has got on for so long, s; 0: never"},
    JOB_OPTIONS_END,
};

static const char *const retry_words[] = {"none", "failed", "oom", "all"};

static work_retry retry_parse(const char *word) {
    int r = WORK_RETRY_NONE;
    while (r < WORK_RETRY_ALL && strcmp(retry_words[r], word) != 0) r++;
    return (work_retry)r;
}

char *work_folder(const char *out, bool is_folder) {
    return sx_strf(is_folder ? "%s/.sagax" : "%s.sagax", out);
}

sx_err work_part(const job *j, int64_t *first, int64_t *step) {
    const char *part = job_text(j, "run.part");
    long long k = 0, of = 1;
    char end;
    if (*part && (sscanf(part, "%lld/%lld%c", &k, &of, &end) != 2 || k < 0 || k >= of))
        return sx_fail(SX_E_USAGE, "run.part = %s: should be K/N with 0 <= K < N", part);
    *first = k;
    *step = of;
    return SX_OK;
}

static sx_err choose_part(work *w) {
    int64_t first = 0, step = 1;
    const sx_err rc = work_part(w->j, &first, &step);
    w->mine = SX_NEW_ARRAY(int64_t, w->n + 1);
    for (int64_t i = first; rc == SX_OK && i < w->n; i += step) w->mine[w->n_mine++] = i;
    return rc;
}

char *work_name(const char *name) {
    char *clean = sx_strdup(name);
    job_json_clean(clean);
    job_shell_flatten(clean);
    return clean;
}

static void copy_names(work *w) {
    w->name = SX_NEW_ARRAY(char *, w->n + 1);
    for (int64_t i = 0; i < w->n; i++) w->name[i] = work_name(w->kind->name(w->user, i));
}

/* Of all files that tell of earlier runs rank 0 alone reads; what matters of them goes to all. */
static sx_err read_past(work *w) {
    work_history all = {0};
    char *text = NULL;
    mp_member *crew = NULL;
    int n_crew = 0;
    int64_t say[3] = {0, 0, 0}; /* run, bytes of text, of the journal */
    sx_err rc = SX_OK;
    if (mp_rank(w->comm) == 0) {
        say[2] = work_history_size(w->folder, NULL, 0);
        rc = work_history_read(w->folder, &all);
        for (int64_t i = 0; i < all.n; i++)
            if (all.record[i].run > say[0]) say[0] = all.record[i].run;
        if (rc == SX_OK) rc = mp_crew_read(w->folder, &crew, &n_crew);
        text = work_history_text(&all, crew, n_crew);
        sx_free(crew);
        say[1] = (int64_t)strlen(text) + 1;
        work_history_clear(&all);
    }
    if ((rc = mp_agree(w->comm, rc)) == SX_OK) {
        mp_bcast(w->comm, say, sizeof say, 0);
        if (!text) text = SX_NEW_ARRAY(char, say[1]);
        mp_bcast(w->comm, text, (size_t)say[1], 0);
        work_history_parse(text, &w->past);
        w->run = say[0] + 1;
        w->past_size = say[2];
    }
    sx_free(text);
    return rc;
}

/* Rank 0's part: what `sagax status` reads. */
static sx_err describe(const work *w) {
    static const char *const header[] = {"item"};
    char *journal = sx_path_join(w->folder, "journal"),
         *items = sx_path_join(w->folder, "items.tsv");
    char *run = sx_path_join(w->folder, "run.json");
    char *text = job_json_text(
        json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:I}", "verb", w->kind->verb, "config",
                  w->kind->config, "command", job_json_string(job_command_again(w->j)), "part",
                  job_json_string(job_text(w->j, "run.part")), "run", (json_int_t)w->run, "items",
                  (json_int_t)w->n, "started", (json_int_t)time(NULL)),
        JSON_INDENT(2));
    io_table t;
    io_table_init(&t, 1, header);
    for (int64_t i = 0; i < w->n; i++) io_table_add(&t, (const char *const *)&w->name[i]);
    sx_err rc;
    SX_TRY(rc, sx_mkdirs(journal));
    SX_TRY(rc, io_table_write(items, &t));
    rc = sx_file_write(run, text, strlen(text));
out:
    io_table_clear(&t);
    sx_free(text);
    sx_free(run);
    sx_free(items);
    sx_free(journal);
    return rc;
}

static void on_stall(void *user, const char *doing) {
    (void)user;
    (void)doing;
    work_journal_stall();
}

/* Journals of processes that are gone; rank 0's part, and nothing depends on it. */
static void tidy(const work *w) {
    static const char key[] = "journal";
    if (mp_lease_claim(w->leases, key, NULL) != MP_CLAIM_MINE) return;
    if (work_journal_fold(w->folder, mp_leases_owner(w->leases)) != SX_OK)
        sx_warn("%s", sx_err_text());
    mp_lease_release(w->leases, key);
}

static void learn_owners(work *w) {
    work_owner mine;
    void *all;
    size_t n_bytes;
    snprintf(mine.name, sizeof mine.name, "%s", mp_leases_owner(w->leases));
    mp_allgather(w->comm, &mine, sizeof mine, &all, &n_bytes);
    w->own = all;
}

/* Enter the folder. */
static sx_err begin(work *w) {
    const mp_lease_opt opt = {job_real(w->j, "run.lease_s"), job_real(w->j, "run.stall_s"),
                              on_stall, NULL};
    const bool first = mp_rank(w->comm) == 0;
    sx_err rc = mp_agree(w->comm, first ? describe(w) : SX_OK);
    if (rc == SX_OK) rc = mp_leases_open(&w->leases, w->comm, w->folder, &opt);
    if (rc != SX_OK) return rc;
    if ((rc = work__request_begin(w)) != SX_OK) return rc;
    learn_owners(w);
    w->journal = work_journal_new(w->folder, mp_leases_owner(w->leases), w->kind->config,
                                  w->request, w->run, mp_rank(w->comm));
    if (first) tidy(w);
    return SX_OK;
}

sx_err work_open(work **out, const job *j, const char *folder, const work_kind *kind, void *user,
                 int64_t n) {
    work *w = SX_NEW(work);
    *w = (work){.j = j, .comm = job_comm(j), .kind = kind, .user = user, .n = n};
    w->folder = sx_strdup(folder);
    w->retry = retry_parse(job_text(j, "run.retry"));
    w->outcome = SX_NEW_ARRAY(work_outcome, n + 1);
    for (int64_t i = 0; i < n; i++) w->outcome[i].item = i;
    copy_names(w);
    sx_err rc = mp_agree(w->comm, choose_part(w));
    if (rc == SX_OK) rc = read_past(w);
    if (rc == SX_OK && job_dry_run(j)) {
        rc = work__request_begin(w);
    } else if (rc == SX_OK) {
        work__order(w);
        rc = begin(w);
    }
    if (rc != SX_OK) {
        work_close(w);
        w = NULL;
    }
    *out = w;
    return rc;
}

void work_close(work *w) {
    if (!w) return;
    work__request_end(w);
    work_journal_free(w->journal);
    mp_leases_close(w->leases);
    work_history_clear(&w->past);
    for (int64_t i = 0; w->name && i < w->n; i++) sx_free(w->name[i]);
    sx_free(w->name);
    sx_free(w->mine);
    sx_free(w->own);
    sx_free(w->outcome);
    sx_free(w->request);
    sx_free(w->request_path);
    sx_free(w->folder);
    sx_free(w);
}
