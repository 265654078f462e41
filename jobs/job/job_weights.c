/* Weights between files and parameter blocks. The two containers differ only in how a name is
 * looked up; everything else is one loop over the parameters. */
#include "jobs/job/job_weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/sx_file.h"
#include "base/sx_hash.h"
#include "base/sx_mem.h"
#include "jobs/job/job_model.h"

char *job_weights_path(const char *path) {
    return sx_file_is_dir(path) ? sx_path_join(path, "weights.h5") : sx_strdup(path);
}

/* ---- what a container has under a name; data NULL: nothing ---- */

typedef struct found {
    const float *data;
    int rank;
    const int64_t *shape;
} found;

const io_tensor *job_weights_find(const io_tensors *t, const char *name) {
    char *full = sx_strf(JOB_WEIGHTS_PREFIX "%s", name);
    const io_tensor *it = io_tensors_find(t, full);
    sx_free(full);
    return it ? it : io_tensors_find(t, name);
}

static found find_in_tensors(const void *set, const char *name) {
    const io_tensor *t = job_weights_find(set, name);
    return t ? (found){t->f32, t->rank, t->shape} : (found){0};
}

static found find_in_blocks(const void *set, const char *name) {
    const io_block *b = io_ckpt_find(set, name);
    return b ? (found){b->data, b->rank, b->shape} : (found){0};
}

/* ---- reading ---- */

static void shape_text(int rank, const int64_t *shape, char text[96]) {
    int used = snprintf(text, 96, "[");
    for (int d = 0; d < rank && used < 80; d++)
        used += snprintf(text + used, 96 - (size_t)used, "%s%" PRId64, d ? "," : "", shape[d]);
    snprintf(text + used, 96 - (size_t)used, "]");
}

static sx_err check_shape(const char *path, const nn_param *q, found f) {
    char got[96], want[96];
    if (f.rank == q->rank && memcmp(f.shape, q->shape, (size_t)q->rank * sizeof *q->shape) == 0)
        return SX_OK;
    shape_text(f.rank, f.shape, got);
    shape_text(q->rank, q->shape, want);
    return sx_fail(
        SX_E_DATA,
        "%s: parameter %s has shape %s, the network's is %s; sizes that are set (model.*) "
        "win over those of the weights",
        path, q->name, got, want);
}

/* One value that is not finite makes every image of the network so. */
static sx_err check_values(const char *path, const nn_param *q, const float *x) {
    int64_t bad = 0;
    for (int64_t i = 0; i < q->count; i++) bad += !isfinite(x[i]);
    if (bad == 0) return SX_OK;
    return sx_fail(SX_E_DATA,
                   "%s: %" PRId64 " of %" PRId64 " values of parameter %s are not finite", path,
                   bad, q->count, q->name);
}

static sx_err take_all(const char *path, const void *set,
                       found (*find)(const void *set, const char *name), const nn_params *p,
                       float *block) {
    for (int i = 0; i < p->n; i++) {
        found f = find(set, p->item[i].name);
        if (!f.data) return sx_fail(SX_E_DATA, "%s: no weights %s", path, p->item[i].name);
        sx_err rc = check_shape(path, &p->item[i], f);
        if (rc == SX_OK) rc = check_values(path, &p->item[i], f.data);
        if (rc != SX_OK) return rc;
        nn_params_set(p, i, block, f.data);
    }
    return SX_OK;
}

sx_err job_weights_take(const char *path, const io_tensors *t, const nn_params *p, float *block) {
    return take_all(path, t, find_in_tensors, p, block);
}

bool job_weights_is_tensors(const char *file) {
    return sx_has_suffix(file, ".safetensors");
}

sx_err job_weights_read(const char *path, const nn_params *p, float *block) {
    char *file = job_weights_path(path);
    io_tensors t = {0};
    io_ckpt k = {0};
    sx_err rc;
    if (job_weights_is_tensors(file)) {
        SX_TRY(rc, io_tensors_read(file, &t));
        rc = job_weights_take(file, &t, p, block);
    } else {
        SX_TRY(rc, io_ckpt_read(file, &k));
        rc = take_all(file, &k, find_in_blocks, p, block);
    }
out:
    io_tensors_clear(&t);
    io_ckpt_clear(&k);
    sx_free(file);
    return rc;
}

sx_err job_weights_load(const char *path, const net_config *c, const nn_kernels *k, float **block,
                        char sha256[65]) {
    char *file = job_weights_path(path);
    net *n = NULL;
    sx_err rc;
    SX_TRY(rc, job_net_small(&n, c, k));
    *block = nn_params_block(net_params(n));
    SX_TRY(rc, job_weights_read(path, net_params(n), *block));
    rc = sx_hash_file(file, sha256);
out:
    net_free(n);
    sx_free(file);
    return rc;
}

/* ---- writing ---- */

/* Parameters in the order of PyTorch, one at a time. */
typedef struct turned {
    const nn_params *p;
    const float *block;
    float *values; /* of the largest parameter */
} turned;

static const float *turn(void *maker, int i) {
    turned *t = maker;
    nn_params_get(t->p, i, t->block, t->values);
    return t->values;
}

sx_err job_weights_write(const char *path, const char *json, const nn_params *p, const float *block,
                         sx_file_gate *gate, void *user) {
    io_block *b = SX_NEW_ARRAY(io_block, p->n);
    int64_t largest = 0;
    for (int i = 0; i < p->n; i++)
        if (p->item[i].count > largest) largest = p->item[i].count;
    turned t = {p, block, SX_NEW_ARRAY(float, largest)};
    for (int i = 0; i < p->n; i++) {
        b[i] = (io_block){.name = p->item[i].name,
                          .rank = p->item[i].rank,
                          .make = turn,
                          .maker = &t,
                          .index = i};
        memcpy(b[i].shape, p->item[i].shape, sizeof b[i].shape);
    }
    sx_err rc = io_ckpt_write_if(path, json, b, p->n, gate, user);
    sx_free(t.values);
    sx_free(b);
    return rc;
}
