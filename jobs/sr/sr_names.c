/* Names of the outputs of `sr`, and what must not stay under them (sr.h). An output continues the
 * name of its scan: all entities but res and desc, then our own. */
#include <dirent.h>
#include <string.h>
#include <unistd.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "jobs/sr/sr.h"

int sr_outputs(int samples, int *what) {
    int n = 0;
    for (int i = 1; i <= samples; i++) what[n++] = i;
    if (samples > 1) what[n++] = SR_MEAN, what[n++] = SR_SD;
    return n;
}

static char *description(const io_item *item, int what, int samples) {
    const char *of = item->desc; /* a name has one desc entity: ours continues the source's */
    if (what == SR_MEAN) return sx_strf("%s" SR_DESC "mean", of);
    if (what == SR_SD) return sx_strf("%s" SR_DESC "sd", of);
    return samples > 1 ? sx_strf("%s" SR_DESC "%02d", of, what) : sx_strf("%s" SR_DESC, of);
}

char *sr_source_entities(const io_item *item) {
    return io_bids_entities(item, "res-");
}

static char *output_name(const io_item *item, int what, int samples) {
    char *entities = sr_source_entities(item), *desc = description(item, what, samples);
    char *name = sx_strf("%s%s%sres-iso_desc-%s%s%s.nii.gz", item->dir, *item->dir ? "/" : "",
                         entities, desc, *item->suffix ? "_" : "", item->suffix);
    sx_free(entities);
    sx_free(desc);
    return name;
}

char *sr_single_name(const io_item *item) {
    return output_name(item, 1, 1);
}

char *sr__output_path(const sr_config *c, const io_item *item, int what) {
    char *name = output_name(item, what, c->samples), *path = sx_path_join(c->out, name);
    sx_free(name);
    return path;
}

/* ---- what must go ---- */

static bool equal_to(const char *name, char *const *list, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(name, sx_path_base(list[i])) == 0) return true;
    return false;
}

/* Whether a file in the item's folder is an output of it, of whatever number of samples: `first`,
 * a sample's number or "mean" or "sd", `last`, an extension. */
static bool is_output(const char *name, const char *first, const char *last) {
    const size_t n_first = strlen(first), n_last = strlen(last);
    if (strncmp(name, first, n_first) != 0) return false;
    name += n_first;
    const size_t digits = strspn(name, "0123456789");
    name += digits                          ? digits
            : strncmp(name, "mean", 4) == 0 ? 4
            : strncmp(name, "sd", 2) == 0   ? 2
                                            : 0;
    if (strncmp(name, last, n_last) != 0) return false;
    return strcmp(name + n_last, ".nii.gz") == 0 || strcmp(name + n_last, ".json") == 0;
}

/* Remove the outputs of the item that are none of the `n` paths. */
static void remove_others(const sr_config *c, const io_item *item, char *const *path, int n) {
    char *entities = sr_source_entities(item), *folder = sx_path_join(c->out, item->dir);
    char *first = sx_strf("%sres-iso_desc-%s" SR_DESC, entities, item->desc);
    char *last = sx_strf("%s%s", *item->suffix ? "_" : "", item->suffix);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!is_output(e->d_name, first, last) || equal_to(e->d_name, path, n)) continue;
        char *stale = sx_path_join(folder, e->d_name);
        unlink(stale);
        sx_free(stale);
    }
    if (d) closedir(d);
    sx_free(entities);
    sx_free(folder);
    sx_free(first);
    sx_free(last);
}

void sr_sweep(const sr_config *c, const io_item *item) {
    int *what = SX_NEW_ARRAY(int, c->samples + 2), n = sr_outputs(c->samples, what);
    char **path = SX_NEW_ARRAY(char *, 2 * n);
    for (int i = 0; i < n; i++) {
        path[2 * i] = sr__output_path(c, item, what[i]);
        path[2 * i + 1] = io_bids_sidecar(path[2 * i]);
    }
    remove_others(c, item, path, 2 * n);
    for (int i = 0; i < 2 * n; i++) sx_free(path[i]);
    sx_free(path);
    sx_free(what);
}
