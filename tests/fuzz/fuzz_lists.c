/* Tables and lists of images: a table comes back when it is written; items have a subject. */
#include <string.h>

#include "base/sx_mem.h"
#include "io/io_bids.h"
#include "io/io_table.h"
#include "tests/fuzz/fuzz.h"

/* Not cell by cell: a lone carriage return inside a cell stays, one at the end of a line does not.
 */
static void check_round_trip(const io_table *t) {
    io_table back;
    char *path = fuzz_file("again.tsv", "", 0);
    SX_ASSERT(io_table_write(path, t) == SX_OK);
    if (io_table_read(path, &back) == SX_OK) {
        SX_ASSERT(back.n_columns == t->n_columns && back.n_rows <= t->n_rows);
        io_table_clear(&back);
    }
    sx_free(path);
}

static void check_items(const io_items *x) {
    for (int64_t i = 0; i < x->n; i++) {
        const io_item *it = &x->item[i];
        SX_ASSERT(it->path[0] && it->rel[0] && it->subject[0] && !strchr(it->subject, '/'));
        SX_ASSERT(i == 0 || strcmp(x->item[i - 1].rel, it->rel) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const io_filter filter = {.acq = "sag,iso", .suffix = "T2w,T1w", .exclude = "sub-9,7"};
    const io_filter *const filters[] = {NULL, &filter};
    char *path = fuzz_file("a.tsv", data, n);
    io_table t;
    io_items items;
    if (io_table_read(path, &t) == SX_OK) {
        check_round_trip(&t);
        io_table_clear(&t);
    }
    for (int i = 0; i < 2; i++) {
        if (io_bids_list(path, filters[i], &items) != SX_OK) continue;
        check_items(&items);
        io_items_clear(&items);
    }
    sx_free(path);
    return 0;
}
