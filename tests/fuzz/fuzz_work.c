/* What processes leave to each other in a work folder: lines of a journal, of which the short form
 * must say the same; rows of results in them; an entry of the crew. */
#include <math.h>
#include <string.h>

#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/eval/ev_report.h"
#include "jobs/items/work_journal.h"
#include "mpi/mp_lease.h"
#include "tests/fuzz/fuzz.h"

static void check_rows(const char *payload) {
    ev_row *row, *again;
    int64_t n, n_again;
    if (!payload || ev_rows_parse(payload, 0, &row, &n) != SX_OK) return;
    char *text = ev_rows_text(row, n);
    SX_ASSERT(text && ev_rows_parse(text, 0, &again, &n_again) == SX_OK && n == n_again);
    sx_free(again);
    sx_free(row);
    sx_free(text);
}

/* How the items ended, by a history and by its short form. */
static void check_ends(const work_history *h, const work_history *brief) {
    for (int64_t i = 0, n, m; i < h->n; i += n) {
        const char *item = h->record[i].item;
        const work_record *r = work_history_find(h, item, &n);
        const work_record *end = work_record_end(r, n);
        const work_record *s = work_history_find(brief, item, &m);
        const work_record *end_brief = s ? work_record_end(s, m) : NULL;
        SX_ASSERT(r && n > 0 && !end == !end_brief);
        SX_ASSERT(!end || strcmp(end->line, end_brief->line) == 0);
        if (end) check_rows(end->payload);
    }
}

static void read_journal(const uint8_t *data, size_t n) {
    work_history h, brief;
    char *text = sx_alloc((int64_t)n + 1, 1);
    memcpy(text, data, n);
    work_history_parse(text, &h);
    char *lines = work_history_text(&h, NULL, 0);
    work_history_parse(lines, &brief);
    check_ends(&h, &brief);
    work_history_clear(&brief);
    work_history_clear(&h);
    sx_free(lines);
    sx_free(text);
}

static void read_crew(const uint8_t *data, size_t n) {
    char *path = fuzz_file("work/crew/1-host-2-3", data, n);
    char *folder = sx_strf("%.*s", (int)(strstr(path, "/crew/") - path), path);
    mp_member *all;
    int n_all;
    SX_ASSERT(mp_crew_read(folder, &all, &n_all) == SX_OK && n_all == 1);
    SX_ASSERT(strlen(all->job) < sizeof all->job && strlen(all->doing) < sizeof all->doing);
    sx_free(all);
    sx_free(folder);
    sx_free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    read_journal(data, n);
    read_crew(data, n);
    return 0;
}
