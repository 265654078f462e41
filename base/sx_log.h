/* Log: people read stderr, machines read JSON lines.
 *
 * One line per message, level-filtered. With a JSON sink open, every message is also written there
 * as one object: {"time","level","rank","event","message"}, where event is "log". Rank 0 alone
 * speaks on stderr unless the level is SX_LOG_WARN or higher (then the rank is named). Progress: on
 * a terminal a bar that redraws itself at most 10 times a second, with rate and ETA; otherwise one
 * line every 30 s, so that Slurm logs stay readable. SAGAX_PROGRESS=bar or lines in the environment
 * decides where the terminal cannot be seen (mpirun). Thread-safe. Not collective.
 */
#ifndef SX_LOG_H
#define SX_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/sx_err.h"

typedef enum sx_log_level {
    SX_LOG_DEBUG,
    SX_LOG_INFO,
    SX_LOG_WARN,
    SX_LOG_ERROR,
    SX_LOG_SILENT
} sx_log_level;

/* Least level printed on stderr (default SX_LOG_INFO). */
void sx_log_set_level(sx_log_level level);
/* Rank shown in lines; ranks other than 0 print warnings and errors only. */
void sx_log_set_rank(int rank);
/* Append JSON lines to `path` (NULL closes). Errors: SX_E_CREATE. */
sx_err sx_log_open_json(const char *path);

void sx_log(sx_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define sx_debug(...) sx_log(SX_LOG_DEBUG, __VA_ARGS__)
#define sx_info(...) sx_log(SX_LOG_INFO, __VA_ARGS__)
#define sx_warn(...) sx_log(SX_LOG_WARN, __VA_ARGS__)
#define sx_error(...) sx_log(SX_LOG_ERROR, __VA_ARGS__)

/* Progress of one phase. Plain data; no clean-up beyond sx_progress_end. */
typedef struct sx_progress {
    const char *what; /* borrowed, e.g. "train" */
    const char *unit; /* borrowed, e.g. "step"  */
    int64_t total, done, first;
    double start_s, last_s;
    bool bar;
} sx_progress;

void sx_progress_begin(sx_progress *p, const char *what, const char *unit, int64_t first,
                       int64_t total);
/* `note` is appended to the line (for example "loss 0.0312"), may be NULL. */
void sx_progress_step(sx_progress *p, int64_t done, const char *note);
void sx_progress_end(sx_progress *p);

/* Monotonic seconds. */
double sx_now_s(void);

#endif
