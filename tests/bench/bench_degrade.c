/* Speed of the acquisition model: training pairs a second on one core.
 *
 *   bench_degrade [crop] [slice] [pairs a round] [rounds]      default 160 320 400 7
 * prints for each level of the ablation the median over interleaved rounds (thread CPU time) of
 * pairs/s, crops of crop x crop from a slice of slice x slice. For peers_degrade.py:
 *   bench_degrade serve crop slice
 * reads lines "first pairs", degrades those pairs at level 7, answers with the CPU seconds;
 *   bench_degrade dump crop slice pairs
 * writes the slice, the slice profiles and pairs without noise, with all that was drawn for them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/sx_mem.h"
#include "base/sx_rng.h"
#include "degrade/dg_degrade.h"
#include "degrade/dg_psf.h"
#include "degrade/dg_rows.h"

enum { N_LEVELS = 8, MAX_ROUNDS = 101, LAST_LEVEL = N_LEVELS - 1 };

typedef struct bench {
    int crop, side, pairs, rounds;
    float *slice, *hr, *lr;
    dg_work *work;
    double rate[N_LEVELS][MAX_ROUNDS]; /* pairs/s */
} bench;

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void need(sx_err rc) {
    if (rc == SX_OK) return;
    fprintf(stderr, "%s\n", sx_err_text());
    exit(EXIT_FAILURE);
}

static void make_pair(bench *b, const dg_config *c, const dg_draw *d) {
    need(dg_pair(c, d, b->slice, b->side, b->side, b->crop, b->crop, b->hr, b->lr, b->work));
}

/* CPU seconds of these pairs. */
static double degrade_s(bench *b, int level, uint64_t first, int pairs) {
    dg_config c;
    need(dg_config_level(&c, level));
    double start_s = cpu_s();
    for (int i = 0; i < pairs; i++) {
        const dg_draw d = dg_draw_make(&c, 0, 0, first + (uint64_t)i);
        make_pair(b, &c, &d);
    }
    return cpu_s() - start_s;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void table(bench *b) {
    for (int round = 0; round < b->rounds; round++)
        for (int level = 0; level < N_LEVELS; level++)
            b->rate[level][round] =
                b->pairs / degrade_s(b, level, (uint64_t)round * (uint64_t)b->pairs, b->pairs);

    printf("pairs/s on one core, %d x %d from %d x %d\nlevel   median     min     max\n", b->crop,
           b->crop, b->side, b->side);
    for (int level = 0; level < N_LEVELS; level++) {
        double *rate = b->rate[level];
        qsort(rate, (size_t)b->rounds, sizeof *rate, ascending);
        printf("%5d %8.0f %7.0f %7.0f\n", level, rate[b->rounds / 2], rate[0], rate[b->rounds - 1]);
    }
}

static void serve(bench *b) {
    uint64_t first;
    int pairs;
    while (scanf("%" SCNu64 " %d", &first, &pairs) == 2) {
        printf("%.9f\n", degrade_s(b, LAST_LEVEL, first, pairs));
        fflush(stdout);
    }
}

/* ---- the dump: native floats and doubles, read by peers_degrade.py ---- */

static void put(const void *x, int64_t count, size_t size) {
    if (fwrite(x, size, (size_t)count, stdout) == (size_t)count) return;
    perror("dump");
    exit(EXIT_FAILURE);
}

static void dump_profiles(const dg_config *c) {
    for (double lr_mm = c->lr_min_mm; lr_mm <= c->lr_max_mm; lr_mm += c->lr_step_mm) {
        dg_psf psf;
        need(dg_psf_make(&psf, lr_mm, c->hr_mm));
        const double n = psf.n_taps;
        double tap[DG_PSF_MAX_TAPS];
        for (int i = 0; i < psf.n_taps; i++) tap[i] = (double)psf.tap[i];
        put(&n, 1, sizeof n);
        put(tap, psf.n_taps, sizeof *tap);
    }
}

static void dump_pair(bench *b, const dg_config *c, uint64_t item) {
    dg_draw d = dg_draw_make(c, 0, 0, item);
    d.slice_noise_sigma = d.noise_sigma = 0.0;
    int row, col, n_slices;
    double first_row, window[DG_ROWS_WINDOW];
    dg_crop_origin(&d, b->side, b->side, b->crop, b->crop, &row, &col);
    make_pair(b, c, &d);
    const double field[] = {d.steps,
                            d.lr_mm,
                            d.magnification,
                            d.angle_deg,
                            d.gap_rows,
                            d.slice_noise_sigma,
                            d.interlace_rows,
                            d.interlace_shift,
                            d.blur_sigma_px,
                            d.noise_sigma,
                            d.brightness,
                            d.contrast,
                            row,
                            col};
    put(field, (int64_t)(sizeof field / sizeof *field), sizeof *field);
    put(d.bias, 10, sizeof *d.bias);
    dg_grid(b->side, d.lr_mm / c->hr_mm, &n_slices, &first_row);
    sx_rng r = sx_rng_make(d.seed, SX_RNG_DEGRADE, d.epoch, 4 * d.item + 1);
    for (int k = 0; k < n_slices; k++) {
        dg__window_draw(&r, d.gap_rows, window);
        put(window, d.gap_rows, sizeof *window);
    }
    put(b->hr, (int64_t)b->crop * b->crop, sizeof *b->hr);
    put(b->lr, (int64_t)b->crop * b->crop, sizeof *b->lr);
}

static void dump(bench *b) {
    dg_config c;
    need(dg_config_level(&c, LAST_LEVEL));
    put(b->slice, (int64_t)b->side * b->side, sizeof *b->slice);
    dump_profiles(&c);
    for (int i = 0; i < b->pairs; i++) dump_pair(b, &c, (uint64_t)i);
}

static int number(int argc, char **argv, int i, int otherwise, int least, int most) {
    const int n = argc > i ? atoi(argv[i]) : otherwise;
    return n < least ? least : n > most ? most : n;
}

int main(int argc, char **argv) {
    static bench b;
    static const struct {
        const char *name;
        void (*run)(bench *);
    } mode[] = {{"serve", serve}, {"dump", dump}};
    void (*run)(bench *) = table;
    for (int i = 0; i < 2; i++)
        if (argc > 1 && !strcmp(argv[1], mode[i].name)) run = mode[i].run, argc--, argv++;
    b.crop = number(argc, argv, 1, 160, 16, 4096);
    b.side = number(argc, argv, 2, 320, 16, 4096);
    b.pairs = number(argc, argv, 3, 400, 1, 1000000);
    b.rounds = number(argc, argv, 4, 7, 1, MAX_ROUNDS);
    b.slice = SX_NEW_ARRAY(float, (int64_t)b.side *b.side);
    b.hr = SX_NEW_ARRAY(float, (int64_t)b.crop *b.crop);
    b.lr = SX_NEW_ARRAY(float, (int64_t)b.crop *b.crop);
    b.work = dg_work_new();
    sx_rng r = sx_rng_make(1, SX_RNG_TEST, 0, 0);
    for (int64_t i = 0; i < (int64_t)b.side * b.side; i++) b.slice[i] = sx_rng_range(&r, 0, 1);
    run(&b);
    dg_work_free(b.work);
    sx_free(b.slice);
    sx_free(b.hr);
    sx_free(b.lr);
    return 0;
}
