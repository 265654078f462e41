/* Configuration: the input as an INI file for a verb with many keys, and as a command line, one
 * word a line. What is accepted is resolved JSON. */
#include <jansson.h>
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/job/job_data.h"
#include "jobs/job/job_model.h"
#include "jobs/job/verbs.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_WORDS = 32 };

/* A job of these words, or a refusal. */
static void run_words(const job_verb *verb, int argc, char **argv) {
    job *j;
    net_config shape;
    dg_config degradation;
    char hash[65];
    if (job_new(&j, verb, mp_self(), argc, argv) != SX_OK) {
        SX_ASSERT(!j && sx_err_text()[0]);
        return;
    }
    char *text = job_config_json(j);
    json_t *root = json_loads(text, 0, NULL);
    SX_ASSERT(root);
    json_decref(root);
    sx_free(text);
    job_config_hash(j, NULL, hash);
    if (job_has(j, "model.mult")) job_net_config(j, &shape);
    if (job_has(j, "degrade.level")) job_degrade_config(j, &degradation);
    job_free(j);
}

static void run_file(const uint8_t *data, size_t n) {
    char *path = fuzz_file("a.ini", data, n), flag[] = "--config", help[] = "--help";
    char *argv[] = {help, flag, path};
    run_words(&cmd_train, 3, argv);
    run_words(&cmd_sr, 3, argv);
    sx_free(path);
}

/* The first word chooses the verb. Words that name files are for run_file. */
static void run_command_line(const uint8_t *data, size_t n) {
    char *text = sx_alloc((int64_t)n + 1, 1), *word[MAX_WORDS], *rest = NULL;
    int n_words = 0;
    memcpy(text, data, n);
    for (char *w = strtok_r(text, "\n", &rest); w && n_words < MAX_WORDS;
         w = strtok_r(NULL, "\n", &rest))
        if (!strstr(w, "--config")) word[n_words++] = w;
    const job_verb *verb = job_verbs[0];
    for (int i = 0; n_words && job_verbs[i]; i++)
        if (strcmp(job_verbs[i]->name, word[0]) == 0) verb = job_verbs[i];
    if (n_words) run_words(verb, n_words - 1, word + 1);
    sx_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    run_file(data, n);
    run_command_line(data, n);
    return 0;
}
