/* Masks by another program (seg.h).
 *
 * The command gets a folder of its own, OUT/.sagax/segment/…, with a copy of the input: segmenters
 * like to write beside what they read. Whatever files it leaves there are looked through for
 * masks. What it prints is kept in OUT/logs, the folder is removed. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <fnmatch.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_walk.h"
#include "jobs/job/job_data.h"
#include "jobs/job/job_process.h"
#include "jobs/job/job_shell.h"
#include "jobs/segment/seg.h"
#include "jobs/sr/sr_volume.h"
#include "mpi/mp_stop.h"
#include "spine/sp_labels.h"

/* ---- the command line ---- */

static const char *const places[] = {"input", "output", "folder", "name", "threads"};
enum { N_PLACES = sizeof places / sizeof places[0] };

/* Length of a placeholder at `text`, without braces; 0: there is none. */
static size_t place_length(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
    const size_t n = text[0] == '{' ? strspn(text + 1, letters) : 0;
    return n > 0 && text[n + 1] == '}' ? n : 0;
}

sx_err seg_command_check(const char *command) {
    for (const char *c = command; *c; c++) {
        const size_t n = place_length(c);
        bool known = n == 0;
        for (int i = 0; i < N_PLACES && !known; i++)
            known = strlen(places[i]) == n && strncmp(places[i], c + 1, n) == 0;
        if (!known)
            return sx_fail(SX_E_USAGE,
                           "segment.command: {%.*s} stands for nothing; {input}, {output}, "
                           "{folder}, {name} and {threads} do",
                           (int)n, c + 1);
    }
    return SX_OK;
}

/* What a placeholder stands for. */
typedef struct placeholder {
    const char *name, *text;
} placeholder;

/* The line that a template makes, each text quoted for the shell; new. */
static char *command_line(const char *command, const placeholder *place, int n_places) {
    char *line = NULL;
    size_t n_bytes;
    FILE *to = open_memstream(&line, &n_bytes);
    SX_ASSERT(to);
    for (const char *c = command; *c; c++) {
        const size_t n = place_length(c);
        int i = 0;
        while (i < n_places && (strlen(place[i].name) != n || strncmp(place[i].name, c + 1, n)))
            i++;
        if (n == 0 || i == n_places) {
            fputc(*c, to);
        } else {
            job_quote(to, place[i].text);
            c += n + 1;
        }
    }
    fclose(to);
    return line;
}

/* ---- its folder ---- */

/* Everything about the item that is being made. */
typedef struct making {
    const seg_config *c;
    const io_item *item;
    work *work;
    char *folder, *output, *input, *log; /* full paths */
} making;

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *f) {
    (void)s;
    (void)f;
    if (kind == FTW_DP)
        rmdir(path);
    else
        unlink(path);
    return 0; /* what cannot be removed stays */
}

static void remove_folder(const char *path) {
    if (path) nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static sx_err copy_file(const char *from, const char *to) {
    enum { BLOCK = 1 << 20 };
    FILE *in = fopen(from, "rb"), *out = in ? fopen(to, "wb") : NULL;
    char *block = sx_alloc(BLOCK, 1);
    size_t n;
    sx_err rc = !in    ? sx_fail(SX_E_NOINPUT, "%s: cannot be read", from)
                : !out ? sx_fail(SX_E_CREATE, "%s: cannot be made", to)
                       : SX_OK;
    while (rc == SX_OK && (n = fread(block, 1, BLOCK, in)) > 0)
        if (fwrite(block, 1, n, out) != n) rc = sx_fail(SX_E_IO, "%s: cannot be written", to);
    if (rc == SX_OK && ferror(in)) rc = sx_fail(SX_E_IO, "%s: cannot be read", from);
    if (out && fclose(out) != 0 && rc == SX_OK) rc = sx_fail(SX_E_IO, "%s: cannot be written", to);
    if (in) fclose(in);
    sx_free(block);
    return rc;
}

/* The name must be nobody else's: the lease of an item can pass to another process while the
 * command of the first still runs. */
static sx_err prepare(making *k) {
    char *out = sx_path_absolute(k->c->out), *base = NULL, *unique = NULL;
    sx_err rc;
    base = sx_strf("%s/.sagax/segment/%s", out, k->item->stem);
    unique = sx_file_tmp_name(base);
    k->folder = sx_strdup(unique);
    k->output = sx_path_join(k->folder, "out");
    k->input = sx_path_join(k->folder, sx_path_base(k->item->path));
    k->log = sx_strf("%s/logs/%s%s%s_segment.log", out, k->item->dir, *k->item->dir ? "/" : "",
                     k->item->stem);
    remove_folder(k->folder);
    SX_TRY(rc, sx_mkdirs(k->output));
    SX_TRY(rc, sx_mkdirs_for(k->log));
    rc = copy_file(k->item->path, k->input);
out:
    sx_free(out);
    sx_free(base);
    sx_free(unique);
    return rc;
}

static void making_clear(making *k) {
    remove_folder(k->folder);
    sx_free(k->folder);
    sx_free(k->output);
    sx_free(k->input);
    sx_free(k->log);
}

/* ---- running it ---- */

static bool goes_on(void *user, double seconds) {
    const making *k = user;
    work_step(k->work, (int64_t)seconds, (int64_t)k->c->limit_s, "s");
    return !mp_stop_wanted();
}

static sx_err how_it_ended(const making *k, job_end end, int code) {
    char *last = job_process_last_line(k->log);
    sx_err rc = SX_OK;
    if (end == JOB_STOPPED)
        rc = sx_fail(SX_E_AGAIN, "the segmenter was ended on request");
    else if (end == JOB_OVERTIME)
        rc = sx_fail(SX_E_DATA, "the segmenter was ended after %g s: \"%.200s\"; log %s",
                     k->c->limit_s, last, k->log);
    else if (end == JOB_SIGNALED)
        rc = sx_fail(SX_E_DATA, "the segmenter was ended by signal %d: \"%.200s\"; log %s", code,
                     last, k->log);
    else if (code != 0)
        rc = sx_fail(SX_E_DATA, "the segmenter ended with exit code %d: \"%.200s\"; log %s", code,
                     last, k->log);
    sx_free(last);
    return rc;
}

static sx_err run_command(making *k) {
    char threads[16];
    snprintf(threads, sizeof threads, "%d", k->c->threads);
    const placeholder place[N_PLACES] = {{"input", k->input},
                                         {"output", k->output},
                                         {"folder", k->folder},
                                         {"name", k->item->stem},
                                         {"threads", threads}};
    char *line = command_line(k->c->command, place, N_PLACES);
    const job_process p = {.command = line,
                           .folder = k->folder,
                           .log = k->log,
                           .limit_s = k->c->limit_s,
                           .goes_on = goes_on,
                           .user = k};
    job_end end;
    int code;
    sx_err rc = job_process_run(&p, &end, &code);
    if (rc == SX_OK) rc = how_it_ended(k, end, code);
    sx_free(line);
    return rc;
}

/* ---- its masks ---- */

typedef struct search {
    const making *k;
    const char *pattern;
    char *found; /* below the folder, new */
    int n;
} search;

static bool look(void *user, io_entry_kind kind, const char *rel) {
    search *s = user;
    const char *name = sx_path_base(rel);
    if (kind == IO_ENTRY_FILE && io_nifti_is_name(name) &&
        strcmp(rel, sx_path_base(s->k->input)) != 0 && fnmatch(s->pattern, name, 0) == 0) {
        s->n++;
        if (!s->found) s->found = sx_strdup(rel);
    }
    return true;
}

/* Path of the one file of this pattern, new; NULL for an empty pattern. */
static sx_err find_mask(const making *k, const char *pattern, char **path) {
    search s = {.k = k, .pattern = pattern};
    *path = NULL;
    if (!*pattern) return SX_OK;
    sx_err rc = io_walk(k->folder, look, &s);
    if (rc == SX_OK && s.n == 0)
        rc = sx_fail(SX_E_DATA, "the segmenter left no mask called %s; log %s", pattern, k->log);
    if (rc == SX_OK && s.n > 1)
        rc = sx_fail(SX_E_DATA, "the segmenter left %d masks called %s; log %s", s.n, pattern,
                     k->log);
    if (rc == SX_OK) *path = sx_path_join(k->folder, s.found);
    sx_free(s.found);
    return rc;
}

/* Whether both grids, turned to PIR, have the same size and place to half a voxel. */
static bool same_grid(const im_labels *a, const im_volume *b) {
    double spacing[3];
    im_spacing(b, spacing);
    const double half = 0.5 * fmin(fmin(spacing[0], spacing[1]), spacing[2]);
    for (int i = 0; i < 3; i++)
        if (a->dim[i] != b->dim[i]) return false;
    for (int corner = 0; corner < 8; corner++) {
        const double at[3] = {(double)((corner & 1) * (a->dim[0] - 1)),
                              (double)((corner >> 1 & 1) * (a->dim[1] - 1)),
                              (double)((corner >> 2) * (a->dim[2] - 1))};
        double p[3], q[3];
        im_affine_apply(a->affine, at, p);
        im_affine_apply(b->affine, at, q);
        for (int i = 0; i < 3; i++)
            if (!(fabs(p[i] - q[i]) <= half)) return false;
    }
    return true;
}

static bool is_vert(int32_t label) {
    return sp_is_vertebra(label) || sp_is_vertebra(label - SP_DISC_BELOW) ||
           sp_is_vertebra(label - SP_ENDPLATE_OF);
}

static bool is_subreg(int32_t label) {
    return sp_is_bone(label) || label == SP_SACRUM || label == SP_DISC ||
           (label >= SP_CORD && label <= SP_ENDPLATE);
}

static int64_t count_if(const im_labels *mask, bool (*is)(int32_t label)) {
    int64_t n = 0;
    for (int64_t i = 0; i < im_labels_count(mask); i++)
        n += mask->voxel[i] != 0 && is(mask->voxel[i]);
    return n;
}

static bool is_any(int32_t label) {
    return label != 0;
}

/* To numbers of ours. Segmenters have more labels than are known here, but most must be. */
static sx_err translate(const seg_config *c, const int32_t *map, bool (*is_known)(int32_t),
                        const char *path, im_labels *mask) {
    const int64_t labels = count_if(mask, is_any);
    job_scheme_apply(&c->scheme, map, mask);
    const int64_t known = count_if(mask, is_known);
    if (2 * known > labels) return SX_OK;
    return sx_fail(SX_E_DATA, "%s: of %lld labelled voxels %lld have labels of the scheme", path,
                   (long long)labels, (long long)known);
}

/* A mask of the command on the grid of the input. */
static sx_err collect(const making *k, const im_volume *input, const char *path, im_labels *mask) {
    const sx_err rc = job_labels_read(mask, path, &k->c->read, "PIR");
    if (rc != SX_OK || same_grid(mask, input)) return rc;
    return sx_fail(SX_E_DATA, "%s: the mask is not on the grid of the input", path);
}

static sx_err collect_vert(const making *k, const im_volume *input, seg_masks *m) {
    char *path = NULL;
    const job_scheme *s = &k->c->scheme;
    sx_err rc = find_mask(k, k->c->vert_name, &path);
    if (rc != SX_OK || !path) return rc;
    SX_TRY(rc, collect(k, input, path, &m->mask[SEG_VERT]));
    if (!*k->c->subreg_name && job_scheme_has_subregions(s)) { /* one mask tells both */
        SX_TRY(rc, im_labels_copy(&m->mask[SEG_SUBREG], &m->mask[SEG_VERT]));
        job_scheme_apply(s, s->subreg, &m->mask[SEG_SUBREG]);
    }
    rc = translate(k->c, s->vert, is_vert, path, &m->mask[SEG_VERT]);
out:
    sx_free(path);
    return rc;
}

static sx_err collect_subreg(const making *k, const im_volume *input, seg_masks *m) {
    char *path = NULL;
    sx_err rc = find_mask(k, k->c->subreg_name, &path);
    if (rc != SX_OK || !path) return rc;
    SX_TRY(rc, collect(k, input, path, &m->mask[SEG_SUBREG]));
    rc = translate(k->c, k->c->scheme.subreg, is_subreg, path, &m->mask[SEG_SUBREG]);
out:
    sx_free(path);
    return rc;
}

static sx_err collect_masks(const making *k, seg_masks *m) {
    im_volume pir = {.voxel = NULL};
    sx_err rc;
    m->grid = "input";
    SX_TRY(rc, sr_read_pir(k->item->path, &k->c->read, &pir));
    SX_TRY(rc, collect_vert(k, &pir, m));
    rc = collect_subreg(k, &pir, m);
out:
    im_volume_clear(&pir);
    return rc;
}

/* What is said of an item must not depend on the process: leave out its folder. */
static sx_err say_plainly(const making *k, sx_err rc) {
    char *text = sx_strdup(sx_err_text());
    char *at = rc != SX_OK && k->folder ? strstr(text, k->folder) : NULL;
    if (at) sx_fail(rc, "%.*s%s", (int)(at - text), text, at + strlen(k->folder) + 1);
    sx_free(text);
    return rc;
}

sx_err seg_command_make(const seg_config *c, const io_item *item, work *w, seg_masks *m,
                        bool *lost) {
    making k = {.c = c, .item = item, .work = w};
    sx_err rc = prepare(&k);
    *lost = work_is_loss(rc);
    if (rc == SX_OK) rc = run_command(&k);
    if (rc == SX_OK) rc = collect_masks(&k, m);
    rc = say_plainly(&k, rc);
    making_clear(&k);
    return rc;
}
