/* segment.*: options, and the values that decide about an output (seg.h). */
#include <string.h>
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "jobs/job/job_data.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/segment/seg.h"
#include "sagax_version.h"
#include "spine/sp_labels.h"

const job_option options_segment[] = {
    {"segment.weights", JOB_TEXT, "", NULL, 0, 0,
     "run folder or weights of a training of kind segmentation"},
    {"segment.command", JOB_TEXT, "", NULL, 0, 0,
     "another segmenter's command line for one volume, with {input}, {output}, {folder}, {name}, "
     "{threads}"},
    {"segment.limit_s", JOB_REAL, "3600", NULL, 0.1, 1e7,
     "the command is ended after so many seconds"},
    {"segment.vert_name", JOB_TEXT, "*seg-vert_*", NULL, 0, 0,
     "file name pattern of the command's mask of vertebrae; empty: it writes none, they are made "
     "of the sub-regions"},
    {"segment.subreg_name", JOB_TEXT, "*seg-s[pu][ib]*", NULL, 0, 0,
     "file name pattern of the command's mask of sub-regions; empty: it writes none"},
    {"segment.scheme", JOB_TEXT, "", NULL, 0, 0,
     "labels of the command's masks: a name in share/labels or a table; empty: SPINEPS' numbers"},
    {"segment.first", JOB_INT, "2", NULL, SP_C1, SP_L6,
     "number of the first vertebra with a body where neither sacrum, dens nor another scan tells"},
    {"segment.anchor", JOB_TEXT, "", NULL, 0, 0,
     "folder with masks of the sessions' sagittal scans (acq-sag, of an earlier run) whose numbers "
     "are taken over; empty: none"},
    JOB_OPTIONS_END,
};

static void add_command(json_t *o, const seg_config *c) {
    json_object_set_new(o, "command", job_json_string(c->command));
    json_object_set_new(o, "vert_name", job_json_string(c->vert_name));
    json_object_set_new(o, "subreg_name", job_json_string(c->subreg_name));
    json_object_set_new(o, "scheme", json_string(c->scheme.sha256));
}

/* Instruction set and number of threads change last bits only: no reason to make it again. */
static void add_network(json_t *o, const seg_config *c, const job *j) {
    json_t *network = job_net_json(j, true);
    json_object_del(network, "dropout");
    json_object_set_new(o, "network", network);
    json_object_set_new(o, "kernels", json_string(c->network.kernels->name));
    json_object_set_new(o, "weights", json_string(c->network.sha256));
    json_object_set_new(o, "hr_mm", json_real(c->network.hr_mm));
    json_object_set_new(o, "quantile", json_real(c->network.quantile));
}

/* All that decides about an output beside its input. */
static void record_values(seg_config *c, const job *j) {
    json_t *o = json_object();
    if (c->network.params)
        add_network(o, c, j);
    else
        add_command(o, c);
    json_object_set_new(o, "first", json_integer(c->first));
    json_object_set_new(o, "xform", json_string(job_text(j, "data.xform")));
    c->values = job_json_text(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(12));
    sx_hash_bytes(c->values, strlen(c->values), c->hash);
}

sx_err seg_config_read(seg_config *c, job *j) {
    sx_err rc = SX_OK;
    c->comm = job_comm(j);
    c->input = job_arg(j, 0);
    c->out = job_arg(j, 1);
    c->read = job_read_opt(j);
    c->command = job_text(j, "segment.command");
    c->limit_s = job_real(j, "segment.limit_s");
    c->vert_name = job_text(j, "segment.vert_name");
    c->subreg_name = job_text(j, "segment.subreg_name");
    c->threads = job_threads(j);
    c->first = (int)job_int(j, "segment.first");
    const char *weights = job_text(j, "segment.weights");
    if (!*c->command == !*weights)
        return sx_fail(SX_E_USAGE, "segment: --weights RUN|FILE or --command LINE is needed%s",
                       *weights ? ", not both" : "");
    if (*weights) SX_TRY(rc, seg_network_read(&c->network, j, weights));
    if (*c->command && !*c->vert_name && !*c->subreg_name)
        return sx_fail(SX_E_USAGE, "segment: vert_name and subreg_name are both empty: no mask to "
                                   "look for");
    SX_TRY(rc, seg_command_check(c->command));
    SX_TRY(rc, job_scheme_read(&c->scheme, job_text(j, "segment.scheme")));
    SX_TRY(rc, seg_anchors_find(c, job_text(j, "segment.anchor")));
    record_values(c, j);
out:
    return rc;
}

void seg_config_clear(seg_config *c) {
    seg_network_clear(&c->network);
    job_scheme_clear(&c->scheme);
    io_items_clear(&c->anchors);
    sx_free(c->values);
}

void seg_config_print(const seg_config *c, const char *source_sha256, const char *anchor_sha256,
                      char print[65]) {
    const char *const part[] = {source_sha256, anchor_sha256, c->hash, SAGAX_VERSION};
    sx_hash_texts(part, sizeof part / sizeof *part, print);
}

/* Vertebrae are made of sub-regions where there are only those. */
bool seg_config_has(const seg_config *c, seg_mask m) {
    return m == SEG_VERT || c->network.params || *c->subreg_name ||
           job_scheme_has_subregions(&c->scheme);
}
