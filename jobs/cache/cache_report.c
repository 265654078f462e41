/* What a build says in the end. */
#include <inttypes.h>
#include <stdio.h>

#include "base/sx_file.h"
#include "jobs/cache/cache.h"
#include "jobs/job/job_json.h"

void cache_report(const cache_run *r, const int64_t counts[N_COUNTS], bool written,
                  double seconds) {
    const int64_t *slices = counts + N_SLICES, bytes = sx_file_size(r->path);
    if (!job_json(r->j)) {
        printf("%-10s %10s %10s %10s\n", "volumes", "ok", "failed", "reused");
        printf("%-10s %10" PRId64 " %10" PRId64 " %10" PRId64 "\n", "", counts[N_OK],
               counts[N_FAILED], counts[N_REUSED]);
        printf("%-10s %10s %10s %10s\n", "slices", "train", "val", "test");
        printf("%-10s %10" PRId64 " %10" PRId64 " %10" PRId64 "\n", "", slices[IO_TRAIN],
               slices[IO_VAL], slices[IO_TEST]);
        printf("%s: %s, %.1f MB, %.1f s\n", r->path, written ? "written" : "up to date",
               (double)bytes / 1e6, seconds);
        return;
    }
    json_t *o = json_pack(
        "{s:o, s:b, s:I, s:I, s:I, s:{s:I, s:I, s:I}, s:I, s:f}", "file", job_json_string(r->path),
        "written", written, "ok", (json_int_t)counts[N_OK], "failed", (json_int_t)counts[N_FAILED],
        "reused", (json_int_t)counts[N_REUSED], "slices", "train", (json_int_t)slices[IO_TRAIN],
        "val", (json_int_t)slices[IO_VAL], "test", (json_int_t)slices[IO_TEST], "bytes",
        (json_int_t)bytes, "seconds", seconds);
    job_json_print(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
}

void cache_report_share(const cache_run *r, int64_t n_parts) {
    if (job_json(r->j))
        job_json_print(json_pack("{s:o, s:b, s:I, s:I}", "file", job_json_string(r->path),
                                 "written", false, "parts", (json_int_t)n_parts, "volumes",
                                 (json_int_t)r->items.n),
                       JSON_COMPACT);
    else
        printf("%s: %" PRId64 " parts are there for %" PRId64 " volumes, not put together yet\n",
               r->path, n_parts, r->items.n);
}
