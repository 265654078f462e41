/* STUDY/table.png: a sagittal slice of some sessions as each row restored and segmented it, beside
 * the truth (ablate.h). What is not there is a black panel. */
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_log.h"
#include "base/sx_mem.h"
#include "image/im_stat.h"
#include "io/io_png.h"
#include "jobs/ablate/ablate.h"
#include "jobs/eval/ev_image.h"
#include "jobs/eval/ev_vertebrae.h"
#include "jobs/sr/sr_volume.h"

enum { MAX_SESSIONS = 2, MAX_WIDTH = 2000 /* pixels, if they are to be magnified */ };

/* A session has two lines: what was restored, and vertebrae found in it; a column is a row of the
 * study, the last one the truth. */
typedef struct picture {
    const ablate_study *s;
    ev_vertebrae *e;
    io_items *restored; /* [columns] images of each row; of the truth, its isotropic ones */
    int columns;
    io_panel *panel; /* [max_panels], images owned */
    bool *coloured;  /* likewise */
} picture;

static int max_panels(const picture *q) {
    return 2 * MAX_SESSIONS * q->columns;
}

/* ---- colours ---- */

/* Seven hues in turn, so that neighbours differ. */
static io_colour colour_of(int instance) {
    static const io_colour hues[] = {{230, 120, 90},  {110, 170, 220}, {230, 200, 120},
                                     {150, 110, 190}, {110, 190, 130}, {220, 140, 190},
                                     {120, 200, 200}};
    return instance ? hues[instance % (int)(sizeof hues / sizeof *hues)] : (io_colour){0, 0, 0};
}

/* ---- panels ---- */

/* The sagittal slice of the truth with most of its vertebrae. */
static int64_t fullest_slice(const im_volume *truth) {
    const int64_t *n = truth->dim;
    int64_t best = 0, most = -1;
    for (int64_t i = 0; i < n[0]; i++) {
        int64_t count = 0;
        for (int64_t at = i; at < n[0] * n[1] * n[2]; at += n[0])
            count += sp_is_instance((int)truth->voxel[at]);
        if (count > most) most = count, best = i;
    }
    return best;
}

/* Slice `index` of the grid out of a volume whose values are shown as 0..peak. */
static void put_panel(io_panel *p, const ev_truth *grid, int64_t index, const im_volume *v,
                      int order, double peak) {
    const ev_truth scaled = {.image = grid->image, .peak = peak};
    float *shown = NULL;
    if (ev_sagittal(&scaled, v, index, order, &shown, &p->h, &p->w) == SX_OK)
        p->image = shown;
    else
        sx_warn("%s", sx_err_text());
}

static void put_image(const picture *q, io_panel *p, const ev_truth *grid, int64_t index,
                      const io_items *images, const io_item *visit) {
    im_volume v = {0};
    for (int64_t i = 0; i < images->n && !v.voxel; i++)
        if (io_same_session(&images->item[i], visit) &&
            sr_read_pir(images->item[i].path, &q->e->read, &v) != SX_OK)
            sx_warn("%s", sx_err_text());
    if (v.voxel) put_panel(p, grid, index, &v, 3, im_quantile(v.voxel, im_volume_count(&v), 0.999));
    im_volume_clear(&v);
}

static void put_mask(const picture *q, io_panel *p, const ev_truth *grid, int64_t index,
                     const ev_tree *tree, const io_item *visit) {
    ev_masks m = {.vert = {.voxel = NULL}};
    im_volume v = {0};
    sx_err rc = ev_masks_read(&m, tree, visit, &q->e->read);
    if (rc == SX_OK) rc = im_labels_to_volume(&v, &m.vert);
    if (rc == SX_OK)
        put_panel(p, grid, index, &v, 0, 1.0);
    else if (rc != SX_E_NOINPUT)
        sx_warn("%s", sx_err_text());
    im_volume_clear(&v);
    ev_masks_clear(&m);
}

static const ev_tree *masks_of(const picture *q, const char *row) {
    for (int m = 0; m < q->e->n_methods; m++)
        if (strcmp(q->e->method[m].name, row) == 0) return &q->e->method[m];
    return NULL;
}

/* The true mask of a session as a grid. */
static sx_err read_grid(const picture *q, const io_item *visit, ev_truth *grid) {
    ev_masks m = {.vert = {.voxel = NULL}};
    im_labels ras = {0};
    sx_err rc;
    SX_TRY(rc, ev_masks_read(&m, &q->e->truth, visit, &q->e->read));
    SX_TRY(rc, im_labels_reorient(&ras, &m.vert, "RAS"));
    rc = im_labels_to_volume(&grid->image, &ras);
out:
    im_labels_clear(&ras);
    ev_masks_clear(&m);
    return rc;
}

/* Two lines of panels from panel `at` on. Errors: the truth cannot be read. */
static sx_err put_session(const picture *q, const io_item *visit, int at) {
    const ablate_plan *plan = &q->s->plan;
    ev_truth grid = {.peak = 1.0};
    const sx_err rc = read_grid(q, visit, &grid);
    if (rc != SX_OK) return rc;
    const int64_t index = fullest_slice(&grid.image), *dim = grid.image.dim;
    for (int c = 0; c < q->columns; c++) {
        const bool truth = c == plan->n;
        io_panel *image = &q->panel[at + c], *mask = image + q->columns;
        *image = (io_panel){.h = (int)dim[2],
                            .w = (int)dim[1],
                            .hi = 1.0f,
                            .caption = truth ? "truth" : plan->row[c].name};
        *mask = *image;
        mask->caption = "";
        put_image(q, image, &grid, index, &q->restored[c], visit);
        if (truth)
            put_panel(mask, &grid, index, &grid.image, 0, 1.0);
        else
            put_mask(q, mask, &grid, index, masks_of(q, plan->row[c].name), visit);
        q->coloured[at + q->columns + c] = mask->image != NULL;
    }
    for (io_panel *p = q->panel + at; p < q->panel + at + 2 * q->columns; p++)
        if (!p->image) p->image = SX_NEW_ARRAY(float, (int64_t)p->h * p->w);
    im_volume_clear(&grid.image);
    return rc;
}

/* ---- the picture ---- */

/* The images of each column; none of a row that failed, which may be of other settings. */
static sx_err find_images(picture *q) {
    const job *j = q->s->j;
    sx_err rc = SX_OK;
    q->restored = SX_NEW_ARRAY(io_items, q->columns);
    for (int c = 0; c < q->columns && rc == SX_OK; c++) {
        const bool truth = c == q->s->plan.n;
        const io_filter f = {.acq = job_text(j, truth ? "ablate.isotropic" : "ablate.axial"),
                             .suffix = job_text(j, "data.suffix"),
                             .derivatives = true};
        char *folder =
            truth ? sx_strdup(job_text(j, "ablate.truth")) : ablate_row_path(q->s, c, "sr");
        const bool wanted = truth || !q->s->failed || !q->s->failed[c];
        if (wanted && sx_file_is_dir(folder)) rc = io_bids_walk(folder, &f, &q->restored[c]);
        sx_free(folder);
    }
    return rc;
}

/* Panels of the first sessions with a truth; *n of them. */
static sx_err put_sessions(const picture *q, int *n) {
    *n = 0;
    for (int64_t i = 0; i < q->e->n_sessions && *n < max_panels(q); i++) {
        if (put_session(q, q->e->visit[i], *n) == SX_OK)
            *n += 2 * q->columns;
        else
            sx_warn("%s", sx_err_text());
    }
    return *n > 0 ? SX_OK : sx_fail(SX_E_DATA, "no true mask can be read");
}

static sx_err draw(picture *q) {
    io_colour colour[SP_N_INSTANCES];
    char *path = sx_path_join(q->s->out, "table.png");
    int n = 0;
    q->panel = SX_NEW_ARRAY(io_panel, max_panels(q));
    q->coloured = SX_NEW_ARRAY(bool, max_panels(q));
    for (int i = 0; i < SP_N_INSTANCES; i++) colour[i] = colour_of(i);
    sx_err rc = find_images(q);
    if (rc == SX_OK) rc = put_sessions(q, &n);
    if (rc == SX_OK)
        rc = io_png_montage_colours(path, q->panel, q->coloured, n, q->columns,
                                    2 * q->columns * q->panel[0].w <= MAX_WIDTH ? 2 : 1, colour,
                                    SP_N_INSTANCES);
    for (int i = 0; i < n; i++) sx_free((void *)q->panel[i].image);
    for (int c = 0; c < q->columns; c++) io_items_clear(&q->restored[c]);
    sx_free(q->restored);
    sx_free(q->panel);
    sx_free(q->coloured);
    sx_free(path);
    return rc;
}

/* Sessions and masks are those that the scores are of. */
sx_err ablate_picture(const ablate_study *s) {
    picture q = {.s = s, .e = SX_NEW(ev_vertebrae), .columns = s->plan.n + 1};
    ablate_step *step;
    job *j = NULL;
    int n;
    sx_err rc;
    ablate_steps(s, ABLATE_SCORES, -1, &step, &n);
    SX_TRY(rc, job_new(&j, step[0].verb, mp_self(), step[0].n, step[0].word));
    SX_TRY(rc, ev_vertebrae_open(q.e, j, false));
    rc = draw(&q);
out:
    ev_vertebrae_close(q.e);
    sx_free(q.e);
    job_free(j);
    ablate_steps_free(step, n);
    return rc;
}
