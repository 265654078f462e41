/* Submitted jobs: one question to squeue about the latest of them, and the last word of a log
 * (status_jobs.h). */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_shell.h"
#include "jobs/status/status_jobs.h"

enum { ASKED = 50, TAIL = 8192 };

/* ---- what Slurm says ---- */

typedef enum standing { WAITS, RUNS, ENDED } standing;

/* Whatever has another name is on nodes (RUNNING, COMPLETING, SUSPENDED, ...). */
static standing standing_of(const char *state) {
    static const struct {
        const char *state;
        standing is;
    } table[] = {{"PENDING", WAITS},      {"REQUEUED", WAITS},      {"REQUEUE_FED", WAITS},
                 {"REQUEUE_HOLD", WAITS}, {"SPECIAL_EXIT", WAITS},  {"COMPLETED", ENDED},
                 {"FAILED", ENDED},       {"CANCELLED", ENDED},     {"TIMEOUT", ENDED},
                 {"NODE_FAIL", ENDED},    {"OUT_OF_MEMORY", ENDED}, {"PREEMPTED", ENDED},
                 {"BOOT_FAIL", ENDED},    {"DEADLINE", ENDED}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].state, state) == 0) return table[i].is;
    return RUNS;
}

enum { ID, STATE, RESTARTS, NODES, REASON, N_FIELDS };
#define FORMAT "ArrayJobID:|,State:|,RestartCnt:|,NodeList:|,Reason:|"

/* None: there is none, or Slurm has not looked at the job yet. */
static bool has_reason(const char *reason) {
    return *reason && strcmp(reason, "None") != 0;
}

static status_job *find(status_jobs *s, const char *id) {
    for (int64_t i = 0; i < s->n; i++)
        if (strcmp(s->job[i].of->job, id) == 0) return &s->job[i];
    return NULL;
}

static void take_ended(status_job *j, char *const field[N_FIELDS]) {
    j->ended++;
    if (*j->state && strcmp(field[STATE], "COMPLETED") == 0) return;
    snprintf(j->state, sizeof j->state, "%s", field[STATE]);
    snprintf(j->reason, sizeof j->reason, "%s", field[REASON]);
}

/* A line of squeue, taken apart in place. */
static void take_line(status_jobs *s, char *line) {
    char *field[N_FIELDS];
    for (int i = 0; i < N_FIELDS; i++) {
        char *end = strchr(line, '|');
        if (!end) return;
        *end = '\0';
        field[i] = line;
        line = end + 1;
    }
    status_job *j = find(s, field[ID]);
    if (!j) return;
    const int64_t restarts = strtoll(field[RESTARTS], NULL, 10);
    if (restarts > j->restarts) j->restarts = restarts;
    switch (standing_of(field[STATE])) {
    case WAITS:
        j->waiting++;
        if (has_reason(j->why) && !has_reason(field[REASON])) break; /* that of another task */
        snprintf(j->why, sizeof j->why, "%s", field[REASON]);
        break;
    case RUNS:
        j->running++;
        snprintf(j->nodes, sizeof j->nodes, "%s", field[NODES]);
        break;
    case ENDED:
        take_ended(j, field);
        break;
    }
}

/* Numbers alone reach the shell. A single job that Slurm has forgotten is an error of squeue's. */
static void ask(status_jobs *s) {
    char *command = sx_strdup("timeout -k 1 10 squeue -h -r -t all -O '" FORMAT "' -j "),
         *rest = NULL;
    const char *between = "";
    int status;
    for (int64_t i = 0; i < s->n; i++) {
        const char *id = s->job[i].of->job;
        if (!*id || strspn(id, "0123456789") != strlen(id)) continue;
        char *longer = sx_strf("%s%s%s", command, between, id);
        sx_free(command);
        command = longer;
        between = ",";
    }
    char *quiet = sx_strf("%s 2>&1", command), *text = job_shell(quiet, &status);
    s->answered = *between && (status == 0 || strstr(text, "Invalid job id"));
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        take_line(s, line);
    sx_free(text);
    sx_free(quiet);
    sx_free(command);
}

/* ---- what its log says ---- */

/* The newest file with the name of the log; "*" in that stands for anything. New, or NULL. */
static char *newest_log(const char *log) {
    const char *base = sx_path_base(log), *star = strchr(base, '*');
    if (!star) return sx_file_exists(log) ? sx_strdup(log) : NULL;
    char *folder = sx_strf("%.*s", (int)(base - log), log), *best = NULL;
    DIR *d = opendir(folder);
    time_t newest = 0;
    struct stat st;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strncmp(e->d_name, base, (size_t)(star - base)) != 0) continue;
        char *path = sx_path_join(folder, e->d_name);
        if (stat(path, &st) == 0 && (!best || st.st_mtime > newest)) {
            newest = st.st_mtime;
            sx_free(best);
            best = path;
        } else {
            sx_free(path);
        }
    }
    if (d) closedir(d);
    sx_free(folder);
    return best;
}

/* Slurm's own lines, with which it ends the other ranks, and the last one of slurm/job.sh tell
 * nothing of why. */
static bool is_noise(const char *line) {
    static const char *const speakers[] = {"srun: ", "slurmstepd: ", "slurmd: "};
    for (size_t i = 0; i < sizeof speakers / sizeof *speakers; i++)
        if (strncmp(line, speakers[i], strlen(speakers[i])) == 0) return true;
    if (strncmp(line, "sagax job ", 10) == 0 && strstr(line, ": exit code ")) return true;
    return line[strspn(line, " \t\r")] == '\0';
}

/* N of the last line of slurm/job.sh, "sagax job 7: exit code N; ..."; 0: another line. A job that
 * goes on after such a code says so. */
static int code_in(const char *line) {
    const char *at = strstr(line, ": exit code ");
    if (strncmp(line, "sagax job ", 10) != 0 || !at || strstr(at, "goes on")) return 0;
    return (int)strtol(at + strlen(": exit code "), NULL, 10);
}

/* The last line of the program or its script, else the last of any; new, or NULL. *code is that
 * with which the log ends. */
static char *last_word(const char *path, int *code) {
    char text[TAIL + 1], *rest = NULL, *best = NULL;
    bool ours = false;
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    if (fseek(f, -TAIL, SEEK_END) != 0) rewind(f);
    text[fread(text, 1, TAIL, f)] = '\0';
    fclose(f);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const bool mine = strncmp(line, "sagax ", 6) == 0;
        if (mine) *code = code_in(line);
        if (is_noise(line) || (ours && !mine)) continue;
        best = line;
        ours = mine;
    }
    return best ? sx_strdup(best) : NULL;
}

static bool has_items(const char *verb) {
    static const char *const without[] = {"train", "sweep", "ablate"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (strcmp(verb, without[i]) == 0) return false;
    return true;
}

/* Journals have the name of their owner, which begins with that of the job. */
static bool has_journal(const char *folder, const submitted *of) {
    char *journals = sx_path_join(folder, "journal");
    const size_t n = strlen(of->job);
    DIR *d = opendir(journals);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));)
        found = strncmp(e->d_name, of->job, n) == 0 && strchr("-_", e->d_name[n]);
    if (d) closedir(d);
    sx_free(journals);
    return found;
}

/* ---- all of them ---- */

static bool is_queued(const status_job *j) {
    return j->waiting + j->running > 0;
}

/* Those in the queue, and the last one. */
static void choose(status_jobs *s) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (is_queued(&s->job[i]) || i == s->n - 1) s->job[n++] = s->job[i];
    s->n = n;
}

sx_err status_jobs_read(status_jobs *s, const char *folder) {
    *s = (status_jobs){.all = NULL};
    sx_err rc = submitted_read(folder, &s->all, &s->n_all);
    if (rc != SX_OK || s->n_all == 0) return rc;
    const int64_t first = s->n_all > ASKED ? s->n_all - ASKED : 0;
    s->job = SX_NEW_ARRAY(status_job, s->n_all - first);
    for (int64_t i = first; i < s->n_all; i++) s->job[s->n++] = (status_job){.of = &s->all[i]};
    ask(s);
    choose(s);
    status_job *last = &s->job[s->n - 1];
    last->log = newest_log(last->of->log);
    last->line = last->log ? last_word(last->log, &last->code) : NULL;
    last->begun = has_journal(folder, last->of) || !has_items(last->of->verb);
    return SX_OK;
}

void status_jobs_clear(status_jobs *s) {
    for (int64_t i = 0; i < s->n; i++) {
        sx_free(s->job[i].log);
        sx_free(s->job[i].line);
    }
    sx_free(s->job);
    submitted_free(s->all, s->n_all);
}

bool status_jobs_queued(const status_jobs *s) {
    for (int64_t i = 0; i < s->n; i++)
        if (is_queued(&s->job[i])) return true;
    return false;
}

/* By its last line where Slurm has forgotten it. */
static bool is_done(const status_job *j) {
    if (is_queued(j)) return false;
    if (*j->state) return strcmp(j->state, "COMPLETED") == 0;
    return j->line && sx_has_suffix(j->line, ": ok");
}

bool status_jobs_done(const status_jobs *s) {
    return s->n > 0 && is_done(&s->job[s->n - 1]);
}

const char *status_jobs_command(const status_jobs *s) {
    return s->n > 0 ? s->job[s->n - 1].of->command : NULL;
}

char *status_jobs_to_mend(const status_jobs *s) {
    static const struct {
        int code;
        const char *what;
    } table[] = {
        {64, "the command line"},
        {65, "the data, or the settings of a training that diverged"},
        {66, "the path of an input, or that input"},
        {78, "the configuration, or the folder: another configuration needs another one"},
    };
    const status_job *last = s->n > 0 ? &s->job[s->n - 1] : NULL;
    for (size_t i = 0; last && i < sizeof table / sizeof *table; i++)
        if (last->code == table[i].code)
            return sx_strf(
                "job %s ended with exit code %d and would do so again; its log says why; "
                "to be mended: %s",
                last->of->job, last->code, table[i].what);
    return NULL;
}

/* ---- telling ---- */

static void print_queued(const status_job *j) {
    const bool array = j->of->tasks > 0;
    const char *between = ": ";
    if (j->running > 0) {
        printf("%s", between);
        if (array) printf("%" PRId64 " of %" PRId64 " tasks ", j->running, j->of->tasks);
        printf(array ? "running" : "running on %s", j->nodes);
        between = ", ";
    }
    if (j->waiting > 0) {
        printf("%s", between);
        if (array) printf("%" PRId64 " of %" PRId64 " tasks ", j->waiting, j->of->tasks);
        printf(has_reason(j->why) ? "waiting (%s)" : "waiting", j->why);
    }
    if (j->restarts > 0)
        printf(", put back into the queue %" PRId64 " time%s so far", j->restarts,
               j->restarts > 1 ? "s" : "");
}

static void print_ended(const status_job *j, bool answered) {
    if (is_done(j)) {
        printf(": ended well");
        return;
    }
    if (!answered && !j->line) {
        printf(": no log yet, and squeue cannot be asked");
        return;
    }
    if (!answered)
        printf(": squeue cannot be asked");
    else
        printf(": ended%s", j->begun ? "" : " before any item began");
    if (*j->state) printf(has_reason(j->reason) ? " (%s, %s)" : " (%s)", j->state, j->reason);
    if (j->line)
        printf("; the last line of its log:\n    %s\n    %s", j->line, j->log);
    else
        printf(", without a log");
}

void status_jobs_print(const status_jobs *s) {
    if (s->n > 0) printf("\njobs:\n");
    for (int64_t i = 0; i < s->n; i++) {
        printf("  %s", s->job[i].of->job);
        if (is_queued(&s->job[i]))
            print_queued(&s->job[i]);
        else
            print_ended(&s->job[i], s->answered);
        putchar('\n');
    }
}

static const char *word_of(const status_jobs *s, const status_job *j) {
    if (j->running > 0) return "running";
    if (j->waiting > 0) return "waiting";
    if (is_done(j)) return "done";
    return s->answered ? "ended" : "unknown";
}

json_t *status_jobs_json(const status_jobs *s) {
    json_t *list = json_array();
    for (int64_t i = 0; i < s->n; i++) {
        const status_job *j = &s->job[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "job",
                            j->of->job, "verb", j->of->verb, "state", word_of(s, j), "tasks",
                            (json_int_t)j->of->tasks, "waiting", (json_int_t)j->waiting, "running",
                            (json_int_t)j->running, "restarts", (json_int_t)j->restarts, "reason",
                            job_json_string(j->waiting > 0 ? j->why : j->reason), "slurm",
                            job_json_string(j->state), "log",
                            j->log ? job_json_string(j->log) : json_null(), "last_line",
                            j->line ? job_json_string(j->line) : json_null()));
    }
    return list;
}
