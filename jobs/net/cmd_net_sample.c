/* net sample: images from noise, and the states on the way (cmd_net.h). */
#include <string.h>

#include "base/sx_mem.h"
#include "jobs/job/job_model.h"
#include "jobs/net/cmd_net.h"

typedef struct state_sink {
    float *states; /* [steps][batch][h][w] */
    int image, n_images;
} state_sink;

static void keep_state(void *user, int step, float *x, int64_t n) {
    state_sink *sink = user;
    memcpy(sink->states + ((int64_t)step * sink->n_images + sink->image) * n, x,
           (size_t)n * sizeof *x);
}

/* As many calls of the network as the sampler will make. */
static int sampler_steps(const job *j) {
    int t[DF_STEPS];
    int64_t asked = job_int(j, "net.steps");
    if (asked == 0) asked = job_int(j, "diffusion.steps");
    return df_timesteps(asked < DF_STEPS ? (int)asked : DF_STEPS, t);
}

sx_err cmd_net_sample(const job *j, cmd_net_session *s) {
    sx_err rc;
    const io_tensor *lr, *noise;
    df_schedule schedule;
    float *x = NULL;
    state_sink sink = {0};
    const int n_steps = sampler_steps(j);
    if (!s->about->has_time)
        return sx_fail(SX_E_USAGE, "net sample: %s has no diffusion time; net run gives its answer",
                       s->about->name);
    SX_TRY(rc, cmd_net_images(j, s, "lr", &lr));
    SX_TRY(rc, cmd_net_images(j, s, "x_T", &noise));
    SX_TRY(rc, job_schedule(j, &schedule));
    SX_TRY(rc, cmd_net_make(j, s, false, false));
    int64_t n_all = s->n_images * s->pixels;
    x = SX_NEW_ARRAY(float, n_all);
    sink = (state_sink){SX_NEW_ARRAY(float, n_steps *n_all), 0, s->n_images};
    memcpy(x, noise->f32, (size_t)n_all * sizeof *x);
    for (; sink.image < s->n_images; sink.image++) {
        int64_t at = sink.image * s->pixels;
        df_sample(&schedule, s->net, s->params, lr->f32 + at, n_steps, x + at, NULL, keep_state,
                  &sink);
    }
    io_tensors_add_f32(&s->result, "output", 4, lr->shape, x);
    io_tensors_add_f32(&s->result, "states", 5, (int64_t[]){n_steps, s->n_images, 1, s->h, s->w},
                       sink.states);
out:
    sx_free(x);
    sx_free(sink.states);
    return rc;
}
