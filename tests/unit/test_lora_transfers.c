/* test_lora_transfers.c - what a step of training moves between the host and
 * its device: the batch in, two sums out, nothing else
 *
 * Counted in a table of operations that stands before the CPU's. */
#include "lora_problem.h"
#include "suite.h"

static const struct model_config tiny = {
    TINY_MODEL,
    .layers = 2,
    .tied = true,
    .init_range = 0.2,
};

static const struct lora_options quick = {
    QUICK,
    .batch_tokens = 512,
    .pass_tokens = 200,
    .max_tokens = 4000,
};

#define BATCH 4 /* ids, positions, which rows have a label, and which */

struct counts {
    size_t uploads, downloads, elements, syncs, waits, allocs, passes;
};
static const struct compute_ops *real;
static struct compute_ops own;
static struct counts now, last;
static size_t steps, most_passes;
static float spoil; /* added to the gradients of the second step */

static int count_alloc(struct compute *c, enum compute_type type, size_t count,
                       const char *what, struct compute_buffer **out,
                       struct err *e)
{
    now.allocs++;
    return real->alloc(c, type, count, what, out, e);
}

static void count_upload(struct compute *c, struct compute_span dst,
                         const void *src, size_t count)
{
    now.uploads++;
    real->upload(c, dst, src, count);
}

static void count_download(struct compute *c, void *dst,
                           struct compute_span src, size_t count)
{
    now.downloads++;
    now.elements += count;
    real->download(c, dst, src, count);
}

static int count_sync(struct compute *c, struct err *e)
{
    now.syncs++;
    return real->sync(c, e);
}

static double count_sum_squares(struct compute *c, struct compute_span x,
                                size_t n)
{
    now.waits++;
    return real->sum_squares(c, x, n);
}

static void count_cross_entropy(struct compute *c,
                                const struct compute_cross_entropy *x)
{
    now.passes++;
    real->cross_entropy(c, x);
}

/* From one update to the next there is one download; the first step and the
 * last one have the run's begin and end beside them. */
static void count_adamw(struct compute *c, const struct compute_adamw *a)
{
    const struct counts d = {
        now.uploads - last.uploads,   now.downloads - last.downloads,
        now.elements - last.elements, now.syncs - last.syncs,
        now.waits - last.waits,       now.allocs - last.allocs,
        now.passes - last.passes
    };

    if (steps++ > 0) {
        ck_assert_uint_eq(d.uploads, BATCH * d.passes);
        ck_assert_uint_eq(d.downloads, 1);
        ck_assert_uint_eq(d.elements, LORA_SUMS);
        ck_assert_uint_eq(d.syncs, 1);
        ck_assert_uint_eq(d.waits, 0);
        ck_assert_uint_eq(d.allocs, 0);
        most_passes = d.passes > most_passes ? d.passes : most_passes;
    }
    last = now;
    real->adamw(c, a);
}

static void table_begin(void)
{
    real = cpu->ops;
    own = *real;
    own.alloc = count_alloc;
    own.upload = count_upload;
    own.download = count_download;
    own.sync = count_sync;
    own.sum_squares = count_sum_squares;
    own.cross_entropy = count_cross_entropy;
    own.adamw = count_adamw;
    cpu->ops = &own;
    now = last = (struct counts){ 0 };
    steps = most_passes = 0;
}

START_TEST(a_step_moves_its_batch_in_and_its_sums_out)
{
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_options opt = quick;
    struct lora_result r;
    struct model *m;

    counting(&data, 200, 1);
    opt.method = _i ? LORA_FULL : LORA_ADAPTER;
    OK(model_new(&tiny, cpu, 4, &m, &err));
    table_begin();
    OK(lora_train(m, cpu, &data, &valid, &opt, dir, NULL, &r, &err));
    cpu->ops = real;
    ck_assert_uint_gt(steps, 3);
    ck_assert_uint_gt(most_passes, 2); /* that did not wait for one another */
    model_free(m);
    lora_data_release(&data);
}
END_TEST

/* Weights before and after the update of a step that `spoil` has spoilt. */
static void spoil_adamw(struct compute *c, const struct compute_adamw *a)
{
    size_t bytes = a->n * sizeof(float);
    float *before = mem_array(a->n, sizeof(float));
    float *after = mem_array(a->n, sizeof(float));

    real->download(c, before, a->p, a->n);
    if (steps++ == 1) {
        real->axpy(c, a->g, spoil, a->g, a->n);
        real->accumulate(c, a->sums, a->g, a->n, true);
    }
    real->adamw(c, a);
    real->download(c, after, a->p, a->n);
    ck_assert_int_eq(memcmp(before, after, bytes) == 0, steps == 2);
    free(before);
    free(after);
}

START_TEST(weights_stay_where_the_norm_is_not_finite)
{
    struct lora_data data = { 0 }, valid = { 0 };
    struct lora_options opt = quick;
    struct lora_result r;
    struct model *m;

    counting(&data, 100, 1);
    spoil = INFINITY;
    OK(model_new(&tiny, cpu, 4, &m, &err));
    table_begin();
    own = *real;
    own.adamw = spoil_adamw;
    ck_assert_int_eq(
        lora_train(m, cpu, &data, &valid, &opt, dir, NULL, &r, &err),
        ERR_LIMIT);
    cpu->ops = real;
    ck_assert_ptr_nonnull(strstr(err.msg, "gradient norm"));
    ck_assert_uint_eq(steps, 2);
    model_free(m);
    lora_data_release(&data);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("lora_transfers");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_step_moves_its_batch_in_and_its_sums_out, 0, 2);
    tcase_add_test(t, weights_stay_where_the_norm_is_not_finite);
    return suite_run("lora_transfers", t);
}
