/* Pairs of session and method as work (ev_vertebrae.h). The rows of an item depend on its files and
 * a few options alone, whose hash is its fingerprint; rows of an item without failures are kept in
 * the journal. */
#include <stdio.h>

#include "base/sx_mem.h"
#include "jobs/eval/ev_print.h"
#include "jobs/eval/ev_vertebrae.h"
#include "sagax_version.h"

static const char *name_of(void *user, int64_t i) {
    const ev_vertebrae *e = user;
    return e->item_name[i];
}

static void print_tree(sx_hasher *h, const ev_tree *t, const io_item *of) {
    static const char *const roles[2] = {"vertebrae", "sub-regions"};
    sx_hasher_add_text(h, t->scheme.sha256);
    for (int k = 0; k < 2; k++) {
        const io_item *found;
        const sx_err rc = ev_find_mask(t, of, k == 1, &found);
        sx_hasher_add_text(h, sx_err_name(rc));
        if (rc == SX_OK && found) ev_print_file(h, roles[k], found->path);
    }
}

/* There is no output to look at: rows are in the journal or nowhere. */
static sx_err inspect(void *user, int64_t i, char print[65], char why[WORK_WHY]) {
    const ev_vertebrae *e = user;
    const io_item *of = e->visit[i / e->n_methods];
    char options[128];
    sx_hasher *h = sx_hasher_new();
    snprintf(options, sizeof options,
             "xform %d neck %d surfaces %d box %d whole %d scans %d partial %d", (int)e->read.xform,
             (int)e->neck, e->surfaces, e->box, e->whole_scans, e->axial_scans, e->partial);
    sx_hasher_add_text(h, "eval vertebrae " SAGAX_VERSION " " SAGAX_REVISION);
    sx_hasher_add_text(h, options);
    print_tree(h, &e->truth, of);
    print_tree(h, &e->method[i % e->n_methods], of);
    for (int64_t k = 0; k < e->axial.n; k++)
        if (io_same_session(&e->axial.item[k], of))
            ev_print_file(h, "axial", e->axial.item[k].path);
    sx_hasher_end(h, print);
    snprintf(why, WORK_WHY, "no scores");
    return SX_OK;
}

/* The rows of one item to those of the rank; *r is taken. */
static void take_rows(ev_vertebrae *e, int64_t i, ev_vert_rows *r) {
    ev_item_rows_replace(e->session_rows, i, r->session, r->n_sessions);
    ev_item_rows_replace(e->instance_rows, i, r->instance, r->n_instances);
    ev_vert_rows_clear(r);
}

static sx_err make(void *user, mp_comm *share, int64_t i, const char print[65], char **payload,
                   bool *lost) {
    ev_vertebrae *e = user;
    ev_vert_rows r = {NULL, NULL, 0, 0};
    (void)share, (void)print, (void)lost;
    work_step(e->work, 0, 1, "item");
    const sx_err rc = ev_vertebrae_item(e, i, SX_OK, &r);
    if (rc == SX_OK) *payload = ev_vert_rows_text(&r);
    take_rows(e, i, &r);
    return rc;
}

static sx_err keep(void *user, int64_t i, const char *payload) {
    ev_vertebrae *e = user;
    ev_vert_rows r = {NULL, NULL, 0, 0};
    const sx_err rc = ev_vert_rows_parse(payload, i, &r);
    if (rc == SX_OK) take_rows(e, i, &r);
    return rc;
}

/* Items of this rank that made the program crash before were not tried: they have failed. */
static void add_untried(ev_vertebrae *e, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const work_outcome *o = &work_outcomes(e->work)[i];
        ev_vert_rows r = {NULL, NULL, 0, 0};
        if (o->state != WORK_FAILED || o->rank != mp_rank(e->comm)) continue;
        if (ev_item_rows_has(e->session_rows, i)) continue;
        ev_vertebrae_item(e, i, sx_fail(o->code, "%s", o->reason), &r);
        take_rows(e, i, &r);
    }
}

static void gather(ev_vertebrae *e) {
    const work_outcome *o = work_outcomes(e->work);
    ev_vert_rows *r = &e->rows;
    r->session = ev_item_rows_gather(e->session_rows, e->comm, o, &r->n_sessions);
    r->instance = ev_item_rows_gather(e->instance_rows, e->comm, o, &r->n_instances);
}

sx_err ev_vertebrae_score(ev_vertebrae *e, const char *out) {
    static const work_kind kind = {.verb = "eval",
                                   .forgives = true,
                                   .name = name_of,
                                   .inspect = inspect,
                                   .make = make,
                                   .keep = keep};
    const int64_t n = e->n_sessions * e->n_methods;
    char *folder = work_folder(out, false);
    sx_err rc;
    e->session_rows = ev_item_rows_new(n, sizeof(ev_session_row));
    e->instance_rows = ev_item_rows_new(n, sizeof(ev_instance_row));
    SX_TRY(rc, work_open(&e->work, e->j, folder, &kind, e, n));
    rc = work_run(e->work);
    if (rc != SX_OK && rc != SX_E_ITEMS) goto out;
    add_untried(e, n);
    gather(e);
out:
    work_close(e->work);
    ev_item_rows_free(e->session_rows);
    ev_item_rows_free(e->instance_rows);
    e->work = NULL;
    e->session_rows = e->instance_rows = NULL;
    sx_free(folder);
    return rc;
}
