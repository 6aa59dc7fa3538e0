/*
 * test_engine_models.c - sets of models that come and go under requests: two
 * who load at once, closing while somebody loads, a set that was dropped
 */
#include "adapter_files.h"
#include "ok.h"
#include "scratch.h"
#include "suite.h"

#include "engine/engine_private.h"

#include <pthread.h>

#define BASE "data/base"
#define CHAT                                                                   \
    "{\"max_tokens\":12,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]" \
    "}"

static struct compute *cpu;
static char dir[SCRATCH_MAX];
static struct engine *e;

static void setup(void)
{
    const struct engine_model base = { "base", NULL };
    struct engine_options o = {
        .dir = BASE, .models = &base, .count = 1, .slots = 2
    };

    OK(compute_open(&(struct compute_options){ .kernels = getenv("SLMCTL_CPU"),
                                               .threads = 1 },
                    &cpu, &err));
    scratch_make(dir);
    o.compute = cpu;
    OK(engine_open(&o, &e, &err));
}

static void teardown(void)
{
    compute_close(cpu);
    scratch_remove(dir);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

struct heard {
    bool began, gate, ended; /* gate: its first piece waits */
    enum engine_finish why;
    struct buf message;
};

static void hear_piece(void *ctx, enum engine_piece kind, size_t call,
                       struct slice text, const struct engine_logprob *lp,
                       size_t lp_count)
{
    struct heard *h = ctx;

    (void)kind, (void)call, (void)text, (void)lp, (void)lp_count;
    pthread_mutex_lock(&mutex);
    h->began = true;
    pthread_cond_broadcast(&changed);
    while (h->gate)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void hear_end(void *ctx, enum engine_finish why, struct slice message,
                     const struct engine_usage *u,
                     const struct stats_signals *s, const struct err *reason)
{
    struct heard *h = ctx;

    (void)u, (void)s, (void)reason;
    pthread_mutex_lock(&mutex);
    h->ended = true;
    h->why = why;
    buf_add_slice(&h->message, message);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static int submit(struct engine_models *models, size_t model, struct heard *h)
{
    const struct engine_request r = { .chat = slice_of(CHAT),
                                      .models = models,
                                      .model = model,
                                      .piece = hear_piece,
                                      .end = hear_end,
                                      .ctx = h };
    uint64_t id;
    int64_t retry;

    return engine_submit(e, &r, &id, &retry, &err);
}

static void await(const bool *what)
{
    pthread_mutex_lock(&mutex);
    while (!*what)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static char *write_adapter(const char *name, uint64_t seed)
{
    static const struct layer layers[] = { { "model.layers.0.self_attn.q_proj",
                                             128, 128 } };
    char *path = io_path(dir, name);

    adapter_files(path, layers, 1, seed, 4, false, 0.8F, "");
    return path;
}

struct loader {
    pthread_t thread;
    const char *adapter;
    int times, rc, wrong;
    struct engine_models *got;
    struct err err;
};

/* What is there is loaded, what is not is not, with a reason of its own. */
static void *reload_often(void *ctx)
{
    struct loader *l = ctx;

    for (int i = 0; i < l->times; i++) {
        const struct engine_model m = { "m", l->adapter };
        bool good = !strstr(l->adapter, "nowhere");
        struct err why = { .msg = "" };
        int rc = engine_reload(e, &m, 1, &why);

        l->wrong += good ? rc != 0 : rc >= 0 || !strstr(why.msg, "nowhere");
    }
    return NULL;
}

START_TEST(who_reloads_at_once_gets_a_result_of_its_own)
{
    char *path = write_adapter("one", 1);
    struct loader l[4] = { { .adapter = path },
                           { .adapter = "nowhere" },
                           { .adapter = path },
                           { .adapter = "nowhere/else" } };
    int wrong = 0;

    for (size_t i = 0; i < 4; i++) {
        l[i].times = 15;
        ck_assert(!pthread_create(&l[i].thread, NULL, reload_often, &l[i]));
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(l[i].thread, NULL);
        wrong += l[i].wrong;
    }
    ck_assert_int_eq(wrong, 0);
    engine_close(e);
    free(path);
}
END_TEST

static void *load_once(void *ctx)
{
    struct loader *l = ctx;
    const struct engine_model m = { "m", l->adapter };

    l->rc = engine_models_load(e, &m, 1, &l->got, &l->err);
    return NULL;
}

static void *close_engine(void *ctx)
{
    (void)ctx;
    engine_close(e);
    return NULL;
}

/* Until a condition of the engine's holds, which it tells nobody. */
#define UNTIL(condition)                                                       \
    for (bool yes = false; !yes;) {                                            \
        pthread_mutex_lock(&e->mutex);                                         \
        yes = (condition);                                                     \
        pthread_mutex_unlock(&e->mutex);                                       \
    }

/* The engine is busy, somebody waits for a set, and it is closed: it used to
 * leave without an answer. */
START_TEST(closing_answers_who_waits_for_models)
{
    struct heard h = { .gate = true };
    struct loader l = { .adapter = "nowhere" };
    pthread_t closer;

    OK(submit(NULL, 0, &h));
    await(&h.began);
    ck_assert(!pthread_create(&l.thread, NULL, load_once, &l));
    UNTIL(e->orders != NULL);
    ck_assert(!pthread_create(&closer, NULL, close_engine, NULL));
    UNTIL(e->stopping);
    pthread_mutex_lock(&mutex);
    h.gate = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    pthread_join(l.thread, NULL);
    pthread_join(closer, NULL);
    ck_assert_int_eq(l.rc, ERR_BUSY);
    ck_assert_int_eq(h.why, ENGINE_STOPPED);
    buf_release(&h.message);
}
END_TEST

/* Requests of three sets at a time; a dropped one stays while it is used, and
 * is freed then. */
START_TEST(a_dropped_set_answers_to_the_end)
{
    char *paths[2] = { write_adapter("one", 1), write_adapter("two", 2) };
    struct heard h[4] = { { .gate = true } }, base = { 0 };
    struct engine_models *set[2];

    for (size_t i = 0; i < 2; i++) {
        const struct engine_model m[] = { { "base", NULL }, { "m", paths[i] } };

        OK(engine_models_load(e, m, 2, &set[i], &err));
    }
    OK(submit(NULL, 0, &base));
    await(&base.ended);
    OK(submit(set[0], 0, &h[0]));
    await(&h[0].began);
    OK(submit(set[0], 1, &h[1]));
    OK(submit(set[1], 1, &h[2]));
    OK(submit(NULL, 0, &h[3]));
    ck_assert_int_eq(submit(NULL, 1, &base), ERR_INVALID);
    engine_models_drop(e, set[0]);
    engine_models_drop(e, set[1]);
    pthread_mutex_lock(&mutex);
    h[0].gate = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    for (size_t i = 0; i < 4; i++)
        await(&h[i].ended);
    ck_assert_str_eq(h[0].message.data, base.message.data);
    ck_assert_str_eq(h[3].message.data, base.message.data);
    ck_assert_str_ne(h[1].message.data, h[2].message.data);
    UNTIL(e->all_models && !e->all_models->next);
    engine_close(e);
    for (size_t i = 0; i < 4; i++)
        buf_release(&h[i].message);
    buf_release(&base.message);
    free(paths[0]);
    free(paths[1]);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("engine_models", setup, teardown);

    tcase_set_timeout(t, 120);
    tcase_add_test(t, who_reloads_at_once_gets_a_result_of_its_own);
    tcase_add_test(t, closing_answers_who_waits_for_models);
    tcase_add_test(t, a_dropped_set_answers_to_the_end);
    return suite_run("engine_models", t);
}
