/* RUN/metrics.jsonl: one object each train.log_every steps, appended by rank 0.
 *
 * On resume the lines after the resumed step are dropped, so that a training that was stopped and
 * continued has each step once. Values that depend on the machine (times, memory) stand beside
 * those that do not (loss, gradient norm, rate). */
#ifndef TRAIN_REPORT_H
#define TRAIN_REPORT_H

#include "jobs/train/train_state.h"
#include "jobs/train/train_step.h"

typedef struct train_report train_report;
/* Collective. Errors: SX_E_CREATE, SX_E_IO, SX_E_NOINPUT. */
sx_err train_report_open(train_report **r, const train_config *c, const train_state *s);
void train_report_close(train_report *r); /* takes NULL */

/* Count one step's times. Not collective. */
void train_report_step(train_report *r, const train_step_info *info);
/* Write the line of s->interval and begin the next one. Collective. Errors: SX_E_IO. */
sx_err train_report_line(train_report *r, train_state *s, double lr);

#endif
