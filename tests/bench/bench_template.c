/*
 * bench_template.c - MB/s of rendered text, by CPU time of one thread
 *
 * bench_template [TEMPLATE LOG]: a chat template and logged calls as JSON
 * Lines, packed with zstd or not; without them slmctl's own and the demo
 * agent's log. Measured: the prompt of a request, from its parsed JSON; prompt
 * and answer with the place where training begins; the same with tokens, where
 * $TOKENIZER names a tokenizer.json. Calls that the template cannot show are
 * left out; $TAKEN names a file that gets the numbers of the others' lines.
 * Rows for the common table come last.
 */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "limits.h"
#include "lines.h"
#include "template/template.h"

#include <string.h>
#include <unistd.h>

#define DEMO_LOG "data/agent/logs.jsonl.zst"
#define TEXT_MAX ((size_t)16 << 20) /* of the file; more is not read */
#define ROUNDS 5
#define GOAL 25 /* MB/s */

struct call {
    size_t line;
    struct json j;
    json_ref request, message;
};

static struct bench {
    struct template *t;
    struct tokenizer *tok;
    struct lines lines;
    struct call *calls;
    size_t count, cap;
    struct buf out;
} b;

static void fail(const struct err *err)
{
    (void)fprintf(stderr, "bench_template: %s\n", err->msg);
    exit(1);
}

/* A directory with the template is a model as far as it matters here. */
static void open_template(const char *path)
{
    char dir[] = "/tmp/bench_template.XXXXXX", *to;
    struct buf text = { .data = NULL };
    struct err err = { 0 };
    FILE *f;

    if (path && io_read_file(path, JINJA_MAX_SOURCE, &text, &err) < 0)
        fail(&err);
    if (!path)
        buf_str(&text, template_builtin());
    if (!mkdtemp(dir))
        exit(1);
    to = io_path(dir, "chat_template.jinja");
    f = fopen(to, "w");
    if (!f || fwrite(text.data, 1, text.len, f) != text.len || fclose(f) != 0)
        exit(1);
    if (template_open(dir, &b.t, &err) < 0)
        fail(&err);
    (void)unlink(to);
    (void)rmdir(dir);
    free(to);
    buf_release(&text);
}

/* False: the template cannot show it. */
static bool answer(const struct call *c)
{
    struct err err;

    return template_prompt(b.t, &c->j, c->request, &b.out, &err) == ERR_OK &&
           template_answer(b.t, &c->j, c->request, &c->j, c->message, &b.out,
                           &err) == ERR_OK;
}

static void add_call(size_t line)
{
    struct slice text = lines_get(&b.lines, line);
    struct call c = { .line = line };
    struct err err = { 0 };
    json_ref choices;

    if (json_parse(&c.j, text.p, text.n, &err) < 0)
        fail(&err);
    choices = json_get(&c.j, json_get(&c.j, 0, "response"), "choices");
    c.request = json_get(&c.j, 0, "request");
    c.message = json_get(&c.j, json_first(&c.j, choices), "message");
    buf_reset(&b.out);
    if (!json_present(c.message) || !answer(&c)) {
        json_release(&c.j);
        return;
    }
    mem_grow((void **)&b.calls, &b.cap, b.count + 1, sizeof(*b.calls));
    b.calls[b.count++] = c;
}

static void read_calls(const char *path)
{
    const char *taken = getenv("TAKEN");
    FILE *f;

    lines_read(&b.lines, path, TEXT_MAX);
    for (size_t i = 0; i < b.lines.count; i++)
        add_call(i);
    if (!taken)
        return;
    f = fopen(taken, "w");
    for (size_t i = 0; f && i < b.count; i++)
        (void)fprintf(f, "%zu\n", b.calls[i].line);
    if (!f || fclose(f) != 0)
        exit(1);
}

static size_t prompt(const struct call *c)
{
    struct err err = { 0 };

    buf_reset(&b.out);
    if (template_prompt(b.t, &c->j, c->request, &b.out, &err) < 0)
        fail(&err);
    return b.out.len;
}

static size_t answered(const struct call *c)
{
    struct err err = { 0 };

    buf_reset(&b.out);
    if (template_answer(b.t, &c->j, c->request, &c->j, c->message, &b.out,
                        &err) < 0)
        fail(&err);
    return b.out.len;
}

static size_t encoded(const struct call *c)
{
    struct template_example e = { 0 };
    struct err err = { 0 };

    if (template_encode(b.t, b.tok, &c->j, c->request, &c->j, c->message, &e,
                        &err) == ERR_OK)
        token_list_release(&e.ids);
    return 0;
}

static int compare(const void *p, const void *q)
{
    double x = *(const double *)p, y = *(const double *)q;

    return (x > y) - (x < y);
}

/* Median of seconds for all calls. */
static double measure(size_t (*one)(const struct call *), size_t *bytes)
{
    double t[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        double start = clock_cpu_s();

        *bytes = 0;
        for (size_t k = 0; k < b.count; k++)
            *bytes += one(&b.calls[k]);
        t[i] = clock_cpu_s() - start;
    }
    qsort(t, ROUNDS, sizeof(t[0]), compare);
    return t[ROUNDS / 2];
}

static void row(const char *path, const char *shape, size_t bytes, double s)
{
    limits_row(path, shape, "MB/s", (double)bytes / 1e6 / s, NULL, 0, 0, 0);
}

static const char *base_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "slmctl's";
}

int main(int argc, char **argv)
{
    const char *log = argc > 2 ? argv[2] : DEMO_LOG;
    const char *path = argc > 2 ? argv[1] : NULL;
    const char *vocab = getenv("TOKENIZER");
    struct err err = { 0 };
    size_t prompts, answers, none;
    char shape[96];
    double t;

    open_template(path);
    if (vocab && tokenizer_open(vocab, &b.tok, &err) < 0)
        fail(&err);
    read_calls(log);
    (void)snprintf(shape, sizeof(shape), "%.39s, %.39s", base_of(path),
                   base_of(log));
    t = measure(prompt, &prompts);
    printf("%s: %zu of %zu calls, %.1f MB of prompts; goal %d MB/s\n", shape,
           b.count, b.lines.count, (double)prompts / 1e6, GOAL);
    row("template prompt", shape, prompts, t);
    t = measure(answered, &answers);
    row("template with mask", shape, prompts + answers, t);
    if (b.tok)
        row("template to tokens", shape, prompts + answers,
            measure(encoded, &none));
    for (size_t i = 0; i < b.count; i++)
        json_release(&b.calls[i].j);
    free(b.calls);
    buf_release(&b.out);
    lines_release(&b.lines);
    tokenizer_free(b.tok);
    template_free(b.t);
    return 0;
}
