/* Log and progress. One lock guards the sinks; a line is built first and written in one call, so
 * lines of ranks that share a terminal do not interleave. */
#include "base/sx_log.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 4096
#define JSON_BYTES (6 * LINE_BYTES + 256) /* every byte may become \u00XX */

static struct {
    pthread_mutex_t lock;
    sx_log_level level;
    int rank;
    FILE *json;
    bool bar_drawn; /* the cursor stands behind a progress bar */
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = SX_LOG_INFO};

static const char *const level_name[] = {"debug", "info", "warning", "error", "silent"};

double sx_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void sx_log_set_level(sx_log_level level) {
    pthread_mutex_lock(&log_state.lock);
    log_state.level = level;
    pthread_mutex_unlock(&log_state.lock);
}

void sx_log_set_rank(int rank) {
    pthread_mutex_lock(&log_state.lock);
    log_state.rank = rank;
    pthread_mutex_unlock(&log_state.lock);
}

sx_err sx_log_open_json(const char *path) {
    FILE *f = NULL;
    if (path) {
        f = fopen(path, "a");
        if (!f) return sx_fail(SX_E_CREATE, "%s: %s", path, strerror(errno));
    }
    pthread_mutex_lock(&log_state.lock);
    if (log_state.json) fclose(log_state.json);
    log_state.json = f;
    pthread_mutex_unlock(&log_state.lock);
    return SX_OK;
}

/* Bytes of the character at c, 0 for what is no UTF-8 (Unicode 15, table 3-7: well-formed). */
static int utf8_bytes(const unsigned char *c) {
    static const struct {
        unsigned char low, high, next_low, next_high; /* of the first byte, of the second */
        int n;
    } rows[] = {
        {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    size_t r = 0;
    while (r < sizeof rows / sizeof *rows && (c[0] < rows[r].low || c[0] > rows[r].high)) r++;
    if (r == sizeof rows / sizeof *rows || c[1] < rows[r].next_low || c[1] > rows[r].next_high)
        return 0;
    for (int i = 2; i < rows[r].n; i++)
        if (c[i] < 0x80 || c[i] > 0xbf) return 0;
    return rows[r].n;
}

/* RFC 8259 string body of `text` into out, which has room for 6 bytes a character. JSON is UTF-8,
 * file names are bytes: those that are not become '?'. */
static void json_escape(const char *text, char *out) {
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        const int n = utf8_bytes(c);
        if (n > 1) {
            memcpy(out, c, (size_t)n);
            out += n;
        } else if (n == 0) {
            *out++ = '?';
        } else if (*c < 0x20) {
            out += snprintf(out, 7, "\\u%04x", *c);
        } else {
            if (*c == '"' || *c == '\\') *out++ = '\\';
            *out++ = (char)*c;
        }
        c += n > 1 ? n : 1;
    }
    *out = '\0';
}

static void write_json(const char *level, const char *text) {
    char escaped[JSON_BYTES], stamp[32];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    json_escape(text, escaped);
    fprintf(log_state.json,
            "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"rank\":%d,\"event\":\"log\",\"message\":"
            "\"%s\"}\n",
            stamp, now.tv_nsec / 1000000, level, log_state.rank, escaped);
    fflush(log_state.json);
}

/* A person sees what is loud enough; from ranks other than 0 only warnings and worse. */
static bool on_stderr(sx_log_level level) {
    return level >= log_state.level && (log_state.rank == 0 || level >= SX_LOG_WARN);
}

static void write_stderr(sx_log_level level, const char *text) {
    char line[LINE_BYTES + 64], who[32] = "";
    if (level >= SX_LOG_WARN && log_state.rank > 0)
        snprintf(who, sizeof who, "rank %d: ", log_state.rank);
    snprintf(line, sizeof line, "%s%s%s%s\n", log_state.bar_drawn ? "\r\033[K" : "", who,
             level == SX_LOG_WARN ? "warning: " : "", text);
    log_state.bar_drawn = false;
    fputs(line, stderr);
    fflush(stderr);
}

void sx_log(sx_log_level level, const char *format, ...) {
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_mutex_lock(&log_state.lock);
    if (on_stderr(level)) write_stderr(level, text);
    if (log_state.json) write_json(level_name[level], text);
    pthread_mutex_unlock(&log_state.lock);
}

/* ---- progress ---- */

#define BAR_PERIOD_S 0.1
#define LINE_PERIOD_S 30.0
#define BAR_CELLS 24

static void format_duration(double s, char *out, size_t n) {
    int64_t t = isfinite(s) && s >= 0 ? (int64_t)(s + 0.5) : 0;
    if (t >= 3600)
        snprintf(out, n, "%lld:%02lld:%02lld", (long long)(t / 3600), (long long)(t / 60 % 60),
                 (long long)(t % 60));
    else
        snprintf(out, n, "%lld:%02lld", (long long)(t / 60), (long long)(t % 60));
}

/* "train 120/480 step, 2.2 step/s, ETA 2:43, loss 0.01"; no rate before something is done. */
static void format_progress(const sx_progress *p, double now_s, const char *note, char *out,
                            size_t n) {
    char eta[32], pace[96] = "";
    double elapsed_s = now_s - p->start_s;
    double rate = elapsed_s > 0 ? (double)(p->done - p->first) / elapsed_s : 0;
    if (rate > 0) {
        format_duration((double)(p->total - p->done) / rate, eta, sizeof eta);
        snprintf(pace, sizeof pace, ", %.3g %s/s, ETA %s", rate, p->unit, eta);
    }
    snprintf(out, n, "%s %lld/%lld %s%s%s%s", p->what, (long long)p->done, (long long)p->total,
             p->unit, pace, note ? ", " : "", note ? note : "");
}

static void draw_bar(const sx_progress *p, const char *text) {
    char cells[BAR_CELLS + 1];
    int64_t full = p->total > 0 ? p->done * BAR_CELLS / p->total : BAR_CELLS;
    for (int64_t i = 0; i < BAR_CELLS; i++) cells[i] = i < full ? '#' : '.';
    cells[BAR_CELLS] = '\0';
    pthread_mutex_lock(&log_state.lock);
    if (on_stderr(SX_LOG_INFO)) {
        fprintf(stderr, "\r\033[K[%s] %s", cells, text);
        fflush(stderr);
        log_state.bar_drawn = true;
    }
    pthread_mutex_unlock(&log_state.lock);
}

static void show_progress(sx_progress *p, double now_s, const char *note) {
    char text[LINE_BYTES];
    format_progress(p, now_s, note, text, sizeof text);
    p->last_s = now_s;
    if (p->bar)
        draw_bar(p, text);
    else
        sx_info("%s", text);
}

/* mpirun hides the terminal from its ranks, so SAGAX_PROGRESS=bar or lines overrules what we see.
 */
static bool wants_bar(void) {
    const char *asked = getenv("SAGAX_PROGRESS");
    if (asked && strcmp(asked, "bar") == 0) return true;
    if (asked && strcmp(asked, "lines") == 0) return false;
    return isatty(STDERR_FILENO) == 1;
}

void sx_progress_begin(sx_progress *p, const char *what, const char *unit, int64_t first,
                       int64_t total) {
    double now_s = sx_now_s();
    *p = (sx_progress){.what = what,
                       .unit = unit,
                       .total = total,
                       .done = first,
                       .first = first,
                       .start_s = now_s,
                       .last_s = now_s,
                       .bar = wants_bar()};
}

void sx_progress_step(sx_progress *p, int64_t done, const char *note) {
    double now_s = sx_now_s();
    p->done = done;
    if (now_s - p->last_s >= (p->bar ? BAR_PERIOD_S : LINE_PERIOD_S)) show_progress(p, now_s, note);
}

void sx_progress_end(sx_progress *p) {
    char took[32], text[LINE_BYTES];
    double elapsed_s = sx_now_s() - p->start_s;
    format_duration(elapsed_s, took, sizeof took);
    snprintf(text, sizeof text, "%s %lld/%lld %s in %s", p->what, (long long)p->done,
             (long long)p->total, p->unit, took);
    sx_info("%s", text);
}
