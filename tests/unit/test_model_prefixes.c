/*
 * test_model_prefixes.c - computed prefixes on disk: another run has the bits
 * that it would have computed, and never those of a file that is another
 * model's, adapter's or kernel set's, or not as it was written
 */
#include "session_problem.h"
#include "suite.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHARED = 90 };

static const struct crypto_key secret = { { 7, 1, 9 } };

static char *kv_dir(void)
{
    return io_path(dir, "kv");
}

static struct model_prefixes *prefixes_of(bool sealed, uint64_t most)
{
    char *path = kv_dir();
    const struct model_prefixes_options o = { .dir = path,
                                              .key = sealed ? &secret : NULL,
                                              .most_bytes = most };
    struct model_prefixes *p;

    OK(model_prefixes_open(&o, &p, &err));
    free(path);
    return p;
}

/* Files in the cache, and their bytes; the path of the last one. */
static size_t files(uint64_t *total, char **path)
{
    char *at = kv_dir();
    DIR *d = opendir(at);
    size_t n = 0;

    *total = 0;
    ck_assert_ptr_nonnull(d);
    for (const struct dirent *e; (e = readdir(d));) {
        struct stat st;

        if (e->d_name[0] == '.' && (!e->d_name[1] || e->d_name[1] == '.'))
            continue;
        ck_assert_int_eq(fstatat(dirfd(d), e->d_name, &st, 0), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0600);
        *total += (uint64_t)st.st_size;
        n++;
        if (path) {
            free(*path);
            *path = io_path(at, e->d_name);
        }
    }
    closedir(d);
    free(at);
    return n;
}

static void ask_for(struct heard *h, size_t i, size_t adapter)
{
    *h = (struct heard){ .prompt_count = SHARED + 3 + i,
                         .most = 6,
                         .adapter = adapter };
    for (size_t k = 0; k < h->prompt_count; k++)
        h->prompt[k] =
            (int32_t)(k < SHARED ? k * k % VOCAB : (k * 7 + i) % VOCAB);
}

/* A sequence that says what others begin with. */
static void run_in(struct model_session *s, struct heard *h)
{
    struct model_ask a = { .prompt = h->prompt,
                           .prompt_count = h->prompt_count,
                           .adapter = h->adapter,
                           .sampling = { .max_tokens = h->most,
                                         .ignore_eos = true,
                                         .shared = SHARED,
                                         .on_choice = hear_logits,
                                         .choice_ctx = h },
                           .on_token = hear_token,
                           .on_end = hear_end,
                           .ctx = h };
    int slot;

    h->count = h->choices = h->ends = 0;
    OK(model_session_begin(s, &a, &slot, &h->cached, &err));
    finish(s);
}

/* The same in a session of its own. */
static void run_shared(struct model *m, const struct model_bank *b,
                       struct heard *h)
{
    const struct model_session_options o = { .slots = 2, .bank = b };
    struct model_session *s;

    OK(model_session_open(m, &o, &s, &err));
    run_in(s, h);
    model_session_close(s);
}

/* What a run with files gives, beside one without; how much was read. */
static size_t cached_in(struct model *m, const struct model_bank *b, size_t i,
                        size_t adapter)
{
    struct model_prefixes *p = prefixes_of(true, 1 << 24);
    struct heard *h = mem_zalloc(2 * sizeof(*h));
    size_t cached;

    ask_for(&h[0], i, adapter);
    h[1] = h[0];
    model_prefixes_use(m, p);
    run_shared(m, b, &h[0]);
    model_prefixes_use(m, NULL);
    alone(m, b, &h[1]);
    same(&h[0], &h[1]);
    cached = h[0].cached;
    model_prefixes_close(p);
    free(h);
    return cached;
}

static struct model *loaded(void)
{
    return base_of(0);
}

static struct model *again(struct compute *c)
{
    char *path = io_path(dir, "base");
    struct model *m;

    OK(model_load(path, NULL, c, &m, &err));
    free(path);
    return m;
}

START_TEST(another_run_reads_what_one_computed)
{
    struct model *m = loaded();
    struct model_prefixes *p;
    struct model_prefixes_stats stats;
    struct heard h, *one = mem_zalloc(sizeof(*one));
    uint64_t bytes;
    struct stat st;
    char *path = kv_dir(), *file = NULL;
    struct buf whole = { 0 };

    ck_assert_uint_eq(cached_in(m, NULL, 1, 0), 0);
    ck_assert_uint_eq(files(&bytes, &file), 1);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    model_free(m);
    m = again(cpu);
    ck_assert_uint_eq(cached_in(m, NULL, 2, 0), SHARED);
    /* A prompt that leaves earlier has the rows until there. */
    p = prefixes_of(true, 1 << 24);
    model_prefixes_use(m, p);
    ask_for(&h, 3, 0);
    h.prompt[75] = 1;
    *one = h;
    run_shared(m, NULL, &h);
    ck_assert_uint_eq(h.cached, 75);
    model_prefixes_stats(p, &stats);
    ck_assert_uint_eq(stats.found, 1);
    ck_assert_uint_eq(stats.found_tokens, 75);
    model_prefixes_use(m, NULL);
    model_prefixes_close(p);
    alone(m, NULL, one);
    same(&h, one);
    /* No ids stand in a sealed file. */
    OK(io_read_file(file, 1 << 24, &whole, &err));
    ck_assert_ptr_null(
        memmem(whole.data, whole.len, one->prompt, 8 * sizeof(int32_t)));
    buf_release(&whole);
    free(one);
    free(path);
    free(file);
    model_free(m);
}
END_TEST

/* All of a file's bytes in steps, and all places to cut it. */
START_TEST(a_damaged_file_is_computed_anew)
{
    struct model *m = loaded();
    char *file = NULL;
    struct buf whole = { 0 };
    uint64_t bytes;

    ck_assert_uint_eq(cached_in(m, NULL, 1, 0), 0);
    ck_assert_uint_eq(files(&bytes, &file), 1);
    OK(io_read_file(file, 1 << 24, &whole, &err));
    ck_assert_uint_eq(whole.len, bytes);
    for (size_t at = 0; at < whole.len; at += at < 700 ? 13 : whole.len / 40) {
        char *to = NULL;

        whole.data[at] = (char)(whole.data[at] ^ 4);
        OK(io_write_file(file, whole.data, whole.len, 0600, &err));
        whole.data[at] = (char)(whole.data[at] ^ 4);
        ck_assert_msg(cached_in(m, NULL, 2, 0) == 0, "byte %zu", at);
        OK(io_write_file(file, whole.data, at, 0600, &err));
        ck_assert_msg(cached_in(m, NULL, 2, 0) == 0, "cut at %zu", at);
        /* It was replaced. */
        ck_assert_uint_eq(cached_in(m, NULL, 3, 0), SHARED);
        ck_assert_uint_eq(files(&bytes, &to), 1);
        free(file);
        file = to;
        buf_reset(&whole);
        OK(io_read_file(file, 1 << 24, &whole, &err));
    }
    buf_char(&whole, 'x');
    OK(io_write_file(file, whole.data, whole.len, 0600, &err));
    ck_assert_uint_eq(cached_in(m, NULL, 2, 0), 0);
    buf_release(&whole);
    free(file);
    model_free(m);
}
END_TEST

START_TEST(what_was_computed_otherwise_is_not_used)
{
    struct model *m = loaded(), *other;
    struct model_bank *b = bank_of(m, 2);
    struct model_prefixes *p;
    struct compute *c;
    struct heard h;
    char *path = io_path(dir, "base"), *adapter;

    ck_assert_uint_eq(cached_in(m, b, 1, 0), 0);
    ck_assert_uint_eq(cached_in(m, b, 2, 0), SHARED);
    /* An adapter, and another. */
    ck_assert_uint_eq(cached_in(m, b, 1, 1), 0);
    ck_assert_uint_eq(cached_in(m, b, 2, 1), SHARED);
    ck_assert_uint_eq(cached_in(m, b, 1, 2), 0);
    model_bank_free(b);
    /* One that is a part of the model. */
    adapter = adapter_write("own", 5, 3, false, 2, "");
    OK(model_load(path, adapter, cpu, &other, &err));
    ck_assert_uint_eq(cached_in(other, NULL, 1, 0), 0);
    ck_assert_uint_eq(cached_in(other, NULL, 2, 0), SHARED);
    model_free(other);
    /* Other kernels. */
    if (strcmp(cpu->kernels, "generic") != 0) {
        OK(compute_open(
            &(struct compute_options){ .kernels = "generic", .threads = 1 }, &c,
            &err));
        other = again(c);
        ck_assert_uint_eq(cached_in(other, NULL, 1, 0), 0);
        model_free(other);
        compute_close(c);
    }
    /* Another key: the file is a stranger's. */
    p = prefixes_of(false, 1 << 24);
    model_prefixes_use(m, p);
    ask_for(&h, 1, 0);
    run_shared(m, NULL, &h);
    ck_assert_uint_eq(h.cached, 0);
    model_prefixes_use(m, NULL);
    model_prefixes_close(p);
    model_free(m);
    /* The same weights, written again: seen by their files. */
    OK(model_new(&kinds[0], cpu, 3, &m, &err));
    OK(model_save(m, path, WEIGHTS_F32, &err));
    model_free(m);
    m = again(cpu);
    ck_assert_uint_eq(cached_in(m, NULL, 1, 0), 0);
    model_free(m);
    /* Weights of no file have no files. */
    OK(model_new(&kinds[0], cpu, 3, &m, &err));
    ck_assert_uint_eq(cached_in(m, NULL, 1, 0), 0);
    ck_assert_uint_eq(cached_in(m, NULL, 1, 0), 0);
    model_free(m);
    free(path);
    free(adapter);
}
END_TEST

/* A ring is whole: it serves what goes on from its very end, in a ring of the
 * same size. */
START_TEST(rings_come_back_as_rows_do)
{
    struct model *m = base_of(_i);
    struct model_prefixes *p = prefixes_of(true, 1 << 24);
    struct heard *h = mem_zalloc(2 * sizeof(*h));
    const struct {
        size_t rows, capacity, leaves, cached[2];
    } runs[] = {
        { 64, 300, 0, { 0, 0 } },           { 64, 300, 0, { SHARED, SHARED } },
        { 64, 200, 0, { SHARED, SHARED } }, { 64, 300, 75, { 75, 0 } },
        { 128, 300, 0, { SHARED, 0 } },     { 128, 300, 0, { SHARED, SHARED } }
    };

    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        const struct model_session_options o = { .slots = 2,
                                                 .pass_rows = runs[i].rows,
                                                 .capacity = runs[i].capacity };
        struct model_session *s;

        ask_for(&h[0], i, 0);
        if (runs[i].leaves)
            h[0].prompt[runs[i].leaves] = 1;
        h[1] = h[0];
        model_prefixes_use(m, p);
        OK(model_session_open(m, &o, &s, &err));
        run_in(s, &h[0]);
        model_session_close(s);
        ck_assert_msg(h[0].cached == runs[i].cached[_i], "run %zu: %zu", i,
                      h[0].cached);
        model_prefixes_use(m, NULL);
        alone(m, NULL, &h[1]);
        same(&h[0], &h[1]);
    }
    model_prefixes_close(p);
    model_free(m);
    free(h);
}
END_TEST

/* Two models take turns with one list: neither has the other's rows. */
START_TEST(sessions_side_by_side_keep_to_their_own)
{
    const struct model_session_options o = { .slots = 1 };
    struct model_prefixes *p = prefixes_of(true, 1 << 24);
    struct model *m[2] = { loaded() };
    struct model_session *s[2];
    struct heard h, one;
    char *path = io_path(dir, "base"), *adapter;

    adapter = adapter_write("own", 5, 3, false, 2, "");
    OK(model_load(path, adapter, cpu, &m[1], &err));
    for (size_t i = 0; i < 2; i++) {
        model_prefixes_use(m[i], p);
        OK(model_session_open(m[i], &o, &s[i], &err));
    }
    for (size_t i = 0; i < 4; i++) {
        ask_for(&h, i, 0);
        one = h;
        run_in(s[i % 2], &h);
        ck_assert_uint_eq(h.cached, i < 2 ? 0 : SHARED);
        model_prefixes_use(m[i % 2], NULL);
        alone(m[i % 2], NULL, &one);
        model_prefixes_use(m[i % 2], p);
        same(&h, &one);
    }
    for (size_t i = 0; i < 2; i++) {
        model_session_close(s[i]);
        model_free(m[i]);
    }
    model_prefixes_close(p);
    free(path);
    free(adapter);
}
END_TEST

/* Who goes on after all was removed writes nothing to what was made since: the
 * store may have another key now. */
START_TEST(a_directory_that_is_gone_stays_so)
{
    struct model *m = loaded();
    struct model_prefixes *p = prefixes_of(false, 1 << 24), *later;
    struct heard h;
    char *path = kv_dir();
    uint64_t total;

    model_prefixes_use(m, p);
    ask_for(&h, 1, 0);
    run_shared(m, NULL, &h);
    ck_assert_uint_eq(files(&total, NULL), 1);
    io_tree_remove(path);
    later = prefixes_of(true, 1 << 24);
    ask_for(&h, 2, 0);
    h.prompt[0] = 5;
    run_shared(m, NULL, &h);
    ck_assert_uint_eq(files(&total, NULL), 0);
    model_prefixes_use(m, NULL);
    model_prefixes_close(p);
    model_prefixes_close(later);
    model_free(m);
    free(path);
}
END_TEST

/* The longest unused go, and none that is larger than all may be. */
/* Positions are turned by the whole prompt's length, also where its first rows
 * alone are written. */
START_TEST(a_long_prompts_beginning_is_written_once)
{
    struct model_config c = kinds[0];
    struct model_prefixes *p = prefixes_of(true, 1 << 24);
    char *path = io_path(dir, "long");
    struct heard *h = mem_zalloc(sizeof(*h));
    struct model_prefixes_stats now;
    struct model *m;

    c.rope = MODEL_ROPE_LONGROPE;
    c.rope_original = SHARED + 2;
    c.rope_attention = 1;
    for (size_t i = 0; i < 3; i++) {
        c.rope_short[i] = 1;
        c.rope_long[i] = 2;
    }
    OK(model_new(&c, cpu, 3, &m, &err));
    OK(io_mkdirs(path, 0755, &err));
    OK(model_save(m, path, WEIGHTS_F32, &err));
    model_free(m);
    OK(model_load(path, NULL, cpu, &m, &err));
    model_prefixes_use(m, p);
    for (size_t i = 1; i < 4; i++) {
        ask_for(h, i, 0);
        run_shared(m, NULL, h);
        ck_assert_uint_eq(h->cached, i > 1 ? SHARED : 0);
        model_prefixes_stats(p, &now);
        ck_assert_uint_eq(now.saved, 1);
    }
    model_prefixes_use(m, NULL);
    model_free(m);
    model_prefixes_close(p);
    free(path);
    free(h);
}
END_TEST

START_TEST(files_keep_to_their_limit)
{
    struct model *m = loaded();
    struct heard h;
    uint64_t one, total;
    size_t kept[3];

    ck_assert_uint_eq(cached_in(m, NULL, 1, 0), 0);
    ck_assert_uint_eq(files(&one, NULL), 1);
    for (size_t k = 1; k < 6; k++) {
        struct model_prefixes *p = prefixes_of(true, 3 * one + 100);

        model_prefixes_use(m, p);
        if (k > 2) { /* the first is used again */
            ask_for(&h, 1, 0);
            run_shared(m, NULL, &h);
            ck_assert_uint_eq(h.cached, SHARED);
        }
        ask_for(&h, 1, 0);
        h.prompt[0] = (int32_t)k;
        run_shared(m, NULL, &h);
        ck_assert_uint_eq(h.cached, 0);
        model_prefixes_use(m, NULL);
        model_prefixes_close(p);
        ck_assert_uint_le(files(&total, NULL), 3);
        ck_assert_uint_le(total, 3 * one + 100);
    }
    for (size_t k = 0; k < 3; k++) {
        struct model_prefixes *p = prefixes_of(true, 3 * one + 100);

        model_prefixes_use(m, p);
        ask_for(&h, 1, 0);
        h.prompt[0] = (int32_t)(k == 0 ? 0 : k == 1 ? 5 : 2);
        run_shared(m, NULL, &h);
        kept[k] = h.cached;
        model_prefixes_use(m, NULL);
        model_prefixes_close(p);
    }
    ck_assert_uint_eq(kept[0], SHARED); /* used in between */
    ck_assert_uint_eq(kept[1], SHARED); /* the newest */
    ck_assert_uint_eq(kept[2], 0);
    { /* what is not a prefix stays, and counts for nothing */
        char *at = kv_dir(), *mine = io_path(at, "mine");
        void *x = mem_zalloc(one);
        struct model_prefixes *p;

        OK(io_write_file(mine, x, one, 0600, &err));
        free(x);
        p = prefixes_of(true, one / 2);
        ck_assert_uint_eq(files(&total, NULL), 1);
        model_prefixes_use(m, p);
        ask_for(&h, 1, 0);
        run_shared(m, NULL, &h);
        model_prefixes_use(m, NULL);
        model_prefixes_close(p);
        ck_assert_uint_eq(files(&total, NULL), 1);
        ck_assert(io_exists(mine));
        free(mine);
        free(at);
    }
    model_free(m);
}
END_TEST

START_TEST(none_of_many_files_is_overlooked)
{
    enum { MANY = 300 };
    struct model *m = loaded();
    struct heard h;

    for (size_t round = 0; round < 2; round++) {
        struct model_prefixes *p = prefixes_of(true, 1 << 28);

        model_prefixes_use(m, p);
        for (size_t k = 0; k < MANY; k++) {
            ask_for(&h, 1, 0);
            h.most = 1;
            h.prompt[0] = (int32_t)(k % VOCAB);
            h.prompt[1] = (int32_t)(k / VOCAB);
            run_shared(m, NULL, &h);
            ck_assert_uint_eq(h.cached, round > 0 ? SHARED : 0);
        }
        model_prefixes_use(m, NULL);
        model_prefixes_close(p);
    }
    model_free(m);
}
END_TEST

/* A batch writes what its prompts share; a server what came three times. */
START_TEST(what_several_begin_with_is_written)
{
    enum { JOBS = 6 };
    struct model *m = loaded();
    struct model_prefixes *p = prefixes_of(false, 1 << 24);
    const struct model_session_options o = { .slots = 4,
                                             .keep_prefixes = true };
    const struct model_sampling opt = { .max_tokens = 4, .ignore_eos = true };
    struct heard h[JOBS];
    struct model_job jobs[JOBS] = { 0 };
    struct model_prefixes_stats stats;
    struct model_session *s;

    model_prefixes_use(m, p);
    OK(model_session_open(m, &o, &s, &err));
    for (size_t i = 0; i < 4; i++) {
        ask_for(&h[i], i, 0);
        OK(begin(s, &h[i]));
        finish(s);
        model_prefixes_stats(p, &stats);
        ck_assert_uint_eq(stats.saved, i >= 2);
    }
    model_session_close(s);
    OK(model_session_open(m, &o, &s, &err));
    OK(begin(s, &h[0]));
    ck_assert_uint_eq(h[0].cached, SHARED / 32 * 32);
    finish(s);
    model_session_close(s);
    for (size_t i = 0; i < JOBS; i++) {
        ask_for(&h[i], i, 0);
        h[i].prompt[i < 3 ? 0 : 1] = 50; /* two groups */
        jobs[i] = (struct model_job){ .prompt = h[i].prompt,
                                      .prompt_count = h[i].prompt_count,
                                      .out = h[i].out };
    }
    OK(model_generate_batch(m, jobs, JOBS, &opt, NULL, &err));
    model_prefixes_stats(p, &stats);
    ck_assert_uint_eq(stats.saved, 3);
    ck_assert_uint_eq(stats.found, 1);
    OK(model_generate_batch(m, jobs, JOBS, &opt, NULL, &err));
    model_prefixes_stats(p, &stats);
    ck_assert_uint_eq(stats.saved, 3);
    ck_assert_uint_eq(stats.found, 3);
    for (size_t i = 0; i < JOBS; i++) {
        struct heard one = h[i];

        one.most = 4;
        alone(m, NULL, &one);
        ck_assert_uint_eq(jobs[i].out_count, one.count);
        ck_assert_mem_eq(h[i].out, one.out, one.count * sizeof(one.out[0]));
    }
    model_prefixes_use(m, NULL);
    model_prefixes_close(p);
    model_free(m);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("model_prefixes", setup, teardown);

    tcase_add_test(t, another_run_reads_what_one_computed);
    tcase_add_test(t, a_damaged_file_is_computed_anew);
    tcase_add_test(t, what_was_computed_otherwise_is_not_used);
    tcase_add_loop_test(t, rings_come_back_as_rows_do, 0, 2);
    tcase_add_test(t, sessions_side_by_side_keep_to_their_own);
    tcase_add_test(t, a_directory_that_is_gone_stays_so);
    tcase_add_test(t, a_long_prompts_beginning_is_written_once);
    tcase_add_test(t, files_keep_to_their_limit);
    tcase_add_test(t, none_of_many_files_is_overlooked);
    tcase_add_test(t, what_several_begin_with_is_written);
    return suite_run("model_prefixes", t);
}
