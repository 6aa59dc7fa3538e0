/* test_tasks_embedder.c - tasks by a caller's embedder: found, remembered,
 * refused by another */
#include "task_calls.h"
#include "suite.h"

#include "base/rng.h"

#include <math.h>
#include <string.h>

#define DIMS 3
#define NAME "/models/encoder"

/* Tells texts apart by their first letter, which no shared word betrays. */
struct fake {
    struct tasks_embedder e; /* first */
    unsigned opened;
    size_t texts;
    bool gone, broken;
    unsigned char content;
};

static int fake_open(struct tasks_embedder *e, struct err *why)
{
    struct fake *f = (struct fake *)e;

    f->opened++;
    if (f->gone)
        return err_set(why, ERR_NOTFOUND, "no such directory");
    memset(e->id, f->content, sizeof(e->id));
    e->dims = DIMS;
    return 0;
}

static int fake_vectors(struct tasks_embedder *e, const struct slice *texts,
                        size_t n, float *x, struct err *why)
{
    struct fake *f = (struct fake *)e;

    if (f->broken)
        return err_set(why, ERR_FORMAT, "damaged");
    for (size_t i = 0; i < n; i++) {
        float turn = (texts[i].p[0] < 'n' ? 0.0f : 1.5f) +
                     (float)(texts[i].p[1] % 7) / 70;

        x[i * DIMS] = cosf(turn);
        x[i * DIMS + 1] = sinf(turn);
        x[i * DIMS + 2] = 0;
    }
    f->texts += n;
    return 0;
}

static struct fake fake_of(unsigned char content)
{
    return (struct fake){
        .e = { .name = NAME, .open = fake_open, .vectors = fake_vectors },
        .content = content
    };
}

/* n messages without a system prompt or words in common; kind 0 begins with a
 * letter to m, kind 1 with another. */
static void add_free(size_t n, unsigned kind)
{
    static struct rng r = { 0 };
    char text[100];

    rng_init(&r, 7 + (uint64_t)calls);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 60; k++)
            text[k] = k % 6 == 5 ? ' ' : (char)('a' + rng_below(&r, 26));
        text[0] = (char)((kind ? 'n' : 'a') + (char)rng_below(&r, 13));
        text[60] = 0;
        add("", text, "{\"content\":\"ok\"}");
    }
}

static int try_update(struct fake *f, bool asked, bool refit,
                      struct tasks_outcome *o)
{
    struct tasks_run run = { .refit = refit,
                             .seed = 1,
                             .embedder = f ? &f->e : NULL,
                             .embedder_asked = asked };

    return tasks_update(s, &run, o, &err);
}

static struct tasks_outcome update(struct fake *f, bool asked, bool refit)
{
    struct tasks_outcome o;

    ck_assert_msg(try_update(f, asked, refit, &o) == 0, "%s", err.msg);
    return o;
}

static void refused(struct fake *f, bool asked, int code, const char *first,
                    const char *second)
{
    struct tasks_outcome o;

    ck_assert_int_eq(try_update(f, asked, false, &o), code);
    ck_assert_msg(strstr(err.msg, first) && strstr(err.msg, second), "%s",
                  err.msg);
}

static void check_name(const char *want)
{
    char *name;

    ck_assert_int_eq(tasks_embedder_name(s, &name, &err), 0);
    ck_assert_str_eq(name ? name : "", want);
    free(name);
}

START_TEST(an_embedder_splits_what_words_do_not)
{
    struct fake f = fake_of(1), again = fake_of(1);

    check_name("");
    add_free(60, 0);
    add_free(60, 1);
    ck_assert_uint_eq(update(NULL, false, false).tasks, 1);
    struct tasks_outcome o = update(&f, true, true);
    ck_assert(o.fitted);
    ck_assert_uint_eq(o.tasks, 2);
    ck_assert_uint_eq(f.opened, 1);
    ck_assert_uint_eq(f.texts, 120); /* each of them once */
    check_name(NAME);
    ck_assert_int_eq(one("SELECT count(DISTINCT task) FROM example "
                         "WHERE call <= 60"),
                     1);
    o = update(&again, false, false);
    ck_assert(!o.fitted && o.fresh == 0);
    ck_assert_uint_eq(again.opened, 0); /* nothing new: not even opened */
}
END_TEST

START_TEST(later_calls_are_assigned_by_the_same_embedder)
{
    struct fake f = fake_of(1), again = fake_of(1);

    add_free(60, 0);
    add_free(70, 1);
    (void)update(&f, true, false);
    add_free(5, 0);
    struct tasks_outcome o = update(&again, false, false);
    ck_assert(!o.fitted);
    ck_assert_uint_eq(o.assigned, 5);
    ck_assert_uint_eq(again.texts, 5);
    ck_assert_int_eq(one("SELECT count(DISTINCT task) FROM example "
                         "WHERE call <= 60 OR call > 130"),
                     1);
}
END_TEST

START_TEST(another_embedder_is_refused_until_tasks_are_found_again)
{
    struct fake f = fake_of(1), other = fake_of(2), changed = fake_of(3);

    add_free(60, 0);
    add_free(60, 1);
    (void)update(NULL, false, false);
    refused(&f, true, ERR_INVALID, "the built-in embedder", "--refit");
    (void)update(&f, true, true);
    other.e.name = "/models/other";
    refused(&other, true, ERR_INVALID, NAME " (010101", "--refit");
    refused(NULL, true, ERR_INVALID, "with the built-in embedder", "--refit");
    add_free(1, 0);
    refused(&changed, false, ERR_INVALID, "has changed since (030303",
            "--refit");
    ck_assert_int_eq(one("SELECT count(*) FROM example WHERE novelty IS NULL"),
                     1);
    (void)update(&changed, false, true);
    check_name(NAME);
    ck_assert_uint_eq(update(NULL, true, true).tasks, 1);
    check_name("");
}
END_TEST

START_TEST(an_embedder_that_is_gone_is_missed_when_it_is_needed)
{
    struct fake f = fake_of(1), gone = fake_of(1), moved = fake_of(1);

    add_free(60, 0);
    add_free(60, 1);
    (void)update(&f, true, false);
    gone.gone = true;
    (void)update(&gone, false, false);
    add("Say how the weather is.", "rain?", "{\"content\":\"no\"}");
    refused(&gone, false, ERR_NOTFOUND, NAME, "--embedder");
    refused(&gone, true, ERR_NOTFOUND, "no such directory", "builtin");
    moved.e.name = "/elsewhere";
    (void)update(&moved, true, false);
    check_name("/elsewhere");
}
END_TEST

START_TEST(a_failing_embedder_changes_nothing)
{
    struct fake f = fake_of(1);
    struct tasks_outcome o;

    add_free(60, 0);
    add_free(60, 1);
    f.broken = true;
    ck_assert_int_eq(try_update(&f, true, false, &o), ERR_FORMAT);
    ck_assert_int_eq(one("SELECT count(*) FROM clustering"), 0);
    ck_assert_int_eq(one("SELECT count(*) FROM task"), 0);
    f.broken = false;
    ck_assert(update(&f, true, false).fitted);
}
END_TEST

START_TEST(an_index_takes_the_tasks_embedder_alone)
{
    static const char request[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"abcde fghij\"}]}";
    struct fake f = fake_of(1), other = fake_of(2), same = fake_of(1);
    struct tasks_index *x = NULL;
    struct tasks_prompt p;
    const struct tasks_prompt *all[] = { &p };
    int64_t task;
    float novelty;

    add_free(60, 0);
    add_free(60, 1);
    (void)update(&f, true, false);
    ck_assert_int_eq(tasks_index_open(s, NULL, &x, &err), ERR_INVALID);
    ck_assert_int_eq(tasks_index_open(s, &other.e, &x, &err), ERR_INVALID);
    ck_assert_int_eq(tasks_index_open(s, &same.e, &x, &err), 0);
    ck_assert_int_eq(tasks_prompt_read(slice_of(request), &p, &err), 0);
    ck_assert_int_eq(tasks_index_assign(x, all, 1, &task, &novelty, &err), 0);
    ck_assert_int_eq(task, one("SELECT task FROM example WHERE call = 1"));
    tasks_prompt_release(&p);
    tasks_index_close(x);
}
END_TEST

static void read_free(struct tasks_prompt *p, size_t n)
{
    struct rng r;

    rng_init(&r, 5);
    for (size_t i = 0; i < n; i++) {
        char text[61];
        for (size_t k = 0; k < 60; k++)
            text[k] = k % 6 == 5 ? ' ' : (char)('a' + rng_below(&r, 26));
        text[60] = 0;
        char *request = mem_printf("{\"messages\":[{\"role\":\"user\","
                                   "\"content\":\"%s\"}]}",
                                   text);
        ck_assert_int_eq(tasks_prompt_read(slice_of(request), &p[i], &err), 0);
        free(request);
    }
}

START_TEST(a_model_keeps_whose_vectors_it_needs)
{
    enum { N = 100 };
    struct tasks_prompt p[N];
    const struct tasks_prompt *all[N];
    struct tasks_model *a = NULL, *b = NULL;
    struct fake f = fake_of(9);
    struct tasks_vectors *v = tasks_vectors_new(&f.e, NULL);
    struct buf bytes = { 0 };
    uint32_t x[N], y[N];
    float n[N], m[N];

    read_free(p, N);
    for (size_t i = 0; i < N; i++)
        all[i] = &p[i];
    ck_assert_int_eq(f.e.open(&f.e, &err), 0);
    f.e.is_open = true;
    ck_assert_int_eq(tasks_fit(NULL, p, N, 1, v, NULL, &a, &err), 0);
    ck_assert_uint_eq(tasks_model_count(a), 2);
    tasks_model_save(a, &bytes);
    ck_assert_int_eq(tasks_model_load(buf_slice(&bytes), &b, &err), 0);
    ck_assert_mem_eq(tasks_model_embedder(b), f.e.id, sizeof(f.e.id));
    ck_assert_int_eq(tasks_assign_all(a, v, all, N, x, n, &err), 0);
    ck_assert_int_eq(tasks_assign_all(b, v, all, N, y, m, &err), 0);
    ck_assert_mem_eq(x, y, sizeof(x));
    ck_assert_mem_eq(n, m, sizeof(n));
    tasks_model_free(b);
    for (size_t cut = 0; cut < bytes.len; cut += bytes.len / 97 + 1)
        ck_assert_int_eq(
            tasks_model_load((struct slice){ bytes.data, cut }, &b, &err),
            ERR_FORMAT);
    bytes.data[4] = 0; /* dims */
    ck_assert_int_eq(tasks_model_load(buf_slice(&bytes), &b, &err), ERR_FORMAT);
    tasks_model_free(a);
    tasks_vectors_free(v);
    buf_release(&bytes);
    for (size_t i = 0; i < N; i++)
        tasks_prompt_release(&p[i]);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("tasks_embedder", setup, teardown);

    tcase_add_test(c, an_embedder_splits_what_words_do_not);
    tcase_add_test(c, later_calls_are_assigned_by_the_same_embedder);
    tcase_add_test(c, another_embedder_is_refused_until_tasks_are_found_again);
    tcase_add_test(c, an_embedder_that_is_gone_is_missed_when_it_is_needed);
    tcase_add_test(c, a_failing_embedder_changes_nothing);
    tcase_add_test(c, an_index_takes_the_tasks_embedder_alone);
    tcase_add_test(c, a_model_keeps_whose_vectors_it_needs);
    return suite_run("tasks_embedder", c);
}
