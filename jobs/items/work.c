/* Work on the items of a cohort (work.h).
 *
 * With at least as many items as ranks, items are shared out to whoever asks next; with fewer, and
 * if the kind of work allows it, all ranks work on the same item. In both ways the first rank of
 * those that share an item holds its lease, writes its journal and decides; of a crash each tells.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/items/work_private.h"
#include "jobs/items/work_table.h"
#include "mpi/mp_stop.h"

static const char *const state_names[WORK_N_STATES] = {"waiting", "begun",   "made",   "unchanged",
                                                       "failed",  "stopped", "crashed"};

const char *work_state_name(work_state s) {
    return state_names[s];
}

work_state work_state_parse(const char *name) {
    work_state s = WORK_WAITING;
    while (s < WORK_N_STATES && strcmp(state_names[s], name) != 0) s++;
    return s;
}

/* ---- one item ---- */

/* An error's text without who had it ("rank 2 on host: "): tables do not depend on ranks. */
static const char *plain(const char *text) {
    int used = 0;
    while (used = 0, sscanf(text, "rank %*d on %*[^:]: %n", &used), used > 0) text += used;
    return text;
}

/* What was there already fills logs, in every start of a job. */
static sx_log_level level_of(const work *w, work_state s) {
    if (s == WORK_FAILED) return SX_LOG_WARN;
    return s == WORK_UNCHANGED && !job_explain(w->j) ? SX_LOG_DEBUG : SX_LOG_INFO;
}

/* A line in the log; texts with the path of the item need not say its name. */
static void say(const work *w, const work_outcome *o) {
    const char *name = w->name[o->item];
    const bool named = strstr(o->reason, name) != NULL;
    const char *state = work_state_name(o->state);
    char *line = o->state == WORK_FAILED || o->state == WORK_STOPPED
                     ? sx_strf("%s%s%s: %s", named ? "" : name, named ? "" : ": ", state, o->reason)
                     : sx_strf("%s: %s in %.1f s", name, state, o->seconds);
    job_json_clean(line);
    sx_log(level_of(w, o->state), "%s", line);
    sx_free(line);
}

void work_step(work *w, int64_t done, int64_t total, const char *unit) {
    char note[WORK_WHY];
    snprintf(note, sizeof note, "%.90s %s %lld/%lld", sx_path_base(w->name[w->item]), unit,
             (long long)done, (long long)total);
    mp_lease_move(w->leases, note);
    if (w->queue) {
        mp_queue_serve(w->queue);
        sx_progress_step(&w->progress, w->progress.done, note);
    } else {
        if (!w->progress.what)
            sx_progress_begin(&w->progress, sx_path_base(w->name[w->item]), unit, done, total);
        sx_progress_step(&w->progress, done, NULL);
    }
}

/* Progress of one item ends with it, where items are not shared out. */
static void end_item(work *w) {
    if (w->queue) return;
    if (w->progress.what) sx_progress_end(&w->progress);
    w->progress = (sx_progress){0};
}

sx_err work_holds(work *w) {
    const mp_hold hold = mp_lease_holds(w->leases, w->name[w->item]);
    if (hold == MP_HOLD_MINE) return SX_OK;
    if (hold == MP_HOLD_UNKNOWN) return SX_E_IO;
    w->taken = true;
    return sx_fail(SX_E_AGAIN, "another process took it over while this one was silent");
}

bool work_is_loss(sx_err rc) {
    return rc == SX_E_CREATE || rc == SX_E_IO;
}

/* The first rank of `share` decides; the others hear of it. */
static sx_err decide_together(work *w, mp_comm *share, int64_t i, char print[65],
                              char why[WORK_WHY], char **payload) {
    const bool first = mp_rank(share) == 0;
    sx_err rc = mp_agree(share, first ? work__decide(w, i, print, why, payload) : SX_OK);
    mp_bcast(share, why, WORK_WHY, 0);
    mp_bcast(share, print, 65, 0);
    return rc;
}

/* After a failure: when another process has the item now, it may be why (it sweeps temporaries
 * away), and nothing is lost. Where nobody can tell, the failure stands as it is. */
static void ask_whose(work *w, mp_comm *share, work_outcome *o) {
    char *text = sx_strdup(sx_err_text());
    const sx_err rc = mp_agree(share, mp_rank(share) == 0 ? work_holds(w) : SX_OK);
    if (rc == SX_E_AGAIN) {
        o->code = rc;
        o->lost = false;
    } else {
        sx_fail(o->code, "%s", text);
    }
    sx_free(text);
}

static void make(work *w, mp_comm *share, int64_t i, const char print[65], const char *why,
                 char **payload) {
    work_outcome *o = &w->outcome[i];
    if (job_explain(w->j)) sx_info("%s: %s", w->name[i], why);
    if (mp_rank(share) == 0)
        work_journal_begin(w->journal, w->name[i], print);
    else
        work_journal_join(w->journal, w->name[i], print);
    o->state = WORK_MADE;
    o->code = w->kind->make(w->user, share, i, print, payload, &o->lost);
    if (o->code != SX_OK) ask_whose(w, share, o);
    work_journal_leave();
    end_item(w);
}

/* An item that this process, or the first of `share`, has the lease of. */
static void process(work *w, mp_comm *share, int64_t i) {
    work_outcome *o = &w->outcome[i];
    const double start_s = sx_now_s();
    char why[WORK_WHY] = "", print[65] = "", *payload = NULL;
    w->item = i;
    mp_lease_move(w->leases, sx_path_base(w->name[i]));
    o->state = WORK_UNCHANGED;
    o->code = decide_together(w, share, i, print, why, &payload);
    if (o->code == SX_OK && *why) make(w, share, i, print, why, &payload);
    if (o->code != SX_OK) o->state = o->code == SX_E_AGAIN ? WORK_STOPPED : WORK_FAILED;
    snprintf(o->reason, sizeof o->reason, "%s", o->code != SX_OK ? plain(sx_err_text()) : why);
    o->seconds = sx_now_s() - start_s;
    w->lost = w->lost || o->lost;
    if (mp_rank(share) == 0) {
        work_journal_end(w->journal, w->name[i], print, o, payload);
        say(w, o);
    }
    sx_free(payload);
}

/* Nobody can get a lease where nothing can be written. */
static void lose(work *w, int64_t i, sx_err why) {
    work_outcome *o = &w->outcome[i];
    *o = (work_outcome){.item = i, .state = WORK_FAILED, .code = why, .rank = o->rank};
    o->lost = w->lost = true;
    snprintf(o->reason, sizeof o->reason, "%s", plain(sx_err_text()));
}

/* Whether the item just processed went to another process meanwhile; it is open again here. */
static bool was_taken(work *w, mp_comm *share, int64_t i) {
    int64_t taken = w->taken;
    w->taken = false;
    mp_max_i64(share, &taken, 1);
    if (taken) w->outcome[i] = (work_outcome){.item = i, .rank = w->outcome[i].rank};
    return taken != 0;
}

/* What other runs have written down meanwhile. */
static void refresh(work *w) {
    work_history now;
    const int64_t size = work_history_size(w->folder, w->own, mp_size(w->comm));
    if (size == w->past_size) return;
    if (work_history_read(w->folder, &now) != SX_OK) {
        sx_warn("%s", sx_err_text());
        work_history_clear(&now);
        return;
    }
    work_history_clear(&w->past);
    w->past = now;
    w->past_size = size;
}

/* Process item i unless another process has it: then false. The same on all ranks of `share`. */
static bool attempt(work *w, mp_comm *share, int64_t i) {
    const bool first = mp_rank(share) == 0;
    int64_t claim = first ? (int64_t)mp_lease_claim(w->leases, w->name[i], NULL) : 0;
    mp_bcast(share, &claim, sizeof claim, 0);
    if (claim == MP_CLAIM_HELD) return false;
    const sx_err error = mp_claim_error((mp_claim)claim);
    if (error != SX_OK) {
        lose(w, i, error);
    } else {
        if (first && (w->kind->keep || w->request)) refresh(w);
        process(w, share, i);
    }
    if (first) mp_lease_release(w->leases, w->name[i]);
    return !was_taken(w, share, i);
}

/* ---- items that others hold ---- */

static const struct timespec between_looks = {0, 200000000};

static void wait_a_little(work *w, int64_t n_held) {
    char note[WORK_WHY];
    snprintf(note, sizeof note, "waiting for %lld items that other processes hold",
             (long long)n_held);
    mp_lease_move(w->leases, note);
    if (w->queue) mp_queue_serve(w->queue);
    nanosleep(&between_looks, NULL);
}

/* Items until none of the n is open; those that others hold are come back to. Uses up `open`.
 * Collective over `share`. */
static void process_open(work *w, mp_comm *share, int64_t *open, int64_t n) {
    while (n > 0 && !w->lost && !mp_stop_agreed(share)) {
        int64_t still = 0;
        for (int64_t k = 0; k < n; k++)
            if (w->lost || mp_stop_agreed(share) || !attempt(w, share, open[k]))
                open[still++] = open[k];
        if ((n = still) > 0) wait_a_little(w, n);
    }
}

/* ---- the cohort ---- */

/* Items to ranks, but those that are made one at a time. */
static void process_shared_out(work *w) {
    int64_t *held = SX_NEW_ARRAY(int64_t, w->n_mine + 1), n_held = 0;
    const int64_t n = w->n_mine - w->n_alone;
    w->queue = mp_queue_new(w->comm, n);
    sx_progress_begin(&w->progress, w->kind->verb, "item", 0, n);
    for (int64_t k; (k = mp_queue_next(w->queue)) >= 0;) {
        if (mp_stop_wanted()) continue;
        const int64_t i = w->mine[k];
        sx_progress_step(&w->progress, k, NULL);
        w->outcome[i].rank = mp_rank(w->comm);
        if (!attempt(w, mp_self(), i)) held[n_held++] = i;
        sx_progress_step(&w->progress, k + 1, NULL);
        if (w->lost) mp_queue_drain(w->queue);
    }
    process_open(w, mp_self(), held, n_held);
    mp_lease_wait(w->leases, "waiting for other ranks");
    sx_progress_end(&w->progress);
    mp_queue_free(w->queue);
    w->queue = NULL;
    sx_free(held);
}

/* The last n items, one after the other, by all ranks of `share`. */
static void process_in_turn(work *w, mp_comm *share, int64_t n) {
    int64_t *open = SX_NEW_ARRAY(int64_t, n + 1);
    memcpy(open, w->mine + w->n_mine - n, (size_t)n * sizeof *open);
    process_open(w, share, open, n);
    sx_free(open);
}

/* What is made one at a time: by all ranks, or by one while the others wait. */
static void process_alone(work *w) {
    int64_t lost = w->lost;
    mp_max_i64(w->comm, &lost, 1);
    w->lost = lost != 0;
    if (w->kind->together)
        process_in_turn(w, w->comm, w->n_alone);
    else if (mp_rank(w->comm) == 0)
        process_in_turn(w, mp_self(), w->n_alone);
    mp_lease_wait(w->leases, "waiting for other ranks");
}

/* Every rank's outcomes on all ranks; of several for one item, which another process took over
 * while it was made, the first one's. */
static void exchange(work *w) {
    work_outcome *mine = SX_NEW_ARRAY(work_outcome, w->n + 1);
    void *all = NULL;
    size_t n_bytes = 0, n = 0;
    for (int64_t i = 0; i < w->n; i++)
        if (w->outcome[i].state != WORK_WAITING) mine[n++] = w->outcome[i];
    mp_allgather(w->comm, mine, n * sizeof *mine, &all, &n_bytes);
    const work_outcome *from = all;
    for (size_t i = n_bytes / sizeof *from; i-- > 0;) w->outcome[from[i].item] = from[i];
    sx_free(all);
    sx_free(mine);
}

static int64_t count(const work *w, work_state s) {
    int64_t n = 0;
    for (int64_t k = 0; k < w->n_mine; k++) n += w->outcome[w->mine[k]].state == s;
    return n;
}

/* Tasks of an array that end at the same time take turns at the table. */
static sx_err write_table(work *w) {
    static const char key[] = "table of outcomes";
    mp_claim claim;
    while ((claim = mp_lease_claim(w->leases, key, NULL)) == MP_CLAIM_HELD) wait_a_little(w, 1);
    if (claim != MP_CLAIM_MINE) return mp_claim_error(claim);
    sx_err rc = work_table_write(w->kind->table, (const char *const *)w->name, w->outcome, w->n);
    mp_lease_release(w->leases, key);
    return rc;
}

/* What rank 0 does with all outcomes. The log of a run is rank 0's: it repeats there what other
 * ranks said of their items. */
static sx_err report(work *w) {
    mp_lease_move(w->leases, "report");
    for (int64_t i = 0; i < w->n; i++)
        if (w->outcome[i].rank > 0) say(w, &w->outcome[i]);
    if (!w->kind->table) return SX_OK;
    if (job_json(w->j)) work_table_print((const char *const *)w->name, w->outcome, w->n);
    return write_table(w);
}

/* The first output that could not be written; the same on all ranks. */
static sx_err loss(const work *w) {
    for (int64_t i = 0; i < w->n; i++)
        if (w->outcome[i].lost) return sx_fail(w->outcome[i].code, "%s", w->outcome[i].reason);
    return SX_OK;
}

static sx_err failures(const work *w, int64_t failed) {
    if (failed == 0) return SX_OK;
    return sx_fail(SX_E_ITEMS, "%lld of %lld items failed; reasons are in %s", (long long)failed,
                   (long long)w->n_mine, w->kind->table ? w->kind->table : w->folder);
}

/* How much of the time of all ranks went into items; the rest is sharing out, and waiting for the
 * last one. Before the outcomes of others are known. Collective. */
static double busy_share(const work *w, double start_s) {
    double time_s[2] = {0, sx_now_s() - start_s};
    for (int64_t i = 0; i < w->n; i++) time_s[0] += w->outcome[i].seconds;
    mp_sum_f64(w->comm, time_s, 2);
    return time_s[1] > 0 ? time_s[0] / time_s[1] : 1;
}

static sx_err conclude(work *w, double start_s) {
    const double busy = busy_share(w, start_s);
    exchange(w);
    sx_err rc = mp_agree(w->comm, mp_rank(w->comm) == 0 ? report(w) : SX_OK);
    const int64_t failed = count(w, WORK_FAILED);
    sx_info("%lld made, %lld unchanged, %lld failed of %lld; %.1f %% of the ranks' time in items",
            (long long)count(w, WORK_MADE), (long long)count(w, WORK_UNCHANGED), (long long)failed,
            (long long)w->n_mine, 100 * busy);
    const sx_err lost = loss(w);
    if (lost != SX_OK) return lost;
    if (rc != SX_OK) return rc;
    if (count(w, WORK_STOPPED) + count(w, WORK_WAITING) > 0)
        return sx_fail(SX_E_AGAIN, "stopped on request; run again to finish");
    return failures(w, failed);
}

sx_err work_run(work *w) {
    const double start_s = sx_now_s();
    if (w->kind->together && w->n_mine < mp_size(w->comm)) {
        process_in_turn(w, w->comm, w->n_mine);
    } else {
        process_shared_out(w);
        if (w->n_alone > 0) process_alone(w);
    }
    const sx_err rc = conclude(w, start_s);
    w->through = rc == SX_OK || rc == SX_E_ITEMS;
    return rc;
}

void work_goes_on(work *w) {
    if (w) w->through = false;
}

const work_outcome *work_outcomes(const work *w) {
    return w->outcome;
}

mp_leases *work_leases(const work *w) {
    return w->leases;
}
