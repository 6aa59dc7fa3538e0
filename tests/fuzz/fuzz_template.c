/*
 * fuzz_template.c - requests of arbitrary bytes, and answers read back
 *
 * With a zero byte in it, an input is a tokenizer_config.json, which holds the
 * template, and a request.
 */
#include "json/json.h"
#include "memory_file.h"
#include "template/template.h"

#include "base/io.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The built-in template, opened as it lies beside a model. */
static const struct template *builtin(void)
{
    static struct template *t;
    char dir[] = "/tmp/slmctl-fuzz-XXXXXX";
    const char *text = template_builtin();
    struct err err;
    char *path;

    if (t)
        return t;
    if (!mkdtemp(dir))
        abort();
    path = io_path(dir, "chat_template.jinja");
    if (io_write_file(path, text, strlen(text), 0600, &err) ||
        template_open(dir, &t, &err))
        abort();
    unlink(path);
    rmdir(dir);
    free(path);
    return t;
}

static void use(const struct template *t, const uint8_t *data, size_t size)
{
    struct buf out = { .data = NULL }, message = { .data = NULL };
    struct json j = { 0 }, back = { 0 };
    bool malformed;
    struct err err;

    if (!json_parse(&j, (const char *)data, size, &err)) {
        (void)!template_prompt(t, &j, 0, &out, &err);
        buf_reset(&out);
        (void)!template_answer(t, &j, 0, &j, 0, &out, &err);
    }
    if (utf8_valid((const char *)data, size) &&
        !template_parse(t, (struct slice){ (const char *)data, size }, &message,
                        &malformed, &err) &&
        json_parse(&back, message.data, message.len, &err))
        abort();
    json_release(&j);
    json_release(&back);
    buf_release(&out);
    buf_release(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_dir d;
    struct template *t = NULL;
    const uint8_t *rest;
    size_t left, n = memory_cut(data, size, &rest, &left);
    struct err err;

    if (n == size) {
        use(builtin(), data, size);
        return 0;
    }
    memory_dir_put(&d, "tokenizer_config.json", data, n);
    if (!template_open(d.path, &t, &err)) {
        use(t, rest, left);
        template_free(t);
    }
    return 0;
}
