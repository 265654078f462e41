/* Masks of `segment` on disk, their sidecars and tables, and the question whether what is there is
 * what this run would make (seg.h). A sidecar is written after its mask and holds the mask's hash,
 * so a mask without a matching sidecar is unfinished. */
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_mem.h"
#include "io/io_table.h"
#include "jobs/job/job_json.h"
#include "jobs/items/job_output.h"
#include "jobs/job/job_weights.h"
#include "jobs/segment/seg.h"
#include "sagax_version.h"
#include "spine/sp_labels.h"

static const char *const descriptions[SEG_N_MASKS] = {"Vertebrae, discs and end-plates",
                                                      "Kinds of tissue of the spine"};
static const io_dtype types[SEG_N_MASKS] = {IO_UINT16, IO_UINT8};

static char *mask_path(const seg_config *c, const io_item *item, seg_mask m) {
    char *name = seg_output_name(item, m), *path = sx_path_join(c->out, name);
    sx_free(name);
    return path;
}

/* ---- is it done? ---- */

sx_err seg_inspect(seg_config *c, const io_item *item, char print[65], char why[WORK_WHY]) {
    const job_claim claim = {"Fingerprint", print,
                             "the input, an anchor, the weights or the configuration changed"};
    seg_print *p = &c->seen;
    sx_err rc = io_nifti_hash(item->path, p->source);
    if (rc == SX_OK) rc = seg_anchor_hash(c, item, p->anchor);
    if (rc != SX_OK) return rc;
    seg_config_print(c, p->source, p->anchor, p->print);
    memcpy(print, p->print, sizeof p->print);
    *why = '\0';
    for (seg_mask m = 0; m < SEG_N_MASKS && !*why; m++) {
        char *mask = mask_path(c, item, m);
        if (seg_config_has(c, m)) job_output_inspect(mask, &claim, 1, why);
        sx_free(mask);
    }
    return SX_OK;
}

/* ---- writing ---- */

static void add_numbering(json_t *own, const seg_masks *m) {
    if (m->how.anchor == SP_N_ANCHORS) {
        json_object_set_new(own, "NumbersFrom", json_string("the command"));
        return;
    }
    json_t *each = json_object();
    for (sp_anchor a = 0; a < SP_N_ANCHORS; a++)
        if (m->how.number[a] != 0)
            json_object_set_new(each, sp_anchor_name(a), json_integer(m->how.number[a]));
    json_object_set_new(own, "NumbersFrom", json_string(sp_anchor_name(m->how.anchor)));
    json_object_set_new(own, "NumbersDoubtful", json_boolean(m->how.doubtful));
    json_object_set_new(own, "NumbersRelative", json_boolean(m->how.anchor == SP_ANCHOR_NONE));
    json_object_set_new(own, "FirstNumberByAnchor", each);
    json_object_set_new(own, "Vertebrae", json_integer(m->n_vertebrae));
}

/* Whether the segmentation network, or that which restored the input, was trained on the subject.
 */
static void add_trained_on(json_t *own, const seg_config *c, const io_item *item) {
    json_t *source = job_output_record(item->path);
    const json_t *restored = json_object_get(source, "TrainedOnSubject");
    const char *subjects = c->network.trained_on;
    if (*item->subject && (subjects || restored))
        json_object_set_new(own, "TrainedOnSubject",
                            json_boolean(json_is_true(restored) ||
                                         (subjects && job_weights_know(subjects, item->subject))));
    json_decref(source);
}

static json_t *sidecar(const seg_config *c, const io_item *item, seg_mask mask, const seg_masks *m,
                       const seg_print *p) {
    json_t *own = json_object(), *o = json_object();
    char *source = sx_strf("bids:raw:%s", item->rel);
    const struct {
        const char *key, *value;
    } texts[] = {{"Warning", "Research use only, not for diagnosis."},
                 {"Version", SAGAX_VERSION},
                 {"Revision", SAGAX_REVISION},
                 {"Source", item->rel},
                 {"SourceSHA256", p->source},
                 {"Fingerprint", p->print},
                 {"Grid", m->grid}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_object_set_new(own, texts[i].key, job_json_string(texts[i].value));
    if (p->anchor[0]) json_object_set_new(own, "AnchorSHA256", json_string(p->anchor));
    json_object_set_new(own, "Configuration", json_loads(c->values, 0, NULL));
    add_numbering(own, m);
    add_trained_on(own, c, item);
    json_object_set_new(o, "Description", json_string(descriptions[mask]));
    json_object_set_new(o, "Manual", json_false());
    json_object_set_new(o, "Sources", json_pack("[o]", job_json_string(source)));
    json_object_set_new(o, "SpatialReference", json_string("orig"));
    json_object_set_new(o, "Sagax", own);
    sx_free(source);
    return o;
}

static sx_err write_mask(const seg_config *c, const io_item *item, seg_mask mask,
                         const seg_masks *m, const seg_print *p) {
    char *image = mask_path(c, item, mask);
    im_volume v = {.voxel = NULL};
    sx_err rc = im_labels_to_volume(&v, &m->mask[mask]);
    if (rc == SX_OK)
        rc = job_output_write(image, &v, types[mask], "sagax: not for diagnosis",
                              sidecar(c, item, mask, m, p), 9);
    im_volume_clear(&v);
    sx_free(image);
    return rc;
}

sx_err seg_write(const seg_config *c, const io_item *item, const seg_masks *m, const seg_print *p) {
    sx_err rc = SX_OK;
    for (seg_mask k = 0; k < SEG_N_MASKS && rc == SX_OK; k++)
        if (m->mask[k].voxel) rc = write_mask(c, item, k, m, p);
    return rc;
}

/* ---- tables of labels ---- */

static const struct {
    int number;
    const char *name;
} subregions[] = {{SP_SACRUM, "sacrum"},
                  {SP_ARCUS, "vertebral arch and processes"},
                  {SP_SPINOUS, "spinous process"},
                  {SP_COSTAL_LEFT, "left transverse process"},
                  {SP_COSTAL_RIGHT, "right transverse process"},
                  {SP_ARTICULAR_SUP_LEFT, "left upper articular process"},
                  {SP_ARTICULAR_SUP_RIGHT, "right upper articular process"},
                  {SP_ARTICULAR_INF_LEFT, "left lower articular process"},
                  {SP_ARTICULAR_INF_RIGHT, "right lower articular process"},
                  {SP_CORPUS_BORDER, "rim of the vertebral body"},
                  {SP_CORPUS, "vertebral body"},
                  {SP_CORD, "spinal cord"},
                  {SP_CANAL, "spinal canal"},
                  {SP_ENDPLATE, "end-plate"},
                  {SP_DISC, "intervertebral disc"}};

static void add_row(io_table *t, int number, const char *what, const char *of) {
    char text[16], name[80];
    snprintf(text, sizeof text, "%d", number);
    snprintf(name, sizeof name, "%s%s", what, of);
    io_table_add(t, (const char *const[]){text, name});
}

static void add_subregions(io_table *t) {
    for (size_t i = 0; i < sizeof subregions / sizeof *subregions; i++)
        add_row(t, subregions[i].number, subregions[i].name, "");
}

static void add_vertebrae(io_table *t) {
    static const struct {
        int offset;
        const char *what;
    } parts[] = {{0, ""}, {SP_DISC_BELOW, "disc below "}, {SP_ENDPLATE_OF, "end-plates of "}};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < SP_N_LEVELS; i++)
            add_row(t, parts[k].offset + sp_vertebra_at(i), parts[k].what,
                    sp_vertebra_name(sp_vertebra_at(i)));
}

sx_err seg_write_tables(const char *out) {
    static const char *const header[] = {"index", "name"};
    static const struct {
        const char *file;
        void (*add)(io_table *t);
    } tables[] = {{"seg-vert_dseg.tsv", add_vertebrae}, {"seg-subreg_dseg.tsv", add_subregions}};
    sx_err rc = SX_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && rc == SX_OK; i++) {
        char *path = sx_path_join(out, tables[i].file);
        io_table t;
        io_table_init(&t, 2, header);
        tables[i].add(&t);
        rc = io_table_write(path, &t);
        io_table_clear(&t);
        sx_free(path);
    }
    return rc;
}
