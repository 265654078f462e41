/* net info: what a network costs here, in parameters, memory and time (cmd_net.h). */
#include <stdio.h>
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/job/job_json.h"
#include "jobs/job/job_model.h"
#include "jobs/job/job_weights.h"
#include "jobs/net/cmd_net.h"

enum { MAX_OPS = 32, TIMED_RUNS = 3 };

typedef struct info {
    net_config config;
    const nn_kernels *kernels;
    int threads;
    int h, w;
    int64_t n_parameters;
    nn_plan forward, train;
    nn_op_time op[MAX_OPS]; /* of one forward and backward */
    int n_ops;
} info;

/* Forward and backward of a blank image with new weights; the first run warms the caches. */
static void time_ops(net *n, info *f) {
    const nn_params *p = net_params(n);
    float *params = nn_params_block(p), *grads = nn_params_block(p);
    float *image = SX_NEW_ARRAY(float, net_pixels(n) * net_channels(n));
    nn_params_init(p, params, 1);
    for (int i = 0; i <= TIMED_RUNS; i++) {
        net_forward(n, params, image, image, 500);
        net_backward(n, params, image, grads);
        if (i == 0) nn_graph_times(net_graph(n), f->op, MAX_OPS, true);
    }
    f->n_ops = nn_graph_times(net_graph(n), f->op, MAX_OPS, true);
    for (int i = 0; i < f->n_ops; i++) {
        f->op[i].calls /= TIMED_RUNS;
        f->op[i].macs /= TIMED_RUNS;
        f->op[i].forward_s /= TIMED_RUNS;
        f->op[i].backward_s /= TIMED_RUNS;
    }
    sx_free(image);
    sx_free(grads);
    sx_free(params);
}

static sx_err collect_info(job *j, info *f) {
    const char *weights = job_text(j, "net.weights");
    sx_err rc;
    net *n = NULL;
    if (*weights) SX_TRY(rc, job_weights_inherit(j, weights, NULL));
    SX_TRY(rc, job_net_config(j, &f->config));
    SX_TRY(rc, job_kernels(j, &f->kernels));
    f->threads = job_threads(j);
    SX_TRY(rc, job_image_size(j, "net.size", &f->h, &f->w));
    SX_TRY(rc, net_new(&n, &f->config, f->h, f->w, f->kernels, (net_opt){.threads = f->threads}));
    f->forward = *net_plan(n);
    net_free(n);
    n = NULL;
    SX_TRY(rc, net_new(&n, &f->config, f->h, f->w, f->kernels,
                       (net_opt){.train = true,
                                 .threads = f->threads,
                                 .most_bytes = job_activation_bytes(j)}));
    f->train = *net_plan(n);
    f->n_parameters = net_params(n)->count;
    time_ops(n, f);
out:
    net_free(n);
    return rc;
}

static json_t *plan_json(const nn_plan *p) {
    return json_pack("{s:I,s:I,s:I}", "activation_bytes", (json_int_t)p->activation_bytes,
                     "scratch_bytes", (json_int_t)p->scratch_bytes, "again_macs",
                     (json_int_t)p->again_macs);
}

static json_t *ops_json(const info *f) {
    json_t *ops = json_array();
    for (int i = 0; i < f->n_ops; i++)
        json_array_append_new(ops, json_pack("{s:s,s:I,s:I,s:f,s:f}", "op", f->op[i].op, "calls",
                                             (json_int_t)f->op[i].calls, "macs",
                                             (json_int_t)f->op[i].macs, "forward_ms",
                                             1e3 * f->op[i].forward_s, "backward_ms",
                                             1e3 * f->op[i].backward_s));
    return ops;
}

/* "net" for "arch", then the sizes, as they are in one flat object. */
static void print_info_json(const job *j, const info *f) {
    json_t *o = json_pack("{s:s}", "net", f->config.arch), *sizes = job_net_json(j, true);
    json_object_del(sizes, "arch");
    json_object_update(o, sizes);
    json_decref(sizes);
    json_t *rest =
        json_pack("{s:i,s:i,s:s,s:s,s:i,s:I,s:I,s:i,s:o,s:o,s:o}", "height", f->h, "width", f->w,
                  "kernels", f->kernels->name, "isa", f->kernels->isa, "threads", f->threads,
                  "parameters", (json_int_t)f->n_parameters, "macs", (json_int_t)f->forward.macs,
                  "ops", f->forward.n_ops, "forward_plan", plan_json(&f->forward), "train_plan",
                  plan_json(&f->train), "times", ops_json(f));
    json_object_update(o, rest);
    json_decref(rest);
    job_json_print(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
}

static void print_sizes(const job *j, const net_about *about) {
    printf("%s", about->name);
    for (const net_setting *s = about->sizes; s->key != NULL; s++)
        printf(", %s %s", s->key + strlen("model."), job_as_given(j, s->key));
    printf("\n");
}

static void print_info_text(const job *j, const info *f) {
    const double mib = 1024.0 * 1024.0;
    double forward_s = 0, backward_s = 0;
    print_sizes(j, net_about_arch(f->config.arch));
    printf("parameters  %lld\n", (long long)f->n_parameters);
    printf("MACs        %lld for %d x %d pixels\n", (long long)f->forward.macs, f->h, f->w);
    printf("memory      forward %.1f MiB + %.1f scratch, training %.1f MiB + %.1f scratch\n",
           (double)f->forward.activation_bytes / mib, (double)f->forward.scratch_bytes / mib,
           (double)f->train.activation_bytes / mib, (double)f->train.scratch_bytes / mib);
    if (f->train.again_macs > 0)
        printf("            training makes %.0f %% of the forward pass again (model.activations)\n",
               100 * (double)f->train.again_macs / (double)f->train.macs);
    printf(
        "kernels     %s (%s), %d thread%s\n\nop                calls   forward ms  backward ms\n",
        f->kernels->name, f->kernels->isa, f->threads, f->threads > 1 ? "s" : "");
    for (int i = 0; i < f->n_ops; i++) {
        printf("%-17s %5lld %12.3f %12.3f\n", f->op[i].op, (long long)f->op[i].calls,
               1e3 * f->op[i].forward_s, 1e3 * f->op[i].backward_s);
        forward_s += f->op[i].forward_s;
        backward_s += f->op[i].backward_s;
    }
    printf("%-17s %5d %12.3f %12.3f\n", "all", f->forward.n_ops, 1e3 * forward_s, 1e3 * backward_s);
}

sx_err cmd_net_info(job *j) {
    info f = {0};
    sx_err rc = collect_info(j, &f);
    if (rc == SX_OK) (job_json(j) ? print_info_json : print_info_text)(j, &f);
    return rc;
}
