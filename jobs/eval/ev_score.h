/* From a matched cohort to rows of scores, as work on items (jobs/items/work.h): shared out over
 * ranks, jobs and tasks of an array, kept in the journal of OUT.sagax and taken from there by later
 * runs.
 */
#ifndef EV_SCORE_H
#define EV_SCORE_H

#include "io/io_nifti.h"
#include "jobs/eval/ev_item_rows.h"
#include "jobs/eval/ev_match.h"
#include "jobs/eval/ev_report.h"
#include "jobs/items/work.h"

typedef struct ev_rows {
    ev_row *row; /* [n]; sx_free */
    int64_t n;
} ev_rows;

typedef struct ev_session {
    const job *j;
    mp_comm *comm;
    ev_cohort cohort;
    io_read_opt read;
    double hr_mm, quantile;
    work *work;            /* while items are scored */
    ev_item_rows *by_item; /* likewise: rows of the items that this rank scored */
    ev_rows rows;          /* of all, afterwards */
} ev_session;

/* What all predictions of one item share. */
typedef struct ev_exam {
    ev_truth truth;
    im_volume lr, cubic;
} ev_exam;

/* `x` must be zeroed; ev_exam_clear also after an error. Not collective. Errors: those of
 * io_nifti_read, ev_truth_make and sr_volume_read. */
sx_err ev_exam_open(ev_exam *x, const ev_session *e, int64_t item);
void ev_exam_clear(ev_exam *x);

/* Score the items of this run; `out` names its folder. Afterwards all ranks have all rows, in
 * order. Collective. Errors: SX_E_ITEMS (some failed; they have rows all the same), else those of
 * work_open and work_run. */
sx_err ev_score_all(ev_session *e, const char *out);

#endif
