/* sagax eval vertebrae: how well vertebrae can be found and outlined in the volumes of several
 * methods, against true masks. What is measured is defined in spine/sp_match.h, spine/sp_surface.h
 * and ev_vertebrae_axial.c; the page for users is docs/evaluation.md.
 *
 * A session is a true vertebra mask, a method a tree of predicted masks. Every pair of session and
 * method is an item of work (work.h) and gets a row, whatever happens to it: a prediction that is
 * missing or cannot be used is scored as an empty mask, so that it counts as an error. An item has
 * also rows for its instances. Rows are plain data without pointers, which ranks exchange as bytes.
 */
#ifndef EV_VERTEBRAE_H
#define EV_VERTEBRAE_H

#include "io/io_bids.h"
#include "jobs/job/job_scheme.h"
#include "jobs/eval/ev_item_rows.h"
#include "jobs/eval/ev_stat.h"
#include "jobs/job/job_data.h"
#include "jobs/items/work.h"
#include "spine/sp_match.h"

/* ---- rows ---- */

typedef enum ev_state {
    EV_SCORED,
    EV_MISSING,  /* no prediction: scored as an empty one                        */
    EV_UNUSABLE, /* a prediction that cannot be read, or several: likewise       */
    EV_FAILED,   /* the truth cannot be used, or the item crashed: all values NAN */
    EV_N_STATES
} ev_state;
const char *ev_state_name(ev_state s);

/* Columns of a session's row. */
enum {
    EVS_TRUTHS,
    EVS_PREDICTIONS,
    EVS_DETECTED,
    EVS_MISSED,
    EVS_DUPLICATES,
    EVS_FALSE_POSITIVES,
    EVS_MERGES,
    EVS_SPLITS,
    EVS_MISLABELLED,
    EVS_LEVEL_SHIFT,
    EVS_JUDGED,
    EVS_DTR,
    EVS_B0_ERROR,
    EVS_B1_ERROR,
    EVS_B2_ERROR,
    EVS_MATCHED,
    EVS_RQ,
    EVS_SQ,
    EVS_PQ,
    EVS_DICE,
    EVS_LABEL_DICE,
    EVS_UNION_DICE,
    EVS_PAIRS, /* truths with a pair: of what the distances are means */
    EVS_ASSD,
    EVS_HD95,
    EVS_AXIAL_SCANS,
    EVS_AXIAL_DICE,
    EVS_N
};
typedef struct ev_column {
    const char *name;
    bool whole; /* a count: shown without decimals */
} ev_column;
extern const ev_column ev_session_columns[EVS_N];

typedef struct ev_session_row {
    int64_t item; /* session * methods + method */
    int64_t state;
    double value[EVS_N];
} ev_session_row;

/* What an instance's row tells of: each truth is "detected" or "missed" in one row, each prediction
 * "detected", "duplicate" or "false" in one. */
enum { EV_DETECTED, EV_MISSED, EV_DUPLICATE, EV_FALSE, EV_N_WHATS };

enum {
    EVI_TRUTH,      /* number of the truth, 0 none */
    EVI_PREDICTION, /* number of the prediction, 0 none */
    EVI_PARTNER,    /* number of the truth's pair, 0 none: of what overlap and distances are */
    EVI_DICE,
    EVI_IOU,
    EVI_ASSD,
    EVI_HD,
    EVI_HD95,
    EVI_B0,
    EVI_B1,
    EVI_B2,
    EVI_WRONG_B0,
    EVI_WRONG_B1,
    EVI_WRONG_B2,
    EVI_N
};
extern const char *const ev_instance_columns[EVI_N];

typedef struct ev_instance_row {
    int64_t item, what;
    double value[EVI_N]; /* NAN: does not apply */
} ev_instance_row;

typedef struct ev_vert_rows {
    ev_session_row *session;   /* [n_sessions]; sx_free */
    ev_instance_row *instance; /* [n_instances]; sx_free */
    int64_t n_sessions, n_instances;
} ev_vert_rows;

void ev_vert_rows_clear(ev_vert_rows *r);
/* The rows of one item as text that says each number to the last bit, new (sx_free); and the way
 * back, as rows of `item`. Errors: SX_E_DATA. */
char *ev_vert_rows_text(const ev_vert_rows *r);
sx_err ev_vert_rows_parse(const char *text, int64_t item, ev_vert_rows *r);

/* ---- the cohort ---- */

typedef struct ev_tree {
    char *name, *root; /* name of the method; owned */
    const char *match; /* what names of its masks hold; borrowed */
    io_items items;
    job_scheme scheme;
    bool plain; /* no name in it says seg-vert: all images are masks of vertebrae */
} ev_tree;

enum { EV_MAX_METHODS = 128 };

typedef struct ev_vertebrae {
    const job *j;
    mp_comm *comm;
    io_read_opt read;
    ev_tree truth, method[EV_MAX_METHODS];
    int n_methods;
    io_items axial;        /* annotated axial masks, or axial scans */
    bool axial_scans;      /* scans: on their grid the truth is sampled */
    const io_item **visit; /* [n_sessions] a mask of the truth for each session; owned */
    char **item_name;      /* [n_sessions * n_methods] "METHOD/path of the truth"; owned */
    int64_t n_sessions;
    int64_t n_unclaimed; /* predicted masks without truth */
    sp_neck neck;
    bool surfaces, box, whole_scans;
    bool partial; /* count true vertebrae that the field of view cuts off, too */
    work *work;   /* while items are scored */
    ev_item_rows *session_rows,
        *instance_rows; /* likewise: rows of the items that this rank scored */
    ev_vert_rows rows;  /* of all, afterwards: session [n_sessions * n_methods] by item */
} ev_vertebrae;

extern const job_option ev_vertebrae_options[];

/* Trees, sessions and schemes; the rank that speaks warns of what has no partner. `e` must be
 * zeroed; ev_vertebrae_close also after an error. Errors: SX_E_USAGE, SX_E_NOINPUT, SX_E_DATA,
 * SX_E_IO. */
sx_err ev_vertebrae_open(ev_vertebrae *e, const job *j, bool speaks);
void ev_vertebrae_close(ev_vertebrae *e);
/* Of how many sessions a prediction was made by a network that was trained on its subject, as
 * sidecars tell. */
int64_t ev_vertebrae_count_trained(const ev_vertebrae *e);

/* The only mask of vertebrae, or of sub-regions, that a tree has of the visit of `of`; borrowed.
 * *found is NULL when there is none. Errors: SX_E_DATA (several: how to choose). */
sx_err ev_find_mask(const ev_tree *t, const io_item *of, bool subregions, const io_item **found);

/* ---- masks ---- */

/* Turned to PIR, in numbers of sp_labels.h, both on one grid. */
typedef struct ev_masks {
    im_labels vert, subreg; /* subreg without voxels when there is none */
} ev_masks;

/* Read what a tree has of a visit. `m` must be zeroed; ev_masks_clear also after an error. Errors:
 * SX_E_NOINPUT (no vertebra mask), those of ev_find_mask and io_nifti_read, SX_E_DATA (numbered
 * otherwise). */
sx_err ev_masks_read(ev_masks *m, const ev_tree *t, const io_item *of, const io_read_opt *opt);
void ev_masks_clear(ev_masks *m);
/* Erase from a prediction what lies outside of the truth's boxes (ev_vertebrae_masks.c). Errors:
 * SX_E_NOMEM, SX_E_DATA. */
sx_err ev_masks_box(ev_masks *prediction, const ev_masks *truth);
/* Bone as 1, new, on the masks' grid: sub-regions 41 to 50; vertebrae without the sacrum when no
 * sub-region says what is bone. `bone` must be zeroed. Errors: SX_E_NOMEM. */
sx_err ev_masks_bone(const ev_masks *m, im_labels *bone);

/* Mean Dice over the axial images of a visit, and how many have something to compare; NAN and 0
 * without. Errors: those of io_nifti_read, SX_E_DATA, SX_E_NOMEM. */
sx_err ev_axial_dice(const ev_vertebrae *e, const io_item *of, const ev_masks *truth,
                     const ev_masks *prediction, double *dice, int64_t *n);

/* ---- scoring ---- */

/* All rows of an item, added to `r`. Returns the first failure; there is a session row all the
 * same. `ready`: whether it may be tried. */
sx_err ev_vertebrae_item(const ev_vertebrae *e, int64_t item, sx_err ready, ev_vert_rows *r);
/* Score the items of this run; afterwards all ranks have all rows, in order. `out` names the folder
 * of the work. Collective. Errors: SX_E_ITEMS, those of work_open and work_run. */
sx_err ev_vertebrae_score(ev_vertebrae *e, const char *out);

/* ---- results ---- */

/* A number of the page. Macro: mean over sessions, as the paper has it; micro: over instances (or
 * axial images); intervals over subjects. */
typedef struct ev_metric {
    const char *name, *title;
    int column, weight; /* EVS_; weight of the micro mean, -1 for none */
    bool tested;        /* the difference to the first method has a p-value */
} ev_metric;
enum { EV_N_METRICS = 9 };
extern const ev_metric ev_metrics[EV_N_METRICS];

typedef struct ev_summary {
    ev_estimate macro, micro;
    ev_estimate difference; /* to the first method, paired by session */
    double p, p_holm;       /* NAN where not tested or with too few subjects */
} ev_summary;
/* summary [methods][EV_N_METRICS] is filled. p_holm: one family of all tests. */
void ev_summarise(const ev_vertebrae *e, ev_summary (*summary)[EV_N_METRICS]);

/* OUT.tsv, OUT_instances.tsv, OUT_summary.tsv, OUT.md. Errors: SX_E_CREATE, SX_E_IO, SX_E_NOMEM. */
sx_err ev_vertebrae_write(const ev_vertebrae *e, const char *out);
/* Sessions and means as JSON on stdout. */
void ev_vertebrae_print(const ev_vertebrae *e);

/* The verb's body. Collective. */
sx_err ev_vertebrae_run(job *j);

#endif
