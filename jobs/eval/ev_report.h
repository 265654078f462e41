/* Rows of scores, and what is made of them: a table of all rows, a page of means with bootstrap
 * intervals over subjects, JSON of both. Not collective. */
#ifndef EV_REPORT_H
#define EV_REPORT_H

#include "io/io_bids.h"
#include "jobs/eval/ev_image.h"

/* One method on one item. Plain data without pointers: ranks exchange it as bytes. */
typedef struct ev_row {
    int64_t item;    /* index into the low-resolution items */
    char method[16]; /* "cubic", "sr", "sr-mean" */
    int64_t failed;  /* 1: scores are NaN */
    int64_t sample;  /* its number; 0: there are none, or it is over all */
    ev_scores scores;
} ev_row;

/* Rows on the way to a later run (ev_rows.c). The rows of one item, none of which failed, as text
 * that says each number to the last bit; new (sx_free). */
char *ev_rows_text(const ev_row *row, int64_t n);
/* The way back: rows of `item`, *row new [*n] (sx_free). Errors: SX_E_DATA. */
sx_err ev_rows_parse(const char *text, int64_t item, ev_row **row, int64_t *n);

/* Six decimals, or "nan" whatever its sign bit, which differs between machines. */
void ev_number_text(char text[32], double x);

/* subject session item method psnr nrmse ssim gms hf psnr_fit nrmse_fit ssim_fit n_voxels sample,
 * one line a row; "n/a" for no sample. Errors: SX_E_CREATE, SX_E_IO. */
sx_err ev_report_tsv(const char *path, const io_items *items, const ev_row *row, int64_t n);

/* Markdown: methods x metrics, mean over subjects [95 % bootstrap interval], and paired differences
 * to cubic. A subject counts with the mean of its items, an item with the mean of its samples.
 * No interval below EV_LEAST_SUBJECTS (ev_stat.h). The last line has the two counts (ev_match.h).
 * Errors: SX_E_CREATE, SX_E_IO. */
sx_err ev_report_markdown(const char *path, const io_items *items, const ev_row *row, int64_t n,
                          int64_t n_truthless, int64_t n_unclaimed);

/* The rows and the means on stdout, {"rows": [{"subject", …}], "means": [{"method", "psnr": {"n",
 * "mean", "low", "high"}, …}]}; null where a score failed or the interval has too few subjects. */
void ev_report_print(const io_items *items, const ev_row *row, int64_t n);

#endif
