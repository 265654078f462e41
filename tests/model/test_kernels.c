/* Every body of the kernel table is held against ref: ref sums in double, so its answer counts as
 * exact. Errors are relative in the Euclidean norm. */
#include "model/nn_kernels_wino.h"
#include "tests/model/kernel_test.h"

enum { N_RANDOM = 60, MAX_BODIES = 2 + 3 * NN__FAMILIES };

/* ---- the bodies under test ---- */

typedef struct body {
    const char *name;
    bool (*takes)(const struct body *b, const nn_conv_shape *s);
    const nn__family *family; /* one family of one instruction set on its own, or NULL */
    const nn_kernels *table;
    double limit[3]; /* forward, by data, by weight */
} body;

static bool takes_all(const body *b, const nn_conv_shape *s) {
    (void)b;
    (void)s;
    return true;
}

static bool takes_family(const body *b, const nn_conv_shape *s) {
    return b->family->takes(s);
}

static body bodies[MAX_BODIES];
static int n_bodies;
static const nn_kernels *ref;

static void add_family(const char *isa, const nn__family *f) {
    static nn_kernels tables[MAX_BODIES];
    ck_assert_int_lt(n_bodies, MAX_BODIES);
    nn_kernels *t = &tables[n_bodies];
    *t = (nn_kernels){.name = f->name,
                      .isa = isa,
                      .conv_scratch = f->scratch,
                      .conv_forward = f->forward,
                      .conv_backward_data = f->backward_data,
                      .conv_backward_weight = f->backward_weight};
    bodies[n_bodies++] = (body){f->name, takes_family, f, t, {3e-6, 1e-5, 1e-5}};
}

static void add_isa(const nn__isa *isa) {
    for (int i = 0; i < NN__FAMILIES; i++) add_family(isa->name, &isa->family[i]);
}

static void find_bodies(void) {
    ref = table_named("ref");
    bodies[n_bodies++] = (body){"blas", takes_all, NULL, table_named("blas"), {1e-6, 1e-6, 1e-6}};
    bodies[n_bodies++] = (body){"wino", takes_all, NULL, table_named("wino"), {3e-6, 1e-5, 1e-5}};
    nn__isa_choice isas[NN__MAX_ISAS];
    const int n = nn__isas(isas);
    for (int i = 0; i < n; i++)
        if (isas[i].usable) add_isa(isas[i].isa);
}

/* ---- problems ---- */

typedef enum op { FORWARD, BY_DATA, BY_WEIGHT, N_OPS } op;
static const char *const op_names[N_OPS] = {"forward", "by data", "by weight"};

typedef struct problem {
    nn_conv_shape s;
    block x, y, weight, bias; /* by data x, by weight weight and bias are what is added to */
} problem;

static problem problem_new(nn_conv_shape s, uint64_t key) {
    sx_rng r = sx_rng_make(7, SX_RNG_TEST, 0, key);
    const int64_t pixels = (int64_t)s.h * s.w, n_weight = (int64_t)s.k * s.ks * s.ks * s.c;
    const int shift = (int)(key & 1);
    problem p = {.s = s};
    p.x = block_random(&r, pixels * s.c, shift, 1);
    p.y = block_random(&r, pixels * s.k, shift, 1);
    p.weight = block_random(&r, n_weight, shift, 1 / sqrtf((float)(s.c * s.ks * s.ks)));
    p.bias = block_random(&r, s.k, shift, 1);
    return p;
}

/* Activations as after SiLU: mostly small, not of zero mean. */
static problem problem_silu(nn_conv_shape s, uint64_t key) {
    problem p = problem_new(s, key);
    for (int64_t i = 0; i < p.x.n; i++) p.x.at[i] /= 1 + expf(-p.x.at[i]);
    return p;
}

static void problem_free(problem *p) {
    sx_free(p->x.base);
    sx_free(p->y.base);
    sx_free(p->weight.base);
    sx_free(p->bias.base);
}

/* Runs one op; a new block with what it wrote (by weight: dweight, then dbias). */
static block run(const nn_kernels *k, const problem *p, op o, sx_pool *pool) {
    const nn_conv_shape *s = &p->s;
    const nn_room room = room_new(k, s, pool);
    const nn_feed x = nn_feed_plain(p->x.at, s->c);
    block out;
    if (o == FORWARD) {
        out = block_unset(p->y.n, (int)(p->y.at - p->y.base));
        nn_sink y = nn_sink_plain(out.at, s->k, false);
        y.bias = p->bias.at;
        k->conv_forward(s, &x, p->weight.at, NULL, &y, &room);
    } else if (o == BY_DATA) {
        out = block_copy(p->x);
        const nn_sink dx = nn_sink_plain(out.at, s->c, true);
        k->conv_backward_data(s, p->y.at, p->weight.at, &dx, &room);
    } else {
        out = block_new(p->weight.n + p->bias.n, 0);
        float *dbias = out.at + p->weight.n;
        memcpy(out.at, p->weight.at, (size_t)p->weight.n * sizeof(float));
        memcpy(dbias, p->bias.at, (size_t)p->bias.n * sizeof(float));
        k->conv_backward_weight(s, &x, p->y.at, out.at, dbias, &room);
    }
    room_free(&room, op_names[o]);
    return out;
}

static void hold_against_ref(const problem *p, sx_pool *pool) {
    const nn_conv_shape *s = &p->s;
    for (op o = FORWARD; o < N_OPS; o++) {
        block want = run(ref, p, o, NULL);
        for (const body *b = bodies; b < bodies + n_bodies; b++) {
            if (!b->takes(b, s)) continue;
            block got = run(b->table, p, o, pool);
            const double error = relative_error(got.at, want.at, want.n);
            ck_assert_msg(error <= b->limit[o],
                          "%s (%s), %s of %dx%d %d->%d ks %d: error %.2e > %.0e", b->name,
                          b->table->isa, op_names[o], s->h, s->w, s->c, s->k, s->ks, error,
                          b->limit[o]);
            sx_free(got.base);
        }
        sx_free(want.base);
    }
}

/* Alone, and by a team. */
static void hold_shape(nn_conv_shape s, uint64_t key) {
    problem p = problem_new(s, key);
    sx_pool *team;
    ck_assert_int_eq(sx_pool_new(&team, 3), SX_OK);
    hold_against_ref(&p, NULL);
    hold_against_ref(&p, team);
    sx_pool_free(team);
    problem_free(&p);
}

/* ---- shapes ---- */

/* Any size and channel count, small enough for ref. */
static nn_conv_shape random_shape(sx_rng *r) {
    nn_conv_shape s;
    do {
        s.h = (int)sx_rng_int(r, 1, 40);
        s.w = (int)sx_rng_int(r, 1, 40);
        s.c = (int)sx_rng_int(r, 1, 130);
        s.k = (int)sx_rng_int(r, 1, 130);
        s.ks = sx_rng_int(r, 0, 2) ? 3 : 1;
    } while ((int64_t)s.h * s.w * s.c * s.k * s.ks * s.ks > 3000000);
    return s;
}

START_TEST(bodies_agree_with_ref_on_random_shapes) {
    sx_rng r = sx_rng_make(7, SX_RNG_TEST, 1, 0);
    for (uint64_t i = 0; i < N_RANDOM; i++) hold_shape(random_shape(&r), i);
}
END_TEST

static const nn_conv_shape usual_shapes[] = {
    {20, 13, 64, 128, 1}, {9, 7, 48, 16, 1},   {30, 30, 32, 80, 1},
    {16, 16, 64, 64, 3}, /* training crops: multiples of 8 */
    {20, 20, 32, 64, 3},  {40, 48, 16, 16, 3}, {22, 30, 32, 32, 3},
    {25, 13, 64, 32, 3}, /* lowest level of a padded slice */
    {8, 8, 128, 128, 3},  {16, 12, 48, 96, 3}, {5, 6, 130, 17, 3},
    {4, 4, 16, 16, 3},    {37, 31, 64, 72, 3}, /* tiles in more than one block */
    {24, 24, 2, 64, 3},                        /* first layer */
    {24, 24, 64, 1, 3},                        /* last layer */
    {9, 7, 3, 20, 3},     {9, 7, 20, 4, 3},    {6, 9, 1, 1, 3},
    {6, 9, 4, 4, 3},
};

START_TEST(bodies_agree_with_ref_on_the_shapes_of_the_network) {
    hold_shape(usual_shapes[_i], (uint64_t)(100 + _i));
}
END_TEST

static const nn_conv_shape line_shapes[] = {
    {1, 1, 3, 5, 3},   {1, 37, 16, 16, 3}, {37, 1, 16, 16, 3}, {1, 2, 64, 64, 3},
    {2, 1, 1, 64, 3},  {1, 9, 64, 1, 3},   {3, 50, 20, 33, 3}, {50, 3, 33, 20, 3},
    {1, 23, 40, 8, 1}, {23, 1, 1, 1, 1},   {1, 11, 2, 32, 3},  {11, 1, 32, 2, 3},
};

START_TEST(bodies_agree_with_ref_on_images_of_one_line) {
    hold_shape(line_shapes[_i], (uint64_t)(200 + _i));
}
END_TEST

START_TEST(errors_of_a_64_to_64_convolution_stay_within_fp32_bounds) {
    problem p = problem_silu((nn_conv_shape){40, 32, 64, 64, 3}, 300);
    hold_against_ref(&p, NULL);
    problem_free(&p);
}
END_TEST

/* The same at the size of a slice, by the widest instruction set alone. */
START_TEST(a_64_to_64_convolution_of_a_slice_stays_within_3e_6_of_fp64) {
    problem p = problem_silu((nn_conv_shape){160, 160, 64, 64, 3}, 301);
    block want = run(ref, &p, FORWARD, NULL), got = run(table_named("wino"), &p, FORWARD, NULL);
    const double error = relative_error(got.at, want.at, want.n);
    ck_assert_msg(error <= 3e-6, "%s: error %.2e > 3e-6", table_named("wino")->isa, error);
    sx_free(want.base);
    sx_free(got.base);
    problem_free(&p);
}
END_TEST

/* ---- properties ---- */

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* <conv(x), dy> = <x, conv^T(dy)> = <weight, dy * x> without bias; all three of one body. */
static void check_adjoint(const body *b, const nn_conv_shape *s) {
    problem p = problem_new(*s, 400);
    memset(p.bias.at, 0, (size_t)p.bias.n * sizeof(float));
    block y = run(b->table, &p, FORWARD, NULL);

    block x = block_copy(p.x), weight = block_copy(p.weight);
    memset(p.x.at, 0, (size_t)p.x.n * sizeof(float)); /* gradients are added: start from zero */
    block dx = run(b->table, &p, BY_DATA, NULL);
    memcpy(p.x.at, x.at, (size_t)x.n * sizeof(float));
    memset(p.weight.at, 0, (size_t)p.weight.n * sizeof(float));
    block dweight = run(b->table, &p, BY_WEIGHT, NULL);

    const double by_y = dot(y.at, p.y.at, p.y.n);
    const double by_x = dot(dx.at, x.at, x.n), by_w = dot(dweight.at, weight.at, weight.n);
    const double size = sqrt(dot(y.at, y.at, y.n) * dot(p.y.at, p.y.at, p.y.n));
    ck_assert_msg(fabs(by_y - by_x) <= 3e-6 * size, "%s: <conv x, dy> %.9g, <x, conv' dy> %.9g",
                  b->name, by_y, by_x);
    ck_assert_msg(fabs(by_y - by_w) <= 3e-6 * size, "%s: <conv x, dy> %.9g, <w, dw> %.9g", b->name,
                  by_y, by_w);

    sx_free(y.base);
    sx_free(x.base);
    sx_free(weight.base);
    sx_free(dx.base);
    sx_free(dweight.base);
    problem_free(&p);
}

START_TEST(the_three_convolutions_are_adjoint_to_each_other) {
    static const nn_conv_shape shapes[] = {
        {18, 23, 40, 56, 3}, {16, 16, 64, 64, 3}, {12, 9, 2, 48, 3},
        {12, 9, 48, 1, 3},   {7, 5, 24, 8, 1},    {17, 15, 64, 32, 1},
    };
    for (const body *b = bodies; b < bodies + n_bodies; b++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            if (b->takes(b, &shapes[i])) check_adjoint(b, &shapes[i]);
}
END_TEST

static void check_repeat(const body *b, const problem *p, op o) {
    block once = run(b->table, p, o, NULL), twice = run(b->table, p, o, NULL);
    ck_assert_msg(!memcmp(once.at, twice.at, (size_t)once.n * sizeof(float)), "%s, %s", b->name,
                  op_names[o]);
    sx_free(once.base);
    sx_free(twice.base);
}

START_TEST(equal_calls_give_equal_bytes) {
    static const nn_conv_shape shapes[] = {
        {22, 17, 40, 64, 3}, {9, 7, 32, 64, 1}, {9, 7, 2, 64, 3}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        problem p = problem_new(shapes[i], 500 + i);
        for (const body *b = bodies; b < bodies + n_bodies; b++)
            for (op o = FORWARD; b->takes(b, &p.s) && o < N_OPS; o++) check_repeat(b, &p, o);
        problem_free(&p);
    }
}
END_TEST

/* ---- matrix product ---- */

typedef struct product {
    int trans_a, trans_b, m, n, k, lda, ldb, ldc;
    float alpha, beta;
} product;

static product random_product(sx_rng *r) {
    product p = {.trans_a = (int)sx_rng_int(r, 0, 1), .trans_b = (int)sx_rng_int(r, 0, 1)};
    p.m = (int)sx_rng_int(r, 1, 70);
    p.n = (int)sx_rng_int(r, 1, 150);
    p.k = (int)sx_rng_int(r, 1, 70);
    p.lda = (p.trans_a ? p.m : p.k) + (int)sx_rng_int(r, 0, 3);
    p.ldb = (p.trans_b ? p.k : p.n) + (int)sx_rng_int(r, 0, 3);
    p.ldc = p.n + (int)sx_rng_int(r, 0, 3);
    p.alpha = sx_rng_int(r, 0, 1) ? sx_rng_range(r, -2, 2) : 1;
    p.beta = sx_rng_int(r, 0, 1) ? sx_rng_range(r, -2, 2) : (float)sx_rng_int(r, 0, 1);
    return p;
}

static void check_product(const nn_kernels *k, const product *p, sx_rng *r) {
    block a = block_random(r, (int64_t)(p->trans_a ? p->k : p->m) * p->lda, 0, 1);
    block b = block_random(r, (int64_t)(p->trans_b ? p->n : p->k) * p->ldb, 0, 1);
    block want = block_random(r, (int64_t)p->m * p->ldc, 0, 1), got = block_copy(want);
    ref->gemm(p->trans_a, p->trans_b, p->m, p->n, p->k, p->alpha, a.at, p->lda, b.at, p->ldb,
              p->beta, want.at, p->ldc);
    k->gemm(p->trans_a, p->trans_b, p->m, p->n, p->k, p->alpha, a.at, p->lda, b.at, p->ldb, p->beta,
            got.at, p->ldc);
    const double error = relative_error(got.at, want.at, want.n);
    ck_assert_msg(error <= 1e-6, "%s: op(A) %d op(B) %d %dx%dx%d: error %.2e > 1e-6", k->name,
                  p->trans_a, p->trans_b, p->m, p->n, p->k, error);
    sx_free(a.base);
    sx_free(b.base);
    sx_free(want.base);
    sx_free(got.base);
}

START_TEST(matrix_products_agree_with_ref) {
    static const char *const names[] = {"blas", "wino-sse2", "wino-avx2", "wino-avx512",
                                        "wino-neon"};
    sx_rng r = sx_rng_make(7, SX_RNG_TEST, 2, 0);
    for (int i = 0; i < 60; i++) {
        const product p = random_product(&r);
        const nn_kernels *k;
        for (size_t t = 0; t < sizeof names / sizeof *names; t++)
            if (nn_kernels_get(names[t], &k) == SX_OK) check_product(k, &p, &r);
    }
}
END_TEST

/* ---- names ---- */

START_TEST(auto_is_one_of_the_fast_bodies) {
    const nn_kernels *k = table_named("auto");
    ck_assert_msg(k == table_named("wino") || k == table_named("blas"), "auto is '%s'", k->name);
}
END_TEST

START_TEST(an_unknown_name_is_a_configuration_error) {
    const nn_kernels *k = ref;
    ck_assert_int_eq(nn_kernels_get("fast", &k), SX_E_CONFIG);
    ck_assert_ptr_null(k);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "fast"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels");
    TCase *t = tcase_create("kernels");
    tcase_set_timeout(t, 0);
    tcase_add_unchecked_fixture(t, find_bodies, NULL);
    tcase_add_test(t, bodies_agree_with_ref_on_random_shapes);
    tcase_add_loop_test(t, bodies_agree_with_ref_on_the_shapes_of_the_network, 0,
                        COUNT(usual_shapes));
    tcase_add_loop_test(t, bodies_agree_with_ref_on_images_of_one_line, 0, COUNT(line_shapes));
    tcase_add_test(t, errors_of_a_64_to_64_convolution_stay_within_fp32_bounds);
    tcase_add_test(t, a_64_to_64_convolution_of_a_slice_stays_within_3e_6_of_fp64);
    tcase_add_test(t, the_three_convolutions_are_adjoint_to_each_other);
    tcase_add_test(t, equal_calls_give_equal_bytes);
    tcase_add_test(t, matrix_products_agree_with_ref);
    tcase_add_test(t, auto_is_one_of_the_fast_bodies);
    tcase_add_test(t, an_unknown_name_is_a_configuration_error);
    suite_add_tcase(suite, t);
    return check_run_suite(suite);
}
