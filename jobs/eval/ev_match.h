/* Which truth and which predictions belong to which scan.
 *
 * The truth of a scan is the first volume of the same subject, session and suffix without desc. A
 * prediction belongs to the scan whose name it continues: the same entities but res and desc, its
 * desc that of the scan and a method's behind it. One that continues no scan's name may be of
 * stitched chunks: where its desc says so, it belongs to every scan that has its entities and
 * chunk-; one that has neither acq, chunk nor run, to every scan of the visit whose name has all of
 * its entities. Not collective. */
#ifndef EV_MATCH_H
#define EV_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include "io/io_bids.h"

typedef struct ev_method {
    const char *name, *desc;
    bool expected; /* its absence is a failure */
    bool numbered; /* samples are counted behind the desc */
} ev_method;
enum { EV_N_METHODS = 2 };
extern const ev_method ev_methods[EV_N_METHODS];

typedef struct ev_cohort {
    io_items lr, truth, sr;            /* filled by the caller */
    int64_t *scored, n_scored;         /* numbers of the scans that have truth */
    int64_t n_truthless, n_unclaimed;  /* scans without truth, predictions without a scan */
    char **lr_entities, **sr_entities; /* [lr.n], [sr.n] parts of names that count */
    bool *owned;                       /* [sr.n] whether it continues a scan's name */
} ev_cohort;

/* Find out who belongs to whom; the rank that speaks warns of scans without truth and predictions
 * without scan. */
void ev_cohort_match(ev_cohort *e, bool speaks);
void ev_cohort_clear(ev_cohort *e);

/* Truth of scan number `lr`, borrowed, or NULL. */
const io_item *ev_truth_of(const ev_cohort *e, int64_t lr);
/* Next prediction of a scan by a method from number `from` on, borrowed, or NULL; *at its number.
 */
const io_item *ev_next_prediction(const ev_cohort *e, int64_t lr, const ev_method *m, int64_t from,
                                  int64_t *at);
/* The number of the sample that a prediction is; 0: its name has none. */
int ev_sample_number(const io_item *prediction);
/* Whether all predictions of a scan are of one run: their sidecars, where there are any, name the
 * same weights and configuration. Errors: SX_E_DATA. */
sx_err ev_predictions_agree(const ev_cohort *e, int64_t lr);
/* How many scans that are scored are of subjects that the network was trained on, as sidecars of
 * predictions tell. */
int64_t ev_count_trained(const ev_cohort *e);
/* Warn where n of all `what` ("scans", "sessions") that are scored are of such subjects. */
void ev_warn_trained(int64_t n, int64_t all, const char *what);

#endif
